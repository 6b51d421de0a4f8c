"""Reading a folder of shards as if it were a store: the same tables, views and macros.

Invariant: nothing is copied but small tables that several shards repeat; only shards that count are
read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb

from scenarios.errors import UserError
from simulation.rows import SHARED_KEYS
from simulation.shard import MANIFEST, Shelf
from simulation.store import schema_sql, views_sql


def is_shelf(folder: Path) -> bool:
    """Return whether there are shards in a folder."""
    return folder.is_dir() and next(folder.glob(f"*/{MANIFEST}"), None) is not None


def open_shards(
    folder: Path, settings: Mapping[str, str | bool | int | float | list[str]]
) -> duckdb.DuckDBPyConnection:
    """Open a folder of shards for reading, as they are at this moment.

    Raises UserError where one cannot be read, or was written by another version.
    """
    shelf = Shelf(str(folder.resolve()))
    files: dict[str, list[str]] = {}
    for manifest in shelf.manifests():
        for table in manifest.rows:
            files.setdefault(table, []).append(shelf.path(manifest.shard, table))
    con = duckdb.connect(config=dict(settings))
    try:
        con.execute(schema_sql())
        for table, paths in files.items():
            if table in SHARED_KEYS:
                con.execute(f"insert or ignore into {table} by name from read_parquet(?)", [paths])
            else:
                _stand_in(con, table, paths)
        con.execute(views_sql())
    except duckdb.Error as error:
        con.close()
        reason = str(error).splitlines()[0]
        raise UserError(f"cannot read the shards in '{folder}': {reason}") from error
    return con


def _stand_in(con: duckdb.DuckDBPyConnection, table: str, paths: list[str]) -> None:
    """Replace an empty table by a view of Parquet files, comments included.

    The rows of an episode lie in one file, so that the row's number in its file orders them as the
    row's id does in a store. Columns are qualified lest macros take them for their parameters.
    """
    about = con.execute("select comment from duckdb_tables() where table_name = ?", [table])
    meaning = (about.fetchone() or ("",))[0]
    columns = con.execute(
        "select column_name, data_type, comment from duckdb_columns() where table_name = ? "
        "order by column_index",
        [table],
    ).fetchall()
    chosen = ", ".join(f'held."{name}"::{kind} as "{name}"' for name, kind, _ in columns)
    listed = ", ".join(_quoted(path) for path in paths)
    con.execute(f"drop table {table}")
    con.execute(
        f"create view {table} as select {chosen}, held.file_row_number as rowid "
        f"from read_parquet([{listed}]) held"
    )
    con.execute(f"comment on view {table} is {_quoted(meaning or '')}")
    for name, _, comment in columns:
        con.execute(f'comment on column {table}."{name}" is {_quoted(comment or "")}')


def _quoted(text: str) -> str:
    """Return text as an SQL literal: a view cannot hold bound parameters."""
    return "'" + text.replace("'", "''") + "'"
