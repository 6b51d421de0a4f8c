"""How far the answers of a model are from those of people, as pure functions on distributions.

Invariant: the last axis runs over the codes of one item in ascending order, and all axes before it
are broadcast; `human` holds shares of valid answers, NaN where an item was not asked, and NaN goes
in and comes out. Padding beyond an item's scale is zero; where it would count, `on` tells it apart.
Each metric has its source and its unit in the docstring; those under CLCA's name are kept for
comparison with published figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from eval.metrics.grid import Bools, Floats, Scales, as_floats
from folkways.errors import UserError
from folkways.registry import facts_of, offered, resolve_foreign

_JEFFREYS = 0.5
"""Pseudo-answers added to each code of the model before KL: the Jeffreys prior of a multinomial."""


def smoothed(counts: Floats, alpha: float = _JEFFREYS, on: Bools | None = None) -> Floats:
    """Return (n_k + alpha) / (n + alpha K) over the K codes that are `on`."""
    points = np.ones(counts.shape[-1:], dtype=np.bool_) if on is None else on
    raised = np.where(points, counts + alpha, counts * 0)
    with np.errstate(invalid="ignore"):
        return as_floats(raised / raised.sum(axis=-1, keepdims=True))


def kl(human: Floats, counts: Floats, alpha: float = _JEFFREYS, on: Bools | None = None) -> Floats:
    """Return KL(human || model) in nats, sum of h ln(h / m), with `counts` of answers smoothed.

    Kullback & Leibler 1951. Only the model is smoothed: with alpha = 0 the result is infinite where
    people chose a code that the model never did. It depends on the number of answers behind
    `counts`, so compare only models that answered equally often, and report alpha.
    """
    return _kl(human, smoothed(counts, alpha, on))


def _kl(left: Floats, right: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(left == 0, 0.0, left * np.log(left / right))
    return as_floats(terms.sum(axis=-1))


def js_distance(human: Floats, model: Floats, base: float = 2.0) -> Floats:
    """Return the Jensen-Shannon distance, the root of the divergence (Endres & Schindelin 2003).

    In [0, 1] for base 2; with base e, as CLCA has it, at most sqrt(ln 2) = .832555. Unsmoothed.
    """
    middle = (human + model) / 2
    divergence = (_kl(human, middle) + _kl(model, middle)) / 2 / np.log(base)
    return as_floats(np.sqrt(np.maximum(divergence, 0)))


def tv(human: Floats, model: Floats) -> Floats:
    """Return the total variation distance, half the sum of |h - m|, in [0, 1]."""
    return as_floats(np.abs(human - model).sum(axis=-1) / 2)


def w1(human: Floats, model: Floats, codes: Floats) -> Floats:
    """Return the Wasserstein-1 distance with the scale stretched over [0, 1]: the area between the
    two cumulative distributions, so 1 means everybody at opposite ends.

    Only for ordinal items. WorldValuesBench (Zhao et al. 2024) scores with it.
    """
    step = np.diff(codes, axis=-1) / (codes[..., -1:] - codes[..., :1])
    gap = np.abs(np.cumsum(human - model, axis=-1))[..., :-1]
    return as_floats((gap * step).sum(axis=-1))


def penalised(distance: Floats, invalid: Floats) -> Floats:
    """Return (1 - r) D + r for a distance in [0, 1] and the share r of invalid answers: an answer
    that is none counts as the worst one. A model that gave no valid answer at all scores 1."""
    with np.errstate(invalid="ignore"):
        return np.where(invalid >= 1, 1.0, (1 - invalid) * distance + invalid)


def clca_compat_kl(
    human: Floats, model: Floats, invalid: Floats | None, on: Bools | None = None
) -> Floats:
    """Return what CLCA's code reports as KL: KL(human || softmax(model)), in nats.

    The softmax is taken of the model's *shares*, which are probabilities already, over the K codes
    and a bucket for invalid answers: sum of h (ln h - m) + ln sum of e^m. So the optimum is neither
    0 nor the people's distribution, and always giving the national mode beats a perfect sampler.
    `model` are shares of all answers, so that they sum to 1 - `invalid`; `invalid=None` leaves the
    bucket out. Liu, Korhonen & Gurevych 2025, released code.
    """
    points = np.ones(model.shape[-1:], dtype=np.bool_) if on is None else on
    total = np.sum(np.where(points, np.exp(model), 0), axis=-1)
    if invalid is not None:
        total = total + np.exp(invalid)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(human == 0, 0.0, human * (np.log(human) - model))
    return as_floats(terms.sum(axis=-1) + np.log(total))


def clca_compat_js(human: Floats, model: Floats, invalid: Floats) -> Floats:
    """Return CLCA's JS distance: base e, over the K codes and a bucket for invalid answers, in
    which people never are. `model` are shares of all answers. At most .832555, for no valid answer.
    """
    bucket = np.zeros_like(human[..., :1])
    left = np.concatenate([human, bucket], axis=-1)
    right = np.concatenate([model, bucket + invalid[..., None]], axis=-1)
    return js_distance(left, right, base=np.e)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """A model's answers to I items, by cell."""

    counts: Floats
    """(..., I, K): valid answers by code, not whole where they are sums of option probabilities."""
    invalid: Floats
    """(..., I): the other answers."""

    @property
    def valid(self) -> Floats:
        """(..., I): the number of valid answers."""
        return as_floats(self.counts.sum(axis=-1))

    @property
    def model(self) -> Floats:
        """(..., I, K): shares of valid answers; NaN without one."""
        return self._over(self.valid)

    @property
    def of_all(self) -> Floats:
        """(..., I, K): shares of all answers."""
        return self._over(self.valid + self.invalid)

    @property
    def invalid_rate(self) -> Floats:
        """(..., I): share of invalid answers."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return as_floats(self.invalid / (self.valid + self.invalid))

    def _over(self, total: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return as_floats(self.counts / total[..., None])


Metric = Callable[[Floats, Answers, Scales], Floats]
"""From people's shares (..., I, K), answers and scales to cells (..., I)."""


def _kl_of(human: Floats, given: Answers, scales: Scales) -> Floats:
    return np.where(given.valid > 0, kl(human, given.counts, _JEFFREYS, scales.on), np.nan)


def _js_of(human: Floats, given: Answers, scales: Scales) -> Floats:
    return js_distance(human, given.model)


def _js_natural_of(human: Floats, given: Answers, scales: Scales) -> Floats:
    return js_distance(human, given.model, base=np.e)


def _tv_of(human: Floats, given: Answers, scales: Scales) -> Floats:
    return tv(human, given.model)


def _w1_of(human: Floats, given: Answers, scales: Scales) -> Floats:
    return np.where(scales.ordinal, w1(human, given.model, scales.codes), np.nan)


def _clca_kl_of(human: Floats, given: Answers, scales: Scales) -> Floats:
    return clca_compat_kl(human, given.of_all, given.invalid_rate, scales.on)


def _clca_js_of(human: Floats, given: Answers, scales: Scales) -> Floats:
    return clca_compat_js(human, given.of_all, given.invalid_rate)


def _penalised_of(metric: Metric) -> Metric:
    def measure_penalised(human: Floats, given: Answers, scales: Scales) -> Floats:
        cells = penalised(metric(human, given, scales), given.invalid_rate)
        undefined = np.isnan(human[..., 0]) | (~scales.ordinal if metric is _w1_of else False)
        return np.where(undefined, np.nan, cells)

    return measure_penalised


METRICS: dict[str, Metric] = {
    "kl": _kl_of,
    "js_distance": _js_of,
    "js_natural": _js_natural_of,
    "tv": _tv_of,
    "w1": _w1_of,
    "js_penalised": _penalised_of(_js_of),
    "tv_penalised": _penalised_of(_tv_of),
    "w1_penalised": _penalised_of(_w1_of),
    "clca_compat_kl": _clca_kl_of,
    "clca_compat_js": _clca_js_of,
}
"""Every metric by the name it has in a report. JS is base 2 unless the name says otherwise; W1 is
not defined for nominal items."""


def own_metrics(chosen: Iterable[str] | None) -> tuple[str, ...]:
    """Return the metrics of one's own that are computed beside the shipped ones: those chosen, or
    with None all that were registered or that installed packages offer."""
    names = sorted(offered("metric")) if chosen is None else chosen
    return tuple(name for name in dict.fromkeys(names) if name not in METRICS)


def load_metric(name: str) -> Metric:
    """Return a metric by its name or import path.

    Raises UserError for an unknown name, with the known ones, and CodeNotAllowed for an import path
    without leave: names of metrics are stored with answers.
    """
    if name in METRICS:
        return METRICS[name]
    found = resolve_foreign("metric", name, dict.fromkeys(METRICS, ""))

    def cells(human: Floats, given: Answers, scales: Scales) -> Floats:
        values = np.asarray(found(human, given, scales))
        shape = np.broadcast_shapes(human.shape[:-1], given.counts.shape[:-1])
        if values.shape != shape or values.dtype.kind not in "biuf":
            raise UserError(
                f"metric '{name}' gave {values.dtype} of shape {values.shape}; give a number for "
                f"each of the cells {shape}"
            )
        if (values < 0).any():
            raise UserError(
                f"metric '{name}' gave {np.nanmin(values):g}; values are 0 or more, or NaN"
            )
        return np.where(np.isnan(human[..., 0]), np.nan, values)

    return cells


def own_facts(name: str) -> Mapping[str, Any] | None:
    """Return title, unit and better of a metric of one's own; None for any other name."""
    if name in METRICS or (":" not in name and name not in offered("metric")):
        return None
    found = resolve_foreign("metric", name, dict.fromkeys(METRICS, ""))
    return {"title": name} | dict(facts_of(found))


def measure(
    human: Floats, given: Answers, scales: Scales, names: Iterable[str] = tuple(METRICS)
) -> dict[str, Floats]:
    """Return metrics by name, cell by cell (..., I).

    NaN where people were not asked or a metric is not defined. Without any valid answer the plain
    distances are NaN and the penalised ones 1. Raises UserError for an unknown name.
    """
    metrics = {name: load_metric(name) for name in names}
    return {name: metric(human, given, scales) for name, metric in metrics.items()}
