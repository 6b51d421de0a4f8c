"""Correction of several tests in one table.

Invariant: corrected values are never below the given ones and keep their order; what was not tested
counts for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

LEVEL = 0.05
"""Below this a corrected p is said to hold."""


def holm(chances: Sequence[float | None]) -> list[float | None]:
    """Return p values corrected by Holm's step-down procedure (1979), which bounds the chance of a
    false finding however the tests depend on each other; None where there was no test."""
    tested = sorted((p, place) for place, p in enumerate(chances) if p is not None)
    corrected: list[float | None] = [None] * len(chances)
    highest = 0.0
    for rank, (p, place) in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - rank) * p))
        corrected[place] = highest
    return corrected
