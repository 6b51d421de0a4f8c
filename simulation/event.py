"""Events and phases: what happens to a scene rather than through its roles.

Invariant: what is due follows from the stage alone, and nothing happens twice.
"""

from __future__ import annotations

from scenarios.scenario import Event, When
from simulation.entry import Entry
from simulation.stage import Stage
from simulation.stop import Referee, met


async def due(stage: Stage, referee: Referee, step: int, entries: list[Entry]) -> str | None:
    """Let everything happen that is due before the next act; return the event that ends the scene.

    What happens is added to `entries`, and the stage has absorbed it. An event may bring in roles,
    begin a phase or set off another event at once; each happens at most once, so this ends.
    """
    ending: str | None = None
    asked, again = False, True
    while again and ending is None:
        again = False
        for event in stage.scenario.events:
            if event.id not in stage.happened and _is_due(event, stage):
                entries += _fire(event, stage, step)
                ending = event.id if event.ends else ending
                again = True
        over = _phase_over(stage)
        if over is None:
            over = not asked and await _rule_met(stage, referee)
            asked = True
        if over:
            entries.append(_next_phase(stage, step))
            again = True
    return ending


def _is_due(event: Event, stage: Stage) -> bool:
    if event.at is not None:
        return len(stage.turns) + 1 >= event.at
    return event.when is not None and _holds(event.when, stage)


def _holds(when: When, stage: Stage) -> bool:
    if when.leaves is not None:
        return bool(stage.left) if when.leaves == "anyone" else when.leaves in stage.left
    if when.says is not None:
        return bool(stage.turns_saying((when.says,)))
    if when.event is not None:
        return when.event in stage.happened
    if when.phase is not None:
        ids = [phase.id for phase in stage.scenario.phases]
        return (stage.phase_index or 0) >= ids.index(when.phase)
    return when.quiet is not None and stage.quiet >= when.quiet


def _fire(event: Event, stage: Stage, step: int) -> list[Entry]:
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
        "kind": "event", "step": step, "name": event.id, "text": event.text, "audience": hearers,
    }  # fmt: skip
    stage.absorb([happening])
    return [*entries, happening]


def _phase_over(stage: Stage) -> bool | None:
    """Tell whether the phase is over; None where only its rule can tell."""
    if stage.phase_index is None or stage.phase_index + 1 >= len(stage.scenario.phases):
        return False
    if stage.phase_index < 0:
        return True
    until = stage.scenario.phases[stage.phase_index].until
    if until is None:
        return False
    if until.turns is not None and len(stage.turns) - stage.phase_began >= until.turns:
        return True
    if until.event is not None and until.event in stage.happened:
        return True
    return None if until.rule else False


async def _rule_met(stage: Stage, referee: Referee) -> bool:
    until = stage.phase.until if stage.phase else None
    if until is None or until.rule is None or len(stage.turns) == stage.phase_began:
        return False
    return await met(until.rule, stage, referee) is not None


def _next_phase(stage: Stage, step: int) -> Entry:
    assert stage.phase_index is not None
    phase = stage.scenario.phases[stage.phase_index + 1]
    entry: Entry = {
        "kind": "phase", "step": step, "name": phase.id, "text": phase.brief,
        "audience": stage.here(),
    }  # fmt: skip
    stage.absorb([entry])
    return entry
