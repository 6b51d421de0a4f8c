"""Which names an expression of a scene may read, and of which type they are.

Invariant: a name means one thing in a scene: a variable, a role, a team, an argument or a word of
the language of expressions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from scenarios.parsing.problem import Keys
from scenarios.scenario import Phase, Scenario
from scenarios.world.schema import Act, Argument, Decision, Effects, Variable, Vote

TARGET = re.compile(r"([a-z][a-z0-9_]*)(?:\[([a-z][a-z0-9_]*)\])?")
VOTE, ANSWER = "vote", "answer"
"""Names of the acts by which one votes and decides; the latter also of what is answered."""
NO_OUTCOME = "none"
"""What a game master chooses where no outcome holds."""
_KINDS = {"choice": "text", "role": "role"}


def type_name(part: Variable | Argument | Decision) -> str:
    """Return the type that a variable, an argument or an answer has in expressions."""
    found = _KINDS.get(part.type, part.type)
    return f"each:{found}" if isinstance(part, Variable) and part.each else found


def scope(scene: Scenario) -> dict[str, str]:
    """Return the names that every expression of a scene may read, with their types."""
    names = dict.fromkeys(scene.roles, "role") | dict.fromkeys(scene.teams, "roles")
    names |= {"roles": "roles", "present": "roles", "round": "integer", "turn": "integer"}
    return names | {name: type_name(variable) for name, variable in scene.world.items()}


def within_act(act: Act) -> dict[str, str]:
    """Return what the expressions of an act may read beside; nobody's own words among it."""
    read = {name: part for name, part in act.args.items() if part.type != "text"}
    return {"self": "role"} | {name: type_name(part) for name, part in read.items()}


def vote_type(vote: Vote) -> str:
    """Return the type of what wins a vote."""
    return "role" if isinstance(vote.options, str) else "text"


def acts_of(scene: Scenario, phase: Phase | None) -> dict[str, Act]:
    """Return the acts beside speaking that a phase allows; without phases all do."""
    if phase is None:
        return dict(scene.acts)
    if phase.decide:
        return {ANSWER: _as_act(phase.decide)}
    return {name: scene.acts[name] for name in phase.acts if name in scene.acts}


def _as_act(decide: Decision) -> Act:
    argument = Argument(
        type=decide.type,
        min=decide.min,
        max=decide.max,
        options=decide.options,
        among=decide.among,
    )
    return Act(
        args={ANSWER: argument},
        effects=decide.effects,
        cooperates=decide.cooperates,
        about=decide.ask,
    )


def all_effects(scene: Scenario) -> Iterator[tuple[Keys, Effects, dict[str, str]]]:
    """Yield every set of effects with the way to it and the names beside those of the scene."""
    for name, act in scene.acts.items():
        own = within_act(act) | {"each": "role"}
        yield ("acts", name, "effects"), act.effects, own
        for choice, outcome in act.outcomes.items():
            yield ("acts", name, "outcomes", choice, "effects"), outcome.effects, own
    for number, phase in enumerate(scene.phases):
        path: Keys = ("phases", number)
        yield (*path, "before"), phase.before, {"each": "role"}
        yield (*path, "after"), phase.after, {"each": "role"}
        if phase.decide:
            own = within_act(_as_act(phase.decide)) | {"each": "role"}
            yield (*path, "decide", "effects"), phase.decide.effects, own
        if phase.vote:
            won = {"winner": vote_type(phase.vote), "each": "role"}
            yield (*path, "vote", "then", "effects"), phase.vote.then.effects, won
            others = phase.vote.otherwise.effects
            yield (*path, "vote", "otherwise", "effects"), others, {"each": "role"}


def successors(scene: Scenario) -> list[set[int]]:
    """Return for each phase those that may follow it."""
    ids = [phase.id for phase in scene.phases]
    found = list[set[int]]()
    for number, phase in enumerate(scene.phases):
        always = next((n for n, step in enumerate(phase.next) if step.when is None), None)
        steps = phase.next if always is None else phase.next[: always + 1]
        after = {ids.index(step.phase) for step in steps if step.phase in ids}
        if always is None:
            if scene.repeat and scene.repeat.phases[-1] == phase.id:
                after |= {ids.index(one) for one in scene.repeat.phases[:1] if one in ids}
            after |= {number + 1} & set(range(len(ids)))
        found.append(after)
    return found
