"""Files of respondents as the people of an evaluation: several files, absent items, the map."""

from pathlib import Path

import pytest
import yaml
from commands import command
from survey_files import people, write_csv

from eval.config import parse_eval_config
from eval.item import load_items
from eval.metrics.grid import as_floats
from eval.metrics.inglehart_welzel import fourteen_items, load_map, place
from eval.report.write import load_results
from eval.respondents.database import open_respondents
from eval.respondents.survey import load_surveys
from folkways.clock import utc_now
from folkways.errors import UserError
from simulation.store.reader import open_reader

ITEMS = list(load_items().values())


def part(folder: Path, country: str, **cells: list) -> Path:
    """Write a file of one country, with ids of its own."""
    rows = [place for place, code in enumerate(people()["B_COUNTRY_ALPHA"]) if code == country]
    chosen = {name: [values[row] for row in rows] for name, values in people().items()}
    return write_csv(folder / f"{country}.csv", chosen | cells)


def rows(database: Path, query: str) -> list[tuple]:
    with open_respondents(database) as con:
        return con.execute(query).fetchall()


def test_several_files_make_one_database(tmp_path, capsys):
    whole, both = tmp_path / "whole.duckdb", tmp_path / "both.duckdb"
    command("eval", "wvs", "load", write_csv(tmp_path / "pooled.csv", people()), whole)
    files = [part(tmp_path, "URY"), part(tmp_path, "DEU")]
    capsys.readouterr()
    assert command("eval", "wvs", "load", *files, both) == 0
    told = capsys.readouterr().out
    assert told.count(f"-> {both}") == 2 and "4 respondents, 1 countries" in told
    query = "from respondents order by respondent_id"
    assert rows(both, query) == rows(whole, query)
    assert rows(both, "select value from meta where key = 'file'") == [("URY.csv, DEU.csv",)]
    assert ("respondents", "[URY.csv] told apart: 858069901") in rows(
        both, "select subject, detail from notes where problem = 'id used before'"
    )


def test_a_file_is_appended_with_items_that_others_lack(tmp_path):
    database = tmp_path / "people.duckdb"
    load_surveys([part(tmp_path, "URY", Q2=[1, 2, 3, 4])], database, ITEMS)
    load_surveys([part(tmp_path, "DEU", Q3=[1, 2])], database, ITEMS, append=True)
    assert rows(database, 'select country, "Q2", "Q3" from respondents order by all') == [
        ("DEU", None, 1), ("DEU", None, 2),
        ("URY", 1, None), ("URY", 2, None), ("URY", 3, None), ("URY", 4, None),
    ]  # fmt: skip
    status = "select status from answers where item = 'Q2' and country = 'DEU' limit 1"
    assert rows(database, status) == [("missing",)]


def test_respondents_that_are_there_already_are_not_loaded_twice(tmp_path, capsys):
    file, database = part(tmp_path, "DEU"), tmp_path / "people.duckdb"
    load_surveys([file], database, ITEMS)
    before = database.read_bytes()
    with pytest.raises(UserError, match=r"DEU.csv holds .* there already \(DEU 2\)"):
        load_surveys([file], database, ITEMS, append=True)
    assert database.read_bytes() == before
    assert command("eval", "wvs", "load", file, database) == 1
    assert "--append to it, or --replace it" in " ".join(capsys.readouterr().err.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["DEU.csv", "people.duckdb"]


def test_countries_may_be_spread_over_files(tmp_path):
    files, database = [part(tmp_path, "URY"), part(tmp_path, "DEU")], tmp_path / "people.duckdb"
    load_surveys(files, database, ITEMS, countries=["DEU", "URY"])
    with pytest.raises(UserError, match="none of the files has respondents from MEX"):
        load_surveys(files, database, ITEMS, countries=["DEU", "URY", "MEX"], replace=True)
    assert rows(database, "select count(*) from respondents") == [(6,)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"database": "b.csv"}, "name that one last"),
        ({"append": True, "replace": True}, "choose one"),
    ],
)
def test_orders_that_cannot_be_meant_are_refused(tmp_path, options, words):
    database = tmp_path / options.pop("database", "people.duckdb")
    with pytest.raises(UserError, match=words):
        load_surveys([part(tmp_path, "DEU")], database, ITEMS, **options)
    assert not database.exists()


def evaluation(folder: Path, **fields: object) -> Path:
    told = {
        "name": "trial", "cultures": ["DEU"], "methods": ["culture"], "out": str(folder),
        "models": [{"name": "fake"}], "people": str(folder / "people.duckdb"), "respondents": 2,
        "readouts": ["logprobs"],
    }  # fmt: skip
    path = folder / "trial.yaml"
    path.write_text(yaml.safe_dump(told | fields))
    return path


def test_an_item_that_the_file_lacks_is_said_to_be_absent(tmp_path, capsys):
    load_surveys([part(tmp_path, "DEU")], tmp_path / "people.duckdb", ITEMS)
    config = evaluation(tmp_path, items=["Q1", "Q2", "Q57"])
    assert command("eval", "wvs", "run", config, "--dry-run") == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "not in your file" in told and "Q2 (not in the file)" in told
    assert "absent_items: skip" in told and "unknown" not in told and "Q57" not in told


def test_absent_items_can_be_skipped_and_that_is_said(tmp_path, capsys):
    load_surveys([part(tmp_path, "DEU")], tmp_path / "people.duckdb", ITEMS)
    config = evaluation(tmp_path, items=["Q1", "Q2", "Q57"], absent_items="skip")
    assert command("eval", "wvs", "run", config, "--dry-run") == 0
    told = capsys.readouterr().out
    assert "skipped, not in your file: Q2 (not in the file)" in told and "2 items" in told
    assert command("eval", "wvs", "run", config, "--quiet") == 0
    with open_reader(tmp_path / "trial") as con:
        assert con.execute("select item_id from survey_items order by 1").fetchall() == [
            ("Q1",), ("Q57",)
        ]  # fmt: skip
        protocol = con.execute("select config from runs where kind = 'survey'").fetchone()[0]
    assert yaml.safe_load(protocol)["skipped_items"] == "Q2"


def test_nothing_is_left_where_every_item_is_absent(tmp_path):
    load_surveys([part(tmp_path, "DEU")], tmp_path / "people.duckdb", ITEMS)
    told = yaml.safe_load(evaluation(tmp_path, items=["Q2"], absent_items="skip").read_text())
    with pytest.raises(UserError, match="none of the 1 items"):
        parse_eval_config(told, "trial.yaml")


def test_the_map_places_people_by_what_each_of_them_answered(tmp_path):
    """Y002 of these four is 1, 1, 3 and 2; its mean would be 1.857 if the second choice were drawn
    independently of the first. Y003 is a column of the file, and comes from there."""
    cells = {name: [1, 1, 2, 2] for name in fourteen_items()} | {
        "Q154": [1, 1, 2, 2], "Q155": [3, 3, 4, 1],
    }  # fmt: skip
    database = tmp_path / "people.duckdb"
    load_surveys([part(tmp_path, "URY", W_WEIGHT=[1] * 4, **cells)], database, ITEMS)
    config = evaluation(tmp_path, items="inglehart-welzel-10", cultures=["URY"])
    assert command("eval", "wvs", "run", config, "--quiet") == 0
    with open_reader(tmp_path / "trial") as con:
        found = con.execute(
            "select item_id, sum(point * share) from survey_people where item_id like 'Y%' "
            "group by all order by all"
        ).fetchall()
        results = load_results(con, tmp_path / "trial", utc_now(), 100)
    assert found == [("Y002", 1.75), ("Y003", -0.25)]
    indices = {name: 1.5 for name in load_map().indices} | {"Y002": 1.75, "Y003": -0.25}
    point = next(point for point in results.points if point.who == "people")
    placed = [point.survival_self_expression, point.traditional_secular]
    assert placed == pytest.approx(place(as_floats(list(indices.values()))).tolist())
