"""Expressions about a world, in CEL (Common Expression Language), worked out by its own engine.

Invariant: an expression reads the values that it is given and nothing else; whatever cannot be
worked out raises `WorldFault`, and no value is made up for it.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from typing import Any

from folkways.errors import FolkwaysError
from scenarios.world.schema import INTEGER_LIMIT

_OWN_VALUE = re.compile(r"\b([a-z][a-z0-9_]*)\[(self|each)\]")
"""A variable's value for the role that an expression is worked out for."""
_ALONE = r"ONE_\1_OF_\2"
"""Its name in a program; ids of variables have no capitals."""
_BINDS = re.compile(r"""["']|\.\s*(?:all|exists|exists_one|filter|map)\b""")
"""What may make these words mean something else: texts, and names that a macro binds."""
_SHOWN = 60
"""Characters of an expression that a fault repeats."""


class WorldFault(FolkwaysError):
    """Something in a world cannot be worked out, in words."""


def _numbers(values: Any) -> list[Any]:
    return list(values.values() if isinstance(values, dict) else values)


def _least(*values: Any) -> Any:
    return min(_numbers(values[0]) if isinstance(values[0], dict | list) else values)


def _greatest(*values: Any) -> Any:
    return max(_numbers(values[0]) if isinstance(values[0], dict | list) else values)


def _count(values: Any, among: Any = None) -> int:
    """Return how many roles have true, or how many are in a list; of some roles alone where these
    are given."""
    found = [key for key, value in values.items() if value] if isinstance(values, dict) else values
    return len(found) if among is None else len(set(found).intersection(among))


def _best(values: Any) -> list[str]:
    """Return the roles with the greatest value."""
    return [role for role, value in values.items() if value == max(values.values())]


def _nth(values: Any, place: int) -> Any:
    """Return the value at a place, from 1, with the greatest first."""
    return sorted(_numbers(values), reverse=True)[place - 1 if place > 0 else len(values)]


def _first(values: Sequence[str], order: Sequence[str] = ()) -> str:
    """Return the first of some roles; the engine's maps and lists have no order to go by."""
    return min(values, key=order.index)


def _sum(values: Any) -> Any:
    """Return a sum that does not depend on the order."""
    numbers = _numbers(values)
    return math.fsum(numbers) if any(isinstance(one, float) for one in numbers) else sum(numbers)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "min": _least,
    "max": _greatest,
    "sum": _sum,
    "count": _count,
    "best": _best,
    "nth": _nth,
    "first": _first,
    "abs": abs,
    "floor": lambda value: math.floor(value),
    "ceil": lambda value: math.ceil(value),
    "round": lambda value: math.floor(value + 0.5),
}
"""Functions beside CEL's own."""


@cache
def _engine() -> Any:
    """Return CEL's compiled module without its package, which would bring in a command line."""
    package = importlib.util.find_spec("cel")
    places = package.submodule_search_locations if package else None
    found = importlib.machinery.PathFinder.find_spec("cel.cel", list(places or ()))
    if found is None or found.loader is None:
        raise ImportError("the package common-expression-language is not installed")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@dataclass(frozen=True, slots=True)
class Formula:
    """An expression that is ready to be worked out."""

    text: str
    program: Any
    names: tuple[str, ...]
    """What it reads, names bound in it included."""
    given: tuple[str, ...]
    """What the program is given of that, whole."""
    looked_up: Mapping[str, tuple[str, str]]
    """What it is given alone, by its name in the program: the value that a variable has for a role.
    The engine would take ten times as long to take in the whole variable."""
    functions: Mapping[str, Callable[..., Any]]
    constant: bool | int | float | str | None = None
    """Its value, where it reads nothing."""

    def __call__(self, known: Mapping[str, Any], own: Mapping[str, Any] | None = None) -> Any:
        """Return its value; `own` goes before what is known. Raises WorldFault."""
        if self.constant is not None:
            return self.constant
        given: dict[str, Any] = dict(self.functions)
        if "first" in given:
            given["first"] = partial(_first, order=known.get("roles", ()))
        for name in self.given:
            if own and name in own:
                given[name] = own[name]
            elif name in known:
                given[name] = known[name]
        try:
            for name, (variable, role) in self.looked_up.items():
                given[name] = known[variable][(own or known)[role]]
            value = self.program.execute(given)
        except Exception as error:  # the engine raises whatever Python's own operators would
            raise WorldFault(f"'{self.text:.{_SHOWN}}' {_why(error)}") from error
        if isinstance(value, int | float) and not abs(value) <= INTEGER_LIMIT:
            raise WorldFault(f"'{self.text:.{_SHOWN}}' has no value that can be kept: {value}")
        return value


def _why(error: Exception) -> str:
    if isinstance(error, ZeroDivisionError):
        return "divides by zero"
    if isinstance(error, OverflowError):
        return "is too large a number"
    if isinstance(error, KeyError):
        return f"asks for {error}, which there is not"
    return f"has no value: {' '.join(str(error).split()):.200}"


@lru_cache(maxsize=4096)
def compiled(text: str) -> Formula:
    """Return an expression made ready. Raises WorldFault for one that is not well-formed."""
    alone = set() if _BINDS.search(text) else set(_OWN_VALUE.findall(text))
    try:
        used = _engine().compile(text).references()
        program = _engine().compile(_OWN_VALUE.sub(_ALONE, text) if alone else text)
    except Exception as error:
        raise WorldFault(f"'{text:.{_SHOWN}}' is not an expression") from error
    looked_up = {f"ONE_{variable}_OF_{role}": (variable, role) for variable, role in alone}
    given = tuple(set(program.references()["variables"]) - looked_up.keys())
    functions = {name: FUNCTIONS[name] for name in used["functions"] if name in FUNCTIONS}
    formula = Formula(text, program, tuple(used["variables"]), given, looked_up, functions)
    if used["variables"] or used["functions"]:
        return formula
    with suppress(WorldFault):  # what cannot be worked out fails when it is needed
        if isinstance(value := formula({}), bool | int | float | str):
            return replace(formula, constant=value)
    return formula


def read_by(text: str) -> Collection[str]:
    """Return the names that an expression reads. Raises WorldFault as `compiled` does."""
    return compiled(text).names
