"""Events and phases: what happens to a scene rather than through its roles.

Invariant: what is due follows from the stage alone, and nothing happens twice but a repeated
event.
"""

from __future__ import annotations

from scenarios.part import number_in
from scenarios.scenario import Event, When
from scenarios.words import one_line
from scenarios.world.expression import WorldFault
from simulation.episode.entry import Entry
from simulation.episode.scene_state import SceneState
from simulation.episode.stop_rules import Exit, Referee, phase_rule_met, world_exit
from simulation.episode.world_rules import begin, close

_MOST_PASSED = 1000
"""Phases that may follow one another before an act."""


async def due(
    stage: SceneState, referee: Referee, step: int, entries: list[Entry], seed: int = 0
) -> Exit | None:
    """Let everything happen that is due before the next act; return why the scene ends by it.

    What happens is added to `entries`, and the stage has absorbed it. An event may bring in roles,
    begin a phase or set off another event at once; each happens at most once before an act, so this
    ends.
    """
    asked, again, passed = False, True, 0
    while again:
        again = False
        for event in stage.scenario.events:
            if _is_due(event, stage):
                entries += _fire(event, stage, step)
                if event.ends:
                    return Exit("event", event.id)
                again = True
        if stage.phase_index is None:
            continue
        if stage.world and stage.phase_index >= 0 and stage.phase_over():
            entries += close(stage, step, seed)
            if ending := world_exit(stage):
                return ending
        if stage.in_last_phase:  # whether a rule ends it is seen as soon as an act is settled
            if stage.phase_over():
                return Exit("phases-over", stage.scenario.phases[-1].id)
            continue
        over = stage.phase_index < 0 or stage.phase_over()
        if not over and not asked:
            over, asked = await phase_rule_met(stage, referee), True
        if over:
            entries += close(stage, step, seed)
            entries += _next_phase(stage, step)
            if ending := world_exit(stage):
                return ending
            again, passed = True, passed + 1
            if passed > _MOST_PASSED:
                raise WorldFault(f"{passed} phases followed one another and nobody could act")
    return None


def _is_due(event: Event, stage: SceneState) -> bool:
    if event.id in stage.happened:
        since = len(stage.turns) - stage.happened_at[event.id]
        when = event.when if event.every else None
        if when and when.still is not None:
            return min(stage.copies, since) >= stage.acts_in(when.still)
        quiet = when.quiet if when else None
        return quiet is not None and min(stage.quiet, since) >= stage.acts_in(quiet)
    if event.at is not None:
        done = stage.all_rounds if isinstance(event.at, str) else len(stage.turns)
        return done + 1 >= number_in(event.at)
    return event.when is not None and _holds(event.when, stage)


def _holds(when: When, stage: SceneState) -> bool:
    if when.leaves is not None:
        return bool(stage.left) if when.leaves == "anyone" else when.leaves in stage.left
    if when.says is not None:
        return bool(stage.turns_saying(when.says))
    if when.event is not None:
        return when.event in stage.happened
    if when.phase is not None and stage.world:
        return when.phase in stage.world.begun
    if when.phase is not None:
        ids = [phase.id for phase in stage.scenario.phases]
        return (stage.phase_index or 0) >= ids.index(when.phase)
    if when.still is not None:
        return stage.copies >= stage.acts_in(when.still)
    return when.quiet is not None and stage.quiet >= stage.acts_in(when.quiet)


def _fire(event: Event, stage: SceneState, step: int) -> list[Entry]:
    """Return the event and the entrances it causes, absorbed by the stage."""
    entering = [
        role
        for role, part in stage.scenario.roles.items()
        if part.enters == event.id and role not in stage.present and role not in stage.left
    ]
    entries: list[Entry] = []
    for role in entering:
        around = [*stage.present]
        entries.append(
            {"kind": "entrance", "step": step, "name": role, "text": None, "audience": around}
        )
        stage.absorb(entries[-1:])
    hearers = [r for r in stage.here() if event.audience is None or r in event.audience]
    happening: Entry = {
        "kind": "event",
        "step": step,
        "name": event.id,
        "text": one_line(event.text),
        "audience": hearers,
    }
    stage.absorb([happening])
    return [*entries, happening]


def _next_phase(stage: SceneState, step: int) -> list[Entry]:
    following = stage.next_phase()
    assert following is not None
    phase = stage.scenario.phases[following]
    entry: Entry = {
        "kind": "phase",
        "step": step,
        "name": phase.id,
        "text": phase.brief and one_line(phase.brief),
        "audience": stage.here(),
    }
    stage.absorb([entry])
    return [entry, *begin(stage, phase, step)]
