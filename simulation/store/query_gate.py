"""What a statement that comes from a user may be: a query that reads tables, and nothing else.

Invariant: a statement is judged by what DuckDB parses it to, at every depth. The connection that
runs it is locked besides (simulation/store/locked.py), so that neither wall stands alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import yaml
from duckdb import StatementType

from folkways.errors import UserError

_ALLOWED = "select, with, from, values, describe, summarize, show, explain and pivot"
_NODES = ("SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE")
"""Kinds of parsed queries that only read."""
_LISTS: dict[str, str] = yaml.safe_load(
    Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
)
TABLE_FUNCTIONS, REFUSED_FUNCTIONS, REFUSED_WORDS = (
    frozenset(_LISTS[name].split())
    for name in ("table_functions", "refused_functions", "refused_words")
)
_EXPLAIN = re.compile(
    r"""\s*(?:(?:--[^\r\n]*\n|/\*(?:(?!/\*|\*/).)*\*/)\s*)*  # comments
        explain\b(?:\s+analy[sz]e\b)?(?:\s+verbose\b)?
        (?:\s*\(\s*(?:analy[sz]e|format|verbose)\b[\w\s,]*\))?""",
    re.ASCII | re.DOTALL | re.IGNORECASE | re.VERBOSE,
)
_UNSEEN = re.compile(r"[^\S\x00-\x7f]|[\u00ad\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""Characters that DuckDB may take for spaces and its tokenizer for letters."""
_INTERNAL = """
select distinct lower(function_name) from duckdb_functions()
where internal and function_type in ('table', 'table_macro', 'pragma')
"""


def check_statement(con: duckdb.DuckDBPyConnection, sql: str) -> StatementType:
    """Return the type of the statement.

    Raises UserError unless it is one, and only reads; duckdb.Error where it cannot be parsed.
    """
    if "\0" in sql:
        raise UserError("an SQL statement cannot hold the character NUL")
    kinds = _kinds(con, sql)
    if len(kinds) != 1:
        raise UserError(f"give one SQL statement; found {len(kinds) or 'none'}")
    kind = kinds[0]
    if kind == StatementType.EXPLAIN:
        _check_query(con, _explained(sql))
    elif kind == StatementType.MULTI:
        _check_pivot(sql)
    elif kind == StatementType.SELECT:
        _check_query(con, sql)
    else:
        raise _refusal(kind.name.lower().replace("_", " "))
    return kind


def _kinds(con: duckdb.DuckDBPyConnection, sql: str) -> list[StatementType]:
    try:
        return [statement.type for statement in con.extract_statements(sql)]
    except ValueError:  # a kind that DuckDB's Python package has no name for
        raise _refusal("another kind of statement") from None


def _explained(sql: str) -> str:
    """Return the statement behind `explain`."""
    found = _EXPLAIN.match(sql)
    if not found:
        raise UserError("write explain as `explain QUERY` or `explain analyze QUERY`")
    return sql[found.end() :]


def _check_query(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Raise UserError unless text is a query that only reads, by what it parses to."""
    kinds = _kinds(con, sql)
    if kinds == [StatementType.MULTI]:
        _check_pivot(sql)
        return
    if kinds != [StatementType.SELECT]:
        raise _refusal(", ".join(kind.name.lower().replace("_", " ") for kind in kinds) or "none")
    text = con.execute("select json_serialize_sql(?::varchar)", [sql]).fetchall()[0][0]
    try:
        parsed = json.loads(text)
    except RecursionError:
        raise UserError("the SQL statement is nested too deeply") from None
    if parsed["error"] or len(parsed["statements"]) != 1:
        raise UserError(f"cannot judge the statement: {parsed.get('error_message', 'several')}")
    for part in _parts(parsed):
        node = part.get("type")
        if isinstance(node, str) and node.endswith("_NODE") and node not in _NODES:
            raise _refusal(node.removesuffix("_NODE").removesuffix("_QUERY").lower())
        if "info_type" in part:
            raise _refusal(str(part["info_type"]).lower())
        if isinstance(name := part.get("function_name"), str):
            _check_function(name.lower())


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a JSON value."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


@cache
def _refused_functions() -> frozenset[str]:
    """Return the functions that no query may call: those of DuckDB's own that are not allowed."""
    with duckdb.connect() as con:
        own = frozenset(name for (name,) in con.execute(_INTERNAL).fetchall())
    return (own - TABLE_FUNCTIONS) | REFUSED_FUNCTIONS


def _check_function(name: str) -> None:
    if name in _refused_functions():
        raise UserError(
            f"the function {name} is not for queries on a run: it reads files, runs text as SQL, "
            "or changes something"
        )


def _check_pivot(sql: str) -> None:
    """Raise UserError unless a pivot only reads, by its words."""
    sql = _UNSEEN.sub(" ", sql)
    data, tokens = sql.encode(), duckdb.tokenize(sql)
    ends = [start for start, _ in tokens[1:]] + [len(data)]
    for (start, kind), end in zip(tokens, ends, strict=True):
        if kind in (duckdb.token_type.comment, duckdb.token_type.string_const):
            continue
        word = data[start:end].decode().strip().lower()
        if word in REFUSED_WORDS:
            raise UserError(
                f"a store can only be read: found {word} in a pivot; put it in double quotes if it "
                "is a name"
            )
        _check_function(word.strip('"').replace('""', '"'))


def _refusal(found: str) -> UserError:
    return UserError(f"a store can only be read: found {found}; allowed are {_ALLOWED}")
