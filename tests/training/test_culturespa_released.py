"""Released answer sheets: read with every entry accounted for, and scored like an evaluation's own.

The sheets are made up, in folkways' wording; nobody and no model ever gave these answers.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from eval.config import parse_eval_config
from eval.evaluate import evaluate
from eval.item import Item, load_items
from eval.metrics.culture_score import culturespa
from eval.report.markdown import render_markdown
from eval.report.results import ALL, Results
from eval.report.write import load_results, write_report
from eval.respondents.marginals import load_marginals
from folkways.cli.culturespa import spa_app
from folkways.errors import UserError
from simulation.store.reader import open_reader
from training.culturespa.intake import Imported, Source, import_sheets, mean_line
from training.culturespa.released import (
    NO_ANSWER,
    NO_ITEM,
    NO_OPTIONS,
    NO_TEXT,
    NOT_SCORED,
    OTHER_OPTIONS,
    published_code,
    published_score,
    read_sheet,
)

ITEMS = load_items()
PEOPLE = load_marginals()
NOW = datetime(2026, 1, 2)  # noqa: DTZ001
CULTURE = Source("llama3", "culture")
HELPLINE = "I cannot say. Please call 1-800-555-0199."
Codes = Mapping[str, int]


def entry(item: Item, answer: object) -> dict[str, Any]:
    return {
        "Q_id": item.id, "question": item.ask, "option_lst": list(item.options.values()),
        "answer": answer,
    }  # fmt: skip


def draw(seed: int, items: Sequence[str] = tuple(ITEMS)) -> dict[str, int]:
    rng = random.Random(seed)
    return {name: rng.choice(list(ITEMS[name].options)) for name in items}


def write(path: Path, codes: Mapping[str, object], extra: Sequence[object] = ()) -> Path:
    rows = [entry(ITEMS[name], answer) for name, answer in codes.items()]
    path.write_text(json.dumps([*rows, *extra]), encoding="utf-8")
    return path


def take(
    run: Path, *files: Path, source: Source = CULTURE, at: str = "USA", add: bool = False
) -> list[Imported]:
    countries = at.split(",") if at else []
    return import_sheets(files, run, source, countries, add=add, utc=lambda: NOW)


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        act()
    return str(caught.value)


def rows(run: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(run / "log.duckdb"), read_only=True) as con:
        return con.execute(query).fetchall()


def results(run: Path) -> Results:
    with closing(open_reader(run)) as con:
        return load_results(con, run, NOW, 100)


def scores(run: Path, metric: str = "culturespa", reading: str = "text-lenient") -> dict[str, Any]:
    """Return a score by model, method and country, with the number of items."""
    found = results(run)
    series = {one.id: one for one in found.series if one.reading == reading}
    return {
        f"{series[s.who].model} {series[s.who].method} {s.country}": (s.value, s.items)
        for s in found.scores
        if s.who in series and s.metric == metric
    }


def direct(codes: Codes, country: str) -> float:
    grid = PEOPLE.file_grid([country], PEOPLE.items)
    sheet = np.array([codes.get(name, np.nan) for name in PEOPLE.items])
    return float(culturespa(sheet, grid.mode[0], grid.scales))


# Scores


def test_a_report_on_sheets_has_the_published_score(tmp_path: Path) -> None:
    chosen = {"USA": draw(1), "CHN": draw(2)}
    files = [write(tmp_path / f"{home}.json", codes) for home, codes in chosen.items()]
    found = take(tmp_path / "run", *files, at="USA,CHN")
    told = scores(tmp_path / "run")
    for home, one, asked in zip(chosen, found, (257, 222), strict=True):
        value, items = told[f"llama3 culture {home}"]
        assert (value, items) == (pytest.approx(direct(chosen[home], home)), asked)
        assert published_score(one.published, home) == (pytest.approx(value), asked)
        assert (one.stored, one.strict, one.lenient, one.left_out) == (259, 259, 259, {})
    both = [direct(codes, home) for home, codes in chosen.items()]
    assert told["llama3 culture all"][0] == pytest.approx(np.mean(both))
    assert scores(tmp_path / "run", reading="text-strict") == told


def test_the_people_answer_as_themselves(tmp_path: Path) -> None:
    modes = {item: cell.mode for (home, item), cell in PEOPLE.cells.items() if home == "DEU"}
    take(tmp_path / "run", write(tmp_path / "a.json", modes), at="DEU")
    assert scores(tmp_path / "run")["llama3 culture DEU"] == (pytest.approx(100), 258)


@pytest.mark.parametrize(
    ("method", "at", "mean_of_modes", "middle"),
    [("unaware", "", 71.09, 57.95), ("culture", "USA", 74.58, 60.79)],
)
def test_baselines_are_those_of_the_countries_that_a_series_is_scored_in(
    tmp_path: Path, method: str, at: str, mean_of_modes: float, middle: float
) -> None:
    sheet = write(tmp_path / "a.json", draw(1))
    take(tmp_path / "run", sheet, source=Source("llama3", method), at=at)
    found = {
        score.who: score.value
        for score in results(tmp_path / "run").baselines
        if (score.metric, score.country) == ("culturespa", ALL)
    }
    assert found["mean of other countries' modes"] == pytest.approx(mean_of_modes, abs=0.005)
    assert found["middle"] == pytest.approx(middle, abs=0.005)


def test_an_unaware_sheet_is_held_against_every_country(tmp_path: Path) -> None:
    codes = draw(3)
    path = write(tmp_path / "a.json", codes)
    (found,) = take(tmp_path / "run", path, source=Source("llama3", "unaware"), at="")
    told = scores(tmp_path / "run")
    each = [direct(codes, home) for home in PEOPLE.culturespa]
    assert told["llama3 unaware all"][0] == pytest.approx(np.mean(each))
    assert told["llama3 unaware ZWE"][0] == pytest.approx(direct(codes, "ZWE"))
    assert f"{np.mean(each):.2f} (mean of 18 countries)" in found.lines()[-1]
    assert rows(tmp_path / "run", "select distinct country from survey_replies") == [("*",)]


def test_several_sheets_of_a_country_are_several_answers(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{n}.json", {"Q1": 1 if n else 4, "Q94": 0}) for n in range(3)]
    first, *others = take(tmp_path / "run", files[0], write(tmp_path / "x.json", {"Q1": 1}))
    assert (first.sample, others[0].sample) == (0, 1)
    (again,) = take(tmp_path / "run", files[1], add=True)
    assert again.sample == 2 and "answers no. 3" in again.lines()[0]
    shares = rows(
        tmp_path / "run",
        "select point, round(share, 6) from survey_shares where item_id = 'Q1' and share > 0 "
        "and country = 'USA' and reading = 'text-strict' order by point",
    )
    assert shares == [(1, 0.666667), (4, 0.333333)]


def test_the_published_parser_is_a_reading_of_its_own(tmp_path: Path) -> None:
    """It takes an answer that an item does not have, and the digits of a telephone number."""
    codes: dict[str, object] = {**draw(5), "Q1": HELPLINE, "Q2": "9", "Q3": "11", "Q4": "none"}
    (found,) = take(tmp_path / "run", write(tmp_path / "a.json", codes))
    told = scores(tmp_path / "run", reading="text-published")["llama3 culture USA"]
    assert told == (pytest.approx(published_score(found.published, "USA")[0]), 255)
    assert told != scores(tmp_path / "run")["llama3 culture USA"]
    (rates,) = [r for r in results(tmp_path / "run").rates
                if r.country == "USA" and r.who.endswith("published")]  # fmt: skip
    assert rates.valid == pytest.approx(257 / 259)  # all but 11 and "none"


def test_sheets_keep_their_own_protocol(tmp_path: Path) -> None:
    take(tmp_path / "run", write(tmp_path / "a.json", draw(1)))
    found = results(tmp_path / "run")
    assert found.protocol == {"items": "culturespa-259", "people": "marginals", "orders": "forward"}
    assert all(series.imported and series.answers == 1 for series in found.series)
    text = render_markdown(found)
    assert "how these were drawn is not known" in text
    for invented in ("temperature", "max tokens", "weights", "samples 1", "respondents 200"):
        assert invented not in text
    take(tmp_path / "run", write(tmp_path / "b.json", draw(2)), at="CHN")  # and again


def test_the_country_comes_from_a_sheets_name_or_entries(tmp_path: Path) -> None:
    named = write(tmp_path / "p1_usa_run0.json", draw(1))
    other = write(tmp_path / "P1-United States.json", draw(2))
    rows_ = [entry(ITEMS["Q1"], 1) | {"country": "China"}, entry(ITEMS["Q2"], 2)]
    inside = tmp_path / "sheet.json"
    inside.write_text(json.dumps(rows_), encoding="utf-8")
    found = take(tmp_path / "run", named, other, inside, at="")
    assert [one.country for one in found] == ["USA", "USA", "CHN"]
    assert not any("calls itself" in doubt for one in found for doubt in one.doubts)
    unclear = write(tmp_path / "usa_or_can.json", draw(3))
    assert "name one --country" in refusal(lambda: take(tmp_path / "run", unclear, at=""))
    (wrong,) = take(tmp_path / "other", named, at="CAN")
    assert wrong.doubts == ["it calls itself USA, and is taken for CAN"]
    assert "  warning: it calls itself USA" in "\n".join(wrong.lines())


def test_swapped_countries_are_doubted_and_right_ones_are_not(tmp_path: Path) -> None:
    files = []
    for number, home in enumerate(("USA", "CHN", "NGA")):
        modes = {item: cell.mode for (at, item), cell in PEOPLE.cells.items() if at == home}
        files.append(write(tmp_path / f"{number}.json", modes))
    right = take(tmp_path / "right", *files, at="USA,CHN,NGA")
    assert not any(one.doubts for one in right)
    swapped = take(tmp_path / "swapped", *files, at="CHN,USA,NGA")
    assert [bool(one.doubts) for one in swapped] == [True, True, False]
    assert "more like those of people of USA (r = " in swapped[0].doubts[0]


def test_the_mean_over_sheets_is_told(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{home}.json", draw(n)) for n, home in enumerate(("USA", "CHN"))]
    found = take(tmp_path / "run", *files, at="")
    each = [direct(draw(n), home) for n, home in enumerate(("USA", "CHN"))]
    assert mean_line(found) == [
        "CultureSPA's score by the published parser, mean of 2 sheets: "
        f"{sum(each) / 2:.2f}"
    ]  # fmt: skip
    assert mean_line(found[:1]) == []


# Readings

READ = [
    ("Q1", "2", 2, 2, None, 2),
    ("Q1", "2. Rather important", None, 2, None, 2),
    ("Q1", "My answer would be 2.", None, 2, None, 2),
    ("Q1", HELPLINE, None, None, "refusal", 1),
    ("Q1", "If you suffer, call 1-800-555-0199", None, None, "no option", 1),
    ("Q1", "1.5", None, None, "decimal", 1),
    ("Q1", "7", None, None, "out of range", 7),
    ("Q1", "0", None, None, "out of range", 0),
    ("Q1", "11", None, None, "out of range", None),
    ("Q1", "", None, None, "empty", None),
    ("Q1", "1 or 2", None, None, "several", 1),
    ("Q1", 3, 3, 3, None, 3),
    ("Q94", "0", 0, 0, None, 0),
    ("Q94", "2", 2, 2, None, 2),
    ("Q94", "0.", 0, 0, None, 0),
    ("Q94", "I take option 0.", None, 0, None, 0),
    ("Q94", "3", None, None, "out of range", 3),
    ("Q94", "00", None, None, "out of range", 0),
    ("Q119", "0", 0, 0, None, 0),
    ("Q119", "4", 4, 4, None, 4),
    ("Q128", "1", 1, 1, None, 1),
    ("Q241", "10", 10, 10, None, 10),
    ("Q241", "0", 0, 0, None, 0),
    ("Q241", "3 out of 10", None, 3, None, 3),
    ("Q49", "10", 10, 10, None, 10),
    ("Q49", "0", None, None, "out of range", 0),
    ("Q254", "5", 5, 5, None, 5),
]


@pytest.mark.parametrize(("name", "answer", "strict", "lenient", "problem", "published"), READ)
def test_answers_are_read_on_the_numbers_of_the_survey(
    tmp_path: Path, name: str, answer: object, strict: int | None, lenient: int | None,
    problem: str | None, published: int | None,
) -> None:  # fmt: skip
    if isinstance(answer, str) and answer.startswith("2. "):  # the label is of our wording
        answer, strict = f"2. {ITEMS[name].options[2]}", 2
    (found,) = take(tmp_path / "run", write(tmp_path / "a.json", {name: answer}))
    query = "select strict, lenient, problem, reply from survey_replies"
    assert rows(tmp_path / "run", query) == [(strict, lenient, problem, str(answer))]
    assert found.published == ({} if published is None else {name: published})


def test_labels_may_be_numbered(tmp_path: Path) -> None:
    for name in ("Q1", "Q94"):
        row = entry(ITEMS[name], list(ITEMS[name].options.values())[1])
        row["option_lst"] = [f"{code}. {label}" for code, label in ITEMS[name].options.items()]
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps([row]), encoding="utf-8")
        take(tmp_path / name, path)
        code = list(ITEMS[name].options)[1]
        assert rows(tmp_path / name, "select strict from survey_replies") == [(code,)]


def test_which_items_count_from_zero_follows_from_the_survey() -> None:
    zero = [name for name, item in ITEMS.items() if 0 in item.options]
    numbers = [*range(94, 106), 119, *range(122, 130), *range(241, 250)]
    assert zero == [f"Q{number}" for number in numbers]
    for item in ITEMS.values():  # codes are the numbers shown
        first = next(iter(item.options))
        assert list(item.options) == list(range(first, first + len(item.options)))


@pytest.mark.parametrize(
    ("text", "evaluation", "selection"),
    [
        ("3", 3, 3), ("I'd say 12 or 3", None, 12), ("16", None, None), ("none", None, None),
        (HELPLINE, 1, 1), ("2.9", 2, 2), ("-4", 4, 4), ("", None, None), ("9" * 5000, None, None),
    ],
)  # fmt: skip
def test_the_published_parser_takes_the_first_digits(
    text: str, evaluation: int | None, selection: int | None
) -> None:
    assert (published_code(text), published_code(text, 15)) == (evaluation, selection)


# What is left out is told


def test_every_entry_left_out_is_named_with_its_reason(tmp_path: Path) -> None:
    good = {"Q1": 1, "Q2": 2, "Q3": HELPLINE, "Q4": "9"}
    bad: list[tuple[str, dict[str, Any]]] = [
        (NOT_SCORED, {"Q_id": "Q260", "option_lst": ["a", "b"], "answer": "1"}),
        (NOT_SCORED, {"Q_id": "Q223", "option_lst": ["a", "b"], "answer": "1"}),
        (NO_ITEM, {"Q_id": "Q9999", "option_lst": ["a", "b"], "answer": "1"}),
        (NO_ITEM, {"Q_id": "\x1b[2J", "option_lst": ["a", "b"], "answer": "1"}),
        (NO_OPTIONS, entry(ITEMS["Q5"], "1") | {"option_lst": []}),
        (NO_OPTIONS, {"Q_id": "Q6", "answer": "1"}),
        (OTHER_OPTIONS, entry(ITEMS["Q7"], "1") | {"option_lst": ["yes", "no", "perhaps"]}),
        (OTHER_OPTIONS, entry(ITEMS["Q8"], "1") | {"option_lst": "yes or no"}),
        (OTHER_OPTIONS, entry(ITEMS["Q9"], "1") | {"option_lst": [["yes"], None]}),
        (OTHER_OPTIONS, entry(ITEMS["Q49"], "1") | {"option_lst": [*"987654321", "0"]}),
        (OTHER_OPTIONS, entry(ITEMS["Q10"], "1") | {"option_lst": ["0. yes", "1. no"]}),
        (NO_ANSWER, entry(ITEMS["Q11"], None)),
        (NO_ANSWER, {k: v for k, v in entry(ITEMS["Q12"], 1).items() if k != "answer"}),
        (NO_TEXT, entry(ITEMS["Q13"], ["1"])),
        (NO_TEXT, entry(ITEMS["Q14"], True)),
    ]
    path = write(tmp_path / "a.json", good, [row for _, row in bad])
    (found,) = take(tmp_path / "run", path)
    expected: dict[str, list[str]] = {}
    for why, row in bad:
        expected.setdefault(why, []).append(row["Q_id"])
    assert found.left_out == expected
    assert (found.sheet.size, found.stored, found.strict, found.lenient) == (19, 4, 2, 2)
    assert found.problems == {"refusal": 1, "out of range": 1}
    assert [*found.published.items()] == [("Q1", 1), ("Q2", 2), ("Q3", 1), ("Q4", 9)]
    left = {name for ids in expected.values() for name in ids}
    assert found.missing == [name for name in ITEMS if name not in good and name not in left]
    text = "\n".join(found.lines())
    for why, ids in expected.items():
        assert f"{len(ids)} {why} ({', '.join(ids)})" in text
    ((settings,),) = rows(tmp_path / "run", "select settings from launches")
    (told,) = json.loads(settings)["sheets"]
    assert (told["left_out"], told["stored"], told["published"]) == (expected, 4, 4)


def test_half_a_sheet_is_stored_and_what_is_missing_is_told(tmp_path: Path) -> None:
    half = list(ITEMS)[:130]
    (found,) = take(tmp_path / "run", write(tmp_path / "a.json", draw(1, half)))
    assert (found.stored, len(found.missing)) == (130, 129)
    assert "129 items are not in the sheet: Q131, " in "\n".join(found.lines())
    value, items = scores(tmp_path / "run")["llama3 culture USA"]
    assert value == pytest.approx(direct(draw(1, half), "USA")) and items <= 130


def test_answers_that_are_none_count_as_invalid(tmp_path: Path) -> None:
    codes: dict[str, object] = {**draw(1), "Q1": HELPLINE, "Q2": "I don't know.", "Q49": "11"}
    take(tmp_path / "run", write(tmp_path / "a.json", codes))
    (rates,) = [r for r in results(tmp_path / "run").rates
                if r.country == "USA" and r.who.endswith("lenient")]  # fmt: skip
    assert rates.valid == pytest.approx(256 / 259)
    assert (rates.refused, rates.unsure) == (pytest.approx(1 / 259), pytest.approx(1 / 259))
    plain = scores(tmp_path / "run")["llama3 culture USA"]
    penalised = scores(tmp_path / "run", "culturespa_penalised")["llama3 culture USA"]
    assert plain[1] == 254 and penalised[1] == 257 and penalised[0] < plain[0]


# Refused in one line, with nothing stored


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is no JSON"),
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("\ufeff[]", "empty"),
        ('{"Q1": 1}', "given: dict"),
        ("[1]", "entry 1 has no id"),
        ('[{"Q_id": 1}]', "entry 1 has no id"),
        ('[{"Q_id": " "}]', "entry 1 has no id"),
        ('[{"Q_id": "Q1"}, {"Q_id": " Q1"}]', "Q1 comes twice"),
        ('[{"Q_id": "Q1"}]', "no answer can be used; 1 without options (Q1)"),
        ('[{"Q_id": "Q260", "answer": "1"}]', "no answer can be used; 1 not scored"),
    ],
)
def test_a_faulty_file_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    good = write(tmp_path / "b.json", {"Q1": 1})
    told = refusal(lambda: take(tmp_path / "run", good, path))
    assert problem in told and "a.json" in told and "\n" not in told
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xff\xfe[]")
    assert "UTF-8" in refusal(lambda: take(tmp_path / "run", tmp_path / "a.json"))
    assert "cannot read" in refusal(lambda: take(tmp_path / "run", tmp_path / "none.json"))


@pytest.mark.parametrize(
    ("method", "language", "at", "problem"),
    [
        ("culture", "en", "", "name one --country"),
        ("culture", "en", "USA,CAN", "1 sheets and 2 countries"),
        ("culture", "en", "XYZ", "unknown country 'XYZ'"),
        ("culture", "en", "usa", "unknown country 'usa'"),
        ("culture", "tlh", "USA", "unknown survey language 'tlh'"),
        ("unaware", "en", "USA", "no --country"),
        ("respondent", "en", "USA", "described respondents"),
        ("p1", "en", "USA", "unknown method 'p1'"),
    ],
)
def test_what_is_not_clear_is_refused(
    tmp_path: Path, method: str, language: str, at: str, problem: str
) -> None:
    path = write(tmp_path / "a.json", {"Q1": 1})
    source = Source("llama3", method, language)
    assert problem in refusal(lambda: take(tmp_path / "run", path, source=source, at=at))
    assert not (tmp_path / "run").exists()


def test_the_same_answers_are_never_stored_twice(tmp_path: Path) -> None:
    one = write(tmp_path / "a.json", draw(1))
    copy = write(tmp_path / "b.json", dict(reversed(draw(1).items())))
    other = write(tmp_path / "c.json", draw(2))
    run = tmp_path / "run"
    assert "the same answers" in refusal(lambda: take(run, one, copy))
    take(run, one)
    before = rows(run, "select count(*) from survey_replies")
    for again in (one, copy):
        for add in (False, True):
            assert "the same answers" in refusal(lambda a=again, b=add: take(run, a, add=b))
    assert "--add stores these" in refusal(lambda: take(run, other))
    assert rows(run, "select count(*) from survey_replies") == before
    take(run, other, at="CAN")
    take(run, one, source=Source("another", "culture"))
    take(run, other, add=True)
    assert rows(run, "select max(sample), count(*) from survey_replies") == [(1, 4 * 259)]
    assert rows(run, "select count(*) from survey_conditions") == [(2,)]


# Beside an evaluation's own answers


def test_sheets_stand_beside_answers_that_were_asked(tmp_path: Path) -> None:
    config = parse_eval_config(
        {
            "name": "mixed", "out": str(tmp_path), "models": [{"name": "fake"}],
            "items": ["Q1", "Q94", "Q241"], "cultures": ["DEU"], "methods": ["culture"],
        },
        "here",
    )  # fmt: skip
    assert evaluate(config, quiet=True) == "done"
    run = tmp_path / "mixed"
    sheet = write(tmp_path / "a.json", {"Q1": 1, "Q2": 1, "Q94": 2})
    (found,) = take(run, sheet, at="MEX")
    assert (found.left_out, found.missing) == ({"not asked in this evaluation": ["Q2"]}, ["Q241"])
    told = scores(run)
    assert told["llama3 culture MEX"] == (pytest.approx(direct({"Q1": 1, "Q94": 2}, "MEX")), 2)
    assert "fake culture DEU" in told
    nothing = write(tmp_path / "b.json", {"Q3": 1})
    assert "asks none of its items" in refusal(lambda: take(run, nothing, at="BRA"))
    assert evaluate(config, quiet=True) == "done"


def test_a_country_without_people_is_stored_and_not_scored(tmp_path: Path) -> None:
    (found,) = take(tmp_path / "run", write(tmp_path / "a.json", draw(1)), at="JPN")
    assert not any("CultureSPA" in line for line in found.lines())
    assert results(tmp_path / "run").without == ("JPN",)


def test_the_command_says_what_became_of_a_sheet(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", {"Q1": "1", "Q2": HELPLINE}, [{"Q_id": "\x1b[2Jx"}])
    arguments = ["import", str(path), str(tmp_path / "run"), "--method", "culture"]
    arguments += ["--country", "USA", "--label", "llama3"]
    done = CliRunner().invoke(spa_app, arguments)
    assert done.exit_code == 0, done.output
    assert "3 entries, 2 stored" in done.output and "\x1b" not in done.output
    assert "by the published parser 2; no option: 1 refusal" in " ".join(done.output.split())
    assert write_report(tmp_path / "run", NOW, 100)


@given(
    st.lists(st.tuples(st.sampled_from([*ITEMS, "Q260", "x"]), st.text()), unique_by=lambda t: t[0])
)
def test_every_entry_is_kept_or_counted(
    tmp_path_factory: pytest.TempPathFactory, answers: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("sheet") / "a.json"
    known = {"Q260": ITEMS["Q1"], "x": ITEMS["Q1"]}
    made = [entry(known.get(n) or ITEMS[n], text) | {"Q_id": n} for n, text in answers]
    path.write_text(json.dumps(made), encoding="utf-8")
    try:
        sheet = read_sheet(path)
    except UserError:
        assert not any(name in ITEMS for name, _ in answers)
        return
    assert len(sheet.entries) + sum(map(len, sheet.left_out.values())) == sheet.size == len(made)
    for one in sheet.entries.values():
        read = one.read((), ())
        assert read.lenient is None or read.lenient < len(one.labels)
