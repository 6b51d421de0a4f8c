"""Every adapter in every culture: is each culture's own adapter the one that suits it best?

Invariant: a cell is the distance from people of one culture, asked of the adapter of one; the test
exchanges whole adapters, so that a good adapter or an easy culture decides nothing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from itertools import permutations
from statistics import fmean
from typing import NamedTuple

from eval.report.measure import measure
from eval.report.name import country_name
from eval.report.number import chance, number
from eval.report.table import Table, TableRow, new_table
from training.experiment.arm import shuffled
from training.experiment.comparison import Comparisons

_METRIC = "js_distance"
_EXACT = 8
"""Cultures up to which all exchanges are tried: 40,320; beyond that as many are drawn."""
_DRAWS = 40_000


class Dominance(NamedTuple):
    """How a matrix of distances stands to its diagonal."""

    gain: float
    """Mean off the diagonal less mean on it: above 0 the own adapters are nearer to people."""
    best: int
    """Cultures whose own adapter is the nearest."""
    p: float
    """Share of exchanges of adapters whose diagonal is as small."""


def dominance(distances: Sequence[Sequence[float]], seed: int = 0) -> Dominance:
    """Test whether the diagonal of a square matrix (adapters by cultures) is smaller than chance
    makes it, by a permutation test over assignments of adapters to cultures.

    With n cultures p is at least 1/n!: two or three can show nothing at 0.05.
    """
    size = len(distances)
    whole = sum(map(sum, distances))
    own = _diagonal(distances, range(size))
    tried = [*permutations(range(size))] if size <= _EXACT else _drawn(size, seed)
    small = sum(_diagonal(distances, order) <= own + 1e-12 for order in tried)
    drawn = size > _EXACT
    return Dominance(
        (whole - own) / (size * (size - 1)) - own / size,
        sum(distances[at][at] <= min(row[at] for row in distances) for at in range(size)),
        (small + drawn) / (len(tried) + drawn),
    )


def _diagonal(distances: Sequence[Sequence[float]], order: Sequence[int]) -> float:
    return math.fsum(distances[adapter][culture] for culture, adapter in enumerate(order))


def _drawn(size: int, seed: int) -> list[tuple[int, ...]]:
    rng = random.Random(seed)
    return [tuple(rng.sample(range(size), size)) for _ in range(_DRAWS)]


def matrix_tables(asked: Sequence[Comparisons]) -> list[Table]:
    """Return a matrix for each way of asking and reading in which all cells are known."""
    return [table for one in asked for table in _matrix(one)]


def _matrix(asked: Comparisons) -> list[Table]:
    cultures = asked.config.cultures
    found = _distances(asked)
    cells = [[found.get((adapter, culture)) for culture in cultures] for adapter in cultures]
    if len(cultures) < 2 or not found:
        return []
    rows = [
        TableRow((country_name(adapter), *map(number, row)))
        for adapter, row in zip(cultures, cells, strict=True)
    ]
    head = ("adapter of", *(f"asked as {country_name(culture)}" for culture in cultures))
    known = [[value for value in row if value is not None] for row in cells]
    note = "A cell is missing, so there is no test."
    if all(len(row) == len(cultures) for row in known):
        test = dominance(known)
        note = (
            f"Off the diagonal less on it: {number(test.gain)}, above 0 where the own adapter is "
            f"nearer to people; it is the nearest in {test.best} of {len(cultures)} cultures. "
            f"Permutation test over {'all' if len(cultures) <= _EXACT else 'drawn'} exchanges of "
            f"adapters: p {chance(test.p)}, at least "
            f"{chance(1 / math.factorial(len(cultures)))} with so many cultures."
        )
    return new_table(f"{measure(_METRIC).title}: {asked.title}", head, rows, note)


def _distances(asked: Comparisons) -> Mapping[tuple[str, str], float]:
    """Return distances by the culture of the adapter and that of the question, the mean over
    trainings."""
    cultures, arms = asked.config.cultures, asked.arms()
    values: dict[tuple[str, str], list[float]] = {}
    scores = {
        (score.who, score.country): score.value
        for score in asked.results.scores
        if score.metric == _METRIC and score.value is not None
    }
    main = arms.get(asked.config.main, {})
    own = [series for trained in main.values() for series in trained]
    turned = {step: asked.all_of(shuffled(step)) for step in range(1, len(cultures))}
    for step, listed in {0: own, **turned}.items():
        for place, culture in enumerate(cultures):
            adapter = cultures[(place + step) % len(cultures)]
            found = [scores[one.id, culture] for one in listed if (one.id, culture) in scores]
            values.setdefault((adapter, culture), []).extend(found)
    return {key: fmean(listed) for key, listed in values.items() if listed}
