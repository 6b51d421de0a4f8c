"""From the label of an answer back to its number in the wave-7 file.

Invariant: a label becomes a number only through the survey's own value labels, through a number
that stands in the label itself, or through exactly one pattern of `labels.yaml`.
"""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from eval.item import Item
from eval.respondents.column import load_columns, read_table
from eval.respondents.stat_file import UNWEIGHTED, read_labels
from folkways.errors import UserError

Codebook = Mapping[str, Mapping[str, int]]
"""By column and plain label: the number."""
_WEIGHT = "W_WEIGHT"
NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")
_QUOTES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u00b4": "'", "`": "'", "\u0092": "'"})
"""Typographic quotes, one of which a file of Windows holds as a control character."""
_NUMBERED = re.compile(r"(-?\d+)\s*(?:\.-|[.:)=]|-(?=\s))\s*(?=[^\W\d_])(.+)")
"""A label behind its number, as codebooks print it: `1.- Very important`, `2: Rather important`."""
_ENTRY = re.compile(r"(-?\d+)(?:\s*(?:\.-|[.:)=-])\s*|\s+)(\S.*)")
"""The same as a line of a codebook, where a space may do."""
_HEADING = re.compile(r"[A-Z][A-Za-z]*_?\d[\w]*|[A-Z]_[A-Z0-9_]+")


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
    """From code to pattern, by demographic, index or weight."""
    counts: list[str]
    """Columns in which a label that begins with a number stands for it."""
    unweighted: str
    """Pattern of a weight that says that there is none."""
    items: list[_Family]

    @cached_property
    def by_column(self) -> dict[str, dict[int, str]]:
        """Code to pattern for every column that has any."""
        spread = dict(self.columns)
        for family in self.items:
            for span in family.of:
                first, _, last = span.partition("-")
                ids = [first]
                if last:
                    ids = [f"Q{n}" for n in range(int(first[1:]), int(last[1:]) + 1)]
                spread |= dict.fromkeys(ids, family.codes)
        return spread


@cache
def patterns() -> _Patterns:
    """Return the file of patterns."""
    return _Patterns.model_validate(read_table("labels.yaml"))


def plain(label: str) -> str:
    """Return a label in the form in which labels are compared."""
    text = unicodedata.normalize("NFKC", label.translate(_QUOTES)).casefold()
    return " ".join(text.split()).rstrip(".")


def read_label(column: str, label: str, known: Mapping[str, int]) -> float | None:
    """Return the number of one label, None if there is none; `known` are value labels, plain.

    `column` is the name in wave 7, whichever file the label stands in.
    """
    text = plain(label)
    if column == _WEIGHT:
        said = re.fullmatch(patterns().unweighted, text) is not None
        return UNWEIGHTED if said else _number(text)
    if text in known:
        return known[text]
    if (number := _number(text)) is not None:
        return number
    if column in patterns().counts and (leading := re.match(r"\d+", text)):
        return float(leading[0])
    if numbered := _NUMBERED.fullmatch(text):
        words = numbered[2]
        agreed = known.get(words, _by_pattern(column, words)) in (None, int(numbered[1]))
        return int(numbered[1]) if agreed else None
    return _by_pattern(column, text)


def recoding(item: Item, labels: Mapping[str, int]) -> dict[int, int] | None:
    """Return what turns a file's numbers into those of wave 7 where the file's value labels say
    that they are others, such as 0 to 3 for 1 to 4, or a scale turned round; None where they agree.

    It is empty where labels and numbers contradict each other and the labels do not tell every
    option: such an item cannot be read.
    """
    told = {
        code: read_label(item.id, label, {}) for label, code in labels.items() if code in range(100)
    }
    if all(number in (None, code) for code, number in told.items()):
        return None
    numbers = {code: int(number) for code, number in told.items() if number is not None}
    worded = not any(NUMBER.fullmatch(plain(label)) for label in labels)
    known = set(numbers.values()) == set(item.options) and len(numbers) == len(item.options)
    return numbers if worded and known and len(told) == len(numbers) else {}


def _number(text: str) -> float | None:
    return float(text.replace(",", ".")) if NUMBER.fullmatch(text) else None


def _by_pattern(column: str, text: str) -> int | None:
    index = load_columns().indices.get(column)
    for codes in (patterns().missing, patterns().by_column.get(column, {})):
        found = [code for code, pattern in codes.items() if re.fullmatch(pattern, text)]
        if not found:
            continue
        if codes is patterns().missing and index and index.range[0] < 0:
            return -5  # -1 to -4 may be answers of an index
        return found[0] if len(found) == 1 else None
    return None


def read_codebook(path: Path | None) -> Codebook:
    """Return the value labels of a .sav or .dta file or of a codebook, by upper-case column;
    nothing without a path.

    A codebook is a .json file (column: {code: label}, also under `choices`), a .csv file with the
    columns variable, code and label, or a .txt file with a line for each column and each code.
    Raises UserError for any other file, and for one without labels.
    """
    if path is None:
        return {}
    readers: dict[str, Callable[[Path], Iterator[tuple[str, str, int]]]] = {
        ".sav": _of_data,
        ".dta": _of_data,
        ".json": _of_json,
        ".csv": _of_csv,
        ".txt": _of_text,
    }
    if path.suffix not in readers:
        raise UserError(
            f"{path}: value labels are taken from the survey's .sav or .dta file, or from a "
            "codebook as .json, .csv or .txt"
        )
    if not path.is_file():
        raise UserError(f"{path}: no such file; name the file with the value labels")
    book: dict[str, dict[str, int]] = {}
    try:
        for column, label, code in readers[path.suffix](path):
            book.setdefault(column.upper(), {})[plain(label)] = code
    except (UnicodeDecodeError, ValueError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as a codebook: {error}") from error
    if not book:
        raise UserError(f"{path} has no value labels: no column with codes and labels is in it")
    return book


def _of_data(path: Path) -> Iterator[tuple[str, str, int]]:
    labels = read_labels(path, "sav" if path.suffix == ".sav" else "dta")
    for column, values in labels.items():
        for label, code in values.items():
            yield column, label, code


def _of_json(path: Path) -> Iterator[tuple[str, str, int]]:
    found: Any = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError("it is not a mapping from columns to codes and labels")
    for column, entry in found.items():
        codes = entry.get("choices", entry) if isinstance(entry, dict) else {}
        for code, label in codes.items():
            if re.fullmatch(r"-?\d+", str(code)):
                yield column, str(label), int(code)


def _of_csv(path: Path) -> Iterator[tuple[str, str, int]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file)
        header = [name.strip().casefold() for name in next(rows, [])]
        try:
            at = [header.index(name) for name in ("variable", "code", "label")]
        except ValueError:
            raise ValueError("its columns have to be variable, code, label") from None
        for row in rows:
            if len(row) > max(at) and re.fullmatch(r"-?\d+", row[at[1]].strip()):
                yield row[at[0]].strip(), row[at[2]], int(row[at[1]])


def _of_text(path: Path) -> Iterator[tuple[str, str, int]]:
    column = None
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        words = line.split()
        if words and _HEADING.fullmatch(words[0].rstrip(".:")):
            column = words[0].rstrip(".:")
        elif column and (entry := _ENTRY.fullmatch(line.strip())):
            yield column, entry[2], int(entry[1])
