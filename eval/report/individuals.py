"""How often a series answers as the respondents did whom it speaks for.

Invariant: only what a respondent answered is scored; an invalid answer of the model is left out of
the conditional measures and counts nothing in the penalised ones.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from eval.metrics import baseline
from eval.metrics.accuracy import chance, expected, expected_accuracy_clca
from eval.metrics.bootstrap import Interval, estimate, resample, tabulate
from eval.metrics.bootstrap import ends as quantiles
from eval.metrics.grid import Floats, Grid, as_floats
from eval.report.answers import SeriesAnswers
from eval.report.results import ALL, Individual

_MEASURES = ("hard", "soft", "hard_penalised", "soft_penalised", "hard_corrected", "soft_corrected")


def individuals(
    given: SeriesAnswers, truths: Floats, grid: Grid, rng: np.random.Generator, draws: int
) -> Iterator[Individual]:
    """Yield every measure with its interval over respondents and items."""
    known = ~np.isnan(truths).all(axis=1)
    if not known.any():
        return
    truth, group = truths[known], given.group[known]
    answers = given.answers[known]
    valid = answers.sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = answers / valid[..., None]
    yield from _measures(given.series.id, truth, shares, valid, group, grid, rng, draws)


def guesses(
    given: SeriesAnswers, truths: Floats, grid: Grid, rng: np.random.Generator
) -> Iterator[Individual]:
    """Yield the same measures of guessing and of the national answers, for the respondents of a
    series."""
    known = ~np.isnan(truths).all(axis=1)
    if not known.any():
        return
    truth, group = truths[known], given.group[known]
    national = baseline.national_mode(grid)[group]
    everybody = {
        "uniform": baseline.uniform(grid)[group],
        "national-mode": national,
        "people": grid.shares[group],
    }
    for name, made in everybody.items():
        whole = np.ones(truth.shape)
        yield from _measures(name, truth, as_floats(made), whole, group, grid, rng, 0)


def _measures(
    who: str,
    truth: Floats,
    shares: Floats,
    valid: Floats,
    group: NDArray[np.intp],
    grid: Grid,
    rng: np.random.Generator,
    draws: int,
) -> Iterator[Individual]:
    exact, near = expected(truth, shares, grid.scales)
    guess = chance(truth, grid.scales)
    asked = ~np.isnan(valid)
    penalised = [
        np.where(asked & ~np.isnan(truth), np.nan_to_num(score * valid), np.nan)
        for score in (exact, near)
    ]
    scored = ~np.isnan(exact)
    by_chance = [np.where(scored, part, np.nan) for part in guess]
    stacked = np.stack([exact, near, *penalised, *by_chance], axis=-1)
    found = _with_corrected(stacked, group, rng, draws)
    for place, name in enumerate(_MEASURES):
        value, low, high = (float(part[place]) for part in found)
        cells = int((~np.isnan(penalised[0]) if "penalised" in name else scored).sum())
        yield Individual(
            who, ALL, name, value, low if draws else None, high if draws else None, cells
        )
    clca = expected_accuracy_clca(
        grid.scales.one_hot(truth), np.isnan(truth).astype(float), shares * valid[..., None]
    )
    value = float(np.nan_to_num(clca[asked]).mean())
    yield Individual(who, ALL, "accuracy_clca", value, None, None, int(asked.sum()))


def _with_corrected(
    stacked: Floats, group: NDArray[np.intp], rng: np.random.Generator, draws: int
) -> Interval:
    """Return means (4,) and chance-corrected means (2,), (s - e) / (1 - e), with their intervals;
    countries weigh the same."""
    table = tabulate(stacked, group=np.unique(group, return_inverse=True)[1])

    def corrected(means: Floats) -> Floats:
        hits, guessed = means[..., :2], means[..., 4:]
        return np.concatenate([means[..., :4], (hits - guessed) / (1 - guessed)], axis=-1)

    observed = corrected(estimate(table))
    if not draws:
        return Interval(observed, observed, observed)
    drawn = corrected(resample(table, rng, rows=True, items=True, draws=draws))
    return Interval(observed, *quantiles(drawn, 0.95))
