"""Roles, events, phases and stop rules that can never come into play.

Invariant: only what cannot happen under any behaviour of the agents is reported as an error.
"""

from __future__ import annotations

from collections.abc import Iterator

import networkx as nx

from scenarios.checks.phrasing import doubtful_phrases
from scenarios.checks.timeline import Timeline, never_applies, phases_of, timeline
from scenarios.parsing.problem import Finding, Keys, show_value
from scenarios.part import in_words
from scenarios.scenario import Event, Scenario, When
from scenarios.stopping import StopRule, Until
from scenarios.words import words
from scenarios.world.scope import successors

_IDLE = {
    "agreement": ("offers", "window"),
    "deal": ("window",),
    "walk-away": ("phrases", "contrary", "whole_line", "offers", "window", "every"),
    "staleness": ("roles", "phrases", "contrary", "whole_line", "offers", "every"),
    "goal-reached": ("offers", "window"),
    "when": ("roles", "phrases", "contrary", "whole_line", "offers", "window", "every"),
}
"""Keys of a stop rule that the rule does not look at."""
_IDLE_OF_OWN = ("roles", "phrases", "contrary", "whole_line", "offers", "window", "every")


def unreachable(scene: Scenario) -> Iterator[Finding]:
    """Yield all that can never happen, given that the references of the file are sound."""
    times = timeline(scene)
    yield from _events(scene, times)
    yield from _phases(scene, times)
    yield from _roles(scene, times)
    yield from _isolated(scene, times)
    for path, rule in scene.rules():
        yield from _stop_rule(path, rule, times)
    yield from doubtful_phrases(scene)


def _events(scene: Scenario, times: Timeline) -> Iterator[Finding]:
    for number, event in enumerate(scene.events):
        path: Keys = ("events", number)
        if event.audience is not None and not event.audience:
            yield Finding((*path, "audience"), "an event that nobody perceives", "[]")
        if times.possible(times.events[event.id]):
            continue
        if event.at is not None and event.when is None:
            why = f"it comes after act {times.last}, when the scene is over"
            yield Finding((*path, "at"), f"the event can never happen: {why}", str(event.at))
        elif event.at is None and event.when is not None:
            key, why = _obstacle(event, event.when, times)
            if why:
                yield Finding((*path, "when", key), f"the event can never happen: {why}")


def _obstacle(event: Event, when: When, times: Timeline) -> tuple[str, str]:
    """Return the key of a condition that cannot be met and why; no reason if it names nothing."""
    scene = times.scene
    if when.leaves is not None:
        known = when.leaves == "anyone" or when.leaves in scene.roles
        why = "nobody can" if when.leaves == "anyone" else f"'{when.leaves}' can never"
        return "leaves", f"{why} leave" if known else ""
    if when.says is not None:
        return "says", "nobody may speak" if words(when.says) else "it holds no word"
    if when.event is not None:
        return "event", _waits(event, scene)
    if when.phase is not None:
        known = when.phase in [phase.id for phase in scene.phases]
        return "phase", f"the phase '{when.phase}' is never reached" if known else ""
    if when.quiet is not None:
        why = f"there is no room for {in_words(when.quiet)} without a word before act {times.last}"
        return "quiet", why
    if when.still is not None:
        return "still", f"there is no room for {in_words(when.still)} before act {times.last}"
    return "", ""


def _waits(event: Event, scene: Scenario) -> str:
    """Return whether the event waits for itself or for another that cannot happen."""
    by_id = {other.id: other for other in scene.events}
    chain = {event.id: None}
    here = event
    while here.when and here.when.event in by_id:
        if here.when.event == event.id:
            return f"it waits for itself ({' <- '.join([*chain, event.id])})"
        if here.when.event in chain:
            break
        chain[here.when.event] = None
        here = by_id[here.when.event]
    return f"it waits for '{[*chain][1]}', which can never happen" if len(chain) > 1 else ""


def _phases(scene: Scenario, times: Timeline) -> Iterator[Finding]:
    for number, phase in enumerate(scene.phases):
        path: Keys = ("phases", number)
        if not times.possible(times.phases[number]):
            why = _why_unreached(scene, times, number)
            yield Finding((*path, "id"), f"the phase is never reached: {why}", phase.id)
        if phase.who is not None and not phase.who:
            yield Finding((*path, "who"), "nobody may act in this phase", "[]")
        if not phase.acts and not scene.has_world:
            yield Finding((*path, "acts"), "no act is allowed in this phase", "[]")
        if phase.until is not None and not phase.until.model_dump(exclude_none=True):
            message = "an until without a condition never ends the phase"
            yield Finding((*path, "until"), message, severity="warning")
        yield from _turns_at_once(scene, number)


def _turns_at_once(scene: Scenario, number: int) -> Iterator[Finding]:
    """Yield a count of acts where all act at once and their number may change: rounds are meant."""
    phase = scene.phases[number]
    if (phase.policy or scene.policy).name != "simultaneous" or not (phase.until or Until()).turns:
        return
    who = phase.who or tuple(scene.roles)
    leaving = any("leave" in before.acts for before in scene.phases[: number + 1])
    if leaving or any(scene.roles[role].enters for role in who if role in scene.roles):
        message = (
            "counts acts, and whoever has left makes none, so that others may act twice; write "
            "rounds: 1 for one act each"
        )
        path: Keys = ("phases", number, "until", "turns")
        yield Finding(path, message, severity="warning", key=True)


def _why_unreached(scene: Scenario, times: Timeline, number: int) -> str:
    leading = [one for one, after in enumerate(successors(scene)) if number in after]
    if not leading:
        return "no phase leads to it"
    place = number - 1 if number - 1 in leading else leading[0]
    before = scene.phases[place]
    if not times.possible(times.phases[place]):
        return f"neither is '{before.id}' before it"
    if before.until is None or not before.until.model_dump(exclude_none=True):
        return f"'{before.id}' before it has no until, so it lasts to the end"
    return f"'{before.id}' before it does not end before act {times.last}, the last one"


def _roles(scene: Scenario, times: Timeline) -> Iterator[Finding]:
    known = {event.id for event in scene.events}
    for name, role in scene.roles.items():
        if not times.possible(times.present[name]):
            if role.enters in known:
                message = f"the role never enters: '{role.enters}' can never happen"
                yield Finding(("roles", name, "enters"), message)
        elif not scene.has_world and not times.possible(times.acts(name)):
            yield Finding(("roles", name), "no phase ever lets the role act", key=True)
    if all(role.enters for role in scene.roles.values()):
        yield Finding(("roles",), "no role is there from the start", key=True)
    opener = scene.roles.get(scene.opens or "")
    first = phases_of(scene)[0].who
    later = any(times.possible(begun) for begun in times.phases[1:])
    if opener and opener.enters and not later:
        message = f"this role is not there when the scene begins: it enters with '{opener.enters}'"
        yield Finding(("opens",), message, show_value(scene.opens))
    elif opener and first is not None and scene.opens not in first:
        message = f"the first phase does not let '{scene.opens}' act"
        yield Finding(("opens",), message, severity="warning")


def _isolated(scene: Scenario, times: Timeline) -> Iterator[Finding]:
    """Yield roles that the policy `network` cuts off, and groups that never hear each other."""
    graph = scene.graph().to_undirected()
    graph.remove_edges_from(list(nx.selfloop_edges(graph)))
    phases = [
        phase
        for phase, begun in zip(phases_of(scene), times.phases, strict=True)
        if times.possible(begun)
    ]
    policies = {phase.id: (phase.policy or scene.policy).name for phase in phases}
    for name in scene.roles:
        mine = [phase.id for phase in phases if phase.who is None or name in phase.who]
        alone = name in graph and not graph.degree(name)
        if mine and alone and all(policies[id_] == "network" for id_ in mine):
            message = "under the policy 'network' a role without relationships hears nobody"
            yield Finding(("roles", name), message, key=True)
    groups = [group for group in nx.connected_components(graph) if len(group) > 1]
    if set(policies.values()) == {"network"} and len(groups) > 1:
        shown = " | ".join(sorted(", ".join(sorted(group)) for group in groups))
        message = f"the relationships fall into groups that never hear each other: {shown}"
        yield Finding(("policy",), message, severity="warning")


def _stop_rule(path: Keys, rule: StopRule, times: Timeline) -> Iterator[Finding]:
    why = never_applies(rule, times)
    if why:
        yield Finding((*path, "rule"), f"the rule can never apply: {why}", rule.rule)
    world = () if rule.rule == "when" else ("expr", "outcome")
    for key in (*_IDLE.get(rule.rule, _IDLE_OF_OWN), *world):
        if key in rule.model_fields_set:
            message = f"has no effect on the rule '{rule.rule}'"
            named = StopRule.model_fields[key].alias or key
            yield Finding((*path, named), message, severity="warning", key=True)
    if rule.rule == "deal" and rule.offers and not rule.phrases:
        message = "offers have no effect without phrases that accept them"
        yield Finding((*path, "offers"), message, severity="warning", key=True)
