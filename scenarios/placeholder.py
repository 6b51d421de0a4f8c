"""`{role}` in a text of a scenario: the place of the name that a role goes by.

Invariant: only the id of a role in single braces is replaced; any other brace stays as it is
written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from scenarios.parsing.problem import Finding, Keys, suggest

if TYPE_CHECKING:
    from scenarios.scenario import Scenario

Part = TypeVar("Part")
_BRACES = re.compile(r"\{+[^{}]*\}+|[{}]")
_ROLE = re.compile(r"(?<!\{)\{([a-z][a-z0-9_]*)\}(?!\})")
_OF_THE_WORLD = ("report", "says")
"""Texts in which other things than roles may be named; the check of the world looks at them."""
_SHOWN = 40
"""Characters of a brace that a warning repeats."""


def filled(part: Part, names: Mapping[str, str]) -> Part:
    """Return a part of a scenario, or of its data, with the names of roles in their places."""
    return _filled(part, names)  # type: ignore[no-any-return]


def _filled(part: Any, names: Mapping[str, str]) -> Any:
    if isinstance(part, str):
        return _ROLE.sub(lambda found: names.get(found[1], found[0]), part) if "{" in part else part
    if isinstance(part, BaseModel):
        changed = {
            name: new
            for name in type(part).model_fields
            if (new := _filled(old := getattr(part, name), names)) is not old
        }
        return part.model_copy(update=changed) if changed else part
    if isinstance(part, dict):
        new = {key: _filled(value, names) for key, value in part.items()}
        return new if any(new[key] is not part[key] for key in new) else part
    if isinstance(part, list | tuple):
        items = [_filled(item, names) for item in part]
        same = all(new is old for new, old in zip(items, part, strict=True))
        return part if same else type(part)(items)
    return part


def stray_braces(scene: Scenario) -> Iterator[Finding]:
    """Yield the braces in texts that name no role: agents are shown them as they are written."""
    for path, text in _texts(scene.model_dump(mode="json", exclude_unset=True), ()):
        if path[-1] in _OF_THE_WORLD:
            continue
        for found in _BRACES.finditer(text):
            role = _ROLE.fullmatch(found[0])
            if role is None or role[1] not in scene.roles:
                hint = suggest(found[0].strip("{} "), scene.roles)
                message = (
                    f"'{found[0]:.{_SHOWN}}' names no role{hint}; agents are shown it as it is, "
                    "and a role's id in single braces becomes its name"
                )
                yield Finding(path, message, allowed=", ".join(scene.roles), severity="warning")


def _texts(data: Any, path: Keys) -> Iterator[tuple[Keys, str]]:
    if isinstance(data, str):
        yield path, data
    elif isinstance(data, dict | list):
        pairs = data.items() if isinstance(data, dict) else enumerate(data)
        for key, part in pairs:
            yield from _texts(part, (*path, key))
