"""One model call within a budget and a time limit, and the row it leaves in the log.

Invariant: every call that was made leaves one row, whatever came of it; an answer that was kept
leaves one too, and costs nothing.
"""

from __future__ import annotations

import hashlib
import re
import time
from typing import Any

from agents.actor import Asked
from agents.models.base import (
    CUT_IN_REASONING,
    CallFailed,
    Completion,
    Model,
    Sampling,
    prompt_length,
)
from agents.models.cache import NotKept, recall
from agents.models.deadline import WaitedOut, time_limit
from folkways.text import sound
from simulation.episode.budget import Budget

KEPT_REPLY = 20_000
"""Characters of a reply that the log keeps; a longer one is a fault and is cut there, with a note.
"""
CUT = re.compile(r" \[cut: \d+ characters in all\]")
"""The note; a reply that has it comes from a log and is kept as it is."""
CHARACTERS_PER_TOKEN = 3
"""A cautious guess for reserving budget before the engine has counted."""

Row = dict[str, Any]


async def make_call(
    model: Model,
    asked: Asked,
    sampling: Sampling,
    budget: Budget,
    timeout_s: float,
    *,
    purpose: str,
    template_hash: str,
    seen: int,
    step: int = 0,
    role: str | None = None,
) -> Row:
    """Make one call and return its row, the columns of the table `calls` but for episode and
    number.

    Raises BudgetSpent before a call that the budget does not admit, and NotKept where an answer is
    to come from the cache and is not there.
    """
    row: Row = {
        "step": step, "purpose": purpose, "role": role, "model": model.name,
        "template_hash": template_hash, "prompt_hash": asked.prompt_hash, "seen": seen,
        "seed": sampling.seed, "prompt_tokens": None, "cached_tokens": None,
        "completion_tokens": None, "attempts": 1, "cost": None, "finish_reason": None,
        "failure": None, "reply": None, "endpoint": None, "reasoning": None,
        "reasoning_tokens": None,
    }  # fmt: skip
    began = time.perf_counter()
    try:
        recalled = await recall(model, asked.prompt, sampling, asked.schema)
    except NotKept as error:
        raise NotKept(f"{purpose}: {error}") from None
    if recalled is not None:
        budget.admit_free()
        return row | _answered(recalled) | {"latency_s": time.perf_counter() - began}
    estimate = estimated_tokens(asked, sampling)
    budget.admit(estimate)
    began = time.perf_counter()
    try:
        async with time_limit(timeout_s, budget.left_s):
            done = await model.complete(asked.prompt, sampling, asked.schema)
        row |= _answered(done)
    except WaitedOut:
        raise budget.out_of_time() from None
    except TimeoutError:
        row.update(failure="timeout", reply=f"no reply within {timeout_s:g} s")
    except CallFailed as error:
        row.update(failure=error.reason, reply=_kept(str(error)), attempts=error.attempts)
    finally:
        prompt, completion = tokens_of(row, estimate)
        budget.settle(estimate, prompt, completion, row["cost"])
    row["latency_s"] = time.perf_counter() - began
    return row


def _answered(done: Completion) -> Row:
    """Return what a row says of an answer."""
    return {
        "prompt_tokens": done.prompt_tokens, "cached_tokens": done.cached_tokens,
        "completion_tokens": done.completion_tokens, "attempts": done.attempts, "cost": done.cost,
        "finish_reason": done.finish_reason, "reply": _kept(done.text), "endpoint": done.endpoint,
        "reasoning": None if done.reasoning is None else _kept(done.reasoning),
        "reasoning_tokens": done.reasoning_tokens,
        "failure": CUT_IN_REASONING if done.cut_in_reasoning else None,
    }  # fmt: skip


def only_reasoned(row: Row) -> bool:
    """Return whether a model was asked in a call and came to no answer after reasoning."""
    thought = row["failure"] == CUT_IN_REASONING or row["reasoning"] is not None
    return thought and not (row["reply"] or "").strip()


def estimated_tokens(asked: Asked, sampling: Sampling) -> int:
    """Return how many tokens a call may take, by a cautious guess."""
    return prompt_length(asked.prompt) // CHARACTERS_PER_TOKEN + sampling.max_tokens


def tokens_of(row: Row, estimate: int) -> tuple[int, int]:
    """Return prompt and completion tokens of a call; the estimate where the engine did not count
    them or the call failed.
    """
    prompt, completion = row["prompt_tokens"], row["completion_tokens"]
    if prompt is None or completion is None:
        return (0 if row["reply"] is None else estimate), 0
    return prompt, completion


def derived_seed(seed: int, *parts: object) -> int:
    """Return a 31-bit seed that depends on all arguments and on nothing else."""
    text = ":".join(map(str, (seed, *parts)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) >> 1


def _kept(text: str) -> str:
    text = sound(text)
    if len(text) <= KEPT_REPLY or CUT.fullmatch(text, KEPT_REPLY):
        return text
    return f"{text[:KEPT_REPLY]} [cut: {len(text)} characters in all]"
