"""The stages of a review: critique and labels for the episodes of a run, concurrent, resumable.

Invariant: whatever interrupts a stage, the same command goes on with what is missing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from agents.actor import ReplyForm
from agents.conversation import Conversation
from agents.critic import Judgement, critic
from agents.labeller import Intent, load_taxonomy
from agents.model import default_reply_form
from scenarios.errors import UserError
from simulation.budget import Budget
from simulation.crew import Crew, Emit
from simulation.engines import Engines
from simulation.progress import Progress
from simulation.query import read_rows
from simulation.review import critique, label
from simulation.review.asking import Asking, Judge
from simulation.review.conversations import by_episode, load_conversations
from simulation.review.settings import CritiqueConfig, JudgeSettings, LabelConfig
from simulation.store import Store

CHUNK = 256
"""Episodes that are read from the store at once."""
CANDIDATES = """
select episode_id from latest_episodes
where exit_reason not in ('error', 'budget', 'model-failure') and turns > 0
order by started_at, episode_id
"""
"""Episodes that ended properly: the others are lost whatever a critic says."""
VERDICTS = "select * from verdicts where episode_id in ? order by rowid"
INTENTS = "select * from intents where episode_id in ? and model = ?"
MAPPED = "select * from categories where episode_id in ? and model = ? and taxonomy = ?"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one launch of a stage may use."""

    concurrency: int = 64
    """Calls in progress at once."""
    limit: int | None = None
    """Episodes at most."""
    retry: bool = False
    """Whether to ask again where a judge's answers could not be used."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A run that is being reviewed; the caller holds its lock."""

    run: Path
    run_id: str
    model: str
    """The model that played."""
    options: dict[str, Any]
    """Its options."""
    engines: Engines
    bounds: Bounds
    budget: Budget
    utc: Callable[[], datetime]
    quiet: bool = False

    def judge(self, name: str | None, settings: JudgeSettings) -> Judge:
        """Return a judge by the name of its model; without one it is the model that played."""
        chosen = name or self.model
        options = self.options if chosen == self.model else settings.options
        form: ReplyForm = default_reply_form(chosen)
        return Judge(self.engines.lend(chosen, options), form)


Loaded = dict[str, list[dict[str, Any]]]
"""Rows of one table by episode."""


def prepare(stage: Stage, settings: CritiqueConfig | LabelConfig) -> None:
    """Raise UserError for a critic, judge or taxonomy that cannot be had; nothing is spent."""
    if isinstance(settings, LabelConfig):
        stage.judge(settings.model, settings)
        if settings.taxonomy:
            load_taxonomy(Path(settings.taxonomy))
        return
    for name in settings.critics:
        critic(name)
    for model in settings.models:
        stage.judge(model, settings)


def has_candidates(store: Store) -> bool:
    """Return whether any episode ended properly, so that there is something to review."""
    with store.reading() as con:
        return con.execute(CANDIDATES).fetchone() is not None


async def run_critique(stage: Stage, settings: CritiqueConfig) -> str:
    """Critique what is missing and return why the launch ended.

    Raises UserError for an unknown critic, a model that cannot be used, and a run without episodes.
    """
    critics, models = (tuple(dict.fromkeys(names)) for names in (settings.critics, settings.models))
    for name in critics:
        critic(name)
    judges = [stage.judge(name, settings) for name in models or (None,)]
    panel = critique.Panel(critics, judges, settings.samples, stage.utc)

    def read_answers(con: duckdb.DuckDBPyConnection, ids: Sequence[str]) -> tuple[Loaded, Loaded]:
        return (
            by_episode(read_rows(con, VERDICTS, ids)),
            by_episode(read_rows(con, "select * from detections where episode_id in ?", ids)),
        )

    async def work(item: _Item, asking: Asking, emit: Emit) -> None:
        verdicts, detections = item.known
        context = critique.Context(
            item.conversation, panel, asking, emit,
            _answered(verdicts.get(item.id, []), stage.bounds.retry), item.id in detections,
        )  # fmt: skip
        await critique.critique(context)

    return await _launch(
        stage, "critique", settings, settings.sampling(), judges, read_answers, work
    )


async def run_labels(stage: Stage, settings: LabelConfig) -> str:
    """Label what is missing and return why the launch ended. Raises as `run_critique` does."""
    taxonomy = load_taxonomy(Path(settings.taxonomy)) if settings.taxonomy else None
    judge = stage.judge(settings.model, settings)

    def read_labels(con: duckdb.DuckDBPyConnection, ids: Sequence[str]) -> tuple[Loaded, Loaded]:
        name, key = judge.model.name, taxonomy.key if taxonomy else ""
        return (
            by_episode(read_rows(con, INTENTS, ids, name)),
            by_episode(read_rows(con, MAPPED, ids, name, key)),
        )

    async def work(item: _Item, asking: Asking, emit: Emit) -> None:
        intents, categories = item.known
        retry = stage.bounds.retry
        context = label.Context(
            item.conversation, judge, asking, emit, stage.utc, taxonomy,
            _labelled(intents.get(item.id, []), retry),
            frozenset(row["turn"] for row in _lasting(categories.get(item.id, []), retry)),
        )  # fmt: skip
        await label.label_turns(context)

    return await _launch(stage, "label", settings, settings.sampling(), [judge], read_labels, work)


@dataclass(frozen=True, slots=True)
class _Item:
    """One episode to be reviewed."""

    conversation: Conversation
    calls: int
    """Calls that the log holds for it."""
    known: tuple[Loaded, Loaded]
    """What earlier launches stored, for the chunk the episode was read with."""

    @property
    def id(self) -> str:
        return self.conversation.episode_id


async def _launch(
    stage: Stage, name: str, settings: JudgeSettings, sampling: Any, judges: Sequence[Judge],
    known: Callable[[duckdb.DuckDBPyConnection, Sequence[str]], tuple[Loaded, Loaded]],
    work: Callable[[_Item, Asking, Emit], Awaitable[None]],
) -> str:  # fmt: skip
    """Do one stage with a crew, and record the launch."""
    store, bounds = Store(stage.run), stage.bounds
    store.create()
    with store.reading() as con:
        found = [row[0] for row in con.execute(CANDIDATES).fetchall()]
    ids = found[: bounds.limit]
    if not ids:
        raise UserError(f"{stage.run} has no episode that ended properly; play some: folkways run")
    progress = Progress(stage.quiet, "episodes", name)
    models = list({id(judge.model): judge.model for judge in judges}.values())
    crew = Crew(models, store, stage.budget, progress, bounds.concurrency)
    progress.total, started = len(ids), stage.utc()
    gate = asyncio.Semaphore(bounds.concurrency)

    async def one(item: _Item, emit: Emit) -> None:
        seed = item.calls if bounds.retry else 0  # the same seed would bring the same answer
        asking = Asking(item.id, item.calls, settings, sampling, stage.budget, gate, seed)
        with progress.scene(item.id, item.conversation.title, item.conversation.culture.id):
            await work(item, asking, emit)

    def ended(reason: str) -> None:
        told = {
            **settings.model_dump(mode="json"),
            "judges": [judge.model.name for judge in judges],
        }
        row = crew.launch_row(stage.run_id, name, started, stage.utc(), whole(reason), told)
        store.add("launches", row)

    def whole(reason: str) -> str:
        return "limit" if reason == "done" and len(ids) < len(found) else reason

    return whole(await crew.run(_items(store, ids, known), len(ids), one, ended))


def _items(
    store: Store, ids: Sequence[str],
    known: Callable[[duckdb.DuckDBPyConnection, Sequence[str]], tuple[Loaded, Loaded]],
) -> Iterator[_Item]:  # fmt: skip
    """Yield the episodes, read in chunks as they are needed."""
    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        with store.reading() as con:
            conversations, stored = load_conversations(con, chunk), known(con, chunk)
            counts = dict(
                con.execute(
                    "select episode_id, max(call) from calls where episode_id in ? "
                    "group by episode_id",
                    [chunk],
                ).fetchall()
            )
        for episode_id in chunk:
            yield _Item(conversations[episode_id], counts.get(episode_id, 0), stored)


def _lasting(rows: Sequence[dict[str, Any]], retry: bool) -> list[dict[str, Any]]:
    """Return the rows that need no second question."""
    again = critique.AGAIN
    return [r for r in rows if not r["failure"] or not (retry or r["failure"] in again)]


def _answered(rows: Sequence[dict[str, Any]], retry: bool) -> dict[critique.Key, list[Judgement]]:
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
        if len(_lasting([*last.values()], retry)) == len(last)
    }


def _judgement(row: dict[str, Any]) -> Judgement:
    return Judgement(
        row["dimension"], row["role"], row["label"],
        None if row["score"] is None else int(row["score"]), row["confidence"],
        row["reason"] or "", tuple(row["turns"]), row["failure"],
    )  # fmt: skip


def _labelled(rows: Sequence[dict[str, Any]], retry: bool) -> dict[int, Intent | None]:
    found: dict[int, Intent | None] = {}
    for row in _lasting(rows, retry):
        good = not row["failure"]
        made = Intent(row["intent"], row["relevance"], row["expectation"]) if good else None
        found[row["turn"]] = made or found.get(row["turn"])
    return found
