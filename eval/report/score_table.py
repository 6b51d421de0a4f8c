"""Tables of scores: over all countries beside the baselines, and country by country.

Invariant: a metric stands with its interval, and every table of series ends with what costs nothing
to make, apart from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eval.report.measure import Measure, baseline_name, by_group, measure
from eval.report.name import country_name, names, who_name
from eval.report.number import DASH, interval, known, number
from eval.report.results import ALL, Individual, Rates, Results, Score
from eval.report.table import Table, TableRow, new_table

BY_COUNTRY = ("js_distance", "tv", "w1")
"""Metrics of the tables country by country."""
Found = dict[str, dict[str, Score]]
"""Scores by who and metric."""


def score_tables(results: Results) -> Iterator[Table]:
    """Yield a table for every group of metrics: series best first, baselines below."""
    series = _by_who(results.scores, ALL)
    baselines = _by_who(results.baselines, ALL)
    for group, metrics in by_group(metric for scores in series.values() for metric in scores):
        about = [measure(metric) for metric in metrics]
        rows = [
            TableRow(
                (
                    who_name(results, who),
                    *_cells(series[who], metrics),
                    _items(series[who], metrics),
                )
            )
            for who in _best_first(series, metrics[0])
            if any(metric in series[who] for metric in metrics)
        ]
        for who, scores in baselines.items():
            if any(metric in scores and known(scores[metric].value) for metric in metrics):
                cells = (*_cells(scores, metrics), _items(scores, metrics))
                rows.append(TableRow((baseline_name(who), *cells), apart=True))
        rows += _sampler_rows(results, metrics, about)
        units = "; ".join(f"{each.title}: {each.unit}" for each in about if each.unit)
        note = f"{group.reading} {units}." if group and units else group.reading if group else units
        title = group.title if group else "Other metrics"
        yield from new_table(title, ("", *(each.head for each in about), "items"), rows, note)


def country_tables(results: Results) -> Iterator[Table]:
    """Yield for each series a table of countries, with the uniform guesser in the same country."""
    uniform = {
        score.country: score for score in results.baselines
        if score.who == "uniform" and score.metric == BY_COUNTRY[0]
    }  # fmt: skip
    valid = {(rates.who, rates.country): rates.valid for rates in results.rates}
    about = [measure(metric) for metric in BY_COUNTRY]
    head = ("", *(each.head for each in about), f"uniform, {about[0].title}", "valid", "items")
    for series in results.series:
        rows = []
        for country in results.countries:
            found = _by_who(results.scores, country).get(series.id, {})
            if not any(metric in found for metric in BY_COUNTRY):
                continue
            guess = uniform[country].value if country in uniform else None
            share = valid.get((series.id, country), valid.get((series.id, "*")))
            cells = (*_cells(found, BY_COUNTRY), number(guess), number(share))
            rows.append(TableRow((country_name(country), *cells, _items(found, BY_COUNTRY))))
        yield from new_table(names(results)[series.id], head, rows)


def rate_tables(results: Results) -> Iterator[Table]:
    """Yield the table of how usable the answers of each series are."""
    found = {rates.who: rates for rates in results.rates if rates.country == ALL}
    rows = [
        TableRow((names(results)[series.id], *_rates(found[series.id])))
        for series in results.series
        if series.id in found
    ]
    head = ("", "valid", "refused", "unsure", "failed", "mass", "order gap")
    note = (
        "Shares of all answers; failed are calls. Mass is the mean probability that the model "
        "names an option at all, and is not known of generated text. The order gap is the mean "
        "total variation between answers to the same item under different orders of its options."
    )
    yield from new_table("Over all countries", head, rows, note)


def individual_tables(results: Results) -> Iterator[Table]:
    """Yield the table of how often series answer as their respondents did."""
    found: dict[str, dict[str, Individual]] = {}
    for each in results.individuals:
        if each.country == ALL:
            found.setdefault(each.who, {}).setdefault(each.measure, each)
    called = names(results)
    ranked = sorted(found, key=lambda who: who not in called)
    for group, measures in by_group(each.measure for each in results.individuals):
        rows = []
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
        yield from new_table(title, head, rows, note)


def _by_who(scores: Sequence[Score], country: str) -> Found:
    found: Found = {}
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
        scores[metric].items for metric in metrics
        if metric in scores and known(scores[metric].value)
    }  # fmt: skip
    return (
        DASH.join(str(each) for each in sorted({min(numbers), max(numbers)})) if numbers else DASH
    )


def _best_first(found: Found, metric: str) -> list[str]:
    sign = -1 if measure(metric).better == "higher" else 1

    def rank(who: str) -> tuple[bool, float]:
        score = found[who].get(metric)
        value = score.value if score else None
        return (False, sign * value) if value is not None and known(value) else (True, 0.0)

    return sorted(found, key=rank)


def _sampler_rows(
    results: Results, metrics: Sequence[str], about: Sequence[Measure]
) -> Iterator[TableRow]:
    """Yield a perfect sampler for every number of answers that a series gave."""
    floors = {(floor.answers, floor.metric): floor.mean for floor in results.floors}
    for answers in dict.fromkeys(floor.answers for floor in results.floors):
        values = [floors.get((answers, metric)) for metric in metrics]
        if answers is not None and any(known(value) for value in values):
            cells = [number(v, each.decimals) for v, each in zip(values, about, strict=True)]
            yield TableRow((sampler_name(answers), *cells, DASH), apart=True)


def sampler_name(answers: int) -> str:
    """Return what the model is called that draws so many answers from people's own shares."""
    return f"perfect sampler, {answers} answer{'s' * (answers > 1)}"


def _rates(rates: Rates) -> tuple[str, ...]:
    shares = (rates.valid, rates.refused, rates.unsure, rates.failed, rates.mass, rates.order_gap)
    return tuple(number(share) for share in shares)
