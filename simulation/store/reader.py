"""The reading side of a run's store: connections and queries that can do nothing but read.

Invariant: no query changes the store, reaches another file or the network, or changes a setting.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from tempfile import gettempdir
from typing import Any, NamedTuple

import duckdb
from duckdb import StatementType

from folkways.errors import UserError
from simulation.store.connection import StoreHeld, open_read_only
from simulation.store.locked import connect
from simulation.store.manifest import lacking
from simulation.store.part import bring_up_to_date, is_current, meta_of
from simulation.store.query_gate import check_statement
from simulation.store.run_lock import holder, locked
from simulation.store.shard_reader import is_shelf, open_shards, warn
from simulation.store.snapshot import snapshot
from simulation.store.spill import spills_of
from simulation.store.writer import FILE, PATIENCE_S, Store

LOCK_WAIT_S = 2.0
"""How long a reader waits for the writer of a live run to be between two transactions."""
_FAULTY_SQL = (duckdb.ParserException, duckdb.CatalogException, duckdb.BinderException)
_CHUNK = 5000
"""Rows fetched at a time."""
_NEAR = """
select episode_id from episodes where jaro_winkler_similarity(episode_id, $1) > 0.7
order by jaro_winkler_similarity(episode_id, $1) desc, episode_id limit 3
"""


class Result(NamedTuple):
    """What a query returned; the rows are read from the store as they are asked for, once."""

    columns: list[str]
    types: list[str]
    """DuckDB's names of the columns' types."""
    rows: Iterator[tuple[Any, ...]]
    """Raises UserError where the query fails on the way."""


def find_store(run: Path) -> Path:
    """Return the store's file, given a run directory or the file itself, or a folder of shards.

    Raises UserError where there is none, naming runs with a similar name.
    """
    if run.is_file() or (not (run / FILE).exists() and is_shelf(run)):
        return run
    if (run / FILE).is_file():
        return run / FILE
    if run.is_dir():
        inside = ", ".join(map(str, _runs_in(run))) or "none"
        raise UserError(f"there is no store ({FILE}) in '{run}'; runs inside that folder: {inside}")
    known = dict.fromkeys(_runs_in(run.parent) + _runs_in(Path("runs")))
    near = [str(path) for path in known if get_close_matches(run.name, [path.name], cutoff=0.5)]
    hint = (
        f"did you mean {' or '.join(near[:5])}?"
        if near
        else (f"runs found: {', '.join(map(str, [*known][:10])) or 'none'}")
    )
    raise UserError(f"there is no run '{run}'; {hint}")


def runs_beside(run: Path) -> Path:
    """Return the folder of runs in which a run lies."""
    return find_store(run).resolve().parent.parent


def open_reader(
    run: Path, target: Path | None = None, wait_s: float = LOCK_WAIT_S, memory: str | None = None
) -> duckdb.DuckDBPyConnection:
    """Open the store of a run for reading; `target` is the only other file a query may touch, and
    `memory` (such as 512MB) what DuckDB may take, most of the machine's without it.

    A live run is read from a snapshot, which waits up to `wait_s` seconds for its writer to be
    between two transactions. Raises UserError for a missing run, for a foreign or damaged file, and
    for a store whose version is not the current one.
    """
    path = find_store(run)
    shards = path.is_dir()
    reach = [str(target.resolve())] if target else []
    con = open_shards(path, reach) if shards else open_store(path, wait_s, paths=reach)
    try:
        if memory is not None:
            _bound_memory(con, memory)
        con.execute("set lock_configuration = true")
    except BaseException:
        con.close()
        raise
    return con


def open_store(
    path: Path, wait_s: float = LOCK_WAIT_S, *, ours: bool = False, **reach: Any
) -> duckdb.DuckDBPyConnection:
    """Open a store for reading; `reach` is what else is in reach, as `wall.connect` takes it, and
    `ours` says that the caller has locked the run. Raises UserError as `open_reader` does."""
    con = _connect(path, wait_s, ours, reach)
    try:
        current = _is_current(con, path)
    except BaseException:
        con.close()
        raise
    if current:
        return con
    con.close()
    return _connect_to_copy(path, wait_s, reach)


@contextmanager
def current_copy(path: Path, wait_s: float) -> Iterator[Path]:
    """Give a snapshot of a store for the time of a block, brought up to date where it is older.
    Raises UserError as `open_reader` does."""
    with snapshot(path, wait_s) as copy:
        with connect(copy) as con:
            if not _is_current(con, path):
                bring_up_to_date(con, path)
        yield copy


def run_query(con: duckdb.DuckDBPyConnection, sql: str) -> Result:
    """Run a single reading statement. Raises UserError for anything else and for faulty SQL."""
    try:
        check_statement(con, sql)
        description = con.execute(sql).description or []
    except duckdb.Error as error:
        raise _explained(error) from error
    names, types = [column[0] for column in description], [str(column[1]) for column in description]
    return Result(names, types, _rows(con))


def part_of(target: Path) -> Path:
    """Return the file that is written before it takes the place of `target`."""
    return target.resolve().with_name(f"{target.name}.part")


def write_parquet(run: Path, sql: str, target: Path, memory: str | None = None) -> int:
    """Write what a query returns to the Parquet file `target`, and return the number of rows.

    An existing file is replaced only once all rows are written. Raises UserError as `open_reader`
    and `run_query` do, and where the file cannot be written.
    """
    part = part_of(target)
    try:
        with open_reader(run, part, memory=memory) as con:
            if check_statement(con, sql) == StatementType.EXPLAIN:
                raise UserError("an explanation is no table; give a query to write as Parquet")
            con.sql(sql).write_parquet(str(part))
            counted = con.execute("select count(*) from read_parquet(?)", [str(part)]).fetchall()
        part.replace(target)
    except duckdb.Error as error:
        raise _explained(error) from error
    except OSError as error:
        raise UserError(f"cannot write '{target}': {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    return int(counted[0][0])


def read_rows(con: duckdb.DuckDBPyConnection, query: str, *values: Any) -> list[dict[str, Any]]:
    """Return the rows of a query of our own as dictionaries."""
    cursor = con.execute(query, list(values))
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def find_episode(con: duckdb.DuckDBPyConnection, beginning: str | None = None) -> str:
    """Return the id of the episode that begins so, or of the one that started last.

    Raises UserError where there is none, and where several begin so.
    """
    if beginning is None:
        latest = con.execute("select arg_max(episode_id, started_at) from episodes").fetchall()
        if latest[0][0] is None:
            raise UserError("no episode has been stored in this run yet")
        return str(latest[0][0])
    try:
        found = con.execute("select find_episode(?)", [beginning]).fetchall()
    except duckdb.InvalidInputException as error:
        message = str(error).removeprefix("Invalid Input Error: ").splitlines()[0]
        near = con.execute(_NEAR, [beginning]).fetchall() if message.startswith("no ") else []
        hint = f"; near: {', '.join(id_ for (id_,) in near)}" if near else ""
        raise UserError(f"{message}; folkways view RUN --list shows the episodes{hint}") from error
    return str(found[0][0])


def _runs_in(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob(f"*/{FILE}")) if folder.is_dir() else []


def _connect(
    path: Path, wait_s: float, ours: bool, reach: Mapping[str, Any]
) -> duckdb.DuckDBPyConnection:
    """Open a store for reading: its file, or a snapshot while somebody writes the run, holds the
    file or has something beside it that cannot be brought in.

    `ours` says that the caller has locked the run. Raises UserError where it cannot be opened.
    """
    if spills_of(path) and not ours and holder(path.parent) is None:
        with suppress(UserError), locked(path.parent):
            Store(path.parent).settle(PATIENCE_S)
    if (ours or holder(path.parent) is None) and not spills_of(path):
        with suppress(StoreHeld):
            return open_read_only(path, 0.0, **reach)
    return _connect_to_copy(path, wait_s, reach)


def _connect_to_copy(
    path: Path, wait_s: float, reach: Mapping[str, Any]
) -> duckdb.DuckDBPyConnection:
    with current_copy(path, wait_s) as copy:
        temporary = str(Path(gettempdir()) / f"folkways-{os.getpid()}")
        return open_read_only(copy, 0.0, temp_directory=temporary, **reach)


def _bound_memory(con: duckdb.DuckDBPyConnection, memory: str) -> None:
    try:
        con.execute("set memory_limit = ?", [memory])
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"'{memory}' is no amount of memory: {reason}; write 512MB or 2GB"
        ) from error


def _is_current(con: duckdb.DuckDBPyConnection, path: Path) -> bool:
    """Return whether a store has all that one of this version has; warn where shards are missing.

    Raises UserError for a foreign file and for a version that cannot be read.
    """
    try:
        current = is_current(con, meta_of(con, path))
        short = lacking(con)
    except (duckdb.Error, KeyError, ValueError) as error:
        raise UserError(f"{path} is a DuckDB file, but not a folkways store") from error
    if short:
        warn(
            f"'{path.parent}' lacks {len(short):,} of the shards that were to be merged into it, "
            "and what follows is of the rest alone; `folkways merge` of all of them brings it in"
        )
    return current


def _rows(con: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    try:
        while rows := con.fetchmany(_CHUNK):
            yield from rows
    except duckdb.Error as error:
        raise _explained(error) from error


def _explained(error: duckdb.Error) -> UserError:
    message = str(error).strip()
    if "'pytz'" in message:
        return UserError("a timestamp with time zone cannot be shown; cast it: now()::timestamp")
    if isinstance(error, _FAULTY_SQL):
        message += "\nfolkways schema RUN lists the tables, views, macros and columns"
    return UserError(message)
