"""Intervals, paired tests and noise floors against formulas, loops and scipy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from eval.metrics import bootstrap, sampling
from eval.metrics.bootstrap import (
    compare,
    draw_weights,
    estimate,
    interval,
    ratio,
    resample,
    tabulate,
)
from eval.metrics.culture_score import culturespa, gold, squares
from eval.metrics.grid import Floats, Scales, as_floats
from eval.metrics.metric import Answers, measure
from eval.metrics.sampling import (
    basic_interval,
    compare_distances,
    noise_floor,
    pool,
    resample_distances,
)
from eval.respondents.marginals import load_marginals


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def even_scales(items: int, points: int) -> Scales:
    codes = np.tile(np.arange(1.0, points + 1), (items, 1))
    ids = tuple(f"Q{n}" for n in range(items))
    return Scales(ids, codes, np.ones(codes.shape, bool), np.ones(items, bool))


def test_weights_are_draws_with_replacement():
    drawn = draw_weights(40, 5000, rng())
    assert drawn.shape == (5000, 40)
    assert (drawn.sum(axis=1) == 40).all() and (drawn == np.round(drawn)).all()
    assert drawn.mean(axis=0) == pytest.approx(1, abs=0.08)
    assert drawn.var() == pytest.approx(1 - 1 / 40, rel=0.03)


def test_an_interval_over_items_is_that_of_scipy():
    scores = rng(3).beta(2, 3, 44)
    found = interval(tabulate(scores[None]), rng(), rows=False, items=True)
    wanted = stats.bootstrap(
        (scores,), np.mean, method="percentile", rng=rng(2)
    ).confidence_interval
    assert found.estimate == pytest.approx(scores.mean())
    assert (found.low[0], found.high[0]) == pytest.approx((wanted.low, wanted.high), abs=0.004)


def test_an_interval_over_respondents_is_that_of_scipy():
    scores = rng(3).random((60, 5))
    by_person = scores.mean(axis=1)
    table = tabulate(scores, group=np.zeros(60, int))
    found = interval(table, rng(), rows=True, items=False, level=0.9)
    wanted = stats.bootstrap(
        (by_person,), np.mean, method="percentile", confidence_level=0.9, rng=rng(2)
    ).confidence_interval
    assert (found.low[0], found.high[0]) == pytest.approx((wanted.low, wanted.high), abs=0.003)


def gappy(shape: tuple[int, ...], seed: int) -> Floats:
    scores = rng(seed).random(shape)
    scores[rng(seed + 1).random(shape) < 0.2] = np.nan
    return scores


def test_crossed_draws_are_those_of_a_plain_loop():
    """The same distribution as resampling rows within countries and items across them by index."""
    scores, group = gappy((30, 12), 5), np.repeat([0, 1, 2], [5, 10, 15])
    table = tabulate(scores, group=group)
    found = resample(table, rng(), rows=True, items=True, draws=8000)[:, 0]
    source = rng(9)
    looped = []
    for _ in range(4000):
        columns = source.integers(0, 12, 12)
        means = []
        for country in range(3):
            rows = np.flatnonzero(group == country)
            picked = scores[np.ix_(source.choice(rows, len(rows)), columns)]
            means.append(np.nanmean(picked))
        looped.append(np.mean(means))
    assert found.mean() == pytest.approx(np.mean(looped), abs=0.003)
    assert found.std() == pytest.approx(np.std(looped), rel=0.06)
    assert np.quantile(found, [0.025, 0.975]) == pytest.approx(
        np.quantile(looped, [0.025, 0.975]), abs=0.006
    )


def test_countries_count_the_same_and_stay():
    scores = np.concatenate([np.full((2, 4), 0.0), np.full((30, 4), 0.9)])
    table = tabulate(scores, group=np.repeat([0, 1], [2, 30]))
    assert estimate(table) == pytest.approx([0.45])
    assert np.allclose(resample(table, rng(), rows=True, items=True, draws=50), 0.45)


def test_a_country_without_scores_is_left_out():
    scores = as_floats([[1, 0, 1, 0], [np.nan] * 4])
    table = tabulate(scores)
    assert estimate(table) == pytest.approx([0.5])
    assert not np.isnan(resample(table, rng(), rows=False, items=True, draws=200)).all()


def test_clusters_are_drawn_whole():
    """Ten households of four who answer alike are ten, not forty."""
    homes = rng(2).random((10, 6))
    scores = np.repeat(homes, 4, axis=0)
    country = np.zeros(40, int)
    whole = tabulate(scores, group=country, cluster=np.repeat(np.arange(10), 4))
    draw = {"rows": True, "items": False, "draws": 6000}
    alone = resample(tabulate(homes, group=country[:10]), rng(3), **draw).std()
    assert resample(whole, rng(4), **draw).std() == pytest.approx(alone, rel=0.05)
    split = resample(tabulate(scores, group=country), rng(5), **draw).std()
    assert split == pytest.approx(alone / 2, rel=0.05)


def test_a_cluster_number_in_two_countries_is_two_clusters():
    table = tabulate(np.ones((4, 2)), group=np.array([0, 0, 1, 1]), cluster=np.array([7, 7, 7, 8]))
    assert table.cluster.tolist() == [0, 0, 1, 2]


def test_weighted_respondents():
    scores, weights = as_floats([[1, 0], [0, 0]]), as_floats([[3, 3], [1, 1]])
    table = tabulate(scores * weights, weights, group=np.zeros(2, int))
    assert estimate(table) == pytest.approx([3 / 8])


def test_several_metrics_share_their_draws():
    scores = gappy((3, 20), 8)
    both = np.stack([scores, 2 * scores], axis=-1)
    drawn = resample(tabulate(both), rng(), rows=False, items=True, draws=300)
    assert drawn[:, 1] == pytest.approx(2 * drawn[:, 0])
    alone = resample(tabulate(scores), rng(), rows=False, items=True, draws=300)
    assert alone[:, 0] == pytest.approx(drawn[:, 0])


def test_a_seed_repeats():
    table = tabulate(gappy((6, 9), 4), group=np.repeat([0, 1], 3))
    draw = {"rows": True, "items": True, "draws": 500}
    assert (resample(table, rng(), **draw) == resample(table, rng(), **draw)).all()


def test_many_draws_of_many_items_come_in_blocks():
    scores = rng(1).random((1, 2000))
    assert bootstrap.BLOCK / 4000 < 1500
    found = resample(tabulate(scores), rng(), rows=False, items=True, draws=1500)
    assert found.shape == (1500, 1)
    assert found.std() == pytest.approx(scores.std() / np.sqrt(2000), rel=0.06)


@given(st.integers(1, 6), st.integers(1, 8), st.floats(-3, 3), st.booleans(), st.booleans())
@settings(max_examples=40)
def test_equal_scores_have_no_interval(rows, items, score, over_rows, over_items):
    table = tabulate(np.full((rows, items), score), group=np.zeros(rows, int))
    found = interval(table, rng(), rows=over_rows, items=over_items, draws=40)
    assert [*found.estimate, *found.low, *found.high] == pytest.approx([score] * 3)


def test_coverage_over_items():
    hits = 0
    for seed in range(200):
        scores = rng(seed).beta(2, 2, (1, 44))
        found = interval(tabulate(scores), rng(seed), rows=False, items=True, draws=400)
        hits += bool(found.low[0] <= 0.5 <= found.high[0])
    assert 178 <= hits <= 199


# The score of CultureSPA.


def test_culturespa_is_resampled_as_a_score():
    marginals = load_marginals()
    grid = marginals.file_grid(marginals.culturespa, marginals.items)
    target = gold(grid)
    middle = np.broadcast_to(np.floor(grid.scales.codes.mean(axis=1)), target.shape)
    table = tabulate(*squares(middle, target, grid.scales))
    found = interval(table, rng(), rows=False, items=True, statistic=bootstrap.culturespa)
    score = culturespa(middle, target, grid.scales).mean()
    assert found.estimate == pytest.approx([score])
    assert found.low[0] < score < found.high[0]
    source = rng(4)
    looped = []
    for _ in range(1000):
        columns = source.integers(0, 259, 259)
        errors, most = (part[:, columns] for part in squares(middle, target, grid.scales))
        each = 100 * (1 - np.sqrt(np.nansum(errors, axis=1) / np.nansum(most, axis=1)))
        looped.append(each.mean())
    wanted = np.quantile(looped, [0.025, 0.975])
    assert (found.low[0], found.high[0]) == pytest.approx(wanted, abs=0.4)


# Paired differences.


def test_p_is_that_of_every_exchange():
    one, two = rng(1).random((1, 10)), rng(2).random((1, 10)) + 0.15
    found = compare(tabulate(one), tabulate(two), rng(), rows=False, items=True, draws=40_000)
    gaps = (one - two)[0]
    every = [abs(np.mean(gaps * signs)) for signs in itertools.product((-1, 1), repeat=10)]
    exact = np.mean(np.array(every) >= abs(gaps.mean()) - 1e-12)
    assert found.estimate == pytest.approx([gaps.mean()])
    assert found.p_value[0] == pytest.approx(exact, abs=0.01)
    by_scipy = stats.permutation_test(
        (one[0], two[0]), lambda x, y: np.mean(x) - np.mean(y), permutation_type="samples"
    )
    assert found.p_value[0] == pytest.approx(by_scipy.pvalue, abs=0.01)


def test_a_paired_interval_is_that_of_the_gaps():
    one, two = rng(1).random((50, 8)), rng(2).random((50, 8))
    group = np.repeat([0, 1], 25)
    tables = tabulate(one, group=group), tabulate(two, group=group)
    found = compare(*tables, rng(6), rows=True, items=True)
    gaps = interval(tabulate(one - two, group=group), rng(7), rows=True, items=True)
    assert found.estimate == pytest.approx(gaps.estimate)
    assert (found.low[0], found.high[0]) == pytest.approx((gaps.low[0], gaps.high[0]), abs=0.006)


def test_the_larger_p_of_respondents_and_items_counts():
    """Two models that differ on one item only, for every respondent."""
    one, two = np.zeros((40, 12)), np.zeros((40, 12))
    one[:, 0] = 1
    tables = [tabulate(each, group=np.zeros(40, int)) for each in (one, two)]
    rows = compare(*tables, rng(), rows=True, items=False).p_value[0]
    items = compare(*tables, rng(), rows=False, items=True).p_value[0]
    both = compare(*tables, rng(), rows=True, items=True).p_value[0]
    assert rows < 0.001 < items == both == 1


def test_a_model_does_not_differ_from_itself():
    table = tabulate(gappy((9, 7), 3))
    found = compare(table, table, rng(), rows=False, items=True, draws=200)
    assert [each[0] for each in found] == [0, 0, 0, 1]


def test_p_under_no_difference_is_uniform():
    p_values = []
    for seed in range(200):
        drawn = rng(seed).random((2, 1, 30))
        tables = tabulate(drawn[0]), tabulate(drawn[1])
        p_values.append(compare(*tables, rng(seed), rows=False, items=True, draws=300).p_value[0])
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_gaps_differ_between_two_models_of_culturespa_by_exchange():
    scale = even_scales(20, 10)
    target = rng(1).integers(1, 11, (2, 20)).astype(float)
    near = np.clip(target + rng(2).integers(-1, 2, target.shape), 1, 10)
    far = rng(3).integers(1, 11, target.shape).astype(float)
    tables = [tabulate(*squares(sheet, target, scale)) for sheet in (near, far)]
    found = compare(*tables, rng(), rows=False, items=True, statistic=bootstrap.culturespa)
    wanted = culturespa(near, target, scale) - culturespa(far, target, scale)
    assert found.estimate == pytest.approx([wanted.mean()])
    assert found.low[0] > 0 and found.p_value[0] < 0.001


def test_only_the_same_rows_and_items_are_compared():
    with pytest.raises(ValueError, match="same rows and items"):
        compare(tabulate(np.ones((2, 3))), tabulate(np.ones((2, 4))), rng(), rows=True, items=True)
    split = tabulate(np.ones((2, 3)), group=np.array([0, 0]))
    with pytest.raises(ValueError, match="same rows and items"):
        compare(tabulate(np.ones((2, 3))), split, rng(), rows=True, items=True)


def test_a_ratio_without_anything_below_is_nan():
    assert np.isnan(ratio(as_floats([0, 0]))).all()


# Distances.

FLOOR = {
    4: {
        1000: (0.0025, 0.028, 0.013, 0.024),
        300: (0.006, 0.043, 0.020, 0.037),
        100: (0.015, 0.072, 0.032, 0.060),
        30: (0.045, 0.131, 0.057, 0.108),
    },
    10: {
        1000: (0.0075, 0.051, 0.013, 0.043),
        300: (0.018, 0.080, 0.020, 0.066),
        100: (0.044, 0.133, 0.032, 0.108),
        30: (0.117, 0.245, 0.058, 0.192),
    },
}


@pytest.mark.parametrize("points", FLOOR)
@pytest.mark.parametrize("n", FLOOR[4])
def test_the_noise_floor_of_random_populations(points, n):
    population = rng(points).dirichlet(np.ones(points), 4000)
    asked = np.full(4000, 1500.0)
    names = ("kl", "js_distance", "w1", "tv")
    scale = even_scales(4000, points)
    floor = noise_floor(population, scale, n, asked, rng(n), draws=2, names=names)
    for name, wanted in zip(names, FLOOR[points][n], strict=True):
        digits = 1e-4 if wanted < 0.005 or wanted == 0.0075 else 1e-3
        assert floor[name].mean() == pytest.approx(wanted, abs=0.6 * digits + 0.02 * wanted), name


def test_the_bias_of_kl_is_half_a_degree_of_freedom_each():
    population = rng().dirichlet(np.full(4, 20.0), 2000)
    asked = np.full(2000, 800.0)
    found = noise_floor(population, even_scales(2000, 4), 400, asked, rng(), draws=3, names=["kl"])
    assert found["kl"].mean() == pytest.approx(1.5 * (1 / 400 + 1 / 800), rel=0.05)


def test_no_noise_where_nothing_is_sampled():
    grid = load_marginals().file_grid(("DEU", "CHN"), ("Q1", "Q82", "Q182"))
    floor = noise_floor(grid.shares, grid.scales, None, None, rng(), draws=3)
    assert floor["tv"].shape == (3, 2)
    assert all(values == pytest.approx(0, abs=1e-4) for values in floor.values())
    people = noise_floor(grid.shares, grid.scales, None, grid.valid, rng(), draws=3)
    assert (people["tv"] > 0).all()


def crowd(seed: int, rows: int, items: int, points: int) -> Floats:
    """One-hot answers, of which about one in ten is invalid and one in ten was not asked for."""
    answers = np.eye(points)[rng(seed).integers(0, points, (rows, items))]
    fate = rng(seed + 1).random((rows, items))
    answers[fate < 0.1] = 0
    answers[fate > 0.9] = np.nan
    return answers


def test_respondents_are_pooled_by_country():
    answers = as_floats([[[1, 0], [0, 0]], [[0.25, 0.75], [np.nan, np.nan]], [[0, 1], [0, 1]]])
    found = pool(answers, np.array([0, 0, 1]))
    assert found.counts.tolist() == [[[1.25, 0.75], [0, 0]], [[0, 1], [0, 1]]]
    assert found.invalid.tolist() == [[0, 1], [0, 0]]


def test_resampled_distances_are_those_of_a_plain_loop():
    answers, group = crowd(3, 40, 5, 4), np.repeat([0, 1], [15, 25])
    human, scale = rng(1).dirichlet(np.ones(4), (2, 5)), even_scales(5, 4)
    names = ("tv", "js_penalised", "kl", "clca_compat_js")
    found = resample_distances(
        [answers], human, scale, group, rng(), rows=True, items=True, names=names, draws=6000
    )
    source, looped = rng(8), {name: [] for name in names}
    for _ in range(3000):
        columns = source.integers(0, 5, 5)
        picked = [
            source.choice(np.flatnonzero(group == each), sum(group == each)) for each in (0, 1)
        ]
        pooled = pool(answers[np.concatenate(picked)], group)
        cells = measure(human, pooled, scale, names)
        for name in names:
            looped[name].append(cells[name][:, columns].mean(axis=1).mean())
    for name in names:
        error = np.std(looped[name]) * np.sqrt(1 / 3000 + 1 / 6000)
        assert found[name].mean() == pytest.approx(np.mean(looped[name]), abs=4 * error), name
        assert found[name].std() == pytest.approx(np.std(looped[name]), rel=0.08), name


def test_without_resampling_the_distance_is_the_observed_one():
    answers, group = crowd(3, 20, 6, 3), np.repeat([0, 1], 10)
    human, scale = rng(1).dirichlet(np.ones(3), (2, 6)), even_scales(6, 3)
    found = resample_distances(
        [answers, answers], human, scale, group, rng(), rows=False, items=False, draws=2
    )
    cells = measure(human, pool(answers, group), scale)
    for name, values in found.items():
        assert values == pytest.approx(cells[name].mean(axis=1).mean()), name


def test_scales_of_several_lengths_resample_as_one():
    codes = np.minimum(np.arange(1.0, 6), as_floats([2, 5, 3])[:, None])
    on = np.arange(5) < np.array([2, 5, 3])[:, None]
    scale = Scales(("Q1", "Q2", "Q3"), codes, on, np.array([True, True, False]))
    human = np.where(on, 1.0, 0.0)[None] / on.sum(axis=1)[:, None]
    answers = scale.one_hot(rng(2).integers(1, 3, (30, 3)).astype(float))
    group = np.zeros(30, int)
    found = resample_distances(
        [answers], human, scale, group, rng(), rows=False, items=False, draws=1
    )
    cells = measure(human, pool(answers, group), scale)
    for name, values in found.items():
        assert values[0, 0] == pytest.approx(np.nanmean(cells[name])), name


def test_basic_intervals_take_the_excess_off():
    found = basic_interval(as_floats([0.2, 0.01]), as_floats([[0.21, 0.05], [0.25, 0.09]]), 0.5)
    assert found.low == pytest.approx([0.16, 0]) and found.high == pytest.approx([0.18, 0])


def test_an_interval_of_a_distance_covers_what_it_should():
    scale, hits = even_scales(10, 4), 0
    for seed in range(60):
        source = rng(seed)
        human = source.dirichlet(np.ones(4), (1, 10))
        model = np.stack([source.dirichlet(30 * row + 0.1) for row in human[0]])
        truth = measure(human, Answers(model[None], np.zeros((1, 10))), scale, ["tv"])["tv"].mean()
        picks = np.stack([source.choice(4, 100, p=row) for row in model], axis=1)
        answers, group = np.eye(4)[picks], np.zeros(100, int)
        seen = measure(human, pool(answers, group), scale, ["tv"])["tv"].mean()
        drawn = resample_distances(
            [answers], human, scale, group, source, rows=True, items=False, names=["tv"], draws=200
        )
        found = basic_interval(as_floats([seen]), drawn["tv"])
        hits += bool(found.low[0] <= truth <= found.high[0])
    assert hits >= 44


def test_models_are_compared_in_distance():
    group = np.repeat([0, 1], 30)
    human, scale = rng(1).dirichlet(np.ones(4) * 3, (2, 12)), even_scales(12, 4)
    picks = np.stack([[rng(5 + each).choice(4, 12) for each in range(60)]])[0]
    poor = np.eye(4)[np.zeros_like(picks)]
    good = np.eye(4)[[[rng(n * 12 + m).choice(4, p=human[group[n], m]) for m in range(12)]
                      for n in range(60)]]  # fmt: skip
    names = ("tv", "w1")
    found = compare_distances(
        good, poor, human, scale, group, rng(), rows=True, items=True, names=names, draws=500
    )
    observed = [measure(human, pool(each, group), scale, names) for each in (good, poor)]
    for name in names:
        gap = (observed[0][name] - observed[1][name]).mean(axis=1).mean()
        assert found[name].estimate == pytest.approx([gap])
        assert found[name].low[0] < gap < found[name].high[0] < 0
        assert found[name].p_value[0] < 0.02
    same = compare_distances(
        good, good, human, scale, group, rng(), rows=True, items=True, names=["tv"], draws=100
    )["tv"]
    assert [each[0] for each in same] == [0, 0, 0, 1]


def test_a_model_that_never_answers_has_no_interval_and_no_p():
    table, other = tabulate(np.full((2, 4), np.nan)), tabulate(np.ones((2, 4)))
    found = interval(table, rng(), rows=False, items=True, draws=20)
    assert np.isnan([each[0] for each in found]).all()
    gap = compare(table, other, rng(), rows=False, items=True, draws=20)
    assert np.isnan([each[0] for each in gap]).all()
    answers, group = crowd(1, 10, 3, 4), np.zeros(10, int)
    human, scale = rng(1).dirichlet(np.ones(4), (1, 3)), even_scales(3, 4)
    both = compare_distances(
        *(answers, np.zeros_like(answers), human, scale, group, rng()),
        **{"rows": True, "items": True, "names": ["tv", "tv_penalised"], "draws": 50},
    )
    assert np.isnan([each[0] for each in both["tv"]]).all()
    assert both["tv_penalised"].estimate < 0 and both["tv_penalised"].p_value[0] <= 0.5


def test_exchanging_respondents_is_a_fair_test():
    scale, group, p_values = even_scales(4, 3), np.zeros(24, int), []
    for seed in range(120):
        human = rng(seed).dirichlet(np.ones(3), (1, 4))
        models = [np.eye(3)[rng(1000 * each + seed).integers(0, 3, (24, 4))] for each in (1, 2)]
        found = compare_distances(
            *models, human, scale, group, rng(seed), rows=True, items=False, names=["tv"], draws=100
        )
        p_values.append(found["tv"].p_value[0])
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_every_country_needs_respondents():
    human = rng().dirichlet(np.ones(3), (2, 4))
    with pytest.raises(ValueError, match="every country needs respondents"):
        resample_distances(
            [crowd(1, 5, 4, 3)], human, even_scales(4, 3), np.zeros(5, int), rng(),
            rows=True, items=True,
        )  # fmt: skip


def test_many_draws_of_distances_come_in_blocks():
    answers, group = crowd(3, 10, 1000, 4), np.zeros(10, int)
    human, scale = rng(1).dirichlet(np.ones(4), (1, 1000)), even_scales(1000, 4)
    assert sampling.BLOCK / 4000 < 1200
    found = resample_distances(
        [answers], human, scale, group, rng(), rows=True, items=True, names=["tv"], draws=1200
    )
    assert found["tv"].shape == (1200, 1) and (found["tv"] > 0).all()
