"""What is wrong with acts that a game master judges, and with words of one's own.

Invariant: a game master has something to choose from, and every name that it is given exists.
"""

from __future__ import annotations

from collections.abc import Iterator

from scenarios.parsing.problem import Finding, Keys, show_value, suggest
from scenarios.scenario import Scenario
from scenarios.world.check_text import Names, outcome_faults
from scenarios.world.schema import Act
from scenarios.world.scope import NO_OUTCOME, within_act


def judge_faults(scene: Scenario, path: Keys, act: Act, names: Names) -> Iterator[Finding]:
    """Yield what is wrong with what a game master is to judge of an act."""
    yield from _words(path, act)
    if act.judge is None:
        for key in ("outcomes", "knows"):
            if getattr(act, key):
                yield Finding((*path, key), "only an act with judge: model has it", key=True)
        return
    if not act.outcomes:
        yield Finding((*path, "judge"), "it has nothing to choose from; add outcomes", act.judge)
    for number, name in enumerate(act.knows):
        if name not in scene.world:
            message = f"no such variable{suggest(name, scene.world)}"
            yield Finding((*path, "knows", number), message, show_value(name))
    told = {**within_act(act), **dict.fromkeys(act.args, "text")}
    for name, outcome in act.outcomes.items():
        where: Keys = (*path, "outcomes", name)
        if name == NO_OUTCOME:
            message = f"'{name}' is what is chosen where no outcome holds; rename it"
            yield Finding(where, message, key=True)
        yield from outcome_faults(scene, where, outcome, {**names, **within_act(act)}, told)


def _words(path: Keys, act: Act) -> Iterator[Finding]:
    """Yield words of one's own that do not end the act: nothing would tell where they do."""
    for name, part in list(act.args.items())[:-1]:
        if part.type == "text":
            message = "words of one's own are the last argument, and there is one of them"
            yield Finding((*path, "args", name), message, key=True)
