"""Asking a judge until its answer can be used, within the bounds that are set.

Invariant: every call leaves a row, and an answer that cannot be used is a failure with its reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Generic, TypeVar

from agents.actor import Asked, ReplyForm
from agents.critics.critic import UnusableVerdict, ask_again
from agents.models.base import Model, Sampling, with_room
from agents.template import Template
from simulation.episode.budget import Budget, BudgetSpent
from simulation.episode.call import derived_seed, make_call, only_reasoned
from simulation.review_settings import JudgeSettings
from simulation.store.record import Row

Value = TypeVar("Value")
_SMALL_MODEL_PENALTY = 1.1
"""Repetition penalty for models that are asked in the form `script`: they loop without it."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[Value]):
    """What came of a question."""

    value: Value | None
    """Null where no answer could be used."""
    failure: str | None
    message: str
    """What was wrong with the last answer; empty where it could be used."""
    calls: list[Row]
    """Rows of the table `calls`, but for the episode."""

    @property
    def call(self) -> int:
        """Number of the call that decided."""
        number: int = self.calls[-1]["call"]
        return number


@dataclass(frozen=True, slots=True)
class Judge:
    """A model that judges or labels, and the form in which it is asked."""

    model: Model
    form: ReplyForm


class Asking:
    """The questions put to judges about one episode."""

    def __init__(
        self,
        episode_id: str,
        calls: int,
        settings: JudgeSettings,
        sampling: Sampling,
        budget: Budget,
        gate: asyncio.Semaphore,
        seed: int = 0,
    ) -> None:
        """The seeds of calls depend on `seed`, the episode and the question alone."""
        self.episode_id, self.settings, self.sampling = episode_id, settings, sampling
        self.budget, self.gate, self.seed = budget, gate, seed
        self.spent = False
        """Whether the budget refused a question."""
        self._numbers = count(calls + 1)

    async def ask(
        self,
        judge: Judge,
        asked: Asked,
        read: Callable[[str], Value],
        template: Template,
        *,
        purpose: str,
        role: str | None,
        seen: int,
        key: tuple[object, ...],
    ) -> Answer[Value] | None:
        """Ask, and once more for each repair allowed: with more room if the answer was cut at its
        limit, with the reason if it cannot be used. None where the budget refuses the question.

        `read` raises UnusableVerdict for an answer that cannot be used. Where the budget refuses a
        repair, the failure is `budget`: the question is still to be answered.
        """
        rows: list[Row] = []
        failure, message = "", ""
        penalty = _SMALL_MODEL_PENALTY if judge.form == "script" else 1.0
        sampling = replace(self.sampling, repetition_penalty=penalty)
        for attempt in range(self.settings.repairs + 1):
            parts = (self.episode_id, purpose, judge.model.name, *key, attempt)
            seeded = replace(sampling, seed=derived_seed(self.seed, *parts))
            try:
                async with self.gate:
                    row = await make_call(
                        judge.model,
                        asked,
                        seeded,
                        self.budget,
                        self.settings.timeout_s,
                        purpose=purpose,
                        template_hash=template.hash,
                        seen=seen,
                        role=role,
                    )
            except BudgetSpent:
                self.spent, failure = True, "budget"
                break
            rows.append(row | {"episode_id": self.episode_id, "call": next(self._numbers)})
            if only_reasoned(row):
                failure, message = row["failure"] or "parse-failure", "it holds only reasoning."
                sampling = with_room(sampling)
                continue
            if row["failure"]:
                return Answer(None, row["failure"], row["reply"] or "", rows)
            try:
                return Answer(read(row["reply"]), None, "", rows)
            except UnusableVerdict as error:
                failure, message = error.failure, str(error)
                if row["finish_reason"] == "length":
                    sampling = with_room(sampling)
                else:
                    asked = ask_again(asked, row["reply"], message)
        return Answer(None, failure, message, rows) if rows else None
