"""Progress of an export: episodes that are read, then rows that are written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from simulation.execution.progress import Progress

Thing = TypeVar("Thing")


class ExportProgress(Progress):
    """Counts one kind of thing after the other."""

    def begin(self, noun: str, total: int) -> None:
        """Count things of a kind from the start."""
        self.noun, self.done, self.total = noun, 0, total

    def counted(self, things: Iterable[Thing]) -> Iterator[Thing]:
        """Yield things, each counted once it has been dealt with."""
        for thing in things:
            yield thing
            self.done += 1

    def note(self, text: str) -> None:
        """Print one line, once there is something to count."""
        if self.total:
            super().note(text)

    def line(self) -> str:
        """Return the state as one line."""
        return f"{self.done:,}/{self.total:,} {self.noun}"
