"""Who plays whom: one persona for each role, nobody twice.

Invariant: a cast is found whenever one exists, and the same generator state gives the same cast.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from folkways.errors import UserError
from scenarios.parsing.problem import suggest
from scenarios.persona import Persona
from scenarios.scenario import Role, Scenario, Selector
from scenarios.words import contains


class Obstacle(NamedTuple):
    """Why a scenario cannot be cast."""

    roles: tuple[str, ...]
    """The roles that together ask for more than there is."""
    reason: str


def eligible(role: Role, culture_id: str, personas: Mapping[str, Persona]) -> list[Persona]:
    """Return who may play a role in a scene of the given culture, in the order of their ids."""
    tests = [test for _, test in _constraints(role, culture_id)]
    people = (personas[key] for key in sorted(personas))
    return [persona for persona in people if all(test(persona) for test in tests)]


def meets(select: Selector, persona: Persona, culture_id: str) -> bool:
    """Return whether a persona meets a selector in a scene of the given culture."""
    return all(test(persona) for _, test in _selected(select, culture_id))


def cast_scenario(
    scenario: Scenario, culture_id: str, personas: Mapping[str, Persona], rng: random.Random
) -> dict[str, Persona]:
    """Draw one persona for every role, all of them different.

    Raises UserError that names the roles and the constraint where no cast exists.
    """
    candidates = _candidates(scenario, culture_id, personas)
    for name in candidates:
        rng.shuffle(candidates[name])
    order = sorted(candidates)
    rng.shuffle(order)
    order.sort(key=lambda name: scenario.roles[name].persona is None)
    match, stuck = _match(order, candidates)
    if stuck:
        why = _explain(stuck, scenario, culture_id, personas, candidates)
        raise UserError(f"scenario '{scenario.id}' cannot be cast in {culture_id}: {why}")
    everyone = {**personas, **_own(scenario)}
    return {name: everyone[match[name]] for name in scenario.roles}


def obstacles(
    scenario: Scenario, culture_id: str, personas: Mapping[str, Persona]
) -> list[Obstacle]:
    """Return why the scenario cannot be cast from these personas; nothing when it can."""
    candidates = _candidates(scenario, culture_id, personas)
    groups = [(name,) for name in candidates if not candidates[name]]
    _, stuck = _match([name for name in candidates if candidates[name]], candidates)
    return [
        Obstacle(group, _explain(group, scenario, culture_id, personas, candidates))
        for group in (*groups, stuck)
        if group
    ]


def named_cultures(scenario: Scenario) -> set[str]:
    """Return the ids of the cultures that a scenario and its selectors name."""
    selects = [role.select for role in scenario.roles.values() if role.select]
    lists = [select.culture for select in selects if not isinstance(select.culture, str)]
    return {
        *({scenario.culture} if scenario.culture else ()),
        *(c for names in lists for c in names),
    }


def _own(scenario: Scenario) -> dict[str, Persona]:
    """Return the people written for the scene alone, by id."""
    return {persona.id: persona for persona in scenario.personas}


def _candidates(
    scenario: Scenario, culture_id: str, personas: Mapping[str, Persona]
) -> dict[str, list[str]]:
    """Return the ids of those who may play each role; the scene's own people only where named."""
    own = _own(scenario)
    return {
        name: [role.persona]
        if role.persona in own
        else [persona.id for persona in eligible(role, culture_id, personas)]
        for name, role in scenario.roles.items()
    }


def _constraints(role: Role, culture_id: str) -> list[tuple[str, Callable[[Persona], bool]]]:
    """Return what a role asks for, each constraint in words and as a test."""
    if role.persona is not None:
        return [(f"the persona '{role.persona}'", lambda persona: persona.id == role.persona)]
    return _selected(role.select or Selector(), culture_id)


def _selected(select: Selector, culture_id: str) -> list[tuple[str, Callable[[Persona], bool]]]:
    """Return what a selector asks for, each constraint in words and as a test."""
    found: list[tuple[str, Callable[[Persona], bool]]] = []
    if select.culture != "any":
        cultures = (culture_id,) if select.culture == "scene" else tuple(select.culture)
        text = f"culture {' or '.join(cultures)}"
        found.append((text, lambda persona: persona.culture in cultures))
    if select.age is not None:
        youngest, oldest = select.age
        text = f"age {youngest} to {oldest}"
        found.append((text, lambda persona: youngest <= persona.age <= oldest))
    if select.occupation is not None:
        sought = select.occupation
        text = f"occupation {' or '.join(sought)}"
        found.append((text, lambda p: any(contains(p.occupation, word) for word in sought)))
    for name in ("gender", "education", "settlement", "marital_status"):
        wanted = getattr(select, name)
        if wanted is not None:
            text = f"{name.replace('_', ' ')} {' or '.join(wanted)}"
            found.append((text, _one_of(name, wanted)))
    return found


def _one_of(name: str, wanted: Sequence[str]) -> Callable[[Persona], bool]:
    return lambda persona: getattr(persona, name) in wanted


def _match(
    order: Sequence[str], candidates: Mapping[str, Sequence[str]]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Match roles to personas by augmenting paths (Kuhn 1955).

    Returns the match and, where it is not complete, the roles that share too few candidates: all
    that were reached in the failed search for one of them (Hall's condition fails for these).
    """
    taken: dict[str, str] = {}

    def place(name: str, tried: set[str]) -> bool:
        for persona in candidates[name]:
            if persona in tried:
                continue
            tried.add(persona)
            if persona not in taken or place(taken[persona], tried):
                taken[persona] = name
                return True
        return False

    for name in order:
        tried: set[str] = set()
        if not place(name, tried):
            rivals = {taken[persona] for persona in tried}
            return {}, tuple(sorted({name, *rivals}))
    return {name: persona for persona, name in taken.items()}, ()


def _explain(
    stuck: Sequence[str],
    scenario: Scenario,
    culture_id: str,
    personas: Mapping[str, Persona],
    candidates: Mapping[str, Sequence[str]],
) -> str:
    if len(stuck) > 1:
        shared = sorted({persona for name in stuck for persona in candidates[name]})
        return (
            f"the roles {', '.join(stuck)} need {len(stuck)} different personas, "
            f"and only {len(shared)} will do for them ({', '.join(shared)})"
        )
    name, left = stuck[0], list(personas.values())
    for text, test in _constraints(scenario.roles[name], culture_id):
        remaining = [persona for persona in left if test(persona)]
        if left and not remaining:
            near = suggest(scenario.roles[name].persona or "", personas)
            return f"for the role '{name}', none of {len(left)} personas meets: {text}{near}"
        left = remaining
    return f"for the role '{name}' there are no personas at all"
