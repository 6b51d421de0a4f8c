"""Replaying a stored episode without a model: every prompt rebuilt, every reply taken from the log.

Invariant: a replay plays the same graph as a live episode, so what it rebuilds is what was sent; a
prompt whose hash differs from the recorded one is an error, never a warning.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import duckdb

from agents.actor import prompt_hash
from agents.model import CallFailed, Completion, Prompt, Sampling
from scenarios.culture import Culture
from scenarios.errors import UserError
from scenarios.persona import Persona
from scenarios.scenario import Scenario
from simulation.budget import Budget, BudgetConfig, BudgetSpent
from simulation.caller import Caller, CallSettings
from simulation.config import RunConfig, draft_critic
from simulation.graph import Context, State, broken_off, play
from simulation.query import read_rows
from simulation.stage import Stage


class RebuiltCall(NamedTuple):
    """A prompt as it was sent."""

    call: int
    """Number of the call in the episode."""
    role: str | None
    purpose: str
    prompt: Prompt


class Replay(NamedTuple):
    """What a replay came to."""

    state: State
    calls: list[RebuiltCall]
    """In the order of the log."""


class Changed(UserError):
    """A rebuilt prompt differs from the one that was sent: other templates, or a damaged log."""


class _Ended(Exception):
    """The log has no further call: the episode broke off here."""


class _RecordedModel:
    """Answers each call with the recorded reply, found by its seed."""

    def __init__(self, episode: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
        self.name: str = episode["model"]
        self._over: Exception = _Ended()
        if episode["exit_reason"] == "budget":
            self._over = BudgetSpent(episode["exit_detail"])
        self._rows = {row["seed"]: row for row in rows}
        self.rebuilt: list[RebuiltCall] = []

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def score(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float]:
        raise NotImplementedError("a log holds no scores")

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        row = self._rows.get(sampling.seed)
        if row is None:
            raise self._over
        found = prompt_hash(prompt)
        if found != row["prompt_hash"]:
            raise Changed(
                f"call {row['call']} of episode {row['episode_id']}: the rebuilt prompt has hash "
                f"{found}, the log says {row['prompt_hash']}"
            )
        self.rebuilt.append(RebuiltCall(row["call"], row["role"], row["purpose"], prompt))
        if row["failure"]:
            raise CallFailed(row["failure"], row["reply"], row["attempts"])
        return Completion(
            row["reply"], row["finish_reason"], row["prompt_tokens"], row["completion_tokens"],
            row["cached_tokens"], row["attempts"], row["cost"], row["endpoint"],
        )  # fmt: skip


async def replay(con: duckdb.DuckDBPyConnection, episode_id: str) -> Replay:
    """Play a stored episode again from its log.

    Raises UserError for an unknown episode and Changed where a prompt cannot be rebuilt exactly.
    """
    episode = _one(con, "select * from episodes where episode_id = ?", [episode_id])
    if episode is None:
        raise UserError(f"there is no episode '{episode_id}' in this store")
    rows = read_rows(con, "select * from calls where episode_id = ? order by call", episode_id)
    stage, config = _stage(con, episode)
    model = _RecordedModel(episode, rows)
    settings = CallSettings(config.model.sampling(), config.model.timeout_s, config.model.repairs)
    budget = Budget(BudgetConfig(), time.monotonic)
    critic = draft_critic(config, model)
    caller = Caller(model, settings, stage, episode["seed"], budget, critic)
    context = Context(stage, caller, None, time.monotonic())
    try:
        state = await play(context)
    except _Ended:
        state = broken_off(context, "error", "the log has no further call")
    return Replay(state, sorted(model.rebuilt, key=lambda rebuilt: rebuilt.call))


def _stage(con: duckdb.DuckDBPyConnection, episode: Mapping[str, Any]) -> tuple[Stage, RunConfig]:
    """Return the stage as it was when the episode began, from stored data alone."""
    import yaml

    stored = _one(con, "select config from runs where run_id = ?", [episode["run_id"]])
    assert stored is not None
    resolved = yaml.safe_load(stored["config"])
    resolved.pop("contents")
    config = RunConfig.model_validate(resolved)
    data = _one(
        con, "select data from scenarios where scenario_hash = ?", [episode["scenario_hash"]]
    )
    assert data is not None
    scenario = Scenario.model_validate(json.loads(data["data"]))
    people = read_rows(
        con,
        "select r.role, p.data as persona, c.data as culture from roles r "
        "join personas p using (persona_hash) join cultures c using (culture_hash) "
        "where r.episode_id = ?",
        episode["episode_id"],
    )
    cast = {row["role"]: Persona.model_validate(json.loads(row["persona"])) for row in people}
    known = [Culture.model_validate(json.loads(row["culture"])) for row in people]
    cultures = {culture.id: culture for culture in known}
    cast = {role: cast[role] for role in scenario.roles}
    form = episode["reply_form"]
    return (Stage(scenario, cast, cultures, episode["language"], form, config.conditioning), config)


def _one(con: duckdb.DuckDBPyConnection, query: str, values: list[Any]) -> dict[str, Any] | None:
    found = read_rows(con, query, *values)
    return found[0] if found else None
