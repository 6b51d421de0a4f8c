"""The parts of a report in their order, with what was asked and what to be wary of.

Invariant: a part without anything to show is left out, but what was asked is always there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from eval.report.comparison_table import (
    floor_tables,
    gap_tables,
    matrix_tables,
    nearness_tables,
    point_tables,
    verdict_tables,
)
from eval.report.diversity_table import diversity_tables
from eval.report.name import country_name, names
from eval.report.number import DASH
from eval.report.results import Results
from eval.report.score_table import (
    country_tables,
    individual_tables,
    individuals_by_country,
    rate_tables,
    score_tables,
)
from eval.report.table import Section, Table, TableRow, new_table

_FILE = Path(__file__).with_name("sections.yaml")


def sections(results: Results, plotted: Iterable[str] = ()) -> list[Section]:
    """Return the parts that have tables, or that are `plotted`, by id."""
    plotted = set(plotted)
    found = []
    for name, text in _texts().items():
        tables = tuple(_TABLES[name](results))
        if tables or name in plotted:
            found.append(Section(name, text["title"], text["reading"], tables))
    return found


def _asked_tables(results: Results) -> Iterator[Table]:
    """Yield what was asked of whom, and the series."""
    protocol = dict(results.protocol)
    chosen = protocol.pop("items", None)
    protocol.pop("people", None)
    preset = f" ({chosen})" if isinstance(chosen, str) else ""
    facts = {
        "Items": f"{results.items}{preset}",
        "People": results.people,
        "Countries": _countries(results.countries),
        "Asked, but without people to compare with": _countries(results.without),
        "Intervals": f"95 %, {results.draws:,} bootstrap draws",
        "Protocol": _listed(protocol),
        "Versions": _listed(results.versions),
        "Made": results.made_at,
    }
    rows = [TableRow((name, fact)) for name, fact in facts.items() if fact]
    yield from new_table("The evaluation", ("", ""), rows, words=2)
    called = names(results)
    rows = [
        TableRow(
            (
                called[each.id],
                each.language,
                each.reading,
                DASH if each.answers is None else f"{each.answers:,}",
            )
        )
        for each in results.series
    ]
    head = ("", "language", "read as", "answers to each item")
    yield from new_table("Series", head, rows, words=3)


def _individual_tables(results: Results) -> Iterator[Table]:
    yield from individual_tables(results)
    for name in ("hard", "accuracy_clca"):
        yield from individuals_by_country(results, name)


def _no_tables(results: Results) -> Iterator[Table]:
    yield from ()


_TABLES: dict[str, Callable[[Results], Iterator[Table]]] = {
    "asked": _asked_tables,
    "verdicts": verdict_tables,
    "scores": score_tables,
    "gaps": gap_tables,
    "individuals": _individual_tables,
    "diversity": diversity_tables,
    "countries": country_tables,
    "nearness": nearness_tables,
    "items": _no_tables,
    "map": point_tables,
    "matrices": matrix_tables,
    "rates": rate_tables,
    "floors": floor_tables,
}
"""What makes the tables of each part of sections.yaml."""


@cache
def _texts() -> dict[str, dict[str, str]]:
    texts: dict[str, dict[str, str]] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return texts


def _countries(codes: Iterable[str]) -> str:
    return ", ".join(country_name(code) for code in codes)


def _listed(facts: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items())
