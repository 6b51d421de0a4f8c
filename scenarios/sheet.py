"""Tables as spreadsheet programs save them: CSV in their own encodings and with their own
separators.

Invariant: a sheet is read whole or not at all.
"""

from __future__ import annotations

import csv
import io
import re
from codecs import getincrementaldecoder
from pathlib import Path
from typing import NamedTuple

from folkways.errors import UserError
from folkways.files import read_bytes

_LONGEST = 2**31 - 1
"""Characters of a cell: a long scene has more than the 128 KiB that the reader allows otherwise."""
_SEPARATOR = re.compile(r'\ufeff?"?(?i:sep)=(.)"?[ \t;,]*(?:\r\n|\r|\n)')
"""A first line by which some programs say how cells are separated."""


class Sheet(NamedTuple):
    """A table whose columns have names."""

    head: list[str]
    rows: list[tuple[int, dict[str, str]]]
    """Each row that is not empty with its number in the spreadsheet, the first being the head's."""


def find_encoding(path: Path) -> str:
    """Return utf-16 where the file says so, utf-8 where all of it is, and latin-1 otherwise."""
    with path.open("rb") as file:
        decoder = getincrementaldecoder("utf-8")()
        chunk = file.read(1 << 20)
        if chunk[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return "utf-16"
        try:
            while chunk:
                decoder.decode(chunk)
                chunk = file.read(1 << 20)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8"


def read_sheet(path: Path) -> Sheet:
    """Return a table that was saved as CSV or as text with tabs, in UTF-8, UTF-16 or Windows-1252,
    or, with the line ends of an old Macintosh, in its code page.

    Raises UserError for a file that cannot be read, for a workbook, and for what is no table.
    """
    advice = "save it as 'CSV UTF-8'"
    try:
        data = read_bytes(path)
        encoding = find_encoding(path)
    except OSError as error:
        raise UserError(f"cannot read '{path}': {error.strerror}") from error
    if data.startswith((b"PK", b"\xd0\xcf\x11\xe0")):
        raise UserError(f"'{path}' is a workbook, not a CSV sheet; {advice}")
    ended = re.search(rb"\r\n|\r|\n", data)
    of_system = "mac_roman" if ended and ended[0] == b"\r" else "cp1252"
    codec = {"utf-8": "utf-8-sig", "latin-1": of_system}.get(encoding, encoding)
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        raise UserError(f"'{path}' is not a CSV sheet in UTF-8: {error}; {advice}") from error
    if "\0" in text:
        raise UserError(f"'{path}' is not a CSV sheet: it holds zero bytes; {advice}")
    csv.field_size_limit(_LONGEST)
    said = _SEPARATOR.match(text)
    before = 1 if said else 0
    text = text[said.end() :] if said else text
    first = re.split(r"[\r\n]", text, maxsplit=1)[0]
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=said[1] if said else _separator(first))
    try:
        head = [name.strip() for name in next(reader, [])]
        blank = dict.fromkeys(head, "")
        rows = [
            (number, blank | dict(zip(head, cells, strict=False)))
            for number, cells in enumerate(reader, 2 + before)
            if any(cells)
        ]
    except csv.Error as error:
        raise UserError(f"'{path}' is not a CSV sheet: {error}; {advice}") from error
    return Sheet(head, rows)


def _separator(line: str) -> str:
    return max(",;\t", key=line.count)
