"""Questions written by a model: what is accepted, and that nothing interrupts the work for good."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from eval.item import Item, load_items, preset
from folkways.cli.culturespa import spa_app
from folkways.clock import utc_now
from folkways.errors import UserError
from scenarios.words import words
from simulation.execution.executor import Incomplete
from simulation.store.record import Record
from simulation.store.writer import Store
from training.culturespa.config import SpaConfig, all_topics, load_spa_config
from training.culturespa.generate import forecast, generate, summary
from training.culturespa.likeness import Wordings
from training.culturespa.option import Unfit
from training.culturespa.question import MOST_WORDS, SCHEMA, Draft, read_draft
from training.culturespa.questions import as_item, load_questions, question_row
from training.culturespa.topic import topic_abouts
from training.culturespa.writer import ask_question, load_prompt

ROOT = Path(__file__).parents[2]
ASK = "How often do you pray at home?"
CONTENT = {
    "spa_attempts": "* exclude (latency_s, asked_at)",
    "spa_questions": "* exclude created_at",
    "templates": "*",
}


def reply(options: Any, question: Any = ASK) -> str:
    return json.dumps({"question": question, "options": options})


def outcome(text: str, *declining: Any) -> str:
    """Return the labels of a reply in one text, or the fault it has."""
    try:
        return " | ".join(read_draft(text, *declining).options)
    except Unfit as fault:
        return str(fault)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "unreadable"),
        ("I am sorry, I cannot do that.", "unreadable"),
        ('{"question": "How often do you pray?", "options": ["of', "unreadable"),
        ("[" * 100_000, "unreadable"),
        ('{"question": ' * 50_000, "unreadable"),
        ("{}", "no-question"),
        (reply(["a", "b"], None), "no-question"),
        (reply(["a", "b"], ["How often do you pray?"]), "no-question"),
        (reply(["a", "b"], "?! -- ..."), "no-question"),
        (reply(["a", "b"], "Prayer at?"), "no-question"),
        (reply(["a", "b"], f"How {'very ' * MOST_WORDS}often do you pray?"), "long-question"),
        (reply(["never", "often"], "People here pray at home."), "bare-statement"),
        (reply(None), "no-options"),
        (reply([]), "no-options"),
        (reply("never, often"), "no-options"),
        (reply({"1": "never", "2": "often"}), "no-options"),
        (reply([["never"], ["often"]]), "no-options"),
        (reply([True, False]), "no-options"),
        (reply([0.5, 1.5]), "no-options"),
        (reply(["never"]), "few-options"),
        (reply(["never", "don't know"]), "few-options"),
        (reply(["don't know", "Prefer not to say."]), "few-options"),
        (reply([f"every {'long ' * n}while" for n in range(12)]), "many-options"),
        (reply(["never", " "]), "empty-option"),
        (reply(["never", "..."]), "empty-option"),
        (reply(["a) ", "b) often"]), "empty-option"),
        (reply(["never", "often " * 31]), "long-option"),
        (reply(["Never", "never!", "often"]), "same-options"),
        (reply(["1. never", "2. never"]), "same-options"),
        (reply(["1. never", "often"]), "mixed-numbering"),
        (reply(["1. never", "3) often", "2. always"]), "mixed-numbering"),
        (reply(["1", "2", "3", "4"]), "bare-numbers"),
        (reply([0, 1, 2]), "bare-numbers"),
        (reply(["1. 1", "2. 2"]), "bare-numbers"),
        (reply(["0", "1", "2", "3 or more"]), "bare-numbers"),
        (reply(["never", "2", "always"]), "bare-numbers"),
        (reply(["never", "2", "3", "5", "always"]), "bare-numbers"),
        (reply(["never", "2", "3", "4", "5"]), "bare-numbers"),
        (reply(["1", "2", "3"], "On a scale from 1 to 3, how often do you pray?"), "bare-numbers"),
        (reply(["never", "<b>often</b>"]), "markup"),
        (reply(["never", "often"], "How often? See https://prayer.example now"), "markup"),
    ],
)
def test_what_is_no_question_is_refused_by_name(text: str, fault: str) -> None:
    assert outcome(text) == fault


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        (["1. never", "2. often"], "never | often"),
        (["1) never", "2) often", "3) always"], "never | often | always"),
        (["0: never", "1: often"], "never | often"),
        (["3 - always", "2 - often", "1 - never"], "always | often | never"),
        (["(a) never", "(b) often"], "never | often"),
        (["A. never", "B. often"], "never | often"),
        (["1. 18 to 24", "2. 25 to 34"], "18 to 24 | 25 to 34"),
        (["18-24", "25-34"], "18-24 | 25-34"),
        (["18 - 24", "25 - 34"], "18 - 24 | 25 - 34"),
        (["1.5 hours", "2.5 hours"], "1.5 hours | 2.5 hours"),
        (["1 time", "2 times"], "1 time | 2 times"),
        (["  never \n", '"often"'], "never | often"),
        (["never\x1b[2J", "of\x00ten"], "never[2J | often"),
        (["never", "2", "3", "always"], "never | 2 of 4 | 3 of 4 | always"),
        (["0 - never", "1", "2 = always"], "never | 1 of 2 | always"),
        (["1 never", "2", "3 always"], "never | 2 of 3 | always"),
        (["3 (", "2", "1"], "bare-numbers"),
        (["10. always", "9", "8. never"], "always | 9 of 10 | never"),
        (["never", "I don't know my neighbours"], "never | I don't know my neighbours"),
        (["niemals", "\u5f88\u5c11", "\u7ecf\u5e38"], "niemals | \u5f88\u5c11 | \u7ecf\u5e38"),
    ],
)
def test_numbering_goes_and_points_of_a_scale_say_what_they_are(
    options: list[str], labels: str
) -> None:
    assert outcome(reply(options)) == labels


@pytest.mark.parametrize(
    "question",
    [
        "How often do you pray, where 1 means never and 3 means always?",
        "How often do you pray? (1 = never, 3 = always)",
        "How often do you pray, from never (1) to always (3)?",
        "How often do you pray? 1 is 'never', 3 is 'always'.",
        "If 1: never and 3: always, how often do you pray?",
    ],
)
def test_bare_numbers_stay_where_the_question_says_what_the_ends_mean(question: str) -> None:
    assert outcome(reply(["1", "2", "3"], question)) == "1 of 3 | 2 of 3 | 3 of 3"
    assert outcome(reply(["1", "2", "3", "4"], question)) == "bare-numbers"


def test_a_statement_needs_options_that_judge_it() -> None:
    said = "Prayer belongs to the home."
    assert outcome(reply(["agree", "disagree"], said)) == "agree | disagree"
    assert outcome(reply(["1. Not justified", "2. Justified"], said)) == "Not justified | Justified"
    assert outcome(reply(["often", "never"], said)) == "bare-statement"
    assert outcome(reply(["often", "never"], "Please say how often you pray.")) == "often | never"


@pytest.mark.parametrize("heading", ["Question: ", "Q1. ", "Survey question 7: ", "3. ", "12) "])
def test_a_heading_is_no_part_of_the_question(heading: str) -> None:
    assert read_draft(reply(["never", "often"], heading + ASK)).ask == ASK


def test_options_that_decline_are_dropped_kept_or_a_fault() -> None:
    given = ["1. never", "2. Don\u2019t know / no answer", "3. often", "4. Prefer not to say"]
    draft = read_draft(reply(given))
    assert draft == Draft(ASK, ("never", "often"), (given[1], given[3]))
    assert outcome(reply(given), "refuse") == "declining"
    assert read_draft(reply(given), "keep").left_out == ()
    assert len(read_draft(reply(given), "keep").options) == 4


def test_prose_and_fences_around_the_object_do_not_matter() -> None:
    assert outcome(f"Here you are:\n```json\n{reply(['never', 'often'])}\n```") == "never | often"


def keeps_the_rules(draft: Draft) -> bool:
    """Whether a draft keeps every rule, told apart from how it was read."""
    Item(
        id="migration:0001", topic="migration", ask=draft.ask, scale="nominal",
        options=dict(enumerate(draft.options, 1)),
    )  # fmt: skip
    texts = (draft.ask, *draft.options)
    return (
        2 <= len(draft.options) <= 11
        and len({words(option) for option in draft.options}) == len(draft.options)
        and all(words(option) for option in draft.options)
        and not any(re.fullmatch(r"\d+", option) for option in draft.options)
        and not any("\n" in text or "\x00" in text or text != text.strip() for text in texts)
        and len(draft.ask.split()) <= MOST_WORDS
    )


SCRAPS = st.lists(
    st.sampled_from(
        ["1", "2", "10", ".", ")", "-", "=", " ", "(", "never", "always", "don't know", "a", "B",
         "?", "How often", "where 1 means", "\ud800", "\u202e", "\x1b", "\n", "{", '"', "\u3082"]
    ),
    max_size=8,
).map("".join)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=40), SCRAPS)
NUMBERED = st.lists(TEXTS, max_size=12).map(lambda o: [f"{n}. {one}" for n, one in enumerate(o)])
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), TEXTS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
REPLIES = st.one_of(
    st.text(),
    TEXTS,
    VALUES.map(json.dumps),
    st.builds(reply, st.one_of(VALUES, NUMBERED, st.lists(TEXTS | st.integers(), max_size=13)),
              st.one_of(VALUES, TEXTS, TEXTS.map(lambda text: f"{ASK} {text}"))),
)  # fmt: skip


@given(REPLIES, st.sampled_from(["drop", "keep", "refuse"]))
@example('{"question": "How old are you?", "options": ["0::0", "1. 0000"]}', "drop")
def test_no_text_breaks_the_reading_and_what_is_read_keeps_the_rules(
    text: str, policy: Any
) -> None:
    try:
        draft = read_draft(text, policy)
    except Unfit:
        return
    assert keeps_the_rules(draft)


@given(st.lists(st.text("abc ", max_size=12), max_size=12), st.text("abc ", max_size=12))
def test_the_nearest_wording_is_the_likest_of_all(known: list[str], text: str) -> None:
    index = Wordings()
    for number, one in enumerate(known):
        index.add(str(number), one)

    def share(other: str) -> float:
        mine, theirs = set(text.split()), set(other.split())
        if text.split() == other.split():
            return 1.0
        return len(mine & theirs) / (len(mine | theirs) or 1)

    best = max(map(share, known), default=0.0)
    found = index.nearest(text)
    assert found.likeness == best
    assert found.same == (text.split() in [one.split() for one in known])
    if best:
        assert found.id is not None and share(known[int(found.id)]) == best


# The step


def config(out: Path, **fields: Any) -> SpaConfig:
    data = {
        "name": "trial", "model": {"name": "fake"}, "out": str(out), "per_topic": 12,
        "topics": ["migration", "security"],
    }  # fmt: skip
    return SpaConfig.model_validate(data | fields)


def write(out: Path, **fields: Any) -> str:
    return generate(config(out, **fields), quiet=True)


def rows(out: Path, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(out / "trial/log.duckdb"), read_only=True) as con:
        return con.execute(query, values).fetchall()


def content(out: Path) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table: sorted(rows(out, f"select {columns} from {table}"), key=repr)
        for table, columns in CONTENT.items()
    }


def scripted(tmp_path: Path, *replies: str) -> dict[str, Any]:
    """Return a model that gives these replies in turn."""
    path = tmp_path / "script.yaml"
    path.write_text(yaml.safe_dump({"rules": [{"replies": list(replies)}]}), encoding="utf-8")
    return {"name": f"fake:{path}"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    assert write(out) == "done"
    return out


def test_questions_are_written_on_every_topic_and_read_back_as_items(undisturbed: Path) -> None:
    questions = load_questions(Store(undisturbed / "trial"))
    assert Counter(item.topic for item in questions) == {"migration": 12, "security": 12}
    assert [item.id for item in questions[:2]] == ["migration:0001", "migration:0002"]
    assert {item.id for item in questions}.isdisjoint(load_items())
    assert all(item.scale == "nominal" for item in questions)
    assert all(keeps_the_rules(Draft(q.ask, (*q.options.values(),), ())) for q in questions)
    tries = dict(rows(undisturbed, "select outcome, sum(tries) from spa_outcomes group by all"))
    assert tries["accepted"] == 24 and len(tries) > 1


def test_examples_are_items_and_questions_accepted_before(undisturbed: Path) -> None:
    query = "select topic, number, examples from spa_attempts order by number"
    found = "select number from spa_attempts where question_id = ?"
    for topic, number, examples in rows(undisturbed, query):
        own = [name for name in examples if ":" in name]
        assert len(set(examples)) == 5
        assert {*examples} - {*own} <= {item.id for item in preset(topic)}
        assert len(own) == (0 if number <= 8 else 2)
        first_of_wave = number - (number - 1) % 8
        assert all(rows(undisturbed, found, name)[0][0] < first_of_wave for name in own)
    orders = rows(undisturbed, "select distinct examples from spa_attempts where number > 8")
    assert len({tuple(":" in name for name in examples) for (examples,) in orders}) > 2


def test_prompts_show_examples_as_json_without_what_declines() -> None:
    examples = [load_items()["Q122"], as_item("migration:0001", "migration", ASK, {1: "a", 2: "b"})]
    for form in ("json", "script"):
        asked = ask_question("migration", examples, form)  # type: ignore[arg-type]
        text = asked.prompt if isinstance(asked.prompt, str) else asked.prompt[-1]["content"]
        shown = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        assert [one["question"] for one in shown] == [item.ask for item in examples]
        assert shown[1]["options"] == ["a", "b"]
        assert not any("hard to tell" in one["options"] for one in shown)
        assert topic_abouts()["migration"] in text and asked.schema == SCHEMA
    assert set(topic_abouts()) == set(all_topics())


def test_a_hostile_example_enters_prompts_as_text_only() -> None:
    ask = "Do you {{ 7 * 7 }} {% raw %} agree, {# or not #}?"
    item = as_item("migration:0001", "migration", ask, {1: "{{ yes }}", 2: "no\u2028"})
    prompt = ask_question("migration", [item], "script").prompt
    assert "{{ 7 * 7 }}" in prompt and load_prompt().hash == load_prompt().hash


@pytest.mark.parametrize("fields", [{"concurrency": 1}, {"concurrency": 16}])
def test_the_same_questions_come_however_many_topics_are_worked_on(
    tmp_path: Path, undisturbed: Path, fields: dict[str, Any]
) -> None:
    assert write(tmp_path, **fields) == "done"
    assert content(tmp_path) == content(undisturbed)


def test_an_interrupted_run_goes_on_to_the_same_store(tmp_path: Path, undisturbed: Path) -> None:
    reasons = []
    while not reasons or reasons[-1] != "done":
        reasons.append(write(tmp_path, budget={"tokens": 2_500}))
        assert len(reasons) < 60
    assert reasons.count("budget-tokens") > 3
    assert content(tmp_path) == content(undisturbed)
    before = rows(tmp_path, "select count(*) from launches")
    assert write(tmp_path) == "done"
    assert rows(tmp_path, "select count(*) from launches") == before


def test_more_questions_later_are_those_that_would_have_come_at_once(
    tmp_path: Path, undisturbed: Path
) -> None:
    for wanted in (3, 10, 12):
        assert write(tmp_path, per_topic=wanted, topics=["migration"]) == "done"
    assert write(tmp_path) == "done"
    assert content(tmp_path) == content(undisturbed)


def started(out: Path, **fields: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a process that writes questions slowly, each time it has stored something more."""
    slow = config(out, model={"name": "fake", "options": {"latency_s": 0.8}}, **fields)
    path = out / "trial.yaml"
    path.write_text(json.dumps(slow.model_dump(mode="json")), encoding="utf-8")
    code = (
        "import sys; from pathlib import Path; from folkways.cli.culturespa import spa_app\n"
        f"sys.argv = ['spa', 'generate', {str(path)!r}, '--quiet']; spa_app()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        while process.poll() is None:
            time.sleep(0.05)
            if (out / "trial/log.duckdb").exists():
                try:
                    stored = rows(out, "select count(*) from spa_attempts")[0][0]
                except duckdb.Error:
                    continue
                if stored:
                    yield process
    finally:
        process.kill()
        process.wait()


def test_killed_at_any_time_it_goes_on_to_the_same_store(tmp_path: Path, undisturbed: Path) -> None:
    for process in started(tmp_path):
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    tries = rows(tmp_path, "select count(*), max(number), count(distinct number) from spa_attempts "
                 "group by topic")  # fmt: skip
    assert tries and all(count == last == distinct for count, last, distinct in tries)
    orphans = "from spa_questions where question_id not in (select question_id from spa_attempts)"
    assert rows(tmp_path, orphans) == []
    assert write(tmp_path) == "done"
    assert content(tmp_path) == content(undisturbed)


def test_ctrl_c_finishes_what_is_in_flight_and_exits_with_130(tmp_path: Path) -> None:
    codes = []
    for process in started(tmp_path, per_topic=40):
        process.send_signal(signal.SIGINT)
        codes.append(process.wait())
    assert codes == [130]
    ends = rows(tmp_path, "select stage, end_reason from launches")
    assert ends == [("spa-generate", "drained")]
    finished = rows(tmp_path, "select count(*) % 8 from spa_attempts group by topic")
    assert {*finished} == {(0,)}, "tries that were made together were finished together"
    assert write(tmp_path, per_topic=40) == "done"
    assert rows(tmp_path, "select count(*) from spa_questions") == [(80,)]


def test_tries_are_bounded_and_what_is_short_is_said(tmp_path: Path) -> None:
    one = reply(["never", "often"])
    fields: dict[str, Any] = {
        "model": scripted(tmp_path, one, one.replace("home", "home, then"), "no"),
        "topics": ["corruption"], "per_topic": 4,
    }  # fmt: skip
    assert write(tmp_path, **fields) == "done"
    counts = Counter(o for (o,) in rows(tmp_path, "select outcome from spa_attempts"))
    assert counts.total() == 4 * 5 and counts["accepted"] == 1
    assert counts.keys() == {"accepted", "duplicate", "near-duplicate", "unreadable"}
    lines = summary(config(tmp_path, **fields))
    assert lines[0] == "1 questions on 1 topics, 4 wanted; 20 tries"
    assert lines[-2].startswith("corruption: 1 of 4 after 20 tries: ")
    assert all(f"{n} {name}" in lines[-2] for name, n in counts.items() if name != "accepted")
    assert "generation.attempts" in lines[-1]
    assert write(tmp_path, **fields) == "done"
    assert rows(tmp_path, "select count(*) from spa_attempts") == [(20,)]
    assert write(tmp_path, **fields, generation={"attempts": 6}) == "done"
    assert rows(tmp_path, "select count(*) from spa_attempts") == [(24,)]


def test_what_is_repeated_is_recorded_with_its_likeness(tmp_path: Path) -> None:
    first = "How often do you talk with your neighbours about the news from abroad?"
    replies = [first, first.upper(), first.replace("often", "rarely"), load_items()["Q113"].ask]
    model = scripted(tmp_path, *(reply(["never", "often"], ask) for ask in replies))
    generation = {"attempts": 2, "at_once": 1}
    write(tmp_path, model=model, topics=["corruption"], per_topic=2, generation=generation)
    query = "select outcome, duplicates, likeness, question_id from spa_attempts order by number"
    assert rows(tmp_path, query) == [
        ("accepted", None, None, "corruption:0001"),
        ("duplicate", "corruption:0001", 1.0, None),
        ("near-duplicate", "corruption:0001", 12 / 14, None),
        ("copy", "Q113", 1.0, None),
    ]


PARAPHRASE = "In your view, how many people in town authorities are mixed up in corruption?"


@pytest.mark.parametrize("held_out", [False, True])
def test_paraphrases_of_survey_items_are_flagged_and_may_be_held_out(
    tmp_path: Path, held_out: bool
) -> None:
    replies = [PARAPHRASE, "Would you report a colleague who takes presents?", "What is a bribe?"]
    model = scripted(tmp_path, *(reply(["never", "often"], ask) for ask in replies))
    fields: dict[str, Any] = {
        "model": model, "topics": ["corruption"], "per_topic": 2, "hold_out_paraphrases": held_out,
        "generation": {"at_once": 1},
    }  # fmt: skip
    assert write(tmp_path, **fields) == "done"
    stored = rows(tmp_path, "select paraphrases, likeness from spa_questions order by question_id")
    nearest = load_items()["Q113"]
    shared = set(words(PARAPHRASE)) & set(words(nearest.ask))
    union = set(words(PARAPHRASE)) | set(words(nearest.ask))
    assert stored[0] == ("Q113", len(shared) / len(union))
    assert stored[1][0] is None and 0 < stored[1][1] < 0.7
    assert len(stored) == (3 if held_out else 2)
    store = Store(tmp_path / "trial")
    kept = load_questions(store, hold_out=True)
    assert PARAPHRASE not in {question.ask for question in kept}
    assert len(load_questions(store)) == len(kept) + 1
    how = "held out" if held_out else "count as any other"
    assert any(how in line for line in summary(config(tmp_path, **fields)))


def test_of_the_same_question_on_two_topics_the_first_is_used(tmp_path: Path) -> None:
    model = scripted(tmp_path, reply(["never", "often"]))
    assert write(tmp_path, model=model, per_topic=1) == "done"
    assert rows(tmp_path, "select count(*) from spa_questions") == [(2,)]
    asks = [item.id for item in load_questions(Store(tmp_path / "trial"))]
    assert asks == ["migration:0001"]  # before security in the questionnaire
    lines = summary(config(tmp_path, model=model, per_topic=1))
    assert "1 questions repeat one of another topic word for word, and are not used" in lines


def test_options_left_out_are_counted(tmp_path: Path) -> None:
    model = scripted(tmp_path, reply(["never", "often", "No answer"]))
    fields: dict[str, Any] = {"model": model, "topics": ["corruption"], "per_topic": 1}
    assert write(tmp_path, **fields) == "done"
    assert rows(tmp_path, "select left_out from spa_attempts") == [(["No answer"],)]
    lines = summary(config(tmp_path, **fields))
    assert "1 questions have lost options that decline to answer" in lines
    assert rows(tmp_path, "select options from spa_questions") == [({1: "never", 2: "often"},)]


def test_calls_that_fail_are_recorded_and_count_in_their_launch_only(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"topics": ["corruption"], "per_topic": 2}
    slow = {"name": "fake", "options": {"latency_s": 30.0}}
    with pytest.raises(Incomplete, match="10 questions have no answer"):
        write(tmp_path, model=slow, timeout_s=0.01, **fields)
    query = "select outcome, count(*), count(question_id), max(number) from spa_attempts group by 1"
    assert rows(tmp_path, query) == [("timeout", 10, 0, 10)]
    assert write(tmp_path, **fields) == "done"
    assert rows(tmp_path, "select count(*), count(distinct number) from spa_attempts")[0][0] > 11
    assert len(load_questions(Store(tmp_path / "trial"))) == 2


def test_questions_that_were_there_before_are_shown_and_not_repeated(tmp_path: Path) -> None:
    given = config(tmp_path, topics=["corruption"], per_topic=3)
    (tmp_path / "trial").mkdir()
    store = Store(tmp_path / "trial")
    store.create()
    item = as_item("corruption:0007", "corruption", ASK, {1: "never", 2: "often"})
    row = question_row(item, None, 0.1, utc_now())
    store.append([Record({"spa_questions": [row]}, "imported")])
    assert generate(given, quiet=True) == "done"
    ids = [question.id for question in load_questions(store)]
    assert ids == ["corruption:0007", "corruption:0008", "corruption:0009"]
    assert all(
        "corruption:0007" in examples
        for (examples,) in rows(tmp_path, "select examples from spa_attempts where number <= 2")
    )


def test_other_settings_are_refused_and_fresh_starts_over(
    tmp_path: Path, undisturbed: Path
) -> None:
    assert write(tmp_path) == "done"
    with pytest.raises(UserError, match="seed: 0 -> 1"):
        write(tmp_path, seed=1)
    with pytest.raises(UserError, match="at_once"):
        write(tmp_path, generation={"at_once": 2})
    free: dict[str, Any] = {
        "cultures": ["DEU"], "collection": {"samples": 3}, "concurrency": 2, "timeout_s": 9,
        "hold_out_paraphrases": True, "model": {"name": "fake", "options": {"latency_s": 0.001}},
    }  # fmt: skip
    assert write(tmp_path, **free) == "done"
    assert generate(config(tmp_path), fresh=True, quiet=True) == "done"
    assert (tmp_path / "trial.old-1/log.duckdb").exists()
    assert content(tmp_path) == content(undisturbed)


# The command and its configuration


def invoke(tmp_path: Path, *arguments: str, **fields: Any) -> tuple[int, str]:
    path = tmp_path / "trial.yaml"
    data = {"out": str(tmp_path), "per_topic": 2, "topics": ["corruption"]} | fields
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    done = CliRunner().invoke(spa_app, ["generate", str(path), *arguments])
    if isinstance(done.exception, UserError):
        return 1, str(done.exception)
    return done.exit_code, done.output


def test_the_command_writes_questions_and_says_what_came_of_it(tmp_path: Path) -> None:
    code, text = invoke(tmp_path, "--model", "fake", "--quiet", "-o", "per_topic=3")
    assert code == 0
    assert "3 questions on 1 topics, 3 wanted" in text and "trial: there is nothing more" in text
    assert rows(tmp_path, "select count(*) from spa_questions") == [(3,)]


def test_a_dry_run_writes_nothing_and_counts_what_is_missing(tmp_path: Path) -> None:
    code, text = invoke(tmp_path, "--model", "fake", "--dry-run")
    assert code == 0 and "2 are missing; fake is asked 10 times at most" in text
    assert not (tmp_path / "trial").exists()
    invoke(tmp_path, "--model", "fake", "--quiet")
    before = (tmp_path / "trial/log.duckdb").read_bytes()
    lines = forecast(config(tmp_path, topics=["corruption"], per_topic=3))
    assert lines[0] == "1 topics, 3 questions wanted on each" and "1 are missing" in lines[1]
    assert (tmp_path / "trial/log.duckdb").read_bytes() == before


@pytest.mark.parametrize(
    ("fields", "words_"),
    [
        ({"topics": ["corruption", "tea"]}, "unknown topic 'tea'; known: corruption"),
        ({"cultures": ["DEU", "XXX"]}, "unknown culture 'XXX'; known: AUS"),
        ({"topics": []}, "topics"),
        ({"cultures": ["DEU", "DEU"]}, "'DEU' is named twice"),
        ({"per_topic": 0}, "per_topic"),
        ({"generation": {"duplicate": 1.5}}, "generation.duplicate"),
        ({"generation": {"shots": 2}}, "generation.shots"),
        ({"model": {"name": "gpt"}}, "gpt"),
    ],
)
def test_a_faulty_configuration_is_one_clear_line(
    tmp_path: Path, fields: dict[str, Any], words_: str
) -> None:
    code, text = invoke(tmp_path, "--quiet", **fields)
    assert code == 1 and words_ in text and "\n" not in text


def test_the_published_settings_are_the_defaults() -> None:
    chosen = SpaConfig(name="published")
    assert len(chosen.topics) == 13 and len(chosen.cultures) == 18 and chosen.per_topic == 1000
    made = chosen.generation
    assert (made.seeds, made.generated) == (3, 2)
    sampling = chosen.sampling(1)
    assert (sampling.temperature, sampling.top_p, sampling.max_tokens) == (0.9, 0.95, 256)
    assert chosen.form == "script" and chosen.model.name == "llama:embedded"


def test_the_configurations_in_the_docs_are_valid(tmp_path: Path) -> None:
    text = (ROOT / "docs/culturespa.md").read_text(encoding="utf-8")
    for block in re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        path = tmp_path / "docs.yaml"
        path.write_text(block, encoding="utf-8")
        load_spa_config(path)


def test_the_docs_list_every_fault() -> None:
    text = (ROOT / "docs/culturespa.md").read_text(encoding="utf-8")
    source = "".join(
        (ROOT / "training/culturespa" / name).read_text(encoding="utf-8")
        for name in ("question.py", "option.py")
    )
    named = {*re.findall(r'Unfit\("([a-z-]+)"\)', source), "copy", "duplicate", "near-duplicate"}
    assert len(named) > 12
    assert [fault for fault in sorted(named) if f"`{fault}`" not in text] == []


def test_the_commands_bring_nothing_heavy() -> None:
    code = (
        "import sys, folkways.cli.culturespa; heavy = {'torch', 'transformers', 'numpy', 'scipy', "
        "'vllm', 'duckdb'} & set(sys.modules); print(heavy); sys.exit(bool(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout
