"""Whatever a judge answers is a verdict in its scale, or a failure with its reason."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from talks import SENTENCES, act, content, talk

from agents.actor import ReplyForm
from agents.critics.critic import (
    CONFIDENCE,
    MAX_CITED,
    Judgement,
    Labels,
    Question,
    UnusableVerdict,
    ask_again,
    critic,
    failed,
    read_verdict,
)
from agents.critics.social import SCALES

DINNER = talk(
    "Good morning to you all, dear friends of the bakery!", "What a lovely day it is.",
    act(3, "ada", "nods and pours the tea", "non-verbal"), act(4, "bela", None, "none"),
    act(None, None, "A bell rings in the square."), act(5, "ada", "I must go now.", "leave"),
)  # fmt: skip
SCORES = dict.fromkeys(SCALES, 0)
VERDICT = {"reason": "They talk past each other.", "turns": [1], "confidence": "confident"}


def question(name: str, form: ReplyForm = "json") -> Question:
    """Return the first question of a critic about the dinner."""
    return critic(name)(DINNER, [], form)[0]


def judged(name: str = "quality", **fields: Any) -> list[Judgement]:
    """Return what is read from an answer with these fields."""
    given = VERDICT | (SCORES if name == "social" else {"quality": "good"}) | fields
    return read_verdict(json.dumps(given), question(name), DINNER)


def refused(reply: str, name: str = "quality") -> tuple[str, str]:
    """Return how a reply that is no verdict fails, and what is said of it."""
    with pytest.raises(UnusableVerdict) as raised:
        read_verdict(reply, question(name), DINNER)
    assert len(str(raised.value).splitlines()) == 1
    return raised.value.failure, str(raised.value)


def test_a_verdict_is_read() -> None:
    (one,) = judged(reason="  They talk\npast   each other. ", turns=[5, 1])
    assert one == Judgement(
        "quality", None, "good", None, "confident", "They talk past each other.", (5, 1)
    )
    scores = judged("social", relationship=-5, goal=10)
    assert [(one.dimension, one.role, one.score, one.label) for one in scores] == [
        (name, "ada", {"relationship": -5, "goal": 10}.get(name, 0), None) for name in SCALES
    ]


GOOD, BAD = (json.dumps(VERDICT | {"quality": label}) for label in ("good", "bad"))


def test_a_verdict_may_stand_in_prose_or_beside_other_objects() -> None:
    whole = json.dumps(VERDICT | {"quality": "bad"})
    for reply in (
        f"```json\n{whole}\n```", f"Certainly! Here it is:\n{whole}\nI hope it helps {{}}",
        f"{whole}{whole}", f'{{"note": "draft"}} {whole}', f'{whole} {{"note": "done"}}',
    ):  # fmt: skip
        assert [one.label for one in read_verdict(reply, question("quality"), DINNER)] == ["bad"]


@pytest.mark.parametrize(
    ("reply", "failure", "told"),
    [
        ("", "parse-failure", "no JSON object"),
        ("The conversation is good.", "parse-failure", "no JSON object"),
        ('["good"]', "parse-failure", "no JSON object"),
        ('{"reason": "They talk past each', "parse-failure", "not complete"),
        (json.dumps(VERDICT) + " {", "parse-failure", "not complete"),
        (f"Turn 3 steers me: {GOOD}. {BAD}", "parse-failure", "differ"),
        (f"{BAD} Turn 3 said {GOOD}", "parse-failure", "differ"),
        (f'{{"reason": "It says {GOOD}", "quality": "bad"}}', "parse-failure", "not complete"),
        (f'{GOOD} {{"quality": "bad"}}', "parse-failure", "differ"),
        ('{"quality": ' * 9000, "parse-failure", "not complete"),
        ('{"quality": ' + "9" * 9000 + "}", "parse-failure", "not complete"),
        ("{}", "out-of-scale", '"confidence" must be one of "very confident", "confident"'),
    ],
)
def test_a_reply_that_is_no_verdict_says_why(reply: str, failure: str, told: str) -> None:
    assert refused(reply)[0] == failure
    assert told in refused(reply)[1]


@pytest.mark.parametrize(
    ("fields", "failure"),
    [
        ({"quality": "gut"}, "out-of-scale"), ({"quality": None}, "out-of-scale"),
        ({"quality": ["good"]}, "out-of-scale"), ({"quality": True}, "out-of-scale"),
        ({"quality": "good or bad"}, "out-of-scale"), ({"quality": 1}, "out-of-scale"),
        ({"confidence": "sehr sicher"}, "out-of-scale"), ({"confidence": 0.9}, "out-of-scale"),
        ({"confidence": ["confident"]}, "out-of-scale"),
        ({"reason": ""}, "parse-failure"), ({"reason": " -- \ud800"}, "parse-failure"),
        ({"reason": None}, "parse-failure"), ({"reason": True}, "parse-failure"),
        ({"reason": ["They agree."]}, "parse-failure"), ({"reason": {"a": "b"}}, "parse-failure"),
        ({"reason": "Las personas se repiten y no contestan a lo que dicen las otras."},
         "wrong-language"),
        ({"reason": "二人は同じことを何度も繰り返しています。"}, "wrong-language"),
        ({"reason": "Good morning to you all, dear friends of the bakery!"}, "copied"),
        ({"reason": "good morning to you all dear friends of the"}, "copied"),
        ({"reason": "of the bakery! What a lovely day it is."}, "copied"),
        ({"reason": "A bell rings in the square."}, "copied"),
        ({"reason": "1. Ada: Good morning to you all, dear friends"}, "copied"),
    ],
)  # fmt: skip
def test_a_verdict_out_of_its_scale_is_refused(fields: dict[str, Any], failure: str) -> None:
    given = json.dumps(VERDICT | {"quality": "good"} | fields)
    assert refused(given)[0] == failure


def test_a_reply_that_copies_the_conversation_is_told_apart() -> None:
    shown = content(question("quality").asked.prompt)
    lines = shown.split("## What was said and done\n")[1].split("\n\nWhat the lines")[0]
    for reply in (lines, lines[:120], "Good morning to you all, dear friends of the bakery!"):
        assert refused(reply)[0] == "copied"
    assert refused("Answer: they all say good morning and then they drink their tea")[0] != "copied"


def test_reasons_may_quote_and_name() -> None:
    for reason in (
        '"Good morning to you all", says Ada, and nobody answers.', "Fine.", "Thank you.",
        "Nakamura-san and Onodera-san keep to the forms.",
    ):  # fmt: skip
        assert judged(reason=reason)[0].reason == reason


@pytest.mark.parametrize("dimension", SCALES)
def test_each_dimension_fails_by_itself(dimension: str) -> None:
    low, high = SCALES[dimension]
    for wrong in (low - 1, high + 1, float(high), True, False, str(low), None, [low], {}, "high"):
        found = {one.dimension: one for one in judged("social", **{dimension: wrong})}
        bad = found.pop(dimension)
        assert (bad.failure, bad.score, bad.label, bad.confidence) == (
            "out-of-scale", None, None, None,
        )  # fmt: skip
        assert f'"{dimension}" must be a whole number from {low} to {high}' in bad.reason
        assert all(one.score == 0 and not one.failure for one in found.values())
    assert refused(json.dumps(VERDICT | dict.fromkeys(SCALES, 99)), "social")[0] == "out-of-scale"
    assert refused(json.dumps(VERDICT), "social")[0] == "out-of-scale"


@pytest.mark.parametrize(
    ("turns", "cited"),
    [
        ([1, 5, 99, 0, -1], (1, 5)), ([True, 2.0, "3", None], ()), ([[1], {"turn": 2}, 3], (3,)),
        ("1", ()), (None, ()), (1, ()), ({"1": 1}, ()), ([2, 2, 1, 2], (2, 1)),
    ],
)  # fmt: skip
def test_only_turns_that_exist_are_cited(turns: object, cited: tuple[int, ...]) -> None:
    found = judged(turns=turns)[0].turns
    assert found == cited
    assert all(type(turn) is int for turn in found)


def test_a_judge_that_counts_on_cites_a_few_turns() -> None:
    answer = json.dumps(VERDICT | {"quality": "good", "turns": list(range(1000))})
    (found,) = read_verdict(answer, question("quality"), talk(*SENTENCES))
    assert found.turns == tuple(range(1, MAX_CITED + 1))


def check(reply: str, asked: Question) -> None:
    """Assert that a reply is refused, or gives one judgement in its scale for each dimension."""
    try:
        found = read_verdict(reply, asked, DINNER)
    except UnusableVerdict as error:
        assert error.failure in ("parse-failure", "out-of-scale", "copied", "wrong-language")
        assert str(error)
        return
    assert [one.dimension for one in found] == list(asked.scales)
    assert not all(one.failure for one in found)
    for one in found:
        assert one.role == asked.role
        assert len(one.reason.splitlines()) == 1
        assert "\0" not in one.reason.encode().decode()
        scale = asked.scales[one.dimension]
        if one.failure:
            assert one.label is one.score is one.confidence is None
            continue
        assert one.confidence in CONFIDENCE
        assert set(one.turns) <= {1, 2, 3, 4, 5}
        if isinstance(scale, Labels):
            assert one.label in scale.names
            assert one.score is None
        else:
            assert type(one.score) is int
            assert scale.low <= one.score <= scale.high
            assert one.label is None


values = st.recursive(
    st.none() | st.booleans() | st.integers(-20, 20) | st.floats() | st.text(max_size=20)
    | st.sampled_from([*CONFIDENCE, "good", "bad", "They agree.", "\ud83d", *SENTENCES]),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(max_size=5), some),
    max_leaves=6,
)  # fmt: skip
changes = st.dictionaries(st.sampled_from([*VERDICT, "quality", *SCALES, "x"]), values, max_size=4)


@given(st.text() | values.map(json.dumps) | st.text(alphabet='{}[]":, truegod019\\u'))
def test_any_text_is_a_verdict_or_refused(reply: str) -> None:
    for name in ("quality", "social"):
        check(reply, question(name))


@given(changes, st.integers(0, 400))
@settings(max_examples=200)
def test_any_change_to_an_answer_is_a_verdict_or_refused(given: dict[str, Any], cut: int) -> None:
    for name, fields in (("quality", {"quality": "bad"}), ("social", SCORES)):
        whole = json.dumps(VERDICT | fields | given)
        check(whole, question(name))
        check(f"```\n{whole[:cut]}", question(name))


@given(st.data())
@settings(max_examples=40)
def test_whatever_fits_the_schema_is_a_verdict(data: st.DataObject) -> None:
    asked = question(data.draw(st.sampled_from(["quality", "social"])))
    answer: dict[str, Any] = {}
    assert asked.asked.schema
    for name, part in asked.asked.schema["properties"].items():
        if part["type"] == "integer":
            answer[name] = data.draw(st.integers(part["minimum"], part["maximum"]))
        elif part["type"] == "array":
            answer[name] = data.draw(st.lists(st.integers(1, 5), max_size=part["maxItems"]))
        else:
            answer[name] = data.draw(st.sampled_from(part.get("enum", ["They agree in the end."])))
    jsonschema.validate(answer, asked.asked.schema)
    assert next(iter(answer)) == "reason", "the reason comes before what rests on it"
    assert not any(one.failure for one in read_verdict(json.dumps(answer), asked, DINNER))


def test_what_failed_is_neither_a_pass_nor_a_zero() -> None:
    for name in ("quality", "social"):
        asked = question(name)
        for one in failed(asked, "timeout", "no reply within 60 s"):
            assert (one.label, one.score, one.confidence, one.turns) == (None, None, None, ())
            assert (one.failure, one.reason) == ("timeout", "no reply within 60 s")
            assert (one.dimension in asked.scales, one.role) == (True, asked.role)


@pytest.mark.parametrize("form", ["json", "script"])
def test_a_judge_is_told_what_was_wrong(form: ReplyForm) -> None:
    asked = question("quality", form).asked
    again = ask_again(asked, "It is \ud800 good\0.", '"quality" must be "good" or "bad".')
    shown = "\n".join(m["content"] for m in again.prompt) if form == "json" else again.prompt
    assert isinstance(shown, str)
    assert shown.startswith(content(asked.prompt)), "the prefix is kept"
    assert "It is \ufffd good." in shown
    assert '"quality" must be "good" or "bad".' in shown.split("It is \ufffd")[1]
    assert again.schema == asked.schema
    assert again.prompt_hash != asked.prompt_hash
    if form == "json":
        assert [m["role"] for m in again.prompt] == ["user", "assistant", "user"]
        assert ask_again(asked, "", "it is empty.").prompt[1]["content"], "no empty message"
    else:
        assert shown.endswith("Answer: ")
