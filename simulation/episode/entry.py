"""Entries of an episode's log, and what was said in them.

Invariant: an entry is plain JSON and never changes once it is in the log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

from scenarios.words import contains

_WORD = re.compile(r"\w+")


class Judgement(TypedDict):
    """What a game master found comes of an act."""

    choice: str | None
    """Name of an outcome, or `none`; null where there is no answer."""
    reason: str | None
    """Why, in its words."""
    failure: str | None
    """Why there is no answer, where there is none."""
    call: int | None
    """Number of the call; null where the budget admitted none."""


class MadeAct(TypedDict):
    """An act of the world, as it was made or tried."""

    judged: NotRequired[Judgement]
    name: str | None
    """None for talk that is not allowed."""
    args: dict[str, Any]
    granted: dict[str, Any] | None
    """What took effect of the arguments; None where nothing did."""
    reason: str | None
    """Why it is not allowed, where it is not."""
    cooperation: float | None
    """How far it was cooperation, where the scene says what is."""


class Entry(TypedDict, total=False):
    """One entry of the log, plain JSON: a turn, or a happening (event, phase, entrance; in a scene
    with a world also reports, removals, returns, and changes of the world, which nobody perceives).
    """

    kind: Literal["turn", "event", "phase", "entrance", "report", "removal", "return", "world"]
    step: int
    """Round of choosing, from 1; entries of one step that are turns are simultaneous."""
    text: str | None
    audience: list[str]
    """Roles that perceive it, beside the speaker of a turn."""
    name: str
    """Happenings: id of the event or phase, or the role that enters, is out or back; of the world:
    what changed it."""
    changes: list[list[Any]]
    """World: variable, role or None, and new value."""
    won: str | None
    """World: what has won, after a vote."""
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
    thought: str | None
    """What was thought and not said; in no prompt. Of turns that have one."""
    act: MadeAct
    """Of turns in which an act of the world was made or tried."""


def said(phrase: str, turn: Entry) -> bool:
    """Tell whether the turn speaks the words of a phrase, whatever it says with them: whole words,
    letter case ignored.
    """
    text = turn["text"]
    return bool(text and turn["action"] in ("speak", "leave") and contains(text, phrase))


def words(turn: Entry) -> frozenset[str]:
    """Return the words of a turn, letter case folded."""
    return frozenset(_WORD.findall((turn["text"] or "").casefold()))


def as_spoken(turn: Entry, names: Mapping[str, str]) -> dict[str, Any]:
    """Return a turn as the prompt templates see it: names in place of roles, and an act of the
    world as it is given in the form `json`."""
    shown = {
        "kind": "turn",
        "name": names[turn["speaker"]],
        "action": turn["action"],
        "text": turn["text"],
        "to": [names[role] for role in turn["addressees"]],
        "whisper": turn["whisper"],
    }
    if "act" not in turn:
        return shown
    made = turn["act"]
    args = {
        name: [names.get(one, one) for one in value]
        if isinstance(value, tuple | list)
        else names.get(value, value)
        for name, value in made["args"].items()
    }
    return shown | {"act": {"action": made["name"], **args}}
