"""Intervals of the distances that a series would have with answers and people without end.

Invariant: an interval holds its estimate and the distance as measured. It is Student's on the scale
of logarithms, for distances are skewed, with standard errors from leaving out one item at a time
(jackknife), and brought from the measured distance to the true one by `eval.metrics.calibration`.
`bench/coverage.py` counts how often it holds the truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from eval.metrics.bootstrap import LEVEL
from eval.metrics.calibration import Curve, corrected, curves
from eval.metrics.grid import Floats, Grid
from eval.metrics.metric import measure
from eval.report.answers import SeriesAnswers
from eval.report.results import ALL, Score

_CALIBRATED = ("js_distance", "js_natural", "tv", "w1")
"""Metrics whose true value can be told."""
_PENALISED = ("js_penalised", "tv_penalised", "w1_penalised")
"""The same, where there is a valid answer to everything."""
_FEW = 10
"""With fewer answers to an item the true distance cannot be told."""
_CELLS = 20_000
"""Cells that are drawn for a point of a curve, all tries together."""
_ROW_DRAWS = 200
_MOST = 10**6
"""Answers that stand for a number without end beside others."""


def true_distances(
    scores: Sequence[Score], given: SeriesAnswers, grid: Grid, rng: np.random.Generator
) -> Iterator[Score]:
    """Yield the scores of a series, distances with the interval of the true one."""
    n = given.independent
    shares, asked = given.pooled.model, grid.asked & (given.pooled.valid > 0)
    rows = np.flatnonzero(asked.any(axis=1))
    few = not given.exact and bool(np.nanmedian(n[asked]) < _FEW) if len(rows) else True
    if few:
        yield from scores
        return
    human = np.where(asked[..., None], grid.shares, np.nan)[rows]
    model, numbers = np.where(asked[..., None], shares, np.nan)[rows], n[rows]
    drawn = None if np.isinf(numbers).all() else np.minimum(numbers, _MOST)
    answered = bool((given.pooled.valid > 0)[grid.asked].all())
    names = (*_CALIBRATED, *_PENALISED) if answered else _CALIBRATED
    invalid = np.nan_to_num(given.pooled_of(rows).invalid_rate)
    draws = int(np.clip(_CELLS // asked.sum(), 12, 60))
    found = curves(
        human,
        model,
        grid.scales,
        drawn,
        grid.sampled[rows],
        rng,
        draws=draws,
        names=names,
        invalid=np.where(asked[rows], invalid, 0),
    )
    cells = measure(human, given.pooled_of(rows), grid.scales, names)
    moved: dict[str, Floats] = {}
    if given.series.by_respondent:
        moved = given.resampled(
            rows, human, grid.scales, rng, items=False, names=names, draws=_ROW_DRAWS
        )
    homes = {grid.countries[row]: place for place, row in enumerate(rows)}
    for score in scores:
        if score.metric in found and (score.country == ALL or score.country in homes):
            chosen = [*range(len(rows))] if score.country == ALL else [homes[score.country]]
            curve = found[score.metric].of(chosen)
            part = cells[score.metric][chosen]
            spread = moved.get(score.metric, np.zeros((1, len(rows))))[:, chosen].mean(axis=1).std()
            score = _with_interval(score, part, curve, float(spread))
        yield score


def _with_interval(score: Score, cells: Floats, curve: Curve, spread: float) -> Score:
    """Return a score with the interval of its true distance; by `spread` resampling respondents
    moves the mean of its cells (C, I)."""
    from scipy import stats

    if score.value is None or np.isnan(score.value):
        return score
    error, items = _jackknife(cells)
    noise = float(curve.drawn.mean(axis=1).std())
    if items < 2:
        error = noise
    # What respondents have in common across items, beyond what each cell's own noise is.
    error = float(np.hypot(error, np.sqrt(max(0.0, spread**2 - noise**2))))
    reach = stats.t.ppf((1 + LEVEL) / 2, max(items - 1, 1)) if items > 1 else 1.96
    factor = np.exp(min(reach * error / max(score.value, 1e-9), 20))
    low, middle, high = corrected(
        curve, np.array([score.value / factor, score.value, score.value * factor])
    )
    at_floor = score.floor_high is not None and score.value <= score.floor_high
    low = 0.0 if at_floor else low
    return replace(
        score,
        low=float(min(low, score.value)),
        high=float(min(max(high, score.value), 1.0)),
        corrected=float(middle),
        at_most=float(high) if at_floor else None,
    )


def _jackknife(cells: Floats) -> tuple[float, int]:
    """Return the standard error over items of the mean of countries' means of cells (C, I), and how
    many items there are."""
    known = ~np.isnan(cells)
    used = known.any(axis=0)
    cells, known = np.nan_to_num(cells[:, used]), known[:, used]
    items = cells.shape[1]
    if items < 2:
        return float("nan"), items
    sums, counts = cells.sum(axis=1, keepdims=True), known.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.nanmean((sums - cells) / (counts - known), axis=0)
    return float(np.sqrt((items - 1) * left.var())), items
