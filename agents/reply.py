"""Reading a model's reply, in either form, as one act.

Invariant: a reply that cannot be read raises `Unreadable`; nothing is filled in for it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scenarios.scenario import ACTIONS, Action

MAX_TEXT = 4000
"""Characters of one act; a longer text is a fault of the model, not a speech."""

_OBJECT = re.compile(r'\{\s*(?:["}]|\Z)')
"""The beginning of a JSON object; a brace in prose is none."""
_DIRECTION = re.compile(r"^[\[(]([^\[\]()]+)[\])]$")
_WORD = re.compile(r"\w+")
_PLACES = "room|house|table|office|shop|building|place|meeting|scene|kitchen|hall|party|gathering"
_LEAVING = re.compile(
    r"^(?:(?:s?he|they) )?(?:\w+ly )?"
    r"(?:leaves|exits|goes away|walks out|walks away|storms out|goes home)"
    rf"(?: (?:the|this) (?:{_PLACES}))?(?: \w+ly| for good)?\.?$",
    re.IGNORECASE,
)
_SILENCE = re.compile(
    r"^(?:(?:s?he|they) )?(?:says nothing|silence|stays silent|is silent)\.?$", re.IGNORECASE
)
_TRAILING_EXIT = re.compile(r"^(.+?)\s*\[([^\[\]]+)\]$", re.DOTALL)
_ASIDE = re.compile(r"^\((whisper(?:s|ing)? )?to ([^()]{1,120})\)\s*", re.IGNORECASE)


class Unreadable(Exception):
    """The reply has no act in it; the message says why, in words a model can act on."""


class NotAllowed(Unreadable):
    """The act is well-formed but the scene does not allow it now."""


@dataclass(frozen=True, slots=True)
class Act:
    """What a role does when it is its turn; `to` holds role ids."""

    action: Action
    text: str | None
    to: tuple[str, ...] = ()
    whisper: bool = False


def sound(text: str) -> str:
    """Return text that can be stored: half surrogate pairs become U+FFFD, NUL characters go."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "")


def act_schema(acts: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Return the JSON Schema of a reply in the form `json`; `names` can be addressed."""
    return {
        "type": "object",
        "properties": {
            "action": {"type": "string", "enum": list(acts)},
            "to": {"type": "array", "items": {"type": "string", "enum": list(names)}},
            "whisper": {"type": "boolean"},
            "text": {"type": "string"},
        },
        "required": ["action", "to", "whisper", "text"],
        "additionalProperties": False,
    }


def first_object(reply: str) -> dict[str, Any]:
    """Return the first JSON object in `reply`, prose and code fences around it ignored."""
    found = _OBJECT.search(reply)
    if found is None:
        raise Unreadable("there is no JSON object in it.")
    try:
        value, _ = json.JSONDecoder().raw_decode(reply, found.start())
    except (ValueError, RecursionError) as error:
        raise Unreadable("the JSON object is not complete.") from error
    assert isinstance(value, dict)
    return value


def read_json(reply: str, me: str, names: Mapping[str, str], acts: Sequence[str]) -> Act:
    """Read a reply in the form `json`. `names` maps role ids of all roles to their names.

    Raises Unreadable, and NotAllowed where `acts` lacks the action.
    """
    value = first_object(reply)
    action, text, to = value.get("action"), value.get("text", ""), value.get("to", [])
    if action not in ACTIONS:
        raise Unreadable(f'"action" must be one of {", ".join(ACTIONS)}.')
    if not isinstance(text, str) or not isinstance(to, list):
        raise Unreadable('"text" must be a string and "to" a list of names.')
    by_name = {name.casefold(): role for role, name in names.items()}
    addressed = [by_name.get(str(name).casefold()) for name in to]
    if None in addressed:
        raise Unreadable(f'"to" may only hold: {", ".join(names.values())}.')
    found = tuple(dict.fromkeys(role for role in addressed if role and role != me))
    return _checked(Act(action, text, found, value.get("whisper") is True), me, names, acts)


def read_script(reply: str, me: str, names: Mapping[str, str], acts: Sequence[str]) -> Act:
    """Read a reply in the form `script`: one line of a play, as continued after `NAME:`.

    A line that is one bracketed direction is an act without words; `[leaves]` at the end leaves. A
    line that begins with `(to NAME)` or `(whispering to NAME)` is addressed. Otherwise whoever is
    called by name is addressed. Raises Unreadable, and NotAllowed where `acts` lacks the action.
    """
    line = reply.strip().removeprefix(names[me] + ":").strip()
    if "\n" in line:
        line = line.split("\n", 1)[0].strip()
    direction = _DIRECTION.match(line)
    if direction and not _ASIDE.match(line):
        words = direction.group(1).strip().removeprefix(names[me]).strip()
        if _LEAVING.match(words):
            return _checked(Act("leave", None), me, names, acts)
        if _SILENCE.match(words):
            return _checked(Act("none", None), me, names, acts)
        return _checked(Act("non-verbal", words), me, names, acts)
    to: tuple[str, ...] = ()
    whisper = False
    aside = _ASIDE.match(line)
    if aside and (to := _mentioned(aside.group(2), me, names)):
        whisper, line = bool(aside.group(1)), line[aside.end() :]
    trailing = _TRAILING_EXIT.match(line)
    if trailing and _LEAVING.match(trailing.group(2).strip()):
        return _checked(Act("leave", trailing.group(1), to), me, names, acts)
    return _checked(Act("speak", line, to or _mentioned(line, me, names), whisper), me, names, acts)


def _mentioned(text: str, me: str, names: Mapping[str, str]) -> tuple[str, ...]:
    """Return the roles called by name in `text`: by the full name, or by a part that only one
    bears.

    Letter case counts, so that the name An is not found in "an hour".
    """
    words = set(_WORD.findall(text))
    parts = Counter(part for name in names.values() for part in set(_WORD.findall(name)))

    def called(name: str) -> bool:
        own = (part for part in _WORD.findall(name) if len(part) > 1 and parts[part] == 1)
        return name in text or any(part in words for part in own)

    return tuple(role for role, name in names.items() if role != me and called(name))


def _checked(act: Act, me: str, names: Mapping[str, str], acts: Sequence[str]) -> Act:
    """Return the act with tidy text, or raise for one that cannot stand."""
    text = " ".join(sound(act.text).split()) if act.text else ""
    if len(text) > MAX_TEXT:
        raise Unreadable(f"the text is longer than {MAX_TEXT} characters.")
    if act.action in ("speak", "non-verbal") and not any(c.isalnum() for c in text):
        raise Unreadable("nothing is said or done in it.")
    others = [name for role, name in names.items() if role != me]
    if any(text.startswith(f"{name}:") or f" {name}: " in text for name in others):
        raise Unreadable("it speaks for another person.")
    if act.action not in acts:
        raise NotAllowed(f"only these are allowed now: {', '.join(acts)}.")
    text = text.removeprefix(f"{names[me]}: ")
    to = act.to if act.action in ("speak", "leave") else ()
    return Act(
        act.action, (text or None) if act.action != "none" else None, to, act.whisper and bool(to)
    )
