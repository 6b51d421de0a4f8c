"""Intervals, paired differences and permutation tests for means over respondents and items.

Invariant: respondents (or clusters of them) are drawn with replacement within their country, items
across all countries at once, both with equal chances; countries are not drawn but fixed, and count
the same. Two models are compared on the same draws. A generator is an argument, so that a seed
gives the same interval again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eval.metrics.grid import Floats, as_floats, known_mean

DRAWS = 10_000
LEVEL = 0.95
BLOCK = 4_000_000
"""Numbers held at once; draws are made in blocks of no more."""

Statistic = Callable[[Floats], Floats]
"""From sums over cells (..., J) to statistics (..., M)."""


def ratio(sums: Floats) -> Floats:
    """Return the first half of the sums over the second: means, where the second counts cells."""
    half = sums.shape[-1] // 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return as_floats(sums[..., :half] / sums[..., half:])


def culturespa(sums: Floats) -> Floats:
    """Return CultureSPA's score of squared errors and squared lengths."""
    return as_floats(100 * (1 - np.sqrt(np.maximum(ratio(sums), 0))))


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """What is known of R rows (respondents, or countries) on I items."""

    sums: Floats
    """(R, I, J): what is summed over cells before the statistic is taken; no NaN."""
    group: NDArray[np.intp]
    """(R,): the country of each row, from 0."""
    cluster: NDArray[np.intp]
    """(R,): rows that are drawn together, from 0; a cluster lies within one country."""


def tabulate(
    scores: Floats,
    over: Floats | None = None,
    *,
    group: NDArray[np.intp] | None = None,
    cluster: NDArray[np.intp] | None = None,
) -> Table:
    """Return a table of scores (R, I) or (R, I, M), NaN where there is nothing to score.

    The sum of scores is divided by the sum of `over`, of the same shape: 1 for a mean. For weighted
    respondents give scores times weights, and the weights. Each row is a country of its own unless
    `group` says otherwise, and a cluster of its own unless `cluster` does; the same number of a
    cluster in two countries means two clusters.
    """
    scores = scores[..., None] if scores.ndim == 2 else scores
    scored = ~np.isnan(scores)
    below = scored.astype(np.float64) if over is None else over.reshape(scores.shape)
    sums = np.concatenate([np.where(scored, scores, 0), np.where(scored, below, 0)], axis=-1)
    rows = np.arange(len(scores))
    group = rows if group is None else group
    pairs = np.stack([group, rows if cluster is None else cluster])
    return Table(sums, group, np.unique(pairs, axis=1, return_inverse=True)[1].ravel())


class Interval(NamedTuple):
    """Statistics (M,) with the ends of their percentile intervals."""

    estimate: Floats
    low: Floats
    high: Floats


class Difference(NamedTuple):
    """Differences (M,) of two models, first less second."""

    estimate: Floats
    low: Floats
    high: Floats
    p_value: Floats
    """Two-sided, of sign flips; where respondents and items are flipped, the larger of the two."""


def estimate(table: Table, statistic: Statistic = ratio) -> Floats:
    """Return the statistics (M,) of all cells, the mean of the countries'."""
    return _over_countries(statistic(_by_country(table).sum(axis=1)))


def resample(
    table: Table,
    rng: np.random.Generator,
    *,
    rows: bool,
    items: bool,
    statistic: Statistic = ratio,
    draws: int = DRAWS,
) -> Floats:
    """Return the statistics (draws, M) of as many resamples.

    With `rows` clusters are drawn within countries, with `items` items; with both each draw crosses
    the two (Owen 2007, pigeonhole bootstrap, which errs on the wide side).
    """
    blocks = _blocks(table, draws)
    return np.concatenate(
        [_over_countries(statistic(_draw(table, size, rng, rows, items))) for size in blocks]
    )


def interval(
    table: Table,
    rng: np.random.Generator,
    *,
    rows: bool,
    items: bool,
    statistic: Statistic = ratio,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Interval:
    """Return the statistics with percentile intervals; for the arguments see `resample`."""
    drawn = resample(table, rng, rows=rows, items=items, statistic=statistic, draws=draws)
    return Interval(estimate(table, statistic), *ends(drawn, level))


def interval_by_country(
    table: Table,
    rng: np.random.Generator,
    *,
    rows: bool,
    items: bool,
    statistic: Statistic = ratio,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Interval:
    """Return statistics (1 + C, M) with percentile intervals: over all countries, then of each in
    the order of their numbers, all from the same draws; for the arguments see `resample`."""
    found = []
    for size in _blocks(table, draws):
        found.append(with_mean(statistic(_draw(table, size, rng, rows, items))))
    observed = with_mean(statistic(_by_country(table).sum(axis=1)))
    low, high = ends(np.concatenate(found).reshape(draws, -1), level)
    return Interval(observed, low.reshape(observed.shape), high.reshape(observed.shape))


def with_mean(statistics: Floats) -> Floats:
    """Return statistics of countries (..., C, M) with their mean before them (..., 1 + C, M)."""
    return np.concatenate([_over_countries(statistics)[..., None, :], statistics], axis=-2)


def compare(
    one: Table,
    two: Table,
    rng: np.random.Generator,
    *,
    rows: bool,
    items: bool,
    statistic: Statistic = ratio,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Difference:
    """Return the differences of two models that answered for the same rows and items.

    Raises ValueError where the tables do not have the same rows and items.
    """
    both, difference = _side_by_side(one, two, statistic)
    drawn = resample(both, rng, rows=rows, items=items, statistic=difference, draws=draws)
    observed = estimate(both, difference)
    tests = [_flip(_by_cluster(both), observed, difference, draws, rng)] if rows else []
    if items:
        by_item = np.swapaxes(_by_country(both), 0, 1)
        tests.append(_flip(by_item, observed, difference, draws, rng))
    p_value = np.max(tests, axis=0) if tests else np.full(observed.shape, np.nan)
    return Difference(observed, *ends(drawn, level), p_value)


def compare_by_country(
    one: Table, two: Table, rng: np.random.Generator, *, draws: int = DRAWS
) -> Interval:
    """Return the differences (1 + C, M) of two models' means over rows and items, over all
    countries and then of each; see `compare` and `interval_by_country`."""
    both, difference = _side_by_side(one, two, ratio)
    return interval_by_country(both, rng, rows=True, items=True, statistic=difference, draws=draws)


def _side_by_side(one: Table, two: Table, statistic: Statistic) -> tuple[Table, Statistic]:
    """Return two tables as one, and the statistic of their difference."""
    same = one.sums.shape == two.sums.shape and (one.group == two.group).all()
    if not same or not (one.cluster == two.cluster).all():
        raise ValueError("two models can only be compared on the same rows and items")
    both = Table(np.concatenate([one.sums, two.sums], axis=-1), one.group, one.cluster)

    def difference(sums: Floats) -> Floats:
        left, right = np.split(sums, 2, axis=-1)
        return statistic(left) - statistic(right)

    return both, difference


def _flip(
    units: Floats, observed: Floats, difference: Statistic, draws: int, rng: np.random.Generator
) -> Floats:
    """Return p of exchanging the two models at random unit by unit; `units` is (U, C, 2J).

    Fisher's randomisation test with (hits + 1) / (draws + 1), so that p is never 0.
    """
    left, right = np.split(units, 2, axis=-1)
    middle, half = (left + right).sum(axis=0) / 2, (left - right) / 2
    hits = np.zeros_like(observed)
    size = max(1, BLOCK // (len(units) + half[0].size))
    for start in range(0, draws, size):
        signs = rng.integers(0, 2, (min(size, draws - start), len(units))) * 2.0 - 1
        moved = (signs @ half.reshape(len(units), -1)).reshape(-1, *middle.shape)
        sums = np.concatenate([middle + moved, middle - moved], axis=-1)
        extreme = np.abs(_over_countries(difference(sums))) >= np.abs(observed) - 1e-12
        hits += extreme.sum(axis=0)
    return as_floats(np.where(np.isnan(observed), np.nan, (hits + 1) / (draws + 1)))


def draw_weights(n: int, draws: int, rng: np.random.Generator) -> Floats:
    """Return (draws, n): how often each of n units comes up in n draws with replacement."""
    picked = rng.integers(0, n, (draws, n)) + np.arange(draws)[:, None] * n
    return np.bincount(picked.ravel(), minlength=draws * n).reshape(draws, n).astype(np.float64)


def _draw(table: Table, draws: int, rng: np.random.Generator, rows: bool, items: bool) -> Floats:
    """Return the resampled sums (draws, C, J) of each country."""
    n_items, n_sums = table.sums.shape[1:]
    by_item = draw_weights(n_items, draws, rng) if items else np.ones((draws, n_items))
    if not rows:
        flat = _by_country(table).swapaxes(0, 1).reshape(n_items, -1)
        return (by_item @ flat).reshape(draws, -1, n_sums)
    countries = []
    for country in np.unique(table.group):
        members = table.group == country
        _, place = np.unique(table.cluster[members], return_inverse=True)
        by_row = draw_weights(place.max() + 1, draws, rng)[:, place]
        cells = table.sums[members]
        drawn = (by_row @ cells.reshape(len(cells), -1)).reshape(draws, n_items, n_sums)
        countries.append(np.einsum("dij,di->dj", drawn, by_item))
    return np.stack(countries, axis=1)


def _blocks(table: Table, draws: int) -> Iterator[int]:
    rows, items, sums = table.sums.shape
    return blocks(max(rows + items, items * sums), draws)


def blocks(cells: int, draws: int) -> Iterator[int]:
    """Yield how many draws of so many numbers are made at once."""
    size = max(1, BLOCK // cells)
    for start in range(0, draws, size):
        yield min(size, draws - start)


def _by_country(table: Table) -> Floats:
    """Return (C, I, J): sums over the rows of each country."""
    _, place = np.unique(table.group, return_inverse=True)
    out = np.zeros((place.max() + 1, *table.sums.shape[1:]))
    np.add.at(out, place, table.sums)
    return out


def _by_cluster(table: Table) -> Floats:
    """Return (U, C, J): sums over the items and rows of each cluster, zero in other countries."""
    _, unit = np.unique(table.cluster, return_inverse=True)
    _, country = np.unique(table.group, return_inverse=True)
    out = np.zeros((unit.max() + 1, country.max() + 1, table.sums.shape[2]))
    np.add.at(out, (unit, country), table.sums.sum(axis=1))
    return out


def _over_countries(statistics: Floats) -> Floats:
    """Return the mean over countries (second axis from the end); those without a score are out."""
    return known_mean(statistics, axis=-2)


def ends(drawn: Floats, level: float) -> tuple[Floats, Floats]:
    """Return the two quantiles (M,) that hold `level` of the draws (draws, M); draws without a
    value are left out, and without any both are NaN."""
    found = np.full((2, drawn.shape[1]), np.nan)
    known = ~np.isnan(drawn).all(axis=0)
    quantile = np.nanquantile if np.isnan(drawn[:, known]).any() else np.quantile
    if known.any():
        found[:, known] = quantile(drawn[:, known], [(1 - level) / 2, (1 + level) / 2], axis=0)
    return found[0], found[1]


def score_interval(
    errors: Floats,
    lengths: Floats,
    rng: np.random.Generator,
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Interval:
    """Return CultureSPA's scores (1 + C,), the mean over countries first, of squared errors and
    squared lengths (C, I), NaN where nothing is scored, with intervals over items.

    The intervals are studentised (Efron & Tibshirani 1993, section 12.5): of t = (r* - r) / s* with
    r the root of the ratio and s its standard error by linearisation. Of few items the score is too
    skewed for percentiles, which hold the truth in .78 of samples of 20 (`bench/coverage.py`).
    """
    known = ~np.isnan(errors)
    cells = np.where(known, errors, 0), np.where(known, lengths, 0)
    root, error = (part[0] for part in _root(np.ones((1, errors.shape[1])), *cells))
    parts = []
    for size in blocks(errors.size, draws):
        by_item = draw_weights(errors.shape[1], size, rng)
        drawn, spread = _root(by_item, *cells)
        with np.errstate(invalid="ignore", divide="ignore"):
            parts.append((drawn - root) / spread)
    t = np.concatenate(parts)
    t[~np.isfinite(t)] = np.nan
    low, high = (np.nan_to_num(error * end) for end in ends(t, level))
    return Interval(*(100 * (1 - np.maximum(each, 0)) for each in (root, root - low, root - high)))


def _root(by_item: Floats, errors: Floats, lengths: Floats) -> tuple[Floats, Floats]:
    """Return (draws, 1 + C): roots of summed errors over lengths, the mean over countries first,
    and their standard errors over items."""
    above, below = by_item @ errors.T, by_item @ lengths.T
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio_ = above / below
        root = np.sqrt(ratio_)
        moved = (errors.T - ratio_[:, None, :] * lengths.T) / (2 * root * below)[:, None, :]
    moved = np.nan_to_num(moved, posinf=0, neginf=0)
    whole = np.concatenate([moved.mean(axis=-1, keepdims=True), moved], axis=-1)
    spread = np.sqrt(np.einsum("di,dic->dc", by_item, whole**2))
    return with_mean(root[..., None])[..., 0], spread
