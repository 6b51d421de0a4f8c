"""National answers by SQL, against hand-computed values and a plain second computation."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from survey_files import people, write_csv

from eval.item import load_items
from eval.respondents.national import National, national_answers, national_grid
from eval.respondents.survey import load_survey
from folkways.errors import UserError

ITEMS = load_items()


def loaded(folder: Path, *items: str, **changes) -> Path:
    database = folder / "people.duckdb"
    cells = people() | {"B_COUNTRY_ALPHA": ["DEU"] * 6} | changes
    load_survey(
        write_csv(folder / "wvs.csv", cells),
        database,
        [ITEMS[item] for item in items],
        replace=True,
    )
    return database


def oracle(folder: Path, weights: str) -> National:
    """Return the cell of the worked example: four codes, two kinds of missing answers."""
    database = loaded(
        folder, "Q1", Q1=[1, 1, 2, -1, 4, -2], W_WEIGHT=[1, 2, 0.5, 1, 0.5, 3], S018=[2] * 6
    )
    return national_answers(database, weights=weights)["DEU", "Q1"]


def test_weighted_shares_and_missing_answers_of_the_worked_example(tmp_path):
    cell = oracle(tmp_path, "national")
    assert cell.codes == (1, 2, 3, 4) and cell.shares == (0.75, 0.125, 0, 0.125)
    assert (cell.dont_know, cell.no_answer) == (0.125, 0.375)
    assert cell.effective == pytest.approx(2.909091, abs=1e-6)
    assert (cell.valid, cell.asked, cell.respondents) == (4, 6, 6)


def test_unweighted_shares_of_the_worked_example(tmp_path):
    cell = oracle(tmp_path, "none")
    assert cell.shares == (0.5, 0.25, 0, 0.25) and cell.effective == 4
    assert cell.dont_know == pytest.approx(1 / 6)


def test_a_constant_factor_does_not_change_a_country(tmp_path):
    assert oracle(tmp_path, "pooled").shares == oracle(tmp_path, "national").shares


def test_recodes_and_codes_off_the_scale(tmp_path):
    database = loaded(
        tmp_path, "Q119", "Q254", W_WEIGHT=[1] * 6,
        Q119=[0, 0, 3, 4, 1, 2], Q254=[1, 5, 5, 2, -3, -5],
    )  # fmt: skip
    found = national_answers(database)
    assert found["DEU", "Q119"].codes == (1, 2, 3, 4, 5)
    assert found["DEU", "Q119"].shares == pytest.approx((1 / 6, 1 / 6, 2 / 6, 1 / 6, 1 / 6))
    pride = found["DEU", "Q254"]
    assert pride.shares == (0.5, 0.5, 0, 0) and (pride.valid, pride.asked) == (2, 4)
    assert pride.missing == pytest.approx(4 / 6)


def test_indices_can_be_asked_for_and_are_valid_below_zero(tmp_path):
    cell = national_answers(loaded(tmp_path, "Q1"), ["Y003"], weights="none")["DEU", "Y003"]
    assert cell.codes == (-2, -1, 0, 1, 2) and cell.shares == (0.2,) * 5


def test_a_cell_without_a_valid_answer_has_no_shares(tmp_path):
    database = loaded(tmp_path, "Q1", "Q57", Q57=[-4] * 6)
    cell = national_answers(database)["DEU", "Q57"]
    assert (cell.shares, cell.valid, cell.asked, cell.dont_know) == ((), 0, 0, 0.0)
    grid = national_grid(national_answers(database), nominal=())
    assert np.isnan(grid.shares[0, 1]).all() and not grid.asked[0, 1] and grid.asked[0, 0]


def test_respondents_who_weigh_nothing_do_not_count(tmp_path):
    database = loaded(tmp_path, "Q1", Q1=[1, 2, 3, 4, 1, 1], W_WEIGHT=[1, 0, "", "x", -1, 1])
    cell = national_answers(database)["DEU", "Q1"]
    assert cell.shares == (1, 0, 0, 0) and (cell.valid, cell.respondents) == (2, 6)


def test_what_is_not_there_is_an_error(tmp_path):
    database = loaded(tmp_path, "Q1", PWGHT=[""] * 6)
    for options, words in (
        ({"items": ["Q2"]}, "not in your file .*: Q2"),
        ({"countries": ["FRA"]}, "no respondents from 'FRA'; there are from DEU"),
        ({"weights": "best"}, "unknown weights 'best'"),
        ({"weights": "population"}, "nobody from DEU has a weight for 'population'"),
    ):
        with pytest.raises(UserError, match=words):
            national_answers(database, **options)
    with pytest.raises(UserError, match="no such file"):
        national_answers(tmp_path / "absent.duckdb")


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from([1, 2, 3, 4, -1, -2, -4, -5]), min_size=6, max_size=6),
    st.lists(st.integers(0, 9), min_size=6, max_size=6).filter(any),
)
def test_sql_agrees_with_a_plain_count(tmp_path, answers, weights):
    database = loaded(tmp_path, "Q1", Q1=answers, W_WEIGHT=weights)
    cell = national_answers(database)["DEU", "Q1"]
    pairs = list(zip(answers, weights, strict=True))
    valid = [(answer, weight) for answer, weight in pairs if answer > 0]
    total = sum(weight for _, weight in valid)
    if total:
        shares = [sum(w for a, w in valid if a == code) / total for code in (1, 2, 3, 4)]
        assert cell.shares == pytest.approx(shares)
        assert cell.effective == pytest.approx(total**2 / sum(w * w for _, w in valid))
    else:
        assert cell.shares == ()
    asked = sum(weight for answer, weight in pairs if answer not in (-4, -5))
    unsure = sum(weight for answer, weight in pairs if answer == -1)
    assert cell.dont_know == pytest.approx(unsure / asked if asked else 0)
