"""The jobs of a review: critics judge an episode, or a labeller names its intents.

Invariant: what earlier launches stored travels with the episode; a question that was answered is
not asked again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agents.actor import ReplyForm
from agents.conversation import Conversation
from agents.critics.critic import Judgement
from agents.critics.labeller import Intent, Taxonomy
from agents.models.base import Sampling, default_reply_form
from agents.models.health import DOUBTFUL
from simulation.execution.executor import Emit, Opened
from simulation.execution.model_manager import ModelManager
from simulation.execution.task import Tools
from simulation.review import critique, label
from simulation.review.asking import Asking, Judge
from simulation.review_settings import CritiqueConfig, JudgeSettings, LabelConfig

Rows = list[dict[str, Any]]
Loaded = dict[str, Rows]
"""Rows of one table by episode."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one launch of a stage may use."""

    concurrency: int = 64
    """Calls in progress at once."""
    limit: int | None = None
    """Episodes at most."""
    retry: bool = False
    """Whether to ask again where a judge's answers could not be used."""
    since: Mapping[str, datetime] = field(default_factory=dict)
    """When each judge answered first: what its calls failed with before is asked again."""


@dataclass(frozen=True, slots=True)
class Player:
    """The model that played, which judges where no other is named."""

    name: str
    options: Mapping[str, Any]

    def judge(self, engines: ModelManager, name: str | None, settings: JudgeSettings) -> Judge:
        """Return a judge by the name of its model."""
        chosen = name or self.name
        options = self.options if chosen == self.name else settings.options
        form: ReplyForm = default_reply_form(chosen)
        return Judge(engines.lend(chosen, options), form)


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """One episode to be reviewed."""

    conversation: Conversation
    calls: int
    """Calls that the log holds for it."""
    known: tuple[Rows, Rows]
    """What earlier launches stored of it."""

    @property
    def id(self) -> str:
        """The episode."""
        return self.conversation.episode_id


@dataclass(frozen=True, slots=True)
class Critiquing:
    """The task of having critics judge episodes."""

    player: Player
    settings: CritiqueConfig
    bounds: Bounds
    stage: str = "critique"

    @property
    def models(self) -> Sequence[str]:
        """Names of the judges."""
        return tuple(dict.fromkeys(self.settings.models)) or (self.player.name,)

    def open(self, tools: Tools) -> Opened[ReviewItem]:
        """Return what judges an episode."""
        settings = self.settings
        judges = [self.player.judge(tools.engines, name, settings) for name in self.models]
        critics = tuple(dict.fromkeys(settings.critics))
        panel = critique.Panel(critics, judges, settings.samples, tools.utc)

        async def work(item: ReviewItem, asking: Asking, emit: Emit) -> None:
            verdicts, detections = item.known
            context = critique.CritiqueContext(
                item.conversation,
                panel,
                asking,
                emit,
                _answered(verdicts, self.bounds),
                bool(detections),
            )
            await critique.critique(context)

        return _opened(judges, settings, settings.sampling(), self.bounds, tools, work)


@dataclass(frozen=True, slots=True)
class Labelling:
    """The task of having a labeller name the intents of turns."""

    player: Player
    settings: LabelConfig
    taxonomy: Taxonomy | None
    bounds: Bounds
    stage: str = "label"

    @property
    def models(self) -> Sequence[str]:
        """Name of the labeller."""
        return (self.settings.model or self.player.name,)

    def open(self, tools: Tools) -> Opened[ReviewItem]:
        """Return what labels the turns of an episode."""
        settings = self.settings
        judge = self.player.judge(tools.engines, settings.model, settings)

        async def work(item: ReviewItem, asking: Asking, emit: Emit) -> None:
            intents, categories = item.known
            context = label.LabelContext(
                item.conversation,
                judge,
                asking,
                emit,
                tools.utc,
                self.taxonomy,
                _labelled(intents, self.bounds),
                frozenset(row["turn"] for row in _lasting(categories, self.bounds)),
            )
            await label.label_turns(context)

        return _opened([judge], settings, settings.sampling(), self.bounds, tools, work)


def _opened(
    judges: Sequence[Judge],
    settings: JudgeSettings,
    sampling: Sampling,
    bounds: Bounds,
    tools: Tools,
    work: Callable[[ReviewItem, Asking, Emit], Awaitable[None]],
) -> Opened[ReviewItem]:
    """Return work whose calls share a bound and a budget."""
    gate = asyncio.Semaphore(bounds.concurrency)

    async def one(item: ReviewItem, emit: Emit) -> None:
        seed = item.calls if bounds.retry else 0  # the same seed would bring the same answer
        asking = Asking(item.id, item.calls, settings, sampling, tools.budget, gate, seed)
        about = (item.id, item.conversation.title, item.conversation.culture.id)
        with tools.progress.scene(*about):
            await work(item, asking, emit)

    models = list({id(judge.model): judge.model for judge in judges}.values())
    return Opened(models, one)


def _lasting(rows: Sequence[dict[str, Any]], bounds: Bounds) -> list[dict[str, Any]]:
    """Return the rows that need no second question."""

    def is_open(row: dict[str, Any]) -> bool:
        at = row["judged_at"] if "judged_at" in row else row["labelled_at"]
        since = bounds.since.get(row["model"])
        works = since is not None and at >= since
        again = critique.AGAIN if works else (*critique.AGAIN, *DOUBTFUL)
        return row["failure"] is not None and (bounds.retry or row["failure"] in again)

    return [row for row in rows if not is_open(row)]


def _answered(
    rows: Sequence[dict[str, Any]], bounds: Bounds
) -> dict[critique.Key, list[Judgement]]:
    """Return the questions that need no second try, with what was said last of each dimension: what
    can be used goes before what failed.
    """
    said: dict[critique.Key, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in rows:
        last = said[critique.Key(row["critic"], row["role"], row["model"], row["sample"])]
        if not row["failure"] or last.get(row["dimension"], row)["failure"]:
            last[row["dimension"]] = row
    return {
        key: [_judgement(row) for row in last.values()]
        for key, last in said.items()
        if len(_lasting([*last.values()], bounds)) == len(last)
    }


def _judgement(row: dict[str, Any]) -> Judgement:
    return Judgement(
        row["dimension"],
        row["role"],
        row["label"],
        None if row["score"] is None else int(row["score"]),
        row["confidence"],
        row["reason"] or "",
        tuple(row["turns"]),
        row["failure"],
    )


def _labelled(rows: Sequence[dict[str, Any]], bounds: Bounds) -> dict[int, Intent | None]:
    found: dict[int, Intent | None] = {}
    for row in _lasting(rows, bounds):
        good = not row["failure"]
        made = Intent(row["intent"], row["relevance"], row["expectation"]) if good else None
        found[row["turn"]] = made or found.get(row["turn"])
    return found
