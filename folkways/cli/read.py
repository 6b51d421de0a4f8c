"""Commands that query a run: `sql`, `schema`.

Invariant: none of them changes the run or keeps it open while its output waits to be read, and
what a model wrote cannot steer the terminal.
"""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperCommand

from folkways.cli.options import RunPath
from folkways.errors import UserError
from folkways.text import printable
from simulation.display.output import console_for, output, refuse_to_overwrite
from simulation.display.shell import run_shell
from simulation.store.child_process import in_child
from simulation.store.reader import open_reader, part_of, run_query, write_parquet
from simulation.store.result import print_table, write_csv, write_json
from simulation.store.schema import load_schema, print_schema

app = typer.Typer()

SHOWN = 100
"""Rows that a table shows unless told otherwise."""


class _SqlCommand(TyperCommand):
    """The command `sql`, whose query may begin with a dash, as comments do."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse, having put such a query behind all options."""
        given = list(args)
        options = tuple(f"{name}=" for param in self.params for name in param.opts)
        for place, word in enumerate(given):
            if word == "--":
                break
            if word.startswith(options):
                continue
            if place and word.startswith("-") and any(character.isspace() for character in word):
                given = [*given[:place], *given[place + 1 :], "--", word]
                break
        rest: list[str] = super().parse_args(ctx, given)
        return rest


Force = Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")]
Rows = Annotated[int, typer.Option("--rows", min=0, help="Rows a table shows; 0 for all.")]


@app.command(cls=_SqlCommand)
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
    file: Annotated[Path | None, typer.Option("--file", help="Read the query from here.")] = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0, help="Stop a query after so many seconds.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option("--memory", help="What queries may take, such as 2GB.")
    ] = None,
    rows: Rows = SHOWN,
    force: Force = False,
) -> None:
    """Query a run with SQL, read-only. Without a query, open a shell on the terminal."""
    if as_csv + as_json + (parquet is not None) > 1:
        raise UserError("--csv, --json and --parquet exclude each other; give one of them")
    if query is not None and file is not None:
        raise UserError("there is a query, and --file names another; give one of them")
    if query is None and file is None and sys.stdin.isatty() and not (as_csv or as_json or parquet):
        run_shell(run, rows or None, timeout, memory)
        return
    statement = _statement(query, file)

    def work(stream: TextIO) -> None:
        if parquet:
            count = write_parquet(run, statement, parquet, memory)
            stream.write(f"{printable(str(parquet))}: {count:,} row{'' if count == 1 else 's'}\n")
            return
        with closing(open_reader(run, memory=memory)) as con:
            result = run_query(con, statement)
            if as_csv or as_json:
                (write_csv if as_csv else write_json)(result, stream)
            else:
                print_table(result, console_for(stream), rows or None)

    if parquet:
        refuse_to_overwrite(parquet, force)
    try:
        with output(as_csv or as_json) as stream:
            in_child(work, stream, timeout)
    finally:
        if parquet:
            part_of(parquet).unlink(missing_ok=True)


@app.command()
def schema(
    run: RunPath,
    names: Annotated[
        list[str] | None, typer.Argument(help="Tables, views, macros; none for all.")
    ] = None,
) -> None:
    """Print the views, macros and tables of a run with their comments."""

    def work(stream: TextIO) -> None:
        with closing(open_reader(run)) as con:
            print_schema(load_schema(con, names or ()), console_for(stream))

    with output() as stream:
        in_child(work, stream)


def _statement(query: str | None, file: Path | None) -> str:
    """Return the query, wherever it is given."""
    if file is None:
        return sys.stdin.read() if query is None or query == "-" else query
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise UserError(f"cannot read '{file}': {reason}") from error
