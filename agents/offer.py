"""Acts beside speaking that a role is offered at its turn, with what each needs to be told.

Invariant: an offer is plain data; what it does to the world is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple


class Slot(NamedTuple):
    """What an act needs to be told, with its bounds at this moment."""

    name: str
    kind: Literal["integer", "number", "boolean", "choice", "role", "text"]
    low: float | None = None
    high: float | None = None
    options: tuple[str, ...] = ()
    """Words, or names of roles."""
    many: bool = False
    """Whether several options are named, in order."""


class Offer(NamedTuple):
    """An act that is allowed now."""

    name: str
    slots: tuple[Slot, ...] = ()
    about: str | None = None
    """What it means."""


class TypedAct(NamedTuple):
    """An act beside speaking, as it was made."""

    name: str
    args: Mapping[str, Any]
    """Values by name; a role by its id."""


class WorldCue(NamedTuple):
    """What a role is told of the world at its turn."""

    text: str
    offers: tuple[Offer, ...]
    opening: str = ""
    """In the form `script`, how the line begins where only an act of the world can be one: the
    bracket, and the act where there is but one."""


def with_offers(schema: Mapping[str, Any], offers: Sequence[Offer]) -> dict[str, Any]:
    """Return the schema of a reply that may be one of these acts as well.

    Every argument is a key of its own, so that no engine needs alternatives; keys that the act does
    not take are not looked at. Without talk nothing else is left in it.
    """
    acts = [offer.name for offer in offers]
    said = [one for one in schema["properties"]["action"]["enum"] if one not in acts]
    parts = dict(schema["properties"]) if said else {}
    parts["action"] = {"type": "string", "enum": acts + said}
    for slot in (slot for offer in offers for slot in offer.slots):
        new = _slot_schema(slot)
        parts[slot.name] = _wider(parts[slot.name], new) if slot.name in parts else new
    ordered = {"action": parts.pop("action"), **parts}
    return dict(schema) | {"properties": ordered, "required": list(ordered)}


def _slot_schema(slot: Slot) -> dict[str, Any]:
    if slot.kind in ("choice", "role"):
        one = {"type": "string", "enum": list(slot.options)}
        return {"type": "array", "items": one, "maxItems": len(slot.options)} if slot.many else one
    part: dict[str, Any] = {"type": "string" if slot.kind == "text" else slot.kind}
    part |= {} if slot.low is None else {"minimum": slot.low}
    return part | ({} if slot.high is None else {"maximum": slot.high})


def _wider(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema that admits what either does."""
    if "enum" in one:
        return {"type": "string", "enum": list(dict.fromkeys([*one["enum"], *other["enum"]]))}
    both = {key: value for key, value in one.items() if key in other}
    for key, choose in (("minimum", min), ("maximum", max)):
        if key in both:
            both[key] = choose(one[key], other[key])
    return both
