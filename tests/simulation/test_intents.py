"""A labeller is tested on turns whose intent is plain, and told how often it is right."""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from commands import command
from review_runs import ALPHA, REPLIES
from scenes import text_of

from agents.critics.labeller import load_taxonomy
from simulation.review.calibrate import calibrate
from simulation.review.intents import (
    TAXONOMY,
    Measure,
    cohen_kappa,
    labeller_measures,
    load_plain_turns,
)
from simulation.review.task import Bounds
from simulation.review_settings import LabelConfig
from simulation.store.reader import open_reader


@pytest.fixture(autouse=True)
def no_replies() -> Iterator[None]:
    yield
    REPLIES.clear()


def knowing(relevance: str | None = None) -> Any:
    """Return a labeller that knows every turn of the set; with `relevance` it always says that."""
    cases, gold = load_plain_turns()
    plain = {
        text: gold[case.id, number]
        for case in cases
        for number, (_, text) in enumerate(case.turns, start=1)
    }

    def reply(prompt: Any, sampling: Any, schema: Any) -> str:
        text = text_of(prompt)
        if "category" in schema["properties"]:
            return json.dumps(
                {"category": text.partition("Wants what they call ")[2].split(",")[0]}
            )
        last = max(plain, key=text.rfind)
        told = relevance or plain[last].relevance
        return json.dumps({
            "intent": f"Wants what they call {plain[last].category}, no more than that.",
            "relevance": told,
            "expectation": "They were brought up to it." if told == "cultural" else None,
        })  # fmt: skip

    return reply


def measured(folder: Path, reply: Any) -> dict[str, Measure]:
    REPLIES["alpha"] = reply
    run, reason = calibrate(ALPHA, LabelConfig(), folder, Bounds(8, None, False), True)
    assert reason == "done"
    with closing(open_reader(run)) as con:
        return {one.name: one for one in labeller_measures(con)}


def test_the_set_has_what_the_report_needs():
    cases, gold = load_plain_turns()
    assert len(gold) >= 60 and len({case.culture for case in cases}) == 5
    known = {category.id for category in load_taxonomy(TAXONOMY).categories}
    assert {one.category for one in gold.values()} == known
    assert Counter(one.relevance for one in gold.values())["cultural"] >= 20
    texts = [text for case in cases for _, text in case.turns]
    assert len(set(texts)) == len(texts) == len(gold)


def test_a_labeller_that_is_always_right_is_told_to_be(tmp_path):
    found = measured(tmp_path, knowing())
    total = len(load_plain_turns()[1])
    assert {(one.turns, one.right) for one in found.values()} == {(total, total), (22, 22)}
    assert found["generic or cultural"].kappa == found["what it is after"].kappa == 1


def test_one_that_always_says_the_same_is_no_better_than_chance(tmp_path):
    found = measured(tmp_path, knowing("generic"))
    relevance = found["generic or cultural"]
    assert (relevance.right, relevance.kappa) == (46, 0)
    assert relevance.baseline == 46 / 68
    assert found["cultural ones found"][1:3] == (22, 0)
    assert found["called cultural rightly"].turns == 0
    assert found["what it is after"].kappa == 1


def test_turns_without_a_label_are_wrong(tmp_path):
    found = measured(tmp_path, lambda *_: "Well, it depends.")
    assert {one.right for one in found.values()} == {0}


def test_the_command_prints_and_goes_on(tmp_path, capsys):
    REPLIES["alpha"] = knowing()
    arguments = ("critics", "calibrate", "--labeller", "--model", ALPHA, "--quiet")
    for _ in range(2):
        assert command(*arguments, "--out", tmp_path) == 0
        told = capsys.readouterr().out
        assert "generic or cultural" in told and "kappa" in told and "0.95 to 1.00" in told
        REPLIES["alpha"] = "nothing is asked any more"


def test_cohens_kappa_is_the_published_one():
    """Cohen (1960) subtracts what two raters agree on by chance: of 50, 35 alike, 26 by chance."""
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert cohen_kappa(pairs) == pytest.approx(0.4)
    assert cohen_kappa([("y", "n"), ("n", "y")]) == -1
    assert cohen_kappa([("y", "y")] * 3) is None and cohen_kappa([]) is None


def test_intents_are_rated_by_people_and_compared(tmp_path, capsys):
    REPLIES["alpha"] = knowing()
    run, _ = calibrate(ALPHA, LabelConfig(), tmp_path, Bounds(8, None, False), True)
    sheet = tmp_path / "sheet.csv"
    assert command("review", "export", run, sheet, "--intents", "--n", "30") == 0
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60 and all(row["line"] and row["role"] for row in rows)
    shown = {row["dimension"]: row["intent"] for row in rows}
    assert shown["intent"].startswith("Wants") and shown["relevance"] == ""
    assert all(row["transcript"].endswith(row["line"]) for row in rows)
    with closing(open_reader(run)) as con:
        labels = {
            (episode, str(turn)): relevance
            for episode, turn, relevance in con.execute(
                "select episode_id, turn, relevance from last_intents"
            ).fetchall()
        }
    for row in rows:
        told = labels[row["episode_id"].lstrip("'"), row["turn"]]
        row["rating"] = "right" if row["dimension"] == "intent" else told
    filled = tmp_path / "filled.csv"
    written(filled, rows)
    for annotator in ("A", "B"):
        assert command("review", "import", run, filled, "--annotator", annotator) == 0
    with closing(open_reader(run)) as con:
        people = con.execute(
            "select dimension, units, unanimous from people_agreement where culture_id is null "
            "order by 1"
        ).fetchall()
        both = con.execute(
            "select dimension, units, alpha from critics_people_agreement where culture_id is null"
        ).fetchall()
        kappa = con.execute(
            "select dimension, pairs, kappa from critics_people_kappa where culture_id is null"
        ).fetchall()
        turns = con.execute("select count(distinct (episode_id, turn)) from ratings").fetchone()
    assert people == [("intent", 30, 1), ("relevance", 30, 1)] and turns == (30,)
    assert both == [("relevance", 60, 1)] == kappa


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"turn": "99"}, "no labelled turn '99'"),
        ({"turn": ""}, "no labelled turn ''"),
        ({"rating": "perhaps"}, "'perhaps' is not on the scale of intent: right / wrong"),
    ],
)
def test_a_rating_of_no_turn_is_refused(tmp_path, capsys, change, words):
    REPLIES["alpha"] = knowing()
    run, _ = calibrate(ALPHA, LabelConfig(), tmp_path, Bounds(8, None, False), True)
    sheet = tmp_path / "sheet.csv"
    command("review", "export", run, sheet, "--intents", "--n", "1")
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    written(sheet, [row | {"rating": "right", "annotator": "A"} | change for row in rows[:1]])
    assert command("review", "import", run, sheet) == 1
    assert words in " ".join(capsys.readouterr().err.split())


def written(file: Path, rows: list[dict[str, str]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as sheet:
        writer = csv.DictWriter(sheet, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
