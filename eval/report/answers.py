"""The stored answers of an evaluation as arrays, with the people they are compared with.

Invariant: arrays of all series have the same countries, items and codes; a country without people
has NaN in the grid, a question that was not answered validly has zeros in a series.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import duckdb
import numpy as np
from numpy.typing import NDArray

from eval.item import Item, load_items
from eval.metrics.grid import Floats, Grid, Scales
from eval.metrics.metric import Answers
from eval.report.results import Series

CERTAIN = 1000
"""Answers that a read-out of probabilities for a culture counts as, where a metric smooths."""
SERIES = """
select c.condition_id, reading, c.model, c.method, c.leaks, c.style, c.language,
    bool_or(respondent_id is not null), max(sample) + 1
from survey_readings join survey_conditions c using (condition_id)
group by all order by min(c.rowid), reading
"""
CELLS = """
select country, respondent_id, item_id, point, round(weight, 12) from survey_answers
where condition_id = ? and reading = ? order by respondent_id
"""
"""Rounded, for the last digit of a sum hangs on the order in which DuckDB adds."""


@dataclass(frozen=True, slots=True, eq=False)
class SeriesAnswers:
    """The answers of one series."""

    series: Series
    answers: Floats
    """(R, I, K): weights by point of the scale; they sum to 1 for a valid answer, and are NaN where
    nothing was asked."""
    group: NDArray[np.intp]
    """(R,): place of the row's country in the grid."""
    respondents: tuple[str | None, ...]
    """(R,): ids, None where no respondent was described."""
    countries: tuple[str, ...]
    """Those of the grid, C of them."""
    samples: int
    """Generated answers to each question."""

    @property
    def pooled(self) -> Answers:
        """(C, I): answers by country, in the order of the grid; NaN where nothing was asked."""
        home = np.equal.outer(np.arange(len(self.countries)), self.group).astype(np.float64)
        flat = np.nan_to_num(self.answers).reshape(len(self.answers), -1)
        counts = self.scale * (home @ flat).reshape(-1, *self.answers.shape[1:])
        asked = self.scale * (home @ ~np.isnan(self.answers[..., 0]))
        nothing = asked == 0
        counts[nothing] = np.nan
        # What rounding leaves of a sum of probabilities is no invalid answer.
        invalid = np.maximum(np.round(asked - counts.sum(axis=-1), 6), 0)
        return Answers(counts, np.where(nothing, np.nan, invalid))

    @property
    def scale(self) -> int:
        """How many answers a row counts as: a respondent is one, however often asked."""
        if self.series.by_respondent:
            return 1
        return CERTAIN if self.series.reading == "logprobs" else self.samples

    def pick(self, people: Collection[str | None]) -> SeriesAnswers:
        """Return the answers for some respondents."""
        rows = [row for row, person in enumerate(self.respondents) if person in people]
        return replace(
            self, answers=self.answers[rows], group=self.group[rows],
            respondents=tuple(self.respondents[row] for row in rows),
        )  # fmt: skip


def load_grid(con: duckdb.DuckDBPyConnection) -> tuple[Grid, tuple[Item, ...]]:
    """Return people's answers over all countries and items of an evaluation, and the items."""
    items = _items(con)
    countries = _countries(con)
    scales = Scales.padded(
        {item.id: item.points for item in items}, [item.scale != "nominal" for item in items]
    )
    shape = (len(countries), len(items), scales.codes.shape[1])
    shares = np.full(shape, np.nan)
    valid, missing = np.full(shape[:2], np.nan), np.full(shape[:2], np.nan)
    places = _places(items)
    rows = con.execute(
        "select country, item_id, point, share, valid, missing from survey_people"
    ).fetchall()
    for country, item, point, share, count, absent in rows:
        if item not in places:
            continue  # an index of several answers: see `joint_means`
        row, column = countries.index(country), places[item][0]
        if np.isnan(shares[row, column, 0]):
            shares[row, column] = 0
        shares[row, column, places[item][1][point]] = share
        valid[row, column], missing[row, column] = count, absent
    best = np.where(np.isnan(shares), -1, shares).argmax(axis=2)
    codes = np.broadcast_to(scales.codes, shape)
    mode = np.take_along_axis(codes, best[..., None], axis=2)[..., 0]
    return Grid(
        countries, scales, shares, valid, missing, np.where(np.isnan(missing), np.nan, mode)
    ), items


def _items(con: duckdb.DuckDBPyConnection) -> tuple[Item, ...]:
    """Return the items that are asked: those of the registry in its order, then one's own. Of
    questions that a model wrote people gave no answers."""
    rows = con.execute(
        "select item_id, topic, ask, scale, higher from survey_items order by rowid"
    ).fetchall()
    asked, known = {row[0] for row in rows}, load_items()
    items = [item for name, item in known.items() if name in asked]
    for name, topic, ask, scale, higher in rows:
        if name not in known and ":" not in name:
            codes = con.execute(
                "select code, label, point from survey_options where item_id = ? order by code",
                [name],
            ).fetchall()
            told = {"id": name, "topic": topic, "ask": ask, "scale": scale, "higher": higher}
            told["options"] = {code: label for code, label, _ in codes}
            told["recode"] = {code: point for code, _, point in codes if code != point}
            items.append(Item.model_validate(told))
    return tuple(items)


def load_given(
    con: duckdb.DuckDBPyConnection, grid: Grid, items: tuple[Item, ...],
    only: Collection[str] | None = None,
) -> Iterator[SeriesAnswers]:  # fmt: skip
    """Yield the answers of every series, or `only` of some conditions, in the order in which
    conditions were first asked."""
    for row in con.execute(SERIES).fetchall():
        condition, reading, model, method, leaks, style, language, described, samples = row
        if only is not None and condition not in only:
            continue
        cells = con.execute(CELLS, [condition, reading]).fetchall()
        homes = _rows(cells, grid.countries)
        places = _places(items)
        answers = np.full((len(homes), len(items), grid.scales.codes.shape[1]), np.nan)
        at: dict[tuple[str, str | None], list[int]] = {}
        for number, (_, asked, respondent) in enumerate(homes):
            at.setdefault((asked, respondent), []).append(number)
        for asked, respondent, item, point, weight in cells:
            column, scale = places[item]
            for number in at[asked, respondent]:
                if np.isnan(answers[number, column, 0]):
                    answers[number, column] = 0
                if point is not None:
                    answers[number, column, scale[point]] += weight
        group = np.array([grid.countries.index(country) for country, _, _ in homes])
        each = int(np.bincount(group).max()) if described else samples
        series = Series(
            f"{condition}:{reading}", condition, reading, model, method, leaks, style, language,
            described, each,
        )  # fmt: skip
        people = tuple(respondent for _, _, respondent in homes)
        yield SeriesAnswers(series, answers, group, people, grid.countries, samples)


def load_truths(
    con: duckdb.DuckDBPyConnection, given: SeriesAnswers, items: tuple[Item, ...]
) -> Floats:
    """Return the respondents' own answers (R, I), NaN where there is none."""
    truths = np.full(given.answers.shape[:2], np.nan)
    rows = {person: row for row, person in enumerate(given.respondents)}
    places = _places(items)
    found = con.execute("select respondent_id, item_id, point from survey_truths").fetchall()
    for person, item, point in found:
        if person in rows:
            truths[rows[person], places[item][0]] = point
    return truths


def _rows(
    cells: list[tuple[str, str | None, str, int | None, float]], countries: tuple[str, ...]
) -> list[tuple[str, str, str | None]]:
    """Return country, culture asked for and respondent of each row; answers without a culture
    stand for every country."""
    pairs = dict.fromkeys((country, respondent) for country, respondent, *_ in cells)
    rows = [
        (home, asked, respondent)
        for asked, respondent in pairs
        for home in (countries if asked == "*" else (asked,))
    ]
    return sorted(rows, key=lambda row: (countries.index(row[0]), row[2] or ""))


def _countries(con: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    rows = con.execute(
        "select distinct country from (select country from survey_people union all "
        "select country from survey_replies where country <> '*') order by country"
    ).fetchall()
    return tuple(row[0] for row in rows)


def _places(items: tuple[Item, ...]) -> dict[str, tuple[int, dict[int, int]]]:
    """Return each item's column, and the place of each of its points."""
    return {
        item.id: (column, {point: place for place, point in enumerate(item.points)})
        for column, item in enumerate(items)
    }
