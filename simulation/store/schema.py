"""What a run's store holds, described by the comments that are stored with it.

Invariant: nothing is described from memory; a table, view or macro without a comment shows none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import duckdb
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from folkways.errors import unknown_name
from folkways.text import printable

_COLUMNS = """
select column_name, data_type, coalesce(comment, '') from duckdb_columns()
where table_name = ? and not internal order by column_index
"""
_RELATIONS = """
select 'view' as kind, view_name as name, coalesce(comment, '') as comment, view_oid as place
from duckdb_views() where not internal
union all
select 'macro', function_name, coalesce(comment, ''), function_oid
from duckdb_functions() where not internal and function_type in ('macro', 'table_macro')
union all
select 'table', table_name, coalesce(comment, ''), table_oid from duckdb_tables()
order by place
"""
_HEADS = {
    "view": "Views: what to query",
    "macro": "Macros: functions to use in queries",
    "table": "Tables: what is written while a run plays",
}


class Relation(NamedTuple):
    """A view, macro or table."""

    kind: str
    name: str
    comment: str
    columns: list[tuple[str, str, str]]
    """Name, type and comment; macros have none."""


def load_schema(con: duckdb.DuckDBPyConnection, names: Sequence[str] = ()) -> list[Relation]:
    """Return what the store holds, or what is named of it. Raises UserError for unknown names."""
    found = [
        Relation(kind, name, comment, con.execute(_COLUMNS, [name]).fetchall())
        for kind, name, comment, _ in con.execute(_RELATIONS).fetchall()
    ]
    known = {relation.name for relation in found}
    for name in names:
        if name not in known:
            raise unknown_name("table, view or macro", name, known)
    return [relation for relation in found if not names or relation.name in names]


def print_schema(relations: Sequence[Relation], console: Console) -> None:
    """Print relations with their columns, views first."""
    for kind, head in _HEADS.items():
        chosen = [relation for relation in relations if relation.kind == kind]
        if chosen and len(relations) > 1:
            console.print(Text(f"\n{head}", style="bold underline"))
        for relation in chosen:
            console.print(Text("\n").append(printable(relation.name), style="bold cyan"))
            console.print(Padding(Text(printable(relation.comment)), (0, 0, 0, 2), expand=False))
            if relation.columns:
                console.print(Padding(_columns(relation), (0, 0, 0, 2), expand=False))


def _columns(relation: Relation) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="dim", max_width=24)
    table.add_column()
    for name, kind, comment in relation.columns:
        short = "ENUM" if kind.startswith("ENUM") else kind
        table.add_row(*(Text(printable(text)) for text in (name, short, comment)))
    return table
