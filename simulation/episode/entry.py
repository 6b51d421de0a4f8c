"""Entries of an episode's log, and what was said in them.

Invariant: an entry is plain JSON and never changes once it is in the log.
"""

from __future__ import annotations

import re
from typing import Literal, TypedDict

from scenarios.words import contains

_WORD = re.compile(r"\w+")


class Entry(TypedDict, total=False):
    """One entry of the log, plain JSON: a turn, or a happening (event, phase, entrance)."""

    kind: Literal["turn", "event", "phase", "entrance"]
    step: int
    """Round of choosing, from 1; entries of one step that are turns are simultaneous."""
    text: str | None
    audience: list[str]
    """Roles that perceive it, beside the speaker of a turn."""
    name: str
    """Happenings: id of the event or phase, or the role that enters."""
    turn: int
    """Turns: number from 1, as are all fields below."""
    phase: str | None
    speaker: str
    action: str | None
    addressees: list[str]
    whisper: bool
    failure: str | None
    call: int
    cut: str | None


def said(phrase: str, turn: Entry) -> bool:
    """Tell whether the turn speaks the words of a phrase, whatever it says with them: whole words,
    letter case ignored.
    """
    text = turn["text"]
    return bool(text and turn["action"] in ("speak", "leave") and contains(text, phrase))


def words(turn: Entry) -> frozenset[str]:
    """Return the words of a turn, letter case folded."""
    return frozenset(_WORD.findall((turn["text"] or "").casefold()))
