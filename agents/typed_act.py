"""Reading a reply, in either form, as an act that the world offers.

Invariant: what is not allowed or out of bounds raises `NotAllowed` with the act as far as it can be
read; nothing is brought into bounds.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agents.naming import sole
from agents.offer import Offer, Slot, TypedAct
from agents.reply import Act, NotAllowed, read_object
from folkways.text import sound
from scenarios.world.schema import INTEGER_LIMIT

_BRACKETED = re.compile(r"^[\[(]\s*([a-z][a-z0-9_-]*)\b[\s:,=]*([^\[\]]*)[\])]\.?$", re.IGNORECASE)
_TRAILING = re.compile(r"\S.*[\[(]\s*([a-z][a-z0-9_-]*)\b[^\[\]]*[\])]\.?$", re.IGNORECASE)
_BETWEEN = r"\s*(?:,|;|>|\band\b)\s*"
_SEVERAL = re.compile(_BETWEEN, re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
_ROUNDING = 1e-9
"""How far a number may be from a bound, by the places that the bound is told with."""
_MAX_WORDS = 1000
"""Characters of an argument in words of one's own."""
_TRUTH = {"yes": True, "true": True, "no": False, "false": False}


def read_typed_json(
    reply: str,
    offers: Sequence[Offer],
    known: Collection[str],
    names: Mapping[str, str],
) -> Act | None:
    """Return the typed act in a reply of the form `json`, or None where it is none.

    `known` are all typed acts of the scene, `names` those of the roles. Raises Unreadable.
    """
    value = read_object(reply, ("action",))
    name = str(value.get("action"))
    if name not in known:
        return None
    offer = _offered(name, value, offers)
    return _made(offer, {slot.name: value.get(slot.name) for slot in offer.slots}, names)


def read_typed_script(
    reply: str,
    offers: Sequence[Offer],
    known: Collection[str],
    names: Mapping[str, str],
    opening: str = "",
) -> Act | None:
    """Return the typed act in a reply of the form `script`, one bracketed act on the line.

    Where the prompt has opened the bracket, what follows its end is cut.
    """
    if opening and not reply.lstrip().startswith(("[", "(")):
        inside, _, rest = (reply.splitlines() or [""])[0].partition("]")
        made = read_typed_script(f"{opening}{inside}]", offers, known, names)
        return made and replace(made, cut=rest.strip() or None)
    line = " ".join((reply.strip().splitlines() or [""])[0].split())
    found = _BRACKETED.match(line)
    if not found or found[1].lower() not in known:
        after = _TRAILING.match(line)
        if after and after[1].lower() in known:
            raise NotAllowed("an act stands alone on its line, without words.")
        return None
    offer = _offered(found[1].lower(), {}, offers)
    return _made(offer, _split(found[2].strip(), offer.slots), names)


def shown(act: TypedAct, names: Mapping[str, str]) -> str:
    """Return an act as it is written between brackets."""
    return " ".join([act.name, *(_shown(value, names) for value in act.args.values())])


def _shown(value: Any, names: Mapping[str, str]) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(_shown(one, names) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return in_digits(value) if isinstance(value, float) else names.get(value, str(value))


def _offered(name: str, given: Mapping[str, Any], offers: Sequence[Offer]) -> Offer:
    for offer in offers:
        if offer.name == name:
            return offer
    told = (
        f"'{name}' is not allowed now; allowed are: {', '.join(o.name for o in offers) or 'none'}."
    )
    raise NotAllowed(told, TypedAct(name, {}))


def _split(text: str, slots: Sequence[Slot]) -> dict[str, str]:
    """Return the parts of a text that belong to each slot, names of slots in it left off."""
    for slot in (slot for slot in slots if slot.kind != "text"):
        text = re.sub(rf"\b{re.escape(slot.name)}\b\s*[:=]?", " ", text, flags=re.IGNORECASE)
    text = " ".join(text.split()).strip(" ,;")
    if len(slots) <= 1:
        return {slot.name: text for slot in slots} if slots else ({"": text} if text else {})
    between = rf"(?:{_BETWEEN}|\s*:\s*|\s+)"
    whole = between.join(f"({_shape(slot)})" for slot in slots)
    if found := re.fullmatch(whole, text, re.IGNORECASE):
        return {slot.name: part for slot, part in zip(slots, found.groups(), strict=True)}
    most = len(slots) - 1 if slots[-1].kind == "text" else 0
    parts = [part for part in _SEVERAL.split(text, maxsplit=most) if part]
    parts = parts if len(parts) == len(slots) else text.split(maxsplit=most or -1)
    if len(parts) != len(slots):
        told = " and ".join(slot.name for slot in slots)
        raise NotAllowed(f"it needs {told}, in that order.")
    return {slot.name: part for slot, part in zip(slots, parts, strict=True)}


def _shape(slot: Slot) -> str:
    """Return the pattern of what a slot may hold; names and options have several words."""
    if slot.kind in ("choice", "role"):
        first = {one.split()[0] for one in slot.options if slot.kind == "role"}
        return "|".join(map(re.escape, sorted({*slot.options, *first}, key=len, reverse=True)))
    if slot.kind == "boolean":
        return "|".join(_TRUTH)
    return ".+" if slot.kind == "text" else _NUMBER.pattern


def _made(offer: Offer, given: Mapping[str, Any], names: Mapping[str, str]) -> Act:
    args, faults = dict[str, Any](), list[str]()
    for slot in offer.slots:
        value = _value(slot, given.get(slot.name), names)
        args[slot.name] = value
        if value is None or not _within(slot, value):
            faults.append(f"'{slot.name}' must be {in_words(slot)}")
    if "" in given:
        faults.append(f"'{offer.name}' takes nothing beside its name")
    act = TypedAct(offer.name, args)
    if faults:
        raise NotAllowed(f"{'; '.join(faults)}.", act)
    return Act("non-verbal", shown(act, names), typed=act)


def in_words(slot: Slot) -> str:
    """Return what a slot may hold, for a model to read."""
    if slot.kind in ("choice", "role"):
        options = " or ".join(slot.options)
        return f"any of {options}, the best first" if slot.many else options
    if slot.kind == "boolean":
        return "yes or no"
    if slot.kind == "text":
        return "words of your own"
    kind = "a whole number" if slot.kind == "integer" else "a number"
    if slot.low is None and slot.high is None:
        return kind
    if slot.high is None:
        return f"{kind} of at least {in_digits(slot.low)}"
    if slot.low is None:
        return f"{kind} of at most {in_digits(slot.high)}"
    return f"{kind} from {in_digits(slot.low)} to {in_digits(slot.high)}"


def in_digits(value: Any) -> str:
    """Return a number as it is told: of one with a fraction ten digits."""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _within(slot: Slot, value: Any) -> bool:
    if slot.kind in ("integer", "number"):
        low, high = slot.low, slot.high
        return (low is None or value >= low) and (high is None or value <= high)
    return True


def _as_told(slot: Slot, number: float) -> float:
    """Return a number, or the bound that it stands for, as bounds are told with ten digits."""
    bounds = (bound for bound in (slot.low, slot.high) if bound is not None)
    near = (bound for bound in bounds if math.isclose(number, bound, rel_tol=_ROUNDING))
    return float(next(near, number))


def _value(slot: Slot, given: Any, names: Mapping[str, str]) -> Any:
    """Return what is given as a value of the slot's kind, or None where it is none."""
    if slot.many:
        parts = given if isinstance(given, list) else _several(str(given), slot)
        found = [_option(slot, part, names) for part in parts]
        whole = None not in found and len(set(found)) == len(found)
        return tuple(found) if whole else None
    if slot.kind in ("choice", "role"):
        return _option(slot, given, names)
    if slot.kind == "text":
        text = " ".join(sound(given).split()) if isinstance(given, str) else ""
        return text if len(text) <= _MAX_WORDS and any(c.isalnum() for c in text) else None
    if slot.kind == "boolean":
        return given if isinstance(given, bool) else _TRUTH.get(str(given).strip().lower())
    if isinstance(given, bool) or not _NUMBER.fullmatch(str(given).strip()):
        return None
    number = float(given)
    if not abs(number) <= INTEGER_LIMIT:
        return None
    if slot.kind == "number":
        return _as_told(slot, number)
    return int(str(given).split(".")[0]) if number.is_integer() else None


def _several(text: str, slot: Slot) -> list[str]:
    """Return the options in a text; one that reads like several, as `salt and pepper`, is one."""
    one = _shape(slot)
    if re.fullmatch(rf"\s*(?:{one})(?:{_BETWEEN}(?:{one}))*[\s.]*", text, re.IGNORECASE):
        return re.findall(one, text, re.IGNORECASE)
    return [part for part in _SEVERAL.split(text) if part]


def _option(slot: Slot, given: Any, names: Mapping[str, str]) -> str | None:
    text = str(given).strip().strip("\"'.")
    if slot.kind == "role":
        role = sole(text, names)
        return role if role and names[role] in slot.options else None
    return next((one for one in slot.options if one.casefold() == text.casefold()), None)
