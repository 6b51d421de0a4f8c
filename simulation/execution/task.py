"""Work that an executor can do, in a form that can be sent to another process.

Invariant: a task is plain data; engines, budgets and clocks are made where it is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol, TypeVar

from simulation.episode.budget import Budget
from simulation.execution.executor import Opened
from simulation.execution.model_manager import ModelManager
from simulation.execution.progress import Progress

Item = TypeVar("Item")


class Tools(NamedTuple):
    """What a task is done with, wherever that is."""

    engines: ModelManager
    budget: Budget
    utc: Callable[[], datetime]
    """The time now, naive UTC."""
    progress: Progress
    """Told of what is in progress."""


class Task(Protocol[Item]):
    """Work on items; both the task and its items can be pickled."""

    @property
    def stage(self) -> str:
        """What the work is called in the table `launches`."""

    @property
    def models(self) -> Sequence[str]:
        """Names of the models it needs."""

    def open(self, tools: Tools) -> Opened[Item]:
        """Return what does the work, its models not yet started."""
