"""The stored answers of an evaluation as arrays, with the people they are compared with.

Invariant: arrays of all series have the same countries, items and codes; a country without people
has NaN in the grid, a question that was not answered validly has zeros in a series.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from eval.item import Item, load_items
from eval.metrics.grid import Floats, Grid, Scales, as_floats
from eval.metrics.metric import Answers
from eval.metrics.sampling import resample_by_country
from eval.report.results import Series

CERTAIN = 1000
"""Answers that a read-out of probabilities for a culture counts as, where a metric smooths."""
_SERIES = """
select c.condition_id, reading, c.model, c.method, c.leaks, c.style, c.language,
    bool_or(respondent_id is not null), c.engine = 'imported'
from survey_readings join survey_conditions c using (condition_id)
group by all order by min(c.rowid), reading
"""
_CELLS = """
select country, respondent_id, item_id, point, round(weight, 12) from survey_answers
where condition_id = ? and reading = ? order by respondent_id
"""
"""Rounded, for the last digit of a sum hangs on the order in which DuckDB adds."""
_TIMES = """
select country, item_id, count(distinct (arrangement, sample)) from survey_readings
where condition_id = ? and reading = ? group by all
"""
"""How often a culture was asked an item: option orders and samples."""
_WEIGHTS = "select respondent_id, weight from survey_respondents"
_CLUSTERS = "select respondent_id, cluster from survey_respondents where cluster is not null"
_UNWEIGHTED = ("marginals", "synthetic")
"""People whose respondents all count the same."""


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
    weights: Floats
    """(R,): national weights of respondents; ones where they or the people have none."""
    times: Floats
    """(R, I): how many answers a cell is the mean of. A respondent is one, however often asked, for
    answers of the same one are not independent; a culture's probabilities are `CERTAIN`."""
    cluster: NDArray[np.intp] | None = None
    """(R,): rows that resampling draws together, respondents of one sampling point (I_PSU), where
    the survey's file has those; None where each is drawn alone."""

    @property
    def pooled(self) -> Answers:
        """(C, I): answers by country, in the order of the grid; NaN where nothing was asked.

        Shares are weighted as people's are, and the number of answers is Kish's effective one,
        (sum of w t)^2 / sum of w^2 t.
        """
        home = np.equal.outer(np.arange(len(self.countries)), self.group).astype(np.float64)
        asked = ~np.isnan(self.answers[..., 0])
        heavy = self.weights[:, None] * np.where(asked, self.times, 0)
        total, squared = home @ heavy, home @ (heavy * self.weights[:, None])
        nothing = total == 0
        with np.errstate(invalid="ignore"):
            effective = np.where(nothing, np.nan, total**2 / squared)
            factor = effective / total
        weighted = np.nan_to_num(self.answers) * heavy[..., None]
        items, codes = self.answers.shape[1:]  # there may be no row
        sums = (home @ weighted.reshape(-1, items * codes)).reshape(-1, items, codes)
        counts = factor[..., None] * sums
        # What rounding leaves of a sum of probabilities is no invalid answer.
        return Answers(counts, np.maximum(np.round(effective - counts.sum(axis=-1), 6), 0))

    def pooled_of(self, rows: NDArray[np.intp]) -> Answers:
        """Return the answers of some countries."""
        pooled = self.pooled
        return Answers(pooled.counts[rows], pooled.invalid[rows])

    def resampled(
        self,
        rows: Sequence[int] | NDArray[np.intp],
        human: Floats,
        scales: Scales,
        rng: np.random.Generator,
        *,
        items: bool,
        names: Iterable[str],
        draws: int,
    ) -> dict[str, Floats]:
        """Return by metric the distances (draws, C) of resampled respondents of the countries
        `rows` from their people `human` (C, I, K), and of resampled items if `items`."""
        members = np.isin(self.group, rows)
        drawn = resample_by_country(
            [self.answers[members]],
            human,
            scales,
            np.searchsorted(np.array(rows), self.group[members]),
            rng,
            rows=True,
            items=items,
            weights=self.row_weights[members],
            cluster=None if self.cluster is None else self.cluster[members],
            names=names,
            draws=draws,
        )
        return {name: values[:, 0] for name, values in drawn.items()}

    @property
    def independent(self) -> Floats:
        """(C, I): independent answers that would vary as much as these, infinite for a culture's
        probabilities.

        Of respondents n (1 - sum of p^2) / (sum over codes of the variance of their shares), n
        being Kish's number of them: more than n where each was asked several times, or gave
        probabilities.
        """
        valid = self.pooled.valid
        if not self.series.by_respondent:
            return np.where(valid > 0, np.inf, np.nan) if self.exact else np.rint(valid)
        home = np.equal.outer(np.arange(len(self.countries)), self.group).astype(np.float64)
        said = np.nan_to_num(self.answers)
        kept = said.sum(axis=-1)
        heavy = self.weights[:, None] * kept
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = np.where(kept[..., None] > 0, said / kept[..., None], 0)
            mean = self.pooled.model
            apart = ((shares - np.nan_to_num(mean)[self.group]) ** 2).sum(axis=-1)
            spread = (home @ (heavy * apart)) / (home @ heavy)
            single = 1 - (mean**2).sum(axis=-1)
            ratio = np.where(single > 1e-9, np.where(spread > 0, single / spread, np.inf), 1.0)
        return np.where(valid > 0, np.maximum(valid * np.maximum(ratio, 1.0), 1.0), np.nan)

    @property
    def exact(self) -> bool:
        """Whether answers are probabilities, of which nothing was drawn."""
        return self.series.reading == "logprobs"

    @property
    def names_culture(self) -> bool:
        """Whether answers may differ from country to country."""
        return self.series.method != "unaware" or self.series.language == "native"

    @property
    def row_weights(self) -> Floats:
        """(R,): what a row counts for, in answers of its country; for resampling respondents."""
        sums = np.bincount(self.group, self.weights)
        squares = np.bincount(self.group, self.weights**2)
        with np.errstate(invalid="ignore"):
            return as_floats(self.weights * (sums / squares)[self.group])

    def pick(self, people: Collection[str | None]) -> SeriesAnswers:
        """Return the answers for some respondents."""
        rows = [row for row, person in enumerate(self.respondents) if person in people]
        return replace(
            self,
            answers=self.answers[rows],
            group=self.group[rows],
            respondents=tuple(self.respondents[row] for row in rows),
            weights=self.weights[rows],
            times=self.times[rows],
            cluster=None if self.cluster is None else self.cluster[rows],
        )


def load_grid(con: duckdb.DuckDBPyConnection) -> tuple[Grid, tuple[Item, ...]]:
    """Return people's answers over all countries and items of an evaluation, and the items."""
    items = _items(con)
    countries = _countries(con)
    scales = Scales.padded(
        {item.id: item.points for item in items}, [item.scale != "nominal" for item in items]
    )
    shape = (len(countries), len(items), scales.codes.shape[1])
    shares = np.full(shape, np.nan)
    valid, missing, independent, clusters = (np.full(shape[:2], np.nan) for _ in range(4))
    places = _places(items)
    rows = con.execute(
        "select country, item_id, point, share, valid, missing, independent, clusters "
        "from survey_people"
    ).fetchall()
    for country, item, point, share, count, absent, alike, places_ in rows:
        if item not in places:
            continue  # an index of several answers: see `joint_means`
        row, column = countries.index(country), places[item][0]
        if np.isnan(shares[row, column, 0]):
            shares[row, column] = 0
        shares[row, column, places[item][1][point]] = share
        valid[row, column], missing[row, column] = count, absent
        if alike is not None:
            independent[row, column] = alike
        if places_ is not None:
            clusters[row, column] = places_
    best = np.where(np.isnan(shares), -1, shares).argmax(axis=2)
    codes = np.broadcast_to(scales.codes, shape)
    mode = np.take_along_axis(codes, best[..., None], axis=2)[..., 0]
    mode = np.where(np.isnan(missing), np.nan, mode)
    grid = Grid(countries, scales, shares, valid, missing, mode, independent, clusters)
    return grid, items


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
    con: duckdb.DuckDBPyConnection,
    grid: Grid,
    items: tuple[Item, ...],
    protocol: Mapping[str, Any],
    only: Collection[str] | None = None,
) -> Iterator[SeriesAnswers]:
    """Yield the answers of every series, or `only` of some conditions, in the order in which
    conditions were first asked."""
    weights, clusters = _weights(con, protocol), dict(con.execute(_CLUSTERS).fetchall())
    places = _places(items)
    for row in con.execute(_SERIES).fetchall():
        condition, reading, model, method, leaks, style, language, described, imported = row
        if only is not None and condition not in only:
            continue
        cells = con.execute(_CELLS, [condition, reading]).fetchall()
        homes = _rows(cells, grid.countries)
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
        times = np.ones(answers.shape[:2])
        if not described and reading == "logprobs":
            times[:] = CERTAIN
        elif not described:
            for asked, item, often in con.execute(_TIMES, [condition, reading]).fetchall():
                times[at[asked, None], places[item][0]] = often
        group = np.array([grid.countries.index(country) for country, _, _ in homes])
        people = tuple(respondent for _, _, respondent in homes)
        series = Series(
            f"{condition}:{reading}",
            condition,
            reading,
            model,
            method,
            leaks,
            style,
            language,
            described,
            _answers(times[~np.isnan(answers[..., 0])], group, described, reading),
            imported,
        )
        heavy = as_floats([weights.get(person, 1.0) for person in people])
        together = _together(homes, clusters)
        yield SeriesAnswers(series, answers, group, people, grid.countries, heavy, times, together)


def _together(
    homes: Sequence[tuple[str, str, str | None]], clusters: Mapping[str, int]
) -> NDArray[np.intp] | None:
    """Return numbers (R,) that rows of one country and sampling point share; None without any."""
    if not any(person in clusters for _, _, person in homes):
        return None
    numbers: dict[object, int] = {}
    return np.array(
        [
            numbers.setdefault((home, clusters.get(person or "", person)), len(numbers))
            for home, _, person in homes
        ]
    )


def _answers(times: Floats, group: NDArray[np.intp], described: bool, reading: str) -> int | None:
    """Return how many answers there are to most items; None for a culture's probabilities."""
    if described:
        return int(np.bincount(group).max())
    if reading == "logprobs":
        return None
    numbers, often = np.unique(times, return_counts=True)
    return int(numbers[often.argmax()])


def _weights(
    con: duckdb.DuckDBPyConnection, protocol: Mapping[str, Any]
) -> Mapping[str | None, float]:
    """Return the weight of each respondent; nothing where people are not weighted either. Who has
    none beside others who have one counts as little with people: not at all."""
    if protocol["people"] in _UNWEIGHTED or protocol["weights"] == "none":
        return {}
    found = dict(con.execute(_WEIGHTS).fetchall())
    if all(weight is None for weight in found.values()):
        return {}
    return {person: weight or 0.0 for person, weight in found.items()}


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
