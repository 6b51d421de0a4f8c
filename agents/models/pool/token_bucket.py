"""Token buckets: how much may go out in a minute.

Invariant: what is taken, less what is given back, never exceeds the bound in any minute, but for a
single call that is larger than a burst.
"""

from __future__ import annotations

from collections.abc import Callable

BURST = 0.1
"""Share of a minute's worth that may go out at once; the rest of it flows back evenly, so that even
the minute after a pause keeps the bound."""
_NEARLY = 1e-9
"""Units that may be wanting, so that rounding makes nobody wait twice."""


class TokenBucket:
    """Holds a burst's worth of units and is refilled as time passes."""

    def __init__(self, per_minute: float | None, clock: Callable[[], float]) -> None:
        """`per_minute` None bounds nothing; `clock` gives seconds and need not know the date."""
        self._bounded, self._clock = per_minute is not None, clock
        self._room = self._level = (per_minute or 0.0) * BURST
        self._rate = (per_minute or 0.0) * (1 - BURST) / 60
        self._at = clock()

    def delay(self, units: float) -> float:
        """Return the seconds until so many units can be taken; 0 is now.

        More than a burst can be taken once the bucket is full; it then has to be paid back.
        """
        if not self._bounded:
            return 0.0
        missing = min(units, self._room) - self._filled()
        return 0.0 if missing <= _NEARLY else missing / self._rate

    def take(self, units: float) -> None:
        """Take units out; a negative number gives back."""
        self._level = min(self._room, self._filled() - units)

    def _filled(self) -> float:
        now = self._clock()
        self._level = min(self._room, self._level + max(0.0, now - self._at) * self._rate)
        self._at = now
        return self._level
