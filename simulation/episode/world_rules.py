"""What the acts, votes and phases of a scene do to its world, as entries of the log.

Invariant: the world changes by the declared effects alone; acts that are made at once take effect
in a stated order, and one that cannot any more is told so and changes nothing.
"""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from agents.template import load_template
from agents.typed_act import in_digits
from scenarios.scenario import Phase
from scenarios.words import one_line
from scenarios.world.check_text import PLACE
from scenarios.world.expression import WorldFault, read_by
from scenarios.world.schema import Act, Outcome
from scenarios.world.scope import VOTE
from simulation.episode.call import derived_seed
from simulation.episode.entry import Entry, MadeAct
from simulation.episode.votes import winner
from simulation.episode.world_acts import CHOICE, options_of
from simulation.episode.world_state import Change, WorldState, allowed

if TYPE_CHECKING:
    from simulation.episode.scene_state import SceneState


_NOTHING = Outcome()
"""What comes of an act beside its own effects, where no game master chose more."""


class Resolved(NamedTuple):
    """What came of the acts of one step."""

    acts: list[MadeAct | None]
    """One for each act, None for those that are none of the world."""
    changes: list[Change]
    removed: list[str]
    returned: list[str]


class _Tried(NamedTuple):
    role: str
    rule: Act
    made: MadeAct


class _Found(NamedTuple):
    """What comes of one act."""

    changes: list[Change]
    removed: list[str]
    returned: list[str]


def resolve(
    stage: SceneState, tried: Sequence[tuple[str, MadeAct | None]], step: int, seed: int
) -> Resolved:
    """Return what acts, each of a role, come to when they are made at once."""
    assert stage.world is not None
    made = [None if one is None else MadeAct(**one) for _, one in tried]
    rules, world, whole = stage.rules, stage.world.fork(), Resolved(made, [], [], [])
    acts = [
        _Tried(role, rules[one["name"]], one)
        for (role, _), one in zip(tried, made, strict=True)
        if one and one["reason"] is None and one["name"] in rules and _settled(one)
    ]
    try:
        _share(world, acts)
        acts = _in_order(world, acts, stage.phase, derived_seed(seed, step, "resolve"))
    except WorldFault as fault:
        for tried_one in acts:
            tried_one.made["reason"], tried_one.made["granted"] = str(fault), None
        return whole
    for role, rule, one in acts:
        own = {"self": role, **(one["granted"] or {})}
        try:
            if _reads(rule.requires, whole) and not allowed(world, rule, role):
                raise WorldFault(f"'{one['name']}' is not allowed any more")
            found = _found(world, rule, one, own)
            one["cooperation"] = _cooperation(world, rule, own)
        except WorldFault as fault:
            one["reason"], one["granted"] = str(fault), None
            continue
        world.absorb(found.changes)
        world.move(found.removed, found.returned)
        whole.changes.extend(found.changes)
        whole.removed.extend(other for other in found.removed if other not in whole.removed)
        whole.returned.extend(found.returned)
    return whole


def _reads(text: str | None, before: Resolved) -> bool:
    """Return whether an expression reads anything that the acts before have changed."""
    changed = {name for name, *_ in before.changes}
    changed |= {"present"} if before.removed or before.returned else set()
    return text is not None and not changed.isdisjoint(read_by(text))


def _settled(made: MadeAct) -> bool:
    """Return whether it is known what comes of an act: of one that is judged, an answer."""
    return "judged" not in made or made["judged"]["failure"] is None


def _chosen(rule: Act, made: MadeAct) -> Outcome | None:
    """Return the outcome that a game master chose, if it chose one."""
    judged = made.get("judged")
    return rule.outcomes.get(judged["choice"] or "") if judged else None


def _found(world: WorldState, rule: Act, made: MadeAct, own: Mapping[str, Any]) -> _Found:
    """Return what comes of an act from the state now. Raises WorldFault."""
    chosen = _chosen(rule, made) or _NOTHING
    return _Found(
        world.changes(rule.effects | chosen.effects, own),
        world.roles_of(rule.removes, own) + world.roles_of(chosen.removes, own),
        world.roles_of(chosen.returns, own),
    )


def _cooperation(world: WorldState, rule: Act, own: Mapping[str, Any]) -> float | None:
    return None if rule.cooperates is None else float(world.evaluate(rule.cooperates, own))


def _in_order(
    world: WorldState, acts: list[_Tried], phase: Phase | None, seed: int
) -> list[_Tried]:
    how = (phase and phase.resolve) or "file"
    if len(acts) < 2 or how == "file":
        return acts
    if how == "random":
        return random.Random(seed).sample(acts, len(acts))
    return sorted(acts, key=lambda one: -world.evaluate(how, {"self": one.role}))


def _share(world: WorldState, acts: list[_Tried]) -> None:
    """Give each act what it asks for, in proportion where all ask for more than there is."""
    wanted: dict[tuple[str, str], list[tuple[dict[str, Any], str]]] = defaultdict(list)
    for one in acts:
        granted = one.made["granted"] = dict(one.made["args"])
        for name, part in one.rule.args.items():
            if part.shares is not None:
                wanted[part.type, part.shares].append((granted, name))
    for (_, text), places in wanted.items():
        there = max(world.evaluate(text), 0)
        asked = [granted[name] for granted, name in places]
        if sum(asked) > there:
            for (granted, name), share in zip(places, _shares(there, asked), strict=True):
                granted[name] = share


def _shares(there: Any, asked: Sequence[Any]) -> list[Any]:
    """Return shares in proportion, which never come to more than there is; of whole numbers, what
    is left over goes one by one to those with the largest fractions, the first of equals first."""
    total = sum(asked)
    if isinstance(total, float):
        most = 1 - (len(asked) + 2) * sys.float_info.epsilon
        return [there * one / total * most for one in asked]
    shares = [there * one // total for one in asked]
    by_rest = sorted(range(len(asked)), key=lambda n: -(there * asked[n] % total))
    for n in by_rest[: there - sum(shares)]:
        shares[n] += 1
    return shares


def follow(stage: SceneState, resolved: Resolved, turns: Sequence[Entry], step: int) -> list[Entry]:
    """Return what follows the acts of a step, absorbed by the stage: new values, who is out, and
    what the others are told."""
    entries = _changed(stage, step, "acts", resolved.changes)
    entries += _moved(stage, step, resolved.removed, resolved.returned)
    rules, reports = stage.rules, list[Entry]()
    for turn in turns:
        made, rule = turn.get("act"), None
        if made and made["reason"] is None:
            rule = rules.get(made["name"] or "")
        if made and made["name"] and rule and rule.says:
            told = [one for one in stage.here() if one not in turn["audience"]]
            told = [one for one in told if one != turn["speaker"]]
            own = {"self": turn["speaker"], **made["args"]}
            text = one_line(_filled(stage, rule.says, own))
            reports.append(_report(step, made["name"], text, told))
        chosen = made and rule and _chosen(rule, made)
        if made and chosen and chosen.report:
            own = {"self": turn["speaker"], **made["args"]}
            text = one_line(_filled(stage, chosen.report, own))
            reports.append(_report(step, str(made["name"]), text, stage.here()))
    return entries + _noted(stage, reports)


def begin(stage: SceneState, phase: Phase, step: int) -> list[Entry]:
    """Return what a phase begins with, absorbed by the stage."""
    if stage.world is None:
        return []
    world, cause = stage.world, f"before:{phase.id}"
    entries = _changed(stage, step, cause, world.changes(phase.before))
    removed, returned = world.roles_of(phase.removes), world.roles_of(phase.returns)
    entries += _moved(stage, step, removed, returned)
    if phase.report:
        text = one_line(_filled(stage, phase.report, {}))
        entries += _noted(stage, [_report(step, phase.id, text, stage.here())])
    for name, text in phase.briefs.items():
        team = stage.scenario.teams.get(name)
        told = [one for one in stage.here() if one in (team.roles if team else (name,))]
        entries += _noted(stage, [_report(step, phase.id, one_line(text), told)])
    return entries


def close(stage: SceneState, step: int, seed: int) -> list[Entry]:
    """Return what a phase that is over ends with, absorbed by the stage; nothing when it has."""
    phase = stage.phase
    if stage.world is None or phase is None or (stage.phase_index or 0) < 0 or stage.world.closed:
        return []
    entries = _voted(stage, phase, step, seed) if phase.vote else []
    return entries + _changed(stage, step, f"after:{phase.id}", stage.world.changes(phase.after))


def _voted(stage: SceneState, phase: Phase, step: int, seed: int) -> list[Entry]:
    assert stage.world is not None and phase.vote is not None
    vote, world = phase.vote, stage.world
    ballots = {
        turn["speaker"]: _ballot(turn.get("act")) for turn in stage.turns[stage.phase_began :]
    }
    rng = random.Random(derived_seed(seed, step, "vote"))
    won = winner(vote, ballots, options_of(stage, vote), rng)
    outcome: Outcome = vote.otherwise if won is None else vote.then
    own = {} if won is None else {"winner": won}
    result: Entry = {
        "kind": "world", "step": step, "name": f"vote:{phase.id}", "text": None, "audience": [],
        "changes": [list(one) for one in world.changes(outcome.effects, own)], "won": won,
    }  # fmt: skip
    removed, returned = world.roles_of(outcome.removes, own), world.roles_of(outcome.returns, own)
    entries = _noted(stage, [result])
    if outcome.report:
        text = one_line(_filled(stage, outcome.report, own))
        entries += _noted(stage, [_report(step, phase.id, text, stage.here())])
    return entries + _moved(stage, step, removed, returned)


def _ballot(made: MadeAct | None) -> list[str]:
    """Return what was voted for; nothing where the vote failed or is not allowed."""
    if made is None or made["name"] != VOTE or made["reason"] is not None:
        return []
    given = made["args"][CHOICE]
    return [given] if isinstance(given, str) else list(given)


def _changed(stage: SceneState, step: int, cause: str, changes: Sequence[Change]) -> list[Entry]:
    if not changes:
        return []
    entry: Entry = {
        "kind": "world", "step": step, "name": cause, "text": None, "audience": [],
        "changes": [list(one) for one in changes],
    }  # fmt: skip
    return _noted(stage, [entry])


def _moved(
    stage: SceneState, step: int, removed: Sequence[str], returned: Sequence[str]
) -> list[Entry]:
    """Return who is out of the scene now, and who is back."""
    template, entries = load_template("world"), list[Entry]()
    for role in removed:
        if role in stage.present:
            text = template.gone(stage.names[role])
            entries += _noted(stage, [_moves("removal", step, role, text, stage.here())])
    for role in returned:
        if role not in stage.present:
            text = template.back(stage.names[role])
            told = [*stage.here(), role]
            entries += _noted(stage, [_moves("return", step, role, text, told)])
    return entries


def _moves(kind: Any, step: int, role: str, text: str, audience: list[str]) -> Entry:
    return {"kind": kind, "step": step, "name": role, "text": text, "audience": audience}


def _report(step: int, name: str, text: str, audience: list[str]) -> Entry:
    return {"kind": "report", "step": step, "name": name, "text": text, "audience": audience}


def _noted(stage: SceneState, entries: list[Entry]) -> list[Entry]:
    stage.absorb(entries)
    return entries


def _filled(stage: SceneState, text: str, own: Mapping[str, Any]) -> str:
    """Return a text with values in place of the names in braces."""
    assert stage.world is not None
    known: dict[str, Any] = {**stage.world.values, "round": stage.world.round, **own}

    def value(name: str) -> str:
        found = known[name]
        if isinstance(found, bool):
            return str(load_template("world").yes(found))
        return stage.names[found] if found in stage.names else in_digits(found)

    return PLACE.sub(lambda place: value(place[1]) if place[1] in known else place[0], text)
