"""One model call, to complete or to score, within a budget and a time limit, and its row.

Invariant: every call that was made leaves one row, whatever came of it; an answer that was kept
leaves one too, and costs nothing.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from agents.actor import Asked
from agents.models.base import (
    CUT_IN_REASONING,
    CallFailed,
    Model,
    Prompt,
    Sampling,
    prompt_length,
)
from agents.models.cache import NotKept, recall
from agents.models.deadline import WaitedOut, time_limit
from folkways.text import sound
from simulation.episode.budget import Budget
from simulation.store.record import Row

KEPT_REPLY = 20_000
"""Characters of a reply that the log keeps; a longer one is a fault and is cut there, with a note.
"""
_CUT = re.compile(r" \[cut: \d+ characters in all\]")
"""The note; a reply that has it comes from a log and is kept as it is."""
_CHARACTERS_PER_TOKEN = 3
"""A cautious guess for reserving budget before the engine has counted."""
_USE = ("prompt_tokens", "completion_tokens", "cost")
_TOLD = (*_USE, "cached_tokens", "reasoning_tokens", "finish_reason", "endpoint")
"""What an answer tells of itself, and a failed call does not."""
Answer = TypeVar("Answer")


class Called(NamedTuple, Generic[Answer]):
    """What came of one call."""

    answer: Answer | CallFailed
    recalled: bool
    """Whether the answer comes from the cache."""
    latency_s: float


async def make_call(
    model: Model, asked: Asked, sampling: Sampling, budget: Budget, timeout_s: float, *,
    purpose: str, template_hash: str, seen: int, step: int = 0, role: str | None = None,
) -> Row:  # fmt: skip
    """Have a model write and return the row of the call, the columns of the table `calls` but for
    episode and number. Raises as `call_model` does.
    """
    request = asked.prompt, sampling, asked.schema
    answer, _, latency_s = await call_model(
        partial(recall, model, *request),
        partial(model.complete, *request),
        estimated_tokens(asked.prompt, sampling.max_tokens),
        budget,
        timeout_s,
        purpose,
    )
    failure: str | None
    if isinstance(answer, CallFailed):
        text, thought, failure = str(answer), None, answer.reason
    else:
        text, thought = answer.text, answer.reasoning
        failure = CUT_IN_REASONING if answer.cut_in_reasoning else None
    return {
        "step": step, "purpose": purpose, "role": role, "model": model.name,
        "template_hash": template_hash, "prompt_hash": asked.prompt_hash, "seen": seen,
        "seed": sampling.seed, "attempts": answer.attempts, "reply": _kept(text),
        "reasoning": None if thought is None else _kept(thought), "failure": failure,
        **{name: getattr(answer, name, None) for name in _TOLD}, "latency_s": latency_s,
    }  # fmt: skip


async def call_model(
    recalling: Callable[[], Awaitable[Answer | None]],
    asking: Callable[[], Awaitable[Answer]],
    estimate: int,
    budget: Budget,
    timeout_s: float,
    about: str,
) -> Called[Answer]:
    """Return what the cache has kept, as `recalling` says, or else what a model answers or why it
    does not; `estimate` is how many tokens that may take, and `about` what errors name.

    Raises BudgetSpent before a call that the budget does not admit and where the wall time ends
    before it is the call's turn, and NotKept where the cache alone may answer and cannot.
    """
    began = time.perf_counter()
    try:
        kept = await recalling()
    except NotKept as error:
        raise NotKept(f"{about}: {error}") from None
    if kept is not None:
        budget.admit_free()
        return Called(kept, True, time.perf_counter() - began)
    budget.admit(estimate)
    answer: Answer | CallFailed | None = None
    began = time.perf_counter()
    try:
        async with time_limit(timeout_s, budget.left_s):
            answer = await asking()
    except WaitedOut:
        raise budget.out_of_time() from None
    except TimeoutError:
        answer = CallFailed("timeout", f"no reply within {timeout_s:g} s")
    except CallFailed as error:
        answer = error
    finally:
        prompt, completion, cost = (getattr(answer, name, None) for name in _USE)
        tokens = tokens_of(prompt, completion, 0 if answer is None else estimate)
        budget.settle(estimate, *tokens, cost)
    return Called(answer, False, time.perf_counter() - began)


def only_reasoned(row: Row) -> bool:
    """Return whether a model was asked in a call and came to no answer after reasoning."""
    thought = row["failure"] == CUT_IN_REASONING or row["reasoning"] is not None
    return thought and not (row["reply"] or "").strip()


def estimated_tokens(prompt: Prompt, max_tokens: int = 0) -> int:
    """Return how many tokens a call may take, by a cautious guess."""
    return prompt_length(prompt) // _CHARACTERS_PER_TOKEN + max_tokens


def tokens_of(prompt: int | None, completion: int | None, estimate: int) -> tuple[int, int]:
    """Return prompt and completion tokens of a call; the estimate where they were not counted."""
    return (estimate, 0) if prompt is None or completion is None else (prompt, completion)


def derived_seed(seed: int, *parts: object) -> int:
    """Return a 31-bit seed that depends on all arguments and on nothing else."""
    text = ":".join(map(str, (seed, *parts)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) >> 1


def _kept(text: str) -> str:
    text = sound(text)
    if len(text) <= KEPT_REPLY or _CUT.fullmatch(text, KEPT_REPLY):
        return text
    return f"{text[:KEPT_REPLY]} [cut: {len(text)} characters in all]"
