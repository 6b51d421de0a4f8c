"""Answers that cost nothing, to stand beside every score.

Invariant: a baseline that uses people's answers says which: the national mode and the perfect
sampler know the country itself, the others know only other countries or nobody. A distribution has
the shape of `Grid.shares` (C, I, K), a sheet of codes that of `Grid.mode` (C, I); cells that were
not asked are NaN where the baseline knows people and carry an answer where it knows nobody.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from eval.metrics.grid import Floats, Grid, as_floats
from folkways.errors import unknown_name


def uniform(grid: Grid) -> Floats:
    """Return equal probabilities of all options."""
    return _everywhere(grid, grid.scales.on / grid.scales.lengths[:, None])


def first(grid: Grid) -> Floats:
    """Return all mass on the first option."""
    return _everywhere(grid, grid.scales.one_hot(grid.scales.codes[:, 0]))


def last(grid: Grid) -> Floats:
    """Return all mass on the last option."""
    return _everywhere(grid, grid.scales.one_hot(grid.scales.codes[:, -1]))


def middle(grid: Grid) -> Floats:
    """Return all mass on the middle option, or half on each of the two middle ones."""
    low, high = (grid.scales.lengths - 1) // 2, grid.scales.lengths // 2
    place = np.arange(grid.scales.codes.shape[1])
    halves = (place == low[:, None]) * 0.5 + (place == high[:, None]) * 0.5
    return _everywhere(grid, halves)


def national_mode(grid: Grid) -> Floats:
    """Return all mass on the most frequent answer of the country itself."""
    return _sharp(grid, grid.mode)


def people(grid: Grid) -> Floats:
    """Return the national distribution itself: a perfect sampler with endless answers."""
    return grid.shares


def other_country(grid: Grid, country: str) -> Floats:
    """Return for every country all mass on the most frequent answer of one country; for that one
    it is the national mode, so leave it out of an average.

    Raises UserError for a country that is not in the grid.
    """
    if country not in grid.countries:
        raise unknown_name("country", country, grid.countries)
    sheet = grid.mode[grid.countries.index(country)]
    return _sharp(grid, np.broadcast_to(sheet, grid.mode.shape))


def world_mode(grid: Grid) -> Floats:
    """Return all mass on the most common national mode among the *other* countries."""
    return _sharp(grid, world_mode_sheet(grid))


DISTRIBUTIONS = {
    "uniform": uniform,
    "first": first,
    "last": last,
    "middle": middle,
    "world-mode": world_mode,
    "national-mode": national_mode,
    "people": people,
}
"""Every baseline that needs no argument, by the name it has in a report."""


def middle_sheet(grid: Grid) -> Floats:
    """Return the exact midpoint of each scale, between two options where their number is even."""
    midpoints = (grid.scales.codes[:, 0] + grid.scales.codes[:, -1]) / 2
    return np.broadcast_to(midpoints, grid.mode.shape)


def world_mode_sheet(grid: Grid, leave_one_out: bool = True) -> Floats:
    """Return the most common national mode, of the other countries unless told otherwise.

    Of equally common ones the mode of the country that stands first in the grid.
    """
    sheet = np.full(grid.mode.shape, np.nan)
    for row in range(len(grid.countries)):
        rows = [each for each in range(len(grid.countries)) if not leave_one_out or each != row]
        for column, modes in enumerate(grid.mode[rows].T):
            known = Counter(modes[~np.isnan(modes)].tolist())
            if known:
                sheet[row, column] = known.most_common(1)[0][0]
        if not leave_one_out:
            return np.broadcast_to(sheet[0], sheet.shape)
    return sheet


def pooled_mode_sheet(grid: Grid, leave_one_out: bool = True) -> Floats:
    """Return the mode of the mean of the national distributions, countries equal."""
    shares = np.nan_to_num(grid.shares)
    pooled = np.broadcast_to(shares.sum(axis=0), shares.shape) - (shares if leave_one_out else 0)
    codes = np.broadcast_to(grid.scales.codes, shares.shape)
    modes = np.take_along_axis(codes, pooled.argmax(axis=2)[..., None], axis=2)[..., 0]
    return np.where(pooled.sum(axis=2) > 0, modes, np.nan)


def mean_of_modes_sheet(grid: Grid) -> Floats:
    """Return the mean of the other countries' modes, unrounded; round it for a sheet of codes.

    It knows nothing of the country and beats most models on CultureSPA's score.
    """
    known = grid.asked.sum(axis=0) - grid.asked
    total = np.nansum(grid.mode, axis=0) - np.nan_to_num(grid.mode)
    with np.errstate(invalid="ignore"):
        return as_floats(np.where(known > 0, total / known, np.nan))


def sample(shares: Floats, n: int | Floats, rng: np.random.Generator) -> Floats:
    """Return the counts (..., K) of n answers, or n (...) of them, drawn from each distribution;
    NaN where it is NaN.

    With people's own shares this is the perfect sampler: no model that gives n answers to each item
    can be expected to do better.
    """
    known = ~np.isnan(shares[..., 0])
    counts = np.full(shares.shape, np.nan)
    numbers = np.broadcast_to(n, known.shape)[known].astype(np.int64)
    counts[known] = rng.multinomial(numbers, shares[known])
    return counts


def _everywhere(grid: Grid, by_item: Floats) -> Floats:
    return np.broadcast_to(by_item, grid.shares.shape)


def _sharp(grid: Grid, sheet: Floats) -> Floats:
    known = ~np.isnan(sheet)[..., None]
    return np.where(known, grid.scales.one_hot(sheet), np.nan)
