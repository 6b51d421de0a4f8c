"""Where people and models are on the Inglehart-Welzel map.

Invariant: an index of several answers of one person is computed from those answers where there are
respondents, people's and the model's alike; else from the answers item by item, drawn independently
of each other. Whom a model answers for as a culture has no answers of persons.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb
import numpy as np

from eval.metrics.grid import Floats, Grid, as_floats
from eval.metrics.inglehart_welzel import expected_indices, load_map, place
from eval.report.answers import SeriesAnswers
from eval.report.results import Point

_JOINT_MEANS = """
select country, item_id, sum(point * share) from survey_people
where item_id in (select unnest(?)) group by all
"""


def map_points(
    con: duckdb.DuckDBPyConnection, all_given: Sequence[SeriesAnswers], grid: Grid
) -> Iterator[Point]:
    """Yield the places of people and of every series, country by country, where they have one."""
    joint = _joint_means(con, grid.countries)
    known = ~np.isnan(joint)
    people = np.where(known, joint, expected_indices(grid.shares, grid.scales))
    yield from _points("people", grid.countries, people)
    for given in all_given:
        indices = expected_indices(given.pooled.model, grid.scales)
        if given.series.by_respondent:
            indices = np.where(known, _mean_indices(given, grid), indices)
        yield from _points(given.series.id, grid.countries, indices)


def _points(who: str, countries: Sequence[str], indices: Floats) -> Iterator[Point]:
    for country, (x, y) in zip(countries, place(indices), strict=True):
        if not np.isnan(x):
            yield Point(who, country, float(x), float(y))


def _joint_means(con: duckdb.DuckDBPyConnection, countries: Sequence[str]) -> Floats:
    """Return people's means (C, 10) of the indices that the store has; NaN for the others."""
    names = load_map().indices
    means = np.full((len(countries), len(names)), np.nan)
    for country, name, mean in con.execute(_JOINT_MEANS, [list(names)]).fetchall():
        means[countries.index(country), names.index(name)] = mean
    return means


def _mean_indices(given: SeriesAnswers, grid: Grid) -> Floats:
    """Return the weighted means (C, 10) over respondents of what each one's answers lead to."""
    valid = given.answers.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        each = expected_indices(given.answers / valid, grid.scales)
    home = np.equal.outer(np.arange(len(grid.countries)), given.group) * given.weights
    counted = home @ ~np.isnan(each)
    with np.errstate(invalid="ignore"):
        return as_floats(home @ np.nan_to_num(each) / counted)
