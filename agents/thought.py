"""Private thought: asked for with an act, and told apart from it.

Invariant: what is left to be read as an act holds no thought.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from agents.answer import TEXT
from agents.models.base import Prompt
from agents.player import is_player
from agents.template import load_template
from folkways.text import sound
from scenarios.words import one_line

Thoughts = Literal[False, True, "reasoning"]
"""Whether roles think before they act: a line that is asked for, or a model's own reasoning."""
KEY = "thought"
"""Of a reply in the form `json`."""
ROOM = 80
"""Completion tokens that a thought is given beside those of the act."""
MAX_THOUGHT = 4000
"""Characters of a thought that are kept."""
_IN_JSON = re.compile(rf'(?<!\\)"{KEY}"\s*:\s*("(?:[^"\\]|\\.)*")', re.DOTALL)
_BRACKETED = re.compile(
    r"[\[(]\s*(?:thinks?|thinking|thoughts?)\b\s*[:,]?([^\[\]]*?)[\])](.*)", re.IGNORECASE
)


class Replied(NamedTuple):
    """A reply, told apart."""

    act: str
    """What is to be read as the act."""
    thought: str | None


def with_thought(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a reply that begins with a thought."""
    parts = {KEY: TEXT, **schema["properties"]}
    return dict(schema) | {"properties": parts, "required": list(parts)}


def apart(row: Mapping[str, Any], prompt: Prompt, thoughts: Thoughts) -> Replied:
    """Return the act and the thought in the reply to a prompt, which is the row of its call.

    Where a line was asked for and none is there, a model's own reasoning is the thought. A player
    thinks nothing.
    """
    reply, thought = row["reply"] or "", None
    if not thoughts or is_player(row["model"]):
        return Replied(reply, None)
    if thoughts is True and not row["failure"]:
        if not isinstance(prompt, str):
            reply, thought = _of_json(reply)
        else:
            reply, thought = of_script(reply, prompt.endswith(opening_of()))
    return Replied(reply, _kept(thought) or _kept(row["reasoning"]))


def _of_json(reply: str) -> Replied:
    """Return the reply as it is, whose reader passes over the key; a reply that is cut short may
    hold a thought as well."""
    found = _IN_JSON.search(reply)
    try:
        return Replied(reply, found and str(json.loads(found[1], strict=False)))
    except ValueError:
        return Replied(reply, None)


def of_script(reply: str, opened: bool = True) -> Replied:
    """Return what stands before the end of the bracket that the prompt has opened, and what follows
    it. Without an end all is thought; a reply with a bracket of its own is an act, unless it says
    that it is a thought."""
    line = (reply.strip().splitlines() or [""])[0]
    if line.startswith(("[", "(")):
        own = _BRACKETED.match(line)
        return Replied(own[2].strip(), own[1].strip()) if own else Replied(reply, None)
    if not opened:
        return Replied(reply, None)
    thought, _, act = line.partition("]")
    return Replied(act.strip(), thought)


def opening_of() -> str:
    """Return how a prompt of the form `script` that asks for a thought ends."""
    return load_template("thought").opening()


def said_after(prompt: str, reply: str) -> str | None:
    """Return the prompt for the line that is said after a thought, where the reply holds no more
    than that; otherwise None. Small models end a line where its bracket ends."""
    act, thought = of_script(reply) if prompt.endswith(opening_of()) else Replied(reply, None)
    if act or not (told := _kept(thought)):
        return None
    name = prompt.removesuffix(opening_of()).rpartition("\n")[2]
    return prompt + load_template("thought").said(told, name)


def _kept(thought: str | None) -> str | None:
    """Return a thought as one line, None for a blank one."""
    return one_line(sound(thought or "")).strip()[:MAX_THOUGHT] or None
