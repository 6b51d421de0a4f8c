"""One option of one item: how many people chose it in a country, and how often a model did.

Invariant: rows come from the store's view `survey_shares`; a share that is not known is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import duckdb

from eval.report.number import known
from eval.report.results import ALL, Results, Series
from simulation.store.reader import read_rows

_MOST_SHEETS = 30
"""Pairs of series and country that a page shows item by item."""
_QUERY = """
with labels as (
    select item_id, point, string_agg(label, ' / ' order by code) as label
    from survey_options group by all
)
select s.item_id, i.ask, s.point, l.label, s.position, s.people, s.share
from survey_shares s join survey_items i using (item_id) join labels l using (item_id, point)
where s.condition_id = ? and s.reading = ? and s.country = ?
order by s.item_id, s.point
"""


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One option of one item."""

    item_id: str
    ask: str
    """Question, or statement to be judged."""
    point: int
    """Point of the scale."""
    label: str
    position: float | None
    """Place on the scale from 0 to 1; None for nominal items."""
    people: float | None
    """Share of people's valid answers."""
    share: float | None
    """Share of the model's valid answers."""


class ItemShares(NamedTuple):
    """An item with the answers of people and of a model."""

    item_id: str
    ask: str
    options: tuple[ItemRow, ...]
    """In the order of the scale."""

    @property
    def answered(self) -> bool:
        """Whether the model gave any valid answer."""
        return all(row.share is not None and known(row.share) for row in self.options)

    @property
    def distance(self) -> float | None:
        """Total variation between people and model; None without an answer of the model."""
        if not self.answered:
            return None
        return sum(abs((row.share or 0) - (row.people or 0)) for row in self.options) / 2


def read_item_rows(con: duckdb.DuckDBPyConnection, series: Series, country: str) -> list[ItemRow]:
    """Return the rows of one series in one country."""
    rows = read_rows(con, _QUERY, series.condition, series.reading, country)
    return [ItemRow(**row) for row in rows]


def item_rows(
    con: duckdb.DuckDBPyConnection, results: Results, most: int = _MOST_SHEETS
) -> dict[tuple[str, str], list[ItemRow]]:
    """Return the rows of series in countries, by both, for `draw_items`.

    Of more than `most` pairs the countries in which a series is nearest to people and farthest from
    them, series after series.
    """
    pairs = [(series, country) for series in results.series for country in results.countries]
    if len(pairs) > most:
        pairs = [pair for series in results.series for pair in _ends(results, series)][:most]
    found = {
        (series.id, country): read_item_rows(con, series, country) for series, country in pairs
    }
    return {pair: rows for pair, rows in found.items() if rows}


def _ends(results: Results, series: Series) -> list[tuple[Series, str]]:
    by_country = {
        score.country: score.value
        for score in results.scores
        if score.who == series.id
        and score.metric == "tv"
        and score.country != ALL
        and score.value is not None
        and known(score.value)
    }
    ranked = sorted(by_country, key=lambda country: by_country[country])
    return [(series, country) for country in dict.fromkeys([*ranked[:1], *ranked[-1:]])]


def farthest_first(rows: Sequence[ItemRow]) -> list[ItemShares]:
    """Return the items that people were asked, farthest first, those without an answer last."""
    by_item: dict[str, list[ItemRow]] = {}
    for row in rows:
        by_item.setdefault(row.item_id, []).append(row)
    items = [
        ItemShares(item, options[0].ask, tuple(sorted(options, key=lambda row: row.point)))
        for item, options in by_item.items()
        if all(row.people is not None and known(row.people) for row in options)
    ]
    return sorted(items, key=lambda item: -1.0 if item.distance is None else -item.distance - 2)
