"""Who plays which role: models by name, and the seats that they take.

Invariant: who sits where follows from the configuration, the scene, its cast and the replicate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pydantic import model_validator

from agents.actor import ReplyForm
from agents.models.base import Model, Sampling
from folkways.settings import Settings
from scenarios.casting import meets
from scenarios.persona import Persona
from scenarios.scenario import CultureId, Scenario, Selector

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


class SeatSelector(Selector):
    """Whose seat it is: that of every role whose persona meets all that is given."""

    culture: Literal["scene", "any"] | tuple[CultureId, ...] = "any"
    """`scene` (the culture the episode is played in), `any`, or a list of ISO alpha-3 ids."""


class SeatRule(Settings):
    """A model and whose seat it takes, by name or by persona."""

    seat: str | None = None
    """A role, a team, or `*` for all other roles; mutually exclusive with `select`."""
    select: SeatSelector | None = None
    """Roles whose persona meets it."""
    model: str
    """One of `models`."""

    @model_validator(mode="after")
    def _one_way(self) -> SeatRule:
        if (self.seat is None) == (self.select is None):
            raise ValueError("give either seat or select")
        return self


SeatsConfig = dict[str, str] | tuple[SeatRule, ...]
"""Seats by name, or as a list that may have selectors."""


def seat_rules(seats: SeatsConfig) -> tuple[SeatRule, ...]:
    """Return seats as a list, however they were given."""
    if isinstance(seats, tuple):
        return seats
    return tuple(SeatRule(seat=seat, model=model) for seat, model in seats.items())


class Company(NamedTuple):
    """A scene with those who play it."""

    scenario: Scenario
    cast: Mapping[str, Persona]
    culture_id: str


@dataclass(frozen=True, slots=True)
class Seats:
    """Models by name, and where they sit."""

    rules: tuple[SeatRule, ...] = ()
    rotate: bool = False
    models: Mapping[str, Seat] = field(default_factory=dict)

    def of(self, company: Company, replicate: int) -> dict[str, Seat]:
        """Return what plays each role that has a seat."""
        names = seated(company, self.rules, replicate if self.rotate else 0)
        return {role: self.models[name] for role, name in names.items()}


NO_SEATS = Seats()


def seated(company: Company, rules: Sequence[SeatRule], shift: int = 0) -> dict[str, str]:
    """Return the model's name for each role that has a seat: its own, that of its team, that which
    selects its persona, or that of all others; of several the first. A shift moves every model on
    by so many roles, in the order of the file.
    """
    scenario, found = company.scenario, dict[str, str | None]()
    named = {rule.seat: rule.model for rule in reversed(rules) if rule.seat}
    chosen = [(rule.select, rule.model) for rule in rules if rule.select]
    for role in scenario.roles:
        person = company.cast[role]
        teams = (named[team] for team in scenario.teams_of(role) if team in named)
        selected = (name for sel, name in chosen if meets(sel, person, company.culture_id))
        found[role] = (
            named.get(role) or next(teams, None) or next(selected, None) or named.get(OTHERS)
        )
    taken, count = list(found.values()), len(found)
    moved = {role: taken[(n + shift) % count] for n, role in enumerate(found)}
    return {role: name for role, name in moved.items() if name is not None}
