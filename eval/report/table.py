"""Tables of a report as plain text, before they become Markdown or HTML.

Invariant: cells are text that is not escaped yet; every row has as many as the head.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class TableRow(NamedTuple):
    """One line."""

    cells: tuple[str, ...]
    apart: bool = False
    """Whether it stands apart, for comparison."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first `words` columns are words, the others numbers."""

    title: str
    head: tuple[str, ...]
    rows: tuple[TableRow, ...]
    note: str = ""
    words: int = 1


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report."""

    id: str
    title: str
    reading: str
    """How to read it, in a sentence."""
    tables: tuple[Table, ...]


def new_table(
    title: str, head: Iterable[str], rows: Iterable[TableRow], note: str = "", words: int = 1
) -> list[Table]:
    """Return one table, or none where there are no rows."""
    table = Table(title, tuple(head), tuple(rows), note, words)
    return [table] if table.rows else []
