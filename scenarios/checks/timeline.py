"""The earliest act before which each event, phase and entrance of a scenario can happen.

Invariant: times are lower bounds, so what has none within the limits can never happen; what has one
still depends on what the agents do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import inf

from scenarios.part import in_words, number_in
from scenarios.scenario import ACTIONS, Action, Event, Phase, Scenario
from scenarios.stopping import RULES, StopRule, Until
from scenarios.words import words
from scenarios.world.scope import successors


@dataclass(frozen=True)
class Timeline:
    """Earliest times as numbers of acts, the first act being 1; infinite for never."""

    scene: Scenario
    last: float
    """The act after which the scene is over at the latest."""
    events: dict[str, float]
    phases: list[float]
    """One time for each phase; a scenario without phases counts as one phase."""
    _acts: dict[tuple[str, Action | None], float] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @cached_property
    def present(self) -> dict[str, float]:
        """When each role can be there."""
        return {
            name: 1 if role.enters is None else self.events.get(role.enters, inf)
            for name, role in self.scene.roles.items()
        }

    @cached_property
    def phase_times(self) -> dict[str, float]:
        """When each phase can begin, by its id."""
        ids = (phase.id for phase in phases_of(self.scene))
        return dict(zip(ids, self.phases, strict=True))

    def acts(self, name: str, action: Action | None = None) -> float:
        """Return when a role can act, or make one kind of act."""
        if (name, action) not in self._acts:
            times = (
                max(begun, self.present[name])
                for phase, begun in zip(phases_of(self.scene), self.phases, strict=True)
                if (phase.who is None or name in phase.who)
                and (action in phase.acts if action else _acting(phase))
            )
            self._acts[name, action] = min(times, default=inf)
        return self._acts[name, action]

    def anyone(self, *actions: Action) -> float:
        """Return when some role can make one of these acts."""
        return min(self.acts(name, action) for name in self.scene.roles for action in actions)

    def possible(self, time: float) -> bool:
        """Return whether a time lies within the scene."""
        return time <= self.last


def phases_of(scene: Scenario) -> tuple[Phase, ...]:
    """Return the phases, one for the whole scene where the file has none."""
    return scene.phases or (Phase(id="whole-scene"),)


def timeline(scene: Scenario) -> Timeline:
    """Return the earliest times, found by relaxing them until none changes."""
    endings = (e.at for e in scene.events if e.ends and isinstance(e.at, int))
    phases = phases_of(scene)
    longest = sum(_longest(phase, scene) for phase in phases)
    straight = not scene.repeat and not any(phase.next for phase in phases)
    last = min([scene.limits.turns, *endings, *[longest] * straight])
    after = successors(scene)
    now = Timeline(scene, last, {}, [1, *[inf] * (len(phases) - 1)])
    while True:
        events: dict[str, float] = {}
        for event in scene.events:
            time = _event_time(event, now)
            events[event.id] = min(time if time <= last else inf, events.get(event.id, inf))
        begun = [1.0, *[inf] * (len(phases) - 1)]
        for phase, start, following in zip(phases, now.phases, after, strict=False):
            end = _phase_end(phase, start, now)
            for number in following:
                begun[number] = min(begun[number], end if end <= last else inf)
        if (events, begun) == (now.events, now.phases):
            return now
        now = Timeline(scene, last, events, begun)


def _acting(phase: Phase) -> bool:
    """Return whether anything can be done in a phase."""
    return bool(phase.acts or phase.vote or phase.decide)


def _longest(phase: Phase, scene: Scenario) -> float:
    """Return after how many acts a phase is over at the latest."""
    if phase.until is None or phase.until.turns is None:
        return inf
    # Those who act at once all do, however few acts are wanted.
    at_once = (phase.policy or scene.policy).name == "simultaneous"
    return phase.until.turns + (len(phase.who or scene.roles) - 1 if at_once else 0)


def _event_time(event: Event, now: Timeline) -> float:
    if event.at is not None:
        return number_in(event.at)
    when = event.when
    if when is None:
        return inf
    if when.leaves == "anyone":
        return now.anyone("leave") + 1
    if when.leaves is not None:
        return now.acts(when.leaves, "leave") + 1 if when.leaves in now.scene.roles else inf
    if when.says is not None:
        return now.anyone("speak") + 1 if words(when.says) else inf
    if when.event is not None:
        return now.events.get(when.event, inf)
    if when.phase is not None:
        return now.phase_times.get(when.phase, inf)
    if when.still is not None:
        return now.anyone(*ACTIONS) + number_in(when.still)
    quiet = inf if when.quiet is None else number_in(when.quiet)
    return now.anyone("non-verbal", "leave", "none") + quiet


def _phase_end(phase: Phase, start: float, now: Timeline) -> float:
    times, until = [inf if _acting(phase) else start], phase.until or Until()
    if until.turns is not None:
        times.append(start + until.turns)
    if until.rounds is not None:
        times.append(start + until.rounds)
    if until.event is not None:
        times.append(max(start, now.events.get(until.event, inf)))
    if until.rule is not None and never_applies(until.rule, now) is None:
        times.append(start + 1)
    return min(times)


def never_applies(rule: StopRule, now: Timeline) -> str | None:
    """Return why a stop rule can never end anything, or None where it can."""
    if rule.rule not in RULES or rule.rule == "when":
        return None
    named = [name for name in rule.roles if name in now.scene.roles]
    roles = named or list(now.scene.roles)
    if rule.rule == "staleness":
        last = now.scene.limits.turns
        few = number_in(rule.window) > last
        return f"limits.turns is {last}, less than window" if few else None
    if rule.rule == "walk-away":
        can_leave = any(now.possible(now.acts(name, "leave")) for name in roles)
        return None if can_leave else "none of its roles can ever leave"
    speaking = [name for name in roles if now.possible(now.acts(name, "speak"))]
    if rule.rule == "deal":
        if rule.phrases and not rule.offers:
            return "a deal with phrases needs offers as well"
        if len(set(rule.roles)) == 1 or len(speaking) < 2:
            return "a deal needs two parties who may speak"
    if rule.rule == "agreement" and set(named) - set(speaking):
        return f"{', '.join(sorted(set(named) - set(speaking)))} may never speak"
    if not speaking:
        return "none of its roles may ever speak"
    if any(not words(phrase) for phrase in (*rule.phrases, *rule.offers, *rule.contrary)):
        return "a phrase without a word cannot be said"
    if not rule.phrases and number_in(rule.every) > now.scene.limits.turns:
        return f"the referee is asked every {in_words(rule.every, 'turns')} and there are fewer"
    return None
