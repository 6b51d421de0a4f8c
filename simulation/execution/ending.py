"""What is said of a launch that leaves questions without an answer.

Invariant: whatever kind of work it was, the same failures have the same words.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agents.models.health import REMEDIES


def unanswered(run: Path, failures: Mapping[str, int]) -> str | None:
    """Return what is to be said of questions that are to be asked again, given by what has failed
    them, such as `timeout` or `timeout of MODEL`; None where there are none."""
    if not failures:
        return None
    kinds = ", ".join(f"{kind} {count}" for kind, count in failures.items())
    most = max(failures, key=lambda kind: failures[kind])
    remedy = REMEDIES.get(most.partition(" of ")[0])
    return (
        f"{run}: {sum(failures.values())} questions have no answer because calls failed ({kinds})"
        f"{f'; {remedy}' if remedy else ''}; the same command asks them again"
    )
