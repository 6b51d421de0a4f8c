"""The form of a model's answer: small JSON Schemas, and what an answer lacks of one.

Invariant: only what constrained decoding handles fast is used (no `maxLength`, no alternatives).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from scenarios.parsing.problem import show_path

_SHOWN = 60
"""Characters of a wrong value that a complaint repeats."""
TEXT = {"type": "string"}
_KINDS: dict[str, Any] = {"object": dict, "array": list, "string": str, "integer": int}


def object_of(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an object with exactly these keys."""
    return {
        "type": "object",
        "properties": dict(parts),
        "required": list(parts),
        "additionalProperties": False,
    }


def list_of(items: Mapping[str, Any], least: int, most: int) -> dict[str, Any]:
    """Return the schema of a list with so many entries."""
    return {"type": "array", "items": dict(items), "minItems": least, "maxItems": most}


def whole(low: int, high: int) -> dict[str, Any]:
    """Return the schema of a whole number, both ends included."""
    return {"type": "integer", "minimum": low, "maximum": high}


def one_of(names: Iterable[str]) -> dict[str, Any]:
    """Return the schema of one name out of a closed set."""
    return {"type": "string", "enum": list(names)}


def complaints(
    value: Any, schema: Mapping[str, Any], path: tuple[str | int, ...] = ()
) -> Iterator[str]:
    """Yield where a value does not have the form of a schema made here; extra keys do no harm."""
    where, kind = f'"{show_path(path)}"' if path else "the answer", schema["type"]
    if not isinstance(value, _KINDS[kind]) or isinstance(value, bool):
        yield f"{where} must be of the type {kind}."
    elif "enum" in schema and value not in schema["enum"]:
        allowed = ", ".join(map(str, schema["enum"]))
        yield f"{where} is {value!r:.{_SHOWN}}; allowed: {allowed}."
    elif kind == "integer":
        low, high = schema["minimum"], schema["maximum"]
        if not low <= value <= high:
            yield f"{where} is {value}; allowed: {low} to {high}."
    elif kind == "array":
        low, high = schema["minItems"], schema["maxItems"]
        if not low <= len(value) <= high:
            yield f"{where} has {len(value)} entries; allowed: {low} to {high}."
        for number, item in enumerate(value):
            yield from complaints(item, schema["items"], (*path, number))
    elif kind == "object":
        for key, part in schema["properties"].items():
            if key in value:
                yield from complaints(value[key], part, (*path, key))
            else:
                yield f'"{show_path((*path, key))}" is missing.'
