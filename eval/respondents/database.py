"""The layout of a DuckDB file of respondents, and how one is made and opened.

Invariant: a file of the survey and a synthetic sample have the same tables, and every row says
which of the two it is; a file that could not be finished is not there.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb

from eval.item import MISSING, Item, load_items
from eval.respondents.column import Column, load_columns
from folkways.errors import UserError, unknown_name
from simulation.store.locked import connect

_FORMAT = "1"
"""Version of the layout."""
_MEMORY = "512MB"
"""What DuckDB may use before it spills to disk."""
WEIGHTS: dict[str, str] = {
    "national": "weight",
    "pooled": "weight_pooled",
    "population": "weight_population",
    "none": "1::double",
}
"""Ways of weighting, with the expression over `respondents` that each stands for."""
ADMIN = {
    "respondent_id": ("varchar", "Country and interview; unique in this file."),
    "country": ("varchar", "ISO 3166 alpha-3."),
    "synthetic": ("boolean", "True for a made-up respondent, false for one of the survey."),
    "wave": ("smallint", "Wave of the survey."),
    "year": ("smallint", "Year of the interview."),
    "D_INTERVIEW": (
        "varchar",
        "Id of the interview in the survey's file; 858069901 occurs twice there.",
    ),
    "weight": (
        "double",
        "National weight (W_WEIGHT, in time series S017); null if missing or no weight.",
    ),
    "S018": ("double", "Factor to equal sample sizes, as in the file."),
    "PWGHT": ("double", "Factor to the population, as in the file."),
    "weight_pooled": (
        "double",
        "To pool countries as equals: weight x S018, or S018 alone where it varies "
        "within a country, since it then has the national weight in it.",
    ),
    "weight_population": ("double", "To pool countries by population: weight x PWGHT."),
}
"""Columns of `respondents` before the demographics: type and comment."""
_VIEW = {
    "respondent_id": "The respondent.",
    "country": "ISO 3166 alpha-3.",
    "synthetic": "True for a made-up respondent, false for one of the survey.",
    "wave": "Wave of the survey.",
    "weight": "National weight.",
    "weight_pooled": "Weight to pool countries as equals.",
    "item": "The item or index.",
    "raw": "The number as in the wave-7 file; null for an empty cell.",
    "code": "Point of the scale after recodes; null where there is no valid answer.",
    "status": "valid, or why not: see codes.status; out of range for numbers without a meaning.",
}
"""Columns of `answers`, with their meanings."""


class _Code(NamedTuple):
    """What a number of an item stands for; a row of `codes`."""

    item: str
    raw: int
    code: int | None
    status: str
    label: str | None


class Note(NamedTuple):
    """Something that was left out, changed or doubtful; a row of `notes`."""

    subject: str
    country: str | None
    problem: str
    respondents: int
    detail: str | None


def _item_codes(item: Item) -> list[_Code]:
    """Return what every known number of an item stands for."""
    return [
        _Code(item.id, raw, item.point(raw), item.status(raw), item.options.get(raw))
        for raw in (*item.options, *MISSING)
    ]


def _index_codes(name: str, column: Column) -> list[_Code]:
    """Return the same for an index, whose valid values may be negative."""
    low, high = column.range
    valid = [_Code(name, raw, raw, "valid", None) for raw in range(low, high + 1)]
    missing = [_Code(name, raw, None, MISSING[raw], None) for raw in MISSING if raw < low]
    return valid + missing


@contextlib.contextmanager
def new_database(path: Path, replace: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection to a fresh file, which takes its place only if the block succeeds.

    Raises UserError where something is in its place, unless it is a file of respondents and
    `replace` is set.
    """
    if path.exists():
        if not replace:
            raise UserError(f"{path} is there already; name another file, or ask to replace it")
        open_respondents(path).close()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    _remove(partial)
    con = duckdb.connect(str(partial), config={"memory_limit": _MEMORY})
    try:
        yield con
        con.close()
        partial.replace(path)
    finally:
        con.close()
        _remove(partial)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)


def open_respondents(path: Path) -> duckdb.DuckDBPyConnection:
    """Return a connection for reading; raise UserError for a file that holds no respondents."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; load a file of the survey, or draw a sample, first")
    try:
        con = connect(path, read_only=True)
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} cannot be opened as a file of respondents: {reason}") from error
    try:
        meta = dict(con.execute("select key, value from meta").fetchall())
    except duckdb.CatalogException:
        meta = {}
    if meta.get("kind") != "respondents" or meta.get("format") != _FORMAT:
        con.close()
        raise UserError(
            f"{path} is no file of respondents of this version of folkways; load the survey's file "
            "again"
        )
    return con


def absent_items(con: duckdb.DuckDBPyConnection, items: Iterable[str]) -> dict[str, str]:
    """Return the items that a file of respondents lacks, each with what its notes say of it."""
    there = {row[0] for row in con.execute("select item from items").fetchall()}
    notes = con.execute(r"""
        select subject, concat_ws(': ', problem, nullif(regexp_replace(detail, '^\[.*?\]', ''), ''))
        from notes where country is null""").fetchall()
    told = dict(notes)
    return {item: told.get(item, "not in the file") for item in items if item not in there}


def require_items(con: duckdb.DuckDBPyConnection, path: Path, items: Iterable[str]) -> None:
    """Raise UserError for items that a file lacks, with what can be done, and for unknown ones."""
    absent = absent_items(con, items)
    for item in absent:
        if re.fullmatch(r"Q\d+", item) and item not in load_items():
            known = con.execute("select item from items order by rowid").fetchall()
            raise unknown_name("item", item, [row[0] for row in known])
    if absent:
        raise not_in_file(path, absent)


def not_in_file(path: Path, absent: Mapping[str, str]) -> UserError:
    """Return the error about items that a file of people lacks."""
    shown = ", ".join(f"{item} ({why})" for item, why in list(absent.items())[:5])
    more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
    return UserError(
        f"not in your file {path}: {shown}{more}; choose other items, or go without these: "
        "absent_items: skip"
    )


def create_tables(
    con: duckdb.DuckDBPyConnection, items: Sequence[Item], meta: Mapping[str, str]
) -> None:
    """Make all tables and views with their comments, empty but for `meta` and `codes`."""
    con.execute(Path(__file__).with_name("respondents.sql").read_text(encoding="utf-8"))
    facts = {"application": "folkways", "kind": "respondents", "format": _FORMAT, **meta}
    con.executemany("insert into meta values (?, ?)", list(facts.items()))
    codes = [code for item in items for code in _item_codes(item)]
    indices = load_columns().indices
    codes += [code for name, column in indices.items() for code in _index_codes(name, column)]
    con.execute(
        "insert into codes select unnest(?), unnest(?), unnest(?), unnest(?), unnest(?)",
        [list(field) for field in zip(*codes, strict=True)],
    )
    columns = _columns(items)
    defined = ", ".join(f'"{name}" {kind}' for name, (kind, _) in columns.items())
    con.execute(f"create table respondents ({defined})")
    con.execute(_view_sql([*indices, *(item.id for item in items)]))
    table = (
        "One row a person: who they are, and their answers as numbers of the wave-7 file. Numbers "
        "below 0 and some others are no answers: read them through the view answers."
    )
    view = "One row a respondent and item, with the point of the scale or the reason there is none."
    _comment(con, "table", "respondents", table)
    _comment(con, "view", "answers", view)
    for name, (_, about) in columns.items():
        _comment(con, "column", f'respondents."{name}"', about)
    for name, about in _VIEW.items():
        _comment(con, "column", f"answers.{name}", about)


def list_items(
    con: duckdb.DuckDBPyConnection, items: Sequence[Item], sources: Mapping[str, str | None]
) -> None:
    """Fill the table `items`; indices are listed where the file has them."""
    rows: list[list[str | None]] = [
        [item.id, item.ask, item.scale, sources.get(item.id)] for item in items
    ]
    rows += [
        [name, column.about, "index", sources[name]]
        for name, column in load_columns().indices.items()
        if sources.get(name)
    ]
    if rows:
        con.executemany("insert into items values (?, ?, ?, ?)", rows)


def add_notes(con: duckdb.DuckDBPyConnection, notes: Sequence[Note]) -> None:
    """Fill the table `notes`."""
    if notes:
        con.executemany("insert into notes values (?, ?, ?, ?, ?)", [list(note) for note in notes])


def _columns(items: Sequence[Item]) -> dict[str, tuple[str, str]]:
    """Return type and comment of every column of `respondents`."""
    known = load_columns()
    columns = dict(ADMIN)
    for name, column in known.demographics.items():
        columns[name] = (column.type, f"{column.about} Null where there is no answer.")
    for name, column in known.indices.items():
        columns[name] = (column.type, f"{column.about} As in the file; missing below that range.")
    for item in items:
        options = ", ".join(f"{code} {label}" for code, label in item.options.items())
        columns[item.id] = ("smallint", f"{item.ask} As in the file: {options}; below 0 missing.")
    return columns


def _view_sql(names: Sequence[str]) -> str:
    listed = ", ".join(f'"{name}"' for name in names)
    person = "respondent_id, country, synthetic, wave, weight, weight_pooled"
    return f"""
        create view answers as
        select {person}, item, raw, codes.code,
            coalesce(codes.status, if(raw is null, 'missing', 'out of range')) as status
        from (
            (select {person}, {listed} from respondents)
            unpivot include nulls (raw for item in ({listed}))
        ) left join codes using (item, raw)"""


def _comment(con: duckdb.DuckDBPyConnection, kind: str, name: str, text: str) -> None:
    quoted = text.replace("'", "''")
    con.execute(f"comment on {kind} {name} is '{quoted}'")
