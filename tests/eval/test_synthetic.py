"""Made-up respondents: marked everywhere, drawn from the shares, and people who could exist."""

import contextlib
import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from survey_files import people, write_csv

from eval.item import load_items, preset
from eval.respondents.database import open_respondents
from eval.respondents.marginals import load_marginals
from eval.respondents.national import national_answers
from eval.respondents.respondent import CLCA_FIELDS, draw_respondents
from eval.respondents.survey import load_survey
from eval.respondents.synthetic import draw_person, shares_of_sample, synthesise
from folkways.errors import UserError

ITEMS = [load_items()[name] for name in ("Q1", "Q7", "Q57", "Q119", "Q254")]
SHARES = {
    "URY": {
        "Q1": {1: 0.7, 2: 0.2, 4: 0.05}, "Q7": {1: 0.25, 2: 0.75}, "Q57": {},
        "Q119": {0: 0.5, 4: 0.5}, "Q254": {1: 0.5, 5: 0.5},
    },
    "DEU": {"Q1": {1: 1.0}, "Q7": {2: 0.999999}, "Q119": {1: 0.4, 2: 0.4}},
}  # fmt: skip
NUMBERS = itertools.count()


def make(folder: Path, count: int = 40, countries=("URY", "DEU"), **options) -> Path:
    database = folder / f"made-up-{next(NUMBERS)}.duckdb"
    synthesise(database, SHARES, ITEMS, countries, count, **options)
    return database


def rows(database: Path, query: str) -> list[tuple]:
    with contextlib.closing(open_respondents(database)) as con:
        return con.execute(query).fetchall()


def test_every_row_says_that_it_is_synthetic(tmp_path):
    database = make(tmp_path)
    for table in ("respondents", "answers"):
        assert rows(database, f"select distinct synthetic from {table}") == [(True,)]
    ids = rows(database, "select respondent_id from respondents")
    assert len(set(ids)) == 80 and all("-synthetic-" in name for (name,) in ids)
    meta = dict(rows(database, "from meta"))
    assert meta["synthetic"] == "true" and "independent" in meta["caution"]
    assert rows(database, "select problem from notes where subject = 'respondents'") == [
        ("synthetic sample",)
    ]
    assert all(person.synthetic for person in draw_respondents(database, "DEU", 5))


def test_the_tables_are_those_of_a_loaded_file(tmp_path):
    load_survey(write_csv(tmp_path / "wvs.csv", people()), tmp_path / "real.duckdb", ITEMS)
    query = """select table_name, column_name, data_type, comment from duckdb_columns()
        where schema_name = 'main' and not internal order by all"""
    assert rows(make(tmp_path), query) == rows(tmp_path / "real.duckdb", query)


def test_the_same_seed_gives_the_same_people_and_more_people_begin_with_fewer(tmp_path):
    query = "from respondents where country = 'URY' order by respondent_id"
    columns = '* exclude ("S018", weight_pooled)'
    few = rows(make(tmp_path, 20), f"select {columns} {query}")
    assert rows(make(tmp_path, 20, countries=["URY"]), f"select {columns} {query}") == few
    assert rows(make(tmp_path, 40), f"select {columns} {query}")[:20] == few
    assert rows(make(tmp_path, 20, seed=1), f"select {columns} {query}") != few


def test_answers_follow_the_shares(tmp_path):
    database = make(tmp_path, 4000, countries=["URY"])
    found = national_answers(database)
    assert found["URY", "Q1"].shares == pytest.approx(
        (0.7 / 0.95, 0.2 / 0.95, 0, 0.05 / 0.95), abs=0.03
    )
    assert found["URY", "Q1"].missing == pytest.approx(0.05, abs=0.015)
    assert found["URY", "Q7"].shares == pytest.approx((0.25, 0.75), abs=0.03)
    assert found["URY", "Q119"].shares == pytest.approx((0, 0, 0.5, 0, 0.5), abs=0.03)
    assert found["URY", "Q254"].missing == pytest.approx(0.5, abs=0.03)
    pairs = rows(database, 'select avg(("Q7" = 1)::int) from respondents group by "Q119" = 0')
    assert [share for (share,) in pairs] == pytest.approx([0.25, 0.25], abs=0.05)


def test_what_was_not_asked_or_not_answered_has_its_code(tmp_path):
    database = make(tmp_path, 300)
    query = "select distinct raw from answers where country = '{}' and item = '{}' order by raw"
    assert rows(database, query.format("URY", "Q57")) == [(-4,)]
    assert rows(database, query.format("DEU", "Q57")) == [(-4,)]
    assert rows(database, query.format("DEU", "Q119")) == [(-5,), (1,), (2,)]
    assert rows(database, query.format("DEU", "Q7")) == [(2,)]
    assert set(rows(database, "select subject, country from notes where country is not null")) == {
        ("Q57", "URY"), ("Q57", "DEU"), ("Q254", "DEU"),
    }  # fmt: skip


def test_the_shipped_national_answers_can_be_drawn_from(tmp_path):
    marginals, items = load_marginals(), preset("clca-44")
    shares = shares_of_sample(marginals)
    report = synthesise(tmp_path / "all.duckdb", shares, items, marginals.countries, 200)
    assert report.respondents == 200 * 19 and len(report.items) == 44
    found = national_answers(tmp_path / "all.duckdb", weights="none")
    for country in ("CHN", "DEU", "MEX"):
        cell = marginals.cell(country, "Q45")
        assert found[country, "Q45"].shares == pytest.approx(cell.shares, abs=0.12)
    people = draw_respondents(tmp_path / "all.duckdb", "MEX", 200, items=["Q1", "Q45"])
    assert all(None not in person.demographics.values() for person in people)
    assert set(people[0].demographics) == set(CLCA_FIELDS)


def test_draws_are_paired_by_seed_and_without_replacement(tmp_path):
    database = make(tmp_path)
    few = draw_respondents(database, "URY", 10, seed=3, items=["Q1"])
    assert draw_respondents(database, "URY", 25, seed=3, items=["Q1"])[:10] == few
    assert len({person.id for person in few}) == 10
    assert draw_respondents(database, "URY", 10, seed=4, items=["Q1"]) != few
    assert len(draw_respondents(database, "URY", fields=[])) == 40
    for arguments, words in (
        (("FRA", 5), "no respondents from 'FRA'; there are from DEU, URY"),
        (("URY", 41), "cannot draw 41 of the 40"),
        (("URY", 0), "cannot draw 0 of the 40"),
    ):
        with pytest.raises(UserError, match=words):
            draw_respondents(database, *arguments)
    with pytest.raises(UserError, match=r"not in your file .*: Q2"):
        draw_respondents(database, "URY", 5, items=["Q2"])
    with pytest.raises(UserError, match="unknown demographic 'Q1'"):
        draw_respondents(database, "URY", 5, fields=["Q1"])


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"FRA": {}}, "no national answers to draw from for 'URY'; there are for FRA"),
        ({"URY": {"Q1": {9: 0.5}}}, "URY, Q1: code 9 is none of 1, 2, 3, 4"),
        ({"URY": {"Q1": {1: 0.8, 2: 0.3}}}, "sum to at most 1; they sum to 1.1"),
        ({"URY": {"Q1": {1: -0.1}}}, "0 or more"),
    ],
)
def test_shares_that_are_none_are_refused(tmp_path, shares, words):
    with pytest.raises(UserError, match=words):
        synthesise(tmp_path / "bad.duckdb", shares, ITEMS, ["URY"], 5)
    assert not (tmp_path / "bad.duckdb").exists()


def test_a_sample_needs_people(tmp_path):
    with pytest.raises(UserError, match="cannot make 0 respondents"):
        make(tmp_path, 0)


@given(st.sampled_from(["DEU", "MEX", "ZWE"]), st.integers(0, 10**6), st.integers(1, 10**6))
def test_nobody_is_impossible(country, seed, number):
    person = draw_person(country, seed, number)
    age = person["Q262"]
    assert 18 <= age <= 85 and set(CLCA_FIELDS) <= set(person)
    lowest = {1: 18, 2: 25, 3: 35, 4: 45, 5: 55, 6: 65}[person["X003R"]]
    assert lowest <= age
    assert person["Q275"] < 6 or age >= 22
    assert person["Q273"] not in (1, 2) or person["Q270"] >= 2
    assert person["Q279"] != 6 or age < 60
    assert person["Q279"] != 4 or age >= 60
    assert person["Q281"] != 0 or person["Q279"] in (5, 6, 7)
    assert person["Q281"] not in (9, 10) or person["H_URBRURAL"] == 2
    assert person["H_SETTLEMENT"] != 1 or person["H_URBRURAL"] == 1
