"""Records out of files that others made: JSON, lines of JSON, and tables, each with its place.

Invariant: text is data; nothing of it is run, is a path, or steers a terminal, and a file that
cannot be read is one line with the place.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from folkways.errors import UserError
from folkways.files import read_bytes
from scenarios.sheet import find_encoding

_LONGEST = 100_000
"""Characters of a cell, and of a line of JSON ten times as many."""
_SEPARATORS = ",;\t"


class Found(NamedTuple):
    """A record, and where it stands."""

    place: str
    """As in `FILE:12` for a line, `FILE, record 3` or `FILE, KEY`."""
    data: Mapping[str, Any]


def read_records(path: Path) -> list[Found]:
    """Return the objects of a file: lines of JSON, a list, or an object of objects by key.

    Raises UserError with the place of the first fault.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(f"there is no file '{path}'") from error
    except UnicodeDecodeError as error:
        raise UserError(f"'{path}' is not UTF-8: {error.reason} at byte {error.start}") from error
    whole = _json(text)
    if isinstance(whole, Mapping) and all(isinstance(one, Mapping) for one in whole.values()):
        found = [(f"{path}, {key[:60]}", {"pk": key} | dict(one)) for key, one in whole.items()]
    elif isinstance(whole, Mapping):
        found = [(f"{path}:1", dict(whole))]
    elif isinstance(whole, list):
        found = [(f"{path}, record {number}", one) for number, one in enumerate(whole, 1)]
    else:
        lines = enumerate(text.splitlines(), 1)
        found = [(f"{path}:{number}", _json(line)) for number, line in lines if line.strip()]
    if not found:
        raise UserError(f"'{path}' holds no records")
    return [_record(place, one) for place, one in found]


def _json(text: str) -> Any:
    """Return the value of a text of JSON, None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _record(place: str, one: Any) -> Found:
    if not isinstance(one, Mapping) or not all(isinstance(key, str) for key in one):
        raise UserError(f"{place}: not a JSON object; give JSON lines, a list, or objects by key")
    return Found(place, one)


def read_table(path: Path) -> Iterator[Found]:
    """Yield the rows of a table with a head: CSV with commas or semicolons, or text with tabs.

    Raises UserError with the place of the first fault.
    """
    csv.field_size_limit(_LONGEST)
    number = 1
    try:
        with path.open(encoding=find_encoding(path), newline="") as file:
            first = file.readline(_LONGEST).removeprefix("\ufeff")
            if "\0" in first or not first.strip():
                raise UserError(f"{path}:1: no head with the names of columns; give a CSV file")
            separator = max(_SEPARATORS, key=first.count)
            head = [name.strip() for name in next(csv.reader([first], delimiter=separator))]
            rows = csv.reader(file, delimiter=separator)
            for cells in rows:
                number = rows.line_num + 1
                if any(cells):
                    yield Found(f"{path}:{number}", dict(zip(head, cells, strict=False)))
    except OSError as error:
        raise UserError(f"cannot read '{path}': {error.strerror}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path}:{number + 1}: not a row of a table: {error}") from error
