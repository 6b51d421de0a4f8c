"""An episode: scenario x cast x culture x language x seed, and the record of having played it.

Invariant: an episode's id is a hash of all that decides what happens in it, so equal ids mean equal
conditions.
"""

from __future__ import annotations

import json
import random
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel

from agents.actor import ReplyForm
from agents.models.base import Model
from agents.models.health import FAULTS
from agents.role_view import Conditioning
from agents.template import load_template, used
from folkways.errors import UserError
from folkways.provenance import short_hash
from scenarios.casting import cast_scenario
from scenarios.culture import Culture
from scenarios.persona import Persona
from scenarios.scenario import Scenario
from simulation.episode.agent_calls import Caller
from simulation.episode.budget import Budget
from simulation.episode.draft_critic import DraftCritic
from simulation.episode.entry import Entry
from simulation.episode.graph import EpisodeContext, EpisodeState, broken_off, play
from simulation.episode.judgement import PURPOSE
from simulation.episode.play_settings import PLAIN, PlaySettings
from simulation.episode.scene_state import SceneState
from simulation.episode.seats import NO_SEATS, CallSettings, Company, Seats
from simulation.episode.world_rows import world_rows
from simulation.store.record import Record, Row


@dataclass(frozen=True, slots=True)
class Episode:
    """One episode to be played."""

    content_hash: str
    scenario: Scenario
    culture_id: str
    language: str
    replicate: int
    seed: int
    attempt: int = 1

    @property
    def id(self) -> str:
        """The content hash; later attempts carry their number."""
        return self.content_hash if self.attempt == 1 else f"{self.content_hash}-{self.attempt}"


@dataclass(frozen=True, slots=True)
class Conditions:
    """What all episodes of a run share."""

    run_id: str
    model: Model
    settings: CallSettings
    form: ReplyForm
    conditioning: Conditioning
    personas: Mapping[str, Persona]
    """Those who may be cast, by id."""
    cultures: Mapping[str, Culture]
    utc: Callable[[], datetime]
    """The time now, naive UTC."""
    critic: DraftCritic | None = None
    """The critic in the loop, if the run has one."""
    play: PlaySettings = PLAIN
    """How acts are asked for and chosen."""
    seats: Seats = NO_SEATS
    """What plays roles in place of the model."""


async def play_episode(
    episode: Episode,
    conditions: Conditions,
    budget: Budget,
    watch: Callable[[SceneState, Sequence[Entry]], None] | None = None,
) -> Record:
    """Play one episode and return its record.

    An exception in one episode ends that episode alone: it is recorded with exit reason `error` and
    the traceback. Only UserError, such as a model that cannot be reached, is passed on.
    """
    started, began = conditions.utc(), time.perf_counter()
    cast = cast_scenario(
        episode.scenario, episode.culture_id, conditions.personas, random.Random(episode.seed)
    )
    company = Company(episode.scenario, cast, episode.culture_id)
    seats = conditions.seats.of(company, episode.replicate)
    stage = SceneState(
        episode.scenario,
        cast,
        conditions.cultures,
        episode.language,
        conditions.form,
        conditions.conditioning,
        play=conditions.play,
        forms={role: seat.form for role, seat in seats.items()},
    )
    caller = Caller(
        conditions.model,
        conditions.settings,
        stage,
        episode.seed,
        budget,
        conditions.critic,
        seats,
    )
    context = EpisodeContext(stage, caller, watch, time.monotonic())
    try:
        state = await play(context)
    except UserError:
        raise
    except Exception:
        state = broken_off(context, "error", traceback.format_exc())
    wall_s = time.perf_counter() - began
    return record_of(episode, conditions, stage, state, started, wall_s)


def record_of(
    episode: Episode,
    conditions: Conditions,
    stage: SceneState,
    state: EpisodeState,
    started: datetime,
    wall_s: float,
) -> Record:
    """Return the record of an episode whose scene has come to this state."""
    id_of, exit_ = {"episode_id": episode.id}, state["exit"] or ["error", "no reason was given"]
    if fault := _unjudged(state["calls"]):
        exit_ = ["endpoint-failure", fault]
    turns, happenings = [], []
    for entry in state["log"]:
        row = id_of | dict(entry)
        kind = row.pop("kind")
        if kind == "turn":
            row.pop("act", None)
            turns.append(row)
        elif kind != "world":
            happenings.append(row | {"kind": kind, "after_turn": len(turns)})
    row = id_of | {
        "content_hash": episode.content_hash, "attempt": episode.attempt,
        "run_id": conditions.run_id, "scenario_id": episode.scenario.id,
        "scenario_hash": content_of(episode.scenario)[0], "culture_id": episode.culture_id,
        "language": episode.language, "replicate": episode.replicate, "seed": episode.seed,
        "model": conditions.model.name, "reply_form": conditions.form,
        "policy": episode.scenario.policy.name, "exit_reason": exit_[0], "exit_detail": exit_[1],
        "turns": len(turns), "started_at": started, "wall_s": wall_s,
        "conditioning": conditions.conditioning,
    }  # fmt: skip
    rows: dict[str, list[Row]] = {
        "episodes": [row],
        "roles": [id_of | role for role in _cast_rows(episode, stage, conditions.seats)],
        "turns": turns,
        "happenings": happenings,
        "choices": [id_of | choice for choice in state["choices"]],
        "drafts": [id_of | draft for draft in state["drafts"]],
        "calls": [id_of | {"call": n} | call for n, call in enumerate(state["calls"], start=1)],
    }
    for table, some in world_rows(stage, state["log"]).items():
        rows[table] = [id_of | one for one in some]
    return Record(rows, exit_[0] or "error", _shared_rows(episode, stage, conditions.cultures))


def _unjudged(calls: Sequence[Row]) -> str | None:
    """Return what kept the critic in the loop, or the game master, from judging anything, if an
    endpoint did: a scene that it was to shape and never saw is nobody's result."""
    for purpose in ("draft-critic", PURPOSE):
        failures = {call["failure"] for call in calls if call["purpose"] == purpose}
        if failures and failures <= {*FAULTS}:
            return str(min(failures))
    return None


def _cast_rows(episode: Episode, stage: SceneState, seats: Seats) -> list[Row]:
    company = Company(episode.scenario, stage.cast, episode.culture_id)
    taken = seats.of(company, episode.replicate)
    return [
        {
            "role": role,
            "persona_hash": content_of(persona)[0],
            "persona_id": persona.id,
            "name": stage.names[role],
            "culture_id": told.id,
            "culture_hash": content_of(told)[0],
            "language": part.language or episode.language,
            "goal": part.goal,
            "secret": part.secret,
            "model": taken[role].model.name if role in taken else None,
        }
        for role, part in stage.scenario.roles.items()
        for persona, told in [(stage.cast[role], stage.actors[role].view.culture)]
    ]


def _shared_rows(
    episode: Episode, stage: SceneState, cultures: Mapping[str, Culture]
) -> dict[str, list[Row]]:
    scenario_hash, data = content_of(episode.scenario)
    scene = episode.scenario
    names = ["referee", "moderator", "draft", *["world"] * scene.has_world]
    names += ["game_master"] * scene.is_judged + ["thought"] * (stage.play.thoughts is True)
    scenario = {
        "scenario_hash": scenario_hash,
        "scenario_id": episode.scenario.id,
        "title": episode.scenario.title,
        "theme": episode.scenario.theme,
        "language": episode.scenario.language,
        "tags": list(episode.scenario.tags),
        "data": data,
    }
    ids = {persona.culture for persona in stage.cast.values()} | {episode.culture_id}
    told = [actor.view.culture for actor in stage.actors.values()]
    rows = [_culture_row(culture) for culture in (*map(cultures.__getitem__, sorted(ids)), *told)]
    return {
        "scenarios": [scenario],
        "personas": [_persona_row(persona) for persona in stage.cast.values()],
        "cultures": list({row["culture_hash"]: row for row in rows}.values()),
        "templates": used((*stage.templates(), *map(load_template, names))),
    }


def _persona_row(persona: Persona) -> Row:
    hash_, data = content_of(persona)
    fields = ("name", "age", "gender", "occupation", "education", "settlement", "marital_status")
    return {
        "persona_hash": hash_,
        "persona_id": persona.id,
        "culture_id": persona.culture,
        "data": data,
        **{field: getattr(persona, field) for field in fields},
    }


def _culture_row(culture: Culture) -> Row:
    hash_, data = content_of(culture)
    return {"culture_hash": hash_, "culture_id": culture.id, "name": culture.name, "data": data}


_contents: dict[int, tuple[BaseModel, tuple[str, str]]] = {}


def content_of(value: BaseModel) -> tuple[str, str]:
    """Return the content hash and the JSON of a scenario, culture or persona.

    Keys keep their order: the order of roles is part of a scenario.
    """
    known = _contents.get(id(value))
    if known is None or known[0] is not value:
        data = json.dumps(value.model_dump(mode="json"), ensure_ascii=False, separators=(",", ":"))
        known = _contents[id(value)] = (value, (short_hash(data), data))
    return known[1]
