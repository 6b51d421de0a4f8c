"""Which of the survey's files a path leads to: what can be read, and one clear line for the rest.

Invariant: a file whose scales run the other way, or whose columns mean something else, is refused
before anything is read from it.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from eval.respondents.stat_file import read_header
from folkways.errors import UserError
from scenarios.sheet import find_encoding

Form = Literal["csv", "sav", "dta"]
Study = Literal["wave-7", "time-series", "joint", "own"]
_STUDIES: dict[Study, str] = {
    "wave-7": "WVS wave 7",
    "time-series": "WVS time series",
    "joint": "joint EVS/WVS 2017-2022",
    "own": "a survey of your own",
}
"""What can be read, in words."""
_READABLE = (
    "folkways reads WVS wave 7 as CSV, SPSS (.sav) or Stata (.dta), pooled or of one country, the "
    "WVS time series and the joint EVS/WVS file; for another survey see docs/evaluation.md"
)
_SAMPLED_ROWS = 200
"""Rows that decide whether cells hold numbers or labels."""
_LABELLED_SHARE = 0.25
"""Share of cells that are no numbers from which on a file counts as one of labels."""
_CODE = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)")
_KNOWN = re.compile(r"Q\d+\w*|V\d+\w*|[A-I]\d{3}\w*|[SXY]\d{3}\w*|[A-Z]_\w+|VERSION|DOI|CNTRY\w*")
_ITEM = re.compile(r"Q\d{1,3}|[A-I]\d{3}\w*")
"""Columns of items, in wave 7 and in the time series."""
_MAGIC = (
    (b"\xd0\xcf\x11\xe0", "an old Excel file"),
    (b"\x1f\x8b", "an R file (.rds, .RData) or compressed"),
    (b"BZh", "an R file (.rds, .RData) or compressed"),
    (b"\xfd7zXZ", "an R file (.rds, .RData) or compressed"),
    (b"RDX", "an R file (.RData)"),
    (b"%PDF", "a PDF document"),
)
_FOREIGN: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"S002EVS"}), "the European Values Study trend file"),
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """A file that can be read, and how."""

    path: Path
    form: Form
    study: Study
    header: tuple[str, ...]
    """Names of the columns as they stand in the file."""
    columns: Mapping[str, int]
    """Position by upper-case code, the first word of a column's name."""
    separator: str = ""
    """Of a CSV file: comma or semicolon."""
    encoding: str = ""
    """Of a CSV file: utf-8, utf-16 or latin-1."""
    labelled: bool = False
    """Whether cells hold the labels of answers instead of numbers."""

    @property
    def name(self) -> str:
        """What the file is, in words."""
        cells = "answers as labels, " if self.labelled else ""
        return f"{_STUDIES[self.study]} ({cells}{self.form})"


def recognise(path: Path) -> Dialect:
    """Return what a file is; raise UserError for whatever cannot or should not be read."""
    form = _form(path)
    if form != "csv":
        header = read_header(path, form)
        codes = _codes(header)
        return Dialect(path, form, _study(path, codes), header, _positions(path, codes))
    encoding = find_encoding(path)
    separator, rows = _head(path, encoding)
    codes = _codes(rows[0])
    study = _study(path, codes)
    if len(rows) == 1:
        raise UserError(f"{path} has a header and no respondents: it is cut off; download it again")
    return Dialect(
        path,
        "csv",
        study,
        tuple(rows[0]),
        _positions(path, codes),
        separator,
        encoding,
        labelled=_labelled(codes, rows[1:]),
    )


def recognise_table(path: Path) -> Dialect:
    """Return a file of another survey, whose columns have names of its own; cells of a CSV file are
    texts. Raises UserError for a file that is no table."""
    form = _form(path)
    if form != "csv":
        header = read_header(path, form)
        places = {name.strip().upper(): place for place, name in enumerate(header)}
        return Dialect(path, form, "own", header, places)
    encoding = find_encoding(path)
    separators = {",": 0, ";": 0, "\t": 0}
    for separator in separators:
        separators[separator] = len(next(_rows(path, encoding, separator), []))
    separator = max(separators, key=lambda one: separators[one])
    header = tuple(next(_rows(path, encoding, separator)))
    places = {name.strip().upper(): place for place, name in enumerate(header)}
    if len(places) < len(header):
        raise UserError(f"{path} has two columns of one name; name each differently")
    return Dialect(path, "csv", "own", header, places, separator, encoding, labelled=True)


def read_rows(dialect: Dialect) -> Iterator[list[str]]:
    """Yield the rows of a CSV file, without its header.

    Raises UserError at a row with another number of cells than the header has.
    """
    rows = _rows(dialect.path, dialect.encoding, dialect.separator)
    next(rows)
    for number, row in enumerate(rows, start=2):
        if row and len(row) != len(dialect.header):
            raise UserError(
                f"{dialect.path}, row {number}: {len(row)} of {len(dialect.header)} columns; the "
                "file is cut off or was edited; download it again"
            )
        if row:
            yield row


def _form(path: Path) -> Form:
    """Return how the file is written, by its first bytes."""
    if path.is_dir():
        raise UserError(f"{path} is a folder; name the file in it")
    if not path.is_file():
        raise UserError(f"{path}: no such file; download one from worldvaluessurvey.org")
    with path.open("rb") as file:
        start = file.read(4096)
    if not start.strip():
        raise UserError(f"{path} is empty; download it again")
    if start.startswith((b"$FL2", b"$FL3")):
        return "sav"
    if start.startswith(b"<stata_dta>") or (path.suffix == ".dta" and 102 <= start[0] <= 115):
        return "dta"
    if start.startswith(b"PK"):
        if path.suffix.lower().startswith(".xls"):
            raise UserError(f"{path} is an Excel file; {_READABLE}")
        raise UserError(f"{path} is a ZIP archive; unpack it and name the file inside")
    for magic, kind in _MAGIC:
        if start.startswith(magic):
            raise UserError(f"{path} is {kind}; {_READABLE}")
    if start.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        raise UserError(f"{path} is a web page, not data; fill in the download form again")
    wide = start[:2] in (b"\xff\xfe", b"\xfe\xff")
    if path.suffix in (".sav", ".dta") or (b"\x00" in start and not wide):
        raise UserError(f"{path} is damaged, or no data file of the survey; {_READABLE}")
    return "csv"


def _rows(path: Path, encoding: str, separator: str) -> Iterator[list[str]]:
    """Yield the cells of every row of a CSV file."""
    with path.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="") as file:
        try:
            yield from csv.reader(file, delimiter=separator)
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"{path} cannot be read as CSV ({error}); download it again") from error


def _head(path: Path, encoding: str) -> tuple[str, list[list[str]]]:
    """Return the separator that gives the most names of the survey, and the first rows."""
    heads = {}
    for separator in (",", ";"):
        rows = filter(None, _rows(path, encoding, separator))
        heads[separator] = list(itertools.islice(rows, _SAMPLED_ROWS + 1)) or [[]]

    def known(separator: str) -> int:
        return sum(bool(_KNOWN.fullmatch(code)) for code in _codes(heads[separator][0]))

    best = max(heads, key=known)
    return best, heads[best]


def _codes(header: Sequence[str]) -> list[str]:
    """Return the first word of each name, in upper case: `Q1: Important in life` is Q1."""
    words = (_CODE.match(name) for name in header)
    return [word[1].upper() if word else "" for word in words]


def _positions(path: Path, codes: Sequence[str]) -> dict[str, int]:
    positions: dict[str, int] = {}
    for position, code in enumerate(codes):
        if code in positions and re.fullmatch(r"Q\d+\w*|[A-Z]_\w+", code):
            raise UserError(f"{path} has the column {code} twice; download it again")
        positions.setdefault(code, position)
    return positions


def _study(path: Path, codes: Sequence[str]) -> Study:
    """Return what was asked; raise UserError for anything but wave 7 and the time series."""
    names = frozenset(codes)
    inverted = [code for code in codes if re.fullmatch(r"Q\d+P", code)]
    if inverted:
        raise UserError(
            f"{path} is an inverted file ({', '.join(inverted[:3])}, ...): its scales run the "
            "other way round; download the file that is not inverted"
        )
    items = [code for code in codes if re.fullmatch(r"Q\d{1,3}", code) and int(code[1:]) <= 290]
    if items and names & {"B_COUNTRY_ALPHA", "B_COUNTRY"}:
        return "wave-7"
    if "S002VS" in names and names & {"COUNTRY_ALPHA", "S003"}:
        return "time-series"
    if "CNTRY_AN" in names or {"CNTRY", "STUDY"} <= names:
        return "joint"
    for marks, kind in _FOREIGN:
        if marks <= names:
            raise UserError(f"{path} is {kind}; {_READABLE}")
    if sum(bool(re.fullmatch(r"V\d+\w?", code)) for code in codes) >= 20:
        raise UserError(
            f"{path} is of wave 6 or an earlier one (columns V1, V2, ...), which asked other "
            "questions; download wave 7, or the time series for earlier waves"
        )
    if items:
        raise UserError(f"{path} has no column B_COUNTRY_ALPHA or B_COUNTRY; {_READABLE}")
    begin = ", ".join(codes[:4])
    raise UserError(f"{path} has none of the survey's columns (it begins {begin}); {_READABLE}")


def _labelled(codes: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    items = [place for place, code in enumerate(codes) if _ITEM.fullmatch(code)]
    cells = [row[place].strip() for row in rows for place in items if place < len(row)]
    filled = [cell for cell in cells if cell]
    words = sum(not re.fullmatch(r"[-+]?\d+([.,]\d*)?|NA|nan|\.", cell) for cell in filled)
    return words > _LABELLED_SHARE * len(filled)
