"""The labeller sees a conversation up to the turn it labels, and a label is whole or absent."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from talks import SENTENCES, act, content, person, talk

from agents.actor import ReplyForm
from agents.conversation import Line
from agents.critics.critic import UnusableVerdict, ask_again
from agents.critics.labeller import (
    RELEVANCE,
    Intent,
    Taxonomy,
    ask_category,
    ask_intent,
    has_purpose,
    load_taxonomy,
    read_category,
    read_intent,
)
from folkways.errors import UserError

ACTIONS = ("speak", "non-verbal", "leave", "none", None)
FORMS: tuple[ReplyForm, ReplyForm] = ("json", "script")
PEOPLE = (
    person("ada", goal="You want GOAL-A.", secret="SECRET-A."),
    person("bela", culture="JPN", goal="You want GOAL-B.", secret="SECRET-B."),
)
CHAT = talk(
    "Good morning to you all, dear friends of the bakery!", "{{ c.people }} {% raw %} <b>Hush</b>",
    act(3, "ada", "nods and pours the tea", "non-verbal"), act(4, "bela", None, "none"),
    act(None, None, "A bell rings in the square."), act(5, "ada", "I must go now.", "leave"),
    act(6, "bela", None, None), act(7, "bela", None, "leave"), people=PEOPLE,
)  # fmt: skip
LABEL = {
    "intent": "Puts off the answer.", "relevance": "cultural",
    "expectation": "One does not refuse outright.",
}  # fmt: skip

acts = st.builds(
    lambda role, action, text, **fields: act(0, role, text, action, **fields),
    st.sampled_from(["ada", "bela"]), st.sampled_from(ACTIONS), st.text(max_size=20),
    whisper=st.booleans(), audience=st.sampled_from([None, ()]),
    to=st.sampled_from([(), ("Ada",), ("Bela",)]),
) | st.builds(lambda text: act(None, None, text, None), st.text(max_size=20))  # fmt: skip


def numbered(lines: list[Line]) -> list[Line]:
    """Return acts with their numbers; happenings have none."""
    done, turn = [], 0
    for line in lines:
        turn += line.role is not None
        done.append(replace(line, turn=turn if line.role else None))
    return done


@given(st.lists(acts), acts.filter(has_purpose), st.lists(acts), st.lists(acts))
def test_a_prompt_is_made_of_the_past_alone(
    past: list[Line], now: Line, one: list[Line], other: list[Line]
) -> None:
    known = [*past, now]
    turn = sum(line.role is not None for line in known)
    futures = [talk(*numbered([*known, *later]), people=PEOPLE) for later in ([], one, other)]
    for form in FORMS:
        first, second, third = (ask_intent(future, turn, form) for future in futures)
        assert first == second == third
        assert "GOAL-" not in content(first.prompt)
        assert "SECRET-" not in content(first.prompt)


@pytest.mark.parametrize("form", FORMS)
def test_prompts_of_a_conversation_share_their_beginning(form: ReplyForm) -> None:
    prompts = [content(ask_intent(CHAT, turn, form).prompt) for turn in (1, 2, 3, 5, 7)]
    shown = [prompt.split("\n\n## Your answer")[0] for prompt in prompts]
    for earlier, later in pairwise(shown):
        assert later.startswith(f"{earlier}\n")
    ends = ["friends of the bakery!", "2. Bela: {{ c.people }} {% raw %} <b>Hush</b>",
            "3. Ada: [nods and pours the tea]", "5. Ada: I must go now. [leaves]",
            "7. Bela: [leaves]"]  # fmt: skip
    assert [text.endswith(end) for text, end in zip(shown, ends, strict=True)] == [True] * 5
    for prompt, turn, name, land in zip(
        prompts, (1, 2, 3, 5, 7), ("Ada", "Bela", "Ada", "Ada", "Bela"),
        ("United Kingdom", "Japan", "United Kingdom", "United Kingdom", "Japan"), strict=True,
    ):  # fmt: skip
        task = prompt.split("\n\n## Your answer")[1]
        assert f"in turn {turn}?" in task
        assert f"{name} {'do' if turn == 3 else 'say'} this" in task
        assert land in task


def test_only_acts_have_a_purpose() -> None:
    assert [line.turn for line in CHAT.lines if has_purpose(line)] == [1, 2, 3, 5, 7]


def label(**fields: Any) -> Intent:
    """Return what is read from an answer with these fields."""
    return read_intent(json.dumps(LABEL | fields), CHAT)


def refused(reply: str) -> str:
    """Return how a reply that is no label fails."""
    with pytest.raises(UnusableVerdict) as raised:
        read_intent(reply, CHAT)
    assert len(str(raised.value).splitlines()) == 1
    return raised.value.failure


def test_a_cultural_intent_answers_an_expectation_and_a_generic_one_none() -> None:
    assert label() == Intent("Puts off the answer.", "cultural", "One does not refuse outright.")
    for expectation in ("One does not refuse outright.", None, 5, ["x"], "", "GUT"):
        found = label(relevance="generic", expectation=expectation)
        assert found == Intent("Puts off the answer.", "generic", None)
    for expectation in (None, "", "...", 5, True, ["One greets."], {}, "None", "n/a", "unknown"):
        assert refused(json.dumps(LABEL | {"expectation": expectation})) == "parse-failure"
    assert refused('{"intent": "Puts off the answer.", "relevance": "cultural"}')
    spread = label(intent=" Puts\noff  the answer.\0\ud800", expectation="One\n does not.")
    assert (spread.intent, spread.expectation) == ("Puts off the answer.\ufffd", "One does not.")


SPANISH = "Saluda a las vecinas porque quiere saber qué ha pasado en el pueblo."


@pytest.mark.parametrize(
    ("fields", "failure"),
    [
        ({"intent": ""}, "parse-failure"), ({"intent": None}, "parse-failure"),
        ({"intent": 5}, "parse-failure"), ({"intent": ["Greets."]}, "parse-failure"),
        ({"intent": "..."}, "parse-failure"), ({"intent": "Unknown."}, "parse-failure"),
        ({"relevance": "kulturell"}, "out-of-scale"), ({"relevance": None}, "out-of-scale"),
        ({"relevance": ["cultural"]}, "out-of-scale"), ({"relevance": True}, "out-of-scale"),
        ({"intent": SPANISH}, "wrong-language"), ({"expectation": SPANISH}, "wrong-language"),
        ({"intent": "Good morning to you all, dear friends of the bakery!"}, "copied"),
        ({"expectation": "Good morning to you all, dear friends of the bakery!"}, "copied"),
        ({"intent": "I must go now."}, "copied"),
    ],
)  # fmt: skip
def test_a_label_that_cannot_be_used_is_refused(fields: dict[str, Any], failure: str) -> None:
    assert refused(json.dumps(LABEL | fields)) == failure


def test_worked_answers_are_shown_to_small_models_and_not_taken_for_labels() -> None:
    plain, worked = (content(ask_intent(CHAT, 3, form).prompt) for form in FORMS)
    assert '"relevance": "generic"' not in plain
    examples = [
        json.loads(line.removeprefix("Answer: "))
        for line in worked.splitlines() if line.startswith("Answer: {")
    ]  # fmt: skip
    assert [example["relevance"] for example in examples] == ["generic", "cultural"]
    assert worked.endswith("The line in question:\n3. Ada: [nods and pours the tea]\nAnswer: ")
    for example in examples:
        assert refused(json.dumps(example)) == "copied"


@pytest.mark.parametrize("form", FORMS)
def test_a_labeller_is_told_what_was_wrong(form: ReplyForm) -> None:
    asked = ask_intent(CHAT, 2, form)
    again = ask_again(asked, "It greets.", "there is no JSON object in it.")
    shown = again.prompt if isinstance(again.prompt, str) else again.prompt[-1]["content"]
    assert "there is no JSON object in it." in shown
    assert content(again.prompt).startswith(content(asked.prompt))
    assert again.schema == asked.schema


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30)
    | st.sampled_from([*RELEVANCE, *LABEL.values(), "\ud83d\0", SPANISH, *SENTENCES]),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(max_size=5), some),
    max_leaves=5,
)  # fmt: skip


@given(
    st.text() | values.map(json.dumps)
    | st.dictionaries(st.sampled_from([*LABEL, "category", "x"]), values).map(
        lambda given: json.dumps(LABEL | given)
    )
)  # fmt: skip
@settings(max_examples=200)
def test_any_text_is_a_label_or_refused(reply: str) -> None:
    try:
        found = read_intent(reply, CHAT)
    except UnusableVerdict as error:
        assert error.failure in ("parse-failure", "out-of-scale", "copied", "wrong-language")
    else:
        assert found.relevance in RELEVANCE
        assert (found.expectation is not None) is (found.relevance == "cultural")
        for text in (found.intent, found.expectation or "."):
            assert len(text.splitlines()) == 1
            assert "\0" not in text.encode().decode()
    try:
        assert read_category(reply, CHAT, TAXONOMY) in ("greets", "bargains")
    except UnusableVerdict as error:
        assert error.failure in ("parse-failure", "out-of-scale", "copied")


TAXONOMY = Taxonomy.model_validate(
    {"name": "mine", "categories": [
        {"id": "greets", "description": "Opens {{ 7 * 7 }} a talk {% raw %}."},
        {"id": "bargains", "description": "Haggles <b>hard</b>."},
    ]}
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_an_intent_is_mapped_to_a_category(form: ReplyForm) -> None:
    intent = Intent("Says {{ hello }}.", "cultural", "One {# greets #}.")
    asked = ask_category(intent, TAXONOMY, form)
    shown = content(asked.prompt)
    for text in (
        intent.intent, "One {# greets #}.", "- greets: Opens {{ 7 * 7 }} a talk {% raw %}.",
        "- bargains: Haggles <b>hard</b>.",
    ):  # fmt: skip
        assert text in shown
    assert asked.schema
    assert asked.schema["properties"]["category"]["enum"] == ["greets", "bargains"]
    generic = content(ask_category(Intent("Greets.", "generic", None), TAXONOMY, form).prompt)
    assert "expectation" not in generic
    assert read_category('```json\n{"category": "greets"}\n```', CHAT, TAXONOMY) == "greets"
    for answer in ("Greets", "", None, 1, True, ["greets"], {"id": "greets"}):
        with pytest.raises(UnusableVerdict, match="one of greets, bargains") as raised:
            read_category(json.dumps({"category": answer}), CHAT, TAXONOMY)
        assert raised.value.failure == "out-of-scale"


GOOD = """
name: mine
categories:
  - {id: greets, description: Opens a talk.}
  - {id: haggles, description: 値切る。}
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (GOOD, "", "1:1: error: the file is empty"),
        (GOOD, "- greets", "1:1: error: must be a mapping of keys to values; found ['greets']"),
        (GOOD, "just text", "1:1: error: must be a mapping of keys to values; found 'just text'"),
        (GOOD, "name: a\ncategories: []", "2:13: error: categories: too few entries; found []; "
         "allowed: at least 2"),
        (GOOD, "name: a\ncategories:", "2:12: error: categories: must be a list; found null"),
        (GOOD, "name: a", "1:1: error: categories: missing"),
        ("name: mine", "", "3:1: error: name: missing"),
        ("  - {id: haggles, description: 値切る。}\n", "", "categories: too few entries"),
        ("haggles", "greets", "5:10: error: categories[2].id: this category is given twice; keep "
         "one; found greets"),
        ("haggles", "Haggles Hard", "not in the right form; found 'Haggles Hard'; allowed: lower-"),
        ("haggles", "12", "5:10: error: categories[2].id: must be text; found 12"),
        ("haggles", "h" * 61, "categories[2].id: too long"),
        ("値切る。", '""', "categories[2].description: too short"),
        ("id: haggles", "key: haggles", "categories[2].key: unknown key"),
        (", description: 値切る。", "", "5:5: error: categories[2].description: missing"),
        ("categories:", "groups:", "groups: unknown key; allowed: categories, name"),
        ("mine", "My Own!", "2:7: error: name: not in the right form; found 'My Own!'"),
        ("name: mine", "name: a: b", "2:8: error: not valid YAML: a colon within the text"),
        ("name: mine", "name: mine\nname: yours", "given twice, on lines 2 and 3"),
        ("name: mine", "{", "error: not valid YAML"),
        ("mine", "!!python/object:os.system x", "the tag !!python/object:os.system is not allowed"),
        ("値切る。", '"a\\0b"', "the control character U+0000 is not allowed"),
    ],
)  # fmt: skip
def test_a_faulty_taxonomy_is_refused_a_line_for_each_fault(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    file = tmp_path / "mine.yaml"
    assert old in GOOD
    file.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError) as raised:
        load_taxonomy(file)
    lines = str(raised.value).splitlines()
    assert len(lines) <= 2
    assert all(line.startswith(f"{file}:") for line in lines)
    assert told in str(raised.value)


def test_a_taxonomy_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(UserError, match="cannot read") as raised:
            load_taxonomy(path)
        assert len(str(raised.value).splitlines()) == 1
    (tmp_path / "latin.yaml").write_bytes("name: größe".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8"):
        load_taxonomy(tmp_path / "latin.yaml")


def test_labels_are_kept_apart_by_what_a_taxonomy_says(tmp_path: Path) -> None:
    keys = []
    for number, text in enumerate((GOOD, f"# mine\n{GOOD}", GOOD.replace("a talk", "talks"))):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text, encoding="utf-8")
        keys.append(load_taxonomy(file).key)
    assert [one.id for one in load_taxonomy(file).categories] == ["greets", "haggles"]
    assert keys[0] == keys[1] != keys[2]
    assert all(key.startswith("mine@") for key in keys)
