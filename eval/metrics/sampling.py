"""What sampling does to distances between distributions: their noise floor and their intervals.

Invariant: a distance that is computed from a sample is too large on average, and in a resample by
about as much again. Intervals are therefore basic ones, 2 x estimate - quantile, which take that
excess off, and not below 0: with 20 items and 200 respondents near the people's distribution they
held the true mean JS distance in 87 of 100 samples, percentile intervals in 15. The floor, the
distance of a perfect sampler, stands beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from eval.metrics.baseline import sample
from eval.metrics.bootstrap import (
    BLOCK,
    LEVEL,
    Difference,
    Interval,
    blocks,
    compare,
    draw_weights,
    ends,
    tabulate,
)
from eval.metrics.grid import Floats, Scales, as_floats, known_mean
from eval.metrics.metric import METRICS, Answers, measure

_DRAWS = 2_000
_FLOOR_DRAWS = 200
FLOORS = ("kl", "js_distance", "js_natural", "tv", "w1")
"""Metrics that have a noise floor."""

_Weighted = tuple[Floats, Floats]
"""Respondents' answers (R, I, K) and how often each counts in each draw (draws, R)."""


def noise_floor(
    human: Floats,
    scales: Scales,
    n_model: int | Floats | None,
    n_human: Floats | None,
    rng: np.random.Generator,
    *,
    draws: int = _FLOOR_DRAWS,
    names: Iterable[str] = FLOORS,
) -> dict[str, Floats]:
    """Return by metric the distances (draws, ...) of a model that *is* the population, item means.

    `human` (..., I, K) is taken for the population, of which people are a fresh sample of `n_human`
    (..., I) and the model one of `n_model` answers to each item, or (..., I) of them. None is a
    sample without end: for the model a read-out of probabilities, for people, as NaN among their
    numbers, a population that is known. Compare runs only at the same `n_model`.
    """
    return measured_distances(human, human, scales, n_model, n_human, rng, draws=draws, names=names)


def measured_distances(
    human: Floats,
    model: Floats,
    scales: Scales,
    n_model: int | Floats | None,
    n_human: Floats | None,
    rng: np.random.Generator,
    *,
    draws: int = _FLOOR_DRAWS,
    names: Iterable[str] = FLOORS,
    invalid: Floats | None = None,
) -> dict[str, Floats]:
    """Return the same distances (draws, ...) of answers that are drawn from shares `model` of the
    shape of `human`, beside which shares `invalid` (..., I) of all answers are none."""
    names = tuple(names)
    found: dict[str, list[Floats]] = {name: [] for name in names}
    for size in blocks(human.size, draws):
        people, answers = (np.broadcast_to(each, (size, *each.shape)) for each in (human, model))
        seen = people if n_human is None else _seen(people, n_human, rng)
        counts = answers * 1e9 if n_model is None else sample(answers, n_model, rng)
        given = _valid(counts) if invalid is None else beside_invalid(counts, invalid)
        for name, cells in measure(seen, given, scales, names).items():
            found[name].append(known_mean(cells))
    return {name: np.concatenate(values) for name, values in found.items()}


def expected_distances(
    human: Floats,
    model: Floats,
    scales: Scales,
    n: Floats,
    rng: np.random.Generator | None,
    *,
    draws: int = _FLOOR_DRAWS,
    names: Iterable[str] = FLOORS,
) -> dict[str, Floats]:
    """Return by metric the distances (..., I) to be expected of whoever draws `n` (..., I) answers
    to each item from `model` (..., I, K): the mean of so many tries.

    Without a generator nothing is drawn, as from probabilities; `n` then only smooths KL.
    """
    names = tuple(names)
    sharp = bool(np.isin(model, (0, 1)).all(where=~np.isnan(model)))
    if rng is None or sharp:
        return measure(human, _valid(model * n[..., None]), scales, names)
    sums = {name: np.zeros(n.shape) for name in names}
    known = np.where(np.isnan(n)[..., None], np.nan, model)
    for size in blocks(human.size, draws):
        counts = sample(np.broadcast_to(known, (size, *known.shape)), n, rng)
        for name, cells in measure(human, _valid(counts), scales, names).items():
            sums[name] += cells.sum(axis=0)
    return {name: total / draws for name, total in sums.items()}


def _valid(counts: Floats) -> Answers:
    """Return answers of which all are valid."""
    return Answers(counts, np.zeros(counts.shape[:-1]))


def beside_invalid(counts: Floats, invalid: Floats) -> Answers:
    """Return valid answers (..., I, K) beside so many that shares `invalid` (below 1) are none."""
    return Answers(counts, counts.sum(axis=-1) * invalid / (1 - invalid))


def _seen(shares: Floats, numbers: Floats, rng: np.random.Generator) -> Floats:
    """Return the shares of people who are a sample, or as they are where their number is NaN."""
    counts = sample(shares, np.where(np.isnan(numbers), 1, np.maximum(np.rint(numbers), 1)), rng)
    drawn = counts / counts.sum(axis=-1, keepdims=True)
    return np.where(np.isnan(numbers)[..., None], shares, drawn)


def pool(answers: Floats, group: NDArray[np.intp], weights: Floats | None = None) -> Answers:
    """Return the answers (C, I) of countries, of respondents' answers (R, I, K), who count the same
    or by `weights` (R,).

    Each row is one-hot or a distribution over the codes, all zero for an invalid answer and NaN for
    an item that the respondent was not asked; `group` (R,) is the row's country, from 0 without a
    gap.
    """
    by_row = np.eye(int(group.max()) + 1)[group].T * (1 if weights is None else weights)
    counts = np.einsum("cr,rik->cik", by_row, np.nan_to_num(answers))
    asked = by_row @ ~np.isnan(answers[..., 0])
    return Answers(counts, np.maximum(asked - counts.sum(axis=-1), 0))


def resample_distances(
    models: Sequence[Floats],
    human: Floats,
    scales: Scales,
    group: NDArray[np.intp],
    rng: np.random.Generator,
    *,
    rows: bool,
    items: bool,
    weights: Floats | None = None,
    cluster: NDArray[np.intp] | None = None,
    names: Iterable[str] = tuple(METRICS),
    draws: int = _DRAWS,
) -> dict[str, Floats]:
    """Return by metric the distances (draws, models), means over items and then countries.

    Each of `models` is (R, I, K) as in `pool`, all of the same respondents, which are drawn with
    replacement within their country and count by `weights` (R,), those of one `cluster` (R,), a
    number that no other country has, together; `human` (C, I, K) is held fixed.
    All models see the same draws. A cell without a valid answer is in no plain distance: show the
    penalised ones as well. Where there are several models a cell counts in which all gave a valid
    answer. Raises ValueError where a country has no respondents.
    """
    drawn = resample_by_country(
        models,
        human,
        scales,
        group,
        rng,
        rows=rows,
        items=items,
        weights=weights,
        cluster=cluster,
        names=names,
        draws=draws,
    )
    return {name: known_mean(values) for name, values in drawn.items()}


def resample_by_country(
    models: Sequence[Floats],
    human: Floats,
    scales: Scales,
    group: NDArray[np.intp],
    rng: np.random.Generator,
    *,
    rows: bool,
    items: bool,
    weights: Floats | None = None,
    cluster: NDArray[np.intp] | None = None,
    names: Iterable[str] = tuple(METRICS),
    draws: int = _DRAWS,
) -> dict[str, Floats]:
    """Return by metric the distances (draws, models, C) of each country; see `resample_distances`,
    which is the mean of them. The items drawn are the same in all countries."""
    if not np.array_equal(np.unique(group), np.arange(len(human))):
        raise ValueError("every country needs respondents, and every respondent a country")
    heavy = np.ones(len(group)) if weights is None else weights

    def draw(country: int, size: int) -> list[_Weighted]:
        members = group == country
        units, place = _units(members, cluster)
        by_row = draw_weights(units, size, rng)[:, place] if rows else np.ones((1, len(place)))
        return [(model[members], by_row * heavy[members]) for model in models]

    return _gather(draw, human, scales, rng if items else None, tuple(names), draws, len(group))


def compare_distances(
    one: Floats,
    two: Floats,
    human: Floats,
    scales: Scales,
    group: NDArray[np.intp],
    rng: np.random.Generator,
    *,
    rows: bool,
    items: bool,
    weights: Floats | None = None,
    cluster: NDArray[np.intp] | None = None,
    names: Iterable[str] = tuple(METRICS),
    draws: int = _DRAWS,
    level: float = LEVEL,
) -> dict[str, Difference]:
    """Return by metric the difference of two models' distances, first less second.

    The interval is a basic one. p is that of exchanging the two models at random, respondent by
    respondent and item by item, whichever is larger. For the arguments see `resample_distances`.
    """
    names = tuple(names)
    drawn = resample_distances(
        [one, two],
        human,
        scales,
        group,
        rng,
        rows=rows,
        items=items,
        weights=weights,
        cluster=cluster,
        names=names,
        draws=draws,
    )
    heavy = np.ones(len(group)) if weights is None else weights
    cells = [measure(human, pool(model, group, heavy), scales, names) for model in (one, two)]
    exchanged: dict[str, Floats] = {}
    if rows:
        exchanged = _exchange(
            one, two, human, scales, group, rng, heavy, names, draws, cluster=cluster
        )
    results = {}
    for name in names:
        known = ~np.isnan(cells[0][name] + cells[1][name])
        both = [tabulate(np.where(known, each[name], np.nan)) for each in cells]
        by_item = compare(both[0], both[1], rng, rows=False, items=items, draws=draws)
        observed = by_item.estimate
        p_values = [by_item.p_value] if items else []
        if rows:
            extreme = np.abs(exchanged[name]) >= np.abs(observed) - 1e-12
            p_values.append(as_floats([(extreme.sum() + 1) / (draws + 1)]))
        low, high = _basic_ends(observed, -np.diff(drawn[name], axis=1), level)
        p_value = np.max(p_values, axis=0) if p_values else np.full(1, np.nan)
        p_value = np.where(np.isnan(observed), np.nan, p_value)
        results[name] = Difference(observed, low, high, p_value)
    return results


def _exchange(
    one: Floats,
    two: Floats,
    human: Floats,
    scales: Scales,
    group: NDArray[np.intp],
    rng: np.random.Generator,
    weights: Floats,
    names: tuple[str, ...],
    draws: int,
    *,
    cluster: NDArray[np.intp] | None,
) -> dict[str, Floats]:
    """Return by metric the differences (draws,) of models that swap respondents at random."""

    def draw(country: int, size: int) -> list[_Weighted]:
        members = group == country
        both = np.concatenate([one[members], two[members]])
        units, place = _units(members, cluster)
        kept = rng.integers(0, 2, (size, units))[:, place].astype(np.float64)
        forth, back = np.hstack([kept, 1 - kept]), np.hstack([1 - kept, kept])
        heavy = np.tile(weights[members], 2)
        return [(both, forth * heavy), (both, back * heavy)]

    drawn = _gather(draw, human, scales, None, names, draws, 2 * len(group))
    means = {name: known_mean(values) for name, values in drawn.items()}
    return {name: values[:, 0] - values[:, 1] for name, values in means.items()}


def _units(
    members: NDArray[np.bool_], cluster: NDArray[np.intp] | None
) -> tuple[int, NDArray[np.intp]]:
    """Return how many units the members of a country are, and the unit of each."""
    own = np.flatnonzero(members) if cluster is None else cluster[members]
    found, place = np.unique(own, return_inverse=True)
    return len(found), place


def _gather(
    draw: Callable[[int, int], list[_Weighted]],
    human: Floats,
    scales: Scales,
    item_rng: np.random.Generator | None,
    names: tuple[str, ...],
    draws: int,
    n_rows: int,
) -> dict[str, Floats]:
    """Return by metric (draws, models, C), block by block of draws."""
    blocks: dict[str, list[Floats]] = {name: [] for name in names}
    n_items = len(scales.items)
    most = max(1, BLOCK // (human[0].size + n_rows))
    for start in range(0, draws, most):
        size = min(most, draws - start)
        by_item = draw_weights(n_items, size, item_rng) if item_rng else np.ones((size, n_items))
        parts = [
            _measure_country(draw(country, size), people, scales, by_item, names)
            for country, people in enumerate(human)
        ]
        for name in names:
            blocks[name].append(np.stack([part[name] for part in parts], axis=-1))
    return {name: np.concatenate(values) for name, values in blocks.items()}


def _measure_country(
    models: list[_Weighted],
    human: Floats,
    scales: Scales,
    by_item: Floats,
    names: tuple[str, ...],
) -> dict[str, Floats]:
    """Return by metric (draws, models) of one country, scales of the same length together; a cell
    counts where all models have it."""
    total = {name: np.zeros((len(by_item), len(models))) for name in names}
    known = {name: np.zeros((len(by_item), len(models))) for name in names}
    for length in np.unique(scales.lengths):
        chosen = scales.lengths == length
        part = scales.pick(chosen)
        k = part.codes.shape[1]
        cells = [
            measure(human[chosen, :k], _weigh(model[:, chosen, :k], by_row), part, names)
            for model, by_row in models
        ]
        for name in names:
            by_model = np.stack([each[name] for each in cells], axis=-1)
            scored = by_item[:, chosen] * ~np.isnan(by_model).any(axis=-1)
            total[name] += np.einsum("di,dim->dm", scored, np.nan_to_num(by_model))
            known[name] += scored.sum(axis=1)[:, None]
    with np.errstate(invalid="ignore"):
        return {name: as_floats(total[name] / known[name]) for name in names}


def _weigh(model: Floats, by_row: Floats) -> Answers:
    """Return answers (draws, I) of weighted respondents."""
    flat = np.nan_to_num(model).reshape(len(model), -1)
    counts = (by_row @ flat).reshape(len(by_row), *model.shape[1:])
    asked = by_row @ ~np.isnan(model[..., 0])
    return Answers(counts, np.maximum(asked - counts.sum(axis=-1), 0))


def basic_interval(observed: Floats, drawn: Floats, level: float = LEVEL) -> Interval:
    """Return distances (M,) with basic bootstrap intervals (Davison & Hinkley 1997, section 5.2)
    from their resamples (draws, M)."""
    low, high = _basic_ends(observed, drawn, level)
    return Interval(observed, np.maximum(low, 0), np.maximum(high, 0))


def _basic_ends(observed: Floats, drawn: Floats, level: float) -> tuple[Floats, Floats]:
    low, high = ends(drawn, level)
    return as_floats(2 * observed - high), as_floats(2 * observed - low)
