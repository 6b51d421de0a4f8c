"""Progress of a training: steps done, loss, tokens per second, time left.

Invariant: showing progress never changes what is trained.
"""

from __future__ import annotations

import time

from simulation.execution.progress import Progress


class FitProgress(Progress):
    """Counts the steps of one adapter."""

    def __init__(self, quiet: bool, adapter: str) -> None:
        super().__init__(quiet, "steps")
        self.adapter = adapter
        self.tokens = 0
        self.loss: float | None = None
        self.validation: float | None = None
        self._started: tuple[float, int] | None = None
        """When the first step of this launch began, and how many were done then."""

    def start(self, done: int, total: int) -> None:
        """Begin to count time at a step."""
        self.done, self.total = done, total
        self._started = time.monotonic(), done

    def seconds(self) -> float:
        """Return the seconds since the first step of this launch began."""
        return time.monotonic() - self._started[0] if self._started else 0.0

    def line(self) -> str:
        """Return the state as one line."""
        parts = [
            f"{self.adapter}: {self.done}/{self.total} steps"
            if self._started
            else f"{self.adapter}: loading"
        ]
        if self.loss is not None:
            parts.append(f"loss {self.loss:.4f}")
        if self.validation is not None:
            parts.append(f"validation {self.validation:.4f}")
        if self.tokens:
            parts.append(f"{self.tokens / max(self.seconds(), 1e-9):.0f} tokens/s")
        left = self._left()
        if left is not None:
            parts.append(f"{_duration(left)} left")
        return " | ".join(parts)

    def _left(self) -> float | None:
        if self._started is None or self.done <= self._started[1] or self.done >= self.total:
            return None
        return self.seconds() / (self.done - self._started[1]) * (self.total - self.done)


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
