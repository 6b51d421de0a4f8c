"""Commands between stores and shards: `merge` and `pack`.

Invariant: neither changes what it reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from folkways.clock import utc_now
from folkways.text import printable
from simulation.store.pack import merge as bring_in
from simulation.store.pack import pack as write_shards

app = typer.Typer()


@app.command()
def merge(
    run: Annotated[Path, typer.Argument(help="Run directory; made where there is none.")],
    shards: Annotated[str, typer.Argument(help="Folder or URL of shards.")],
    partial: Annotated[
        bool, typer.Option("--partial", help="Merge what there is of a run packed in part.")
    ] = False,
) -> None:
    """Bring shards into the store of a run, each once however often this is done."""
    fresh, rows = bring_in(run, shards, utc_now(), partial)
    typer.echo(printable(f"{run}: {fresh:,} new shards, {rows:,} rows"))


@app.command()
def pack(
    run: Annotated[Path, typer.Argument(help="Run directory, or its log.duckdb.")],
    shards: Annotated[str, typer.Argument(help="Folder or URL to write to.")],
    episodes: Annotated[int, typer.Option(min=1, help="Episodes of one shard.")] = 20_000,
) -> None:
    """Write a run as Parquet shards, which `sql` and `view` read as they read the run; the same
    command again resumes where it stopped."""
    count = rows = 0
    for manifest in write_shards(run, shards, episodes):
        count, rows = count + 1, rows + sum(manifest.rows.values())
        typer.echo(printable(f"{manifest.shard}: {manifest.records:,} episodes"), err=True)
    typer.echo(printable(f"{shards}: {count:,} shards, {rows:,} rows"))
