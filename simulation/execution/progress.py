"""Progress of a run on standard error: a live display on a terminal, else a plain line now and
then.

Invariant: showing progress never changes what is played or stored.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from agents.models.base import CACHED
from folkways.text import printable
from simulation.execution.metrics import served
from simulation.store.record import Record

if TYPE_CHECKING:
    from simulation.episode.entry import Entry
    from simulation.episode.scene_state import SceneState

_PLAIN_EVERY_S = 5.0
"""Seconds between two plain lines."""


@dataclass(slots=True)
class _Scene:
    """An episode that is being played or reviewed."""

    episode_id: str
    scenario: str
    culture: str
    began: float
    """Reading of the monotonic clock, seconds."""
    turns: int = 0


class Progress:
    """Counts what is finished, and shows it from a thread of its own."""

    def __init__(self, quiet: bool = False, noun: str = "episodes", stage: str = "run") -> None:
        """`stage` is what the table `launches` calls the work."""
        self.quiet, self.noun, self.stage = quiet, noun, stage
        self.state: Literal["starting", "working", "draining"] = "starting"
        self.total = self.already = self.done = self.live = self.turns = 0
        self.written: Callable[[], int] = lambda: 0
        """Returns the completion tokens of all calls that have ended, none from the cache."""
        self.recalled = 0
        """Answers that came out of the cache."""
        self.cost: float | None = None
        self.outcomes: Counter[str] = Counter()
        self.scenes: dict[str, _Scene] = {}
        """Episodes in progress by id, in the order in which they began."""
        self._metrics = served(self)
        self._began = time.monotonic()
        self._over = threading.Event()

    def count(self, record: Record) -> None:
        """Count a finished record."""
        self.outcomes[record.outcome] += 1
        if self._metrics:
            self._metrics.count(self.stage, record)
        for call in record.calls:
            if call.get("endpoint") == CACHED:
                self.recalled += 1
            elif call["cost"] is not None:
                self.cost = (self.cost or 0.0) + call["cost"]

    @contextmanager
    def scene(
        self, episode_id: str, scenario: str, culture: str
    ) -> Iterator[Callable[[SceneState, Sequence[Entry]], None]]:
        """Follow an episode for the time of a block, which gets what counts its turns as they
        happen."""
        scene = _Scene(episode_id, scenario, culture, time.monotonic())
        self.scenes[episode_id] = scene

        def watch(stage: SceneState, entries: Sequence[Entry]) -> None:
            turns = sum(entry["kind"] == "turn" for entry in entries)
            scene.turns += turns
            self.turns += turns

        try:
            yield watch
        finally:
            del self.scenes[episode_id]

    def note(self, text: str) -> None:
        """Print one line."""
        if not self.quiet:
            print(printable(text), file=sys.stderr, flush=True)

    def line(self) -> str:
        """Return the state as one line."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        parts = [f"{self.done}/{self.total} {self.noun}", f"{self.live} live"]
        if tokens := self.written():
            parts.append(f"{tokens / seconds:.1f} tokens/s")
        if self.turns:
            parts.insert(2, f"{self.turns} turns")
        if self.already:
            parts.insert(1, f"{self.already} stored before")
        if self.recalled:
            parts.append(f"{self.recalled} answers from the cache")
        if self.cost is not None:
            parts.append(f"${self.cost:.4f}")
        if self.outcomes:
            parts.append(", ".join(f"{what} {n}" for what, n in self.outcomes.most_common()))
        return printable(" | ".join(parts))

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show progress for the time of a block, and the last state at its end."""
        if self.quiet:
            yield
            return
        self._began = time.monotonic()
        show = self._show_live if sys.stderr.isatty() else self._show_plain
        thread = threading.Thread(target=show, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
            self.note(self.line())

    def _show_plain(self) -> None:
        while not self._over.wait(_PLAIN_EVERY_S):
            self.note(self.line())

    def _show_live(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        text = TextColumn("{task.description}", markup=False)
        columns = (BarColumn(), text, TimeRemainingColumn())
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(self.line(), total=self.total)
            while not self._over.wait(0.25):
                bar.update(task, completed=self.done, description=self.line())
