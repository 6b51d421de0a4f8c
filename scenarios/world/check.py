"""What is wrong with a world: names, types, bounds, and what agents would be told of it.

Invariant: a scene whose world passes can fail while it is played only by dividing by zero, by
growing beyond a bound, or because nobody may act.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any

import networkx as nx

from scenarios.parsing.problem import Finding, Keys, show_value, suggest
from scenarios.scenario import ACTIONS, Phase, Scenario
from scenarios.world.check_expected import expected_faults
from scenarios.world.check_judge import judge_faults
from scenarios.world.check_names import name_faults
from scenarios.world.check_text import (
    PLACE,
    Names,
    hidden_faults,
    number_faults,
    outcome_faults,
    report_faults,
    share_faults,
    type_faults,
)
from scenarios.world.expression import WorldFault, compiled
from scenarios.world.expression_type import NUMERIC
from scenarios.world.schema import Act, Argument, Decision, Variable, Vote
from scenarios.world.scope import (
    ANSWER,
    TARGET,
    acts_of,
    all_effects,
    scope,
    successors,
    vote_type,
    within_act,
)


def world_faults(scene: Scenario) -> Iterator[Finding]:
    """Yield every fault of a scene's world."""
    yield from name_faults(scene)
    for name, variable in scene.world.items():
        yield from _variable(scene, ("world", name), variable)
    names = scope(scene)
    for name, act in scene.acts.items():
        yield from _act(scene, ("acts", name), act, names)
    for path, effects, own in all_effects(scene):
        for target, text in effects.items():
            yield from _effect(scene, (*path, target), target, text, names, own)
    for number, phase in enumerate(scene.phases):
        yield from _phase(scene, ("phases", number), phase, names)
    yield from expected_faults(scene)
    yield from _loops(scene, names)
    yield from number_faults(("payoff",), scene.payoff, {**names, "self": "role"})
    for number, rule in enumerate(scene.stop):
        if rule.rule == "when" and rule.expr is None:
            yield Finding(("stop", number), "the rule 'when' needs expr: what must hold")
        yield from type_faults(("stop", number, "expr"), rule.expr, names, "boolean")


def _variable(scene: Scenario, path: Keys, variable: Variable) -> Iterator[Finding]:
    numeric = variable.type in NUMERIC
    if (variable.type == "choice") != bool(variable.options):
        yield Finding(path, "a choice, and nothing else, has options", key=True)
        return
    for bound in ("min", "max"):
        value = getattr(variable, bound)
        if value is not None and (isinstance(value, bool | str) or not numeric):
            yield Finding((*path, bound), "only numbers have bounds", show_value(value))
            return
    low, high = variable.min, variable.max
    if low is not None and high is not None and low > high:  # type: ignore[operator]
        yield Finding((*path, "max"), "less than min", show_value(high))
        return
    yield from _starts(scene, path, variable)
    if variable.visible in ("owner", "team") and not variable.each:
        message = "only what each role has an owner; write each: role, or list the roles"
        yield Finding((*path, "visible"), message, str(variable.visible))
    for role in variable.visible if isinstance(variable.visible, tuple) else ():
        if role not in scene.roles:
            message = f"no such role{suggest(role, scene.roles)}"
            yield Finding((*path, "visible"), message, show_value(role))


def _starts(scene: Scenario, path: Keys, variable: Variable) -> Iterator[Finding]:
    starts: dict[Keys, Any] = {("start",): variable.start}
    if isinstance(variable.start, dict):
        if not variable.each:
            message = "values by role need each: role"
            yield Finding((*path, "start"), message, key=True)
            return
        for role in variable.start:
            if role not in scene.roles:
                message = f"no such role{suggest(role, scene.roles)}"
                yield Finding((*path, "start", role), message, key=True)
        starts = {("start", role): value for role, value in variable.start.items()}
    for where, value in starts.items():
        given = variable.first(None) if value is None else value
        if variable.type == "number" and isinstance(given, int) and not isinstance(given, bool):
            given = float(given)
        if not variable.fits(given):
            yield Finding((*path, *where), "not a value it can have", show_value(given))


def _act(scene: Scenario, path: Keys, act: Act, names: Names) -> Iterator[Finding]:
    own = {**names, **within_act(act)}
    for role in act.who or ():
        if role not in scene.roles:
            message = f"no such role{suggest(role, scene.roles)}"
            yield Finding((*path, "who"), message, show_value(role))
    who = act.who or tuple(scene.roles)
    for name, part in act.args.items():
        yield from _argument(scene, (*path, "args", name), part, names, who)
    yield from type_faults((*path, "requires"), act.requires, {**names, "self": "role"}, "boolean")
    yield from type_faults((*path, "removes"), act.removes, own, "some roles")
    yield from share_faults((*path, "cooperates"), act.cooperates, own)
    yield from judge_faults(scene, path, act, names)
    for place in PLACE.findall(act.says or ""):
        if place not in {"self", *act.args, *scene.roles}:
            known = ", ".join(["self", *act.args])
            yield Finding((*path, "says"), f"'{{{place}}}' is not known there", allowed=known)


def _argument(
    scene: Scenario, path: Keys, part: Argument | Decision, names: Names, who: Collection[str]
) -> Iterator[Finding]:
    own = {**names, "self": "role"}
    if (part.type == "choice") != bool(part.options):
        yield Finding(path, "a choice, and nothing else, has options", key=True)
    for bound in ("min", "max"):
        text = getattr(part, bound)
        if text is not None and part.type not in NUMERIC:
            yield Finding((*path, bound), "only numbers have bounds", show_value(text))
            continue
        yield from type_faults((*path, bound), text, own, part.type)
        yield from hidden_faults(scene, (*path, bound), text, who)
    low, high = _literal(part.min), _literal(part.max)
    if low is not None and high is not None and low > high:
        yield Finding((*path, "max"), "less than min", show_value(part.max))
    if part.among is not None and part.type != "role":
        yield Finding((*path, "among"), "only roles are named among others", key=True)
    yield from type_faults((*path, "among"), part.among, own, "some roles")
    yield from hidden_faults(scene, (*path, "among"), part.among, who)
    if isinstance(part, Argument) and part.shares is not None:
        if part.type not in NUMERIC:
            yield Finding((*path, "shares"), "only numbers are shared", show_value(part.shares))
            return
        yield from type_faults((*path, "shares"), part.shares, names, part.type)


def _literal(text: str | None) -> float | None:
    """Return the number that an expression is, or None where it has to be worked out."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _effect(
    scene: Scenario, path: Keys, target: str, text: str, names: Names, own: Names
) -> Iterator[Finding]:
    found = TARGET.fullmatch(target)
    variable = scene.world.get(found[1]) if found else None
    if found is None or variable is None:
        hint = suggest(found[1] if found else target, scene.world)
        yield Finding(path, f"no such variable{hint}", allowed=", ".join(scene.world), key=True)
        return
    index, every = found[2], {**names, **own}
    if bool(index) != bool(variable.each):
        how = f"{found[1]}[self]" if variable.each else found[1]
        yield Finding(
            path, f"write {how}: a value {'of each role' if variable.each else 'for all'}"
        )
        return
    if index and every.get(index) != "role":
        message = f"'{index}' is not a role there{suggest(index, every)}"
        yield Finding(path, message, key=True)
        return
    allowed = dict(every)
    if index != "each":
        allowed.pop("each", None)
    kind = "text" if variable.type == "choice" else variable.type
    faults = list(type_faults(path, text, allowed, kind))
    yield from faults or _constant(path, variable, text)


def _constant(path: Keys, variable: Variable, text: str) -> Iterator[Finding]:
    """Yield a new value that the variable can never have."""
    with suppress(WorldFault):
        value = compiled(text).constant
        if value is not None and not variable.fits(value):
            yield Finding(path, "not a value it can have", show_value(text))


def _phase(scene: Scenario, path: Keys, phase: Phase, names: Names) -> Iterator[Finding]:
    for number, act in enumerate(phase.acts):
        if act not in ACTIONS and act not in scene.acts:
            known = [*ACTIONS, *scene.acts]
            message = f"unknown value{suggest(act, known)}"
            yield Finding((*path, "acts", number), message, show_value(act), ", ".join(known))
    yield from type_faults((*path, "removes"), phase.removes, names, "some roles")
    yield from type_faults((*path, "returns"), phase.returns, names, "some roles")
    yield from report_faults(scene, (*path, "report"), phase.report, {})
    for name in phase.briefs:
        if name not in scene.roles and name not in scene.teams:
            message = f"no such role or team{suggest(name, [*scene.roles, *scene.teams])}"
            yield Finding((*path, "briefs", name), message, key=True)
    if phase.resolve not in (None, "file", "random"):
        yield from number_faults((*path, "resolve"), phase.resolve, {**names, "self": "role"})
    ids = [one.id for one in scene.phases]
    for number, step in enumerate(phase.next):
        if step.phase != "end" and step.phase not in ids:
            message = f"no such phase{suggest(step.phase, ids)}"
            allowed = ", ".join([*ids, "end"])
            yield Finding((*path, "next", number), message, show_value(step.phase), allowed)
        yield from type_faults((*path, "next", number, "when"), step.when, names, "boolean")
    if phase.vote and phase.decide:
        yield Finding((*path, "decide"), "a phase is a vote or a decision, not both", key=True)
    who = phase.who or tuple(scene.roles)
    if phase.vote:
        yield from _vote(scene, (*path, "vote"), phase.vote, names, who)
    elif phase.decide:
        yield from _argument(scene, (*path, "decide"), phase.decide, names, who)
        own = {**names, **within_act(acts_of(scene, phase)[ANSWER])}
        yield from share_faults((*path, "decide", "cooperates"), phase.decide.cooperates, own)
    yield from _gone(scene, path, phase)


def _gone(scene: Scenario, path: Keys, phase: Phase) -> Iterator[Finding]:
    """Yield phases whose only roles have been removed for good before."""
    number = int(path[1])
    before = {role for one in scene.phases[: number + 1] for role in _named(scene, one.removes)}
    back = {role for one in scene.phases for role in _named(scene, one.returns)}
    if phase.who and before and set(phase.who) <= before - back:
        message = f"nobody can act: {', '.join(phase.who)} have been removed by then"
        yield Finding((*path, "who"), message)


def _named(scene: Scenario, text: str | None) -> set[str]:
    """Return the roles that an expression names, where it is a role or a list of them."""
    named = {one.strip() for one in (text or "").strip("[] ").split(",")}
    return named if named <= set(scene.roles) else set()


def _vote(
    scene: Scenario, path: Keys, vote: Vote, names: Names, who: Collection[str]
) -> Iterator[Finding]:
    if isinstance(vote.options, str):
        yield from type_faults((*path, "options"), vote.options, names, "some roles")
        yield from hidden_faults(scene, (*path, "options"), vote.options, who)
    elif not vote.options or len(set(vote.options)) < len(vote.options):
        yield Finding((*path, "options"), "a vote needs options, each once", str(vote.options))
    won = {"winner": vote_type(vote)}
    for key, outcome, more in (("then", vote.then, won), ("otherwise", vote.otherwise, {})):
        yield from outcome_faults(scene, (*path, key), outcome, {**names, **more}, more)


def _loops(scene: Scenario, names: Names) -> Iterator[Finding]:
    """Yield phases that are repeated and are none, and circles in which nobody ever acts."""
    ids, repeat = [phase.id for phase in scene.phases], scene.repeat
    if repeat:
        yield from type_faults(("repeat", "until"), repeat.until, names, "boolean")
        for number, one in enumerate(repeat.phases):
            if one not in ids:
                message = f"no such phase{suggest(one, ids)}"
                yield Finding(("repeat", "phases", number), message, show_value(one))
                return
        first = ids.index(repeat.phases[0])
        if list(repeat.phases) != ids[first : first + len(repeat.phases)]:
            message = "must be phases that follow one another in the file, in that order"
            yield Finding(("repeat", "phases"), message, ", ".join(repeat.phases))
            return
    idle = [n for n, one in enumerate(scene.phases) if not (one.acts or one.vote or one.decide)]
    after = successors(scene)
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_edges_from((n, m) for n in idle for m in after[n] if m in idle)
    for circle in nx.simple_cycles(graph):
        shown = " -> ".join(ids[n] for n in [*circle, circle[0]])
        message = f"nobody acts in any of these phases, which follow one another for ever: {shown}"
        yield Finding(("phases", min(circle)), message)
        return
