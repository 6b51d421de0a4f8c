"""The writing side of a run's store: one DuckDB file, opened for each short transaction.

Invariant: an episode's rows arrive in one transaction, and no episode id arrives twice; between
transactions the file is closed, so that readers can open it while a run is live.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from agents.template import short_hash
from scenarios.errors import UserError
from scenarios.words import sql_patterns
from simulation.record import Record

Row = Mapping[str, Any]
FILE = "log.duckdb"
"""Name of the store's file in a run directory."""
SQL = Path(__file__).with_name("sql")
MIGRATIONS = (
    "0001_tables.sql", "0002_review.sql", "0003_survey.sql", "0004_spa.sql", "0005_experiment.sql",
    "0006_scale.sql", "0007_words.sql", "0008_trust.sql",
)  # fmt: skip
"""Append-only: a store of version n has run the first n of these."""
MACROS = "words"
"""File of macros that need no table, and that tables are filled with."""
VIEWS = ("review", "views", "survey", "spa")
"""Files of views and macros, in the order in which they build on each other."""
DERIVED = {"turns": {"words": "spoken_words(action, text)"}}
"""Columns that are computed from others when a row is stored."""
POLICIES = {
    "clca": "the published rule, drops what quality or meta calls bad and is very confident of.",
    "strict": "drops whatever a critic objects to or a detector flags.",
    "lenient": "drops only what two critics are very confident of, and what is no talk at all.",
    "needs-review": "keeps what a person should read, drops the clear cases.",
}
"""Shipped filter policies, each a view `policy_NAME` of objections."""
OBJECTION = {
    "episode_id": "The episode.",
    "outcome": "dropped, unreviewed or needs-review.",
    "source": "Critic or detector that objects.",
    "reason": "Why, in its words.",
    "role": "Role concerned; null for the whole conversation.",
    "turns": "Turns it rests on.",
}
"""Columns of a policy, with their meanings."""
STORE_VERSION = len(MIGRATIONS)
SHARED_KEYS = {
    "cultures": "culture_hash",
    "scenarios": "scenario_hash",
    "personas": "persona_hash",
    "templates": "template_hash",
    "survey_conditions": "condition_id",
}
"""Tables whose rows several episodes share, with their keys."""
WRITE_FAULTS = (duckdb.IOException, duckdb.FatalException, duckdb.TransactionException)
"""What DuckDB raises when the file cannot be written."""
BUSY = (duckdb.IOException, duckdb.ResourceInUseException)
"""What DuckDB raises while another process has the file, or another thread of ours is closing it.
"""
LOCK_WAIT_S = 30.0
"""How long a writer waits for readers to let go of the file."""


class Store:
    """Writes records into the store of a run directory."""

    def __init__(self, run: Path) -> None:
        self.path = run / FILE
        self._known: set[str] = set()
        """Keys of shared rows that are stored already."""

    def create(self) -> None:
        """Make the file with its tables and views, or bring an older one up to date.

        A file that could not be made whole is taken away again, or it would stand in the way of the
        next attempt.
        """
        is_new = not self.path.exists()
        try:
            self._create()
        except UserError:
            if is_new:
                self.path.unlink(missing_ok=True)
                self.path.with_name(f"{FILE}.wal").unlink(missing_ok=True)
            raise

    def _create(self) -> None:
        macros, views = macros_sql(), views_sql()
        with _Connection(self.path) as con:
            empty = not con.execute("from duckdb_tables() limit 1").fetchall()
            meta = {} if empty else read_meta(con, self.path)
            wanted = {
                "application": "folkways",
                "store_version": str(STORE_VERSION),
                "views": short_hash(macros + views),
            }
            if meta == wanted:
                return
            con.execute("begin")
            con.execute(macros)
            for migration in MIGRATIONS[int(meta.get("store_version", 0)) :]:
                con.execute((SQL / migration).read_text(encoding="utf-8"))
            con.execute(views)
            con.executemany("insert or replace into meta values (?, ?)", list(wanted.items()))
            con.execute("commit")

    def append(self, records: Sequence[Record]) -> None:
        """Store finished records in one transaction. Raises UserError when the disk is full."""
        tables: dict[str, list[Row]] = {}
        for record in records:
            for table, rows in record.rows.items():
                tables.setdefault(table, []).extend(rows)
        fresh = self._fresh_shared(records)
        self._insert(fresh | tables)
        self._known.update(row[SHARED_KEYS[table]] for table, rows in fresh.items() for row in rows)

    def add(self, table: str, row: Row) -> None:
        """Store one row of a table that belongs to no episode, such as `runs` or `launches`."""
        self._insert({table: [row]})

    @contextlib.contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection for reading beside the writer of this process."""
        with _Connection(self.path) as con:
            yield con

    @contextlib.contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection for writing. Raises UserError when the disk is full."""
        with _Connection(self.path) as con:
            yield con

    def episodes(self) -> list[tuple[str, int, str]]:
        """Return content hash, attempt and exit reason of every stored episode."""
        with _Connection(self.path) as con:
            query = "select content_hash, attempt, exit_reason from episodes order by attempt"
            return con.execute(query).fetchall()

    def run(self, kind: str = "run") -> tuple[str, str] | None:
        """Return the stored configuration of a kind of work as YAML with its hash, or None where
        there is none."""
        with _Connection(self.path) as con:
            row: tuple[str, str] | None = con.execute(
                "select config, config_hash from runs where kind = ?", [kind]
            ).fetchone()
            return row

    def _fresh_shared(self, records: Sequence[Record]) -> dict[str, list[Row]]:
        fresh: dict[str, dict[str, Row]] = {}
        for record in records:
            for table, rows in record.shared.items():
                for row in rows:
                    key = row[SHARED_KEYS[table]]
                    if key not in self._known:
                        fresh.setdefault(table, {})[key] = row
        return {table: list(rows.values()) for table, rows in fresh.items()}

    def _insert(self, tables: Mapping[str, Sequence[Row]]) -> None:
        with _Connection(self.path) as con:
            con.execute("begin")
            for table, rows in tables.items():
                insert_rows(con, table, rows)
            con.execute("commit")


_statements: dict[str, tuple[str, list[str]]] = {}


def insert_rows(con: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Row]) -> None:
    """Insert rows, whole columns at a time: a hundred times faster than one row after the other."""
    if rows:
        statement, columns = _insert_statement(con, table)
        con.execute(statement, [[_bound(row.get(column)) for row in rows] for column in columns])


def _bound(value: Any) -> Any:
    """Return a value as it is bound: mappings as JSON, lest all rows of a column get all keys."""
    return json.dumps(value) if isinstance(value, dict) else value


def _insert_statement(con: duckdb.DuckDBPyConnection, table: str) -> tuple[str, list[str]]:
    """Return the statement that inserts columns given as lists, and the columns' names."""
    if table not in _statements:
        described = con.execute(
            "select column_name, data_type from duckdb_columns() where table_name = ? "
            "order by column_index",
            [table],
        ).fetchall()
        derived = DERIVED.get(table, {})
        given = [(name, data_type) for name, data_type in described if name not in derived]
        values = ", ".join(f'{_unnested(data_type)} as "{name}"' for name, data_type in given)
        computed = "".join(f', {formula} as "{name}"' for name, formula in derived.items())
        ignore = "or ignore " if table in SHARED_KEYS else ""
        statement = f"insert {ignore}into {table} by name select *{computed} from (select {values})"
        _statements[table] = statement, [name for name, _ in given]
    return _statements[table]


def _unnested(data_type: str) -> str:
    if data_type.startswith("ENUM"):
        data_type = "action"
    if data_type.startswith("MAP"):
        return f"cast(unnest(?::varchar[])::json as {data_type})"
    return f"unnest(?::{data_type}[])"


def schema_sql() -> str:
    """Return the statements that make all tables."""
    tables = "\n".join((SQL / migration).read_text(encoding="utf-8") for migration in MIGRATIONS)
    return f"{macros_sql()}\n{tables}"


def macros_sql() -> str:
    """Return the statements that make the macros that tables are filled with."""
    text = (SQL / f"{MACROS}.sql").read_text(encoding="utf-8")
    for name, pattern in sql_patterns().items():
        text = text.replace(f"{{{name}}}", pattern)
    return text


def views_sql() -> str:
    """Return the statements that make all views and macros, filter policies included."""
    policies = ""
    for name, about in POLICIES.items():
        view = f'"policy_{name}"'
        policies += f"create or replace view {view} as\n{policy_sql(name).strip()};\n"
        policies += f"comment on view {view} is $$Objections of the policy {name}: {about}$$;\n"
        for column, meaning in OBJECTION.items():
            policies += f"comment on column {view}.{column} is $${meaning}$$;\n"
    texts = ((SQL / f"{name}.sql").read_text(encoding="utf-8") for name in VIEWS)
    return "\n".join(texts).replace("{policies}", policies)


def policy_sql(name: str) -> str:
    """Return the query of a shipped filter policy."""
    return (SQL / f"policy_{name}.sql").read_text(encoding="utf-8")


class _Connection:
    """A connection for the time of a block, which waits while a reader is in the way."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> duckdb.DuckDBPyConnection:
        patience = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                self.con = duckdb.connect(str(self.path))
                return self.con
            except BUSY as error:
                locked = "lock" in str(error).lower()
                locked |= isinstance(error, duckdb.ResourceInUseException)
                if not locked or time.monotonic() > patience:
                    reason = str(error).strip().splitlines()[0]
                    raise UserError(f"cannot open {self.path}: {reason}") from error
                time.sleep(0.05)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with contextlib.suppress(duckdb.Error):  # what went wrong is in `error` already
            self.con.close()
        if isinstance(error, WRITE_FAULTS):
            raise UserError(
                f"cannot write {self.path}: {str(error).splitlines()[0]}. Nothing that was stored "
                "before is lost; see that the disk has room, and run the same command again"
            ) from error


def read_meta(con: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str]:
    """Return what the store says of itself.

    Raises UserError for a foreign file and for a newer format.
    """
    try:
        meta = dict(con.execute("select key, value from meta").fetchall())
    except duckdb.CatalogException:
        meta = {}
    if meta.get("application") != "folkways":
        raise UserError(f"{path} is a DuckDB file, but not a folkways store")
    version = int(meta["store_version"])
    if version > STORE_VERSION:
        raise UserError(
            f"{path} has store version {version}, made by a newer folkways; this one reads up to "
            f"{STORE_VERSION}. Upgrade folkways to open it"
        )
    return meta
