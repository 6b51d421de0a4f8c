"""Model calls on behalf of one episode: acts, bids, the moderator and the referee.

Invariant: the seed of a call depends only on the episode's seed, the step, the purpose, the role
and the attempt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from agents.actor import Actor, Asked, prompt_hash
from agents.model import Message, Model, Prompt, Sampling
from agents.reply import Act, NotAllowed, Unreadable, first_object
from agents.template import Template, load_template
from scenarios.scenario import StopRule
from simulation.budget import Budget
from simulation.call import Row, derived_seed, estimated_tokens, make_call, tokens_of
from simulation.stage import Stage

SHORT_ANSWER_TOKENS = 32
"""Completion tokens for bids, the moderator and the referee."""


@dataclass(frozen=True, slots=True)
class CallSettings:
    """How calls are made; the same for all episodes of a run."""

    sampling: Sampling
    timeout_s: float
    repairs: int


class Caller:
    """Makes the calls of one episode and keeps their rows, the columns of the table `calls`."""

    def __init__(
        self, model: Model, settings: CallSettings, stage: Stage, seed: int, budget: Budget
    ) -> None:
        self.model, self.settings, self.stage = model, settings, stage
        self.seed, self.budget = seed, budget
        self.tokens = 0
        self.step = 0
        self.side_rows: list[Row] = []
        """Rows of bids, moderation and refereeing since they were last taken."""

    async def act(self, role: str) -> tuple[Act | None, str | None, list[Row]]:
        """Return the role's act, or None and why there is none, with the rows of the calls made.

        Raises BudgetSpent before a call that the budget does not admit.
        """
        actor, stage = self.stage.actors[role], self.stage
        asked, rows, failure = actor.ask(stage.cue()), [], ""
        stop = ("\n",) if stage.form == "script" else ()
        for attempt in range(self.settings.repairs + 1):
            sampling = replace(self.settings.sampling, stop=stop)
            purpose = "act" if attempt == 0 else "repair"
            row = await self._call(asked, sampling, purpose, role, actor.template, attempt)
            rows.append(row)
            if row["failure"]:
                return None, row["failure"], rows
            try:
                return actor.read(row["reply"], stage.names, stage.acts), None, rows
            except Unreadable as error:
                failure = "not-allowed" if isinstance(error, NotAllowed) else "parse-failure"
                asked = actor.repair(asked, row["reply"], str(error))
        return None, failure, rows

    async def bids(self, roles: Sequence[str]) -> dict[str, int]:
        """Ask all roles at once how much they want to act; unreadable bids are missing."""
        asked = [(role, self.stage.actors[role]) for role in roles]
        rows = await asyncio.gather(*(self._bid(role, actor) for role, actor in asked))
        self.side_rows += rows
        bids = {role: _field(row, "bid") for role, row in zip(roles, rows, strict=True)}
        return {r: b for r, b in bids.items() if type(b) is int and 0 <= b <= 10}

    async def next_speaker(self, roles: Sequence[str], moderator: str | None) -> str | None:
        """Ask the model who should act next; None where its answer is none of the roles."""
        names = [self.stage.names[role] for role in roles]
        template = load_template("moderator")
        text = template.ask(
            self.stage.scenario.setting, self.stage.public_lines, names,
            self.stage.names[moderator] if moderator else None,
        )  # fmt: skip
        row = await self._question(text, _object("next", {"type": "string", "enum": names}),
                                   "moderate", template)  # fmt: skip
        answer = _field(row, "next")
        return next((r for r, n in zip(roles, names, strict=True) if n == answer), None)

    async def is_met(self, rule: StopRule, roles: list[str]) -> bool:
        """Ask the referee about a stop rule, both ways round.

        Only a yes to "is it so?" with a no to "is it still open?" counts: a model that says yes to
        everything (acquiescence) decides nothing, and neither does an answer that cannot be read.
        """
        if await self._referee(rule, roles, negated=False) != "yes":
            return False
        return await self._referee(rule, roles, negated=True) == "no"

    async def _referee(self, rule: StopRule, roles: list[str], negated: bool) -> str | None:
        template = load_template("referee")
        scenario, names = self.stage.scenario, [self.stage.names[role] for role in roles]
        text = template.ask(
            scenario.setting,
            self.stage.public_lines,
            rule.rule,
            names,
            scenario.roles[roles[0]].goal,
            negated,
        )
        schema = _object("answer", {"type": "string", "enum": ["yes", "no"]})
        answer: str | None = _field(
            await self._question(text, schema, "referee", template), "answer"
        )
        return answer

    async def _bid(self, role: str, actor: Actor) -> Row:
        sampling = replace(self.settings.sampling, max_tokens=SHORT_ANSWER_TOKENS)
        return await self._call(actor.bid(), sampling, "bid", role, actor.template, 0)

    async def _question(self, text: str, schema: Row, purpose: str, template: Template) -> Row:
        messages: list[Message] = [{"role": "user", "content": text}]
        prompt: Prompt = text + "\n" if self.stage.form == "script" else messages
        sampling = replace(self.settings.sampling, temperature=0.0, max_tokens=SHORT_ANSWER_TOKENS)
        asked = Asked(prompt, prompt_hash(prompt), schema)
        row = await self._call(asked, sampling, purpose, None, template, len(self.side_rows))
        self.side_rows.append(row)
        return row

    async def _call(
        self, asked: Asked, sampling: Sampling, purpose: str, role: str | None,
        template: Template, attempt: int,
    ) -> Row:  # fmt: skip
        """Make one call and return its row."""
        seed = derived_seed(self.seed, self.step, purpose, role, attempt)
        row = await make_call(
            self.model, asked, replace(sampling, seed=seed), self.budget, self.settings.timeout_s,
            purpose=purpose, template_hash=template.hash, seen=len(self.stage.turns),
            step=self.step, role=role,
        )  # fmt: skip
        self.tokens += sum(tokens_of(row, estimated_tokens(asked, sampling)))
        return row


def _object(field: str, schema: Row) -> Row:
    return {
        "type": "object", "properties": {field: schema},
        "required": [field], "additionalProperties": False,
    }  # fmt: skip


def _field(row: Row, name: str) -> Any:
    """Return a field of the JSON object that a call replied, or None where there is none."""
    if row["failure"]:
        return None
    try:
        return first_object(row["reply"]).get(name)
    except Unreadable:
        return None
