"""Made-up survey files in every dialect, for tests: nobody in them was ever asked anything.

The writers of .sav and .dta follow the published layouts (PSPP developers' guide, system file
format; Stata, help dta_114), so that reading is tested against something else than its own library.
"""

from __future__ import annotations

import csv
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Cells = Mapping[str, Sequence[Any]]
"""Values by column: numbers, texts, or None for an empty cell."""
TEXT = 24
"""Bytes of a text column in binary files."""
TITLES = {
    "B_COUNTRY_ALPHA": "Country code, three letters", "D_INTERVIEW": "Interview, number of",
    "Q1": "How much family matters; a title of ours", "Q262": "Age",
}  # fmt: skip


def people() -> dict[str, list[Any]]:
    """Return six respondents of two countries, with one of everything that can go wrong."""
    return {
        "version": ["6-0-0 (made up)"] * 6,
        "doi": ["10.14281/18241.24"] * 6,
        "A_WAVE": [7] * 6,
        "A_YEAR": [2022, 2022, 2022, 2022, 2018, 2018],
        "B_COUNTRY": [858, 858, 858, 858, 276, 276],
        "B_COUNTRY_ALPHA": ["URY", "URY", "URY", "URY", "DEU", "DEU"],
        "D_INTERVIEW": [858069901, 858069901, 858069902, 858069903, 276070001, 276070002],
        "W_WEIGHT": [1, 2, 0.5, 1, 0.8731, 1.25],
        "S018": [0.25, 0.25, 0.25, 0.25, 0.5, 0.5],
        "PWGHT": [3.5, 3.5, 3.5, 3.5, 41, 41],
        "H_URBRURAL": [1, 2, 1, -2, 1, 1],
        "Q260": [1, 2, 2, 1, -2, 2],
        "Q262": [19, 44, 71, -2, 33, 90],
        "X003R": [1, 3, 6, -2, 2, 6],
        "Q274": [0, 2, 3, 1, -1, 0],
        "Q275": [0, 3, 8, -1, 5, 6],
        "Q1": [1, 1, 2, -1, 4, -2],
        "Q7": [1, 2, 1, 2, -5, 1],
        "Q57": [-4, -4, -4, -4, 1, 2],
        "Q119": [0, 3, 4, 1, 2, -3],
        "Q254": [1, 5, 4, 2, 3, -1],
        "Y003": [-2, -1, 0, 2, -5, 1],
    }


def write_csv(
    path: Path,
    cells: Cells,
    *,
    separator: str = ",",
    titled: bool = False,
    quoted: bool = False,
    ends: str = "\n",
    encoding: str = "utf-8",
) -> Path:
    """Write a CSV file; `titled` headers are `code: title`, `ends` are the ends of lines."""
    names = [f"{name}: {TITLES.get(name, name)}" if titled else name for name in cells]
    with path.open("w", encoding=encoding, newline="") as file:
        style = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
        writer = csv.writer(file, delimiter=separator, lineterminator=ends, quoting=style)
        writer.writerow(names)
        writer.writerows(zip(*cells.values(), strict=True))
    return path


def write_sav(
    path: Path,
    cells: Cells,
    labels: Mapping[str, Mapping[int, str]] | None = None,
    missing: Sequence[str] = (),
) -> Path:
    """Write an SPSS file; columns in `missing` declare -5 to -1 as missing by the user."""
    widths = {name: TEXT if _is_text(values) else 0 for name, values in cells.items()}
    rows = len(next(iter(cells.values())))
    size = sum(width // 8 or 1 for width in widths.values())
    out = [b"$FL2", b"@(#) made up".ljust(60), struct.pack("<5i", 2, size, 0, 0, rows)]
    out += [struct.pack("<d", 100.0), b"01 Jan 2600:00:00".ljust(17), b" " * 64, b"\0" * 3]
    places, place = {}, 1
    for number, (name, width) in enumerate(widths.items()):
        form = (1 << 16) + (TEXT << 8) if width else (5 << 16) + (8 << 8) + 4
        user = -2 if name in missing else 0
        out.append(
            struct.pack("<6i", 2, width, 0, user, form, form) + f"V{number}".ljust(8).encode()
        )
        if user:
            out.append(struct.pack("<2d", -5, -1))
        out += [struct.pack("<6i", 2, -1, 0, 0, 0, 0) + b" " * 8] * (width // 8 - 1)
        places[name], place = place, place + (width // 8 or 1)
    for name, values in (labels or {}).items():
        out.append(struct.pack("<2i", 3, len(values)))
        for value, label in values.items():
            text = bytes([len(label.encode())]) + label.encode()
            out.append(struct.pack("<d", value) + text.ljust(-(-len(text) // 8) * 8))
        out.append(struct.pack("<3i", 4, 1, places[name]))
    longer = "\t".join(f"V{number}={name}" for number, name in enumerate(cells)).encode()
    out += [struct.pack("<4i", 7, 13, 1, len(longer)), longer]
    out += [struct.pack("<4i", 7, 20, 1, 5), b"UTF-8", struct.pack("<2i", 999, 0)]
    for row in zip(*cells.values(), strict=True):
        for value, width in zip(row, widths.values(), strict=True):
            if width:
                out.append((value or "").encode().ljust(width))
            else:
                out.append(struct.pack("<d", -1.7976931348623157e308 if value is None else value))
    path.write_bytes(b"".join(out))
    return path


def write_dta(path: Path, cells: Cells) -> Path:
    """Write a Stata file; the texts .a to .e among numbers are extended missing values."""
    texts = {name: _is_text(values) for name, values in cells.items()}
    rows = len(next(iter(cells.values())))
    out = [struct.pack("<4BHi", 114, 2, 1, 0, len(cells), rows), b"\0" * 81, b"\0" * 18]
    out.append(bytes(TEXT if text else 255 for text in texts.values()))
    out += [name.encode().ljust(33, b"\0") for name in cells]
    out.append(b"\0" * 2 * (len(cells) + 1))
    out += [(b"%24s" if text else b"%9.0g").ljust(49, b"\0") for text in texts.values()]
    out += [b"\0" * 33 * len(cells), b"\0" * 81 * len(cells), b"\0" * 5]
    for row in zip(*cells.values(), strict=True):
        for value, text in zip(row, texts.values(), strict=True):
            if text:
                out.append((value or "").encode().ljust(TEXT, b"\0"))
            elif value is None or isinstance(value, str):
                tag = 0 if value is None else ord(value[1]) - ord("a") + 1
                out.append(struct.pack("<Q", 0x7FE0000000000000 + (tag << 40)))
            else:
                out.append(struct.pack("<d", value))
    path.write_bytes(b"".join(out))
    return path


def _is_text(values: Sequence[Any]) -> bool:
    return any(isinstance(value, str) and not value.startswith(".") for value in values)
