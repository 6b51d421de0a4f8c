"""Differences of several trainings as one figure: their spread widens the interval."""

from __future__ import annotations

import math

import numpy as np
import pytest

from eval.report.results import PairedDifference
from training.experiment.pooled import pooled


def difference(value: float | None, half: float = 0.1) -> PairedDifference:
    low, high = (None, None) if value is None else (value - half, value + half)
    return PairedDifference("a", "b", "tv", "all", value, low, high, 0.5, 20)


def test_a_single_training_is_left_as_it_is() -> None:
    assert pooled([]) is None
    assert pooled([difference(-0.2)]) == difference(-0.2)


def test_trainings_that_agree_keep_the_interval_and_others_widen_it() -> None:
    same = pooled([difference(-0.2)] * 3)
    assert same and (same.low, same.high) == pytest.approx((-0.3, -0.1))
    apart = pooled([difference(-0.3), difference(-0.2), difference(-0.1)])
    assert apart and apart.value == pytest.approx(-0.2)
    assert apart.low is not None and apart.low < -0.3 and apart.p is not None
    # by hand: variances 0.1**2 / 3 of three trainings and (0.1 / 1.96)**2 of people and items
    between, shared = 0.01 / 3, (0.1 / 1.959964) ** 2
    freedom = (between + shared) ** 2 / (between**2 / 2)
    assert freedom == pytest.approx(6.34, abs=0.01)
    assert apart.high is not None
    assert (apart.high - apart.low) / 2 == pytest.approx(2.4152 * math.sqrt(between + shared), 2e-3)


def test_without_an_interval_of_each_there_is_none() -> None:
    assert pooled([difference(-0.2), difference(None)]) is None


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_interval_holds_the_truth_as_often_as_it_says(seeds: int) -> None:
    """Trainings differ by a standard deviation of 0.05, and people and items, shared by all of
    them, by another of 0.05."""
    rng, held, trials = np.random.default_rng(1), 0, 2000
    for _ in range(trials):
        shared = rng.normal(0, 0.05)
        found = [
            difference(0.1 + shared + rng.normal(0, 0.05), 1.959964 * 0.05) for _ in range(seeds)
        ]
        one = pooled(found)
        assert one and one.low is not None and one.high is not None
        held += one.low <= 0.1 <= one.high
    assert 0.92 <= held / trials <= 0.99
