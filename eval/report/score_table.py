"""Tables of scores: over all countries beside the baselines, and country by country.

Invariant: a metric stands with its interval, and every table of series ends with what costs nothing
to make, apart from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eval.report.measure import Group, baseline_name, by_group, measure
from eval.report.name import country_name, names, panel_name, sampler_name, who_name
from eval.report.number import DASH, interval, known, number
from eval.report.results import ALL, Individual, Panel, Rates, Results, Score
from eval.report.table import Table, TableRow, new_table

_BY_COUNTRY = ("js_distance", "tv", "w1")
"""Metrics of the tables country by country."""
_Found = dict[str, dict[str, Score]]
"""Scores by who and metric."""


def score_tables(results: Results) -> Iterator[Table]:
    """Yield a table for every group of metrics and every panel: series best first, and below what
    costs nothing with as many answers in the same cells."""
    scores = _by_who(results.scores, ALL)
    for group, metrics in by_group(metric for found in scores.values() for metric in found):
        for panel in results.panels:
            yield from _panel_table(results, panel, group, metrics, scores)


def _panel_table(
    results: Results, panel: Panel, group: Group | None, metrics: Sequence[str], scores: _Found
) -> list[Table]:
    about = [measure(metric) for metric in metrics]
    series = {who: scores[who] for who in panel.series if who in scores}
    rows = [
        TableRow(
            (who_name(results, who), *_cells(series[who], metrics), _items(series[who], metrics))
        )
        for who in _best_first(series, metrics[0])
        if any(metric in series[who] for metric in metrics)
    ]
    if not rows:
        return []
    apart = [score for score in results.baselines if score.panel == panel.id]
    for who, found in _by_who(apart, ALL).items():
        if any(metric in found and known(found[metric].value) for metric in metrics):
            cells = (*_cells(found, metrics), _items(found, metrics))
            rows.append(TableRow((baseline_name(who), *cells), apart=True))
    floors = {floor.metric: floor.mean for floor in results.floors if floor.panel == panel.id}
    if any(known(floors.get(metric)) for metric in metrics):
        values = [number(floors.get(name), measure(name).decimals) for name in metrics]
        rows.append(TableRow((sampler_name(panel), *values, DASH), apart=True))
    title = group.title if group else "Other metrics"
    if len(results.panels) > 1:
        title += f": {panel_name(results, panel)}"
    units = "; ".join(f"{each.title}: {each.unit}" for each in about if each.unit)
    homes = ", ".join(country_name(home) for home in panel.countries)
    note = [group.reading if group else "", f"{units}." if units else "", f"Covers {homes}."]
    head = ("", *(each.head for each in about), "items")
    return new_table(title, head, rows, " ".join(part for part in note if part))


def country_tables(results: Results) -> Iterator[Table]:
    """Yield for each series a table of countries, with the uniform guesser in the same cells."""
    valid = {(rates.who, rates.country): rates.valid for rates in results.rates}
    about = [measure(metric) for metric in _BY_COUNTRY]
    head = ("", *(each.head for each in about), f"uniform, {about[0].title}", "valid", "items")
    for series in results.series:
        rows = []
        for country in results.countries:
            found = _by_who(results.scores, country).get(series.id, {})
            if not any(metric in found for metric in _BY_COUNTRY):
                continue
            first = found.get(_BY_COUNTRY[0])
            share = valid.get((series.id, country), valid.get((series.id, "*")))
            guess = number(first.guess if first else None)
            cells = (*_cells(found, _BY_COUNTRY), guess, number(share))
            rows.append(TableRow((country_name(country), *cells, _items(found, _BY_COUNTRY))))
        yield from new_table(names(results)[series.id], head, rows)


def rate_tables(results: Results) -> Iterator[Table]:
    """Yield the table of how usable the answers of each series are."""
    found = {rates.who: rates for rates in results.rates if rates.country == ALL}
    rows = [
        TableRow((names(results)[series.id], *_rates(found[series.id])))
        for series in results.series
        if series.id in found
    ]
    head = ("", "valid", "refused", "unsure", "failed", "mass", "order gap", "by chance")
    note = (
        "Shares of all answers; failed are calls. Mass is the mean probability that the model "
        "names an option at all, and is not known of generated text. The order gap is the mean "
        "total variation between answers to the same item under different orders of its options; "
        "by chance is the gap of somebody who gives as many answers whatever the order."
    )
    yield from new_table("Over all countries", head, rows, note)


def individual_tables(results: Results) -> Iterator[Table]:
    """Yield tables of how often series answer as their respondents did: one for the series that
    speak for people of the same countries, with what costs nothing, and one country by country."""
    found: dict[str, dict[str, Individual]] = {}
    homes: dict[str, list[str]] = {}
    for each in results.individuals:
        if each.country == ALL:
            found.setdefault(each.who, {}).setdefault(each.measure, each)
        elif each.country not in homes.setdefault(each.who, []):
            homes[each.who].append(each.country)
    called = names(results)
    sets = dict.fromkeys(tuple(homes.get(who, ())) for who in found if who in called)
    most = max(sets, key=len, default=())
    for where in sets:
        alike = [who for who in found if tuple(homes.get(who, ())) == where]
        beside = [who for who in found if who not in called] if where == most else []
        ranked = [who for who in alike if who in called] + beside
        title = "" if len(sets) == 1 else ": " + ", ".join(map(country_name, where))
        yield from _individual_tables(results, {who: found[who] for who in ranked}, title)


def individuals_by_country(results: Results, measure_: str) -> Iterator[Table]:
    """Yield the table of one measure, series by country."""
    rows = dict[str, dict[str, str]]()
    for each in results.individuals:
        if each.measure == measure_ and each.country != ALL:
            cell = interval(each.value, each.low, each.high)
            rows.setdefault(each.who, {})[each.country] = cell
    countries = [home for home in results.countries if any(home in row for row in rows.values())]
    called = names(results)
    lines = [
        TableRow(
            (called.get(who) or baseline_name(who), *(row.get(home, DASH) for home in countries)),
            apart=who not in called,
        )
        for who, row in sorted(rows.items(), key=lambda each: each[0] not in called)
    ]
    head = ("", *map(country_name, countries))
    yield from new_table(f"{measure(measure_).title}, country by country", head, lines)


def _individual_tables(
    results: Results, found: dict[str, dict[str, Individual]], where: str
) -> Iterator[Table]:
    called = names(results)
    for group, measures in by_group(name for mine in found.values() for name in mine):
        rows = []
        ranked = list(found)
        for who in ranked:
            given = [found[who].get(name) for name in measures]
            if not any(given):
                continue
            cells = [DASH if i is None else interval(i.value, i.low, i.high) for i in given]
            compared = max((each.cells for each in given if each), default=0)
            rows.append(
                TableRow(
                    (called.get(who) or baseline_name(who), *cells, f"{compared:,}"),
                    apart=who not in called,
                )
            )
        head = ("", *(measure(name).head for name in measures), "answers")
        title, note = (group.title, group.reading) if group else ("Other measures", "")
        yield from new_table(title + where, head, rows, note)


def _by_who(scores: Sequence[Score], country: str) -> _Found:
    found: _Found = {}
    for score in scores:
        if score.country == country:
            found.setdefault(score.who, {})[score.metric] = score
    return found


def _cells(scores: dict[str, Score], metrics: Sequence[str]) -> Iterator[str]:
    for metric in metrics:
        score = scores.get(metric)
        decimals = measure(metric).decimals
        yield DASH if score is None else interval(score.value, score.low, score.high, decimals)


def _items(scores: dict[str, Score], metrics: Sequence[str]) -> str:
    """Return the number of items scored, as a range where metrics differ in it."""
    numbers = {
        scores[metric].items
        for metric in metrics
        if metric in scores and known(scores[metric].value)
    }
    return (
        DASH.join(str(each) for each in sorted({min(numbers), max(numbers)})) if numbers else DASH
    )


def _best_first(found: _Found, metric: str) -> list[str]:
    sign = -1 if measure(metric).better == "higher" else 1

    def rank(who: str) -> tuple[bool, float]:
        score = found[who].get(metric)
        value = score.value if score else None
        return (False, sign * value) if value is not None and known(value) else (True, 0.0)

    return sorted(found, key=rank)


def _rates(rates: Rates) -> tuple[str, ...]:
    shares = (rates.valid, rates.refused, rates.unsure, rates.failed, rates.mass)
    gaps = (rates.order_gap, rates.order_floor)
    return tuple(number(share) for share in (*shares, *gaps))
