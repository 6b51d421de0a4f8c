"""Scoring an evaluation: every metric with its interval, baselines, floors and paired differences.

Invariant: all series and baselines are scored on the same people, items and codes, and everything
drawn at random comes from one seed, so that the same store gives the same results.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import combinations

import duckdb
import numpy as np

from eval.metrics.bootstrap import Interval, compare, interval_by_country, tabulate, with_mean
from eval.metrics.grid import Floats, Grid
from eval.metrics.inglehart_welzel import fourteen_items
from eval.metrics.metric import METRICS, measure, own_metrics
from eval.metrics.sampling import basic_interval, compare_distances
from eval.report.answers import SeriesAnswers, load_given, load_grid, load_truths
from eval.report.culturespa import (
    coded_grid,
    matrices,
    modal_sheet,
    spa_baselines,
    spa_gap,
    spa_scores,
)
from eval.report.diversity import diversities
from eval.report.individuals import guesses, individual_gaps, individuals
from eval.report.nearness import nearness
from eval.report.order_effect import chance_gaps
from eval.report.points import map_points
from eval.report.results import ALL, PairedDifference, Rates, Results, Score
from eval.report.true_distance import true_distances
from eval.report.yardstick import Yardsticks, baselines, enough, floors, panels

_COMPARED = (
    "kl",
    "js_distance",
    "tv",
    "w1",
    "tv_penalised",
    "w1_penalised",
    "clca_compat_kl",
    "clca_compat_js",
)
"""Metrics of paired differences."""
_FAILURES = ("timeout", "server-error", "bad-response", "prompt-too-long")
_RATES = """
with replies as (
    select country, coalesce(problem, '') as problem, mass, strict from survey_replies
    where condition_id = ?
    qualify row_number() over (
        partition by country, respondent_id, item_id, arrangement, sample order by attempt desc
    ) = 1
),
rates as (
    select country, avg((problem <> '')::int) as invalid,
        avg((problem = 'refusal')::int) as refused,
        avg((problem = 'unsure')::int) as unsure, avg(list_contains(?, problem)::int) as failed,
        avg(mass) as mass, avg((strict is null)::int) as not_strict
    from replies group by country
)
select * from rates
union all
select ?, avg(invalid), avg(refused), avg(unsure), avg(failed), avg(mass), avg(not_strict)
from rates
order by country
"""
_UNREAD = """
with each as (
    select country, avg((code is null)::int) as unread from survey_readings
    where condition_id = ? and reading = ? group by country
)
select * from each union all select ?, avg(unread) from each
"""
"""Share of text in which a reading finds no answer."""
_ORDER_GAPS = """
with gaps as (
    select country, avg(gap) as gap from survey_order_gaps
    where condition_id = ? and reading = ? group by country
)
select * from gaps union all select ?, avg(gap) from gaps
"""


def compute(
    con: duckdb.DuckDBPyConnection,
    results: Results,
    seed: int,
    only: Collection[str] | None = None,
) -> None:
    """Fill in everything that the answers in a store say, in all conditions or `only` in some."""
    grid, items = load_grid(con)
    rng, own = np.random.default_rng(seed), own_metrics(results.protocol.get("metrics"))
    all_given = list(load_given(con, grid, items, results.protocol, only))
    results.series = [given.series for given in all_given]
    made = Yardsticks(grid, own, rng)
    for given in all_given:
        scores = list(series_scores(given, grid, own, rng, results.draws))
        results.scores += true_distances(list(made.beside(scores, given)), given, grid, rng)
        results.rates += _rates(con, given, rng)
    described = [given for given in all_given if given.series.by_respondent]
    truths = {given.series.id: load_truths(con, given, items) for given in described}
    for given in described:
        own_answers = truths[given.series.id]
        results.individuals += individuals(given, own_answers, grid, rng, results.draws)
    if described:
        most = max(described, key=lambda given: len(given.respondents))
        results.individuals += guesses(most, truths[most.series.id], grid, rng)
    ranked = panels(all_given, grid)
    results.panels = [panel for panel, _ in ranked]
    for panel, n in ranked:
        results.baselines += baselines(panel, n, made)
        results.floors += floors(panel, n, made)
    for one, two in _pairs(all_given):
        found = list(series_gap(one, two, grid, own, rng, results.draws))
        results.gaps += found
        if not found:
            results.unpaired.append((one.series.id, two.series.id))
        elif one.series.by_respondent and two.series.by_respondent:
            both = (one, truths[one.series.id]), (two, truths[two.series.id])
            results.gaps += individual_gaps(*both, grid, rng, results.draws)
    results.nearness = list(nearness(all_given, grid, rng, results.draws))
    if set(fourteen_items()) <= set(grid.scales.items):
        results.points = list(map_points(con, all_given, grid))
    published = results.protocol["people"] in ("marginals", "synthetic")
    people = coded_grid(grid, items, published)
    if not published:
        results.recoded = tuple(i.id for i in items if len(i.points) != len(i.options))
    sheets = [(given, modal_sheet(con, given, people, published)) for given in all_given]
    results.scores += spa_scores(sheets, people, rng, results.draws)
    modal = {given.series.id: (given, sheet) for given, sheet in sheets}
    for one, two in _pairs(all_given):
        left, right = modal[one.series.id], modal[two.series.id]
        results.gaps += spa_gap(left, right, people, rng, results.draws)
    for panel, n in ranked:
        results.baselines += spa_baselines(panel, n, grid, people)
    results.matrices = matrices(sheets, people)
    for given in all_given:
        results.diversity += diversities(given, truths.get(given.series.id), grid, rng)


def series_scores(
    given: SeriesAnswers, grid: Grid, own: tuple[str, ...], rng: np.random.Generator, draws: int
) -> Iterator[Score]:
    """Yield every metric of a series, country by country and over all."""
    cells = measure(grid.shares, given.pooled, grid.scales, (*METRICS, *own))
    if not enough(given.pooled.valid + given.pooled.invalid):
        del cells["kl"]
    names = tuple(cells)
    stacked = np.stack([cells[name] for name in names], axis=-1)
    known = [row for row in range(len(grid.countries)) if not np.isnan(stacked[row]).all()]
    if not known:
        return
    found = _intervals(given, stacked[known], known, grid, names, rng, draws)
    homes = [(ALL, known), *((grid.countries[row], [row]) for row in known)]
    for at, (country, rows) in enumerate(homes):
        for place_, name in enumerate(names):
            count = int((~np.isnan(stacked[rows, :, place_])).any(axis=0).sum())
            value, low, high = (float(part[at, place_]) for part in found)
            yield Score(given.series.id, country, name, value, low, high, count)


def _intervals(
    given: SeriesAnswers,
    cells: Floats,
    rows: Sequence[int],
    grid: Grid,
    names: tuple[str, ...],
    rng: np.random.Generator,
    draws: int,
) -> Interval:
    """Return means (1 + C, M) over all countries and of each, with intervals: over items, and over
    respondents where there are any."""
    table = tabulate(cells)
    if not given.series.by_respondent:
        return interval_by_country(table, rng, rows=False, items=True, draws=draws)
    people = grid.shares[list(rows)]
    resampled = given.resampled(
        rows, people, grid.scales, rng, items=True, names=names, draws=draws
    )
    drawn = with_mean(np.stack([resampled[name] for name in names], axis=-1))
    observed = interval_by_country(table, rng, rows=False, items=False, draws=1).estimate
    flat = basic_interval(observed.ravel(), drawn.reshape(draws, -1))
    middle, low, high = (part.reshape(observed.shape) for part in flat)
    return Interval(middle, np.fmin(low, middle), np.fmax(high, middle))


def _rates(
    con: duckdb.DuckDBPyConnection, given: SeriesAnswers, rng: np.random.Generator
) -> Iterator[Rates]:
    series, by_chance = given.series, chance_gaps(con, given.series, rng)
    gaps = dict(con.execute(_ORDER_GAPS, [series.condition, series.reading, ALL]).fetchall())
    unread = dict(con.execute(_UNREAD, [series.condition, series.reading, ALL]).fetchall())
    for row in con.execute(_RATES, [series.condition, list(_FAILURES), ALL]).fetchall():
        country, invalid, refused, unsure, failed, mass, not_strict = row
        wrong = not_strict if series.reading == "text-strict" else invalid
        if series.reading == "text-published":
            wrong = unread[country]
        yield Rates(
            series.id,
            country,
            *(round(part, 12) for part in (1 - wrong, refused, unsure, failed)),
            *(_rounded(part) for part in (mass, gaps.get(country))),
            *by_chance.get(country, (None, None)),
        )


def _rounded(share: float | None) -> float | None:
    """Return a mean without the digits that hang on the order in which DuckDB adds."""
    return None if share is None else round(share, 12)


def _pairs(all_given: list[SeriesAnswers]) -> Iterator[tuple[SeriesAnswers, SeriesAnswers]]:
    """Yield what is worth comparing: two models asked alike, and two methods of one model.

    Texts of respondents and those of a culture are not compared: distances of few answers are
    larger whatever they say.
    """
    for two, one in combinations(all_given, 2):
        left, right = one.series, two.series
        alike = (left.reading, left.language) == (right.reading, right.language)
        asked = (left.method, left.style) == (right.method, right.style)
        as_many = left.by_respondent == right.by_respondent or left.reading == "logprobs"
        if alike and as_many and ((left.model == right.model) != asked):
            yield one, two


def series_gap(
    one: SeriesAnswers,
    two: SeriesAnswers,
    grid: Grid,
    own: tuple[str, ...],
    rng: np.random.Generator,
    draws: int,
) -> Iterator[PairedDifference]:
    """Yield the paired differences of two series over all countries, for the respondents and cells
    of both; nothing where they share none. KL only where both gave as many answers."""
    paired = one.series.by_respondent and two.series.by_respondent
    if paired:
        shared = {*one.respondents} & {*two.respondents}
        one, two = one.pick(shared), two.pick(shared)
    # Its smoothing depends on the number of answers.
    fit = (name for name in _COMPARED if name != "kl" or one.series.answers == two.series.answers)
    names = (*fit, *own)
    cells = [measure(grid.shares, each.pooled, grid.scales, names) for each in (one, two)]
    tables = [np.stack([each[name] for name in names], axis=-1) for each in cells]
    both = ~np.isnan(tables[0]) & ~np.isnan(tables[1])
    tables = [np.where(both, table, np.nan) for table in tables]
    rows = [row for row in range(len(grid.countries)) if both[row].any()]
    if not rows:
        return
    if paired:
        parts = _paired(one, two, rows, grid, names, rng, draws)
    else:
        left, right = (tabulate(table[rows]) for table in tables)
        whole = compare(left, right, rng, rows=False, items=True, draws=draws)
        parts = [[float(value[at]) for value in whole] for at in range(len(names))]
    for at, (name, part) in enumerate(zip(names, parts, strict=True)):
        value, low, high, p = part
        count = int(both[rows, :, at].any(axis=0).sum())
        yield PairedDifference(one.series.id, two.series.id, name, ALL, value, low, high, p, count)


def _paired(
    one: SeriesAnswers,
    two: SeriesAnswers,
    rows: Sequence[int],
    grid: Grid,
    names: tuple[str, ...],
    rng: np.random.Generator,
    draws: int,
) -> list[list[float]]:
    """Return difference, ends and p by metric of two series for the same respondents."""
    members = np.isin(one.group, rows)
    found = compare_distances(
        one.answers[members],
        two.answers[members],
        grid.shares[list(rows)],
        grid.scales,
        np.searchsorted(np.array(rows), one.group[members]),
        rng,
        rows=True,
        items=True,
        weights=one.row_weights[members],
        cluster=None if one.cluster is None else one.cluster[members],
        names=names,
        draws=draws,
    )
    return [[float(value[0]) for value in found[name]] for name in names]
