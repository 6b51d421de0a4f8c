"""Loading a file of the World Values Survey, as downloaded, into a DuckDB file of respondents.

Invariant: what is loaded, left out and doubtful is in the report and in the file's table `notes`; a
file that is not understood is refused with one line and leaves nothing behind.

The survey's terms: non-profit use, citation, and no redistribution, which goes for the DuckDB file
too. Haerpfer et al. 2022, World Values Survey: Round Seven, doi:10.14281/18241.24.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import duckdb

from eval.item import Item
from eval.respondents.audit import audit, series_scores
from eval.respondents.database import Note, add_notes, create_tables, list_items, new_database
from eval.respondents.dialect import Dialect, recognise
from eval.respondents.intake import (
    ADMIN,
    Wanted,
    create_incoming,
    fill_respondents,
    insert_chunks,
    insert_csv,
    plan,
    select_respondents,
)
from eval.respondents.label_csv import interpret, label_chunks
from eval.respondents.load_report import CITATION, LoadReport
from eval.respondents.stat_file import read_chunks
from folkways.errors import UserError

WAVES = (7,)
TERMS = "Non-profit use; cite the survey; do not pass this file on: it holds its respondents."


def load_survey(
    path: Path,
    database: Path,
    items: Sequence[Item],
    *,
    waves: Collection[int] | None = WAVES,
    countries: Collection[str] | None = None,
    labels: Path | None = None,
    replace: bool = False,
) -> LoadReport:
    """Load a downloaded file into a new DuckDB file, and return what was found.

    `waves` matters for the time series, None is all of them; `countries` are ISO 3166 alpha-3
    codes, None for all; `labels` is a .sav or .dta file of the survey whose value labels turn a
    file of labels into numbers. Raises UserError for a file that cannot be read, that holds none of
    the items, or that has nobody from a country asked for.
    """
    dialect = recognise(path)
    items = list({item.id: item for item in items}.values())
    with new_database(database, replace) as con:
        wanted, notes = _read(con, dialect, plan(dialect, items), labels)
        notes += select_respondents(con, dialect, waves, countries)
        homes = _homes(con, path, waves, countries)
        loaded, scores, found = _settle(con, dialect, items, wanted)
        notes += found
        if items and not loaded:
            raise UserError(f"{path}, {dialect.name}: {_reason(dialect, len(items), notes)}")
        release = _release(con)
        con.execute("begin")
        create_tables(con, loaded, _meta(dialect, release))
        list_items(con, loaded, {column.target: column.source for column in wanted})
        fill_respondents(con, loaded, scores)
        notes += audit(con, wanted, loaded, {note.subject for note in notes})
        add_notes(con, notes)
        con.execute("commit")
    names = tuple(item.id for item in loaded)
    return LoadReport(database, dialect.name, release, homes, names, tuple(notes))


def _read(
    con: duckdb.DuckDBPyConnection, dialect: Dialect, wanted: list[Wanted], labels: Path | None
) -> tuple[list[Wanted], list[Note]]:
    """Fill the table `incoming`; return its columns as they could be filled, with notes."""
    create_incoming(con, wanted)
    unread: dict[str, Sequence[str]] = {}
    columns = {column.target: column.source for column in wanted if column.source}
    texts = [column.target for column in wanted if column.kind == "varchar"]
    if dialect.form != "csv":
        names = {name: dialect.header[dialect.columns[code]] for name, code in columns.items()}
        insert_chunks(con, read_chunks(dialect.path, dialect.form, names, texts), wanted)
    elif dialect.labelled:
        coded = [code for target, code in columns.items() if target not in texts]
        readings = interpret(dialect, coded, labels)
        for place, column in enumerate(wanted):
            unknown = readings.unknown.get(column.source or "")
            if unknown and column.target not in ADMIN:
                wanted[place] = column._replace(source=None)
                unread[column.target] = unknown
        insert_chunks(con, label_chunks(dialect, columns, texts, readings), wanted)
    else:
        try:
            insert_csv(con, dialect, wanted)
        except duckdb.InvalidInputException as error:
            raise UserError(_broken(dialect.path, str(error))) from error
    return wanted, _reading_notes(con, dialect, unread)


def _reading_notes(
    con: duckdb.DuckDBPyConnection, dialect: Dialect, unread: Mapping[str, Sequence[str]]
) -> list[Note]:
    row = con.execute("select count(*) from incoming").fetchone()
    assert row is not None
    notes = []
    if dialect.encoding == "latin-1":
        notes.append(
            Note("respondents", None, "in text that is not UTF-8", row[0], "read as Latin-1")
        )
    for name, labels in unread.items():
        shown = ", ".join(f"'{label}'" for label in labels[:4])
        notes.append(Note(name, None, "labels without a number", row[0], f"left out; {shown}"))
    return notes


def _broken(path: Path, message: str) -> str:
    """Return what DuckDB found wrong with a CSV file, in one line."""
    line = re.search(r"Line: (\d+)", message)
    where = f", line {line[1]}" if line else ""
    if columns := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message):
        what = f"{columns[2]} of {columns[1]} columns"
    elif "unterminated quote" in message:
        what = "a quoted cell without an end"
    else:
        what = message.splitlines()[0].removeprefix("Invalid Input Error: ")
    return f"{path}{where}: {what}; the file is cut off or was edited; download it again"


def _homes(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    waves: Collection[int] | None,
    countries: Collection[str] | None,
) -> dict[str, int]:
    """Return respondents by country; raise UserError where there are none."""
    query = "select country, count(*) from {} where country is not null group by all order by all"
    homes: dict[str, int] = dict(con.execute(query.format("chosen")).fetchall())
    absent = sorted(set(countries or ()) - set(homes))
    if homes and not absent:
        return homes
    there = ", ".join(row[0] for row in con.execute(query.format("arrived")).fetchall())
    of_waves = f" in wave {', '.join(map(str, sorted(waves)))}" if waves else ""
    asked = f" from {', '.join(absent)}" if absent else ""
    raise UserError(
        f"{path} has no respondents{asked}{of_waves}; countries in the file: {there or 'none'}"
    )


def _settle(
    con: duckdb.DuckDBPyConnection, dialect: Dialect, items: list[Item], wanted: Sequence[Wanted]
) -> tuple[list[Item], dict[str, str], list[Note]]:
    """Return the items that can be loaded, expressions for some of them, and notes on the rest."""
    there = {column.target for column in wanted if column.source}
    present = [item for item in items if item.id in there]
    scores: dict[str, str] = {}
    notes: list[Note] = []
    if dialect.study == "time-series":
        scores, notes = series_scores(con, present)
    return [item for item in present if scores.get(item.id) != "null"], scores, notes


def _reason(dialect: Dialect, count: int, notes: Sequence[Note]) -> str:
    if dialect.labelled and any(note.problem == "labels without a number" for note in notes):
        return (
            f"none of the {count} items has labels that folkways knows; give the survey's .sav or "
            ".dta file as labels, or load that file instead"
        )
    return f"it has none of the {count} items that are asked for"


def _release(con: duckdb.DuckDBPyConnection) -> str:
    row = con.execute(
        "select coalesce(string_agg(distinct version, ', ' order by version), '') "
        "from incoming join chosen on incoming.rowid = chosen.place"
    ).fetchone()
    assert row is not None
    return str(row[0])


def _meta(dialect: Dialect, release: str) -> dict[str, str]:
    return {
        "synthetic": "false",
        "source": dialect.name,
        "file": dialect.path.name,
        "release": release,
        "terms": TERMS,
        "citation": CITATION,
    }
