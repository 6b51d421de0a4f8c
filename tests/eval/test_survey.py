"""Loading files of the survey into DuckDB: every dialect, and everything that can be wrong."""

import itertools
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from survey_files import people, write_csv, write_dta, write_sav

from eval.item import load_items
from eval.respondents.database import open_respondents
from eval.respondents.load_report import LoadReport
from eval.respondents.respondent import draw_respondents
from eval.respondents.survey import load_survey
from folkways.errors import UserError

ITEMS = [load_items()[name] for name in ("Q1", "Q7", "Q57", "Q119", "Q254")]
NUMBERS = itertools.count()
CELLS = st.integers(-6, 12) | st.sampled_from([None, "", "x", "1.5"])
WRITERS = {
    "comma": lambda path, cells: write_csv(path, cells),
    "quoted": lambda path, cells: write_csv(path, cells, quoted=True, ends="\r\n"),
    "byte order mark": lambda path, cells: write_csv(path, cells, encoding="utf-8-sig"),
    "utf-16": lambda path, cells: write_csv(path, cells, encoding="utf-16"),
    "one country": lambda path, cells: write_csv(
        path, cells, separator=";", titled=True, ends="\r\n"
    ),
    "spss": lambda path, cells: write_sav(path.with_suffix(".sav"), cells),
    "spss, missing by the user": lambda path, cells: write_sav(
        path.with_suffix(".sav"), cells, missing=["Q1", "Q7", "Q57", "Q119", "Q254", "Q260"]
    ),
    "stata": lambda path, cells: write_dta(path.with_suffix(".dta"), cells),
}


def load(path: Path, **options) -> tuple[LoadReport, duckdb.DuckDBPyConnection]:
    database = path.with_name(f"people-{next(NUMBERS)}.duckdb")
    report = load_survey(path, database, ITEMS, **options)
    return report, open_respondents(database)


def load_cells(folder: Path, **changes) -> tuple[LoadReport, duckdb.DuckDBPyConnection]:
    return load(write_csv(folder / "wvs.csv", people() | changes))


def rows(con: duckdb.DuckDBPyConnection, query: str) -> list[tuple]:
    return con.execute(query).fetchall()


def counts(report: LoadReport) -> dict[tuple[str, str], int]:
    return {(note.subject, note.problem): note.respondents for note in report.notes}


@pytest.mark.parametrize("dialect", WRITERS)
def test_every_dialect_gives_the_same_rows(tmp_path, dialect):
    report, con = load(WRITERS[dialect](tmp_path / "wvs.csv", people()))
    expected, plain = load(write_csv(tmp_path / "plain.csv", people()))
    query = "from respondents order by respondent_id"
    assert rows(con, query) == rows(plain, query)
    assert report.notes == expected.notes
    assert report.release == "6-0-0 (made up)"
    assert report.countries == {"DEU": 2, "URY": 4} and report.respondents == 6
    assert rows(con, "select raw from answers where item = 'Q1' order by respondent_id") == [
        (4,), (-2,), (1,), (1,), (2,), (-1,)
    ]  # fmt: skip


def test_an_id_that_occurs_twice_stays_two_respondents(tmp_path):
    report, con = load_cells(tmp_path)
    ids = [row[0] for row in rows(con, "select respondent_id from respondents order by all")]
    assert ids[2:4] == ["URY-858069901", "URY-858069901-2"] and len(set(ids)) == 6
    assert counts(report)["respondents", "id used before"] == 1
    assert any("858069901" in line for line in report.lines())


def test_a_respondent_without_an_id_is_named_by_the_row(tmp_path):
    report, con = load_cells(tmp_path, D_INTERVIEW=[None, None, 3, 4, 5, 6])
    ids = [row[0] for row in rows(con, "select respondent_id from respondents order by all")]
    assert "URY-row-1" in ids and "URY-row-2" in ids
    assert counts(report)["respondents", "no id"] == 2


def test_missing_codes_stay_apart_and_zero_is_an_answer(tmp_path):
    _, con = load_cells(
        tmp_path, Q1=[-1, -2, -3, -4, -5, None], Q119=[0, 3, 4, 1, 2, 9], Q254=[1, 5, 4, 2, 3, -1]
    )
    order = "order by respondent_id"
    statuses = rows(con, f"select status from answers where item = 'Q1' {order}")
    assert [status for (status,) in statuses] == [
        "missing", "missing", "don't know", "no answer", "not applicable", "not asked",
    ]  # fmt: skip
    scale = rows(con, f"select raw, code, status from answers where item = 'Q119' {order}")
    assert scale == [
        (2, 2, "valid"), (9, None, "out of range"), (0, 3, "valid"), (3, 4, "valid"),
        (4, 5, "valid"), (1, 1, "valid"),
    ]  # fmt: skip
    other = rows(con, "select code from answers where item = 'Q254' and status = 'other'")
    assert other == [(None,)]


def test_the_autonomy_index_is_valid_below_zero(tmp_path):
    _, con = load_cells(tmp_path)
    found = rows(con, "select raw, status from answers where item = 'Y003' order by raw")
    assert [status for _, status in found] == ["missing", *["valid"] * 5]


def test_cells_that_are_no_answers_are_counted(tmp_path):
    report, con = load_cells(
        tmp_path, Q1=[1, "", "much", 2.5, 1e9, "1.0"], Q7=[1, 3, 3, 8, 2, " 2 "]
    )
    found = counts(report)
    assert found["Q1", "empty cell"] == 1 and found["Q1", "not a number"] == 3
    assert found["Q7", "out of range"] == 3
    assert [note.detail for note in report.notes if note.subject == "Q7"] == [
        "no answer; the values are 3, 8"
    ]
    query = "select item, count(*) from answers where status = 'valid' group by all order by all"
    valid = dict(rows(con, query))
    assert valid["Q1"] == 2 and valid["Q7"] == 3


def test_a_country_where_an_item_was_not_asked_is_reported(tmp_path):
    report, _ = load_cells(tmp_path)
    note = next(note for note in report.notes if note.problem == "no valid answer")
    assert (note.subject, note.country, note.respondents) == ("Q57", "URY", 4)


@pytest.mark.parametrize("dialect", ["comma", "spss", "stata"])
def test_missing_demographics_are_none(tmp_path, dialect):
    cells = people() | {"Q275": [None, 3, 8, -1, 5, 6], "Q262": [19, 44, 71, -2, 33, 900]}
    report, con = load(WRITERS[dialect](tmp_path / "wvs.csv", cells))
    con.close()
    found = draw_respondents(report.database, "URY", items=["Q1"], fields=["Q275", "Q274", "Q262"])
    by_id = {person.id: person.demographics for person in found}
    assert by_id["URY-858069901"] == {"Q275": None, "Q274": 0, "Q262": 19}
    assert by_id["URY-858069903"] == {"Q275": None, "Q274": 1, "Q262": None}
    assert "nan" not in str(found).lower()
    seen = counts(report)
    assert seen["Q275", "no answer"] == 2 and seen["Q262", "out of range or no number"] == 1
    assert seen["Q281", "not in the file"] == 6


def test_bad_weights_are_counted_and_left_out(tmp_path):
    report, con = load_cells(tmp_path, W_WEIGHT=[0, -1, "", "heavy", 1.5, 1])
    found = {note.problem: note.respondents for note in report.notes if note.subject == "weights"}
    assert found == {"missing": 1, "text": 1, "negative": 1, "zero": 1, "where none is above 0": 4}
    weights = rows(con, "select weight from respondents order by respondent_id")
    assert weights == [(1.5,), (1.0,), (0.0,), (None,), (None,), (None,)]


def test_weights_of_a_semicolon_file_may_have_decimal_commas(tmp_path):
    cells = people() | {"W_WEIGHT": ["1,5", "0,25", "1", "1", "1", "1"]}
    _, con = load(write_csv(tmp_path / "wvs.csv", cells, separator=";"))
    assert rows(con, "select sum(weight) from respondents") == [(5.75,)]


def test_the_pooled_weight_is_a_product_only_where_s018_is_constant(tmp_path):
    order = "order by respondent_id"
    _, con = load_cells(tmp_path)
    query = f"select weight_pooled, weight_population from respondents {order}"
    assert rows(con, query)[0] == (pytest.approx(0.8731 * 0.5), pytest.approx(0.8731 * 41))
    _, con = load_cells(tmp_path, S018=[0.2, 0.3, 0.25, 0.25, 0.5, 0.6])
    assert [row[0] for row in rows(con, query)] == [0.5, 0.6, 0.2, 0.3, 0.25, 0.25]


def test_countries_can_be_chosen_and_are_found_by_number(tmp_path):
    cells = people()
    del cells["B_COUNTRY_ALPHA"]
    path = write_csv(tmp_path / "wvs.csv", cells)
    report, _ = load(path, countries=["DEU"])
    assert report.countries == {"DEU": 2}
    assert counts(report)["respondents", "of another country"] == 4
    with pytest.raises(UserError, match=r"from FRA in wave 7; countries in the file: DEU, URY"):
        load(path, countries=["FRA", "DEU"])


def test_respondents_without_a_country_or_of_another_wave_are_counted(tmp_path):
    letters = ["URY", "", "URY", "URY", "DEU", "DEU"]
    report, _ = load_cells(
        tmp_path, B_COUNTRY_ALPHA=letters, B_COUNTRY=[858, -5, 858, 858, 276, 276],
        A_WAVE=[7, 7, 7, 7, 6, 7],
    )  # fmt: skip
    assert report.countries == {"DEU": 1, "URY": 3}
    found = counts(report)
    assert found["respondents", "country unknown"] == 1
    assert found["respondents", "of another wave"] == 1


def test_items_that_a_file_does_not_have_are_reported_and_none_at_all_is_an_error(tmp_path):
    cells = people()
    del cells["Q57"]
    report, _ = load(write_csv(tmp_path / "wvs.csv", cells))
    assert report.items == ("Q1", "Q7", "Q119", "Q254")
    assert counts(report)["Q57", "not in the file"] == 6
    with pytest.raises(UserError, match="it has none of the 1 items"):
        load_survey(tmp_path / "wvs.csv", tmp_path / "none.duckdb", [load_items()["Q2"]])


@pytest.mark.parametrize(
    ("ruin", "words"),
    [
        (lambda text: text[: len(text) - 12], "line 7: 18 of 22 columns"),
        (lambda text: text + '1,"', "cut off or was edited"),
        (lambda text: text.replace("2022,858,URY", "2022,858,URY,URY"), "line 2: 23 of 22 columns"),
    ],
)
def test_a_csv_file_that_is_cut_off_leaves_nothing_behind(tmp_path, ruin, words):
    path = write_csv(tmp_path / "wvs.csv", people())
    path.write_text(ruin(path.read_text()))
    with pytest.raises(UserError, match=words) as caught:
        load_survey(path, tmp_path / "people.duckdb", ITEMS)
    assert "\n" not in str(caught.value)
    assert [found.name for found in tmp_path.iterdir()] == ["wvs.csv"]


@pytest.mark.parametrize("dialect", ["spss", "stata"])
def test_a_binary_file_that_is_cut_off_is_refused(tmp_path, dialect):
    path = WRITERS[dialect](tmp_path / "wvs.csv", people())
    path.write_bytes(path.read_bytes()[:-90])
    with pytest.raises(UserError, match="cut off"):
        load_survey(path, tmp_path / "people.duckdb", ITEMS)
    assert not (tmp_path / "people.duckdb").exists()


def test_quoted_separators_quotes_and_line_breaks_stay_inside_their_cell(tmp_path):
    towns = ['Salto; "north", by the river', "a\nb", "x,y", ";;", "Köln", ""]
    for separator in (",", ";"):
        path = write_csv(tmp_path / "wvs.csv", {"N_TOWN": towns} | people(), separator=separator)
        report, _ = load(path)
        assert report.respondents == 6


def test_a_file_in_a_windows_encoding_loads_and_says_so(tmp_path):
    path = write_csv(tmp_path / "wvs.csv", {"N_TOWN": ["Köln"] * 6} | people(), encoding="cp1252")
    report, _ = load(path)
    assert report.respondents == 6
    assert any("6 in text that is not UTF-8" in line for line in report.lines())


def test_a_database_is_replaced_only_on_demand_and_never_a_foreign_file(tmp_path):
    path = write_csv(tmp_path / "wvs.csv", people())
    database = tmp_path / "deep" / "people.duckdb"
    load_survey(path, database, ITEMS)
    with pytest.raises(UserError, match="is there already"):
        load_survey(path, database, ITEMS)
    load_survey(path, database, ITEMS[:1], replace=True)
    with pytest.raises(UserError, match="cannot be opened as a file of respondents"):
        load_survey(path, path, ITEMS, replace=True)
    duckdb.connect(str(tmp_path / "other.duckdb")).close()
    with pytest.raises(UserError, match="no file of respondents"):
        load_survey(path, tmp_path / "other.duckdb", ITEMS, replace=True)
    assert path.read_text().startswith("version")


def test_every_table_and_column_has_a_comment_and_notes_are_stored(tmp_path):
    report, con = load_cells(tmp_path)
    for kind in ("table", "view"):
        bare = f"select {kind}_name from duckdb_{kind}s() where not internal and comment is null"
        assert rows(con, bare) == []
    assert rows(con, """
        select table_name, column_name from duckdb_columns()
        where not internal and schema_name = 'main' and comment is null""") == []  # fmt: skip
    assert {tuple(note) for note in report.notes} == set(rows(con, "from notes"))
    meta = dict(rows(con, "from meta"))
    assert meta["synthetic"] == "false" and "do not pass" in meta["terms"]
    assert rows(con, "select distinct synthetic from respondents") == [(False,)]
    types = "select data_type from duckdb_columns() where column_name in ('Q1', 'Q254', 'Q275')"
    assert set(rows(con, types)) == {("SMALLINT",)}


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CELLS, min_size=6, max_size=6))
def test_every_cell_is_counted_once(tmp_path, cells):
    report, con = load_cells(tmp_path, Q1=cells)
    with con:
        statuses = rows(con, "select status, raw, code from answers where item = 'Q1'")
    assert len(statuses) == 6
    valid = [cell for cell in cells if cell in (1, 2, 3, 4)]
    assert sorted(code for _, _, code in statuses if code) == sorted(valid)
    found = counts(report)
    assert found.get(("Q1", "not a number"), 0) == sum(cell in ("x", "1.5") for cell in cells)
    assert found.get(("Q1", "empty cell"), 0) == sum(cell in (None, "") for cell in cells)
    outside = [cell for cell in cells if isinstance(cell, int) and (cell in (-6, 0) or cell > 4)]
    assert found.get(("Q1", "out of range"), 0) == len(outside)
