"""Tables that set series beside each other or beside people: differences, floors, map, matrices.

Invariant: a table that was cut says of how many rows it is a part; results.json has them all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from eval.report.measure import by_group, measure
from eval.report.name import PEOPLE, country_name, names, pair_name, panel_name, who_name
from eval.report.nearness import NO_CULTURE
from eval.report.number import DASH, chance, interval, known, number
from eval.report.results import ALL, Nearness, PairedDifference, Results
from eval.report.table import Table, TableRow, new_table
from eval.report.verdict import Verdict, verdict

_MOST_PAIRS = 60
"""Rows of one metric's differences; of more, the largest."""
_NOTHING = "no respondent, or no country with valid answers, in common"


def gap_tables(results: Results) -> Iterator[Table]:
    """Yield a table of paired differences for every metric, over all countries, and one of pairs
    that have nothing in common."""
    gaps = [gap for gap in results.gaps if gap.country == ALL]
    for _, metrics in by_group(gap.metric for gap in gaps):
        for metric in metrics:
            chosen = [gap for gap in gaps if gap.metric == metric]
            largest = sorted(chosen, key=_size, reverse=True)[:_MOST_PAIRS]
            shown = [gap for gap in chosen if gap in largest]
            note = f"The {len(shown)} largest of {len(chosen)}; results.json has all."
            about = measure(metric)
            rows = [
                TableRow(
                    (
                        pair_name(results, gap.one, gap.two),
                        interval(gap.value, gap.low, gap.high, about.decimals),
                        chance(gap.p),
                        str(gap.items),
                    )
                )
                for gap in shown
            ]
            title = about.title + (f", {about.better} is better" if about.better else "")
            head = ("first vs second", "difference", "p", "items")
            yield from new_table(title, head, rows, note if len(shown) < len(chosen) else "")
    rows = [TableRow((pair_name(results, *pair), _NOTHING)) for pair in results.unpaired]
    yield from new_table("Not compared", ("first vs second", ""), rows, words=2)


def verdict_tables(results: Results) -> Iterator[Table]:
    """Yield the table of what the figures of each series come to."""
    rows = []
    for series in results.series:
        found = verdict(results, series)
        own, asked = found.own
        whose = DASH if found.whose is None else country_name(found.whose)
        rows.append(
            TableRow(
                (
                    names(results)[series.id],
                    _distance(found),
                    _word(found.guesser, "not surely better", "better"),
                    _word(found.order, "depends on it", "no more than by chance"),
                    whose + (f" (own people: {own} of {asked} cultures)" if asked else ""),
                )
            )
        )
    head = ("", "distance from people", "than guessing", "order of options", "nearest people")
    yield from new_table("", head, rows, words=5)


def _distance(found: Verdict) -> str:
    """Return how far a series is from people beyond what sampling makes of it."""
    if found.at_floor:
        bound = "" if found.at_most is None else f", at most {number(found.at_most)}"
        return f"not distinguishable from a perfect sampler{bound}"
    if found.at_floor is None or found.corrected is None:
        return _word(found.at_floor, "", "farther than a perfect sampler")
    return f"{number(found.corrected)} beyond sampling"


def _word(holds: bool | None, yes: str, no: str) -> str:
    return DASH if holds is None else yes if holds else no


def nearness_tables(results: Results) -> Iterator[Table]:
    """Yield for each series whose people its answers are nearest to, culture by culture; of answers
    that name no culture, their distance from every country's people."""
    for series in results.series:
        by_culture: dict[str, list[Nearness]] = {}
        for each in sorted(results.nearness, key=lambda each: each.value):
            if each.who == series.id:
                by_culture.setdefault(each.culture, []).append(each)
        title = names(results)[series.id]
        if everywhere := by_culture.pop(NO_CULTURE, []):
            rows = [
                TableRow((country_name(each.country), *_near(each), str(each.items)))
                for each in everywhere
            ]
            head = ("people of", "distance", "farther than the nearest", "items")
            yield from new_table(title, head, rows)
        named = [_nearest_row(culture, by_culture[culture]) for culture in sorted(by_culture)]
        columns = ("asked for", "nearest people", "distance", "own people", "farther", "rank")
        yield from new_table(title, (*columns, "items"), named, words=2)


def _nearest_row(culture: str, ranked: Sequence[Nearness]) -> TableRow:
    """Return whose people are nearest, beside the culture's own."""
    first = ranked[0]
    own = next((each for each in ranked if each.country == culture), None)
    rank = DASH if own is None else f"{ranked.index(own) + 1} of {len(ranked)}"
    cells = (*((DASH, DASH) if own is None else _near(own)), rank)
    distance = _near(first)[0]
    names_ = (country_name(culture), country_name(first.country))
    return TableRow((*names_, distance, *cells, str(first.items)))


def _near(each: Nearness) -> tuple[str, str]:
    return interval(each.value, each.low, each.high), interval(
        each.gap, each.gap_low, each.gap_high
    )


def floor_tables(results: Results) -> Iterator[Table]:
    """Yield the table of the noise floor."""
    found = {(floor.panel, floor.metric): floor for floor in results.floors}
    metrics = [name for _, group in by_group(f.metric for f in results.floors) for name in group]
    rows = []
    for panel in results.panels:
        cells = []
        for metric in metrics:
            floor, decimals = found.get((panel.id, metric)), measure(metric).decimals
            mean = number(floor.mean if floor else None, decimals)
            high = number(floor.high if floor else None, decimals)
            cells.append(f"{mean} (95 %: {high})" if floor else mean)
        rows.append(TableRow((panel_name(results, panel), *cells)))
    note = "Mean, and in brackets what 95 of 100 such models stay below."
    yield from new_table("", ("", *(measure(name).title for name in metrics)), rows, note)


def point_tables(results: Results) -> Iterator[Table]:
    """Yield for people and each series a table of coordinates, with the way from people."""
    home = {
        point.country: (point.survival_self_expression, point.traditional_secular)
        for point in results.points
        if point.who == PEOPLE
    }
    for who in (PEOPLE, *(series.id for series in results.series)):
        rows = []
        for point in results.points:
            if point.who == who:
                place = (point.survival_self_expression, point.traditional_secular)
                way = _way(place, home.get(point.country, (None, None)))
                cells = (*map(number, place), *([] if who == PEOPLE else [number(way)]))
                rows.append(TableRow((country_name(point.country), *cells)))
        head = ["", "survival to self-expression", "traditional to secular-rational"]
        head += [] if who == PEOPLE else ["distance from people"]
        yield from new_table(who_name(results, who), head, rows)


def matrix_tables(results: Results) -> Iterator[Table]:
    """Yield the table of correlations and means of matrices."""
    called = names(results)
    rows = [
        TableRow(
            (who_name(results, matrix.who), number(matrix.correlation), number(matrix.mean, 1)),
            apart=matrix.who not in called,
        )
        for matrix in sorted(results.matrices, key=lambda each: each.who == PEOPLE)
        if known(matrix.correlation) or known(matrix.mean)
    ]
    yield from new_table("", ("", "r with people's", "mean of pairs"), rows)


def _size(gap: PairedDifference) -> float:
    return abs(gap.value) if gap.value is not None and known(gap.value) else -1.0


def _way(
    one: tuple[float | None, float | None], two: tuple[float | None, float | None]
) -> float | None:
    if None in one or None in two:
        return None
    return math.dist([x or 0 for x in one], [x or 0 for x in two])
