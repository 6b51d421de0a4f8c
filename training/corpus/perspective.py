"""An episode as one persona lived it: what it perceived, then what it did, again and again.

Invariant: every act of the focal role is there exactly once, and nothing that the role did not
perceive before the act.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from training.corpus.scene import Entry

BEGINS = "[The scene begins.]"
"""What the focal role is told before its first act where it has perceived nothing yet."""
NOBODY = "[Nobody else acts.]"
"""What it is told before a later act where it has perceived nothing since the last one."""


class Exchange(NamedTuple):
    """An act of the focal role, and what it perceived since its last one."""

    perceived: tuple[Entry, ...]
    act: Entry


def perspective(entries: Sequence[Entry], role: str) -> list[Exchange]:
    """Return the acts of a role in order, each with what the role perceived before it.

    Acts of one step are simultaneous: what others do in the step of an act is perceived after it.
    What is perceived after the last act is left out.
    """
    exchanges: list[Exchange] = []
    pending: list[Entry] = []
    for entry in entries:
        if entry.turn is not None and entry.role == role:
            exchanges.append(
                Exchange(tuple(one for one in pending if not _beside(one, entry)), entry)
            )
            pending = [one for one in pending if _beside(one, entry)]
        elif role in entry.audience:
            pending.append(entry)
    return exchanges


def _beside(entry: Entry, act: Entry) -> bool:
    """Return whether an entry is an act that was done at the same time as another act."""
    return entry.turn is not None and entry.step >= act.step


def told(entry: Entry, names: Mapping[str, str]) -> str:
    """Return what others perceive of an entry as one line: `Name: line`, or `* text` for a
    happening.
    """
    return f"* {entry.line}" if entry.role is None else f"{names[entry.role]}: {entry.line}"


def user_message(exchange: Exchange, names: Mapping[str, str], first: bool) -> str:
    """Return all that was perceived before an act, a line each."""
    lines = [told(entry, names) for entry in exchange.perceived]
    return "\n".join(lines) or (BEGINS if first else NOBODY)
