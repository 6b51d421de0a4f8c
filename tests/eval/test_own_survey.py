"""Surveys of one's own: items from a file, and people as a table, as questions with shares, or as
respondents with a map of columns. All figures and answers here are made up."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import command

from eval.config import parse_eval_config
from eval.own_items import named_items
from eval.report.write import load_results
from eval.respondents.database import open_respondents
from eval.respondents.source import gather_people
from eval.respondents.survey import load_survey
from folkways.clock import utc_now
from folkways.errors import UserError
from simulation.store.reader import open_reader

ITEMS = """
items:
  - id: safe_1
    ask: How safe do you feel on your way home after dark?
    scale: ordinal
    options: {1: Very safe, 2: Somewhat safe, 3: Not safe}
    higher: less
  - id: news_1
    ask: Where do you mostly hear what goes on in your town?
    scale: nominal
    options: {1: From neighbours, 2: On paper, 3: Online, 4: Elsewhere}
    other: [4]
"""
QUESTIONS = [
    {
        "question": "Is the food here too spicy, too mild, or about right?",
        "options": ["Too spicy", "Too mild", "About right", "DK/Refused"],
        "selections": {"Britain": [0.5, 0.2, 0.25, 0.05], "S. Korea": [0.1, 0.5, 0.4, 0]},
    },
    {
        "question": "How often do you cook at home?",
        "scale": "ordinal",
        "options": "['Often', 'Sometimes', 'Never']",
        "selections": "defaultdict(<class 'list'>, {'Britain': [0.6, 0.3, 0.1]})",
        "n": {"Britain": 1000},
    },
]


def items_file(folder: Path, text: str = ITEMS) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def table(folder: Path, *rows: tuple[Any, ...], header: str = "country,item,code,share,n") -> Path:
    path = folder / "shares.csv"
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def panel(folder: Path) -> Path:
    """Write four respondents as American panels are published: texts, weights, no country."""
    path = folder / "panel.csv"
    rows = [
        ("QKEY", "WEIGHT_W1", "SAFE_W1", "NEWS_W1", "F_GENDER"),
        (7, 2.0, "Very safe", "Online", "A man"),
        (8, 0.5, "Not safe", "On paper", "A woman"),
        (9, 0.5, "Refused", "Elsewhere", "In some other way"),
        (10, 1.0, "Not safe", "99", "A woman"),
    ]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


COLUMNS = {
    "respondent": "QKEY",
    "weight": "WEIGHT_W1",
    "safe_1": "SAFE_W1",
    "news_1": {"column": "NEWS_W1", "codes": {"99": -2}},
    "Q260": {"column": "F_GENDER", "codes": {"A man": 1, "A woman": 2}},
}


def evaluation(folder: Path, **fields: Any) -> Path:
    told = {
        "name": "trial", "out": str(folder), "models": [{"name": "fake"}], "methods": ["culture"],
        "readouts": ["logprobs"], "cultures": ["USA"], "items": str(items_file(folder)),
    }  # fmt: skip
    path = folder / "trial.yaml"
    path.write_text(yaml.safe_dump(told | fields))
    return path


def people(folder: Path) -> dict[tuple[str, str], list[float]]:
    with open_reader(folder / "trial") as con:
        rows = con.execute(
            "select country, item_id, list(share order by point) from survey_people group by all"
        ).fetchall()
    return {(country, item): shares for country, item, shares in rows}


def refusal(folder: Path, **fields: Any) -> str:
    with pytest.raises(UserError) as caught:
        config = parse_eval_config(
            yaml.safe_load(evaluation(folder, **fields).read_text()), "trial.yaml"
        )
        gather_people(
            config.people, config.chosen_items(), config.cultures, folder,
            count=None, weights=config.weights, seed=0,
        )  # fmt: skip
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_national_table_is_what_models_are_compared_with(tmp_path):
    rows = [
        ("USA", "safe_1", 1, 0.5, 400), ("USA", "safe_1", "Somewhat safe", 0.25, 400),
        ("USA", "safe_1", 3, 0.25, 400), ("United States", "news_1", 1, 0.2, 500),
        ("USA", "news_1", 3, 0.3, 500), ("USA", "news_1", 4, 0.5, 500), ("USA", "other", 1, 1, 9),
    ]  # fmt: skip
    path = evaluation(tmp_path, people=str(table(tmp_path, *rows)))
    assert command("eval", "wvs", "run", path, "--quiet") == 0
    assert people(tmp_path) == {
        ("USA", "safe_1"): [0.5, 0.25, 0.25], ("USA", "news_1"): pytest.approx([0.4, 0, 0.6])
    }  # fmt: skip
    with open_reader(tmp_path / "trial") as con:
        counts = con.execute(
            "select distinct item_id, valid, missing from survey_people order by 1"
        ).fetchall()
        results = load_results(con, tmp_path / "trial", utc_now(), 100)
    assert counts == [("news_1", 250, 0.5), ("safe_1", 400, 0)]
    assert 0 in {score.value for score in results.baselines if score.metric == "tv"}
    assert {score.items for score in results.scores if score.metric == "w1"} == {1}


def test_questions_with_shares_by_country_are_items_and_people_at_once(tmp_path):
    path = tmp_path / "opinions.json"
    path.write_text(json.dumps(QUESTIONS))
    food, cook = named_items(str(path))
    assert (food.id, food.scale, food.points) == ("opinions_0001", "nominal", (1, 2, 3))
    assert (cook.id, cook.scale, cook.higher) == ("opinions_0002", "ordinal", "more")
    config = evaluation(
        tmp_path, items=str(path), people=str(path), cultures=["GBR", "KOR", "FRA"]
    )  # fmt: skip
    assert command("eval", "wvs", "run", config, "--quiet") == 0
    assert people(tmp_path) == {
        ("GBR", food.id): pytest.approx([0.5 / 0.95, 0.2 / 0.95, 0.25 / 0.95]),
        ("KOR", food.id): pytest.approx([0.1, 0.5, 0.4]),
        ("GBR", cook.id): pytest.approx([0.6, 0.3, 0.1]),
    }
    with open_reader(tmp_path / "trial") as con:
        known = con.execute("select distinct item_id, valid from survey_people where valid = valid")
        assert (cook.id, 1000.0) in known.fetchall()
        results = load_results(con, tmp_path / "trial", utc_now(), 100)
    assert results.without == ("FRA",)


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_questions_are_read_from_every_form_alike(tmp_path, suffix):
    (tmp_path / "opinions.json").write_text(json.dumps(QUESTIONS))
    path = tmp_path / f"opinions.{suffix}"
    if suffix == "jsonl":
        path.write_text("".join(json.dumps(entry) + "\n" for entry in QUESTIONS))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["question", "options", "selections", "scale", "n"])
            writer.writeheader()
            writer.writerows(QUESTIONS)
    assert named_items(str(path)) == named_items(str(tmp_path / "opinions.json"))


def test_a_panel_is_read_by_a_map_of_its_columns(tmp_path, capsys):
    file = {"file": str(panel(tmp_path)), "country": "USA", "columns": COLUMNS}
    path = evaluation(tmp_path, people=file, methods=["respondent"], respondents=3)
    assert command("eval", "wvs", "run", path, "--quiet") == 0, capsys.readouterr().err
    assert people(tmp_path) == {
        ("USA", "safe_1"): pytest.approx([2 / 3.5, 0, 1.5 / 3.5]),
        ("USA", "news_1"): pytest.approx([0, 0.2, 0.8]),
    }
    with open_respondents(tmp_path / "trial" / "people.duckdb") as con:
        rows = con.execute(
            'select respondent_id, weight, "Q260", "safe_1", "news_1" from respondents '
            "order by weight, respondent_id"
        ).fetchall()
        notes = dict(con.execute("select subject, detail from notes").fetchall())
    assert rows == [
        ("USA-8", 0.5, 2, 3, 2), ("USA-9", 0.5, None, -2, 4), ("USA-10", 1.0, 2, 3, -2),
        ("USA-7", 2.0, 1, 1, 3),
    ]  # fmt: skip
    assert set(notes) == {"Q260"}
    assert command("eval", "wvs", "run", path, "--quiet") == 0  # nothing is left to ask


JOINT = {
    "study": [1, 1, 2, 2], "wave": [5, 5, 7, 7], "uniqid": [1, 2, 3, 4],
    "year": [2017, 2017, 2018, 2018], "cntry": [276, 276, 484, 484],
    "cntry_AN": ["DE", "DE", "MX", "MX"], "gwght": [1.5, 0.5, 1, 1], "X001": [1, 2, 1, -2],
    "A001": [1, 2, 1, -1], "A165": [1, 1, 2, -4], "Y003": [2, -1, 0, -5],
}  # fmt: skip
"""The columns of the joint file of the European and World Values Surveys."""


def joint(folder: Path) -> Path:
    path = folder / "joint.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([list(JOINT), *zip(*JOINT.values(), strict=True)])
    return path


def test_the_joint_file_of_two_surveys_is_loaded_as_it_is(tmp_path):
    items = named_items("clca-44") + named_items("social-capital")
    report = load_survey(joint(tmp_path), tmp_path / "people.duckdb", items)
    assert report.countries == {"DEU": 2, "MEX": 2} and report.items == ("Q1", "Q57")
    with open_respondents(tmp_path / "people.duckdb") as con:
        rows = con.execute(
            'select respondent_id, wave, year, weight, "Q260", "Q1", "Q57", "Y003" '
            "from respondents order by 1"
        ).fetchall()
    assert rows == [
        ("DEU-1", 7, 2017, 1.5, 1, 1, 1, 2), ("DEU-2", 7, 2017, 0.5, 2, 2, 1, -1),
        ("MEX-3", 7, 2018, 1.0, 1, 1, 2, 0), ("MEX-4", 7, 2018, 1.0, None, -1, -4, -5),
    ]  # fmt: skip


def test_the_joint_file_is_read_by_a_map_just_as_well(tmp_path):
    columns = {
        "country": "cntry_AN", "weight": "gwght", "respondent": "uniqid", "Q1": "A001",
        "Q57": "a165", "Q260": "X001",
    }  # fmt: skip
    config = evaluation(
        tmp_path, items=["Q1", "Q57"], cultures=["DEU", "MEX"],
        people={"file": str(joint(tmp_path)), "columns": columns},
    )  # fmt: skip
    assert command("eval", "wvs", "run", config, "--quiet") == 0
    found = people(tmp_path)
    assert found["DEU", "Q1"] == pytest.approx([0.75, 0.25, 0, 0])
    assert found["MEX", "Q57"] == [0, 1]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("USA", "safe_1", 7, 0.5, 1)], "line 2: '7' is no option of safe_1; its options are 1"),
        ([("USA", "safe_1", 1, 50, 1)], "share is '50'; it has to be a number from 0 to 1"),
        ([("USA", "safe_1", 1, "x", 1)], "share is 'x'"),
        ([("USA", "safe_1", 1, 0.5, -4)], "n is '-4'"),
        ([("nowhere", "safe_1", 1, 0.5, 1)], "'nowhere' names no country"),
        ([("USA", "safe_1", 1, 0.5, 1)] * 2, "USA, safe_1, 1 stands there twice"),
        ([("USA", "safe_1", 1, 0.5, 1), ("USA", "safe_1", 2, 0.5, 2)], "n is 2 and was 1"),
        (
            [
                ("USA", "safe_1", 1, 0.9, 1),
                ("USA", "safe_1", 2, 0.9, 1),
                ("USA", "news_1", 1, 1, 1),
            ],
            "USA, safe_1 make 1.800, more than 1",
        ),
        ([("USA", "safe_1", 1, 1, 9)], "not in your file"),
        ([("DEU", i, 1, 1, 9) for i in ("safe_1", "news_1")], "it has them from DEU"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused(tmp_path, rows, words):
    assert words in refusal(tmp_path, people=str(table(tmp_path, *rows)))


def test_a_table_without_its_columns_is_refused(tmp_path):
    path = table(tmp_path, ("USA", 1), header="country,value")
    assert "has no column item, code, share" in refusal(tmp_path, people=str(path))
    assert "no such file" in refusal(tmp_path, people="absent.csv")
    assert "answered the World Values Survey, not these" in refusal(tmp_path, people="marginals")
    path = table(tmp_path, ("USA", "safe_1", 1, 1, 9), ("USA", "news_1", 1, 1, 9))
    config = evaluation(tmp_path, people=str(path), methods=["respondent"])
    assert command("eval", "wvs", "run", config, "--dry-run") == 1


def test_an_item_without_shares_can_be_skipped(tmp_path):
    path = table(tmp_path, ("USA", "safe_1", 1, 0.5, 9), ("USA", "safe_1", 2, 0.5, 9))
    config = evaluation(tmp_path, people=str(path), absent_items="skip")
    assert command("eval", "wvs", "run", config, "--quiet") == 0
    assert people(tmp_path) == {("USA", "safe_1"): [0.5, 0.5, 0]}


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (COLUMNS | {"weight": "WGT"}, "has no column 'WGT' for weight; it has QKEY, WEIGHT_W1"),
        (COLUMNS | {"sex": "F_GENDER"}, "'sex' is neither country, weight"),
        ({"weight": "WEIGHT_W1"}, "a column for none of the 2 items"),
    ],
)
def test_a_map_that_does_not_fit_the_file_is_refused(tmp_path, columns, words):
    file = {"file": str(panel(tmp_path)), "country": "USA", "columns": columns}
    assert words in refusal(tmp_path, people=file)


def test_respondents_of_no_country_are_refused(tmp_path):
    file = {"file": str(panel(tmp_path)), "columns": COLUMNS}
    assert "people.country for all of them" in refusal(tmp_path, people=file)
    assert "names no country" in refusal(tmp_path, people=file | {"country": "Atlantis"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ITEMS.replace("safe_1", "Q1"), "'Q1' is an item of the World Values Survey"),
        (ITEMS.replace("news_1", "SAFE_1"), "two items are called 'SAFE_1'"),
        (ITEMS.replace("nominal", "round"), "item 2, scale: Input should be"),
        (ITEMS.replace("higher: less", "upper: less"), "item 1, upper: Extra inputs"),
        (ITEMS.replace("safe_1", "'a b'"), "item 1, id"),
        ("items: []", "has no items"),
        ("items: [", "cannot be read as YAML"),
    ],
)
def test_items_that_are_none_are_refused(tmp_path, text, words):
    with pytest.raises(UserError) as caught:
        named_items(str(items_file(tmp_path, text)))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            {"question": "Yes?", "options": ["a", "b"], "selections": {"Chile": [1]}},
            "1 shares of 2",
        ),
        ({"question": "Yes?", "selections": {}}, "it has no 'options'"),
        ({"question": "Yes?", "options": ["a", "Don't know"]}, "fewer than two options"),
        ({"question": "Yes?", "options": ["a", "a"]}, "two options have one label"),
        ({"question": "Yes?", "options": "__import__('os').getcwd()"}, "question 1"),
        (7, "not a mapping"),
    ],
)
def test_a_question_that_cannot_be_read_is_named(tmp_path, entry, words):
    path = tmp_path / "opinions.json"
    path.write_text(json.dumps([entry]))
    with pytest.raises(UserError) as caught:
        named_items(str(path))
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("source", ["panel.yaml", "shares.csv", "opinions.json"])
def test_the_examples_run(tmp_path, source):
    folder = Path(__file__).parents[2] / "examples/survey"
    told = yaml.safe_load((folder / "panel.yaml").read_text())
    told |= {"items": str(folder / "items.yaml"), "models": [{"name": "fake"}]}
    told |= {"out": str(tmp_path), "name": "trial", "respondents": 5}
    told["people"]["file"] = str(folder / "panel.csv")
    if source != "panel.yaml":
        told |= {"people": str(folder / source), "methods": ["culture"]}
        told |= {"items": str(folder / source)} if source == "opinions.json" else {}
    (tmp_path / "trial.yaml").write_text(yaml.safe_dump(told))
    assert command("eval", "wvs", "run", tmp_path / "trial.yaml", "--quiet") == 0
    assert len(people(tmp_path)) == 2
