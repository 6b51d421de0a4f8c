"""Files of labels and the time series: the two kinds whose cells have to be translated."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from survey_files import people, write_csv, write_dta, write_sav

from eval.item import load_items
from eval.respondents.database import open_respondents
from eval.respondents.label import plain, read_label
from eval.respondents.load_report import LoadReport
from eval.respondents.national import national_answers
from eval.respondents.respondent import draw_respondents
from eval.respondents.survey import load_survey
from folkways.errors import UserError

LABELS = {
    "B_COUNTRY": ["Uruguay"] * 4 + ["Germany"] * 2,
    "A_WAVE": ["2017-2022"] * 6,
    "W_WEIGHT": ["1", "0,5", "1,2345", "text", "1", "1"],
    "H_URBRURAL": ["Urban", "Rural", "Urban", "No answer", "Urban", "Urban"],
    "Q260": ["Male", "Female", "Female", "Male", "No answer", "Female"],
    "Q262": ["19", "44", "71", "No answer", "33", "90 or more"],
    "X003R": ["16-24 years", "35-44", "65 and more", "No answer", "25-34 years", "65 and more"],
    "Q274": ["No children", "2 children", "3", "1 child", "Don\u00b4t know", "No children"],
    "Q275": ["Early (ISCED 0)", "Upper (ISCED 3)", "Doctoral (ISCED 8)", "Don't know", "x", "y"],
    "Q1": ["Very important", "very  important", "Rather important", "Don\u2019t know",
           "Not at all important", "No answer"],
    "Q7": ["Important", "Not mentioned", "Important", "Not mentioned", "Missing", "Important"],
    "Q57": ["Not asked"] * 4 + ["Most people can be trusted", "Need to be very careful"],
    "Q119": ["Hard to say", "Disagree", "Strongly disagree", "Strongly agree", "Agree",
             "Not applicable"],
    "Q254": ["Very proud", "I am not of this nationality", "Not at all proud", "Quite proud",
             "Not very proud", "Don't know"],
    "Y003": ["-2", "-1", "0", "2", "Missing", "1"],
}  # fmt: skip
ITEMS = [load_items()[name] for name in ("Q1", "Q7", "Q57", "Q119", "Q254")]


def load(path: Path, **options) -> LoadReport:
    return load_survey(
        path, path.with_name("people.duckdb"), options.pop("items", ITEMS), **options
    )


def read(report: LoadReport, query: str) -> list[tuple]:
    with open_respondents(report.database) as con:
        return con.execute(query).fetchall()


def labelled(folder: Path, **changes) -> Path:
    return write_csv(
        folder / "text.csv", people() | LABELS | changes, separator=";", titled=True, ends="\r\n"
    )


def noted(report: LoadReport, problem: str) -> dict[str, str | None]:
    return {note.subject: note.detail for note in report.notes if note.problem == problem}


def test_labels_become_the_same_numbers_as_in_the_file_of_numbers(tmp_path):
    report = load(labelled(tmp_path))
    plain_file = write_csv(tmp_path / "plain.csv", people())
    load_survey(plain_file, tmp_path / "plain.duckdb", ITEMS)
    assert report.items == ("Q1", "Q7", "Q57", "Q119", "Q254")
    columns = 'respondent_id, year, "Q260", "X003R", "Q274", "H_URBRURAL", "Y003"'
    query = f"select {columns}, columns('Q(1|7|57|119|254)$') from respondents order by all"
    with open_respondents(tmp_path / "plain.duckdb") as con:
        assert read(report, query) == con.execute(query).fetchall()


UNKNOWN = ["Well", "Nay", "Yea", "Sure", "Nay", "Not applicable"]
"""Labels that no pattern of Q119 fits."""


def test_columns_with_unknown_labels_are_left_out_and_named(tmp_path):
    report = load(labelled(tmp_path, Q119=UNKNOWN))
    assert noted(report, "labels without a number") == {
        "Q119": "left out; 'Well', 'Nay', 'Yea', 'Sure'"
    }
    assert any("labels without a number: Q119" in line for line in report.lines())


def test_unknown_labels_of_a_demographic_lose_their_own_cells(tmp_path):
    report = load(labelled(tmp_path))
    assert noted(report, "stray labels") == {"Q275": "no answer; 'x', 'y'"}
    found = read(report, 'select "Q275" from respondents order by respondent_id')
    assert found == [(None,), (None,), (0,), (3,), (8,), (None,)]


def test_weights_that_are_text_are_counted(tmp_path):
    report = load(labelled(tmp_path))
    assert noted(report, "text").keys() == {"weights"}
    weights = read(report, "select weight from respondents order by respondent_id")
    assert weights == [(1.0,), (1.0,), (1.0,), (0.5,), (1.2345,), (None,)]


def test_value_labels_of_the_surveys_own_file_fill_what_patterns_do_not_know(tmp_path):
    labels = {"Q119": {0: "Well", 1: "Sure", 2: "Yea", 3: "Nay", 4: "Never", -3: "No use"}}
    companion = write_sav(tmp_path / "wvs.sav", people(), labels=labels)
    report = load(labelled(tmp_path, Q119=UNKNOWN), labels=companion)
    assert "Q119" in report.items
    found = read(report, "select raw from answers where item = 'Q119' order by respondent_id")
    assert found == [(3,), (-3,), (0,), (3,), (2,), (1,)]
    with pytest.raises(UserError, match="variable, code, label"):
        load(labelled(tmp_path), labels=tmp_path / "text.csv", replace=True)


def test_two_labels_for_one_number_are_not_believed(tmp_path):
    mentioned = ["Important", "Mentioned", "Not mentioned", "Important", "Mentioned", "Important"]
    report = load(labelled(tmp_path, Q7=mentioned))
    assert "Q7" not in report.items
    assert noted(report, "labels without a number") == {"Q7": "left out; 'Mentioned'"}


def test_a_file_of_labels_without_any_known_item_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"give the survey's \.sav or \.dta file or its codebook"):
        load(labelled(tmp_path, Q119=UNKNOWN), items=[load_items()["Q119"]])
    assert not (tmp_path / "people.duckdb").exists()


def test_a_file_of_labels_that_is_cut_off_is_refused(tmp_path):
    path = labelled(tmp_path)
    path.write_text(path.read_text()[:-30])
    with pytest.raises(UserError, match=r"row 7: 19 of 22 columns"):
        load(path)


@given(st.text(max_size=20), st.sampled_from(["Q1", "Q7", "Q262", "Q275", "W_WEIGHT"]))
def test_any_text_is_a_number_or_nothing(text, column):
    assert plain(plain(text)) == plain(text)
    found = read_label(column, text, {})
    assert found is None or isinstance(found, int | float)


def series() -> dict[str, list]:
    """Return seven respondents of a time series: two waves, answers in its own codes."""
    return {
        "version": ["5-0-0"] * 7,
        "S002VS": [6, 7, 7, 7, 7, 7, 7],
        "S003": [276, 276, 276, 276, 909, 392, 392],
        "COUNTRY_ALPHA": ["DEU", "DEU", "DEU", "DEU", "", "JPN", "JPN"],
        "S020": [2013, 2018, 2018, 2018, 2022, 2019, 2019],
        "S007": [101, 102, 103, 104, 105, 106, 107],
        "S017": [1, 0.5, 1.5, 1, 1, 2, 1],
        "S018": [0.5, 0.25, 0.75, 0.5, 1, 0.8, 0.4],
        "X001": [1, 1, 2, 2, 1, 2, -2],
        "X003": [50, 30, 31, 32, 33, 34, 35],
        "X007": [1, 7, 6, 8, 2, 1, 1],
        "X049": [1, 2, 3, 4, 5, 6, 7],
        "A001": [2, 1, 1, 2, 1, -1, -5],
        "A027": [1, 1, 0, 0, 1, 1, -2],
        "A165": [1, 1, 2, 1, 2, 2, -1],
        "F028": [1, 8, 2, 7, 8, 3, 4],
        "G006": [1, 1, 2, 5, 4, 3, -4],
        "Y003": [0, -2, -1, 2, 1, -5, 0],
    }


SERIES_ITEMS = [load_items()[name] for name in ("Q1", "Q7", "Q57", "Q171", "Q254", "Q55")]


@pytest.mark.parametrize("write", [write_csv, write_sav, write_dta])
def test_a_time_series_is_read_by_its_own_codes(tmp_path, write):
    name = {write_csv: "ts.csv", write_sav: "ts.sav", write_dta: "ts.dta"}[write]
    report = load(write(tmp_path / name, series()), items=SERIES_ITEMS)
    assert report.items == ("Q1", "Q7", "Q57", "Q254")
    assert report.countries == {"DEU": 3, "JPN": 2, "NIR": 1}
    assert noted(report, "of another wave") == {"respondents": "left out"}
    assert noted(report, "0 is no in this file") == {"Q7": "read as 2"}
    found = read(report, 'select "Q7", "Q57", "Q1" from respondents order by respondent_id')
    assert found == [(1, 1, 1), (2, 2, 1), (2, 1, 2), (1, 2, -1), (-2, -1, -5), (1, 2, 1)]
    people = read(
        report, 'select "Q260", "Q262", "G_TOWNSIZE" from respondents where country = \'JPN\''
    )
    assert sorted(people, key=str) == [(2, 34, 6), (None, 35, 7)]
    assert read(report, "select source_column from items order by rowid limit 2") == [
        ("A001",), ("A027",)
    ]  # fmt: skip


def test_time_series_columns_with_other_codes_are_left_out_and_named(tmp_path):
    report = load(write_csv(tmp_path / "ts.csv", series()), items=SERIES_ITEMS)
    assert noted(report, "coded differently") == {
        "Q171": "left out; codes 8 are not those of wave 7"
    }
    assert "Q55" in noted(report, "not in the file")
    # 7 and 8 of X007 lump together or add what wave 7 tells apart.
    marital = read(report, "select \"Q273\" from respondents where country = 'DEU' order by all")
    assert marital == [(6,), (None,), (None,)]


def test_s018_of_a_time_series_holds_the_national_weight(tmp_path):
    report = load(write_csv(tmp_path / "ts.csv", series()), items=SERIES_ITEMS)
    pooled = read(
        report, "select weight, weight_pooled from respondents where country = 'DEU' order by all"
    )
    assert pooled == [(0.5, 0.25), (1.0, 0.5), (1.5, 0.75)]


def test_other_waves_can_be_asked_for(tmp_path):
    path = write_csv(tmp_path / "ts.csv", series())
    report = load(path, items=SERIES_ITEMS, waves=None)
    assert report.respondents == 7
    latest = draw_respondents(report.database, "DEU", fields=[])
    assert sorted(person.id for person in latest) == ["DEU-102", "DEU-103", "DEU-104"]
    assert [person.id for person in draw_respondents(report.database, "DEU", wave=6)] == ["DEU-101"]
    with pytest.raises(UserError, match="no respondents from 'JPN' in wave 6; there are from DEU"):
        draw_respondents(report.database, "JPN", wave=6)
    assert national_answers(report.database)["DEU", "Q1"].respondents == 3
    assert national_answers(report.database, wave=6)["DEU", "Q1"].respondents == 1
    assert load(path, items=SERIES_ITEMS, waves=[6], replace=True).countries == {"DEU": 1}
    with pytest.raises(UserError, match="no respondents in wave 2"):
        load(path, items=SERIES_ITEMS, waves=[2], replace=True)
