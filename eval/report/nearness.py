"""Whose people a series is nearest to: its answers for a culture against people of every country.

Invariant: all countries are compared on the same items, those that people of each were asked and
that the series answered, and in the same draws of items.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from eval.metrics.bootstrap import LEVEL, draw_weights, ends
from eval.metrics.grid import Floats, Grid
from eval.metrics.metric import js_distance
from eval.report.answers import SeriesAnswers
from eval.report.results import Nearness

NO_CULTURE = "*"
"""Stands for answers that name no culture."""


def nearness(
    all_given: Sequence[SeriesAnswers], grid: Grid, rng: np.random.Generator, draws: int
) -> Iterator[Nearness]:
    """Yield the JS distance of what a series answers for a culture from every country's people, its
    interval over items, and how much farther that is than the nearest country's."""
    known = np.flatnonzero(grid.asked.any(axis=1))
    if len(known) < 2:
        return
    human = grid.shares[known]
    for given in all_given:
        model = given.pooled.model
        for row, country in enumerate(grid.countries):
            alike = not given.names_culture
            if (alike and row) or np.isnan(model[row]).all():
                continue
            cells = js_distance(human, np.broadcast_to(model[row], human.shape))
            cells = cells[:, ~np.isnan(cells).any(axis=0)]
            if cells.shape[1]:
                who = (given.series.id, NO_CULTURE if alike else country)
                yield from _nearness(who, cells, [grid.countries[at] for at in known], rng, draws)


def _nearness(
    who: tuple[str, str],
    cells: Floats,
    countries: Sequence[str],
    rng: np.random.Generator,
    draws: int,
) -> Iterator[Nearness]:
    """Yield the means of distances (C, I) with percentile intervals, and gaps to the least."""
    items = cells.shape[1]
    drawn = draw_weights(items, draws, rng) @ cells.T / items
    means = cells.mean(axis=1)
    nearest = int(means.argmin())
    low, high = ends(drawn, LEVEL)
    gap_low, gap_high = ends(drawn - drawn[:, [nearest]], LEVEL)
    gaps = means - means[nearest]
    for at, country in enumerate(countries):
        yield Nearness(
            *who,
            country,
            value=float(means[at]),
            low=float(low[at]),
            high=float(high[at]),
            gap=float(gaps[at]),
            gap_low=float(gap_low[at]),
            gap_high=float(gap_high[at]),
            items=items,
        )
