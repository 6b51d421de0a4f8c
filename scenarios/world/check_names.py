"""Which names of a world mean something else already.

Invariant: where this finds nothing, a name in an expression or in a reply means one thing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from scenarios.parsing.problem import Finding, Keys
from scenarios.scenario import ACTIONS, Scenario
from scenarios.world.expression import FUNCTIONS
from scenarios.world.scope import ANSWER, VOTE

_WORDS = (
    *("true", "false", "null", "in", "self", "each", "winner", "round", "turn", "roles", "present"),
    *("end", "size", "double", "int", ANSWER),
)
"""Words that mean something in expressions, beside the functions."""
_RESERVED = (
    *("as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop"),
    *("namespace", "package", "return", "var", "void", "while"),
)
"""Words that the language of expressions keeps for itself."""
_REPLY = ("action", "to", "whisper", "text", "thought")
"""Keys of a reply that no argument may be named like."""


def name_faults(scene: Scenario) -> Iterator[Finding]:
    """Yield names that mean something else already."""
    taken = dict.fromkeys((*_WORDS, *_RESERVED), "a word of expressions")
    for names, kind, what in (
        (scene.roles, "roles", "role"),
        (scene.teams, "teams", "team"),
        (scene.world, "world", "variable"),
    ):
        if names is scene.world:
            taken |= dict.fromkeys(FUNCTIONS, "a word of expressions")
        for name in names if scene.has_world else ():
            if name in taken:
                message = f"'{name}' is the name of {taken[name]}; rename the {what}"
                yield Finding((kind, name), message, key=True)
        taken |= dict.fromkeys(names, f"a {what}")
    yield from _of_acts(scene, taken)


def _of_acts(scene: Scenario, taken: Mapping[str, str]) -> Iterator[Finding]:
    shapes: dict[str, str] = {}
    for name, act in scene.acts.items():
        if name in ACTIONS or name in (VOTE, ANSWER):
            message = f"'{name}' is the name of an act that every scene has; rename it"
            yield Finding(("acts", name), message, key=True)
        for argument, part in act.args.items():
            path: Keys = ("acts", name, "args", argument)
            if argument in taken:
                message = f"'{argument}' is the name of {taken[argument]}; rename the argument"
                yield Finding(path, message, key=True)
            if argument in _REPLY or argument in scene.acts:
                message = f"'{argument}' is a key of every reply, or an act; rename the argument"
                yield Finding(path, message, key=True)
            if shapes.setdefault(argument, part.type) != part.type:
                message = f"'{argument}' is {shapes[argument]} in another act; keep to one type"
                yield Finding((*path, "type"), message, part.type)
