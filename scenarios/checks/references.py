"""Names in a scenario file that name nothing, and choices that exclude each other.

Invariant: every fault is found at the place where the name is used.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from folkways.registry import offered
from scenarios.checks.consistency import inconsistencies
from scenarios.code import KINDS, CodeName, code_names
from scenarios.culture import culture_meant
from scenarios.parsing.problem import Finding, Keys, show_value, suggest
from scenarios.persona import Persona
from scenarios.scenario import Scenario

_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def wrong_names(
    scene: Scenario, personas: Mapping[str, Persona], cultures: Collection[str]
) -> Iterator[Finding]:
    """Yield every reference to a role, event, persona, policy ... that does not exist."""
    events = [event.id for event in scene.events]
    phases = [phase.id for phase in scene.phases]
    for path, name in _role_references(scene):
        yield from _unless_known("role", path, name, scene.roles)
    for path, name in _event_references(scene):
        yield from _unless_known("event", path, name, events)
    for number, event in enumerate(scene.events):
        if event.when and event.when.phase:
            path = ("events", number, "when", "phase")
            yield from _unless_known("phase", path, event.when.phase, phases)
    own = [persona.id for persona in scene.personas]
    for name, role in scene.roles.items():
        if role.persona and role.persona not in personas and role.persona not in own:
            message = f"no persona has this id{suggest(role.persona, [*own, *personas])}"
            yield Finding(("roles", name, "persona"), message, show_value(role.persona))
    for path, culture in _culture_references(scene):
        meant = None if culture in cultures else culture_meant(culture)
        yield from _unless_known("culture", path, culture, cultures, meant)
    for path, one in code_names(scene):
        yield from _unless_usable(path, one)
    for path, tag in _languages(scene):
        if not _LANGUAGE_TAG.fullmatch(tag):
            yield Finding(
                path, "not a language tag", show_value(tag), "BCP 47, such as en or pt-BR"
            )


def _unless_usable(path: Keys, one: CodeName) -> Iterator[Finding]:
    """Yield what is wrong with the name of a turn policy or stop rule, and with its options."""
    shipped = KINDS[one.kind].options
    known = [*shipped, *offered(one.kind)]
    if one.name not in known and not _IMPORT_PATH.fullmatch(one.name):
        message = f"unknown {one.kind}{suggest(one.name, known)}"
        allowed = f"{', '.join(known)}, or an import path module:function"
        yield Finding((*path, *one.key), message, show_value(one.name), allowed)
    options = shipped.get(one.name, tuple(one.options))
    for option in sorted(set(one.options).difference(options)):
        message = f"'{one.name}' has no such option{suggest(option, options)}"
        allowed = ", ".join(options) or "no option at all"
        yield Finding((*path, "options", option), message, allowed=allowed, key=True)


def contradictions(scene: Scenario) -> Iterator[Finding]:
    """Yield ids given twice, and keys of which exactly one must be given."""
    for section, ids in (
        ("events", [event.id for event in scene.events]),
        ("phases", [phase.id for phase in scene.phases]),
        ("norms", [norm.id for norm in scene.norms]),
        ("personas", [persona.id for persona in scene.personas]),
    ):
        for number, id_ in enumerate(ids):
            if id_ in ids[:number]:
                yield Finding((section, number, "id"), "this id is taken", show_value(id_))
    yield from _ties(scene)
    for name, team in scene.teams.items():
        if len(set(team.roles)) < len(team.roles):
            yield Finding(("teams", name, "roles"), "a role is named twice; keep one")
    yield from _own_people(scene)
    players = Counter(role.persona for role in scene.roles.values())
    for name, role in scene.roles.items():
        if role.persona and role.select:
            message = "a role has either a persona or a selector, not both"
            yield Finding(("roles", name, "select"), message, key=True)
        if role.persona and players[role.persona] > 1:
            message = "one persona cannot play two roles"
            yield Finding(("roles", name, "persona"), message, show_value(role.persona))
        if role.select and role.select.age and role.select.age[0] > role.select.age[1]:
            message = "the youngest age comes first"
            yield Finding(("roles", name, "select", "age"), message, str(list(role.select.age)))
    for number, event in enumerate(scene.events):
        path = ("events", number)
        if (event.at is None) == (event.when is None):
            given = "both are given" if event.when else "neither is given"
            yield Finding(path, f"an event needs exactly one of at and when; {given}")
        if event.when is not None and len(event.when.model_dump(exclude_none=True)) != 1:
            given = ", ".join(event.when.model_dump(exclude_none=True)) or "none"
            yield Finding((*path, "when"), f"needs exactly one key; {given} given", key=True)
        if event.every and not (event.when and (event.when.quiet or event.when.still)):
            message = "only an event with when: {quiet: N} or {still: N} can happen again"
            yield Finding((*path, "every"), message, key=True)
        elif event.every and event.ends:
            message = "has no effect on an event that ends the scene"
            yield Finding((*path, "every"), message, severity="warning", key=True)


def _own_people(scene: Scenario) -> Iterator[Finding]:
    """Yield what is amiss with the people written for the scene."""
    played = {role.persona for role in scene.roles.values()}
    for number, persona in enumerate(scene.personas):
        if persona.id not in played:
            yield Finding(
                ("personas", number, "id"),
                "no role names this person",
                show_value(persona.id),
                severity="warning",
            )
        for sentence in inconsistencies(persona):
            yield Finding(("personas", number), sentence, severity="warning")


def _ties(scene: Scenario) -> Iterator[Finding]:
    seen: dict[frozenset[str], int] = {}
    for number, tie in enumerate(scene.relationships):
        path, pair = ("relationships", number, "between"), frozenset(tie.between)
        if len(pair) == 1:
            yield Finding(path, "a role has no relationship to itself", tie.between[0])
        elif pair in seen:
            message = f"the relationship of these two is already given, as number {seen[pair] + 1}"
            yield Finding(path, message, ", ".join(tie.between))
        seen.setdefault(pair, number)


def _unless_known(
    kind: str, path: Keys, name: str, known: Collection[str], meant: str | None = None
) -> Iterator[Finding]:
    if name not in known:
        hint = f", did you mean '{meant}'?" if meant else suggest(name, known)
        message = f"no such {kind}{hint}"
        yield Finding(path, message, show_value(name), ", ".join(known) or f"there is no {kind}")


def _list(path: Keys, names: Sequence[str] | None) -> Iterator[tuple[Keys, str]]:
    for number, name in enumerate(names or ()):
        yield (*path, number), name


def _role_references(scene: Scenario) -> Iterator[tuple[Keys, str]]:
    for name, team in scene.teams.items():
        yield from _list(("teams", name, "roles"), team.roles)
    for number, tie in enumerate(scene.relationships):
        yield from _list(("relationships", number, "between"), tie.between)
    if scene.opens:
        yield ("opens",), scene.opens
    for path, rule in scene.rules():
        yield from _list((*path, "roles"), rule.roles)
    for number, phase in enumerate(scene.phases):
        yield from _list(("phases", number, "who"), phase.who)
        if not isinstance(phase.hears, str):
            yield from _list(("phases", number, "hears"), phase.hears)
    for number, event in enumerate(scene.events):
        yield from _list(("events", number, "audience"), event.audience)
        if event.when and event.when.leaves not in (None, "anyone"):
            yield ("events", number, "when", "leaves"), event.when.leaves
    for path, policy in scene.policies():
        if policy.name == "moderator" and "moderator" in policy.options:
            yield (*path, "options", "moderator"), str(policy.options["moderator"])


def _event_references(scene: Scenario) -> Iterator[tuple[Keys, str]]:
    for name, role in scene.roles.items():
        if role.enters:
            yield ("roles", name, "enters"), role.enters
    for number, event in enumerate(scene.events):
        if event.when and event.when.event:
            yield ("events", number, "when", "event"), event.when.event
    for number, phase in enumerate(scene.phases):
        if phase.until and phase.until.event:
            yield ("phases", number, "until", "event"), phase.until.event


def _culture_references(scene: Scenario) -> Iterator[tuple[Keys, str]]:
    if scene.culture:
        yield ("culture",), scene.culture
    for name, role in scene.roles.items():
        if role.select and not isinstance(role.select.culture, str):
            yield from _list(("roles", name, "select", "culture"), role.select.culture)


def _languages(scene: Scenario) -> Iterator[tuple[Keys, str]]:
    yield ("language",), scene.language
    for name, role in scene.roles.items():
        if role.language is not None:
            yield ("roles", name, "language"), role.language
