"""An interactive shell for SQL on a run's store.

Invariant: the store is open only while a statement runs, in a process of its own, so that whatever
becomes of that, the shell is there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TextIO

import duckdb
from rich.console import Console
from rich.text import Text

from folkways.errors import UserError
from folkways.text import printable
from simulation.display.output import console_for, output
from simulation.store.child_process import in_child
from simulation.store.reader import open_reader, run_query
from simulation.store.result import print_table
from simulation.store.schema import load_schema, print_schema

_COMMANDS = """.schema [NAME ...]  tables, views and macros with their comments
.views              the views in one line each
.quit               leave; Ctrl-D does the same"""
_VIEWS = "select view_name, comment from duckdb_views() where not internal order by view_oid"


def run_shell(run: Path, limit: int | None, timeout_s: float | None, memory: str | None) -> None:
    """Read statements from the terminal and print what they return, until `.quit` or Ctrl-D.

    `limit` is the number of rows to show; a statement may take `timeout_s` seconds and so much
    `memory`. Raises UserError where the store cannot be opened.
    """
    console = console_for(sys.stdout)
    with output() as stream:
        in_child(lambda _: open_reader(run, memory=memory).close(), stream, timeout_s)
    _load_history()
    console.print(
        Text(f"{_COMMANDS}\nAnything else is SQL and ends with a semicolon.", style="dim")
    )
    for statement in _statements(console):
        if statement in (".quit", ".exit"):
            return

        def work(stream: TextIO, statement: str = statement) -> None:
            with closing(open_reader(run, memory=memory)) as con:
                _answer(con, statement, console_for(stream), limit)

        try:
            with output() as stream:
                in_child(work, stream, timeout_s)
        except UserError as error:
            console.print(Text(printable(str(error)), style="red"))
        except KeyboardInterrupt:
            console.print(Text("interrupted"))


def _answer(
    con: duckdb.DuckDBPyConnection, statement: str, console: Console, limit: int | None
) -> None:
    if statement == ".views":
        print_table(run_query(con, _VIEWS), console, None)
    elif statement.split()[0] == ".schema":
        print_schema(load_schema(con, statement.split()[1:]), console)
    elif statement.startswith("."):
        console.print(Text(_COMMANDS))
    else:
        print_table(run_query(con, statement), console, limit)


def _statements(console: Console) -> Iterator[str]:
    """Yield what is typed: a line that begins with a dot, or SQL up to a semicolon."""
    lines: list[str] = []
    while True:
        try:
            line = input("     ...> " if lines else "folkways> ")
        except EOFError:
            console.print()
            return
        except KeyboardInterrupt:
            lines.clear()
            console.print()
            continue
        if not lines and line.strip().startswith("."):
            yield line.strip()
        elif line.strip() or lines:
            lines.append(line)
            if line.rstrip().endswith(";"):
                yield "\n".join(lines)
                lines.clear()


def _load_history() -> None:
    """Let the arrow keys bring back what was typed, in earlier sessions too."""
    try:
        import readline
    except ImportError:  # Windows
        return
    import atexit

    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "folkways"
    history = cache / "sql_history"
    with suppress(OSError):
        readline.read_history_file(history)
    readline.set_history_length(1000)

    def keep() -> None:
        with suppress(OSError):
            cache.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(history)

    atexit.register(keep)
