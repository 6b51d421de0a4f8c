"""Replaying a stored episode without a model: every prompt rebuilt, every reply taken from the log.

Invariant: a replay plays the same graph as a live episode, so what it rebuilds is what was sent; a
prompt whose hash differs from the recorded one is an error, never a warning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import duckdb

from agents.models.base import CallFailed, Completion, Prompt, Sampling, prompt_hash
from agents.template import load_template
from folkways.errors import UserError
from simulation.config import draft_critic, seats_of
from simulation.episode.agent_calls import Caller
from simulation.episode.budget import Budget, BudgetConfig, BudgetSpent
from simulation.episode.episode import Conditions
from simulation.episode.graph import LISTS, EpisodeContext, EpisodeState, at_first, broken_off
from simulation.episode.scene_state import SceneState
from simulation.plan import REPLAYED
from simulation.replay.branch import Branch, Changes, go_on, with_model
from simulation.replay.stored_episode import Book, StoredEpisode, read_book
from simulation.store.record import Row


class RebuiltCall(NamedTuple):
    """A prompt as it was sent."""

    call: int
    """Number of the call in the episode."""
    role: str | None
    purpose: str
    prompt: Prompt


class Replay(NamedTuple):
    """What a replay came to."""

    state: EpisodeState
    calls: list[RebuiltCall]
    """In the order of the log; of a branch, those it made itself."""
    stage: SceneState
    """At the end."""
    conditions: Conditions
    """Under which it was played; the model is the log."""


class Beginning(NamedTuple):
    """The first turns of an episode, for a branch to go on from."""

    state: EpisodeState
    tokens: int
    """What they took, as the token limit of a scene counts."""


class Changed(UserError):
    """A rebuilt prompt differs from the one that was sent: other templates, or a damaged log."""


class _Ended(Exception):
    """The log has no further call: the episode broke off here."""


@dataclass(slots=True)
class _Log:
    """The recorded calls of one episode, each to be answered once."""

    episode: Row
    rows: dict[int, list[Row]]
    """By seed."""
    over: Callable[[], bool]
    """Whether calls that the log lacks are those after the last step that is wanted."""
    rebuilt: list[RebuiltCall] = field(default_factory=list)

    def answer(self, prompt: Prompt, seed: int) -> Row:
        """Return the row of a call, once its prompt has been checked."""
        rows, found = self.rows.get(seed), prompt_hash(prompt)
        if not rows:
            raise self._missing()
        place = next((n for n, one in enumerate(rows) if one["prompt_hash"] == found), 0)
        row = rows.pop(place)
        if found != row["prompt_hash"]:
            raise Changed(
                f"call {row['call']} of episode {row['episode_id']}: the rebuilt prompt has hash "
                f"{found}, the log says {row['prompt_hash']}"
            )
        self.rebuilt.append(RebuiltCall(row["call"], row["role"], row["purpose"], prompt))
        return row

    def _missing(self) -> Exception:
        """A call is missing where an error broke the episode off; else no budget was left for
        it."""
        if self.over() or self.episode["exit_reason"] == "error":
            return _Ended()
        return BudgetSpent(self.episode["exit_detail"])


class _RecordedModel:
    """Answers each call with the recorded reply, found by its seed."""

    def __init__(self, name: str, log: _Log) -> None:
        self.name, self._log = name, log

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def score(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float]:
        raise NotImplementedError("a log holds no scores")

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        assert sampling.seed is not None
        row = self._log.answer(prompt, sampling.seed)
        if row["finish_reason"] is None:
            raise CallFailed(row["failure"], row["reply"], row["attempts"])
        return Completion(
            row["reply"],
            row["finish_reason"],
            row["prompt_tokens"],
            row["completion_tokens"],
            row["cached_tokens"],
            row["attempts"],
            row["cost"],
            row["endpoint"],
            row.get("reasoning"),
            row.get("reasoning_tokens"),
        )


async def replay(con: duckdb.DuckDBPyConnection, episode_id: str) -> Replay:
    """Play a stored episode again from its log; of a branch, with the beginning of its parent.

    Raises UserError for an unknown episode and Changed where a prompt cannot be rebuilt exactly.
    """
    return await replay_from(read_book(con, [episode_id]), episode_id)


async def replay_from(book: Book, episode_id: str) -> Replay:
    """Do the same with episodes that have been read."""
    return (await _replay(book, book[episode_id]))[0]


async def beginning(book: Book, episode_id: str, turn: int) -> Beginning:
    """Return the state of an episode after its first turns, every prompt of them checked.

    Raises as `replay` does, and UserError for a turn that the episode cannot be cut at.
    """
    recorded = book[episode_id]
    step = recorded.last_step(turn)
    if turn == 0:
        return Beginning(at_first(), 0)
    if (branch := recorded.branch) and turn <= branch["at_turn"]:
        return await beginning(book, branch["parent_id"], turn)
    played, tokens = await _replay(book, recorded, step)
    return Beginning(_cut(played.state, step, turn), tokens)


def branch_of(book: Book, recorded: StoredEpisode) -> Branch | None:
    """Return what makes an episode a branch, or None."""
    row = recorded.branch
    if row is None:
        return None
    return Branch(
        book[row["parent_id"]],
        row["at_turn"],
        row["number"],
        Changes.from_json(row["changes"]),
        recorded.row["model"],
        recorded.row["attempt"],
    )


async def _replay(
    book: Book, recorded: StoredEpisode, last: int | None = None
) -> tuple[Replay, int]:
    """Replay an episode, up to the end of step `last` where that is given; also return the tokens
    used."""
    branch = branch_of(book, recorded)
    start, seed = Beginning(at_first(), 0), recorded.row["seed"]
    if branch:
        start = await beginning(book, branch.parent.row["episode_id"], branch.at_turn)
        seed = branch.episode().seed
    context, shared, log = _context(recorded, start, seed, last)
    try:
        state = await go_on(context, start.state, branch.changes if branch else None)
    except UserError:
        raise
    except Exception as error:
        if recorded.row["exit_reason"] != "error" and not isinstance(error, _Ended):
            raise
        state = broken_off(context, "error", recorded.row["exit_detail"])
    calls = sorted(log.rebuilt, key=lambda rebuilt: rebuilt.call)
    return Replay(state, calls, context.stage, shared), context.caller.tokens


def _context(
    recorded: StoredEpisode, start: Beginning, seed: int, last: int | None
) -> tuple[EpisodeContext, Conditions, _Log]:
    """Return what the replay of an episode needs, from where it is its own."""
    row, stage, before = recorded.row, recorded.premise().stage(), start.state["step"]
    rows = [
        call
        for call in recorded.tables["calls"]
        if before < call["step"] and (last is None or call["step"] <= last)
    ]
    _require_templates(recorded, rows)
    by_seed: dict[int, list[Row]] = {}
    for call in rows:
        by_seed.setdefault(call["seed"], []).append(call)
    log = _Log(row, by_seed, lambda: last is not None and caller.step > last)
    shared = _conditions(recorded, log)
    caller = Caller(
        shared.model,
        shared.settings,
        stage,
        seed,
        Budget(BudgetConfig(), lambda: 0.0),
        shared.critic,
        shared.seats.of(recorded.premise().company(row["culture_id"]), row["replicate"]),
    )
    caller.tokens = start.tokens
    timed_out = row["turns"] if row["exit_reason"] == "wall-limit" else math.inf
    clock = lambda: math.inf if len(stage.turns) >= timed_out else 0.0  # noqa: E731
    failed_as = row["exit_reason"] if row["exit_reason"].endswith("-failure") else None
    return EpisodeContext(stage, caller, None, 0.0, clock, failed_as), shared, log


def _conditions(recorded: StoredEpisode, log: _Log) -> Conditions:
    row, config = recorded.row, with_model(recorded.config, recorded.row["model"])
    loop = config.in_loop.model if config.in_loop else None
    return Conditions(
        row["run_id"],
        _RecordedModel(row["model"], log),
        config.model.call_settings(),
        row["reply_form"],
        config.conditioning,
        {},
        recorded.cultures,
        lambda: row["started_at"],
        draft_critic(config, _RecordedModel(loop or row["model"], log)),
        config.play,
        seats_of(config, lambda name, options: _RecordedModel(name, log)),
    )


def _require_templates(recorded: StoredEpisode, rows: Sequence[Row]) -> None:
    """Raise Changed for calls whose template is another one by now."""
    known = {load_template(name).hash for name in REPLAYED}
    for row in rows:
        if row["template_hash"] not in known:
            stored = recorded.sources.get("templates", row["template_hash"])["name"]
            here = load_template(stored).hash if stored in REPLAYED else "none"
            raise Changed(
                f"call {row['call']} of episode {row['episode_id']}: the template '{stored}' has "
                f"changed since; its hash was {row['template_hash']} and is {here} here"
            )


def _cut(state: EpisodeState, step: int, turn: int) -> EpisodeState:
    """Return what had come of a scene by the end of a step, which ended with a turn."""
    whole = cast(Row, state)
    kept = {name: [one for one in whole[name] if one.get("step", 0) <= step] for name in LISTS}
    drafts = [draft for draft in state["drafts"] if draft["turn"] <= turn]
    return cast(EpisodeState, {**kept, "drafts": drafts, "acts": [], "step": step, "exit": None})
