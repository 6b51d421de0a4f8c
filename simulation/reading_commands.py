"""Commands that read a run: `sql`, `schema`, `view`.

Invariant: none of them changes the run or keeps it open while its output waits to be read, and
what a model wrote cannot steer the terminal.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Annotated, TextIO, cast

import typer
from rich.console import Console

from scenarios.errors import UserError
from scenarios.terminal import printable
from simulation.query import find_episode, open_reader, run_query, write_parquet
from simulation.result import print_table, write_csv, write_json
from simulation.schema import load_schema, print_schema
from simulation.shell import run_shell
from simulation.transcript import load_transcript, render_page, render_text

SHOWN = 100
"""Rows that a table shows unless told otherwise."""
WIDTH = 160
"""Width of tables that are not printed to a terminal, in characters."""
IN_MEMORY = 64 * 2**20
"""Bytes of output kept in memory; the rest waits in a temporary file."""
EPISODES = """
select e.episode_id, s.title, e.culture_id, e.model, e.turns, e.exit_reason, e.started_at
from episodes e join scenarios s using (scenario_hash) order by e.started_at desc, e.episode_id
"""

RunPath = Annotated[Path, typer.Argument(help="Run directory, or its log.duckdb.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")]
Rows = Annotated[int, typer.Option("--rows", min=0, help="Rows a table shows; 0 for all.")]


def sql(
    run: RunPath,
    query: Annotated[
        str | None, typer.Argument(help="One SQL statement; - reads it from standard input.")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print all rows as CSV.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all rows as JSON.")] = False,
    parquet: Annotated[
        Path | None, typer.Option("--parquet", help="Write all rows to this Parquet file.")
    ] = None,
    rows: Rows = SHOWN,
    force: Force = False,
) -> None:
    """Query a run with SQL, read-only. Without a query, open a shell on the terminal."""
    if as_csv + as_json + (parquet is not None) > 1:
        raise UserError("--csv, --json and --parquet exclude each other; give one of them")
    if query is None and sys.stdin.isatty() and not (as_csv or as_json or parquet):
        run_shell(run, console_for(sys.stdout), rows or None)
        return
    statement = sys.stdin.read() if query is None or query == "-" else query
    if parquet:
        refuse_to_overwrite(parquet, force)
        count = write_parquet(run, statement, parquet)
        typer.echo(printable(f"{parquet}: {count:,} row{'' if count == 1 else 's'}"))
        return
    raw = as_csv or as_json
    with output(raw) as stream, closing(open_reader(run)) as con:
        result = run_query(con, statement)
        if raw:
            (write_csv if as_csv else write_json)(result, stream)
        else:
            print_table(result, console_for(stream), rows or None)


def schema(
    run: RunPath,
    names: Annotated[
        list[str] | None, typer.Argument(help="Tables, views, macros; none for all.")
    ] = None,
) -> None:
    """Print the views, macros and tables of a run with their comments."""
    with output() as stream, closing(open_reader(run)) as con:
        print_schema(load_schema(con, names or ()), console_for(stream))


def view(
    run: RunPath,
    episode: Annotated[
        str | None, typer.Argument(help="Id of an episode or its beginning; none for the latest.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write one self-contained web page.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private/--no-private", help="Show goals and secrets.")
    ] = True,
    listed: Annotated[bool, typer.Option("--list", help="List the episodes instead.")] = False,
    rows: Rows = SHOWN,
    force: Force = False,
) -> None:
    """Print the transcript of an episode, or write it as a web page."""
    if html:
        refuse_to_overwrite(html, force)
    with output() as stream, closing(open_reader(run)) as con:
        console = console_for(stream)
        if listed:
            print_table(run_query(con, EPISODES), console, rows or None)
            return
        transcript = load_transcript(con, find_episode(con, episode))
        if html:
            _write(html, render_page(transcript, private))
            console.print(printable(str(html)), markup=False, soft_wrap=True)
            return
        for part in render_text(transcript, private):
            console.print(part)


@contextmanager
def output(raw: bool = False) -> Iterator[TextIO]:
    """Give a stream whose text is printed at the end of the block, unless that ends in an error.

    `raw` text is made harmless where it goes to a terminal.
    """
    with SpooledTemporaryFile(IN_MEMORY, "w+", encoding="utf-8", newline="") as spool:
        stream = cast(TextIO, spool)
        yield stream
        stream.seek(0)
        if raw and sys.stdout.isatty():
            sys.stdout.writelines(printable(line) for line in stream)
        else:
            shutil.copyfileobj(stream, sys.stdout)
        sys.stdout.flush()


def console_for(stream: TextIO) -> Console:
    """Return a console for `stream` that behaves as standard output would."""
    width = shutil.get_terminal_size((WIDTH, 50)).columns
    return Console(file=stream, force_terminal=sys.stdout.isatty(), width=width, highlight=False)


def refuse_to_overwrite(path: Path, force: bool) -> None:
    """Raise UserError for a file that is there, unless the user insists."""
    if path.exists() and not force:
        raise UserError(f"'{path}' exists already; choose another name, or overwrite with --force")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write '{path}': {error.strerror}") from error
