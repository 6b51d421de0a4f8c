"""Intervals of the true distance between people and a model, where both are known from samples.

A distance between samples is too large on average: by all of it where the two are the same, by next
to nothing where they are far apart. By how much is found by simulation along the line from people
to the model (the idea of SIMEX, Cook & Stefanski 1994, run towards no distance): at each share t of
the way the true distance is known, and the measured one is drawn with as many answers and people.

Invariant: the curve is monotonous, so that an estimate lies within its own interval.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from eval.metrics.grid import Floats, Scales, as_floats, known_mean
from eval.metrics.metric import measure
from eval.metrics.sampling import FLOORS, beside_invalid, measured_distances

_STEPS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
"""Shares of the way from people to the model."""
_DRAWS = 60


class Curve(NamedTuple):
    """True distances and what is measured of them on average, by step and country (T, C)."""

    true: Floats
    measured: Floats
    drawn: Floats
    """(draws, C): what is measured at the model's own distance."""

    def of(self, countries: Sequence[int]) -> Curve:
        """Return the curve of some countries."""
        return Curve(*(part[:, list(countries)] for part in self))


def curves(
    human: Floats,
    model: Floats,
    scales: Scales,
    n_model: Floats | None,
    n_human: Floats | None,
    rng: np.random.Generator,
    *,
    draws: int = _DRAWS,
    names: Iterable[str] = FLOORS,
    invalid: Floats | None = None,
) -> dict[str, Curve]:
    """Return by metric how distances (C, item means) between the shares `human` and `model`
    (C, I, K) are measured with `n_model` (C, I) valid answers of the model, None for probabilities,
    and `n_human` people; shares `invalid` (C, I) below 1 of all its answers are none."""
    names = tuple(names)
    none = np.zeros(human.shape[:-1]) if invalid is None else invalid
    found: dict[str, tuple[list[Floats], list[Floats]]] = {name: ([], []) for name in names}
    drawn: dict[str, Floats] = {}  # in the end of the last step
    for step in _STEPS:
        between = human + step * (model - human)
        exact = measure(human, beside_invalid(between * 1e9, none), scales, names)
        drawn = measured_distances(
            human, between, scales, n_model, n_human, rng, draws=draws, names=names, invalid=none
        )
        for name in names:
            found[name][0].append(known_mean(exact[name]))
            found[name][1].append(drawn[name].mean(axis=0))
    return {
        name: Curve(np.stack(true), np.stack(measured), drawn[name])
        for name, (true, measured) in found.items()
    }


def corrected(curve: Curve, measured: Floats) -> Floats:
    """Return the true distances, means of the curve's countries, that are measured as the values
    `measured` on average, 0 or more; beyond the model's own, and below what no distance measures,
    the two grow alike."""
    true = curve.true.mean(axis=1)
    seen = np.maximum.accumulate(curve.measured.mean(axis=1))
    beyond = np.maximum(measured - seen[-1], 0) + np.minimum(measured - seen[0], 0)
    return as_floats(np.maximum(np.interp(measured, seen, true) + beyond, 0))
