"""How far apart the orders of its options drive a series' answers, and how far chance alone would.

Invariant: the floor is of somebody whose answers do not depend on the order, who gives as many
valid ones in each.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import duckdb
import numpy as np

from eval.metrics.grid import Floats, as_floats
from eval.report.results import ALL, Series

_CELLS = 100_000
"""Cells that are drawn, all tries together."""
_ANSWERS = """
select r.country, r.item_id, r.arrangement, o.point, round(sum(r.weight), 9) as weight
from survey_readings r join survey_options o on o.item_id = r.item_id and o.code = r.code
where r.condition_id = ? and r.reading = ? group by all order by all
"""


class _Chance(NamedTuple):
    """The gap between orders that is to be expected by chance."""

    mean: float
    high: float
    """What 95 of 100 stay below."""


def chance_gaps(
    con: duckdb.DuckDBPyConnection, series: Series, rng: np.random.Generator
) -> dict[str, _Chance]:
    """Return by country, and over all, the order gap of whoever draws as many answers in each order
    from the same shares; 0 where the answers are probabilities."""
    found: dict[tuple[str, str], dict[int, dict[int, float]]] = defaultdict(dict)
    for country, item, arrangement, point, weight in con.execute(
        _ANSWERS, [series.condition, series.reading]
    ).fetchall():
        found[country, item].setdefault(arrangement, {})[point] = weight
    cells = {key: orders for key, orders in found.items() if len(orders) > 1}
    if not cells:
        return {}
    countries = list(dict.fromkeys(country for country, _ in cells))
    if series.reading == "logprobs":
        return dict.fromkeys((*countries, ALL), _Chance(0.0, 0.0))
    draws = int(np.clip(_CELLS // len(cells), 30, 400))
    by_country: dict[str, list[Floats]] = {country: [] for country in countries}
    for (country, _), orders in cells.items():
        by_country[country].append(_drawn_gaps(_counts(orders), draws, rng))
    means = np.stack([np.mean(by_country[country], axis=0) for country in countries])
    return {
        country: _Chance(float(each.mean()), float(each.mean() + 1.645 * each.std(ddof=1)))
        for country, each in zip((*countries, ALL), (*means, means.mean(axis=0)), strict=True)
    }


def _counts(orders: dict[int, dict[int, float]]) -> Floats:
    """Return answers (A, K) by order and point."""
    points = sorted({point for said in orders.values() for point in said})
    return as_floats([[said.get(point, 0) for point in points] for said in orders.values()])


def _drawn_gaps(counts: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """Return the gaps (draws,) of as many answers in each order, all drawn from the mean of the
    orders' shares: sum of |s - mean| / (2 (A - 1)), as the view `survey_order_gaps` has it."""
    numbers = counts.sum(axis=1)
    pooled = (counts / numbers[:, None]).mean(axis=0)
    drawn = rng.multinomial(
        np.rint(numbers).astype(int), pooled / pooled.sum(), (draws, len(counts))
    )
    shares = drawn / drawn.sum(axis=-1, keepdims=True)
    apart = np.abs(shares - shares.mean(axis=1, keepdims=True)).sum(axis=(1, 2))
    return as_floats(apart / (2 * (len(counts) - 1)))
