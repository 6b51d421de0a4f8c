"""The score of CultureSPA, the likeness of sheets of answers, and how cultures stand to each other.

Invariant: a sheet holds one code for each item, on its last axis; NaN is an item without an answer
and takes no part. Codes are those of the survey's file, nominal items included, as in the released
code of Xu, Leng, Yu & Xiong 2025; the score says little about single items, because the 51 with ten
or more points carry 73 % of its normaliser. Show the baselines of `eval/baseline.py` beside it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from eval.metrics.grid import Floats, Grid, Scales, as_floats, known_mean

Gold = Literal["mode", "mean", "median"]


def gold(grid: Grid, kind: Gold = "mode") -> Floats:
    """Return the sheet (C, I) that stands for each country.

    `mode`, the most frequent code, is CultureSPA's. It is far from the `mean` of the codes (by .19
    of the scale) and from the (lower) `median`, and which one is taken moves a score by more than
    most methods do, so report all three.
    """
    sheets: dict[Gold, Floats] = {"mode": grid.mode, "mean": grid.mean, "median": grid.median}
    return sheets[kind]


def culturespa(answers: Floats, target: Floats, scales: Scales) -> Floats:
    """Return 100 (1 - |a - g| / |n - 1|), Euclidean norms over the items with an answer and a
    target, n the number of options. 100 is equality; NaN without a common item."""
    return _from_squares((answers - target) ** 2, scales)


def expected_culturespa(model: Floats, target: Floats, scales: Scales) -> Floats:
    """Return the score with the expected squared error of somebody who draws from `model`
    (..., I, K); for a sharp distribution the same as `culturespa`."""
    squares = (scales.codes - target[..., None]) ** 2
    return _from_squares(as_floats((squares * model).sum(axis=-1)), scales)


def penalised_culturespa(answers: Floats, target: Floats, scales: Scales) -> Floats:
    """Return the score with each missing answer counted as the end of the scale that is farther
    from the target. Every country is then scored on all items it was asked."""
    farther = np.maximum(target - scales.codes[:, 0], scales.codes[:, -1] - target)
    errors = np.where(np.isnan(answers), farther, answers - target)
    return _from_squares(errors**2, scales)


def squares(answers: Floats, target: Floats, scales: Scales) -> tuple[Floats, Floats]:
    """Return by item the squared error and the squared length that a score is made of, both NaN
    without an answer: 100 (1 - sqrt(sum of the first / sum of the second)). For resampling."""
    return _with_lengths((answers - target) ** 2, scales)


def tied_squares(codes: Floats, target: Floats, scales: Scales) -> tuple[Floats, Floats]:
    """Return the same of sheets with several codes to an item (..., I, T), equally likely, padded
    with NaN: the mean of their squared errors."""
    return _with_lengths(known_mean((codes - target[..., None]) ** 2), scales)


def _with_lengths(errors: Floats, scales: Scales) -> tuple[Floats, Floats]:
    return errors, np.where(np.isnan(errors), np.nan, (scales.lengths - 1) ** 2)


def _from_squares(errors: Floats, scales: Scales) -> Floats:
    scored = ~np.isnan(errors)
    most = (scored * (scales.lengths - 1) ** 2).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return as_floats(100 * (1 - np.sqrt(np.nansum(errors, axis=-1) / most)))


def equal_weight(answers: Floats, target: Floats, scales: Scales) -> Floats:
    """Return 100 times the mean of 1 - |a - g| / (n - 1): every item counts the same."""
    near = 1 - np.abs(answers - target) / (scales.lengths - 1)
    scored = (~np.isnan(near)).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return as_floats(100 * np.nansum(near, axis=-1) / scored)


def agreement(answers: Floats, target: Floats) -> Floats:
    """Return the share of items answered exactly as the target."""
    scored = ~(np.isnan(answers) | np.isnan(target))
    with np.errstate(invalid="ignore"):
        return as_floats((answers == target).sum(axis=-1) / scored.sum(axis=-1))


def score_matrix(sheets: Floats, scales: Scales) -> Floats:
    """Return (C, C): the score of each sheet (C, I) against each other one."""
    return culturespa(sheets[:, None, :], sheets[None, :, :], scales)


def structure_correlation(model: Floats, human: Floats) -> float:
    """Return Pearson's correlation between two score matrices over the pairs of cultures.

    High where the model's cultures are alike as the countries are, whatever their level: compare
    the mean of both matrices too, for a model may make all cultures too much alike. NaN with fewer
    than three cultures or without variation.
    """
    above = np.triu_indices(len(human), k=1)
    pairs = np.stack([model[above], human[above]])
    pairs = pairs[:, ~np.isnan(pairs).any(axis=0)]
    if pairs.shape[1] < 3 or np.ptp(pairs, axis=1).min() == 0:
        return float("nan")
    return float(np.corrcoef(pairs)[0, 1])


def neighbours(
    matrix: Floats, countries: tuple[str, ...], country: str, n: int = 3
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the n most similar countries, best first, and the n least similar, worst first.

    As CultureSPA picks them for its cross-culture thinking prompt: by scores rounded to one
    decimal, and of equal ones the later row counts as more similar. From `gold`, they know the
    test's answers.
    """
    row = np.round(matrix[countries.index(country)], 1)
    others = [place for place, name in enumerate(countries) if name != country]
    ranked = [countries[place] for place in sorted(others, key=lambda place: row[place])]
    return tuple(ranked[: -n - 1 : -1]), tuple(ranked[:n])
