"""What a store keeps of a world: its values as they changed, decisions, ballots and payoffs.

Invariant: the rows follow from the scene and the log alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from scenarios.world.scope import VOTE
from simulation.episode.entry import Entry, MadeAct
from simulation.episode.scene_state import SceneState
from simulation.episode.world_acts import CHOICE
from simulation.episode.world_state import WorldState
from simulation.store.record import Row


class _Place(NamedTuple):
    """Where in a scene something is."""

    step: int
    after_turn: int
    phase: str | None
    round: int


def world_rows(stage: SceneState, log: Sequence[Entry]) -> dict[str, list[Row]]:
    """Return the rows of a scene's world by table, none where it has no world."""
    if stage.world is None:
        return {}
    rows: dict[str, list[Row]] = {"world": [], "decisions": [], "votes": []}
    fresh = WorldState(stage.scenario, [])
    place = _Place(0, 0, None, 0)
    rows["world"] += _values(place, "start", _all(fresh))
    repeat, began = stage.scenario.repeat, 0
    for number, entry in enumerate(log):
        place = place._replace(step=entry["step"])
        if entry["kind"] == "phase":
            began = number
            begins = repeat is not None and repeat.phases[0] == entry["name"]
            place = place._replace(phase=entry["name"], round=place.round + begins)
        elif entry["kind"] == "turn":
            place = place._replace(after_turn=entry["turn"])
            if "act" in entry:
                rows["decisions"].append(_decision(place, entry, entry["act"]))
        elif entry["kind"] == "world":
            rows["world"] += _values(place, entry["name"], entry["changes"])
            if "won" in entry:
                rows["votes"] += _ballots(place, log[began:number], entry["won"])
    payoffs = stage.world.payoffs().items()
    return rows | {"payoffs": [{"role": role, "payoff": payoff} for role, payoff in payoffs]}


def _all(world: WorldState) -> Iterable[tuple[str, str | None, Any]]:
    for name, value in world.values.items():
        if isinstance(value, dict):
            yield from ((name, role, its) for role, its in value.items())
        else:
            yield name, None, value


def _values(place: _Place, cause: str, changes: Iterable[Sequence[Any]]) -> list[Row]:
    return [
        place._asdict()
        | {
            "cause": cause,
            "variable": name,
            "role": role,
            "value": str(value).lower() if isinstance(value, bool) else str(value),
            "number": None if isinstance(value, str) else float(value),
        }
        for name, role, value in changes
    ]


def _decision(place: _Place, turn: Entry, made: MadeAct) -> Row:
    granted = made["granted"] and json.dumps(made["granted"], ensure_ascii=False)
    return {
        "turn": turn["turn"],
        "step": place.step,
        "phase": place.phase,
        "round": place.round,
        "role": turn["speaker"],
        "act": made["name"],
        "args": json.dumps(made["args"], ensure_ascii=False),
        "granted": granted,
        "allowed": made["reason"] is None,
        "reason": made["reason"],
        "cooperation": made["cooperation"],
        **_judged(made),
    }


def _judged(made: MadeAct) -> Row:
    """Return what a game master found; nulls where there was nothing to judge."""
    found = made.get("judged")
    return {
        "outcome": found and found["choice"],
        "outcome_reason": found and found["reason"],
        "judge_failure": found and found["failure"],
        "judge_call": found and found["call"],
    }


def _ballots(place: _Place, log: Sequence[Entry], won: str | None) -> list[Row]:
    """Return what was voted for in the phase that has just been closed."""
    rows = list[Row]()
    for entry in log:
        made = entry.get("act")
        if made is None or made["name"] != VOTE or made["reason"] is not None:
            continue
        given = made["args"][CHOICE]
        for rank, choice in enumerate([given] if isinstance(given, str) else given, start=1):
            rows.append(
                {
                    "turn": entry["turn"],
                    "step": entry["step"],
                    "phase": place.phase,
                    "round": place.round,
                    "role": entry["speaker"],
                    "choice": choice,
                    "rank": rank,
                    "won": choice == won,
                }
            )
    return rows
