"""The writer: has a model write questions on a topic, and keeps every try.

Invariant: tries of a topic are judged and stored in the order of their numbers, each in one record
with the question that came of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from agents.actor import Asked, ReplyForm
from agents.models.base import Message, Model, Prompt, prompt_hash
from agents.template import Template, used
from eval.item import Item
from simulation.episode.budget import Budget, BudgetSpent
from simulation.episode.call import derived_seed, make_call
from simulation.execution.executor import Emit
from simulation.store.record import Record, Row
from training.culturespa.config import SpaConfig
from training.culturespa.option import Unfit, declines
from training.culturespa.question import SCHEMA, Draft, read_draft
from training.culturespa.questions import question_row
from training.culturespa.topic import Topic, Verdict, topic_abouts


@cache
def load_prompt() -> Template:
    """Return the template of the prompt."""
    path = Path(__file__).with_name("prompts") / "question.jinja"
    return Template("spa-question", path.read_text(encoding="utf-8"))


def ask_question(topic: str, examples: Sequence[Item], form: ReplyForm) -> Asked:
    """Return the prompt for a new question on a topic. Examples have no option that declines, as
    questions have none.
    """
    labels = [[o for o in item.options.values() if not declines(o)] for item in examples]
    shown = [
        json.dumps({"question": item.ask, "options": options}, ensure_ascii=False)
        for item, options in zip(examples, labels, strict=True)
    ]
    template, about = load_prompt(), topic_abouts()[topic]
    name = topic.replace("-", " ")
    prompt: Prompt
    if form == "script":
        prompt = template.list(name, about, shown)
    else:
        messages: list[Message] = [
            {"role": "system", "content": template.system()},
            {"role": "user", "content": template.ask(name, about, shown)},
        ]
        prompt = messages
    return Asked(prompt, prompt_hash(prompt), SCHEMA)


class _Tried(NamedTuple):
    """A call that was made."""

    examples: list[Item]
    call: Row
    """Columns of the table `calls`."""
    asked_at: datetime


class Writer:
    """Writes about topics with one model, within a budget."""

    def __init__(
        self,
        config: SpaConfig,
        model: Model,
        budget: Budget,
        utc: Callable[[], datetime],
        stopping: Callable[[], bool],
    ) -> None:
        self.config, self.model, self.budget, self.utc = config, model, budget, utc
        self.stopping = stopping

    async def work(self, topic: Topic, emit: Emit) -> None:
        """Write about a topic until it has its questions, its tries or the budget are used up, or
        the work is to stop.
        """
        while not self.stopping() and (numbers := topic.next_tries()):
            tries = [asyncio.create_task(self._try(topic, number)) for number in numbers]
            try:
                for number, made in zip(numbers, tries, strict=True):
                    emit(self._judged(topic, number, await made))
            except BudgetSpent:
                return
            finally:
                for made in tries:
                    made.cancel()
                await asyncio.gather(*tries, return_exceptions=True)

    async def _try(self, topic: Topic, number: int) -> _Tried:
        """Ask for one question. Raises BudgetSpent where the budget does not admit it."""
        config, examples = self.config, topic.examples(number)
        asked = ask_question(topic.name, examples, config.form)
        sampling = config.sampling(derived_seed(config.seed, topic.name, number))
        asked_at = self.utc()
        call = await make_call(
            self.model,
            asked,
            sampling,
            self.budget,
            config.timeout_s,
            purpose="question",
            template_hash=load_prompt().hash,
            seen=0,
        )
        return _Tried(examples, call, asked_at)

    def _judged(self, topic: Topic, number: int, tried: _Tried) -> Record:
        """Return the record of a try, with the question if one is accepted."""
        row: dict[str, Any] = tried.call | {
            "topic": topic.name,
            "number": number,
            "examples": [item.id for item in tried.examples],
            "left_out": [],
            "asked_at": tried.asked_at,
        }
        rows = {"spa_attempts": [row]}
        draft = self._draft(row)
        if draft is None:
            topic.failed(number)
        else:
            verdict = topic.judge(number, draft)
            row |= {"outcome": verdict.outcome, "left_out": list(draft.left_out)}
            rows["spa_questions"] = self._settled(row, verdict)
        return Record(rows, row["outcome"], {"templates": used((load_prompt(),))})

    def _draft(self, row: dict[str, Any]) -> Draft | None:
        """Return the draft of a reply; where there is none the row says why."""
        if row["failure"]:
            row["outcome"] = row["failure"]
            return None
        try:
            return read_draft(row["reply"], self.config.generation.declining)
        except Unfit as fault:
            row["outcome"] = str(fault)
            return None

    def _settled(self, row: dict[str, Any], verdict: Verdict) -> list[dict[str, Any]]:
        """Complete the row of a try, and return that of its question if there is one."""
        if verdict.question is None:
            assert verdict.repeats is not None
            row |= {"duplicates": verdict.repeats.id, "likeness": verdict.repeats.likeness}
            return []
        row["question_id"] = verdict.question.id
        likeness = verdict.survey.likeness
        return [question_row(verdict.question, verdict.paraphrases, likeness, row["asked_at"])]
