"""Putting sheets to a model: one call a question, each answer recorded as it comes.

Invariant: every call leaves one row whatever came of it; the first question of a sheet is asked
before the others, so that what they share is computed once.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from agents.models.base import (
    CACHED,
    CUT_IN_REASONING,
    CallFailed,
    Completion,
    Model,
    Prompt,
    prompt_hash,
    prompt_length,
)
from agents.models.cache import NotKept, recall, recall_scores
from agents.models.deadline import WaitedOut, time_limit
from agents.models.health import FAULTS
from eval.config import EvalConfig
from eval.survey.condition import Question, Questionnaire
from eval.survey.prompt import chat, shown_labels
from eval.survey.reading import read_reply
from folkways.text import sound
from simulation.episode.budget import Budget, BudgetSpent
from simulation.episode.call import CHARACTERS_PER_TOKEN, KEPT_REPLY, derived_seed
from simulation.execution.executor import Emit
from simulation.store.record import Record

AGAIN = FAULTS
"""Problems after which the next launch asks again."""
TRIES = 3
"""How often a question is asked whose answers cannot be read: an endpoint may answer it so for
good."""
FORMS = ("{}", " {}")
"""How a reply may begin that names an option: its number, bare or after a space. The probabilities
of the two, which are different tokens, are added."""
ROUNDING = 0.1
"""How much more than 1 the options' probabilities may sum to: an engine may compute each by itself,
in numbers of 8 bits."""

NEGLIGIBLE = math.log(1e-4)
"""A form whose beginning is less likely than this is left off: it costs a call of its own, and adds
less than a read-out can tell."""
ANSWER = ("probabilities", "mass", "reply", "reasoning", "strict", "lenient")
"""Columns that are copied where the very same prompt comes again."""
Row = dict[str, Any]
Asked = tuple[str, int, int]
"""Item, arrangement and sample of a question."""


@dataclass(frozen=True, slots=True)
class Todo:
    """A sheet, and what of it was answered before."""

    sheet: Questionnaire
    tries: dict[Asked, tuple[int, bool]]
    """By question: tries made, and whether the last one stands."""

    def open(self) -> list[Question]:
        """Return the questions still to be asked."""
        return [q for q in self.sheet.questions if not self.tries.get(asked(q), (0, False))[1]]


class _Call(NamedTuple):
    """One question as it is put to a model."""

    recall: Callable[[], Awaitable[Any]]
    """Returns the kept answer, None where the model has to be asked."""
    ask: Callable[[], Awaitable[Any]]
    read: Callable[[Any], Row]
    """Returns what the answer means."""


def asked(question: Question) -> Asked:
    """Return what identifies a question within its sheet."""
    return question.item.id, question.arrangement, question.sample


class Interviewer:
    """Asks a model, within a budget and a bound on calls in flight."""

    def __init__(
        self, config: EvalConfig, model: Model, budget: Budget, utc: Callable[[], datetime],
        calls: int,
    ) -> None:  # fmt: skip
        self.config, self.model, self.budget, self.utc = config, model, budget, utc
        self._calls, self._gate = calls, asyncio.Semaphore(calls)
        self._known: dict[tuple[str, str], Row] = {}
        """Answers that the same prompt is sure to get again, by read-out and prompt."""

    async def work(self, todo: Todo, emit: Emit) -> None:
        """Ask what is open on a sheet; an exhausted budget leaves the rest for another launch."""
        first, *others = todo.open()
        if not await self._ask(todo, first, emit):
            return
        questions = iter(others)  # shared: a sheet of 50,000 questions is not as many tasks
        count = min(len(others), self._calls)
        asks = [asyncio.create_task(self._ask_on(todo, questions, emit)) for _ in range(count)]
        try:
            await asyncio.gather(*asks)
        finally:
            for ask in asks:  # after a failure nobody would store what the others answer
                ask.cancel()

    async def _ask_on(self, todo: Todo, questions: Iterator[Question], emit: Emit) -> None:
        """Ask one question after the other until none is left or the budget admits none."""
        for question in questions:
            if not await self._ask(todo, question, emit):
                return

    async def _ask(self, todo: Todo, question: Question, emit: Emit) -> bool:
        """Ask one question; return False where the budget does not admit it."""
        sheet = todo.sheet
        prompt = chat(sheet.system, question.text)
        tries = todo.tries.get(asked(question), (0, False))[0]
        scored = sheet.condition.readout == "logprobs"
        row: Row = {
            "condition_id": sheet.condition.id, "country": sheet.country,
            "respondent_id": sheet.respondent.id if sheet.respondent else None,
            "item_id": question.item.id, "arrangement": question.arrangement,
            "sample": question.sample, "attempt": tries + 1, "shown": list(question.order),
            "probabilities": None, "mass": None, "reply": None, "reasoning": None,
            "reasoning_tokens": None, "strict": None, "lenient": None, "problem": None,
            "prompt_hash": prompt_hash(prompt), "prompt_tokens": None, "cached_tokens": None,
            "completion_tokens": None, "cost": None, "copied": False,
        }  # fmt: skip
        key = (sheet.condition.readout, row["prompt_hash"])
        if key in self._known:
            row |= self._known[key] | {"copied": True, "latency_s": 0.0, "asked_at": self.utc()}
        elif not await self._call(row, prompt, sheet, question):
            return False
        elif (scored or self.config.temperature == 0) and sheet.repeats and not row["problem"]:
            self._known[key] = {name: row[name] for name in ANSWER}
        emit(Record({"survey_replies": [row]}, row["problem"] or "answered"))
        return True

    async def _call(
        self, row: Row, prompt: Prompt, sheet: Questionnaire, question: Question
    ) -> bool:
        """Fill in what the model answers; return False where the budget does not admit it."""
        scored = sheet.condition.readout == "logprobs"
        estimate = prompt_length(prompt) // CHARACTERS_PER_TOKEN
        estimate += 0 if scored else self.config.max_tokens
        if scored:
            call = self._scoring(prompt, question)
        else:
            call = self._writing(prompt, sheet, question, row["attempt"] - 1)
        async with self._gate:
            try:
                recalled = await call.recall()
                if recalled is None:
                    self.budget.admit(estimate)
                else:
                    self.budget.admit_free()
            except BudgetSpent:
                return False
            except NotKept as error:
                raise NotKept(f"{question.item.id}, {sheet.country}: {error}") from None
            row["endpoint"] = None if recalled is None else CACHED
            began = time.perf_counter()
            try:
                async with time_limit(self.config.timeout_s, self.budget.left_s):
                    row |= call.read(await call.ask() if recalled is None else recalled)
            except WaitedOut:
                self.budget.out_of_time()
                return False
            except TimeoutError:
                row |= {"problem": "timeout", "reply": f"none within {self.config.timeout_s:g} s"}
            except CallFailed as error:
                row |= {"problem": error.reason, "reply": sound(str(error))[:KEPT_REPLY]}
            finally:
                used = row["prompt_tokens"] if row["prompt_tokens"] is not None else estimate
                if recalled is None:
                    self.budget.settle(estimate, used, row["completion_tokens"] or 0, row["cost"])
        row |= {"latency_s": time.perf_counter() - began, "asked_at": self.utc()}
        return True

    def _scoring(self, prompt: Prompt, question: Question) -> _Call:
        """Return the call for the probability of each option as shown."""
        numbers = range(1, len(question.order) + 1)
        forms = [form.format(number) for number in numbers for form in FORMS]
        asked = (prompt, forms, NEGLIGIBLE)
        return _Call(
            partial(recall_scores, self.model, *asked), partial(self.model.score, *asked),
            self._read_scores,
        )  # fmt: skip

    def _read_scores(self, logprobs: Sequence[float]) -> Row:
        """Return the probability of each option from those of its forms."""
        width = len(FORMS)
        probabilities = [
            math.fsum(math.exp(value) for value in logprobs[at : at + width])
            for at in range(0, len(logprobs), width)
        ]
        mass = math.fsum(probabilities)
        if not mass <= 1 + ROUNDING:  # not a number is not either
            raise CallFailed("bad-response", f"the options' probabilities sum to {mass:g}")
        problem = None if mass > 0 else "no mass"
        return {"probabilities": probabilities, "mass": mass, "problem": problem}

    def _writing(
        self, prompt: Prompt, sheet: Questionnaire, question: Question, tries: int
    ) -> _Call:
        """Return the call for what the model writes, and which option it names."""
        seed = derived_seed(self.config.seed, *sheet.key, *asked(question), tries)
        sampling = self.config.sampling(seed)
        return _Call(
            partial(recall, self.model, prompt, sampling),
            partial(self.model.complete, prompt, sampling), partial(self._read, sheet, question),
        )  # fmt: skip

    def _read(self, sheet: Questionnaire, question: Question, done: Completion) -> Row:
        """Return what the model wrote, and which option it names."""
        labels = shown_labels(sheet.voice, question.item, question.order)
        read = read_reply(done.text, labels, sheet.voice.refusals, sheet.voice.unsure)
        strict, lenient = (
            None if place is None else question.order[place]
            for place in (read.strict, read.lenient)
        )
        return {
            "reply": sound(done.text)[:KEPT_REPLY], "strict": strict, "lenient": lenient,
            "problem": CUT_IN_REASONING if done.cut_in_reasoning else read.problem,
            "reasoning": None if done.reasoning is None else sound(done.reasoning)[:KEPT_REPLY],
            "reasoning_tokens": done.reasoning_tokens, "prompt_tokens": done.prompt_tokens,
            "cached_tokens": done.cached_tokens, "completion_tokens": done.completion_tokens,
            "cost": done.cost,
        }  # fmt: skip
