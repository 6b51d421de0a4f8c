"""Work that a crew can do, in a form that can be sent to another process.

Invariant: a job is plain data; engines, budgets and clocks are made where it is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from simulation.budget import Budget
from simulation.crew import Crew, Opened
from simulation.engines import Engines
from simulation.placement import Cluster, prepare_ray
from simulation.progress import Progress
from simulation.store import Store

Item = TypeVar("Item")


class Tools(NamedTuple):
    """What a job is done with, wherever that is."""

    engines: Engines
    budget: Budget
    utc: Callable[[], datetime]
    """The time now, naive UTC."""
    progress: Progress
    """Told of what is in progress."""


class Job(Protocol[Item]):
    """Work on items; both the job and its items can be pickled."""

    @property
    def stage(self) -> str:
        """What the work is called in the table `launches`."""

    @property
    def models(self) -> Sequence[str]:
        """Names of the models it needs."""

    def open(self, tools: Tools) -> Opened[Item]:
        """Return what does the work, its models not yet started."""


def hire(
    job: Job[Item], tools: Tools, store: Store, progress: Progress, concurrency: int,
    cluster: Cluster | None = None,
) -> Crew[Item]:  # fmt: skip
    """Return who does a job: this process, or the workers of a cluster.

    Raises UserError where Ray is wanted and not installed, or its token cannot be kept.
    """
    if cluster is None:
        return Crew(job.open(tools), store, tools.budget, progress, concurrency)
    prepare_ray(cluster)
    from simulation.cluster import ClusterCrew

    responses = tools.engines.responses
    return ClusterCrew(job, cluster, store, tools.budget, progress, concurrency, responses)


def shards_of(run: Path, cluster: Cluster | None) -> str:
    """Return where the shards of a run are written."""
    if cluster and cluster.shards:
        return f"{cluster.shards.rstrip('/')}/{run.name}"
    return str(run.resolve() / "shards")
