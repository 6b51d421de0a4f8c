"""What is wrong with the tests and the benchmarks of a scene: names that nothing has.

Invariant: a test that passes has looked at something that the scene has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from scenarios.parsing.problem import Finding, Keys, nearest, show_value, suggest
from scenarios.scenario import Scenario
from scenarios.world.schema import Expected
from scenarios.world.scope import NO_OUTCOME

_READ = ("equilibrium", "optimum")
"""Benchmarks that results are shown beside."""


def expected_faults(scene: Scenario) -> Iterator[Finding]:
    """Yield names in tests and benchmarks that nothing has."""
    for number, test in enumerate(scene.tests):
        path: Keys = ("tests", number)
        yield from _unknown((*path, "plays"), "role", test.plays, scene.roles)
        yield from _expected(scene, (*path, "expect"), test.expect)
    yield from _judged(scene)
    for number, one in enumerate(scene.benchmarks):
        if one.name not in _READ and (near := nearest(one.name, _READ)):
            message = f"nearly '{near}'; keep it if it is a benchmark of your own"
            yield Finding(("benchmarks", number, "name"), message, one.name, severity="warning")


def _expected(scene: Scenario, path: Keys, wanted: Expected) -> Iterator[Finding]:
    yield from _unknown((*path, "payoffs"), "role", wanted.payoffs, scene.roles)
    yield from _unknown((*path, "gone"), "role", wanted.gone or (), scene.roles)
    for number, roles in wanted.hears.items():
        yield from _unknown((*path, "hears", str(number)), "role", roles, scene.roles)
    yield from _unknown((*path, "world"), "variable", wanted.world, scene.world)
    for name, values in wanted.world.items():
        if isinstance(values, dict):
            yield from _unknown((*path, "world", name), "role", values, scene.roles)
        for value in values.values() if isinstance(values, dict) else (values,):
            if name in scene.world and not scene.world[name].fits(value):
                yield Finding((*path, "world", name), "not a value it can have", show_value(value))


def _unknown(
    path: Keys, what: str, names: Collection[str], known: Collection[str]
) -> Iterator[Finding]:
    for name in names:
        if name not in known:
            yield Finding(path, f"no such {what}{suggest(name, known)}", name, ", ".join(known))


def _judged(scene: Scenario) -> Iterator[Finding]:
    """Yield what tests have a game master choose, and no act has."""
    known = [name for act in scene.acts.values() for name in act.outcomes]
    for number, test in enumerate(scene.tests):
        for place, name in enumerate(test.judged):
            if name not in (*known, NO_OUTCOME):
                message = f"no such outcome{suggest(name, known)}"
                allowed = ", ".join([*known, NO_OUTCOME])
                yield Finding(("tests", number, "judged", place), message, name, allowed)
