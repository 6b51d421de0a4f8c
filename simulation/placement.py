"""The options that say where work is done: here, or by the workers of a Ray cluster.

Invariant: nothing heavy is imported, and Ray not at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from scenarios.errors import UserError

Ray = Annotated[
    str | None,
    typer.Option(
        "--ray", metavar="[ADDRESS]",
        help="Have the workers of a Ray cluster do it: by themselves on this machine, or at auto, "
        "HOST:PORT or ray://HOST:PORT.",
    ),
]  # fmt: skip
Workers = Annotated[
    int | None, typer.Option(min=1, help="With --ray: workers, each with engines of its own.")
]
Shards = Annotated[
    str | None, typer.Option(help="With --ray: folder or URL that all nodes can write to.")
]
KeepShards = Annotated[
    bool, typer.Option("--keep-shards", help="With --ray: leave shards where they are.")
]
ADDRESS = re.compile(r"auto|local|ray://\S+|[\w.-]+:\d+|\[[0-9a-fA-F:]+\]:\d+")
"""What may follow `--ray` and is meant by it."""


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


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster that does a job, and how."""

    address: str = "local"
    """local: a cluster of this machine's own, for the time of the work; auto: the one that runs
    here or that RAY_ADDRESS names; or HOST:PORT or ray://HOST:PORT."""
    workers: int | None = None
    """Worker processes, each with engines of its own; null: one a GPU for local models, one a node
    for local models without GPUs, one a CPU for others."""
    shards: str | None = None
    """Folder or URL that all nodes can write to; null: in the run's folder."""
    keep: bool = False
    """Whether shards stay where they are once they are merged."""


def cluster_of(
    ray: str | None, workers: int | None, shards: str | None, keep: bool
) -> Cluster | None:
    """Return the cluster that is asked for. Raises UserError for options that mean nothing."""
    if ray is None:
        named = {"--workers": workers, "--shards": shards, "--keep-shards": keep}
        if idle := [option for option, value in named.items() if value]:
            raise UserError(f"{' and '.join(idle)} says how --ray does it; add --ray")
        return None
    if not ADDRESS.fullmatch(ray):
        raise UserError(f"--ray: '{ray}' is no address; write auto, HOST:PORT or ray://HOST:PORT")
    return Cluster(ray, workers, shards, keep)
