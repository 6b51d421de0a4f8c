"""Files of one country whose cells hold the labels of answers: from labels back to numbers.

Invariant: a label becomes a number only through the survey's own value labels or through exactly
one pattern of `labels.yaml`; a column with any other label is left out whole, and said to be.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from eval.respondents.column import read_table
from eval.respondents.dialect import Dialect, read_rows
from eval.respondents.stat_file import UNREADABLE, read_labels
from folkways.errors import UserError

CHUNK = 10_000
_QUOTES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u00b4": "'", "`": "'", "\u0092": "'"})
"""Typographic quotes, one of which a file of Windows holds as a control character."""
_NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")


class _Family(BaseModel):
    """Items with the same labels."""

    model_config = ConfigDict(extra="forbid")

    of: list[str]
    """Ids, or ranges of them such as Q1-Q6."""
    codes: dict[int, str]


class _Patterns(BaseModel):
    """The file of patterns."""

    model_config = ConfigDict(extra="forbid")

    missing: dict[int, str]
    """From missing code to pattern, for every column."""
    columns: dict[str, dict[int, str]]
    """From code to pattern, by demographic."""
    counts: list[str]
    """Columns in which a label that begins with a number stands for it."""
    items: list[_Family]

    @cached_property
    def by_column(self) -> dict[str, dict[int, str]]:
        """Code to pattern for every column that has any."""
        spread = dict(self.columns)
        for family in self.items:
            for span in family.of:
                first, _, last = span.partition("-")
                ends = int(first[1:]), int((last or first)[1:])
                spread |= {f"Q{n}": family.codes for n in range(ends[0], ends[1] + 1)}
        return spread


class Readings(NamedTuple):
    """What the labels of a file stand for."""

    numbers: Mapping[str, Mapping[str, float]]
    """By column and label as it stands in the file."""
    unknown: Mapping[str, Sequence[str]]
    """Labels without a number, by column."""


@cache
def _patterns() -> _Patterns:
    return _Patterns.model_validate(read_table("labels.yaml"))


def plain(label: str) -> str:
    """Return a label in the form in which labels are compared."""
    text = unicodedata.normalize("NFKC", label.translate(_QUOTES)).casefold()
    return " ".join(text.split()).rstrip(".")


def read_label(column: str, label: str, known: Mapping[str, int]) -> float | None:
    """Return the number of one label, None if there is none; `known` are value labels, plain."""
    patterns, text = _patterns(), plain(label)
    if text in known:
        return known[text]
    if _NUMBER.fullmatch(text):
        return float(text.replace(",", "."))
    if column in patterns.counts and (leading := re.match(r"\d+", text)):
        return float(leading[0])
    for codes in (patterns.missing, patterns.by_column.get(column, {})):
        found = [code for code, pattern in codes.items() if re.fullmatch(pattern, text)]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def read_companion(path: Path | None) -> dict[str, dict[str, int]]:
    """Return the value labels of a .sav or .dta file, plain, by column; nothing without a path."""
    if path is None:
        return {}
    if path.suffix not in (".sav", ".dta"):
        raise UserError(f"{path}: value labels are taken from the survey's .sav or .dta file")
    labels = read_labels(path, "sav" if path.suffix == ".sav" else "dta")
    return {
        column: {plain(label): code for label, code in values.items()}
        for column, values in labels.items()
    }


def interpret(dialect: Dialect, columns: Sequence[str], companion: Path | None) -> Readings:
    """Return what every label in these columns (codes of the file) stands for.

    Two labels of an item for one number mean that a pattern is wrong, and count as unknown; those
    for missing answers, and counts, may well share one.
    """
    labels: dict[str, dict[str, None]] = {column: {} for column in columns}
    places = [(labels[column], dialect.columns[column]) for column in columns]
    for row in read_rows(dialect):
        for seen, place in places:
            seen[row[place]] = None
    known = read_companion(companion)
    numbers: dict[str, Mapping[str, float]] = {}
    unknown: dict[str, Sequence[str]] = {}
    for column, seen in labels.items():
        read = {
            label: read_label(column, label, known.get(column, {}))
            for label in seen
            if label.strip()
        }
        numbers[column] = {label: number for label, number in read.items() if number is not None}
        if lost := [label for label, number in read.items() if number is None]:
            unknown[column] = lost
        elif column not in _patterns().counts and (twice := _shared(numbers[column])):
            unknown[column] = twice
    return Readings(numbers, unknown)


def _shared(numbers: Mapping[str, float]) -> list[str]:
    """Return labels that differ in more than case and spaces and yet have one number."""
    forms: dict[float, set[str]] = {}
    for label, number in numbers.items():
        if number >= 0 and not _NUMBER.fullmatch(plain(label)):
            forms.setdefault(number, set()).add(plain(label))
    return [label for label, number in numbers.items() if len(forms.get(number, ())) > 1]


def label_chunks(
    dialect: Dialect,
    columns: Mapping[str, str],
    texts: Sequence[str],
    readings: Readings,
) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield rows as arrays by target, as `stat_file.read_chunks` does; see `interpret`."""
    rows: list[list[str]] = []
    for row in read_rows(dialect):
        rows.append(row)
        if len(rows) == CHUNK:
            yield _arrays(dialect, columns, texts, readings, rows)
            rows = []
    if rows:
        yield _arrays(dialect, columns, texts, readings, rows)


def _arrays(
    dialect: Dialect,
    columns: Mapping[str, str],
    texts: Sequence[str],
    readings: Readings,
    rows: Sequence[Sequence[str]],
) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for target, column in columns.items():
        place = dialect.columns[column]
        cells = [row[place] for row in rows]
        if target in texts:
            arrays[target] = np.array([cell.strip() or None for cell in cells], dtype=object)
        else:
            numbers = readings.numbers[column]
            arrays[target] = np.array(
                [numbers.get(cell, UNREADABLE) if cell.strip() else np.nan for cell in cells]
            )
    return arrays
