"""Several files of respondents as one, such as those of single countries.

Invariant: every respondent of every part is in the whole exactly once; an answer that a part has no
column for is empty. Notes keep the name of the file that they are about.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb

from eval.item import Item
from eval.respondents.column import load_columns
from eval.respondents.database import (
    Note,
    add_notes,
    create_tables,
    list_items,
    new_database,
    open_respondents,
)
from folkways.errors import UserError
from simulation.store.locked import literal


def merge(parts: Sequence[Path], database: Path, items: Sequence[Item], *, replace: bool) -> None:
    """Write the respondents of all parts to one file; `items` are all that a part may have.

    Raises UserError where two parts hold the same respondents, and where one has other items.
    """
    sources: dict[str, str | None] = {}
    facts: dict[str, list[str]] = {}
    notes: list[Note] = []
    for part in parts:
        with contextlib.closing(open_respondents(part)) as con:
            sources = (
                dict(con.execute("select item, source_column from items").fetchall()) | sources
            )
            told = con.execute("select key, value from meta").fetchall()
            noted = con.execute("from notes").fetchall()
        for key, value in told:
            facts.setdefault(key, []).append(value)
        notes += _of_file(dict(told).get("file", part.name), noted)
    if other := set(sources) - {item.id for item in items} - set(load_columns().indices):
        raise UserError(
            f"{database} holds items of another survey ({', '.join(sorted(other)[:4])}); make a "
            "file of its own for each survey"
        )
    wanted = [item for item in items if item.id in sources]
    with new_database(database, replace) as con:
        con.execute("begin")
        create_tables(con, wanted, {key: _joined(told) for key, told in facts.items()})
        list_items(con, wanted, sources)
        for part in parts:
            _insert(con, part)
        add_notes(con, notes)
        con.execute("commit")


def _joined(values: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(values))


def _of_file(name: str, rows: Iterable[tuple[Any, ...]]) -> list[Note]:
    """Return notes with the file they are about, unless they name one already."""
    notes = [Note(*row) for row in rows]
    return [
        note
        if (note.detail or "").startswith("[")
        else note._replace(detail=f"[{name}] {note.detail or ''}".rstrip())
        for note in notes
    ]


def _insert(con: duckdb.DuckDBPyConnection, part: Path) -> None:
    con.execute(f"attach {literal(str(part))} as part (read_only)")
    try:
        again = con.execute("""
            select country, count(*) from part.respondents
            where respondent_id in (select respondent_id from main.respondents)
            group by all order by all""").fetchall()
        if again:
            listed = ", ".join(f"{country} {count:,}" for country, count in again)
            told = con.execute("select value from part.meta where key = 'file'").fetchone()
            raise UserError(
                f"{told[0] if told else part.name} holds respondents that are there already "
                f"({listed}); load each file once, or name the countries to keep with --countries"
            )
        con.execute("insert into main.respondents by name from part.respondents")
    finally:
        con.execute("detach part")
