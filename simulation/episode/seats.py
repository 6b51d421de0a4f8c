"""Who plays which role: models by name, and the seats that they take.

Invariant: who sits where follows from the configuration, the scene and the replicate alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from agents.actor import ReplyForm
from agents.models.base import Model, Sampling
from scenarios.scenario import Scenario

OTHERS = "*"
"""Seat of all roles that have none of their own."""


@dataclass(frozen=True, slots=True)
class CallSettings:
    """How calls are made; the same for all episodes of a run."""

    sampling: Sampling
    timeout_s: float
    repairs: int


class Seat(NamedTuple):
    """What plays a role."""

    model: Model
    settings: CallSettings
    form: ReplyForm


@dataclass(frozen=True, slots=True)
class Seats:
    """Models by name, and where they sit."""

    seats: Mapping[str, str] = field(default_factory=dict)
    """Role, team or `*` to the name of a model."""
    rotate: bool = False
    models: Mapping[str, Seat] = field(default_factory=dict)

    def of(self, scenario: Scenario, replicate: int) -> dict[str, Seat]:
        """Return what plays each role that has a seat."""
        names = seated(scenario, self.seats, replicate if self.rotate else 0)
        return {role: self.models[name] for role, name in names.items()}


NO_SEATS = Seats()


def seated(scenario: Scenario, seats: Mapping[str, str], shift: int = 0) -> dict[str, str]:
    """Return the model's name for each role that has a seat: its own, that of its team, or that of
    all others. A shift moves every model on by so many roles, in the order of the file.
    """
    found: dict[str, str | None] = {}
    for role in scenario.roles:
        teams = (seats[team] for team in scenario.teams_of(role) if team in seats)
        found[role] = seats.get(role) or next(teams, None) or seats.get(OTHERS)
    taken, count = list(found.values()), len(found)
    moved = {role: taken[(n + shift) % count] for n, role in enumerate(found)}
    return {role: name for role, name in moved.items() if name is not None}
