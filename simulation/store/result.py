"""The result of a query as a table for reading, as CSV or as JSON.

Invariant: nothing is lost silently; a table says how many of the rows it shows, CSV and JSON hold
all of them in full.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any, Literal, TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from folkways.text import guard, printable
from simulation.store.reader import Result

_NARROW = 10
"""Terminal cells a column needs at least; where not all columns have them, rows become records."""
_LONGEST = 1000
"""Characters of a value that a table considers at all."""
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_PLAIN = ("VARCHAR", *_WHOLE)
"""Types whose values CSV and JSON have just as they are."""
_QUOTED = "\r\n;\t"
"""Characters for which CSV quotes a value, besides the comma and the quote."""
_NUMBERS = (*_WHOLE, "FLOAT", "DOUBLE", "DECIMAL")


def print_table(result: Result, console: Console, limit: int | None) -> None:
    """Print at most `limit` rows (None: all) as a table, or as records where it is too wide.

    In a table each row is one line, and what does not fit ends in an ellipsis.
    """
    shown = [[_cell(value) for value in row] for row in islice(result.rows, limit)]
    total = len(shown) + sum(1 for _ in result.rows)
    if result.columns == ["explain_key", "explain_value"]:
        for _, plan in shown:
            console.print(Text(printable(plan)), soft_wrap=True)
        return
    widths = _fit(_widths(result.columns, shown), console.width)
    if widths:
        console.print(_table(result, shown, widths))
    else:
        for number, row in enumerate(shown, 1):
            console.print(_record(result.columns, row, number))
    rows = f"{total:,} row{'' if total == 1 else 's'}"
    note = rows if len(shown) == total else f"{len(shown):,} of {rows}; --rows 0 shows all of them"
    console.print(Text(note, style="dim"))


def write_csv(result: Result, stream: TextIO) -> None:
    """Write all rows as CSV with a head: null empty, lists and maps as JSON, times as ISO 8601.

    Text that a spreadsheet would compute has an apostrophe before it.
    """
    writer = csv.writer(_Lines(stream), lineterminator=_QUOTED)
    writer.writerow(map(guard, result.columns))
    plain = [kind in _PLAIN for kind in result.types]
    for row in result.rows:
        cells = zip(plain, row, strict=True)
        writer.writerow([_csv_cell(value, easy) for easy, value in cells])


def write_json(result: Result, stream: TextIO) -> None:
    """Write all rows as one JSON array of objects; columns of the type JSON are embedded as such.

    Of several columns with the same name the later ones get a number, as `turns_2`.
    """
    columns = _unique(result.columns)
    plain = [kind in _PLAIN for kind in result.types]
    embedded = [kind == "JSON" for kind in result.types]
    start = "["
    for row in result.rows:
        values = [
            value if easy else json.loads(value) if raw and value is not None else _as_json(value)
            for easy, raw, value in zip(plain, embedded, row, strict=True)
        ]
        stream.write(f"{start}\n{_dump(dict(zip(columns, values, strict=True)))}")
        start = ","
    stream.write("[]\n" if start == "[" else "\n]\n")


def _as_json(value: Any) -> Any:
    """Return a value of DuckDB's as JSON has it; infinite and undefined numbers become null."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(_as_json(key)): _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, timedelta) or not isinstance(value, str | int | bool | None):
        return str(value)
    return value


class _Lines:
    """Ends the lines of a CSV writer in a line feed alone.

    The writer quotes a value for the characters of its own line end only, so its line end has to
    name all that break a row or a cell for some reader.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, line: str) -> None:
        self.stream.write(line.removesuffix(_QUOTED) + "\n")


def _csv_cell(value: Any, easy: bool) -> Any:
    plain = value if easy else _as_json(value)
    if isinstance(plain, str):
        return guard(plain)
    if easy or plain is None:
        return "" if plain is None else plain
    text = _dump(plain)
    return text if guard(text) == text else text.replace(";", "\\u003b")  # the same in JSON


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _unique(names: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return unique


def _cell(value: Any) -> str:
    """Return a value as short text on one line."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return f"[{', '.join(map(_cell, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_cell(key)}: {_cell(item)}" for key, item in value.items()) + "}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _line(text: str) -> str:
    return printable(" ".join(text[:_LONGEST].split()))


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the terminal cells that the widest value of each column takes."""
    contents = zip(columns, *rows, strict=True)
    return [max(cell_len(_line(value)) for value in column) for column in contents]


def _fit(widths: Sequence[int], room: int) -> list[int] | None:
    """Return widths that fit side by side, the widest cut first, or None where none do."""
    room -= 3 * len(widths)
    for most in range(max(widths, default=0), 0, -1):
        cut = [min(width, most) for width in widths]
        if sum(cut) <= room:
            return cut
        if most <= _NARROW:
            return None
    return []


def _table(result: Result, rows: Sequence[Sequence[str]], widths: Sequence[int]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for name, kind, width in zip(result.columns, result.types, widths, strict=True):
        right = kind.startswith(_NUMBERS) and not kind.endswith("]")
        justify: Literal["left", "right"] = "right" if right else "left"
        table.add_column(Text(printable(name)), no_wrap=True, justify=justify, width=width)
    for row in rows:
        table.add_row(*(Text(_line(value)) for value in row))
    return table


def _record(columns: Sequence[str], row: Sequence[str], number: int) -> Table:
    table = Table(
        box=None,
        show_header=False,
        pad_edge=False,
        title=f"row {number}",
        title_justify="left",
        title_style="dim",
    )
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for name, value in zip(columns, row, strict=True):
        table.add_row(Text(printable(name)), Text(printable(value)))
    return table
