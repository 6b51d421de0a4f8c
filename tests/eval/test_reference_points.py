"""The shipped national answers, and every published or derived score that follows from them."""

from __future__ import annotations

import csv
from functools import cache

import numpy as np
import pytest

from eval.item import load_items, preset
from eval.metrics import baseline
from eval.metrics import inglehart_welzel as iw
from eval.metrics.accuracy import expected_accuracy_clca
from eval.metrics.culture_score import (
    agreement,
    culturespa,
    equal_weight,
    expected_culturespa,
    gold,
    neighbours,
    score_matrix,
    structure_correlation,
)
from eval.metrics.grid import Floats, Grid
from eval.metrics.metric import Answers, js_distance, kl, measure, tv, w1
from eval.respondents.marginals import PEOPLE, load_marginals
from folkways.errors import UserError
from scenarios.culture import load_cultures

MARGINALS = load_marginals()


@cache
def spa() -> Grid:
    """The 18 countries of CultureSPA in its order, on the codes of the file."""
    return MARGINALS.file_grid(MARGINALS.culturespa, MARGINALS.items)


def test_every_cell_is_whole_people():
    assert len(MARGINALS.cells) == 4861
    for cell in MARGINALS.cells.values():
        assert sum(cell.shares) == pytest.approx(1)
        assert 0 < cell.valid <= cell.respondents and 0 <= cell.missing < 1
        assert cell.counts[cell.codes.index(cell.mode)] == max(cell.counts)
    with (PEOPLE / "marginals.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            cell = MARGINALS.cell(row["country"], row["item"])
            share = cell.shares[cell.codes.index(int(row["code"]))]
            # Six decimals are less than a tenth of a person, so the counts are exact.
            assert abs(share - float(row["share"])) * cell.valid < 0.0021


def test_sizes_and_what_was_not_asked():
    sizes = {cell.country: cell.respondents for cell in MARGINALS.cells.values()}
    assert sum(sizes.values()) == 35611 and sizes["IND"] == 1692 and sizes["GBR"] == 2609
    absent = {
        country: sum((country, item) not in MARGINALS.cells for item in MARGINALS.items)
        for country in MARGINALS.countries
    }
    gaps = {"CHN": 37, "GBR": 13, "AUS": 2, "NZL": 2, "USA": 2}
    assert (
        absent
        == dict.fromkeys(MARGINALS.countries, 0)
        | dict.fromkeys(("BOL", "DEU", "RUS", "THA"), 1)
        | gaps
    )
    assert MARGINALS.cell("CHN", "Q105").missing == pytest.approx(0.77, abs=0.005)


def test_ties_go_to_the_answer_that_the_source_puts_first():
    tied = {
        (cell.country, cell.item): cell.mode
        for cell in MARGINALS.cells.values()
        if sorted(cell.counts)[-1] == sorted(cell.counts)[-2]
    }
    assert tied == {
        ("BOL", "Q50"): 8, ("BOL", "Q163"): 5, ("BRA", "Q231"): 3, ("KEN", "Q89"): 1,
        ("MEX", "Q204"): 5, ("NLD", "Q110"): 3, ("NLD", "Q163"): 8, ("NZL", "Q35"): 5,
        ("NZL", "Q193"): 10,
    }  # fmt: skip


def test_items_and_points_are_those_of_the_registry():
    items = load_items()
    assert tuple(items) == MARGINALS.items
    for cell in MARGINALS.cells.values():
        item = items[cell.item]
        assert cell.codes == tuple(item.options)
        moved = cell.recoded(item.recode, item.other)
        assert moved is not None and moved.codes == item.points
        kept = [n for code, n in zip(cell.codes, cell.counts, strict=True) if item.valid(code)]
        assert moved.valid == sum(kept) and moved.respondents == cell.respondents


def test_recodes_of_a_cell():
    raw = MARGINALS.cell("DEU", "Q111")
    moved = raw.recoded({}, [3])
    assert moved is not None
    assert (moved.counts, moved.codes) == (raw.counts[:2], (1, 2))
    assert moved.missing == pytest.approx(raw.missing + raw.counts[2] / raw.respondents)
    together = MARGINALS.cell("USA", "Q241").recoded({0: 1})
    assert together is not None and together.codes == tuple(range(1, 11))
    assert together.counts[0] == sum(MARGINALS.cell("USA", "Q241").counts[:2])
    assert MARGINALS.cell("BRA", "Q231").recoded({3: 4, 4: 3}).mode == 4  # type: ignore[union-attr]
    assert raw.recoded({}, [1, 2, 3]) is None


def test_a_grid_of_points_leaves_out_what_is_no_point():
    grid = MARGINALS.grid(["DEU", "CHN"], preset("culturespa-259"))
    at = {item: place for place, item in enumerate(grid.scales.items)}
    assert grid.scales.lengths[at["Q111"]] == 2 and grid.scales.lengths[at["Q241"]] == 10
    assert not grid.scales.ordinal[at["Q154"]] and grid.scales.ordinal[at["Q1"]]
    assert np.isnan(grid.shares[1, at["Q82"]]).all() and not grid.asked[1, at["Q82"]]
    assert grid.shares[grid.asked].sum(axis=1) == pytest.approx(1)
    assert np.isnan(grid.mean[1, at["Q82"]]) and np.isnan(grid.median[1, at["Q82"]])


@pytest.mark.parametrize(
    ("country", "item", "message"),
    [
        ("JPN", "Q1", "no national answers for 'JPN'; there are for AUS, .*, ZWE; for others load"),
        ("CHN", "Q82", "Q82 has no answers from CHN: it was not asked there"),
        ("CHN", "Q300", "unknown item 'Q300'; known: Q1, "),
    ],
)
def test_what_is_not_there_is_said(country, item, message):
    with pytest.raises(UserError, match=message):
        MARGINALS.cell(country, item)


def test_a_grid_needs_countries_and_items_with_data():
    with pytest.raises(UserError, match="'JPN'"):
        MARGINALS.grid(["DEU", "JPN"], preset("clca-44"))
    with pytest.raises(UserError, match="unknown item 'Q260'"):
        MARGINALS.file_grid(["DEU"], ["Q1", "Q260"])


def test_mean_and_median_are_those_of_the_people():
    grid = spa()
    for country, item in (("USA", "Q119"), ("CHN", "Q182"), ("KEN", "Q1"), ("NLD", "Q241")):
        cell = MARGINALS.cell(country, item)
        people = np.repeat(cell.codes, cell.counts)
        place = grid.countries.index(country), grid.scales.items.index(item)
        assert grid.mean[place] == pytest.approx(people.mean())
        assert grid.median[place] == np.sort(people)[(len(people) - 1) // 2]


# spec: distances between Germany and Mexico.


@pytest.mark.parametrize(
    ("item", "wanted"),
    [
        ("Q1", (0.0313, 0.0860, 0.1467, 0.0778)),
        ("Q45", (0.1037, 0.1916, 0.2575, 0.2070)),
        ("Q182", (0.3908, 0.4864, 0.4740, 0.7441)),
    ],
)
def test_germany_and_mexico(item, wanted):
    germany, mexico = (np.array(MARGINALS.cell(each, item).shares) for each in ("DEU", "MEX"))
    codes = np.array(MARGINALS.cell("DEU", item).codes, dtype=float)
    found = w1(germany, mexico, codes), tv(germany, mexico), js_distance(germany, mexico)
    assert found == pytest.approx(wanted[:3], abs=6e-5)
    assert float(kl(germany, mexico, alpha=0)) == pytest.approx(wanted[3], abs=6e-5)


# CLCA: 44 items, five ways to answer without reading them.

CLCA = ("CHN", "DEU", "GBR", "MEX")


@cache
def clca() -> Grid:
    return MARGINALS.grid(CLCA, preset("clca-44"))


@pytest.mark.parametrize(
    ("name", "compat", "natural", "accuracy"),
    [
        ("people", (0.3694, 0.3569, 0.3543, 0.3099), (0,) * 4, (0.5372, 0.5482, 0.5298, 0.4871)),
        (
            *("national-mode", (0.3210, 0.3195, 0.3333, 0.2828)),
            *((0.3624, 0.3568, 0.3748, 0.4056), (0.6496, 0.6444, 0.6130, 0.5852)),
        ),
        (
            *("uniform", (0.5250, 0.5207, 0.5046, 0.4201)),
            *((0.2711, 0.2717, 0.2535, 0.2106), (0.3564, 0.3556, 0.3542, 0.3579)),
        ),
        (
            *("first", (0.6075, 0.6883, 0.6852, 0.5075)),
            *((0.5488, 0.6119, 0.6219, 0.5500), (0.3650, 0.2788, 0.2655, 0.3614)),
        ),
        (
            *("last", (0.6887, 0.5603, 0.5299, 0.5167)),
            *((0.6105, 0.5156, 0.5054, 0.5640), (0.2832, 0.4072, 0.4192, 0.3523)),
        ),
    ],
)
def test_clca_reference_points(name, compat, natural, accuracy):
    grid = clca()
    model = baseline.DISTRIBUTIONS[name](grid)
    nobody = np.zeros(grid.mode.shape)
    cells = measure(grid.shares, Answers(model * 1000, nobody), grid.scales)
    assert cells["clca_compat_kl"].mean(axis=1) == pytest.approx(compat, abs=6e-5)
    assert cells["js_natural"].mean(axis=1) == pytest.approx(natural, abs=6e-5)
    assert cells["clca_compat_js"].mean(axis=1) == pytest.approx(natural, abs=6e-5)
    found = expected_accuracy_clca(grid.shares, grid.missing, model).mean(axis=1)
    assert found == pytest.approx(accuracy, abs=6e-5)


def test_clca_with_nothing_but_invalid_answers():
    grid = clca()
    refused = Answers(np.zeros(grid.shares.shape), np.full(grid.mode.shape, 1000.0))
    cells = measure(grid.shares, refused, grid.scales)
    wanted = (0.9748, 0.9705, 0.9544, 0.8699)
    assert cells["clca_compat_kl"].mean(axis=1) == pytest.approx(wanted, abs=6e-5)
    assert cells["clca_compat_js"] == pytest.approx(0.832555, abs=6e-7)
    assert (cells["tv_penalised"] == 1).all() and np.isnan(cells["kl"]).all()


def test_clca_chance_before_missing_answers():
    assert (1 / clca().scales.lengths).mean() == pytest.approx(0.3591, abs=6e-5)


# CultureSPA: 18 countries, 259 items, modal codes.

SPA_ROWS = """
USA 257 68.54 74.58 60.79
CAN 259 64.35 73.22 62.04
BOL 258 60.96 68.66 57.52
BRA 259 65.90 69.22 54.73
GBR 246 63.68 71.25 60.86
NLD 259 60.51 70.14 61.23
DEU 258 64.83 71.89 59.02
UKR 259 75.99 78.29 59.14
CHN 222 65.95 73.01 57.67
RUS 258 73.60 76.00 59.11
IND 259 62.74 69.16 53.50
THA 258 65.02 74.29 63.17
KEN 259 63.09 68.57 54.79
NGA 259 61.10 65.70 53.19
ETH 259 62.99 68.75 53.88
ZWE 259 60.19 66.50 53.20
AUS 257 62.66 70.62 59.04
NZL 257 61.15 69.67 60.18
"""


def spa_score(sheet: Floats) -> Floats:
    return culturespa(sheet, gold(spa()), spa().scales)


def test_culturespa_by_country():
    rows = [line.split() for line in SPA_ROWS.split("\n") if line]
    assert [row[0] for row in rows] == list(spa().countries)
    assert spa().asked.sum(axis=1).tolist() == [int(row[1]) for row in rows]
    sheets = (
        baseline.world_mode_sheet(spa()),
        np.round(baseline.mean_of_modes_sheet(spa())),
        baseline.middle_sheet(spa()),
    )
    for column, sheet in enumerate(sheets, start=2):
        wanted = [float(row[column]) for row in rows]
        assert spa_score(sheet) == pytest.approx(wanted, abs=0.0051)
    means = [spa_score(sheet).mean() for sheet in sheets]
    assert means == pytest.approx([64.62, 71.09, 57.95], abs=0.0051)
    assert spa().asked.sum() == 4602


def test_culturespa_controls():
    grid, target = spa(), gold(spa())
    means = baseline.mean_of_modes_sheet(grid)
    middle = baseline.middle_sheet(grid)
    found = {
        "last": expected_culturespa(baseline.last(grid), target, grid.scales),
        "first": expected_culturespa(baseline.first(grid), target, grid.scales),
        "uniform": expected_culturespa(baseline.uniform(grid), target, grid.scales),
        "ceiling": spa_score(np.ceil(middle)),
        "floor": spa_score(np.floor(middle)),
        "common": spa_score(baseline.world_mode_sheet(grid, leave_one_out=False)),
        "common of others": expected_culturespa(baseline.world_mode(grid), target, grid.scales),
        "pooled": spa_score(baseline.pooled_mode_sheet(grid, leave_one_out=False)),
        "pooled of others": spa_score(baseline.pooled_mode_sheet(grid)),
        "half up": spa_score(np.floor(means + 0.5)),
        "unrounded": spa_score(means),
        "national mode": expected_culturespa(baseline.national_mode(grid), target, grid.scales),
    }
    assert {name: float(scores.mean()) for name, scores in found.items()} == pytest.approx(
        {
            "last": 30.34, "first": 39.36, "uniform": 46.25, "ceiling": 56.01, "floor": 58.09,
            "common": 65.79, "common of others": 64.62, "pooled": 66.12, "pooled of others": 64.41,
            "half up": 71.00, "unrounded": 71.59, "national mode": 100,
        },
        abs=0.0051,
    )  # fmt: skip


def test_culturespa_of_uniform_sheets():
    grid, rng = spa(), np.random.default_rng(7)
    first = grid.scales.codes[:, 0]
    drawn = [
        spa_score(np.floor(rng.random(grid.mode.shape) * grid.scales.lengths) + first).mean()
        for _ in range(300)
    ]
    assert np.mean(drawn) == pytest.approx(46.3, abs=0.15)
    assert np.std(drawn) == pytest.approx(0.7, abs=0.1)


def test_american_modes_for_everybody():
    scores = expected_culturespa(baseline.other_country(spa(), "USA"), gold(spa()), spa().scales)
    by_country = dict(zip(spa().countries, scores.tolist(), strict=True))
    assert by_country.pop("USA") == 100
    assert min(by_country, key=by_country.__getitem__) == "ZWE"
    assert max(by_country, key=by_country.__getitem__) == "CAN"
    assert (by_country["ZWE"], by_country["CAN"]) == pytest.approx((54.3, 71.3), abs=0.051)
    with pytest.raises(UserError, match="unknown country 'MEX'"):
        baseline.other_country(spa(), "MEX")


LIKENESS = (
    "USA CAN 71.3, USA GBR 70.3, USA ZWE 54.3, AUS NZL 86.6, CAN NLD 84.2, UKR RUS 79.1, "
    "CHN RUS 71.1, DEU AUS 78.9, BOL ZWE 71.0, NZL ZWE 45.6"
)


def test_likeness_of_countries():
    matrix = score_matrix(gold(spa()), spa().scales)
    for pair in LIKENESS.split(", "):
        one, two, wanted = pair.split()
        cell = matrix[spa().countries.index(one), spa().countries.index(two)]
        assert cell == pytest.approx(float(wanted), abs=0.051), pair
    above = np.triu_indices(18, 1)
    assert len(matrix[above]) == 153
    assert matrix[above].mean() == pytest.approx(61.88, abs=0.0051)
    assert structure_correlation(matrix, matrix) == pytest.approx(1)


NEIGHBOURS = """
USA CAN,GBR,NZL / ZWE,NGA,IND · CAN NLD,AUS,GBR / NGA,ZWE,KEN · BOL ZWE,IND,UKR / NZL,AUS,GBR ·
BRA USA,UKR,KEN / IND,ZWE,NGA · GBR CAN,NLD,AUS / ZWE,NGA,ETH · NLD CAN,AUS,GBR / NGA,ZWE,KEN ·
DEU AUS,NZL,NLD / ZWE,NGA,KEN · UKR RUS,ETH,CHN / NZL,NLD,AUS · CHN RUS,UKR,ETH / BRA,NZL,GBR ·
RUS UKR,CHN,ETH / NZL,NLD,AUS · IND UKR,BOL,CHN / GBR,NZL,NLD · THA UKR,CHN,BOL / AUS,NLD,NZL ·
KEN UKR,ETH,NGA / NZL,NLD,AUS · NGA ZWE,ETH,KEN / NZL,NLD,AUS · ETH UKR,CHN,ZWE / NZL,NLD,AUS ·
ZWE BOL,NGA,ETH / NZL,NLD,AUS · AUS NZL,NLD,CAN / ZWE,NGA,KEN · NZL AUS,NLD,CAN / ZWE,NGA,ETH
"""


def test_neighbours_are_those_of_the_released_prompts():
    matrix = score_matrix(gold(spa()), spa().scales)
    for entry in NEIGHBOURS.replace("\n", " ").split("·"):
        country, like, _, unlike = entry.split()
        found = neighbours(matrix, spa().countries, country)
        assert found == (tuple(like.split(",")), tuple(unlike.split(","))), country


def test_what_moves_the_score():
    grid = spa()
    squared = (grid.scales.lengths - 1) ** 2
    long = grid.scales.lengths >= 10
    assert long.sum() == 51
    assert squared[long].sum() / squared.sum() == pytest.approx(0.729, abs=6e-4)
    apart = np.abs(grid.mode - grid.mean) / (grid.scales.lengths - 1)
    assert np.nanmean(apart) == pytest.approx(0.189, abs=6e-4)
    modal = np.where(grid.asked, grid.shares.max(axis=2) * (1 - grid.missing), np.nan)
    medians = np.nanmedian(modal, axis=1)
    assert (medians.min(), medians.max()) == pytest.approx((0.42, 0.59), abs=6e-3)
    middle = equal_weight(baseline.middle_sheet(grid), gold(grid), grid.scales)
    assert middle.mean() == pytest.approx(62.73, abs=0.0051)


def test_the_gold_that_is_chosen_decides():
    grid = spa()
    assert (agreement(gold(grid), gold(grid)) == 1).all()
    means = [
        float(culturespa(baseline.middle_sheet(grid), gold(grid, kind), grid.scales).mean())
        for kind in ("mode", "median", "mean")
    ]
    assert means == sorted(means) and means[2] - means[0] > 10


# Baselines in general.


@pytest.mark.parametrize("name", baseline.DISTRIBUTIONS)
def test_a_baseline_is_a_distribution_over_the_scale(name):
    for grid in (spa(), clca()):
        model = baseline.DISTRIBUTIONS[name](grid)
        assert model.shape == grid.shares.shape
        known = ~np.isnan(model[..., 0])
        assert model[known].sum(axis=1) == pytest.approx(1)
        assert (model[known] >= 0).all()
        assert (np.where(grid.scales.on, 0, np.nan_to_num(model)) == 0).all()
        assert known[grid.asked].all()


def test_the_middle_is_one_option_or_two_halves():
    model = dict(zip(clca().scales.items, baseline.middle(clca())[0], strict=True))
    assert model["Q33"].tolist() == [0, 0, 1, 0, 0]
    assert model["Q1"].tolist() == [0, 0.5, 0.5, 0, 0]
    assert model["Q7"].tolist() == [0.5, 0.5, 0, 0, 0]


def test_a_sample_has_n_answers_and_the_peoples_mean():
    grid = clca()
    counts = baseline.sample(grid.shares, 400, np.random.default_rng(1))
    assert (counts.sum(axis=2) == 400).all() and (counts == np.round(counts)).all()
    assert counts.mean() / 400 == pytest.approx(grid.shares.mean())
    assert np.abs(counts / 400 - grid.shares).max() < 0.15
    gaps = baseline.sample(spa().shares, 5, np.random.default_rng(1))
    assert (np.isnan(gaps[..., 0]) == ~spa().asked).all()


# The map.


def test_autonomy_of_five_nations():
    grid = MARGINALS.file_grid(("DEU", "MEX", "CHN", "GBR", "USA"), MARGINALS.items)
    found = iw.expected_indices(grid.shares, grid.scales)[:, iw.load_map().indices.index("Y003")]
    assert found == pytest.approx((0.820, -0.320, 0.927, 0.712, 0.453), abs=1e-3)


def test_nations_fall_near_their_published_places():
    items = tuple(load_items()[item] for item in iw.fourteen_items())
    grid = MARGINALS.grid(MARGINALS.countries, items)
    placed = iw.place(iw.expected_indices(grid.shares, grid.scales))
    by_country = {each.country: each for each in iw.load_centroids() if each.country}
    published = np.array([by_country[each][3:] for each in grid.countries])
    # Other years, no weights, and a joint distribution assumed: near, not equal.
    assert np.corrcoef(placed[:, 0], published[:, 0])[0, 1] > 0.97
    assert np.corrcoef(placed[:, 1], published[:, 1])[0, 1] > 0.85
    raw = MARGINALS.file_grid(grid.countries, MARGINALS.items)
    assert iw.place(iw.expected_indices(raw.shares, raw.scales)) == pytest.approx(placed)


def test_centroids_are_those_of_the_cultures():
    placed = {each.country: each for each in iw.load_centroids() if each.country}
    assert len(iw.load_centroids()) == 107 and len(placed) == 104
    for culture in load_cultures().values():
        coordinates = culture.inglehart_welzel
        assert placed[culture.id].survival_self_expression == pytest.approx(
            coordinates.survival_self_expression, abs=6e-4
        )
        assert placed[culture.id].traditional_secular == pytest.approx(
            coordinates.traditional_secular, abs=6e-4
        )
