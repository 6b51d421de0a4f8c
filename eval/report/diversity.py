"""How many different answers a series gives in a country, beside people.

Invariant: people are as many as the series' answers. Of respondents they are the very same ones, on
the items that both answered; for a culture's answers as many are drawn from people's shares, and
for its probabilities none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from eval.metrics.baseline import sample
from eval.metrics.bootstrap import draw_weights, ends
from eval.metrics.diversity import distinct, entropy, variance
from eval.metrics.grid import Floats, Grid, Scales, known_mean
from eval.report.answers import SeriesAnswers
from eval.report.results import ALL, Diversity

_DRAWS = 1000
_TRIES = 100
"""Samples of people that their expected diversity is the mean of."""
_MEASURES = (entropy, variance)


class _Drawn(NamedTuple):
    """Item means of a country by measure, the observed ones first (1 + draws, M)."""

    model: Floats
    people: Floats


def diversities(
    given: SeriesAnswers, truths: Floats | None, grid: Grid, rng: np.random.Generator
) -> Iterator[Diversity]:
    """Yield the diversity of a series over all countries, then in each; with the respondents' own
    answers (R, I) where it has any. Items are drawn alike in all countries."""
    by_item = draw_weights(len(grid.scales.items), _DRAWS, rng)
    by_item = np.concatenate([np.ones((1, by_item.shape[1])), by_item])
    found: dict[str, tuple[_Drawn, int, tuple[int, int] | None]] = {}
    for row in np.unique(given.group):
        if grid.asked[row].any():
            if truths is None:
                drawn = _of_culture(given, int(row), grid, by_item, rng)
                many, pair = _typical(given.pooled.valid[row]), None
            else:
                drawn, many, pair = _of_respondents(
                    given, truths, int(row), grid.scales, by_item, rng
                )
            if not np.isnan(drawn.model[0]).all():
                found[grid.countries[row]] = drawn, many, pair
    if not found:
        return
    parts = [each for each, _, _ in found.values()]
    whole = _Drawn(*(known_mean(np.stack(each, axis=-1)) for each in zip(*parts, strict=True)))
    profiles = [each for _, _, each in found.values() if each is not None]
    typical = int(np.median([n for _, n, _ in found.values()]))
    counts = tuple(map(sum, zip(*profiles, strict=True))) if profiles else None
    yield from _rows(given.series.id, ALL, whole, typical, counts)
    for country, (drawn, n, pair) in found.items():
        yield from _rows(given.series.id, country, drawn, n, pair)


def _typical(numbers: Floats) -> int:
    known = numbers[~np.isnan(numbers)]
    return int(np.median(known)) if len(known) else 0


def _rows(
    who: str, country: str, drawn: _Drawn, n: int, profiles: Sequence[int] | None
) -> Iterator[Diversity]:
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = drawn.model / drawn.people
    ratios[~np.isfinite(ratios)] = np.nan
    low, high = ends(ratios[1:], 0.95)
    for place, measure in enumerate(_MEASURES):
        model, people = float(drawn.model[0, place]), float(drawn.people[0, place])
        ratio = float(ratios[0, place])
        bounds = float(min(low[place], ratio)), float(max(high[place], ratio))
        yield Diversity(who, country, measure.__name__, model, people, ratio, *bounds, n)
    if profiles is not None:
        own, theirs = profiles
        yield Diversity(who, country, "profiles", own, theirs, own / theirs, None, None, n)


def _of_respondents(
    given: SeriesAnswers,
    truths: Floats,
    row: int,
    scales: Scales,
    by_item: Floats,
    rng: np.random.Generator,
) -> tuple[_Drawn, int, tuple[int, int]]:
    """Return the same of a country's respondents, who are drawn by sampling point where these are
    known, how many there are, and the distinct profiles of model and people."""
    members = given.group == row
    said, own = given.answers[members], scales.one_hot(truths[members])
    profiles = tuple(
        distinct(np.where(np.nan_to_num(each).any(axis=-1), each.argmax(axis=-1), np.nan))
        for each in (said, own)
    )
    both = (np.nan_to_num(said).sum(axis=-1) > 0) & (own.sum(axis=-1) > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        said = np.where(both[..., None], said / said.sum(axis=-1, keepdims=True), 0)
    own = np.where(both[..., None], own, 0)
    cluster = np.flatnonzero(members) if given.cluster is None else given.cluster[members]
    units, place = np.unique(cluster, return_inverse=True)
    by_row = draw_weights(len(units), len(by_item) - 1, rng)[:, place]
    by_row = np.concatenate([np.ones((1, len(place))), by_row]) * given.weights[members]
    model, people = (_item_means(_pooled(each, by_row), scales, by_item) for each in (said, own))
    return _Drawn(model, people), int(members.sum()), (profiles[0], profiles[1])


def _pooled(answers: Floats, by_row: Floats) -> Floats:
    """Return shares (draws, I, K) of weighted respondents' answers (R, I, K)."""
    sums = (by_row @ answers.reshape(len(answers), -1)).reshape(-1, *answers.shape[1:])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums / sums.sum(axis=-1, keepdims=True))


def _of_culture(
    given: SeriesAnswers, row: int, grid: Grid, by_item: Floats, rng: np.random.Generator
) -> _Drawn:
    """Return the same of a culture's answers, of which only items are drawn."""
    pooled, scales = given.pooled, grid.scales
    counts, human = pooled.counts[row], grid.shares[row]
    asked = grid.asked[row] & (pooled.valid[row] > 0)
    model = np.where(asked[:, None], pooled.model[row], np.nan)
    people = np.where(asked[:, None], human, np.nan)[None]
    if not given.exact:
        n = np.where(asked, np.rint(counts.sum(axis=-1)), np.nan)
        drawn = sample(np.broadcast_to(people[0], (_TRIES, *human.shape)), n, rng)
        with np.errstate(invalid="ignore", divide="ignore"):
            people = drawn / drawn.sum(axis=-1, keepdims=True)
    found = []
    for shares in (model[None], people):
        cells = np.stack([each(shares, scales).mean(axis=0) for each in _MEASURES], axis=-1)
        found.append(_weighted(cells[None], by_item))
    return _Drawn(*found)


def _item_means(shares: Floats, scales: Scales, by_item: Floats) -> Floats:
    """Return the means over items (draws, M) of the measures of shares (draws, I, K)."""
    return _weighted(np.stack([each(shares, scales) for each in _MEASURES], axis=-1), by_item)


def _weighted(cells: Floats, by_item: Floats) -> Floats:
    heavy = by_item[..., None] * ~np.isnan(cells)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((heavy * np.nan_to_num(cells)).sum(axis=1) / heavy.sum(axis=1))
