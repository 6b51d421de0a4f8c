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
from eval.metrics.bootstrap import (
    Interval,
    compare,
    compare_by_country,
    estimate,
    resample,
    tabulate,
)
from eval.metrics.bootstrap import ends as quantiles
from eval.metrics.grid import Floats, Grid, as_floats
from eval.report.answers import SeriesAnswers
from eval.report.results import ALL, Individual, PairedDifference

_MEASURES = ("hard", "soft", "hard_penalised", "soft_penalised", "accuracy_clca")
_CORRECTED = ("hard_corrected", "soft_corrected")
_COMPARED = ("hard", "hard_penalised", "accuracy_clca")
"""Measures of paired differences."""


def individuals(
    given: SeriesAnswers, truths: Floats, grid: Grid, rng: np.random.Generator, draws: int
) -> Iterator[Individual]:
    """Yield every measure with its interval over respondents and items, over all countries and of
    each."""
    known = ~np.isnan(truths).all(axis=1)
    yield from _everywhere(
        given.series.id,
        truths[known],
        given.answers[known],
        given.group[known],
        grid,
        rng,
        draws,
        None if given.cluster is None else given.cluster[known],
    )


def guesses(
    given: SeriesAnswers, truths: Floats, grid: Grid, rng: np.random.Generator
) -> Iterator[Individual]:
    """Yield the same measures of guessing and of the national answers, for the respondents of a
    series."""
    known = ~np.isnan(truths).all(axis=1)
    group = given.group[known]
    everybody = {
        "uniform": baseline.uniform(grid)[group],
        "national-mode": baseline.national_mode(grid)[group],
        "people": grid.shares[group],
    }
    for name, made in everybody.items():
        yield from _everywhere(name, truths[known], as_floats(made), group, grid, rng, 0)


def individual_gaps(
    one: tuple[SeriesAnswers, Floats],
    two: tuple[SeriesAnswers, Floats],
    grid: Grid,
    rng: np.random.Generator,
    draws: int,
) -> Iterator[PairedDifference]:
    """Yield the paired differences of two series, over all countries and of each, for the
    respondents and cells of both; with each series come its respondents' own answers."""
    left, right = one[0].respondents, two[0].respondents
    places = {person: row for row, person in enumerate(right)}
    rows = [row for row, person in enumerate(left) if person in places]
    others = [places[left[row]] for row in rows]
    group = one[0].group[rows]
    first = _cells(one[1][rows], one[0].answers[rows], grid)
    second = _cells(two[1][others], two[0].answers[others], grid)
    both = ~np.isnan(first) & ~np.isnan(second)
    columns = [_MEASURES.index(name) for name in _COMPARED]
    homes, inside = np.unique(group, return_inverse=True)
    cluster = None if one[0].cluster is None else one[0].cluster[rows]
    mine, theirs = (
        tabulate(np.where(both, each, np.nan)[..., columns], group=inside, cluster=cluster)
        for each in (first, second)
    )
    whole = compare(mine, theirs, rng, rows=True, items=True, draws=draws)
    parts = compare_by_country(mine, theirs, rng, draws=draws)
    ids = one[0].series.id, two[0].series.id
    for at, name in enumerate(_COMPARED):
        for place, country in enumerate((ALL, *(grid.countries[row] for row in homes))):
            chosen = both[..., columns[at]]
            members = chosen if country == ALL else chosen[inside == place - 1]
            value, low, high = (float(part[place, at]) for part in parts)
            p = float(whole.p_value[at]) if country == ALL else None
            items = int(members.any(axis=0).sum())
            yield PairedDifference(*ids, name, country, value, low, high, p, items)


def _everywhere(
    who: str,
    truth: Floats,
    answers: Floats,
    group: NDArray[np.intp],
    grid: Grid,
    rng: np.random.Generator,
    draws: int,
    cluster: NDArray[np.intp] | None = None,
) -> Iterator[Individual]:
    """Yield the measures over all countries, then of each."""
    if not len(truth):
        return
    cells = _cells(truth, answers, grid)
    exact, near = (np.where(np.isnan(cells[..., 0]), np.nan, part)
                   for part in chance(truth, grid.scales))  # fmt: skip
    stacked = np.concatenate([cells, np.stack([exact, near], axis=-1)], axis=-1)
    homes = [(ALL, np.ones(len(group), dtype=bool))]
    homes += [(grid.countries[row], group == row) for row in np.unique(group)]
    for country, members in homes:
        together = None if cluster is None else cluster[members]
        found = _with_corrected(stacked[members], group[members], rng, draws, together)
        counts = (~np.isnan(stacked[members])).sum(axis=(0, 1))
        for place, name in enumerate((*_MEASURES, *_CORRECTED)):
            value, low, high = (float(part[place]) for part in found)
            yield Individual(
                who,
                country,
                name,
                value,
                low=low if draws else None,
                high=high if draws else None,
                cells=int(counts[place if place < len(_MEASURES) else 0]),
            )


def _cells(truth: Floats, answers: Floats, grid: Grid) -> Floats:
    """Return the measures cell by cell (R, I, M) of answers (R, I, K), NaN where nothing counts."""
    valid = answers.sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = as_floats(answers / valid[..., None])
    exact, near = expected(truth, shares, grid.scales)
    asked = ~np.isnan(valid)
    penalised = [
        np.where(asked & ~np.isnan(truth), np.nan_to_num(score * valid), np.nan)
        for score in (exact, near)
    ]
    clca = expected_accuracy_clca(
        grid.scales.one_hot(truth), np.isnan(truth).astype(float), shares * valid[..., None]
    )
    clca = np.where(asked, np.nan_to_num(clca), np.nan)
    return np.stack([exact, near, *penalised, clca], axis=-1)


def _with_corrected(
    stacked: Floats,
    group: NDArray[np.intp],
    rng: np.random.Generator,
    draws: int,
    cluster: NDArray[np.intp] | None,
) -> Interval:
    """Return the means of the measures and the chance-corrected means (2,), (s - e) / (1 - e), with
    their intervals; countries weigh the same."""
    table = tabulate(stacked, group=np.unique(group, return_inverse=True)[1], cluster=cluster)

    def corrected(means: Floats) -> Floats:
        own, guessed = means[..., : len(_MEASURES)], means[..., len(_MEASURES) :]
        return np.concatenate([own, (own[..., :2] - guessed) / (1 - guessed)], axis=-1)

    observed = corrected(estimate(table))
    if not draws:
        return Interval(observed, observed, observed)
    drawn = corrected(resample(table, rng, rows=True, items=True, draws=draws))
    return Interval(observed, *quantiles(drawn, 0.95))
