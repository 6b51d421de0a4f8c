"""The tables of the papers: model by culture for each way of asking, and country by method.

Invariant: a row's mean is over the cultures that the experiment learns, and there is none where a
cell is missing; a figure that was not computed is a dash.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from eval.report.measure import measure
from eval.report.name import country_name
from eval.report.number import DASH, interval, number
from eval.report.results import ALL, Results, Series
from eval.report.table import Table, TableRow, new_table
from training.experiment.arm import HELD_OUT

_CLCA = ("clca_compat_kl", "accuracy_clca", "clca_compat_js")
"""The measures of CLCA's tables 2, 5 and 15, and of its figures 3 to 5."""
_SPA = "culturespa"
"""That of CultureSPA's figures 1, 3, 4 and 5."""
_Cells = Mapping[tuple[str, str, str], tuple[float | None, str]]
"""Value and text by series, measure and country."""


def clca_paper(results: Results, cultures: Sequence[str]) -> list[Table]:
    """Return for each measure and reading a table of models, as persona, cultural or
    anthropological prompting asks them, by culture."""
    found, tables = _cells(results), list[Table]()
    for reading in dict.fromkeys(series.reading for series in results.series):
        for name in _CLCA:
            asked = [
                series
                for series in results.series
                if series.reading == reading and series.model != HELD_OUT
            ]
            rows = [row for one in asked for row in _row(found, one, name, cultures)]
            head = ("model", "asked as", *map(country_name, cultures), "mean")
            title = f"{measure(name).head}: {reading}"
            tables += new_table(title, head, rows, measure(name).unit, words=2)
    return tables


def spa_paper(results: Results, cultures: Sequence[str]) -> list[Table]:
    """Return for each reading a table of countries by method: CultureSPA's score."""
    found, tables = _cells(results), list[Table]()
    for reading in dict.fromkeys(series.reading for series in results.series):
        asked = [
            series
            for series in results.series
            if series.reading == reading
            and any((series.id, _SPA, country) in found for country in cultures)
        ]
        rows = [
            TableRow(
                (
                    country_name(country),
                    *(found.get((one.id, _SPA, country), (None, DASH))[1] for one in asked),
                )
            )
            for country in cultures
        ]
        means = (_mean(found, one, _SPA, cultures) for one in asked)
        rows.append(TableRow(("mean", *means), apart=True))
        head = ("", *(f"{one.model}, {one.method}" for one in asked))
        title = f"{measure(_SPA).head}: {reading}"
        tables += new_table(title, head, rows if asked else [], measure(_SPA).unit)
    return tables


def _row(found: _Cells, series: Series, name: str, cultures: Sequence[str]) -> Iterator[TableRow]:
    """Yield the row of a series, unless it has nothing to show."""
    cells = [found.get((series.id, name, culture), (None, DASH))[1] for culture in cultures]
    if any(cell != DASH for cell in cells):
        asked = ", ".join(part for part in (series.method, series.style or "") if part)
        mean = _mean(found, series, name, cultures)
        yield TableRow((series.model, asked, *cells, mean))


def _mean(found: _Cells, series: Series, name: str, cultures: Sequence[str]) -> str:
    values = [found.get((series.id, name, culture), (None, DASH))[0] for culture in cultures]
    known = [value for value in values if value is not None]
    whole = len(known) == len(values) and known
    return number(sum(known) / len(known), measure(name).decimals) if whole else DASH


def _cells(results: Results) -> _Cells:
    scores = [
        (each.who, each.metric, each.country, each.value, each.low, each.high)
        for each in results.scores
    ] + [
        (each.who, each.measure, each.country, each.value, each.low, each.high)
        for each in results.individuals
    ]
    return {
        (who, name, country): (value, interval(value, low, high, measure(name).decimals))
        for who, name, country, value, low, high in scores
        if country != ALL
    }
