"""What can be saved of a file with schema errors, so that its other faults are told as well.

Invariant: the result is for checking only and is never played; what has a valid id keeps it.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from scenarios.parsing.problem import Keys
from scenarios.parsing.validation import holds, parse
from scenarios.scenario import Scenario

_STAND_INS: dict[str, Any] = {
    "id": "stand-in",
    "title": "-",
    "theme": "public-rules",
    "setting": "-" * 20,
    "brief": "-",
    "goal": "-",
    "type": "-",
    "closeness": 0,
    "judge": "model",
    "each": "role",
    "about": "-",
    "name": "addressed",
    "rule": "staleness",
    "text": "-",
    "author": "-",
    "made": "-",
    "provenance": {"author": "-", "made": "-"},
}
"""Values without words for what a file must have."""
_ROUNDS = 10
"""Mending one thing can uncover another: half a pair goes, then the tie that has no pair."""


def salvage(data: Any) -> Scenario | None:
    """Return the scenario with invalid parts left out or filled in; None if too little is left."""
    data = deepcopy(data)
    for _ in range(_ROUNDS):
        scenario, findings = parse(data, Scenario)
        if scenario or not isinstance(data, dict):
            return scenario
        for finding in sorted(findings, key=lambda found: _order(found.path), reverse=True):
            _mend(data, finding.path)
    return None


def _order(path: Keys) -> tuple[tuple[int, str], ...]:
    return tuple((part, "") if isinstance(part, int) else (-1, part) for part in path)


def _mend(data: Any, path: Keys) -> None:
    """Put a stand-in at the end of `path`, or else take away what is there or what holds it."""
    parents: list[Any] = [data]
    for part in path[:-1]:
        if not holds(parents[-1], part):
            return  # something around it has been mended
        parents.append(parents[-1][part])
    for part, parent in zip(reversed(path), reversed(parents), strict=True):
        stand_in = _STAND_INS.get(str(part))
        if isinstance(parent, dict) and stand_in is not None and parent.get(part) != stand_in:
            parent[part] = deepcopy(stand_in)
            return
        if holds(parent, part):
            del parent[part]
            return
