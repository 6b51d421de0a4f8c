"""The calibration set: conversations with known faults, put into a store so that critics can be
tested on them like on any run.

Invariant: a case is made from the shipped files alone, so its episode has the same id everywhere.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from agents.models.base import Sampling
from agents.models.fake import FakeModel
from folkways.event_loop import run_to_end
from folkways.provenance import short_hash
from scenarios.culture import load_cultures
from scenarios.library import load_scenario
from scenarios.parsing.yaml_file import load_yaml
from scenarios.pool import load_personas
from scenarios.words import one_line
from simulation.episode.agent_calls import Caller
from simulation.episode.budget import Budget, BudgetConfig
from simulation.episode.entry import Entry
from simulation.episode.episode import Conditions, Episode, record_of
from simulation.episode.events import due
from simulation.episode.graph import EMPTY
from simulation.episode.scene_state import SceneState
from simulation.episode.seats import CallSettings
from simulation.store.record import Record
from simulation.store.writer import Store

CALIBRATION_FOLDER = Path(__file__).parents[1] / "calibration"
_AUTHOR = "written by hand"
"""What stands for the model of these episodes."""
_BRACKETED = re.compile(r"^\[([^\[\]]+)\]$")
_LEAVES = re.compile(r"\s*\[leaves\]$")


@dataclass(frozen=True, slots=True)
class Case:
    """One conversation of the set."""

    id: str
    original: str
    """Id of the sound conversation; its own for one that is sound."""
    fault: str | None
    note: str | None
    culture: str
    scenario: str
    cast: Mapping[str, str]
    """Role to persona id."""
    turns: tuple[tuple[str, str], ...]
    """Role and text; what is done without words stands in square brackets."""


@dataclass(frozen=True, slots=True)
class Injected(Case):
    """A conversation of the set into which a text was put that steers whoever judges it; `original`
    is the conversation without it."""

    injection: str = ""
    """turn, heading, verdict or instruction: what the text pretends to be, or is."""
    language: str = ""
    """Of the text."""
    wants: str = ""
    """What it tries to have said of the conversation: good or bad."""


@cache
def load_cases() -> tuple[Case, ...]:
    """Return the set: each culture's sound conversations, then its faulty ones, then the pairs."""
    files = sorted(CALIBRATION_FOLDER.glob("[a-z][a-z][a-z].yaml"))
    cases = [case for file in files for case in _cases(load_yaml(file).data)]
    known = {case.id: case for case in cases}
    pairs = load_yaml(CALIBRATION_FOLDER / "pairs.yaml").data
    return *cases, *(case for part in pairs for case in _pair(known[part["of"]], part))


@cache
def load_injected() -> tuple[Case, ...]:
    """Return the injected conversations, and those that they were made from."""
    cases = {case.id: case for case in load_cases()}
    injected = [
        _injected(cases[part["of"]], part)
        for part in load_yaml(CALIBRATION_FOLDER / "injections.yaml").data
    ]
    plain = dict.fromkeys(case.original for case in injected)
    return (*map(cases.__getitem__, plain), *injected)


def _injected(case: Case, part: Mapping[str, Any]) -> Injected:
    turns, at = list(case.turns), part["turn"] - 1
    role, text = turns[at]
    turns[at] = role, one_line(f"{text} {part['text']}")  # as an act of a model would be stored
    return Injected(
        part["id"],
        case.id,
        case.fault,
        part["text"],
        case.culture,
        case.scenario,
        case.cast,
        tuple(turns),
        part["kind"],
        part["language"],
        part["wants"],
    )


def expectations() -> dict[str, list[str]]:
    """Return which detectors and critics should see which fault."""
    found: dict[str, list[str]] = load_yaml(CALIBRATION_FOLDER / "faults.yaml").data
    return found


def _cases(data: Mapping[str, Any]) -> Iterator[Case]:
    sound: dict[str, Case] = {}
    for part in data["conversations"]:
        turns = tuple(next(iter(turn.items())) for turn in part["turns"])
        sound[part["id"]] = Case(
            part["id"],
            part["id"],
            None,
            None,
            data["culture"],
            part["scenario"],
            part["cast"],
            turns,
        )
    yield from sound.values()
    for part in data["faults"]:
        before = sound[part["of"]]
        added = tuple(next(iter(turn.items())) for turn in part.get("add", []))
        yield replace(
            before,
            id=part["id"],
            fault=part["fault"],
            note=part["note"],
            turns=_changed(before.turns, part.get("change", {})) + added,
        )


def _pair(before: Case, part: Mapping[str, Any]) -> Iterator[Case]:
    """Yield a sound conversation, unless it is in the set already, and the same with a fault."""
    sound = before
    if "sound" in part:
        id_ = f"{part['id']}-sound"
        turns = _changed(before.turns, part["sound"])
        yield (sound := replace(before, id=id_, original=id_, turns=turns))
    yield replace(
        sound,
        id=part["id"],
        fault=part["fault"],
        note=part["note"],
        turns=_changed(before.turns, part["faulty"]),
    )


def _changed(
    turns: Sequence[tuple[str, str]], changes: Mapping[str, Mapping[str, str]]
) -> tuple[tuple[str, str], ...]:
    changed = {int(number): next(iter(turn.items())) for number, turn in changes.items()}
    return tuple(changed.get(number, turn) for number, turn in enumerate(turns, start=1))


def fill_store(store: Store, utc: datetime, cases: Sequence[Case]) -> None:
    """Put those cases into a store that it does not hold yet."""
    with store.reading() as con:
        known = {row[0] for row in con.execute("select episode_id from cases").fetchall()}
    records = [record for case in cases if (record := _record(case, known, utc))]
    if not known:
        pairs = [{"fault": f, "source": s} for f, names in expectations().items() for s in names]
        records.append(Record({"expectations": pairs}, "expected"))
    if records:
        store.append(records)


def configuration(model: str, name: str, cases: tuple[Case, ...]) -> dict[str, Any]:
    """Return what stands for the configuration of such a run."""
    set_ = short_hash(json.dumps([case.id for case in cases] + [str(cases)]))
    return {
        "name": name,
        "calibration": set_,
        "model": {"name": model, "options": {}},
    }


def _record(case: Case, known: set[str], utc: datetime) -> Record | None:
    scenario = load_scenario(case.scenario)
    parts = {
        role: part.model_copy(update={"persona": case.cast[role], "select": None})
        for role, part in scenario.roles.items()
    }
    scenario = scenario.model_copy(update={"roles": parts, "culture": case.culture})
    content = short_hash(yaml.safe_dump([case.id, case.scenario, dict(case.cast), *case.turns]))
    if content in known:
        return None
    personas, cultures = load_personas(), load_cultures()
    cast = {role: personas[case.cast[role]] for role in scenario.roles}
    stage = SceneState(scenario, cast, cultures, "en", "json", "dimensions")
    conditions = Conditions(
        "calibration",
        FakeModel(_AUTHOR),
        CallSettings(Sampling(), 60.0, 0),
        "json",
        "dimensions",
        personas,
        cultures,
        lambda: utc,
    )
    log = run_to_end(_play(stage, case.turns, conditions))
    state: Any = EMPTY | {"log": log, "exit": ["turn-limit", str(len(case.turns))]}
    episode = Episode(content, scenario, case.culture, "en", 0, 0)
    record = record_of(episode, conditions, stage, state, utc, 0.0)
    record.rows["cases"] = [
        {
            "episode_id": content,
            "case_id": case.id,
            "original": case.original,
            "fault": case.fault,
            "note": case.note,
            **{key: getattr(case, key, None) for key in ("injection", "language", "wants")},
        }
    ]
    return record


async def _play(
    stage: SceneState, turns: Sequence[tuple[str, str]], conditions: Conditions
) -> list[Entry]:
    """Return the log of the acts, with the events that come due between them."""
    budget = Budget(BudgetConfig(), time.monotonic)
    caller = Caller(conditions.model, conditions.settings, stage, 0, budget)
    log: list[Entry] = []
    for number, (role, text) in enumerate(turns, start=1):
        await due(stage, caller, number, log)
        entry = _entry(stage, number, role, text)
        stage.absorb([entry])
        log.append(entry)
    return log


def _entry(stage: SceneState, number: int, role: str, text: str) -> Entry:
    action, words = "speak", text.strip()
    if done := _BRACKETED.match(words):
        action, words = "non-verbal", done[1]
    elif _LEAVES.search(words):
        action, words = "leave", _LEAVES.sub("", words)
    phase = stage.phase
    return {
        "kind": "turn",
        "step": number,
        "turn": number,
        "phase": phase.id if phase else None,
        "speaker": role,
        "action": action,
        "text": words,
        "addressees": [],
        "audience": [other for other in stage.here() if other != role],
        "whisper": False,
        "failure": None,
        "call": 0,
    }
