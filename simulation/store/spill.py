"""Spills: stores beside a run's store that keep what was finished while somebody held that.

A spill is a store of its own in RUN/spilled/NAME. It is brought into the run's store, in one
transaction, as soon as that can be written.

Invariant: a spill is brought in whole and once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from folkways.files import inside, remove
from simulation.store.connection import FOLDER
from simulation.store.locked import literal, quoted

_STAGE = "spill"
"""What the table merged_shards calls it."""
_TABLES = """
select table_name,
    exists (from duckdb_constraints() c where c.database_name = t.database_name
        and c.table_name = t.table_name and constraint_type in ('PRIMARY KEY', 'UNIQUE')),
    exists (from duckdb_columns() c where c.database_name = t.database_name
        and c.table_name = t.table_name and column_name = 'episode_id')
from duckdb_tables() t where database_name = 'spill' and table_name <> 'meta'
"""
_TWICE = "select episode_id from spill.episodes semi join episodes using (episode_id)"
_MERGED = "insert into merged_shards values (?, ?, 0, make_timestamp(epoch_us(now())))"
_absorbing = threading.Lock()


def spills_of(path: Path) -> list[Path]:
    """Return the spills beside the store `path`, in the order in which they were made.

    Raises UserError for a link to a store elsewhere.
    """
    found = [inside(path.parent, file) for file in (path.parent / FOLDER).glob(f"*/{path.name}")]
    return sorted(found, key=lambda file: (file.stat().st_mtime, file))


def absorb_all(con: duckdb.DuckDBPyConnection, path: Path) -> int:
    """Bring the spills beside the store `path` into it and remove them; return how many rows came.

    The caller has locked the run.
    """
    rows = 0
    with _absorbing:
        for spill in spills_of(path):
            rows += absorb(con, spill)
            remove(path.parent, spill.parent)
        if (path.parent / FOLDER).is_dir() and not any((path.parent / FOLDER).iterdir()):
            (path.parent / FOLDER).rmdir()
    return rows


def absorb(con: duckdb.DuckDBPyConnection, spill: Path) -> int:
    """Bring the rows of a spill into an open store unless they are there; return their number."""
    name = spill.parent.name
    if con.execute("from merged_shards where shard_id = ?", [name]).fetchall():
        return 0
    with attached(con, spill):
        con.execute("begin")
        try:
            rows = bring(con)
            con.execute(_MERGED, [name, _STAGE])
        except BaseException:
            con.execute("rollback")
            raise
        con.execute("commit")
    return rows


@contextmanager
def attached(con: duckdb.DuckDBPyConnection, path: Path) -> Iterator[None]:
    """Have another store beside an open one, under the name `spill`, for the time of a block."""
    con.execute(f"attach {literal(str(path))} as spill (read_only)")
    try:
        yield
    finally:
        con.execute("detach spill")


def bring(con: duckdb.DuckDBPyConnection) -> int:
    """Bring the rows of an attached store into an open one; return their number."""
    twice = [row[0] for row in con.execute(_TWICE).fetchall()]
    return sum(_bring(con, twice, *table) for table in con.execute(_TABLES).fetchall())


def _bring(
    con: duckdb.DuckDBPyConnection, twice: list[str], table: str, keyed: bool, by_episode: bool
) -> int:
    """Bring the rows of a table in, but for those of episodes that the store has already."""
    ignore, kept = "or ignore " if keyed else "", ""
    if by_episode and twice:
        kept = "where episode_id is null or not list_contains($1, episode_id)"
    name = quoted(table)
    query = f"insert {ignore}into {name} by name select * from spill.{name} {kept}"
    done = con.execute(query, [twice] if kept else []).fetchone()
    return int(done[0]) if done else 0
