"""Options that several commands share: the run, where work is done, and metrics of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from simulation.execution.metrics import ADDRESS as METRICS_ADDRESS
from simulation.execution.placement import ADDRESS

RunPath = Annotated[Path, typer.Argument(help="Run directory, or its log.duckdb.")]
Override = Annotated[list[str] | None, typer.Option("-o", help="Override a value: key.sub=value.")]
Quiet = Annotated[bool, typer.Option(help="Print no progress.")]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="[ADDRESS]",
        help="Have the workers of a Ray cluster do it: by themselves on this machine, or at auto, "
        "HOST:PORT or ray://HOST:PORT.",
    ),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="With --ray: workers, each with engines of its own.")
]
Shards = Annotated[
    str | None, typer.Option(help="With --ray: folder or URL that all nodes can write to.")
]
KeepShards = Annotated[
    bool, typer.Option("--keep-shards", help="With --ray: leave shards where they are.")
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        "--metrics",
        min=0,
        max=65535,
        metavar="PORT",
        help=f"Serve Prometheus metrics on {METRICS_ADDRESS}:PORT meanwhile; 0 takes a free port.",
    ),
]


class OnCluster(TyperCommand):
    """A command with `--ray [ADDRESS]`: without an address it means this machine."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse, having put in the address that goes without saying."""
        given = list(args)
        for place, word in enumerate(given):
            if word == "--":
                break
            if word == "--ray" and not ADDRESS.fullmatch("".join(given[place + 1 : place + 2])):
                given[place] = "--ray=local"
        rest: list[str] = super().parse_args(ctx, given)
        return rest
