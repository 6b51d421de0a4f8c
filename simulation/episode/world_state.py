"""The state of a world: what its variables are, and what acts and rules make of them.

Invariant: it is a function of the scene and of the log's entries in order, and no value ever leaves
the type and the bounds that the scene gives it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from functools import cache
from typing import Any

from agents.offer import Offer
from scenarios.scenario import Scenario
from scenarios.world.expression import WorldFault, compiled
from scenarios.world.schema import Act, Effects, Value, Variable
from scenarios.world.scope import ANSWER, TARGET, VOTE

Change = tuple[str, str | None, Value]
"""Variable, role where each has one, and the new value."""
CLOSING = ("vote:", "after:")
"""Beginnings of the names of entries that close a phase."""


class WorldState:
    """What is derived from the log of one episode about the world of its scene."""

    def __init__(self, scenario: Scenario, present: Sequence[str]) -> None:
        """`present` is the list of those who are there, which others keep up to date."""
        self.scenario, self.round, self.version = scenario, 0, 0
        self.offered: dict[str, tuple[int, tuple[Offer, ...]]] = {}
        """What each role may do, with the version of the state that it goes by."""
        votes = {VOTE for phase in scenario.phases if phase.vote}
        asked = {ANSWER for phase in scenario.phases if phase.decide}
        self.acts = frozenset({*scenario.acts, *votes, *asked})
        """Names of all typed acts of the scene."""
        self.begun: set[str] = set()
        """Phases that have begun; what branches leaves some out."""
        self.closed = False
        """Whether what the current phase ends with has been done."""
        self.values: dict[str, Any] = {
            name: {role: variable.first(role) for role in scenario.roles}
            if variable.each
            else variable.first(None)
            for name, variable in scenario.world.items()
        }
        self._known: dict[str, Any] = {
            **{role: role for role in scenario.roles},
            **{name: list(team.roles) for name, team in scenario.teams.items()},
            "roles": list(scenario.roles),
            "present": present,
            "round": 1,
            "turn": 0,
            **self.values,
        }

    def fork(self) -> WorldState:
        """Return a world that can be changed without this one."""
        other = copy(self)
        each = {name: dict(one) for name, one in self.values.items() if isinstance(one, dict)}
        other.values = self.values | each
        other._known = self._known | each | {"present": list(self._known["present"])}
        return other

    def move(self, removed: Sequence[str], returned: Sequence[str]) -> None:
        """Take roles out of those who are there, or bring them back, in this world alone."""
        present = [one for one in self._known["present"] if one not in removed]
        self._known["present"] = [*present, *(one for one in returned if one not in present)]

    def evaluate(self, text: str, own: Mapping[str, Any] | None = None) -> Any:
        """Return the value of an expression now. Raises WorldFault."""
        return compiled(text)(self._known, own)

    def roles_of(self, text: str | None, own: Mapping[str, Any] | None = None) -> list[str]:
        """Return the roles that an expression gives, in the order of the file."""
        if text is None:
            return []
        found = self.evaluate(text, own)
        if isinstance(found, str):
            found = [found]
        chosen = [one for one in found if not isinstance(found, dict) or found[one]]
        return [role for role in self.scenario.roles if role in chosen]

    def changes(self, effects: Effects, own: Mapping[str, Any] | None = None) -> list[Change]:
        """Return what effects come to, all worked out from the state now.

        Raises WorldFault for what cannot be worked out, and for a value beyond its bounds.
        """
        found = list[Change]()
        for target, text in effects.items():
            name, index = _place(target)
            if index is None:
                found.append(self._change(name, None, text, own or {}))
            elif index == "each":
                found += [
                    self._change(name, role, text, {**(own or {}), "each": role})
                    for role in self.scenario.roles
                ]
            else:
                role = (own or {}).get(index, index)
                found.append(self._change(name, role, text, own or {}))
        return found

    def _change(self, name: str, role: str | None, text: str, own: Mapping[str, Any]) -> Change:
        return (name, role, self.fitted(name, self.evaluate(text, own)))

    def fitted(self, name: str, value: Any) -> Value:
        """Return a value as its variable keeps it. Raises WorldFault for one beyond its bounds."""
        variable = self.scenario.world[name]
        if variable.type == "number" and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not variable.fits(value):
            raise WorldFault(f"'{name}' cannot be {_words(value)}; it is {bounds(variable)}")
        return value  # type: ignore[no-any-return]

    def absorb(self, changes: Iterable[Sequence[Any]], cause: str = "") -> None:
        """Take in new values, and that a phase has been closed where that is the cause."""
        self.closed |= cause.startswith(CLOSING)
        for name, role, value in changes:
            if role is None:
                self.values[name] = self._known[name] = value
            else:
                self.values[name][role] = value
        self.version += 1

    def begin_phase(self, name: str) -> None:
        """Note that a phase begins."""
        self.begun.add(name)
        repeat = self.scenario.repeat
        if repeat and repeat.phases[0] == name:
            self.round += 1
            self._known["round"] = self.round
        self.closed = False
        self.version += 1

    def next_phase(self, index: int) -> int | None:
        """Return the phase that follows one, or None where none does."""
        ids = [phase.id for phase in self.scenario.phases]
        for step in self.scenario.phases[index].next:
            if step.when is None or self.evaluate(step.when):
                return None if step.phase == "end" else ids.index(step.phase)
        repeat = self.scenario.repeat
        if repeat and repeat.phases[-1] == ids[index] and self.round < repeat.times:
            again = repeat.until is None or not self.evaluate(repeat.until)
            return ids.index(repeat.phases[0]) if again else _within(ids, index + 1)
        return _within(ids, index + 1)

    def count_turns(self, turns: int) -> None:
        """Note how many acts have been made."""
        self._known["turn"] = turns
        self.version += 1

    def visible(self, role: str) -> dict[str, dict[str, Value] | Value]:
        """Return what a role may know: values, by role where it may know those of others."""
        shown: dict[str, dict[str, Value] | Value] = {}
        team = {one for part in self.scenario.teams_of(role).values() for one in part.roles}
        for name, variable in self.scenario.world.items():
            who, value = variable.visible, self.values[name]
            if who == "all" or (isinstance(who, tuple) and role in who):
                shown[name] = value
            elif who in ("owner", "team") and variable.each:
                mates = team if who == "team" else ()
                shown[name] = {one: value[one] for one in value if one == role or one in mates}
        return shown

    def payoffs(self) -> dict[str, float | None]:
        """Return what the scene is worth to each role; None where that cannot be worked out."""
        found: dict[str, float | None] = {}
        for role in self.scenario.roles if self.scenario.payoff else ():
            try:
                found[role] = float(self.evaluate(self.scenario.payoff or "", {"self": role}))
            except WorldFault:
                found[role] = None
        return found


@cache
def _place(target: str) -> tuple[str, str | None]:
    """Return the variable of a target, and what stands in its brackets."""
    match = TARGET.fullmatch(target)
    assert match is not None
    return match[1], match[2]


def _within(ids: Sequence[str], index: int) -> int | None:
    return index if index < len(ids) else None


def allowed(world: WorldState, act: Act, role: str) -> bool:
    """Return whether a role may make an act now, whatever its arguments."""
    if act.who is not None and role not in act.who:
        return False
    return act.requires is None or bool(world.evaluate(act.requires, {"self": role}))


def bounds(variable: Variable) -> str:
    """Return what a variable may be, in words."""
    if variable.type == "choice":
        return f"one of {', '.join(variable.options)}"
    low = "" if variable.min is None else f" of at least {variable.min}"
    high = "" if variable.max is None else f" of at most {variable.max}"
    return f"{variable.type}{low}{high}"


def _words(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
