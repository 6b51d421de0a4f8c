"""Values of a world that a branch is given.

Invariant: a value that its variable cannot have never gets into a log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from folkways.errors import UserError, unknown_name
from scenarios.scenario import Scenario
from scenarios.world.schema import Value
from simulation.episode.entry import Entry
from simulation.episode.world_state import bounds


def set_world(step: int, values: Mapping[str, Value]) -> Entry:
    """Return the entry of the log that sets values: VARIABLE or VARIABLE.ROLE to value."""
    places = ((place.partition("."), value) for place, value in values.items())
    return {
        "kind": "world",
        "step": step,
        "name": "branch",
        "text": None,
        "audience": [],
        "changes": [[name, role or None, value] for (name, _, role), value in places],
    }


def read_value(scenario: Scenario, place: str, text: str) -> Value:
    """Return a value as the variable at a place, VARIABLE or VARIABLE.ROLE, keeps it.

    Raises UserError for an unknown variable or role, and for a value that it cannot have.
    """
    name, _, role = place.partition(".")
    if name not in scenario.world:
        raise unknown_name("variable", name, scenario.world)
    variable = scenario.world[name]
    if variable.each and role not in scenario.roles:
        raise UserError(
            f"--set world.{place}: each role has one; give world.{name}.ROLE=VALUE, with one of "
            f"{', '.join(scenario.roles)}"
        )
    if role and not variable.each:
        raise UserError(f"--set world.{place}: there is one for all; give world.{name}=VALUE")
    read: dict[str, Callable[[str], Value]] = {"integer": int, "number": float, "boolean": _truth}
    try:
        value = read.get(variable.type, str)(text)
    except ValueError:
        value = text
    if not variable.fits(value):
        raise UserError(f"--set world.{place}={text:.40}: it is {bounds(variable)}")
    return value


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"
