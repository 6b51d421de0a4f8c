"""Intervals of true distances: of samples of people and models whose true distance is known."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from eval.metrics.bootstrap import score_interval
from eval.metrics.calibration import Curve, corrected, curves
from eval.metrics.culture_score import culturespa
from eval.metrics.grid import Scales

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

from coverage import KINDS, NAMES, trial, truths


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("away", [0.0, 0.15])
def test_intervals_hold_the_true_distance_and_their_own_estimate(kind, away):
    true, held = truths(1, away), dict.fromkeys(NAMES, 0)
    for seed in range(15):
        for score in trial(seed, kind, 1, 20, away):
            assert score.low <= score.corrected <= score.high
            assert score.low <= score.value <= score.high
            assert (score.at_most is not None) == (score.value <= score.floor_high)
            held[score.metric] += score.low <= true[score.metric] + 1e-9 <= score.high + 1e-9
    assert min(held.values()) >= 12


def test_a_perfect_sampler_is_at_the_floor_and_its_bound_is_small():
    found = [s for seed in range(12) for s in trial(seed, "40 answers", 5, 44, 0.0)]
    assert np.mean([score.at_most is not None for score in found]) >= 0.8
    bounds = [s.at_most for s in found if s.metric == "js_distance" and s.at_most is not None]
    assert np.median(bounds) < 0.06 < np.median([s.value for s in found if s.metric != "w1"])


def test_a_curve_is_read_backwards():
    curve = Curve(*(np.array(part)[:, None] for part in ([0, 0.1, 0.2], [0.05, 0.1, 0.18], [0.0])))
    told = corrected(curve, np.array([0.01, 0.05, 0.1, 0.14, 0.28]))
    assert told == pytest.approx([0, 0, 0.1, 0.15, 0.3])


def test_probabilities_against_known_people_are_measured_as_they_are():
    rng = np.random.default_rng(1)
    human, model = rng.dirichlet(np.ones(3), (2, 1, 6))
    scales = Scales.padded(dict.fromkeys("abcdef", (1, 2, 3)), [True] * 6)
    curve = curves(human, model, scales, None, None, rng, draws=2, names=["tv"])["tv"]
    assert curve.true == pytest.approx(curve.measured)
    assert curve.true[-1, 0] == pytest.approx(np.abs(human - model).sum(axis=-1).mean() / 2)


def test_an_interval_of_culturespas_score_holds_the_score():
    rng = np.random.default_rng(2)
    lengths = rng.integers(2, 11, 40).astype(float)
    scales = Scales.padded(
        {str(n): range(1, int(k) + 1) for n, k in enumerate(lengths)}, [True] * 40
    )
    gold, given = (1 + np.floor(rng.random((3, 40)) * lengths) for _ in range(2))
    given[0] = gold[0]  # perfect
    given[1, :5] = np.nan
    errors = (given - gold) ** 2
    norms = np.where(np.isnan(errors), np.nan, (lengths - 1) ** 2)
    found = score_interval(errors, norms, rng, draws=400)
    wanted = culturespa(given, gold, scales)
    assert found.estimate == pytest.approx([wanted.mean(), *wanted])
    assert found.low[1] == found.high[1] == 100
    for at in (0, 2, 3):
        assert found.low[at] < found.estimate[at] < found.high[at]


def test_invalid_answers_count_as_worst_in_the_true_distance_too():
    """Of (1 - r) D + r, whose lower end is r; what is measured below that is as much below it."""
    rng = np.random.default_rng(1)
    human, model = rng.dirichlet(np.ones(3), (2, 1, 6))
    scales = Scales.padded(dict.fromkeys("abcdef", (1, 2, 3)), [True] * 6)
    invalid = np.full((1, 6), 0.2)
    number = np.full((1, 6), 40.0)
    curve = curves(
        human, model, scales, number, None, rng, names=["tv_penalised"], invalid=invalid
    )["tv_penalised"]
    away = np.abs(human - model).sum(axis=-1).mean() / 2
    assert curve.true[[0, -1], 0] == pytest.approx([0.2, 0.8 * away + 0.2])
    assert (curve.measured > curve.true).all()
    told = corrected(curve, curve.measured[[0, -1], 0] - [0.05, 0])
    assert told == pytest.approx([0.15, 0.8 * away + 0.2])
