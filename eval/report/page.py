"""The report as one web page that needs nothing else: tables, plots, and how to read them.

Invariant: the only markup that is not written in the template is SVG that `eval.report.figure`
made; whatever a model, a file or a configuration brought is text. The page runs no script and loads
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from markupsafe import Markup

from eval.report.caveat import caveats
from eval.report.item_row import ItemRow
from eval.report.markdown import LICENCE
from eval.report.measure import by_group, measure
from eval.report.name import country_name, names
from eval.report.plots import (
    draw_diversity,
    draw_gaps,
    draw_items,
    draw_map,
    draw_matrices,
    draw_scores,
)
from eval.report.results import ALL, Results
from eval.report.section import sections
from eval.report.table import Section
from eval.respondents.load_report import CITATION
from folkways.html import render

_PAGE = Path(__file__).with_name("page.html.jinja")
_FOLDED = frozenset({"countries", "map", "gaps", "nearness"})
"""Parts whose tables are shut until asked for, being long."""
Items = Mapping[tuple[str, str], Sequence[ItemRow]]
"""Rows by id of a series and country."""


class _Plot(NamedTuple):
    """A figure of the page."""

    title: str
    """What it is shut under; empty for one that is always open."""
    svg: Markup


def render_page(
    results: Results,
    items: Items | None = None,
    first: Sequence[Section] = (),
    figures: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return the report as one HTML page, with single items where their rows are given, and other
    parts before it; `figures` are SVG for those, by the part they belong to."""
    plots = {name: [_Plot("", Markup(svg))] for name, svg in figures.items()}
    for name, title, svg in _plots(results, items or {}):
        if svg is not None:
            plots.setdefault(name, []).append(_Plot(title, Markup(svg)))
    return render(
        _PAGE,
        results=results,
        caveats=caveats(results),
        sections=[*first, *sections(results, plots)],
        plots=plots,
        folded=_FOLDED,
        citation=CITATION,
        licence=LICENCE,
    )


def _plots(results: Results, items: Items) -> Iterator[tuple[str, str, str | None]]:
    """Yield the part a plot belongs to, what it is shut under, and the plot."""
    present = {score.metric for score in results.scores if score.country == ALL}
    for _, metrics in by_group(present):
        for metric in metrics:
            if measure(metric).plot:
                yield "scores", "", draw_scores(results, metric)
    shown = {gap.metric for gap in results.gaps if measure(gap.metric).plot}
    yield "gaps", "", draw_gaps(results, sorted(shown) or None)
    called = names(results)
    for (who, country), rows in items.items():
        title = f"{country_name(country)}: {called.get(who, who)}"
        yield "items", title, draw_items(results, who, country, rows)
    yield "diversity", "", draw_diversity(results)
    yield "map", "", draw_map(results)
    yield "matrices", "", draw_matrices(results)
