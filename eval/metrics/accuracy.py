"""How often a model answers as a given respondent did, cell by cell.

Invariant: `truth` and `answer` hold codes, respondents by items (R, I) or any shape that ends in
items; NaN in `truth` is a person's missing answer, NaN in `answer` an invalid one. A missing answer
of a person is never scored. An invalid answer of the model is left out of a conditional score and
counts 0 in a penalised one. Only `accuracy_clca` does otherwise, for comparison with its figures.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eval.metrics.grid import Floats, Scales, as_floats


def hard(truth: Floats, answer: Floats) -> Floats:
    """Return 1 where the answer is the person's, else 0; NaN where there is nothing to score."""
    return np.where(np.isnan(truth) | np.isnan(answer), np.nan, truth == answer)


def soft(truth: Floats, answer: Floats, scales: Scales) -> Floats:
    """Return 1 - |answer - truth| / (last code - first code), and for nominal items `hard`.

    The soft score of AlKhamissi et al. 2024, on scales of any length.
    """
    near = 1 - np.abs(answer - truth) / scales.span
    return np.where(scales.ordinal, near, hard(truth, answer))


def penalised(scores: Floats, truth: Floats) -> Floats:
    """Return conditional scores with 0 for every invalid answer to an item the person answered."""
    return np.where(np.isnan(truth), np.nan, np.nan_to_num(scores))


def expected(truth: Floats, model: Floats, scales: Scales) -> tuple[Floats, Floats]:
    """Return the expected hard and soft score, given truth, of somebody who draws from `model`.

    `model` (..., I, K) are probabilities by code, zero beyond an item's scale. With the options'
    probabilities read off a model these scores are exact, without sampling.
    """
    exact = np.where(np.isnan(truth), np.nan, (scales.one_hot(truth) * model).sum(axis=-1))
    off = np.abs(scales.codes - truth[..., None]) / scales.span[:, None]
    near = ((1 - off) * model).sum(axis=-1)
    return exact, np.where(scales.ordinal, near, exact)


def chance(truth: Floats, scales: Scales) -> tuple[Floats, Floats]:
    """Return the expected hard and soft score, given truth, of a uniform guesser."""
    return expected(truth, as_floats(scales.on / scales.lengths[:, None]), scales)


def chance_corrected(score: Floats, by_chance: Floats) -> float:
    """Return (s - e) / (1 - e) of the means over the cells that `score` scores: 0 is guessing, 1 is
    perfect. NaN where nothing is scored."""
    scored = ~np.isnan(score)
    if not scored.any():
        return float("nan")
    guessed = float(by_chance[scored].mean())
    return (float(score[scored].mean()) - guessed) / (1 - guessed)


def accuracy_clca(truth: Floats, answer: Floats) -> float:
    """Return exact matches over all cells, missing answers of people and invalid ones counted as
    wrong. Liu, Korhonen & Gurevych 2025, released code."""
    return float((truth == answer).mean())


def expected_accuracy_clca(human: Floats, missing: Floats, model: Floats) -> Floats:
    """Return the expected `accuracy_clca` by cell of somebody who draws from `model`, where people
    are known by their distribution only: (1 - missing) * sum of h m.

    `human` (..., K) are shares of valid answers, `model` (..., K) of all answers.
    """
    return as_floats((1 - missing) * (human * model).sum(axis=-1))


class Accuracy(NamedTuple):
    """Means over all scored cells; NaN where nothing could be scored."""

    hard: float
    soft: float
    hard_corrected: float
    soft_corrected: float
    hard_penalised: float
    soft_penalised: float
    clca: float
    valid_rate: float
    """Share of valid answers, over the cells that people answered."""
    scored: int
    """Cells with a person's answer and a valid one of the model."""


def measure_accuracy(truth: Floats, answer: Floats, scales: Scales) -> Accuracy:
    """Return every summary of answers (R, I) against people's (R, I)."""
    exact, near = hard(truth, answer), soft(truth, answer, scales)
    by_chance = chance(truth, scales)
    asked = int((~np.isnan(truth)).sum())
    scored = int((~np.isnan(exact)).sum())
    return Accuracy(
        hard=_mean(exact),
        soft=_mean(near),
        hard_corrected=chance_corrected(exact, by_chance[0]),
        soft_corrected=chance_corrected(near, by_chance[1]),
        hard_penalised=_mean(penalised(exact, truth)),
        soft_penalised=_mean(penalised(near, truth)),
        clca=accuracy_clca(truth, answer),
        valid_rate=scored / asked if asked else float("nan"),
        scored=scored,
    )


def _mean(scores: Floats) -> float:
    return float(np.nanmean(scores)) if (~np.isnan(scores)).any() else float("nan")
