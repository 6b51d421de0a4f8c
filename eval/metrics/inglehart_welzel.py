"""Coordinates on the Inglehart-Welzel map from answers to fourteen items that make ten indices.

Invariant: the map is fixed. Answers are standardised with the means and deviations of the joint
World and European Values Surveys and projected with their score weights (map_weights.csv, source in
eval/respondents/SOURCE.md); nothing is fitted to what is placed. A missing index leaves the
coordinates NaN. Arrays end in items, in indices (10, in the order of `load_map`) or in
the two axes.
"""

from __future__ import annotations

import csv
from functools import cache
from typing import NamedTuple

import numpy as np

from eval.metrics.grid import Floats, Scales, as_floats
from eval.respondents.marginals import PEOPLE

_SCALE = as_floats([1.81, 1.61])
_OFFSET = as_floats([0.038, -0.1])
"""Published axis = SCALE * score + OFFSET. Tao et al. 2024 print the offsets as 0.38 and -0.01,
which shifts every point alike."""
MATERIALIST, POSTMATERIALIST = (1, 3), (2, 4)
"""Options of Q154 and Q155: order and prices; a say in government and free speech."""


class Map(NamedTuple):
    """What turns ten indices into two coordinates."""

    indices: tuple[str, ...]
    """Names in the integrated survey: F063, Y003, F120, G006, E018, Y002, A008, F118, E025, A165.
    """
    sources: tuple[tuple[str, ...], ...]
    """The items of Wave 7 behind each of them."""
    mean: Floats
    """(10,)"""
    deviation: Floats
    """(10,)"""
    weights: Floats
    """(10, 2): survival to self-expression, traditional to secular."""


class Centroid(NamedTuple):
    """Where a country's people are on the map."""

    country: str | None
    """ISO 3166 alpha-3; None for a territory without a code."""
    name: str
    region: str
    """Cultural region of the map."""
    survival_self_expression: float
    traditional_secular: float


@cache
def load_map() -> Map:
    """Return the map's constants."""
    with (PEOPLE / "map_weights.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    axes = ("survival_self_expression", "traditional_secular")
    return Map(
        indices=tuple(row["index"] for row in rows),
        sources=tuple(tuple(row["items"].split()) for row in rows),
        mean=as_floats([float(row["mean"]) for row in rows]),
        deviation=as_floats([float(row["sd"]) for row in rows]),
        weights=as_floats([[float(row[axis]) for axis in axes] for row in rows]),
    )


def fourteen_items() -> tuple[str, ...]:
    """Return the items that are needed to place anybody."""
    return tuple(item for items in load_map().sources for item in items)


@cache
def load_centroids() -> tuple[Centroid, ...]:
    """Return 107 countries' centroids of the years 2005 to 2022, to draw a model among."""
    with (PEOPLE / "map_centroids.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            Centroid(
                row["country"] or None,
                row["name"],
                row["region"],
                float(row["survival_self_expression"]),
                float(row["traditional_secular"]),
            )
            for row in csv.DictReader(file)
        )


def place(indices: Floats) -> Floats:
    """Return coordinates (..., 2), survival to self-expression first, of indices (..., 10).

    Linear, so the place of a mean is the mean of the places. A high first coordinate is
    self-expression, a high second one secular-rational.
    """
    values = load_map()
    scores = (indices - values.mean) / values.deviation @ values.weights
    return as_floats(_SCALE * scores + _OFFSET)


def y002(first: Floats, second: Floats) -> Floats:
    """Return post-materialism from the first and second choice of Q154 and Q155: 1 materialist,
    2 mixed, 3 post-materialist. NaN where one is missing or the same option was chosen twice."""
    materialist = np.isin(first, MATERIALIST) & np.isin(second, MATERIALIST)
    postmaterialist = np.isin(first, POSTMATERIALIST) & np.isin(second, POSTMATERIALIST)
    known = np.isin(first, (1, 2, 3, 4)) & np.isin(second, (1, 2, 3, 4)) & (first != second)
    return np.where(known, 2.0 - materialist + postmaterialist, np.nan)


def y003(independence: Floats, determination: Floats, faith: Floats, obedience: Floats) -> Floats:
    """Return autonomy, -2 to 2, from qualities for children (1 mentioned, 2 not) Q8, Q14, Q15, Q17:
    (faith + obedience) - (independence + determination). NaN where one is missing."""
    return faith + obedience - independence - determination


def answered_indices(answers: Floats, items: tuple[str, ...]) -> Floats:
    """Return indices (..., 10) of answers (..., I) to named items; NaN is a missing answer.

    Code 5 of Q254, for those who are not of the nationality asked about, is missing as well.
    Raises KeyError where one of the fourteen items is not among them.
    """
    at = {item: answers[..., place] for place, item in enumerate(items)}
    built = {
        "Y002": y002(at["Q154"], at["Q155"]),
        "Y003": y003(at["Q8"], at["Q14"], at["Q15"], at["Q17"]),
        "G006": np.where(at["Q254"] > 4, np.nan, at["Q254"]),
    }
    return _assemble(at, built)


def expected_indices(shares: Floats, scales: Scales) -> Floats:
    """Return expected indices (..., 10) of distributions (..., I, K) of answers item by item.

    Exact but for Y002, which takes the joint distribution of two items: here the second choice is
    drawn independently of the first, and drawn again where it is the same. Place people and model
    both this way, or neither.
    """
    at = {item: shares[..., row, :] for row, item in enumerate(scales.items)}
    codes = {item: scales.codes[row] for row, item in enumerate(scales.items)}
    means = {item: as_floats((at[item] * codes[item]).sum(axis=-1)) for item in fourteen_items()}
    proud = np.where(codes["Q254"] <= 4, at["Q254"], 0 * at["Q254"])
    built = {
        "Y002": _expected_y002(at["Q154"][..., :4], at["Q155"][..., :4]),
        "Y003": y003(means["Q8"], means["Q14"], means["Q15"], means["Q17"]),
        "G006": as_floats((proud * codes["Q254"]).sum(axis=-1) / proud.sum(axis=-1)),
    }
    return _assemble(means, built)


def _expected_y002(first: Floats, second: Floats) -> Floats:
    left, right = np.meshgrid(np.arange(1.0, 5), np.arange(1.0, 5), indexing="ij")
    values = y002(left, right)
    joint = first[..., :, None] * second[..., None, :] * ~np.isnan(values)
    total = joint.sum(axis=(-2, -1))
    with np.errstate(invalid="ignore"):
        return as_floats((joint * np.nan_to_num(values)).sum(axis=(-2, -1)) / total)


def _assemble(at: dict[str, Floats], built: dict[str, Floats]) -> Floats:
    """Return the ten indices: those that were built, and items that are an index as they are."""
    known = zip(load_map().indices, load_map().sources, strict=True)
    return np.stack([built[code] if code in built else at[items[0]] for code, items in known], -1)
