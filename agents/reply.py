"""Reading a model's reply, in either form, as one act.

Invariant: a reply that cannot be read raises `Unreadable`; nothing is filled in for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agents.naming import own_parts, words_of
from agents.offer import TypedAct
from agents.speaker import speakers
from folkways.errors import FolkwaysError
from folkways.text import sound
from scenarios.scenario import ACTIONS, Action

MAX_TEXT = 4000
"""Characters of one act; a longer text is a fault of the model, not a speech."""

_OBJECT = re.compile(r'\{\s*(?:["}]|\Z)')
"""The beginning of a JSON object; a brace in prose is none."""
_DIRECTION = re.compile(r"[\[(]([^\[\]()]+)[\])]")
_ONLY_DIRECTIONS = re.compile(rf"^{_DIRECTION.pattern}(?:[\s.]*{_DIRECTION.pattern})*\.?$")
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


class Unreadable(FolkwaysError):
    """The reply has no act in it; the message says why, in words a model can act on."""


class NotAllowed(Unreadable):
    """The act is well-formed but the scene does not allow it now."""

    def __init__(self, told: str, typed: TypedAct | None = None) -> None:
        """`typed` is the act of the world that was tried, if one was, as far as it can be read."""
        super().__init__(told)
        self.typed = typed


@dataclass(frozen=True, slots=True)
class Act:
    """What a role does when it is its turn; `to` holds role ids."""

    action: Action
    text: str | None
    to: tuple[str, ...] = ()
    whisper: bool = False
    cut: str | None = None
    """What was written beyond it, as somebody else, and left out."""
    typed: TypedAct | None = None
    """The act of the world that it is, if it is one."""


def act_schema(acts: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Return the JSON Schema of a reply in the form `json`; only `names` can be addressed."""
    to: dict[str, Any] = {"type": "array", "items": {"type": "string", "enum": list(names)}}
    if not names:  # an empty enum is no schema to many engines
        to = {"type": "array", "items": {"type": "string"}, "maxItems": 0}
    return {
        "type": "object",
        "properties": {
            "action": {"type": "string", "enum": list(acts)},
            "to": to,
            "whisper": {"type": "boolean"},
            "text": {"type": "string"},
        },
        "required": ["action", "to", "whisper", "text"],
        "additionalProperties": False,
    }


def json_objects(reply: str) -> list[dict[str, Any]]:
    """Return the JSON objects in `reply`, prose and code fences around them ignored.

    Raises Unreadable where one is broken, as what stands within it may be quoted, and where one has
    two values for a key.
    """
    decoder, found, at = json.JSONDecoder(object_pairs_hook=_settled), list[dict[str, Any]](), 0
    while begin := _OBJECT.search(reply, at):
        try:
            value, at = decoder.raw_decode(reply, begin.start())
        except (ValueError, RecursionError) as error:
            raise Unreadable("the JSON object is not complete.") from error
        found.append(value)
    return found


def _settled(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON that has one value for each key."""
    value = dict(pairs)
    if len(value) < len(pairs) and any(value[key] != given for key, given in pairs):
        raise Unreadable("a JSON object in it has two values for one key.")
    return value


def read_object(reply: str, wanted: Collection[str]) -> dict[str, Any]:
    """Return the last JSON object in `reply` with any of the wanted keys; without one, the last.

    Raises Unreadable where there is none, where one is broken, and where several with wanted keys
    differ: one of them may be quoted.
    """
    objects = json_objects(reply)
    if not objects:
        raise Unreadable("there is no JSON object in it.")
    fitting = [value for value in objects if not value.keys().isdisjoint(wanted)]
    if any(value != fitting[-1] for value in fitting):
        raise Unreadable("it holds several JSON objects that differ.")
    return (fitting or objects)[-1]


def read_json(reply: str, me: str, names: Mapping[str, str], acts: Sequence[str]) -> Act:
    """Read a reply in the form `json`. `names` maps role ids of all roles to their names.

    Raises Unreadable, and NotAllowed where `acts` lacks the action.
    """
    value = read_object(reply, ("action",))
    action, text, to = value.get("action"), value.get("text", ""), value.get("to", [])
    if action not in ACTIONS:
        raise Unreadable(f'"action" must be one of {", ".join(ACTIONS)}.')
    if not isinstance(text, str) or not isinstance(to, list):
        raise Unreadable('"text" must be a string and "to" a list of names.')
    by_name = {name.casefold(): role for role, name in names.items()}
    addressed = [by_name.get(str(name).casefold()) for name in to]
    if None in addressed:
        raise Unreadable(f'"to" may only hold: {", ".join(names.values())}.')
    line, others = " ".join(text.split()), [name for role, name in names.items() if role != me]
    if any(line.startswith(f"{name}:") or f" {name}: " in line for name in others):
        raise Unreadable("it speaks for another person.")
    found = tuple(dict.fromkeys(role for role in addressed if role and role != me))
    return _checked(Act(action, text, found, value.get("whisper") is True), me, names, acts)


def read_script(reply: str, me: str, names: Mapping[str, str], acts: Sequence[str]) -> Act:
    """Read a reply in the form `script`: one line of a play, as continued after `NAME:`.

    A line that is one bracketed direction is an act without words; `[leaves]` at the end leaves. A
    line that begins with `(to NAME)` or `(whispering to NAME)` is addressed. Otherwise whoever is
    called by name is addressed. Where the line passes to another speaker it is cut. Raises
    Unreadable, and NotAllowed where `acts` lacks the action.
    """
    first = " ".join((reply.strip().splitlines() or [""])[0].split())
    line, cut = _own_line(first, me, names)
    return replace(_read_line(line, me, names, acts), cut=cut)


def _own_line(line: str, me: str, names: Mapping[str, str]) -> tuple[str, str | None]:
    """Return what a line says as the role itself, its name left off, and what it says as others."""
    labels = speakers(line, names)
    if labels and labels[0].role == me and not labels[0].start:
        own, *labels = labels
        aside = f"({own.aside}) " if own.aside else ""
        shift = len(aside) - own.end
        line = aside + line[own.end :]
        labels = [label._replace(start=label.start + shift) for label in labels]
    other = next((label for label in labels if label.role != me), None)
    if other is None:
        return line, None
    if not line[: other.start].strip():
        raise Unreadable("it speaks for another person.")
    return line[: other.start].strip(), line[other.start :]


def _read_line(line: str, me: str, names: Mapping[str, str], acts: Sequence[str]) -> Act:
    if _ONLY_DIRECTIONS.match(line) and not _ASIDE.match(line):
        given = [one.strip() for one in _DIRECTION.findall(line)]
        words = "; ".join(given).removeprefix(names[me]).strip()
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
    parts = own_parts(names)
    called = {parts[word] for word in words_of(text) if word in parts}
    called |= {role for role, name in names.items() if name in text}
    return tuple(role for role in names if role != me and role in called)


def _checked(act: Act, me: str, names: Mapping[str, str], acts: Sequence[str]) -> Act:
    """Return the act with tidy text, or raise for one that cannot stand."""
    text = " ".join(sound(act.text).split()) if act.text else ""
    if len(text) > MAX_TEXT:
        raise Unreadable(f"the text is longer than {MAX_TEXT} characters.")
    if act.action in ("speak", "non-verbal") and not any(c.isalnum() for c in text):
        raise Unreadable("nothing is said or done in it.")
    if act.action not in acts:
        raise NotAllowed(f"only these are allowed now: {', '.join(acts)}.")
    text = text.removeprefix(f"{names[me]}: ")
    to = act.to if act.action in ("speak", "leave") else ()
    return Act(
        act.action, (text or None) if act.action != "none" else None, to, act.whisper and bool(to)
    )
