"""The report as Markdown: what was asked, what to be wary of, and every table.

Invariant: text that a model, a file or a configuration brought is shown as it is; it neither breaks
a table nor becomes markup, mathematics or HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from eval.report.caveat import caveats
from eval.report.results import Results
from eval.report.section import sections
from eval.report.table import Section, Table
from eval.respondents.load_report import CITATION
from folkways.text import printable

LICENCE = (
    "Survey figures may be used for purposes that are not for profit, with this citation; the "
    "wording of items is folkways' own. See NOTICE and eval/respondents/SOURCE.md."
)
_MARKS = re.compile(r"[\\`*\[\]|~$#]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def render_markdown(results: Results, first: Sequence[Section] = ()) -> str:
    """Return the tables of a report as Markdown, other parts before them."""
    parts = [f"# {escape(results.name)}"]
    if found := caveats(results):
        parts.append("**Before you believe a figure**")
        lines = [
            (f"* {escape(each.text)}", *(f"  * {escape(x)}" for x in each.about)) for each in found
        ]
        parts.append("\n".join(line for group in lines for line in group))
    parts += render_sections([*first, *sections(results)])
    parts += ["## Sources", escape(CITATION), escape(LICENCE)]
    return "\n\n".join(parts) + "\n"


def render_sections(chosen: Iterable[Section]) -> Iterator[str]:
    """Yield the blocks of some parts of a report."""
    for section in chosen:
        yield from (f"## {escape(section.title)}", escape(section.reading))
        for table in section.tables:
            yield from [f"### {escape(table.title)}"] if table.title else []
            yield "\n".join(_lines(table))
            yield from [escape(table.note)] if table.note else []


def escape(text: str) -> str:
    """Return text on one line that Markdown shows as it is."""
    line = printable(" ".join(text.split()))
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKS.sub(lambda found: "\\" + found[0], line)


def _lines(table: Table) -> Iterator[str]:
    yield _line(escape(cell) for cell in table.head)
    sides = ["---" if place < table.words else "---:" for place in range(len(table.head))]
    yield f"|{'|'.join(sides)}|"
    before = False
    for row in table.rows:
        if row.apart and not before:
            yield "| *for comparison* " + "| " * (len(table.head) - 1) + "|"
        before = row.apart
        words = [escape(cell) for cell in row.cells[: table.words]]
        yield _line([*words, *row.cells[table.words :]])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
