"""WorldValuesBench's probe set: named participants, asked the questions named for each of them, and
scored group by group. The respondents here are made up."""

import csv
import json
from pathlib import Path
from random import Random

import numpy as np
import pytest
import yaml
from commands import command
from scipy.stats import wasserstein_distance
from survey_files import write_csv

from eval.config import load_eval_config
from eval.item import load_items
from eval.own_items import named_items
from eval.report.groups import group_scores
from eval.respondents.participants import read_participants
from eval.respondents.survey import load_surveys
from folkways.errors import UserError
from simulation.store.reader import open_reader

QUESTIONS = ("Q1", "Q46", "Q106")
SIZE = 40


def answers(folder: Path) -> dict[str, list]:
    """Write a file of people of four countries, towns and villages, of every education."""
    rng = Random(3)
    countries = ["EGY", "DEU", "USA", "CHL"] * (SIZE // 4)
    cells = {
        "B_COUNTRY_ALPHA": countries,
        "D_INTERVIEW": [1000 + n for n in range(SIZE)],
        "H_URBRURAL": [1 + n // 4 % 2 for n in range(SIZE)],
        "Q275": [n % 9 for n in range(SIZE)],
        "Q260": [1 + n % 2 for n in range(SIZE)],
        "Q1": [rng.randint(1, 4) for _ in range(SIZE)],
        "Q46": [rng.choice([1, 2, 2, 3, -1]) for _ in range(SIZE)],
        "Q106": [rng.randint(1, 10) for _ in range(SIZE)],
    }
    path = write_csv(folder / "wvs.csv", cells)
    load_surveys([path], folder / "people.duckdb", list(load_items().values()))
    return cells


def probe(folder: Path, pairs: list[tuple[str, int]]) -> Path:
    """Write participants in the layout of samples.tsv."""
    path = folder / "samples.tsv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["Question", "Question Category", "Continent", "D_INTERVIEW"])
        writer.writerows([question, "made up", "-", person] for question, person in pairs)
    return path


def evaluation(folder: Path, participants: Path, **fields: object) -> Path:
    (folder / "value_questions.json").write_text(json.dumps(dict.fromkeys(QUESTIONS, "?")))
    told = {
        "name": "probe", "out": str(folder), "items": str(folder / "value_questions.json"),
        "people": str(folder / "people.duckdb"), "participants": str(participants),
        "weights": "none", "methods": ["respondent"], "readouts": ["text"], "orders": "forward",
        "models": [{"name": "survey_models:first"}],
    }  # fmt: skip
    path = folder / "probe.yaml"
    path.write_text(yaml.safe_dump(told | fields))
    return path


def test_each_participant_is_asked_the_questions_named_for_them(tmp_path, capsys):
    answers(tmp_path)
    pairs = [("Q1", 1000), ("Q46", 1000), ("Q1", 1001), ("Q106", 1007)]
    path = evaluation(tmp_path, probe(tmp_path, pairs))
    assert load_eval_config(path).cultures == ("CHL", "DEU", "EGY")
    assert command("eval", "wvs", "run", path, "--dry-run") == 0
    assert "3 sheets of 1 to 2 questions" in capsys.readouterr().out
    for _ in range(2):  # the second time nothing is left to ask
        assert command("eval", "wvs", "run", path, "--quiet") == 0
    with open_reader(tmp_path / "probe") as con:
        asked = con.execute(
            "select item_id, split_part(respondent_id, '-', 2)::int from survey_replies order by 2"
        ).fetchall()
    assert sorted(asked) == sorted(pairs)


def test_scores_are_those_of_the_published_evaluation(tmp_path):
    cells = answers(tmp_path)
    pairs = [(question, 1000 + n) for question in QUESTIONS for n in range(SIZE)]
    path = evaluation(tmp_path, probe(tmp_path, pairs))
    assert command("eval", "wvs", "run", path, "--quiet") == 0
    found = {
        (score.by, score.group): score
        for score in group_scores(tmp_path / "probe")
        if score.reading == "text-strict"
    }

    def expected(rows: list[int]) -> list[float]:
        """As WorldValuesBench computes it: the model always says the first option."""
        distances = []
        for question, highest in zip(QUESTIONS, (4, 4, 10), strict=True):
            mine = [cells[question][row] for row in rows if cells[question][row] > 0]
            human = [(code - 1) / (highest - 1) for code in mine]
            distances.append(wasserstein_distance(human, [0.0] * len(human)))
        return distances

    groups = {
        ("all", "all"): range(SIZE),
        ("continent", "Africa"): range(0, SIZE, 4),
        ("continent", "South America"): range(3, SIZE, 4),
        ("settlement", "rural"): [n for n in range(SIZE) if n // 4 % 2 == 1],
        ("education", "tertiary"): [n for n in range(SIZE) if n % 9 >= 6],
        ("continent x settlement x education", "Africa x urban x tertiary"): [
            n for n in range(0, SIZE, 4) if n // 4 % 2 == 0 and n % 9 >= 6
        ],
    }
    for key, rows in groups.items():
        distances = expected(list(rows))
        assert found[key].w1 == pytest.approx(sum(distances) / 3), key
        assert found[key].near == pytest.approx(sum(d < 0.2 for d in distances) / 3), key
        assert found[key].respondents == len(rows)
    assert found["all", "all"].items == 3
    assert found["all", "all"].resampled_w1 < found["all", "all"].uniform_w1
    score, rng = found["all", "all"], np.random.default_rng(1)
    high = np.array([4, 4, 10]) - 1.0
    away = (np.array([cells[question] for question in QUESTIONS]).T - 1) / high
    away[away < 0] = np.nan
    drawn = [
        np.nanmean(away[rng.integers(0, SIZE, SIZE)], axis=0)[rng.integers(0, 3, 3)].mean()
        for _ in range(4000)
    ]
    ends = 2 * score.w1 - np.quantile(drawn, [0.975, 0.025])
    assert [score.low, score.high] == pytest.approx(ends, abs=0.02)


def test_the_table_is_printed_and_written(tmp_path, capsys):
    answers(tmp_path)
    path = evaluation(tmp_path, probe(tmp_path, [("Q1", 1000 + n) for n in range(8)]))
    command("eval", "wvs", "run", path, "--quiet")
    capsys.readouterr()
    out = tmp_path / "groups.csv"
    arguments = ("--by", "country,Q260", "--out", out)
    assert command("eval", "wvs", "groups", tmp_path / "probe", *arguments) == 0
    told = capsys.readouterr().out
    assert "EGY x" in told and "redrawn" in told and "<0.2" in told and "95 %" in told
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(float(row["low"]) <= float(row["w1"]) <= float(row["high"]) for row in rows)
    assert {row["by"] for row in rows} == {"all", "country", "Q260", "country x Q260"}
    assert command("eval", "wvs", "groups", tmp_path / "probe", "--by", "shoe size") == 1
    assert "unknown trait 'shoe size'" in capsys.readouterr().err


def test_participants_that_the_file_lacks_are_told(tmp_path, capsys):
    answers(tmp_path)
    participants = probe(tmp_path, [("Q1", 1000), ("Q1", 9999)])
    path = evaluation(tmp_path, participants)
    assert command("eval", "wvs", "run", path, "--dry-run") == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "not in your file" in told and "1 of 2 participants (9999" in told
    path = evaluation(tmp_path, participants, absent_items="skip")
    assert command("eval", "wvs", "run", path, "--dry-run") == 0
    assert "1 participants named, 1 not in the file" in capsys.readouterr().out


def test_participants_need_a_file_of_respondents(tmp_path, capsys):
    answers(tmp_path)
    path = evaluation(tmp_path, probe(tmp_path, [("Q1", 1000)]), people="marginals")
    assert command("eval", "wvs", "run", path, "--dry-run") == 1
    assert "participants are respondents of a file" in capsys.readouterr().err
    path = evaluation(tmp_path, probe(tmp_path, [("Q1", 9999)]))
    assert command("eval", "wvs", "run", path, "--dry-run") == 1
    assert "has none of the participants" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("ids.txt", "1000\n1001\n", {"1000": None, "1001": None}),
        ("ids.json", "[1000]", {"1000": None}),
        ("ids.csv", "PARTICIPANT_ID,QUESTION_ID\n7,Q1\n7,Q2\n", {"7": {"Q1", "Q2"}}),
        ("ids.csv", "D_INTERVIEW\n7\n", {"7": None}),
    ],
)
def test_ids_are_read_from_every_form(tmp_path, name, text, expected):
    (tmp_path / name).write_text(text)
    assert read_participants(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("ids.txt", "\n", "names no respondents"),
        ("ids.csv", "a,b\n1,2\n", "has no column D_INTERVIEW"),
        ("ids.json", "{", "cannot be read"),
        ("ids.json", "{}", "not a list of ids"),
        ("ids.json", None, "no such file"),
    ],
)
def test_a_file_without_ids_is_refused(tmp_path, name, text, words):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=words):
        read_participants(tmp_path / name)


def test_items_are_named_by_a_file_of_ids(tmp_path):
    (tmp_path / "ids.txt").write_text("Q46\nQ1\n")
    assert [item.id for item in named_items(str(tmp_path / "ids.txt"))] == ["Q1", "Q46"]
    (tmp_path / "ids.txt").write_text("Q1 Q999")
    with pytest.raises(UserError, match="'Q999' is no item"):
        named_items(str(tmp_path / "ids.txt"))
