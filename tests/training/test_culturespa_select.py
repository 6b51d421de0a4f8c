"""From written questions to a corpus: both sides are asked alike, and what is selected adds up."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import duckdb
import pytest
from spa_answers import LIKES, NOW, configure, rows, write
from survey_models import ASKED, TRIES, run_command
from typer.testing import CliRunner

from folkways.cli.culturespa import spa_app
from folkways.errors import UserError
from simulation.execution.executor import Incomplete
from simulation.store.reader import open_reader
from simulation.store.record import Record
from simulation.store.writer import Store
from training.corpus.card import read_front_matter
from training.culturespa.card import Contents
from training.culturespa.collect import collect, forecast
from training.culturespa.config import SpaConfig
from training.culturespa.corpus import Source, export_selection, find_source
from training.culturespa.select import METHODS, SelectConfig, Selection
from training.finetune.config import parse_train_config
from training.finetune.rows import plan_jobs, read_corpus

DOCS = (Path(__file__).parents[2] / "docs/culturespa.md").read_text(encoding="utf-8")
SIZES = (2, 3, 4, 5, 4, 3, 4, 5, 11, 4)
ORDERS = sum(min(4, size) for size in SIZES)
"""Prompts to ask the questions of one topic of these sizes."""
BOTH: dict[str, Any] = {
    "model": {"name": "fake"}, "collection": {"readouts": ["logprobs", "text"], "samples": 3},
}  # fmt: skip
REPLIES = "* exclude (latency_s, asked_at)"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Models remember nothing of other tests."""
    yield
    for kept in (ASKED, TRIES, LIKES):
        kept.clear()


def asked(out: Path, sizes: Sequence[int] = SIZES, **fields: Any) -> SpaConfig:
    """Write questions on two topics, have them answered, and return the configuration."""
    config = configure(out, **fields)
    for topic in config.topics:
        write(config, topic, sizes)
    assert collect(config, quiet=True) == "done"
    return config


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> SpaConfig:
    """A run with answers of both kinds, not to be written."""
    return asked(tmp_path_factory.mktemp("collected"), **BOTH)


def copied(config: SpaConfig, out: Path) -> SpaConfig:
    """Return a copy of a run, to be written."""
    shutil.copytree(config.run, out / config.name)
    return config.model_copy(update={"out": str(out)})


def select(config: SpaConfig, folder: Path, **wanted: Any) -> tuple[Selection, Contents]:
    source = Source(Path("trial.yaml"), (), config.run, config)
    return export_selection(source, folder, SelectConfig.model_validate(wanted), NOW)


def refusal(config: SpaConfig, folder: Path, **wanted: Any) -> str:
    """Return the one line with which a selection is refused; the folder is not there then."""
    with pytest.raises(UserError) as caught:
        select(config, folder, **wanted)
    assert "\n" not in str(caught.value) and not folder.exists()
    return str(caught.value)


def chosen(selection: Selection) -> list[tuple[str, str, int | None]]:
    return [(pair.question, pair.country, pair.aware) for pair in selection.chosen]


def anew(config: SpaConfig) -> int:
    """Collect and return how many questions were put to the model."""
    before = len(ASKED)
    assert collect(config, quiet=True) == "done"
    return len(ASKED) - before


def test_both_sides_are_asked_alike_but_for_the_system_message(tmp_path: Path) -> None:
    config = asked(tmp_path, collection={"readouts": ["logprobs", "text"]})
    assert len(ASKED) == 2 * 4 * 2 * ORDERS
    users = defaultdict[str, Counter[str]](Counter)
    for system, user, _ in ASKED:
        users[system][user] += 1
    assert len(users) == 4 and len({tuple(sorted(each.items())) for each in users.values()}) == 1
    (unaware,) = [system for system in users if "person with your own" in system]
    for country in ("Germany", "China", "New Zealand"):
        (aware,) = [system for system in users if f"from {country}" in system]
        assert aware.split("\n")[1:] == unaware.split("\n")[1:]
    shown = rows(
        config, "select item_id, arrangement, count(distinct shown), count(distinct country) "
        "from survey_replies group by all"
    )  # fmt: skip
    assert len(shown) == 2 * ORDERS and {each[2:] for each in shown} == {(1, 4)}
    stages = rows(config, "select stage, end_reason from launches")
    assert stages == [("spa-collect", "done")]


def test_an_interrupted_collection_goes_on_and_comes_to_the_same(tmp_path: Path) -> None:
    whole = asked(tmp_path / "whole", **BOTH)
    config = configure(tmp_path / "parts", **BOTH, budget={"tokens": 40_000}, concurrency=2)
    for topic in config.topics:
        write(config, topic, SIZES)
    ends = []
    while "done" not in ends:
        assert len(ends) < 9
        ends.append(collect(config, quiet=True))
    assert len(ends) > 2 and set(ends) == {"budget-tokens", "done"}
    for table, columns in (("survey_replies", REPLIES), ("spa_pairs", "*")):
        query = f"select {columns} from {table} order by all"
        assert rows(config, query) == rows(whole, query) != []


def stored(config: SpaConfig) -> int:
    """Return the number of answers stored, in the run's store or beside it."""
    with suppress(UserError), open_reader(config.run) as con:
        return int(con.execute("select count(*) from survey_replies").fetchall()[0][0])
    return 0


@pytest.mark.slow
def test_ctrl_c_and_kill_9_lose_no_answer_and_ask_none_twice(tmp_path: Path) -> None:
    both: dict[str, Any] = {"collection": {"readouts": ["logprobs", "text"]}, "concurrency": 2}
    whole, config = asked(tmp_path / "whole", **both), configure(tmp_path / "killed", **both)
    for topic in config.topics:
        write(config, topic, SIZES)
    path, errors, before = tmp_path / "trial.json", tmp_path / "errors", 0
    path.write_text(json.dumps(config.model_dump(mode="json")), encoding="utf-8")
    context = get_context("forkserver")
    context.set_forkserver_preload(["survey_models", "training.culturespa.collect"])
    for number in (signal.SIGKILL, signal.SIGINT, signal.SIGKILL):
        process = context.Process(
            target=run_command, args=(errors, "spa", "collect", str(path), "--quiet")
        )
        process.start()
        while stored(config) <= before:
            assert process.is_alive(), errors.read_text(encoding="utf-8")
            process.join(0.02)
        assert process.pid is not None
        with suppress(ProcessLookupError):  # it may have finished since
            os.kill(process.pid, number)
        process.join(60)
        assert process.exitcode == (130 if number == signal.SIGINT else -number)
        assert "Traceback" not in errors.read_text(encoding="utf-8")
        assert stored(config) >= before, "what was stored is still there"
        before = stored(config)
    assert 0 < before < stored(whole), "each was interrupted at work"
    ASKED.clear()
    assert anew(config) == stored(whole) - before
    for table, columns in (("survey_replies", REPLIES), ("spa_pairs", "*")):
        query = f"select {columns} from {table} order by all"
        assert rows(config, query) == rows(whole, query) != []


def test_half_collected_answers_are_no_pairs_yet(tmp_path: Path) -> None:
    config = configure(tmp_path, budget={"tokens": 3_000}, concurrency=1)
    for topic in config.topics:
        write(config, topic, SIZES)
    assert collect(config, quiet=True) == "budget-tokens"
    line = "no answers for a culture are collected with these settings; `folkways spa collect`"
    assert line in refusal(config, tmp_path / "early")
    more = configure(tmp_path, budget={"tokens": 8_000}, concurrency=1)
    assert collect(more, quiet=True) == "budget-tokens"
    selection, _ = select(config, tmp_path / "half", method="rds")
    assert 0 < len(selection.asked) < 2 * len(SIZES) * 3
    counts = rows(
        config, "select distinct item_id, country, count(*) over (partition by item_id, country) "
        "from survey_replies"
    )  # fmt: skip
    full = {(item, country): n for item, country, n in counts}
    for pair in selection.asked:
        assert full[pair.question, "*"] == full[pair.question, pair.country]


def test_what_is_added_later_is_asked_beside_what_was_answered(tmp_path: Path) -> None:
    config = asked(tmp_path, cultures=["DEU"])
    assert anew(config) == 0
    assert anew(configure(tmp_path, cultures=["DEU", "CHN"])) == 2 * ORDERS
    write(config, "corruption", SIZES, first=11)
    assert anew(config) == 2 * ORDERS, "of one topic, without a culture and for Germany"
    assert anew(configure(tmp_path, cultures=["DEU"], per_topic=15)) == 0
    narrow = configure(tmp_path, topics=["security"])
    assert anew(narrow) == ORDERS, "New Zealand's answers on security, though others have more"
    assert anew(configure(tmp_path, topics=["corruption"], per_topic=1)) == 2
    once = configure(tmp_path, cultures=["DEU"], collection={"orders": "forward"})
    assert anew(once) == 2 * (20 + 10), "answers in another order are answers of another kind"
    assert rows(config, "select count(distinct aware_id) from spa_pairs") == [(2,)]


def test_failed_calls_are_asked_again(tmp_path: Path) -> None:
    config = configure(tmp_path, model={"name": "survey_models:flaky"}, timeout_s=0.3)
    write(config, "corruption", SIZES)
    with pytest.raises(Incomplete, match="have no answer because calls failed"):
        collect(config, quiet=True)
    failed = "select count(*) from survey_replies where problem in ('timeout', 'server-error')"
    ((missing,),) = rows(config, failed)
    assert 0 < missing == anew(config) and anew(config) == 0


def test_the_views_agree_with_a_count_by_hand(collected: SpaConfig, tmp_path: Path) -> None:
    both = {"readouts": ["logprobs", "text"]}
    single = {"collection": both | {"orders": "forward"}}
    told = Counter[tuple[bool, bool | None, bool]]()
    for config in (collected, asked(tmp_path, collection=both), asked(tmp_path / "once", **single)):
        told += checked_by_hand(config)
    assert len(told) == 6 and min(told.values()) > 5, "whatever there is, there is some of it"


def checked_by_hand(config: SpaConfig) -> Counter[tuple[bool, bool | None, bool]]:
    """Compare all pairs with a count by hand; return how many are answered, different and of known
    noise."""
    pairs = rows(
        config, "select unaware_id, aware_id, reading, question_id, country, unaware_code, "
        "aware_code, unaware_valid, aware_valid, answered, differ, tv, js, noise from spa_pairs"
    )  # fmt: skip
    assert len(pairs) == 3 * 2 * len(SIZES) * 3
    replies = by_side(config)
    told = Counter[tuple[bool, bool | None, bool]]()
    for unaware, aware, reading, question, country, *found in pairs:
        sides = (unaware, "*"), (aware, country)
        expected = by_hand(*(replies[id_, reading, question, where] for id_, where in sides))
        assert found == [pytest.approx(value, abs=1e-6) for value in expected]
        told[found[4], found[5], found[8] is not None] += 1
    return told


Reply = dict[int, float] | None


def by_side(config: SpaConfig) -> dict[tuple[str, str, str, str], list[Reply]]:
    """Return each side's replies as shares by code, None where there is no answer."""
    found = defaultdict[tuple[str, str, str, str], list[Reply]](list)
    query = ("select condition_id, item_id, country, shown, probabilities, strict, lenient "
             "from survey_replies")  # fmt: skip
    for condition, item, country, shown, chances, strict, lenient in rows(config, query):
        if chances is not None:
            mass = sum(chances)
            shares = {code: p / mass for code, p in zip(shown, chances, strict=True) if mass}
            found[condition, "logprobs", item, country].append(shares or None)
            continue
        for reading, code in (("text-strict", strict), ("text-lenient", lenient)):
            found[condition, reading, item, country].append(code and {code: 1.0})
    return found


def by_hand(one: list[Reply], other: list[Reply]) -> list[Any]:
    """Return what a pair should be."""
    sides = [[reply for reply in replies if reply] for replies in (one, other)]
    valid = [len(side) / len(one) for side in sides]
    codes = sorted({code for side in sides for reply in side for code in reply})
    means = [
        {code: sum(reply.get(code, 0) for reply in side) / max(len(side), 1) for code in codes}
        for side in sides
    ]
    modes = [
        [code for code in codes if 0 < round(mean[code], 9) == round(max(mean.values()), 9)]
        for mean in means
    ]
    answered = min(valid) >= 0.5
    first = [mode[0] if mode else None for mode in modes]
    noise = None
    if len(sides[0]) > 1:
        n = len(sides[0])
        deviations = [
            sum((reply.get(code, 0) - means[0][code]) ** 2 for reply in sides[0]) / (n - 1)
            for code in codes
        ]
        noise = sum(math.sqrt(each / (math.pi * n)) for each in deviations)
    if not answered:
        return [*first, *valid, False, None, None, None, noise]
    left, right = ([mean[code] for code in codes] for mean in means)
    tv = sum(abs(p - q) for p, q in zip(left, right, strict=True)) / 2
    middle = [(p + q) / 2 for p, q in zip(left, right, strict=True)]
    parts = [*zip(left, middle, strict=True), *zip(right, middle, strict=True)]
    js = math.sqrt(max(0, sum(p * math.log2(p / m) for p, m in parts if p) / 2))
    return [*first, *valid, True, not set(modes[0]) & set(modes[1]), tv, js, noise]


def test_an_answer_that_is_tied_with_the_other_side_does_not_differ(tmp_path: Path) -> None:
    config = configure(tmp_path, model={"name": "spa_answers:told"}, cultures=["DEU"])
    write(config, "corruption", (3, 3, 3))
    tables: list[tuple[dict[str, float], dict[str, float]]] = [
        ({"a": 0.5, "b": 0.5}, {"b": 0.6, "c": 0.4}),
        ({"a": 0.5, "b": 0.5}, {"c": 1.0}),
        ({"a": 0.6, "b": 0.4}, {"a": 0.6, "b": 0.4}),
    ]
    for number, sides in enumerate(tables, 1):
        for place, table in zip(("", "Germany"), sides, strict=True):
            likes = {f"{letter} of {number}": chance for letter, chance in table.items()}
            LIKES[place, f"What about corruption in street {number}?"] = likes
    assert collect(config, quiet=True) == "done"
    found = rows(config, "select unaware_code, aware_code, differ, tv, js, noise from spa_pairs "
                 "order by question_id")  # fmt: skip
    assert found == [
        (1, 2, False, 0.5, pytest.approx(math.sqrt(0.453283), abs=1e-6), 0.0),
        (1, 3, True, 1.0, 1.0, 0.0),
        (1, 1, False, 0.0, 0.0, 0.0),
    ]


def test_methods_take_what_they_say_and_sizes_are_equal(
    collected: SpaConfig, tmp_path: Path
) -> None:
    config = copied(collected, tmp_path)
    whole = {
        name: select(config, tmp_path / name, method=name, reading="text-lenient")[0]
        for name in METHODS
    }
    sets = {name: set(chosen(selection)) for name, selection in whole.items()}
    assert sets["crqpc"] | sets["cds"] == sets["rds"] and not sets["crqpc"] & sets["cds"]
    assert all(pair.unaware != pair.aware for pair in whole["crqpc"].chosen)
    beyond = [pair.tv - pair.noise for pair in whole["divergence"].chosen]  # type: ignore[operator]
    assert beyond == sorted(beyond, reverse=True) and beyond[-1] > 0
    strict = select(config, tmp_path / "strict", method="divergence", reading="text-lenient",
                    threshold=0.3)[0]  # fmt: skip
    assert chosen(strict) == chosen(whole["divergence"])[: sum(one > 0.3 for one in beyond)]
    for name in METHODS:
        sized = [
            select(config, tmp_path / f"{name}{size}", method=name, reading="text-lenient",
                   size=size)[0]
            for size in (4, 9)
        ]  # fmt: skip
        assert [len(selection.chosen) for selection in sized] == [4, 9]
        larger = chosen(sized[1])
        assert larger == chosen(whole[name])[:9] and chosen(sized[0]) == larger[:4]
        each, _ = select(config, tmp_path / f"{name}-each", method=name, per_culture=3)
        assert Counter(country for _, country, _ in chosen(each)) == {"DEU": 3, "CHN": 3, "NZL": 3}


def test_a_selection_is_the_same_again_and_stored_once(
    collected: SpaConfig, tmp_path: Path
) -> None:
    config = copied(collected, tmp_path)
    first, contents = select(config, tmp_path / "first", size=12, seed=3)
    again, same = select(config, tmp_path / "again", size=12, seed=3)
    assert (first.id, contents) == (again.id, same) and chosen(first) == chosen(again)
    assert rows(config, "select selection_id, count(*) from spa_selections group by 1") == [
        (first.id, 12)
    ]
    for name in ("train.jsonl", "README.md"):
        texts = [(tmp_path / folder / name).read_text("utf-8") for folder in ("first", "again")]
        assert texts[0] == texts[1].replace("/again ", "/first ")
    other, _ = select(config, tmp_path / "other", size=12, seed=4)
    assert other.id != first.id and chosen(other) != chosen(first)
    ranks = rows(
        config, "select question_id, country, aware from spa_selections where selection_id = ? "
        "order by rank", other.id
    )  # fmt: skip
    assert ranks == chosen(other)


def test_the_funnel_adds_up(collected: SpaConfig, tmp_path: Path) -> None:
    config = copied(collected, tmp_path)
    assert rows(config, "select distinct selection_id, selected from spa_funnel") == [(None, None)]
    for name in ("crqpc", "rds"):
        select(config, tmp_path / name, method=name, reading="text-strict", cultures=("DEU", "NZL"))
    counts = rows(
        config, "select topic, country, asked, answered, different, method, selected "
        "from spa_funnel where reading = 'text-strict'"
    )  # fmt: skip
    assert len(counts) == 2 * 3 * 2
    for _, country, whole, answered, different, method, selected in counts:
        assert whole == len(SIZES) >= answered >= different > 0
        wanted = {"crqpc": different, "rds": answered}[method]
        assert selected == (0 if country == "CHN" else wanted)
    others = "select distinct selection_id from spa_funnel where reading <> 'text-strict'"
    assert rows(config, others) == [(None,)]


@pytest.mark.parametrize("query", re.findall(r"```sql\n(.*?)```", DOCS, re.DOTALL))
def test_the_queries_in_the_docs_run(collected: SpaConfig, query: str) -> None:
    found = rows(collected, query)
    assert found or "spa_attempts" in query or "spa_outcomes" in query


def test_a_corpus_is_what_was_asked_and_the_number_of_the_label(
    collected: SpaConfig, tmp_path: Path
) -> None:
    config = asked(tmp_path, collection={"orders": "forward"})
    prompts = {(system, user) for system, user, _ in ASKED}
    selection, contents = select(config, tmp_path / "corpus")
    corpus = read_corpus(tmp_path / "corpus")
    assert corpus.card_hash == contents.hash and not corpus.validation
    assert len(corpus.train) == contents.rows == len(selection.chosen) > 10
    for row, pair in zip(corpus.train, selection.chosen, strict=True):
        system, user, assistant = row.messages
        assert (system["content"], user["content"]) in prompts, "word for word"
        assert row.culture == pair.country and row.task == "culturespa"
        assert assistant["content"] == str(pair.aware)
        options = user["content"].split("\n")[1:-1]
        assert options[int(assistant["content"]) - 1].startswith(f"{assistant['content']}. ")
    lines = (tmp_path / "corpus/train.jsonl").read_text(encoding="utf-8").splitlines()
    meta = ("task", "question_id", "topic", "culture_id", "language", "model", "answer")
    assert {tuple(json.loads(line)) for line in lines} == {("messages", "id", *meta)}
    for by in ({}, {"cultures": ["DEU"]}):
        jobs, _ = plan_jobs(
            parse_train_config({"name": "a", "corpus": "corpus", **by}, "here"), corpus
        )
        assert sum(len(job.train) for job in jobs) > 0
    known = read_front_matter(tmp_path / "corpus")
    assert known["hash"] == contents.hash and known["rows"] == {"train": contents.rows}
    assert known["cultures"] == ["CHN", "DEU", "NZL"] and known["method"] == "crqpc"
    card = (tmp_path / "corpus/README.md").read_text(encoding="utf-8")
    assert "shown in this order alone" in card and contents.imbalance() in card
    assert "| corruption | 30 |" in card and "stereotype" in card


def test_paraphrases_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    config = configure(tmp_path, hold_out_paraphrases=True)
    write(config, "corruption", SIZES)
    write(config, "security", SIZES, paraphrases="Q131")
    assert anew(config) == 4 * ORDERS, "what is held out is not asked"
    open_ = configure(tmp_path)
    assert anew(open_) == 4 * ORDERS
    kept, _ = select(config, tmp_path / "kept", method="rds", paraphrases=False)
    assert {pair.topic for pair in kept.chosen} == {"corruption"} and kept.held_out == 30
    told = (tmp_path / "kept/README.md").read_text(encoding="utf-8")
    assert "30 pairs were left out because" in told
    mixed, _ = select(config, tmp_path / "mixed", method="rds", paraphrases=True)
    assert {pair.topic for pair in mixed.chosen} == {"corruption", "security"}
    assert "relatives of its test" in (tmp_path / "mixed/README.md").read_text(encoding="utf-8")


def test_a_model_that_always_says_the_same_gives_no_selection(tmp_path: Path) -> None:
    settings = {"model": {"name": "survey_models:first"}, "collection": {"orders": "forward"}}
    config = asked(tmp_path, **settings)
    empty = "crqpc selects nothing: of 60 pairs of a question and a culture 60 are answered on"
    line = refusal(config, tmp_path / "corpus")
    assert line.startswith(empty) and line.endswith(
        "on both sides, 0 of them differently; every answer is option 1, whatever is asked"
    )
    assert rows(config, "from spa_selections") == []
    selection, contents = select(config, tmp_path / "control", method="cds")
    assert len(selection.chosen) == 60
    assert contents.imbalance() == (
        "60 of 60 labels (100%) are 1; 20 of 20 questions have one label for all cultures"
    )
    shuffled = asked(tmp_path / "shuffled", model={"name": "survey_models:first"})
    assert refusal(shuffled, tmp_path / "no").startswith(empty)


def test_a_model_that_refuses_gives_no_selection(tmp_path: Path) -> None:
    config = asked(tmp_path, model={"name": "survey_models:refusing"})
    for name in METHODS:
        assert "60 pairs of a question and a culture 0 are answered" in refusal(
            config, tmp_path / "corpus", method=name
        )


def test_digits_in_a_refusal_are_no_answer(tmp_path: Path) -> None:
    replies = [
        "I cannot answer that. Please call 1-800-555-0100.", "As of 2026 I have no opinion.",
        "I'd give it a 2.5.", "Between 1 and 3.", "12", "0",
    ]  # fmt: skip
    script = tmp_path / "script.yaml"
    script.write_text(json.dumps({"rules": [{"replies": replies}]}), encoding="utf-8")
    config = asked(tmp_path, model={"name": f"fake:{script}"}, collection={"readouts": ["text"]})
    found = rows(
        config, "select strict, lenient, count(distinct reply) from survey_replies group by all"
    )
    assert found == [(None, None, len(replies))]
    line = refusal(config, tmp_path / "corpus", method="rds", reading="text-lenient")
    assert "0 are answered on both sides, 0 of them differently" in line


def test_divergence_needs_to_know_the_noise(tmp_path: Path) -> None:
    config = asked(tmp_path, collection={"orders": "forward"})
    line = refusal(config, tmp_path / "corpus", method="divergence")
    assert "collection.orders to balanced, or collection.samples to 2 or more" in line


def test_what_cannot_be_selected_is_refused_in_one_line(
    collected: SpaConfig, tmp_path: Path
) -> None:
    config = copied(collected, tmp_path)
    folder = tmp_path / "corpus"
    for wanted, words in (
        ({"cultures": ("ATL",)}, "no question was asked for the culture 'ATL'; there are answers "
         "for CHN, DEU, NZL"),
        ({"reading": "aloud"}, "unknown reading 'aloud'; known: logprobs, text-lenient, text-str"),
        ({"size": 500}, " pairs, fewer than --size 500; take a smaller one"),
        ({"per_culture": 21}, "fewer than 21 pairs for some cultures: CHN "),
        ({"size": 5, "per_culture": 2}, "--size or --per-culture, not both"),
    ):  # fmt: skip
        assert words in refusal(config, folder, **wanted)
    other = config.model_copy(update={"seed": 1, "cultures": ("USA",)})
    assert "no question is answered on both sides for USA yet" in refusal(other, folder)
    tuned = configure(tmp_path, model={"name": "survey_models:careful"})
    assert "no answers for a culture are collected with these settings" in refusal(tuned, folder)
    only = asked(tmp_path / "text", **(BOTH | {"collection": {"readouts": ["text"]}}))
    line = "no answers to be read as 'logprobs', only as text-strict, text-lenient"
    assert line in refusal(only, folder, reading="logprobs")
    assert select(only, tmp_path / "default")[0].answers.reading == "text-strict"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="not an empty folder"):
        select(config, folder)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


def test_what_cannot_be_collected_is_refused_in_one_line(tmp_path: Path) -> None:
    config = configure(tmp_path)
    for step in (collect, forecast):
        with pytest.raises(
            UserError, match="trial has no questions on corruption, security to be ans"
        ):
            step(config)
    assert not config.run.exists()
    write(config, "corruption", SIZES)
    with pytest.raises(UserError, match="trial has no questions on security to be answered"):
        collect(configure(tmp_path, topics=["security"]))
    with pytest.raises(UserError, match="collection: 3 samples at temperature 0 are all alike"):
        collect(configure(tmp_path, collection={"samples": 3, "temperature": 0}))
    with pytest.raises(UserError, match="made with another configuration"):
        collect(configure(tmp_path, model={"name": "fake"}))
    assert ASKED == [] and rows(config, "from survey_replies") == []
    assert anew(config) == 4 * ORDERS
    with duckdb.connect(str(config.run / "log.duckdb")) as con:
        con.execute("update spa_questions set ask = 'And the town hall?' where "
                    "question_id = 'corruption:0002'")  # fmt: skip
    with pytest.raises(UserError, match="corruption:0002 was worded otherwise when answers were"):
        collect(config)


def test_a_run_given_by_its_folder_has_to_be_of_one_kind(tmp_path: Path) -> None:
    config = asked(tmp_path)
    source = find_source(config.run)
    assert source == find_source(config.run / "log.duckdb")._replace(path=config.run)
    selection, _ = export_selection(source, tmp_path / "one", SelectConfig(), NOW)
    same, _ = select(config, tmp_path / "two")
    assert selection.id == same.id
    collect(configure(tmp_path, collection={"orders": "forward"}), quiet=True)
    with pytest.raises(UserError, match="answers were collected in 2 ways: survey_models:careful"):
        export_selection(source, tmp_path / "three", SelectConfig(), NOW)
    with pytest.raises(UserError, match="is a run; values are overridden in a configuration"):
        find_source(config.run, ["seed=1"])


def test_the_commands_say_what_they_did(tmp_path: Path) -> None:
    path = tmp_path / "trial.yaml"
    path.write_text(json.dumps({"out": str(tmp_path), "topics": ["corruption"], "per_topic": 8,
                                "cultures": ["DEU", "KEN"]}), encoding="utf-8")  # fmt: skip

    def run(*words: str) -> list[str]:
        done = CliRunner().invoke(spa_app, [*words, "--model", "fake"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout.splitlines()

    run("generate", str(path), "--quiet")
    assert run("collect", str(path), "--dry-run")[0] == "8 questions for 2 cultures"
    assert run("collect", str(path), "--quiet")[-1].endswith("there is nothing more to do")
    corpus = tmp_path / "corpus"
    said = run("select", str(path), str(corpus), "--method", "rds", "--per-culture", "5",
               "--cultures", "DEU,KEN", "--seed", "2")  # fmt: skip
    assert said[0].startswith("of 16 pairs of a question and a culture 16 are answered on both")
    assert said[-1].startswith(f"{corpus}: 10 rows, corpus ")
    assert len(read_corpus(corpus).train) == 10
    before = {file.name: file.stat().st_mtime_ns for file in corpus.iterdir()}
    said[-1] = said[-1].replace(": ", ": done already, ", 1)
    assert said == run("select", str(path), str(corpus), "--method", "rds", "--per-culture", "5",
                       "--cultures", "DEU,KEN", "--seed", "2")  # fmt: skip
    assert before == {file.name: file.stat().st_mtime_ns for file in corpus.iterdir()}
    card = (corpus / "README.md").read_text(encoding="utf-8")
    again = card.split("```sh\n")[1].split("\n```")[0]
    assert again == (
        f"folkways spa select {path} {corpus} --method rds --reading logprobs --per-culture 5 "
        "--cultures DEU,KEN --seed 2 -o 'model={name: \"fake\"}' --paraphrases"
    )


def test_a_store_of_other_answers_is_left_alone(tmp_path: Path) -> None:
    config = asked(tmp_path)
    row = {"condition_id": "eval", "model": "survey_models:careful",
           "engine": "survey_models:careful", "method": "culture", "leaks": False, "style": None,
           "language": "en", "readout": "logprobs", "options": "{}", "wording": "w"}  # fmt: skip
    before = rows(config, "from spa_pairs order by all")
    store = Store(config.run)
    conditions = [row, row | {"condition_id": "eval*", "method": "unaware"}]
    store.append([Record({"survey_conditions": conditions}, "asked")])
    assert rows(config, "from spa_pairs order by all") == before
    assert len(rows(config, "from spa_conditions")) == 1
    selection, _ = export_selection(find_source(config.run), tmp_path / "one", SelectConfig(), NOW)
    assert selection.answers.aware_id != "eval"
