"""Salvage of a damaged store: what can still be read of it, as a new run.

Invariant: the damaged store is not changed; every row is either in the new run or counted as lost.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any, NamedTuple, TextIO, cast

from folkways.errors import UserError
from folkways.files import inside, remove
from simulation.store.child_process import in_child
from simulation.store.connection import FOLDER
from simulation.store.locked import connect, literal, quoted
from simulation.store.snapshot import NoCopy, copy_file
from simulation.store.spill import spills_of
from simulation.store.writer import FILE, SET_ASIDE, Store

_VECTOR = 2048
"""Rows that are given up together at least, DuckDB's own step."""
_PIECE_S = 600.0
"""Seconds that reading a piece may take."""
_TABLES = """
select t.table_name, t.estimated_size, list(c.column_name order by c.column_index)
from duckdb_tables() t join duckdb_columns() c using (table_oid) where t.table_name <> 'meta'
group by all order by t.table_name
"""
_KNOWN = """
select column_name, exists (
    from duckdb_constraints() k where k.table_name = c.table_name
    and constraint_type in ('PRIMARY KEY', 'UNIQUE')
) from duckdb_columns() c where table_name = ? order by column_index
"""


class Salvaged(NamedTuple):
    """What came of a table."""

    table: str
    rows: int
    lost: int


class _Damaged(NamedTuple):
    """A copy of a damaged store, and a folder for what is read of it."""

    path: Path
    pieces: Path


def salvage(run: Path, out: Path, say: Callable[[str], None]) -> Iterator[Salvaged]:
    """Copy what can be read of a damaged run into a new one, and yield what came of each table.

    Raises UserError where nothing can be read, and where `out` is there already.
    """
    path = run if run.is_file() else run / FILE
    if not path.is_file():
        raise UserError(f"there is no store ({FILE}) in '{run}'")
    if out.exists():
        raise UserError(f"'{out}' exists already; choose another name")
    with _new_run(out), TemporaryDirectory(dir=out) as folder:
        damaged = _Damaged(Path(folder) / FILE, Path(folder))
        _copy(path, damaged.path)
        tables = _open_somehow(damaged, say)
        store = Store(out)
        store.create()
        for table, count, columns in tables:
            yield _salvage_table(damaged, store, table, count, columns)
        _copy_beside(path, out)


@contextmanager
def _new_run(out: Path) -> Iterator[None]:
    """Make a run folder, and take it away again where nothing came of it."""
    try:
        out.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"cannot make '{out}': {error.strerror}") from error
    try:
        yield
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise


def _copy(path: Path, target: Path) -> None:
    try:
        copy_file(path, target, 1.0)
    except NoCopy as error:
        raise UserError(f"cannot read '{path}': {error}") from error


def _open_somehow(damaged: _Damaged, say: Callable[[str], None]) -> Sequence[Any]:
    """Return the tables of a damaged store, without its write-ahead log if it must be."""

    def work(stream: TextIO) -> None:
        with connect(damaged.path, read_only=True, threads="1") as con:
            json.dump(con.execute(_TABLES).fetchall(), stream)

    logs = [*damaged.path.parent.glob(f"{FILE}.*")]
    try:
        return cast(Sequence[Any], _told_by(work))
    except UserError as error:
        reason = str(error).partition(". If it is")[0]
        if not logs:
            raise UserError(f"nothing can be read: {reason}") from error
    for log in logs:
        log.unlink()
    say("the write-ahead log cannot be read: what was in it alone, the last transactions, is lost")
    try:
        return cast(Sequence[Any], _told_by(work))
    except UserError as error:
        raise UserError(f"nothing can be read: {str(error).partition('. If it is')[0]}") from error


def _told_by(work: Callable[[TextIO], None]) -> Any:
    """Return what work in a child process has written as JSON."""
    with TemporaryFile("w+", encoding="utf-8") as file:
        in_child(work, cast(TextIO, file), _PIECE_S)
        file.seek(0)
        return json.load(file)


def _salvage_table(
    damaged: _Damaged, store: Store, table: str, count: int, columns: Sequence[str]
) -> Salvaged:
    with store.reading() as con:
        known = con.execute(_KNOWN, [table]).fetchall()
    keyed = any(in_key for _, in_key in known)
    chosen = [quoted(name) for name, _ in known if name in columns]
    pieces = list(_read(damaged, table, ", ".join(chosen), 0, count)) if chosen and count else []
    if not pieces:
        return Salvaged(table, 0, count)
    with store.writing(folders=[str(damaged.pieces.resolve())]) as con:
        done = con.execute(
            f"insert {'or ignore ' if keyed else ''}into {quoted(table)} by name "
            "from read_parquet(?)",
            [[str(piece) for piece in pieces]],
        ).fetchone()
    for piece in pieces:
        piece.unlink()
    rows = int(done[0]) if done else 0
    return Salvaged(table, rows, max(count - rows, 0))


def _read(damaged: _Damaged, table: str, columns: str, first: int, last: int) -> Iterator[Path]:
    """Write rows of a table to files, in ever smaller pieces where they cannot be read, and yield
    the files."""
    piece = inside(damaged.pieces, damaged.pieces / f"{table}-{first}-{last}.parquet")
    pieces = str(damaged.pieces.resolve())

    def work(stream: TextIO) -> None:
        with connect(damaged.path, read_only=True, threads="1", folders=[pieces]) as con:
            con.execute(
                f"copy (select {columns} from {quoted(table)} where rowid >= ? and rowid < ?) "
                f"to {literal(str(piece))} (format parquet)",
                [first, last],
            )

    try:
        with TemporaryFile("w+", encoding="utf-8") as file:
            in_child(work, cast(TextIO, file), _PIECE_S)
    except (UserError, RuntimeError):
        piece.unlink(missing_ok=True)
        if last - first > _VECTOR:
            middle = first + math.ceil((last - first) / 2 / _VECTOR) * _VECTOR
            yield from _read(damaged, table, columns, first, middle)
            yield from _read(damaged, table, columns, middle, last)
        return
    yield piece


def _copy_beside(path: Path, out: Path) -> None:
    """Copy what lies beside a store and can be read: configurations, what was set aside, spills."""
    for file in [*path.parent.glob("*.yaml"), path.parent / SET_ASIDE]:
        with suppress(OSError, UserError):  # what leads elsewhere is none of the run's
            shutil.copyfile(inside(path.parent, file), out / file.name)
    for spill in spills_of(path):
        target = inside(out, out / FOLDER / spill.parent.name)
        target.mkdir(parents=True)
        try:
            copy_file(spill, target / FILE, 1.0)
        except NoCopy:
            remove(out, target)
