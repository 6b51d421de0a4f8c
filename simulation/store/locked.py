"""Connections to DuckDB from which nothing in a file, and no query, reaches anything else.

Invariant: external access is off before any statement runs that was made from data; text from data
is in a statement only as `quoted` or `literal` gives it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "allow_persistent_secrets": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "http_proxy": "none",
    "python_enable_replacements": "false",
}
"""Nothing is fetched, no stored secret or variable of the environment is a setting, no Python
variable is a table."""
_settling = threading.Lock()
"""Held until the settings of a file, which all its connections in a process share, are settled."""


def connect(
    file: Path | None = None,
    *,
    read_only: bool = False,
    folders: Sequence[str] = (),
    paths: Sequence[str] = (),
    filesystem: Any = None,
    **settings: str,
) -> duckdb.DuckDBPyConnection:
    """Open a file of DuckDB's, or a database in memory, that reaches no other file.

    `folders` and `paths` are the exceptions; `filesystem` is fsspec's where they are elsewhere.
    """
    wanted = _SETTINGS | settings
    where = ":memory:" if file is None else str(file)
    if not folders and not paths:
        wanted |= {"enable_external_access": "false"}
        return duckdb.connect(where, read_only=read_only, config=wanted)
    with _settling:
        con = duckdb.connect(where, read_only=read_only, config=wanted)
        try:
            if _is_closed(con):  # by another connection of this process
                _require_reach(con, folders, paths)
                return con
            if filesystem is not None:
                con.register_filesystem(filesystem)
            con.execute("set allowed_directories = ?", [[f"{at.rstrip('/')}/" for at in folders]])
            con.execute("set allowed_paths = ?", [list(paths)])
            con.execute("set enable_external_access = false")
        except BaseException:
            con.close()
            raise
        return con


def _is_closed(con: duckdb.DuckDBPyConnection) -> bool:
    found = con.execute("select current_setting('enable_external_access')").fetchall()
    return not found[0][0]


def _require_reach(
    con: duckdb.DuckDBPyConnection, folders: Sequence[str], paths: Sequence[str]
) -> None:
    """Raise ConnectionException where a file that is open in this process reaches less."""
    row = "select current_setting('allowed_directories'), current_setting('allowed_paths')"
    known_folders, known_paths = con.execute(row).fetchall()[0]
    wanted = {f"{at.rstrip('/')}/" for at in folders}
    if not wanted <= set(known_folders) or not set(paths) <= set(known_paths):
        raise duckdb.ConnectionException("the file is already open with another reach")


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return text as an SQL literal, for statements that cannot hold bound parameters."""
    return "'" + text.replace("'", "''") + "'"
