"""The code that a scenario may name: turn policies and stop rules of one's own.

Invariant: without leave nothing of it is imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from folkways.errors import UserError
from folkways.registry import look_beside, require_signature, resolve_foreign
from scenarios.parsing.problem import Keys
from scenarios.scenario import POLICY_OPTIONS, POLICY_PARAMETERS, Scenario
from scenarios.stopping import RULE_PARAMETERS, RULES, Options

_ENDINGS = (
    "turn-limit",
    "round-limit",
    "token-limit",
    "wall-limit",
    "phases-over",
    "event",
    "empty-stage",
    "model-failure",
    "endpoint-failure",
    "budget",
    "error",
)
"""Reasons why an episode ends that are not stop rules."""


class _Kind(NamedTuple):
    """A kind of function that a scenario names."""

    options: Mapping[str, tuple[str, ...]]
    """The shipped ones, with the options that each takes."""
    parameters: tuple[str, ...]
    awaited: bool
    """Whether it has to be async."""


KINDS = {
    "turn policy": _Kind(POLICY_OPTIONS, POLICY_PARAMETERS, True),
    "stop rule": _Kind(dict.fromkeys(RULES, ()), RULE_PARAMETERS, False),
}


class CodeName(NamedTuple):
    """What a scenario names in one place, shipped or not."""

    kind: str
    name: str
    options: Options
    key: Keys
    """The way to the name from there."""


def code_names(scene: Scenario) -> Iterator[tuple[Keys, CodeName]]:
    """Yield the turn policies and stop rules that a scenario names, with the way to each."""
    for path, policy in scene.policies():
        yield path, CodeName("turn policy", policy.name, policy.options, ())
    for path, rule in scene.rules():
        yield path, CodeName("stop rule", rule.rule, rule.options, ("rule",))


def require_usable(one: CodeName) -> None:
    """Raise UserError for a name that stands for nothing usable, or code that is not allowed."""
    kind = KINDS[one.kind]
    if one.name in kind.options:
        return
    if one.name in _ENDINGS:
        raise UserError(f"stop rule '{one.name}' has the name of another ending; rename it")
    found = resolve_foreign(one.kind, one.name, dict.fromkeys(kind.options, ""))
    require_signature(one.kind, one.name, found, kind.parameters, kind.awaited)


def require_code(scene: Scenario, path: Path | None = None) -> None:
    """Raise UserError for a turn policy or stop rule that cannot be used, or is not allowed.

    `path` is the file of the scenario, beside which its modules are sought.
    """
    if path:
        look_beside(path)
    for _, one in code_names(scene):
        require_usable(one)
