"""Putting sheets to a model: one call a question, each answer recorded as it comes.

Invariant: every call leaves one row whatever came of it; the first question of a sheet is asked
before the others, so that what they share is computed once.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from agents.models.base import (
    CACHED,
    CUT_IN_REASONING,
    CallFailed,
    Completion,
    Model,
    Prompt,
    prompt_hash,
)
from agents.models.cache import recall, recall_scores
from agents.models.health import FAULTS
from eval.config import EvalConfig
from eval.survey.condition import Question, Questionnaire
from eval.survey.prompt import chat, shown_labels
from eval.survey.reading import read_reply
from folkways.text import sound
from simulation.episode.budget import Budget, BudgetSpent
from simulation.episode.call import (
    KEPT_REPLY,
    Called,
    call_model,
    derived_seed,
    estimated_tokens,
)
from simulation.execution.executor import Emit
from simulation.store.record import Record, Row

AGAIN = FAULTS
"""Problems after which the next launch asks again."""
TRIES = 3
"""How often a question is asked whose answers cannot be read: an endpoint may answer it so for
good."""
FORMS = ("{}", " {}")
"""How a reply may begin that names an option: its number, bare or after a space. The probabilities
of the two, which are different tokens, are added."""
_ROUNDING = 0.1
"""How much more than 1 the options' probabilities may sum to: an engine may compute each by itself,
in numbers of 8 bits."""

_NEGLIGIBLE = math.log(1e-4)
"""A form whose beginning is less likely than this is left off: it costs a call of its own, and adds
less than a read-out can tell."""
_ANSWER = ("probabilities", "mass", "reply", "reasoning", "strict", "lenient")
"""Columns that are copied where the very same prompt comes again."""
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
        return [q for q in self.sheet.questions if not self.tries.get(_asked(q), (0, False))[1]]


def _asked(question: Question) -> Asked:
    """Return what identifies a question within its sheet."""
    return question.item.id, question.arrangement, question.sample


class Interviewer:
    """Asks a model, within a budget and a bound on calls in flight."""

    def __init__(
        self,
        config: EvalConfig,
        model: Model,
        budget: Budget,
        utc: Callable[[], datetime],
        calls: int,
    ) -> None:
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
        tries = todo.tries.get(_asked(question), (0, False))[0]
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
            self._known[key] = {name: row[name] for name in _ANSWER}
        emit(Record({"survey_replies": [row]}, row["problem"] or "answered"))
        return True

    async def _call(
        self, row: Row, prompt: Prompt, sheet: Questionnaire, question: Question
    ) -> bool:
        """Fill in what the model answers; return False where the budget does not admit it."""
        try:
            async with self._gate:
                called = await self._ask_model(prompt, sheet, question, row["attempt"] - 1)
        except BudgetSpent:
            return False
        answer = called.answer
        if isinstance(answer, CallFailed):
            row |= {"problem": answer.reason, "reply": sound(str(answer))[:KEPT_REPLY]}
        elif isinstance(answer, Completion):
            row |= _read_text(answer, sheet, question)
        else:
            row |= _read_scores(answer)
        row["endpoint"] = CACHED if called.recalled else None
        row |= {"latency_s": called.latency_s, "asked_at": self.utc()}
        return True

    def _ask_model(
        self, prompt: Prompt, sheet: Questionnaire, question: Question, tries: int
    ) -> Coroutine[Any, Any, Called[Completion] | Called[list[float]]]:
        """Ask for the probability of each option as shown, or for text that names one."""
        model, config = self.model, self.config
        bounds = (self.budget, config.timeout_s, f"{question.item.id}, {sheet.country}")
        estimate = estimated_tokens(prompt)
        if sheet.condition.readout == "logprobs":
            numbers = range(1, len(question.order) + 1)
            forms = [form.format(number) for number in numbers for form in FORMS]
            scored = prompt, forms, _NEGLIGIBLE
            return call_model(
                partial(recall_scores, model, *scored),
                partial(model.score, *scored),
                estimate,
                *bounds,
            )
        seed = derived_seed(config.seed, *sheet.key, *_asked(question), tries)
        written = prompt, config.sampling(seed)
        return call_model(
            partial(recall, model, *written),
            partial(model.complete, *written),
            estimate + config.max_tokens,
            *bounds,
        )


def _read_scores(logprobs: Sequence[float]) -> Row:
    """Return the probability of each option from those of its forms."""
    width = len(FORMS)
    probabilities = [
        math.fsum(math.exp(value) for value in logprobs[at : at + width])
        for at in range(0, len(logprobs), width)
    ]
    mass = math.fsum(probabilities)
    if not mass <= 1 + _ROUNDING:  # not a number is not either
        told = f"the options' probabilities sum to {mass:g}"
        return {"problem": "bad-response", "reply": told}
    problem = None if mass > 0 else "no mass"
    return {"probabilities": probabilities, "mass": mass, "problem": problem}


def _read_text(done: Completion, sheet: Questionnaire, question: Question) -> Row:
    """Return what the model wrote, and which option it names."""
    labels = shown_labels(sheet.voice, question.item, question.order)
    read = read_reply(done.text, labels, sheet.voice.refusals, sheet.voice.unsure)
    strict, lenient = (
        None if place is None else question.order[place] for place in (read.strict, read.lenient)
    )
    return {
        "reply": sound(done.text)[:KEPT_REPLY],
        "strict": strict,
        "lenient": lenient,
        "problem": CUT_IN_REASONING if done.cut_in_reasoning else read.problem,
        "reasoning": None if done.reasoning is None else sound(done.reasoning)[:KEPT_REPLY],
        "reasoning_tokens": done.reasoning_tokens,
        "prompt_tokens": done.prompt_tokens,
        "cached_tokens": done.cached_tokens,
        "completion_tokens": done.completion_tokens,
        "cost": done.cost,
    }
