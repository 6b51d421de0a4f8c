"""The writing side of a run's store: one DuckDB file, opened for each short transaction.

While somebody else holds the file, what is finished goes into a spill beside it.

Invariant: an episode's rows arrive in one transaction, and no episode id arrives twice; between
transactions the file is closed, so that readers can open it while a run is live; whoever holds it,
nothing that is handed over is lost.
"""

from __future__ import annotations

import contextlib
import json
import math
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from folkways.errors import UserError
from folkways.files import inside, write_whole
from folkways.text import printable
from simulation.store.connection import FOLDER, StoreHeld, make_file, open_writer
from simulation.store.file_copy import LOGS
from simulation.store.locked import connect
from simulation.store.part import bring_up_to_date, meta_of, shared_keys, wanted
from simulation.store.record import Record
from simulation.store.rows import Row, insert_rows
from simulation.store.snapshot import snapshot
from simulation.store.spill import absorb_all, spills_of

FILE = "log.duckdb"
"""Name of the store's file in a run directory."""
_BESIDE = (*LOGS, ".tmp")
"""Endings of what DuckDB writes beside the file."""
WRITE_FAULTS = (duckdb.IOException, duckdb.FatalException, duckdb.TransactionException)
"""What DuckDB raises when the file cannot be written."""
UNSTORABLE = (
    duckdb.DataError,
    duckdb.IntegrityError,
    duckdb.InvalidInputException,
    duckdb.InvalidTypeException,
    ValueError,
    TypeError,
    OverflowError,
)
"""What is raised for a value that no column can hold; it has no bearing on other records."""
PATIENCE_S = 2.0
"""Seconds that a transaction waits for whoever holds the file before it goes into a spill."""
SET_ASIDE = "set-aside.jsonl"
"""File in a run's folder of the records that could not be stored, one a line, with the reason."""
_held: dict[Path, set[str]] = {}
"""Who holds a file, as it was found and said since it was last free."""


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)


class Store:
    """Writes records into the store of a run directory, which the caller has locked."""

    def __init__(self, run: Path) -> None:
        self.path = run / FILE
        self.say: Callable[[str], None] = _say
        """Told who holds the file, once, and when it can be written again."""
        self.set_aside: list[str] = []
        """Why records could not be stored, one reason for each."""
        self._known: set[str] = set()
        """Keys of shared rows that are stored already."""
        self._spill: Store | None = None

    def create(self) -> None:
        """Make the file with its tables and views, or bring an older one up to date.

        A new file appears whole or not at all. An older one is waited for while somebody holds it.
        """
        for ending in ("", *_BESIDE):
            inside(self.path.parent, self.path.with_name(f"{FILE}{ending}"))
        if self.path.exists():
            with self.reading() as con:
                if wanted().items() <= meta_of(con, self.path).items():
                    return
            with self.writing() as con:
                bring_up_to_date(con, self.path)
            return
        if left := [one for one in LOGS if self.path.with_name(f"{FILE}{one}").exists()]:
            raise UserError(
                f"'{self.path}{left[0]}' is left of a store that is gone; move it away, then try "
                "again"
            )
        try:
            write_whole(self.path.parent, self.path, _empty())
        except (OSError, duckdb.Error) as error:
            raise UserError(_cannot_write(self.path, error)) from error

    def append(self, records: Sequence[Record]) -> None:
        """Store finished records in one transaction, in a spill while somebody holds the file.

        Raises UserError when the disk is full.
        """
        with self.storing() as (store, con):
            store._insert(con, records)

    def keep(self, records: Sequence[Record]) -> None:
        """Store finished records as `append` does, but for those that no table can hold: each of
        these is set aside in a file, and an error takes the place of an episode."""
        try:
            self.append(records)
        except UNSTORABLE as error:
            if len(records) > 1:
                middle = len(records) // 2
                self.keep(records[:middle])
                self.keep(records[middle:])
                return
            record, reason = records[0], reason_of(error)
            self.put_aside(record, reason)
            if instead := record.replaced(reason):
                with contextlib.suppress(*UNSTORABLE):
                    self.append([instead])

    def add(self, table: str, row: Row) -> None:
        """Store one row of a table that belongs to no episode, such as `runs` or `launches`."""
        self.append([Record({table: [dict(row)]}, "")])

    def settle(self, wait_s: float) -> None:
        """Bring in what waits in spills, waiting so long for whoever holds the file; say where it
        stays if that is not enough."""
        if not spills_of(self.path):
            return
        try:
            with self.writing(wait_s):
                pass
        except StoreHeld as held:
            self.say(
                f"'{self.path}' is still held by {held.holder}; what it has not got is safe in "
                f"'{self.path.parent / FOLDER}', and the next command brings it in"
            )

    @contextlib.contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection for reading beside the writer of this process.

        Where somebody else holds the file, it is one to a snapshot.
        """
        try:
            con = self._open(self._patience())
        except StoreHeld:
            with snapshot(self.path, 0.0) as copy:
                con = connect(copy)
        with self._opened(con):
            yield con

    @contextlib.contextmanager
    def storing(
        self, wait_s: float | None = None, **reach: Any
    ) -> Iterator[tuple[Store, duckdb.DuckDBPyConnection]]:
        """Give a store and a connection to write what is new: this one, or a spill where somebody
        holds it for longer than `wait_s` seconds, PATIENCE_S if not given. `reach` is what else
        the connection may read, as `wall.connect` takes it.

        Raises UserError when the disk is full.
        """
        try:
            con = self._open(self._patience() if wait_s is None else wait_s, **reach)
        except StoreHeld:
            with self._spilling().storing(**reach) as found:
                yield found
            return
        with self._opened(con):
            yield self, con

    @contextlib.contextmanager
    def writing(
        self, wait_s: float = math.inf, **reach: Any
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection for writing, with what waited in spills brought in; `reach` is what
        else it may read.

        Raises StoreHeld where somebody else has the file for longer than `wait_s` seconds, and
        UserError when the disk is full.
        """
        con = self._open(wait_s, **reach)
        with self._opened(con):
            yield con

    def run(self, kind: str = "run") -> tuple[str, str] | None:
        """Return the stored configuration of a kind of work as YAML with its hash, or None where
        there is none."""
        with self.reading() as con:
            row: tuple[str, str] | None = con.execute(
                "select config, config_hash from runs where kind = ?", [kind]
            ).fetchone()
            return row

    def _insert(self, con: duckdb.DuckDBPyConnection, records: Sequence[Record]) -> None:
        tables: dict[str, list[Row]] = {}
        for record in records:
            for table, some in record.rows.items():
                tables.setdefault(table, []).extend(some)
        fresh = self._fresh_shared(records)
        con.execute("begin")
        for table, rows in (fresh | tables).items():
            insert_rows(con, table, rows)
        con.execute("commit")
        keys = shared_keys()
        self._known.update(row[keys[table]] for table, rows in fresh.items() for row in rows)

    def _fresh_shared(self, records: Sequence[Record]) -> dict[str, list[Row]]:
        fresh: dict[str, dict[str, Row]] = {}
        for record in records:
            for table, rows in record.shared.items():
                for row in rows:
                    key = row[shared_keys()[table]]
                    if key not in self._known:
                        fresh.setdefault(table, {})[key] = row
        return {table: list(rows.values()) for table, rows in fresh.items()}

    def _open(self, wait_s: float, **reach: Any) -> duckdb.DuckDBPyConnection:
        """Open the file for writing, and bring in what waits in spills; say who holds it."""
        try:
            con = open_writer(self.path, min(wait_s, PATIENCE_S), **reach)
        except StoreHeld as held:
            self._tell(held, wait_s > PATIENCE_S)
            if wait_s <= PATIENCE_S:
                raise
            con = open_writer(self.path, wait_s - PATIENCE_S, **reach)
        try:
            with _faults_said(self.path):
                rows = absorb_all(con, self.path)
        except BaseException:
            con.close()
            raise
        self._spill = None
        if _held.pop(self.path.resolve(), None) and rows:
            self.say(f"'{self.path}' can be written again: {rows:,} rows that waited are in it now")
        return con

    @contextlib.contextmanager
    def _opened(self, con: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Close a connection at the end of a block, and say what kept it from being written."""
        try:
            with _faults_said(self.path):
                yield
        finally:
            with contextlib.suppress(duckdb.Error):  # what went wrong is being raised already
                con.close()

    def _patience(self) -> float:
        """Return how long to wait for the file: no longer where it is known to be held."""
        return 0.0 if self.path.resolve() in _held else PATIENCE_S

    def _tell(self, held: StoreHeld, waits: bool) -> None:
        """Say once who holds the file."""
        told = _held.setdefault(self.path.resolve(), set())
        if held.holder not in told:
            told.add(held.holder)
            kept = f"what is finished is kept in '{self.path.parent / FOLDER}' until it is free"
            then = "waiting for it to let go" if waits else f"the work continues, and {kept}"
            self.say(f"'{self.path}' is held by {held.holder}: {then}")

    def _spilling(self) -> Store:
        """Return the store that keeps what this one cannot get now."""
        if self._spill is None or not self._spill.path.exists():
            run = self.path.parent / FOLDER / f"spill-{secrets.token_hex(4)}"
            inside(self.path.parent, run)
            try:
                run.mkdir(parents=True)
            except OSError as error:
                raise UserError(_cannot_write(self.path, error)) from error
            self._spill = Store(run)
            self._spill.create()
        return self._spill

    def put_aside(self, record: Record, reason: str) -> None:
        """Keep a record that no table can hold in a file. Raises UserError where that cannot be
        written."""
        whole = {"reason": reason, "outcome": record.outcome, "rows": record.rows}
        try:
            aside = inside(self.path.parent, self.path.parent / SET_ASIDE)
            with aside.open("a", encoding="utf-8") as file:
                file.write(json.dumps(whole | {"shared": record.shared}, default=str) + "\n")
        except OSError as fault:
            raise UserError(_cannot_write(self.path, fault)) from fault
        self.set_aside.append(reason)


def reason_of(error: Exception) -> str:
    """Return in a line why a record could not be stored."""
    return f"{type(error).__name__}: {str(error).splitlines()[0]}"


@cache
def _empty() -> bytes:
    """Return the file that every new store begins as: tables and views take a third of a second,
    and are made once in a process."""
    with TemporaryDirectory(prefix="folkways-") as folder:
        path = Path(folder) / FILE
        make_file(path)
        with open_writer(path, 0.0) as con:
            bring_up_to_date(con, path)
        return path.read_bytes()


@contextlib.contextmanager
def _faults_said(path: Path) -> Iterator[None]:
    """Say in one line what kept a store from being written."""
    try:
        yield
    except WRITE_FAULTS as error:
        raise UserError(_cannot_write(path, error)) from error


def _cannot_write(path: Path, error: BaseException) -> str:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    if isinstance(error, OSError):
        reason = error.strerror or reason
    return (
        f"cannot write {path}: {reason}. Nothing that was stored before is lost; see that the disk "
        "has room, and run the same command again"
    )
