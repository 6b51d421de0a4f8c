"""Commands that copy a run's store: `snapshot` and `salvage`.

Invariant: neither changes what it reads, nor overwrites anything.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Annotated, Literal

import typer

from folkways.errors import UserError
from folkways.text import printable
from simulation.store.reader import LOCK_WAIT_S, find_store
from simulation.store.salvage import salvage as salvage_store
from simulation.store.snapshot import snapshot as snapshot_of
from simulation.store.spill import attached, bring
from simulation.store.writer import Store

app = typer.Typer()


@app.command()
def snapshot(
    run: Annotated[Path, typer.Argument(help="Run directory, or its log.duckdb; it may be live.")],
    file: Annotated[Path, typer.Argument(help="DuckDB file to write.")],
    reader: Annotated[
        Literal["duckdb-1.4"] | None,
        typer.Option("--for", help="Write it so that this version of DuckDB can open it."),
    ] = None,
) -> None:
    """Copy the store of a run to a file, for programs that keep what they read open."""
    if file.exists():
        raise UserError(f"'{file}' exists already; choose another name")
    path = find_store(run)
    if path.is_dir():
        raise UserError(f"'{run}' is a folder of shards; bring them together with folkways merge")
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with snapshot_of(path, LOCK_WAIT_S) as copy:
            if reader:
                copy = _made_anew(copy)
            _put(copy, part, file)
    except OSError as error:
        raise UserError(f"cannot write '{file}': {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    typer.echo(printable(f"{file}: {file.stat().st_size:,} bytes"))


def _made_anew(copy: Path) -> Path:
    """Return the same store in the oldest format that this version writes, beside the copy."""
    folder = copy.with_name("anew")
    folder.mkdir()
    store = Store(folder)
    store.create()
    with store.writing(folders=[str(folder.resolve().parent)]) as con, attached(con, copy):
        con.execute("begin")
        bring(con)
        con.execute("commit")
    return store.path


def _put(copy: Path, part: Path, file: Path) -> None:
    """Give a file its name once it is whole, unless another one has it by then."""
    shutil.copyfile(copy, part)
    try:
        os.link(part, file)
    except FileExistsError as error:
        raise UserError(f"'{file}' exists already; choose another name") from error


@app.command()
def salvage(
    run: Annotated[Path, typer.Argument(help="Run directory with a damaged log.duckdb.")],
    out: Annotated[Path, typer.Argument(help="Run directory to make.")],
) -> None:
    """Copy what can still be read of a damaged run into a new one, and count what cannot."""
    rows = lost = 0
    for table in salvage_store(run, out, lambda text: typer.echo(printable(text), err=True)):
        rows, lost = rows + table.rows, lost + table.lost
        if table.lost:
            typer.echo(printable(f"{table.table}: {table.rows:,} rows, {table.lost:,} lost"))
    typer.echo(printable(f"{out}: {rows:,} rows, {lost:,} lost"))
