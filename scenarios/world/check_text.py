"""What is wrong with single expressions and texts of a world.

Invariant: what nobody may know before an act is in no bound and no report.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from scenarios.parsing.problem import Finding, Keys, show_value
from scenarios.scenario import Scenario
from scenarios.world.expression import WorldFault, read_by
from scenarios.world.expression_type import fits, type_of
from scenarios.world.schema import Outcome

PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")
Names = Mapping[str, str]
"""Names that may be read, with their types."""


def hidden_faults(
    scene: Scenario, path: Keys, text: str | None, who: Collection[str]
) -> Iterator[Finding]:
    """Yield what an agent would be told of by a bound, though it is hidden from it."""
    try:
        read = read_by(text) if text else ()
    except WorldFault:
        return
    for name in read:
        variable = scene.world.get(name)
        if variable is None or variable.visible == "all":
            continue
        if variable.visible in ("owner", "team"):
            if re.search(rf"\b{name}\b(?!\s*\[\s*self\s*\])", text or ""):
                message = f"tells whoever acts of others' '{name}'; only {name}[self] can be told"
                yield Finding(path, message, show_value(text))
        elif variable.visible == "nobody" or set(who).difference(variable.visible):
            message = f"tells whoever acts of '{name}', which is not visible to them"
            yield Finding(path, message, show_value(text))


def outcome_faults(
    scene: Scenario, path: Keys, outcome: Outcome, names: Names, more: Names
) -> Iterator[Finding]:
    """Yield what is wrong with what comes of a vote, or of an act that is judged."""
    yield from type_faults((*path, "removes"), outcome.removes, names, "some roles")
    yield from type_faults((*path, "returns"), outcome.returns, names, "some roles")
    yield from report_faults(scene, (*path, "report"), outcome.report, more)


def report_faults(scene: Scenario, path: Keys, text: str | None, own: Names) -> Iterator[Finding]:
    """Yield what stands in braces in a report and is unknown, or hidden from those who are told."""
    for place in PLACE.findall(text or ""):
        variable = scene.world.get(place)
        if place in (*own, *scene.roles, "round"):
            continue
        if variable is None or variable.each:
            known = [name for name, one in scene.world.items() if not one.each]
            allowed = ", ".join([*known, "round", *own])
            yield Finding(path, f"'{{{place}}}' is not known there", allowed=allowed)
        elif variable.visible != "all":
            message = f"tells everyone of '{place}', which is not visible to all"
            yield Finding(path, message)


def type_faults(path: Keys, text: str | None, names: Names, wanted: str) -> Iterator[Finding]:
    """Yield what is wrong with an expression."""
    if text is None:
        return
    try:
        found = type_of(text, names)
    except WorldFault as fault:
        yield Finding(path, str(fault), show_value(text))
        return
    if not fits(found, wanted):
        meant = "a role or a list of roles" if wanted == "some roles" else wanted
        yield Finding(path, f"must be {meant}, and is {found}", show_value(text))


def number_faults(path: Keys, text: str | None, names: Names) -> Iterator[Finding]:
    yield from type_faults(path, text, names, "number")


def share_faults(path: Keys, text: str | None, names: Names) -> Iterator[Finding]:
    """Yield what is wrong with a measure of cooperation."""
    found = list(type_faults(path, text, names, "number"))
    yield from found if list(type_faults(path, text, names, "boolean")) else ()
