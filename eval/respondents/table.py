"""National answers to a survey of one's own: a table of shares, or a file of questions with them.

Invariant: shares that do not make up a whole are refused or, if they fall short of it, the rest
counts as missing; how many people answered is what the file says, and unknown where it does not.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eval.item import Item
from eval.metrics.grid import Grid, Scales
from eval.own_items import read_opinions
from eval.respondents.country import country_code
from eval.respondents.label import plain
from folkways.errors import UserError

_COLUMNS = ("country", "item", "code", "share")
_ROUNDING = 0.02
"""What shares may miss a whole by."""


class _Cell(NamedTuple):
    """The shares of one country and item, by code of the file."""

    shares: dict[int, float]
    n: float
    """How many people the shares are of; NaN where nobody says."""


_Cells = dict[tuple[str, str], _Cell]


def read_national(path: Path, items: Sequence[Item], countries: Sequence[str]) -> Grid:
    """Return the national answers of a table (country, item, code, share, and n if there is one) or
    of a file of questions, for some countries and items.

    Countries without answers are left out, cells without any are NaN. Raises UserError for a line
    that cannot be read, and where none of the cells is there.
    """
    cells = _of_table(path, items) if _is_table(path) else _of_questions(path, items)
    known = [home for home in countries if any((home, item.id) in cells for item in items)]
    if not known:
        there = ", ".join(sorted({home for home, _ in cells})) or "no country"
        raise UserError(
            f"{path} has no answers from {', '.join(countries)} to these items; it has them from "
            f"{there}"
        )
    return _grid(path, cells, items, known)


def items_of(path: Path, items: Sequence[Item]) -> set[str]:
    """Return those of the items that a table or a file of questions has answers to."""
    cells = _of_table(path, items) if _is_table(path) else _of_questions(path, items)
    return {item for _, item in cells}


def _is_table(path: Path) -> bool:
    if not path.is_file():
        raise UserError(f"{path}: no such file; name the file with people's answers")
    if path.suffix != ".csv":
        return False
    return "selections" not in (name.strip().casefold() for name in next(_rows(path), []))


def _rows(path: Path) -> Iterator[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        file.seek(0)
        try:
            yield from csv.reader(file, delimiter=max(",;\t", key=first.count))
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"{path} cannot be read as CSV: {error}") from error


def _of_table(path: Path, items: Sequence[Item]) -> _Cells:
    rows = _rows(path)
    header = [name.strip().casefold() for name in next(rows, [])]
    if missing := [name for name in _COLUMNS if name not in header]:
        raise UserError(
            f"{path} has no column {', '.join(missing)}; a national table has the columns "
            f"{', '.join(_COLUMNS)} and n, and respondents need a map: people.file, people.columns"
        )
    known, cells = {item.id: item for item in items}, _Cells()
    for number, row in enumerate(rows, start=2):
        told = dict(zip(header, (cell.strip() for cell in row), strict=False))
        if told.get("item") not in known:
            continue
        where = f"{path}, line {number}"
        item, home = known[told["item"]], _country(told.get("country", ""), where)
        code = _code(item, told.get("code", ""), where)
        share = _number(told.get("share", ""), where, "share", 1)
        n = _number(told["n"], where, "n", np.inf) if told.get("n") else np.nan
        cell = cells.setdefault((home, item.id), _Cell({}, n))
        if code in cell.shares:
            raise UserError(f"{where}: {home}, {item.id}, {code} stands there twice")
        if not (n == cell.n or (np.isnan(n) and np.isnan(cell.n))):
            raise UserError(f"{where}: n is {n:g} and was {cell.n:g} for the same answers")
        cell.shares[code] = share
    return cells


def _of_questions(path: Path, items: Sequence[Item]) -> _Cells:
    wanted, cells = {item.id for item in items}, _Cells()
    for opinion in read_opinions(path):
        if opinion.item.id not in wanted:
            continue
        for home, shares in opinion.selections.items():
            code = country_code(home)
            if code is None:  # such as a sample of a part of a country
                continue
            told = dict(zip(opinion.item.options, shares, strict=True))
            cell = _Cell(told, opinion.respondents.get(home, np.nan))
            cells.setdefault((code, opinion.item.id), cell)
    return cells


def _country(text: str, where: str) -> str:
    code = country_code(text) or (text if text.isalpha() and text.isupper() else None)
    if code is None:
        raise UserError(f"{where}: '{text}' names no country; use ISO 3166 codes, such as DEU")
    return code


def _code(item: Item, text: str, where: str) -> int:
    by_label = {plain(label): code for code, label in item.options.items()}
    by_number = {str(code): code for code in item.options}
    code = by_number.get(text, by_label.get(plain(text)))
    if code is None:
        raise UserError(
            f"{where}: '{text}' is no option of {item.id}; its options are "
            f"{', '.join(f'{code} {label}' for code, label in item.options.items())}"
        )
    return code


def _number(text: str, where: str, name: str, most: float) -> float:
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        number = np.nan
    if not 0 <= number <= most:
        limits = "from 0 to 1" if most == 1 else "0 or more"
        raise UserError(f"{where}: {name} is '{text}'; it has to be a number {limits}")
    return number


def _grid(
    path: Path,
    cells: Mapping[tuple[str, str], _Cell],
    items: Sequence[Item],
    countries: Sequence[str],
) -> Grid:
    ordinal = [item.scale != "nominal" for item in items]
    scales = Scales.padded({item.id: item.points for item in items}, ordinal)
    shape = (len(countries), len(items))
    shares = np.full((*shape, scales.codes.shape[1]), np.nan)
    valid, missing, mode = (np.full(shape, np.nan) for _ in range(3))
    for row, home in enumerate(countries):
        for column, item in enumerate(items):
            if (home, item.id) not in cells:
                continue
            found = cells[home, item.id]
            points = _points(path, home, item, found.shares)
            total = sum(points.values())
            if total > 0:
                spread = [points[point] / total for point in item.points]
                shares[row, column] = 0
                shares[row, column, : len(spread)] = spread
                valid[row, column] = round(found.n * total) if found.n == found.n else np.nan
                missing[row, column] = max(0.0, 1 - total)
                mode[row, column] = max(item.points, key=lambda point: points[point])
    return Grid(tuple(countries), scales, shares, valid, missing, mode)


def _points(path: Path, home: str, item: Item, shares: Mapping[int, float]) -> dict[int, float]:
    """Return the shares of the points of a scale."""
    total = sum(shares.values())
    if total > 1 + _ROUNDING:
        raise UserError(f"{path}: the shares of {home}, {item.id} make {total:.3f}, more than 1")
    points = dict.fromkeys(item.points, 0.0)
    for code, share in shares.items():
        point = item.point(code)
        if point is not None:
            points[point] += share / max(1.0, total)
    return points
