"""How many different answers series give, as a table and as a line.

Invariant: a figure stands beside people's, of as many answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from eval.report.name import names
from eval.report.number import DASH, interval, number
from eval.report.results import ALL, Diversity, Results, Series
from eval.report.table import Table, TableRow, new_table


def diversity_tables(results: Results) -> Iterator[Table]:
    """Yield the table of diversity over all countries."""
    called, found = names(results), dict[str, dict[str, Diversity]]()
    for each in results.diversity:
        if each.country == ALL:
            found.setdefault(each.who, {})[each.measure] = each
    rows = [TableRow((called[who], *_cells(measures))) for who, measures in found.items()]
    head = ("", "entropy", "people's", "over people's", "variance over people's", "profiles")
    yield from new_table("", (*head, "people's", "respondents or answers"), rows)


def _cells(measures: dict[str, Diversity]) -> Iterator[str]:
    first, spread, profiles = measures["entropy"], measures["variance"], measures.get("profiles")
    yield from (number(first.value), number(first.people))
    yield from (interval(each.ratio, each.low, each.high) for each in (first, spread))
    counts = (DASH, DASH) if profiles is None else (profiles.value, profiles.people)
    yield from (each if isinstance(each, str) else f"{each:,.0f}" for each in counts)
    yield f"{first.answers:,}"


def diversity_line(results: Results, series: Sequence[Series]) -> str:
    """Return how diverse models are that were asked and read alike, in a sentence."""
    found = {
        each.who: each
        for each in results.diversity
        if (each.country, each.measure) == (ALL, "entropy")
    }
    told = [
        f"{one.model} {interval(each.ratio, each.low, each.high)}"
        for one in series
        if (each := found.get(one.id))
    ]
    return f"Entropy of answers over people's (1 is as diverse): {', '.join(told)}." if told else ""
