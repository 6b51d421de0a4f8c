"""The type of an expression, worked out before anything is played.

Only the part of CEL that can be typed here is allowed: numbers, texts in quotes, names, indexes,
the operators, `? :`, lists, the macros over roles, and the functions below.

Invariant: an expression that passes has the same type whatever the values are, and can fail only by
dividing by zero or by growing too large.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from scenarios.parsing.problem import suggest
from scenarios.world.expression import WorldFault, compiled
from scenarios.world.schema import INTEGER_LIMIT

MAX_DEPTH = 20
"""Brackets within one another."""
MAX_NESTED = 2
"""Macros over roles within one another; each goes through all roles for every role of the last."""
NUMERIC = ("integer", "number")
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+\.[0-9]+|[0-9]+)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<text>'[^'\\]*'|\"[^\"\\]*\")|(?P<sign>&&|\|\||[<>=!]=|[-+*/%<>!?:()\[\],.]))"
)
_MACROS = {"filter": "roles", "exists": "boolean", "all": "boolean", "exists_one": "boolean"}
_LEVELS = (("||",), ("&&",), ("<", "<=", ">", ">=", "==", "!=", "in"), ("+", "-"), ("*", "/", "%"))
_RULES = "write 2.0 for 2, double(x) for x, or int(x)"


class Mistyped(WorldFault):
    """What is wrong with an expression, and where in it."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(f"{message} (character {at + 1})")


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def type_of(text: str, names: Mapping[str, str]) -> str:
    """Return the type of an expression: integer, number, boolean, text, role, roles, texts, or
    `each:` and one of these for a value of each role.

    `names` are those it may read, with their types. Raises Mistyped.
    """
    reader = _Reader(_tokens(text), names, len(text))
    found = reader.choice()
    if reader.here.kind != "end":
        raise Mistyped(f"'{reader.here.text}' does not belong there", reader.here.at)
    formula = compiled(text)
    for name in {*formula.names} & {*formula.functions}:
        message = f"'{name}' is a function and a name in one expression; work one out elsewhere"
        raise Mistyped(message, text.index(name))
    return found


def fits(found: str, wanted: str) -> bool:
    """Return whether a value of one type can stand where another is wanted."""
    if found == wanted or (wanted == "text" and found == "role"):
        return True
    if wanted == "some roles":
        return found in ("role", "roles", "each:boolean")
    return wanted == "number" and found == "integer"


def _tokens(text: str) -> list[_Token]:
    tokens, at = list[_Token](), 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if not found or not found.lastgroup:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise Mistyped(f"'{text[at]}' cannot stand in an expression", at)
        tokens.append(_Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup)))
        at = found.end()
    return [*tokens, _Token("end", "the end", len(text))]


class _Reader:
    """Reads tokens from left to right, an operator's level at a time, and types what it reads."""

    def __init__(self, tokens: list[_Token], names: Mapping[str, str], size: int) -> None:
        self.tokens, self.names, self.place, self.depth = tokens, dict(names), 0, 0
        self.nested = 0

    @property
    def here(self) -> _Token:
        return self.tokens[self.place]

    def take(self, *signs: str) -> _Token | None:
        """Take the token if it is one of these."""
        token = self.here
        if token.text in signs and token.kind in ("sign", "name"):
            self.place += 1
            return token
        return None

    def need(self, sign: str) -> None:
        if not self.take(sign):
            raise Mistyped(f"'{sign}' is missing before {self.here.text}", self.here.at)

    def choice(self) -> str:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Mistyped(f"more than {MAX_DEPTH} brackets within one another", self.here.at)
        at, found = self.here.at, self.level(0)
        if self.take("?"):
            self.must(found, "boolean", at)
            first = self.choice()
            self.need(":")
            found = self.same(first, self.choice(), at)
        self.depth -= 1
        return found

    def level(self, number: int) -> str:
        if number == len(_LEVELS):
            return self.unary()
        left = self.level(number + 1)
        while operator := self.take(*_LEVELS[number]):
            left = self.operation(operator, left, self.level(number + 1))
        return left

    def operation(self, operator: _Token, left: str, right: str) -> str:
        sign, at = operator.text, operator.at
        if sign in ("||", "&&"):
            self.must(left, "boolean", at)
            return self.must(right, "boolean", at)
        if sign == "in":
            if right not in ("roles", "texts") and not right.startswith("each:"):
                raise Mistyped(f"'in' looks in a list, and this is {right}", at)
            return "boolean"
        if sign in ("==", "!="):
            self.same(left, right, at)
            return "boolean"
        if left not in NUMERIC or left != right:
            told = f"'{sign}' needs numbers, both of one type"
            raise Mistyped(f"{told}; these are {left} and {right}: {_RULES}", at)
        if sign in ("/", "%") and self.tokens[self.place - 1].text in ("0", "0.0"):
            raise Mistyped("divides by zero", at)
        return "boolean" if sign in _LEVELS[2] else left

    def unary(self) -> str:
        if token := self.take("!", "-"):
            if self.here.text in ("!", "-"):
                raise Mistyped(f"'{self.here.text}' follows another sign", self.here.at)
            found = self.unary()
            if token.text == "!":
                return self.must(found, "boolean", token.at)
            if found not in NUMERIC:
                raise Mistyped(f"'-' needs a number, and this is {found}", token.at)
            return found
        found = self.primary()
        while token := self.take("[", "."):
            if token.text == ".":
                found = self.macro(found)
                continue
            at = self.here.at
            index = self.choice()
            if not found.startswith("each:"):
                raise Mistyped(f"only a value of each role has an index, and this is {found}", at)
            if index != "role":
                raise Mistyped(f"the index is a role, and this is {index}", at)
            self.need("]")
            found = found.removeprefix("each:")
        return found

    def primary(self) -> str:
        token = self.here
        self.place += 1
        if token.kind == "number":
            if float(token.text) > INTEGER_LIMIT:
                raise Mistyped("a number of more than 2^53 cannot be kept", token.at)
            return "number" if "." in token.text else "integer"
        if token.kind == "text":
            return "text"
        if token.text == "(":
            found = self.choice()
            self.need(")")
            return found
        if token.text == "[":
            return self.listed(token.at)
        if token.kind == "name" and token.text in ("true", "false"):
            return "boolean"
        if token.kind == "name" and self.take("("):
            return self.call(token)
        if token.kind == "name" and token.text in self.names:
            return self.names[token.text]
        if token.kind == "name":
            hint = suggest(token.text, [*self.names, *_CALLS])
            raise Mistyped(f"there is no '{token.text}' here{hint}", token.at)
        raise Mistyped(f"a value is missing before {token.text}", token.at)

    def listed(self, at: int) -> str:
        kinds = list[str]()
        while not self.take("]"):
            kinds.append(self.choice())
            if not self.take(","):
                self.need("]")
                break
        if not kinds or set(kinds) - {"role", "text"}:
            raise Mistyped("a list holds roles, or texts", at)
        return "roles" if set(kinds) == {"role"} else "texts"

    def macro(self, over: str) -> str:
        name = self.here
        self.place += 1
        if name.text not in _MACROS or (over != "roles" and not over.startswith("each:")):
            allowed = ", ".join(_MACROS)
            raise Mistyped(f"after a dot only {allowed} of roles can stand", name.at)
        self.need("(")
        bound = self.here
        self.place += 1
        if bound.kind != "name" or bound.text in self.names:
            raise Mistyped(f"'{bound.text}' cannot name each role in turn", bound.at)
        self.nested += 1
        if self.nested > MAX_NESTED:
            told = f"more than {MAX_NESTED} of {', '.join(_MACROS)} within one another"
            raise Mistyped(told, name.at)
        self.need(",")
        self.names[bound.text] = "role"
        self.must(self.choice(), "boolean", bound.at)
        del self.names[bound.text]
        self.nested -= 1
        self.need(")")
        return _MACROS[name.text]

    def call(self, name: _Token) -> str:
        given = list[str]()
        while not self.take(")"):
            given.append(self.choice())
            if not self.take(","):
                self.need(")")
                break
        rule = _CALLS.get(name.text)
        if rule is None:
            raise Mistyped(f"there is no function {name.text}{suggest(name.text, _CALLS)}", name.at)
        found = rule(*given) if len(given) <= 3 else None
        if found is None:
            told = ", ".join(given) or "nothing"
            raise Mistyped(f"{name.text} cannot be asked of {told}", name.at)
        return found

    def must(self, found: str, wanted: str, at: int) -> str:
        if found != wanted:
            raise Mistyped(f"{wanted} is wanted there, and this is {found}", at)
        return found

    def same(self, left: str, right: str, at: int) -> str:
        if {left, right} == {"role", "text"}:
            return "text"
        if left != right:
            more = f": {_RULES}" if {left, right} <= set(NUMERIC) else ""
            raise Mistyped(f"{left} and {right} are not of one type{more}", at)
        return left


def _extreme(*given: str) -> str | None:
    if len(given) == 1:
        return _item(given[0])
    return given[0] if given and set(given) in ({"integer"}, {"number"}) else None


def _item(of: str = "") -> str | None:
    """Return the type of the numbers in a value of each role."""
    inner = of.removeprefix("each:")
    return inner if of.startswith("each:") and inner in NUMERIC else None


def _counted(of: str = "", among: str = "roles", *more: str) -> str | None:
    right = of in ("roles", "each:boolean") and among == "roles" and not more
    return "integer" if right else None


def _one(*kinds: str, to: str | None = None) -> Callable[..., str | None]:
    """Return the rule of a function of one value."""
    return lambda *given: (to or given[0]) if len(given) == 1 and given[0] in kinds else None


_CALLS: dict[str, Callable[..., str | None]] = {
    "min": _extreme,
    "max": _extreme,
    "sum": lambda *given: _item(*given) if len(given) == 1 else None,
    "count": _counted,
    "size": lambda *given: "integer" if given in (("roles",), ("texts",)) else None,
    "best": lambda *given: "roles" if len(given) == 1 and _item(given[0]) else None,
    "nth": lambda *given: _item(given[0]) if given[1:] == ("integer",) else None,
    "first": lambda *given: "role" if given == ("roles",) else None,
    "abs": _one(*NUMERIC),
    "floor": _one("number", to="integer"),
    "ceil": _one("number", to="integer"),
    "round": _one("number", to="integer"),
    "double": _one(*NUMERIC, to="number"),
    "int": _one(*NUMERIC, to="integer"),
}
"""Functions, each with the type of its value by those of what it is asked of; None: not so."""
