"""Loads the respondents of a survey of one's own by a map of their file's columns.

Invariant: a cell becomes a code only where the map, an option's own words or a number says so;
everything else is counted, as in the survey's own files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eval.item import Item
from eval.respondents.audit import audit
from eval.respondents.column import load_columns
from eval.respondents.column_map import ROLES, MappedColumn, RespondentsFile
from eval.respondents.country import country_code
from eval.respondents.database import ADMIN as TABLE
from eval.respondents.database import add_notes, create_tables, list_items, new_database
from eval.respondents.dialect import Dialect, recognise_table
from eval.respondents.incoming import fill_incoming
from eval.respondents.intake import ADMIN, Wanted, fill_respondents, select_respondents
from eval.respondents.label import Codebook, plain
from eval.respondents.load_report import LoadReport
from folkways.errors import UserError


def load_respondents(told: RespondentsFile, database: Path, items: Sequence[Item]) -> LoadReport:
    """Load a file of respondents by its map into a DuckDB file, replacing one that is there.

    Raises UserError for a file or a map that cannot be read, for a column that is not there, and
    where none of the items is.
    """
    dialect = recognise_table(Path(told.file))
    wanted = _wanted(told, dialect, items)
    there = {column.target for column in wanted if column.source}
    loaded = [item for item in items if item.id in there]
    if not loaded:
        raise UserError(
            f"{told.file} has a column for none of the {len(items)} items; name them under "
            "people.columns"
        )
    with new_database(database, replace=True) as con:
        codes = _numeric_codes(told) if dialect.form != "csv" else {}
        wanted, notes = fill_incoming(con, dialect, wanted, items, _book(told, items), codes)
        if told.country:
            con.execute("update incoming set letters = ?", [_home(told.country)])
        notes += select_respondents(con, dialect, None, None)
        rows = con.execute("select country, count(*) from chosen group by all order by all")
        homes: dict[str, int] = dict(rows.fetchall())
        if not homes:
            raise UserError(
                f"{told.file} has no respondents with a country; name the column under "
                "people.columns.country, or people.country for all of them"
            )
        con.execute("begin")
        create_tables(con, loaded, _meta(told))
        list_items(con, loaded, {column.target: column.source for column in wanted})
        fill_respondents(con, loaded, {}, ())
        notes += audit(con, wanted, loaded, {note.subject for note in notes} | _unasked(told))
        add_notes(con, notes)
        con.execute("commit")
    names = tuple(item.id for item in loaded)
    return LoadReport(database, dialect.name, "", homes, names, tuple(notes))


def columns_of(told: RespondentsFile, items: Sequence[Item]) -> set[str]:
    """Return those of the items that a file of respondents has a column for."""
    wanted = _wanted(told, recognise_table(Path(told.file)), items)
    return {column.target for column in wanted if column.source}


def _wanted(told: RespondentsFile, dialect: Dialect, items: Sequence[Item]) -> list[Wanted]:
    known, ids = load_columns(), {item.id for item in items}
    reserved = {name.casefold() for name in (*TABLE, *known.demographics, *known.indices)}
    for name in ids:
        if name.casefold() in reserved:
            raise UserError(f"an item cannot be called '{name}', as a column of respondents is")
    for name in told.columns:
        if name not in {*ROLES, *known.demographics, *ids}:
            raise UserError(
                f"people.columns: '{name}' is neither {', '.join(ROLES)} nor a demographic nor an "
                f"item; items are {', '.join(sorted(ids)[:5])}..., demographics "
                f"{', '.join([*known.demographics][:5])}..."
            )
        if str(told.source(name)).upper() not in dialect.columns:
            raise UserError(
                f"{told.file} has no column '{told.source(name)}' for {name}; it has "
                f"{', '.join(dialect.header[:8])}{', ...' if len(dialect.header) > 8 else ''}"
            )

    def place(name: str, default: str | None = None) -> str | None:
        source = (told.source(name) or default or "").upper()
        return source if source in dialect.columns else None

    roles = {target: role for role, target in ROLES.items()}
    wanted = [
        Wanted(target, kind, place(roles[target]) if target in roles else None)
        for target, (kind, _, _) in ADMIN.items()
    ]
    wanted += [Wanted(name, one.type, place(name)) for name, one in known.demographics.items()]
    wanted += [Wanted(name, one.type, None) for name, one in known.indices.items()]
    return wanted + [Wanted(item.id, "smallint", place(item.id, item.id)) for item in items]


def _book(told: RespondentsFile, items: Sequence[Item]) -> Codebook:
    """Return what texts stand for, by target: an option's words, and the codes of the map."""
    book = {item.id: {plain(label): code for code, label in item.options.items()} for item in items}
    for name, column in told.columns.items():
        if isinstance(column, MappedColumn):
            book[name] = book.get(name, {}) | {plain(k): code for k, code in column.codes.items()}
    return book


def _numeric_codes(told: RespondentsFile) -> dict[str, dict[int, int]]:
    """Return the map's codes for numbers, which a .sav or .dta file holds as such."""
    return {
        name: {int(k): code for k, code in column.codes.items() if k.lstrip("-").isdigit()}
        for name, column in told.columns.items()
        if isinstance(column, MappedColumn)
    }


def _unasked(told: RespondentsFile) -> set[str]:
    """Return the demographics that the map does not mention: their absence is no finding."""
    return set(load_columns().demographics) - set(told.columns)


def _home(country: str) -> str:
    code = country_code(country) or (country if country.isalpha() and country.isupper() else None)
    if code is None:
        raise UserError(f"people.country: '{country}' names no country; use a code such as DEU")
    return code


def _meta(told: RespondentsFile) -> dict[str, str]:
    return {
        "synthetic": "false",
        "source": "a survey of your own",
        "file": Path(told.file).name,
        "release": "",
        "terms": "Those of the survey it comes from.",
        "citation": "",
    }
