"""What a store is made of: the tables, views and macros of every package that keeps some in it.

Invariant: what a table or a column means is written once, and columns of views that mean the same
get it from there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path

import duckdb

from agents.critics.wording import sql_wording
from folkways.errors import UserError
from folkways.provenance import short_hash
from folkways.store_parts import STORE_PARTS
from scenarios.words import sql_patterns
from simulation.store.locked import literal, quoted

STORE_VERSION = 8
_OLDEST_VERSION = 7
"""Oldest version that is brought up to date."""
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
_READ = re.compile(r'\b(?:from|join)[\s(]+"?(\w+)', re.IGNORECASE)
_COLUMNS = """
select table_name, column_name, comment from duckdb_columns()
where not internal and database_name = current_database()
"""
_MADE = """
select table_name, column_name, data_type, sql
from duckdb_columns() join duckdb_tables() using (database_name, table_name)
where database_name = current_database() order by duckdb_tables.table_oid, column_index
"""
"""Columns of tables, each with the statement that makes its table."""
_VIEWS = """
select view_name, sql from duckdb_views() where not internal and database_name = current_database()
order by view_oid
"""
_MACROS = """
select function_name, macro_definition from duckdb_functions()
where not internal and function_type = 'table_macro'
"""


@dataclass(frozen=True, slots=True)
class Part:
    """What one package keeps in a store."""

    folder: Path
    """Its SQL: `tables.sql`, views, and `from_N.sql` with what a store of version N lacks."""
    views: tuple[str, ...] = ("views",)
    """Files of views and macros, in the order in which they build on each other."""
    shared: Mapping[str, str] = field(default_factory=dict)
    """Tables whose rows several records share, with their keys."""
    counted: Mapping[str, str] = field(default_factory=dict)
    """Tables whose rows `folkways status` counts, with what it calls them."""


PART = Part(
    Path(__file__).with_name("sql"),
    ("review", "views"),
    {
        "cultures": "culture_hash",
        "scenarios": "scenario_hash",
        "personas": "persona_hash",
        "templates": "template_hash",
    },
)


@cache
def parts() -> tuple[Part, ...]:
    """Return what every package keeps in a store."""
    return tuple(import_module(name).PART for name in STORE_PARTS)


@cache
def shared_keys() -> dict[str, str]:
    """Return the tables whose rows several records share, with their keys."""
    return {table: key for part in parts() for table, key in part.shared.items()}


@cache
def counted_tables() -> dict[str, str]:
    """Return the tables whose rows `folkways status` counts, with what it calls them."""
    return {table: words for part in parts() for table, words in part.counted.items()}


@cache
def tables() -> tuple[str, ...]:
    """Return the names of all tables."""
    return tuple(re.findall(r"^create table (\w+)", tables_sql(), re.MULTILINE))


@cache
def macros_sql() -> str:
    """Return the statements that make the macros that tables are filled with."""
    text = (PART.folder / "words.sql").read_text(encoding="utf-8")
    for name, pattern in (sql_wording() | sql_patterns()).items():
        text = text.replace(f"{{{name}}}", pattern)
    return text


@cache
def tables_sql() -> str:
    """Return the statements that make all tables."""
    return "".join(_read(part, "tables") for part in parts())


@cache
def views_sql() -> str:
    """Return the statements that make all views and macros, filter policies included."""
    policies = ""
    for name, about in POLICIES.items():
        view = f'"policy_{name}"'
        policies += f"create or replace view {view} as\n{_policy_sql(name).strip()};\n"
        policies += f"comment on view {view} is $$Objections of the policy {name}: {about}$$;\n"
        for column, meaning in OBJECTION.items():
            policies += f"comment on column {view}.{column} is $${meaning}$$;\n"
    texts = (_read(part, name) for part in parts() for name in part.views)
    return "".join(texts).replace("{policies}", policies)


def _policy_sql(name: str) -> str:
    """Return the query of a shipped filter policy."""
    return _read(PART, f"policy_{name}")


def make_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Make all tables, empty, and the macros that they are filled with."""
    con.execute(macros_sql())
    con.execute(tables_sql())


def make_views(con: duckdb.DuckDBPyConnection) -> None:
    """Make all views and macros over the tables, with what their columns mean."""
    con.execute(views_sql())
    con.execute("".join(_inherited(con)))


def wanted() -> dict[str, str]:
    """Return what a store says of itself that is as this version makes it."""
    return {
        "application": "folkways",
        "store_version": str(STORE_VERSION),
        "views": short_hash(macros_sql() + tables_sql() + views_sql()),
    }


def meta_of(con: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str]:
    """Return what a store says of itself, nothing where it is a file that was just made.

    Raises UserError for a foreign file, and for a version that cannot be brought up to date.
    """
    if not con.execute("from duckdb_tables() limit 1").fetchall():
        return {}
    try:
        meta = dict(con.execute("select key, value from meta").fetchall())
    except (duckdb.CatalogException, duckdb.BinderException):
        meta = {}
    if meta.get("application") != "folkways":
        raise UserError(f"{path} is a DuckDB file, but not a folkways store")
    try:
        version = int(meta["store_version"])
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} is a folkways store without a version; it is damaged") from error
    if version > STORE_VERSION:
        raise UserError(
            f"{path} has store version {version}, made by a newer folkways; this one reads up to "
            f"{STORE_VERSION}. Upgrade folkways to open it"
        )
    if version < _OLDEST_VERSION:
        raise UserError(
            f"{path} has store version {version}, made by an older folkways before its first "
            f"release; this one reads {_OLDEST_VERSION} and {STORE_VERSION}. Read it with the "
            "folkways that made it: the table runs names its commit"
        )
    return meta


def is_current(con: duckdb.DuckDBPyConnection, meta: Mapping[str, str]) -> bool:
    """Return whether a store is of this version, with all its tables and columns; its views may be
    those of an earlier state of it."""
    known = wanted()
    if meta["store_version"] != known["store_version"]:
        return False
    return meta.get("views") == known["views"] or not _lacking(con)


def _lacking(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Return statements that make the tables and columns that a store lacks, empty."""
    with closing(duckdb.connect()) as fresh:
        make_tables(fresh)
        made = fresh.execute(_MADE).fetchall()
    there = {(table, column) for table, column, *_ in con.execute(_COLUMNS).fetchall()}
    tables = {table for table, _ in there}
    new = {table: sql for table, _, _, sql in made if table not in tables}
    return [*new.values()] + [
        f"alter table {quoted(table)} add column {quoted(column)} {kind};"
        for table, column, kind, _ in made
        if table in tables and (table, column) not in there
    ]


def bring_up_to_date(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Make what tables, columns and views a store lacks, in one transaction."""
    meta = meta_of(con, path)
    con.execute("begin")
    if not meta:
        make_tables(con)
    else:
        con.execute(macros_sql())
        con.execute("".join(_lacking(con)))
        for version in range(int(meta["store_version"]), STORE_VERSION):
            step = f"from_{version}"
            older = [part for part in parts() if (part.folder / f"{step}.sql").exists()]
            con.execute("".join(_read(part, step) for part in older))
        for statement in con.extract_statements(tables_sql()):
            if statement.type == duckdb.StatementType.ALTER:  # it says what a column means
                con.execute(statement)
    make_views(con)
    con.executemany("insert or replace into meta values (?, ?)", list(wanted().items()))
    con.execute("commit")


def _read(part: Part, name: str) -> str:
    return (part.folder / f"{name}.sql").read_text(encoding="utf-8") + "\n"


def _inherited(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Return statements that give columns of views without a comment that of the column of the same
    name in the first table or view that they read and that has one."""
    known: dict[str, dict[str, str | None]] = {}
    for relation, column, comment in con.execute(_COLUMNS).fetchall():
        known.setdefault(relation, {})[column] = comment
    macros = dict(con.execute(_MACROS).fetchall())
    statements = []
    for view, sql in con.execute(_VIEWS).fetchall():
        read = _READ.findall(sql)
        for name in read:  # what a macro reads counts as well
            read += _READ.findall(macros.get(name, ""))
        for column in [name for name, comment in known[view].items() if comment is None]:
            meanings = (known.get(name, {}).get(column) for name in read if name != view)
            if meaning := next(filter(None, meanings), None):
                known[view][column] = meaning
                place = f"{quoted(view)}.{quoted(column)}"
                statements.append(f"comment on column {place} is {literal(meaning)};\n")
    return statements
