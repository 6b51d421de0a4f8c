"""Reading a folder of shards as if it were a store: the same tables, views and macros.

Invariant: nothing is copied but small tables that several shards repeat; only shards that count are
read.
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from folkways.errors import UserError
from folkways.text import printable
from simulation.store.locked import connect, literal, quoted
from simulation.store.manifest import MANIFEST, RESUME, missing
from simulation.store.part import make_tables, make_views, shared_keys
from simulation.store.shards import ShardDirectory, files_of


@cache
def warn(text: str) -> None:
    """Say something on stderr, once in the life of this process."""
    print(printable(f"folkways: warning: {text}"), file=sys.stderr)


def is_shelf(folder: Path) -> bool:
    """Return whether there are shards in a folder."""
    return folder.is_dir() and next(folder.glob(f"*/{MANIFEST}"), None) is not None


def open_shards(folder: Path, reach: Sequence[str] = ()) -> duckdb.DuckDBPyConnection:
    """Open a folder of shards for reading, as they are at this moment; `reach` are other
    files that may be written.

    Raises UserError where one cannot be read, or was written by another version.
    """
    directory = ShardDirectory(str(folder.resolve()))
    manifests = directory.manifests()
    if short := missing(manifests):
        warn(f"'{folder}' holds {short}, and what follows is of these alone; {RESUME}")
    files = files_of(directory, manifests)
    temporary = TemporaryDirectory(prefix="folkways-")
    atexit.register(temporary.cleanup)
    tables = [path for paths in files.values() for path in paths]
    con = connect(paths=[*tables, *reach], temp_directory=temporary.name)
    try:
        make_tables(con)
        twice = _note_repeated(con, files.get("episodes", []))
        for table, paths in files.items():
            rows = "from read_parquet(?, hive_partitioning = false)"
            if table in (*shared_keys(), "runs"):
                con.execute(f"insert or ignore into {quoted(table)} by name {rows}", [paths])
            elif table == "launches":
                distinct = f"select distinct * {rows} order by started_at"
                con.execute(f"insert into launches by name {distinct}", [paths])
            else:
                _stand_in(con, table, paths, twice)
        make_views(con)
    except duckdb.Error as error:
        con.close()
        reason = str(error).splitlines()[0]
        raise UserError(f"cannot read the shards in '{folder}': {reason}") from error
    return con


def _note_repeated(con: duckdb.DuckDBPyConnection, paths: list[str]) -> bool:
    """Keep in mind which shards repeat episodes of an earlier one; return whether any does."""
    unlike = "select count(*) > count(distinct episode_id) from read_parquet(?)"
    if not (paths and con.execute(unlike, [paths]).fetchall()[0][0]):
        return False
    con.execute(
        "create temp table repeated as select episode_id, parse_dirpath(filename) as shard "
        "from read_parquet(?, hive_partitioning = false, filename = true) "
        "qualify row_number() over (partition by episode_id "
        "order by list_position(?, filename)) > 1",
        [paths, paths],
    )
    return True


def _stand_in(con: duckdb.DuckDBPyConnection, table: str, paths: list[str], twice: bool) -> None:
    """Replace an empty table by a view of Parquet files; where episodes are there `twice`, without
    what the table `repeated` lists.

    The rows of an episode lie in one file, so that the row's number in its file orders them as the
    row's id does in a store.
    """
    listed, once, named = ", ".join(map(literal, paths)), "", ""
    columns = con.execute("select column_name from duckdb_columns() where table_name = ?", [table])
    if twice and ("episode_id",) in columns.fetchall():
        named = ", filename = true"
        once = (
            " where not exists (from temp.repeated r where r.episode_id = held.episode_id "
            "and r.shard = parse_dirpath(held.filename))"
        )
    source = f"read_parquet([{listed}], hive_partitioning = false{named}) held{once}"
    stand_in(con, table, [source], "file_row_number")


def stand_in(
    con: duckdb.DuckDBPyConnection, table: str, sources: Sequence[str], number: str
) -> None:
    """Replace an empty table by a view of what follows `from` in `sources`, comments included.

    Each source is called `held` there, and its column `number` orders its rows. Columns are
    qualified lest macros take them for their parameters.
    """
    about = con.execute("select comment from duckdb_tables() where table_name = ?", [table])
    meaning = (about.fetchone() or ("",))[0]
    columns = con.execute(
        "select column_name, data_type, comment from duckdb_columns() where table_name = ? "
        "order by column_index",
        [table],
    ).fetchall()
    chosen = ", ".join(f"held.{quoted(n)}::{kind} as {quoted(n)}" for n, kind, _ in columns)
    rows = [f"select {chosen}, held.{number} as rowid from {source}" for source in sources]
    name = quoted(table)
    con.execute(f"drop table {name}")
    con.execute(f"create view {name} as {' union all '.join(rows)}")
    con.execute(f"comment on view {name} is {literal(meaning or '')}")
    for column, _, comment in columns:
        con.execute(f"comment on column {name}.{quoted(column)} is {literal(comment or '')}")
