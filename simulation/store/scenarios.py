"""What a store holds of a scenario, for those who show or judge what was played of it.

Invariant: a text of JSON in a store is read as what was written there, or one line says what is
wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from folkways.errors import UserError
from folkways.files import checked, parse_json
from scenarios.placeholder import filled


@dataclass(frozen=True, slots=True)
class _Part:
    brief: str
    knows: list[str] | None = None
    goal: str | None = None
    public_goal: bool = False


@dataclass(frozen=True, slots=True)
class _Team:
    roles: list[str]
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class _Event:
    text: str


@dataclass(frozen=True, slots=True)
class _Phase:
    brief: str | None = None


@dataclass(frozen=True, slots=True)
class _Scenario:
    """The keys that are used, with their types; a store may hold more."""

    setting: str
    roles: dict[str, _Part]
    title: str | None = None
    events: list[_Event] | None = field(default=None)
    phases: list[_Phase] | None = field(default=None)
    teams: dict[str, _Team] | None = field(default=None)


@contextmanager
def as_stored(episode: str) -> Iterator[None]:
    """Read an episode in a block. Raises UserError where a store, somebody else's or a damaged one,
    has something in it that no run writes."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(
            f"episode '{episode}' is not as folkways stores one ({reason}); folkways replay RUN "
            "checks every episode of a run"
        ) from error


def read_scenario(data: str, names: Mapping[str, str], roles: list[str]) -> dict[str, Any]:
    """Return a stored scenario with roles' names filled in.

    Raises UserError where it is none, or lacks one of the `roles` that were played.
    """
    scenario: dict[str, Any] = parse_json(data, dict[str, Any], "a stored scenario")
    known = checked(scenario, _Scenario, "a stored scenario")
    if missing := [role for role in roles if role not in known.roles]:
        raise UserError(f"a stored scenario lacks the role '{missing[0]}' that was played")
    return filled(scenario, dict(names))
