"""Model calls on behalf of one episode: acts, bids, the moderator and the referee.

Invariant: the seed of a call depends only on the episode's seed, the step, the purpose, the role
and the attempt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import NamedTuple, TypeVar

from agents.actor import Asked
from agents.answer import object_of, one_of
from agents.models.base import Message, Model, Prompt, Sampling, prompt_hash, with_room
from agents.models.health import NO_RESULT, Guarded
from agents.player import Seeing, player_of
from agents.prose import read_number, read_role, read_yes_no
from agents.reply import Act, NotAllowed, Unreadable
from agents.template import Template, load_template
from agents.thought import ROOM, apart
from scenarios.stopping import StopRule
from simulation.episode.budget import Budget, BudgetSpent
from simulation.episode.call import (
    derived_seed,
    estimated_tokens,
    make_call,
    only_reasoned,
    tokens_of,
)
from simulation.episode.draft_choice import judge_draft
from simulation.episode.draft_critic import ACCEPTED, DraftCritic, DraftVerdict, read_draft_verdict
from simulation.episode.play_settings import DraftsConfig
from simulation.episode.scene_state import SceneState
from simulation.episode.seats import CallSettings, Seat
from simulation.store.record import Row

_Value = TypeVar("_Value")
_SHORT_ANSWER_TOKENS = 32
"""Completion tokens for bids, the moderator and the referee."""


class Acted(NamedTuple):
    """What came of asking a role to act."""

    act: Act | None
    failure: str | None
    rows: list[Row]
    """Rows of the calls made, in order."""
    made_by: int
    """Which of them made the act."""
    drafts: Sequence[Row] = ()
    """Under a critic in the loop, the rows of the drafts; their calls count from the first row."""
    refused: NotAllowed | None = None
    """What the scene did not allow, where that is why there is no act."""
    thought: str | None = None
    """What was thought with the act, or in place of one, and is told nobody."""


class Caller:
    """Makes the calls of one episode and keeps their rows, the columns of the table `calls`."""

    def __init__(
        self,
        model: Model,
        settings: CallSettings,
        stage: SceneState,
        seed: int,
        budget: Budget,
        critic: DraftCritic | None = None,
        seats: Mapping[str, Seat] | None = None,
    ) -> None:
        """`seats` has what plays roles in place of the model."""
        self.model, self.settings, self.stage, self.critic = model, settings, stage, critic
        self._seats = seats or {}
        self.seed, self.budget = seed, budget
        self.tokens = 0
        self.step = 0
        self.side_rows: list[Row] = []
        """Rows of calls that made no act, as bids do, since they were last taken."""

    @property
    def model_works(self) -> bool:
        """Whether the model has answered anybody, as far as that is watched."""
        return not isinstance(self.model, Guarded) or self.model.works

    async def act(self, role: str) -> Acted:
        """Return the role's act, or why there is none, with the rows of the calls made.

        With several drafts, or a critic in the loop, every draft is judged, and the best of them is
        the act. Raises BudgetSpent before a call that the budget does not admit.
        """
        asked = self.stage.ask(role)
        if self.stage.play.drafts:
            return await self._choose(self.stage.play.drafts, role, asked)
        first = await self._draft(role, asked, 0)
        if self.critic is None or first.act is None or first.act.typed:
            return first
        return await self._improve(self.critic, role, asked, first)

    async def _draft(self, role: str, asked: Asked, number: int) -> Acted:
        """Ask until a reply can be read as an act, or the tries are used up."""
        actor, stage, rows, failure = self.stage.actors[role], self.stage, list[Row](), ""
        refused: NotAllowed | None = None
        thought: str | None = None
        seat, sampling = self._seat(role), self._sampling(role)
        tries = seat.settings.repairs + 1 + (stage.play.thoughts is True and seat.form == "script")
        for attempt in range(number * tries, number * tries + tries):
            purpose = "act" if attempt % tries == 0 else "repair"
            try:
                row = await self._call(
                    asked, sampling, purpose, role, actor.template, attempt, self._playing(role)
                )
            except BudgetSpent:
                self.side_rows += rows  # they were made, though no act came of them
                raise
            rows.append(row)
            reply, new = apart(row, asked.prompt, stage.play.thoughts)
            thought = new or thought
            if only_reasoned(row):
                failure, sampling = row["failure"] or "parse-failure", with_room(sampling)
                continue
            if row["failure"]:
                return Acted(None, row["failure"], rows, 0)
            try:
                act = stage.read(role, reply)
                return Acted(act, None, rows, len(rows) - 1, thought=thought)
            except Unreadable as error:
                refused = error if isinstance(error, NotAllowed) else None
                failure = "not-allowed" if refused else "parse-failure"
                asked = actor.repair(asked, row["reply"], str(error))
        return Acted(None, failure, rows, len(rows) - 1, refused=refused, thought=thought)

    def _sampling(self, role: str) -> Sampling:
        """Return the sampling of a role's acts, with room for a thought where one is asked for."""
        seat = self._seat(role)
        own = replace(seat.settings.sampling, stop=("\n",) if seat.form == "script" else ())
        asked = self.stage.play.thoughts is True
        return replace(own, max_tokens=own.max_tokens + ROOM) if asked else own

    def _seat(self, role: str | None) -> Seat:
        """Return what plays a role, or what is asked about the whole scene."""
        form = self.stage.forms[role] if role else self.stage.form
        return self._seats.get(role or "") or Seat(self.model, self.settings, form)

    def _playing(self, role: str) -> Seat:
        """Return what to ask for an act of a role; of a player, one that sees the moment."""
        seat = self._seat(role)
        player = player_of(seat.model)
        seeing = player and Seeing(player, self.stage.observation(role))
        return seat._replace(model=seeing) if seeing else seat

    async def _choose(self, config: DraftsConfig, role: str, asked: Asked) -> Acted:
        """Draw drafts and return the best, the earliest of equals; where the budget ends in
        between, the best so far."""
        rows, drafts, made = list[Row](), list[Row](), list[Acted]()
        for batch in config.batches():
            drawn = await asyncio.gather(
                *(self._draft(role, asked, number) for number in batch), return_exceptions=True
            )
            faults = [one for one in drawn if isinstance(one, BaseException)]
            for number, draft in zip(batch, drawn, strict=True):
                if isinstance(draft, BaseException):
                    continue
                drafts.append(_draft_row(number, draft, len(rows) + draft.made_by))
                rows += draft.rows
                made.append(draft)
                if draft.act:
                    drafts[-1] |= judge_draft(self.stage, role, draft.act)._asdict()
            for fault in faults:
                if not made or not isinstance(fault, BudgetSpent):
                    self.side_rows += rows
                    raise fault
            over = any(one["label"] == "accept" for one in drafts) or made[-1].failure in NO_RESULT
            if faults or over:
                break
        best = max(range(len(made)), key=lambda n: (made[n].act is not None, *_rank(drafts[n])))
        drafts[best]["kept"] = made[best].act is not None
        call, kept = drafts[best]["call"], made[best]
        return kept._replace(rows=rows, made_by=call, drafts=drafts)

    async def _improve(self, critic: DraftCritic, role: str, asked: Asked, draft: Acted) -> Acted:
        """Judge drafts until one is accepted or the rewrites are used up; return the best.

        A draft that was not sent back goes before one that was: it was accepted, or could not be
        judged. Where the budget ends in between, the best so far is the act.
        """
        rows, drafts, made = list[Row](), list[Row](), list[Acted]()
        with suppress(BudgetSpent):
            for number in range(critic.config.rewrites + 1):
                if number:
                    revised = self.stage.actors[role].revise(
                        asked, draft.rows[-1]["reply"], drafts[-1]["feedback"]
                    )
                    draft = await self._draft(role, revised, number)
                made_by = len(rows) + draft.made_by
                rows += draft.rows
                drafts.append(_draft_row(number, draft, made_by))
                if draft.act is None:
                    break
                made.append(draft)
                verdict, call = await self._judge(critic, role, draft.act, number)
                rows += [call] if call else []
                drafts[-1] |= verdict._asdict() | {"critic_call": len(rows) - 1 if call else None}
                if verdict.label != "revise":
                    break
        best = max(range(len(made)), key=lambda n: _rank(drafts[n]))
        drafts[best]["kept"] = True
        return made[best]._replace(rows=rows, made_by=drafts[best]["call"], drafts=drafts)

    async def _judge(
        self, critic: DraftCritic, role: str, act: Act, number: int
    ) -> tuple[DraftVerdict, Row | None]:
        """Return what the critic says of a draft, and its call if it made one."""
        complaint = critic.detect(self.stage, role, act)
        if complaint:
            return DraftVerdict("revise", 0, complaint), None
        asked = critic.ask(self.stage, role, act)
        if asked is None:
            return ACCEPTED, None
        template = load_template("draft")
        seat = self._seat(role)._replace(model=critic.model)
        row = await self._call(
            asked, critic.config.sampling(), "draft-critic", role, template, number, seat
        )
        if row["failure"]:
            return DraftVerdict(None, None, row["reply"] or "", row["failure"]), row
        return read_draft_verdict(row["reply"]), row

    async def bids(self, roles: Sequence[str]) -> dict[str, int]:
        """Ask all roles at once how much they want to act; bids that cannot be read are missing."""
        rows = [list[Row]() for _ in roles]
        made = await asyncio.gather(
            *(self._bid(role, own) for role, own in zip(roles, rows, strict=True)),
            return_exceptions=True,
        )
        self.side_rows += [row for own in rows for row in own]
        for fault in made:
            if isinstance(fault, BaseException):
                raise fault
        return {role: bid for role, bid in zip(roles, made, strict=True) if isinstance(bid, int)}

    async def next_speaker(self, roles: Sequence[str], moderator: str | None) -> str | None:
        """Ask the model who should act next; None where its answer is none of the roles."""
        names = [self.stage.names[role] for role in roles]
        template = load_template("moderator")
        text = template.ask(
            self.stage.scenario.setting,
            self.stage.public_lines(role=moderator),
            names,
            self.stage.names[moderator] if moderator else None,
        )
        fields = {"next": one_of(names)}

        def read(reply: str) -> str:
            role = read_role(reply, "next", self.stage.names)
            if role not in roles:
                raise Unreadable(f"it must name one of {', '.join(names)}.")
            return role

        return await self.question(text, fields, "moderate", template, read)

    async def is_met(self, rule: StopRule, roles: list[str], since: int) -> bool:
        """Ask the referee about a stop rule and the turns after a number, both ways round.

        Only a yes to "is it so?" with a no to "is it still open?" counts: a model that says yes to
        everything (acquiescence) decides nothing, and neither does an answer that cannot be read.
        """
        if not await self._referee(rule, roles, since, negated=False):
            return False
        return await self._referee(rule, roles, since, negated=True) is False

    async def _referee(
        self, rule: StopRule, roles: list[str], since: int, negated: bool
    ) -> bool | None:
        template = load_template("referee")
        scenario, names = self.stage.scenario, [self.stage.names[role] for role in roles]
        text = template.ask(
            scenario.setting,
            self.stage.public_lines(since),
            rule.rule,
            names,
            scenario.roles[roles[0]].goal,
            negated,
        )
        fields = {"answer": one_of(("yes", "no"))}
        return await self.question(
            text, fields, "referee", template, lambda reply: read_yes_no(reply, "answer")
        )

    async def _bid(self, role: str, rows: list[Row]) -> int | None:
        actor = self.stage.actors[role]
        sampling = replace(self.settings.sampling, max_tokens=_SHORT_ANSWER_TOKENS)
        return await self._aside(
            actor.bid(),
            sampling,
            "bid",
            role,
            actor.template,
            rows,
            actor.repair,
            lambda reply: read_number(reply, "bid", 0, 10),
        )

    async def question(
        self,
        text: str,
        fields: Row,
        purpose: str,
        template: Template,
        read: Callable[[str], _Value],
        max_tokens: int = _SHORT_ANSWER_TOKENS,
        role: str | None = None,
        rows: list[Row] | None = None,
    ) -> _Value | None:
        """Put a question about the scene, or about a role, to the run's model; None where no answer
        can be read. The rows of its calls go to `rows`, where that is given.
        """
        messages: list[Message] = [{"role": "user", "content": text}]
        prompt: Prompt = text + "\n" if self.stage.form == "script" else messages
        sampling = replace(self.settings.sampling, temperature=0.0, max_tokens=max_tokens)
        return await self._aside(
            Asked(prompt, prompt_hash(prompt), object_of(fields)),
            sampling,
            purpose,
            role,
            template,
            self.side_rows if rows is None else rows,
            partial(_asked_again, template),
            read,
            self._seat(None),
        )

    async def _aside(
        self,
        asked: Asked,
        sampling: Sampling,
        purpose: str,
        role: str | None,
        template: Template,
        rows: list[Row],
        again: Callable[[Asked, str, str], Asked],
        read: Callable[[str], _Value],
        seat: Seat | None = None,
    ) -> _Value | None:
        """Ask until an answer can be read, or the tries are used up; rows of calls go to `rows`,
        with the failure of an answer that cannot be read.
        """
        for attempt in range(len(rows), len(rows) + self.settings.repairs + 1):
            row = await self._call(asked, sampling, purpose, role, template, attempt, seat)
            rows.append(row)
            if only_reasoned(row):
                row["failure"], sampling = row["failure"] or "parse-failure", with_room(sampling)
                continue
            if row["failure"]:
                return None
            try:
                return read(row["reply"])
            except Unreadable as problem:
                row["failure"] = "parse-failure"
                asked = again(asked, row["reply"], str(problem))
        return None

    async def _call(
        self,
        asked: Asked,
        sampling: Sampling,
        purpose: str,
        role: str | None,
        template: Template,
        attempt: int,
        seat: Seat | None = None,
    ) -> Row:
        """Make one call and return its row; `seat` is asked in place of what plays the role."""
        model, settings, _ = seat or self._seat(role)
        seed = derived_seed(self.seed, self.step, purpose, role, attempt)
        row = await make_call(
            model,
            asked,
            replace(sampling, seed=seed),
            self.budget,
            settings.timeout_s,
            purpose=purpose,
            template_hash=template.hash,
            seen=len(self.stage.turns),
            step=self.step,
            role=role,
        )
        used = row["prompt_tokens"], row["completion_tokens"]
        estimate = estimated_tokens(asked.prompt, sampling.max_tokens) if None in used else 0
        self.tokens += sum(tokens_of(*used, estimate))
        return row


def _draft_row(number: int, draft: Acted, call: int) -> Row:
    """Return a draft, not judged yet, as a row of the table `drafts`."""
    act = draft.act
    return {
        "draft": number + 1,
        "action": act and act.action,
        "text": act and act.text,
        "call": call,
        "label": None,
        "score": None,
        "feedback": None,
        "failure": draft.failure or "budget",
        "critic_call": None,
        "kept": False,
    }


def _rank(draft: Row) -> tuple[bool, int]:
    return draft["label"] != "revise", draft["score"] or 0


def _asked_again(template: Template, asked: Asked, reply: str, problem: str) -> Asked:
    """Return the prompt for a second try after an answer that cannot be read."""
    note = template.repair(problem)
    if isinstance(asked.prompt, str):
        prompt: Prompt = f"{asked.prompt}{reply}\n{note}\n"
    else:
        prompt = [
            *asked.prompt,
            {"role": "assistant", "content": reply or "{}"},
            {"role": "user", "content": note},
        ]
    return Asked(prompt, prompt_hash(prompt), asked.schema)
