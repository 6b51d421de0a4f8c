"""The stages of a review: critique and labels for the episodes of a run, concurrent, resumable.

Invariant: whatever interrupts a stage, the same command goes on with what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import duckdb

from agents.critics.critic import critic
from agents.critics.labeller import load_taxonomy
from agents.models.health import DOUBTFUL
from folkways.errors import UserError
from simulation.episode.budget import Budget
from simulation.execution.ending import unanswered
from simulation.execution.executor import make_executor
from simulation.execution.model_manager import ModelManager
from simulation.execution.placement import Cluster
from simulation.execution.progress import Progress
from simulation.execution.task import Tools
from simulation.review.conversations import load_conversations
from simulation.review.critique import AGAIN
from simulation.review.task import Bounds, Critiquing, Labelling, Loaded, Player, ReviewItem
from simulation.review_settings import CritiqueConfig, JudgeSettings, LabelConfig
from simulation.store.reader import read_rows
from simulation.store.writer import Store

_CHUNK = 256
"""Episodes that are read from the store at once."""
_CANDIDATES = """
select episode_id
from (
    select episode_id, exit_reason, turns, started_at from latest_episodes
    union all by name
    select episode_id, exit_reason, turns, started_at from branch_pairs
)
where exit_reason not in ('error', 'budget', 'model-failure', 'endpoint-failure') and turns > 0
    and episode_id not in (select episode_id from failing_roles)
order by started_at, episode_id
"""
"""Episodes, branches too, that ended properly: the others are lost whatever a critic says."""
_VERDICTS = "select * from verdicts where episode_id in ? order by rowid"
_DETECTIONS = "select * from detections where episode_id in ?"
_INTENTS = "select * from intents where episode_id in ? and model = ?"
_MAPPED = "select * from categories where episode_id in ? and model = ? and taxonomy = ?"
_LEFT = """
with told as (
    select failure, (episode_id, role, critic, model, sample) as question, judged_at as told_at
    from last_verdicts
    where list_contains($critics, critic)
    union all
    select last(failure order by failure is null, labelled_at),
        (episode_id, turn::varchar, 'intent', model, 0), max(labelled_at)
    from intents where $labels group by episode_id, turn, model
    union all
    select last(failure order by failure is null, labelled_at),
        (episode_id, turn::varchar, taxonomy, model, 0), max(labelled_at)
    from categories where $labels group by episode_id, turn, model, taxonomy
)
select failure || case when len($models) > 1 then ' of ' || question[4] else '' end,
    count(distinct question)
from told
where (list_contains($again, failure)
        or list_contains($doubtful, failure) and coalesce(
            told_at < map($judges::varchar[], $since::timestamp[])[question[4]], true))
    and list_contains($models, question[4]) and question[1] in (select unnest($ids::varchar[]))
group by all order by 2 desc, 1
"""
"""Questions that the same command asks again, by what has failed them, and of several models which
one."""
_SINCE = """
select model, min({time}) from {table} where failure is null or not list_contains(?, failure)
group by model
"""
"""When each judge first answered, in whatever way."""
_Read = Callable[[duckdb.DuckDBPyConnection, Sequence[str]], tuple[Loaded, Loaded]]
"""Reads what earlier launches stored of some episodes."""


@dataclass(frozen=True, slots=True)
class ReviewContext:
    """A run that is being reviewed; the caller holds its lock."""

    run: Path
    run_id: str
    player: Player
    engines: ModelManager
    bounds: Bounds
    budget: Budget
    utc: Callable[[], datetime]
    quiet: bool = False
    cluster: Cluster | None = None


def prepare(stage: ReviewContext, settings: CritiqueConfig | LabelConfig) -> None:
    """Raise UserError for a critic, judge or taxonomy that cannot be had; nothing is spent."""
    if isinstance(settings, LabelConfig):
        stage.player.judge(stage.engines, settings.model, settings)
        if settings.taxonomy:
            load_taxonomy(Path(settings.taxonomy))
        return
    for name in settings.critics:
        critic(name)
    for model in settings.models:
        stage.player.judge(stage.engines, model, settings)


def has_candidates(store: Store) -> bool:
    """Return whether any episode ended properly, so that there is something to review."""
    with store.reading() as con:
        return con.execute(_CANDIDATES).fetchone() is not None


async def run_critique(stage: ReviewContext, settings: CritiqueConfig) -> str:
    """Critique what is missing and return why the launch ended.

    Raises UserError for an unknown critic, a model that cannot be used, and a run without episodes.
    """
    for name in settings.critics:
        critic(name)

    def read(con: duckdb.DuckDBPyConnection, ids: Sequence[str]) -> tuple[Loaded, Loaded]:
        return _grouped(con, _VERDICTS, ids), _grouped(con, _DETECTIONS, ids)

    return await _launch(stage, settings, Critiquing(stage.player, settings, stage.bounds), read)


async def run_labels(stage: ReviewContext, settings: LabelConfig) -> str:
    """Label what is missing and return why the launch ended. Raises as `run_critique` does."""
    taxonomy = load_taxonomy(Path(settings.taxonomy)) if settings.taxonomy else None
    task = Labelling(stage.player, settings, taxonomy, stage.bounds)

    def read(con: duckdb.DuckDBPyConnection, ids: Sequence[str]) -> tuple[Loaded, Loaded]:
        name, key = task.models[0], taxonomy.key if taxonomy else ""
        return _grouped(con, _INTENTS, ids, name), _grouped(con, _MAPPED, ids, name, key)

    return await _launch(stage, settings, task, read)


async def _launch(
    stage: ReviewContext, settings: JudgeSettings, task: Critiquing | Labelling, read: _Read
) -> str:
    """Do one stage, and record the launch."""
    store, bounds = Store(stage.run), stage.bounds
    store.create()
    with store.reading() as con:
        found = [row[0] for row in con.execute(_CANDIDATES).fetchall()]
    ids = found[: bounds.limit]
    if not ids:
        raise UserError(f"{stage.run} has no episode that ended properly; play some: folkways run")
    task = replace(task, bounds=replace(bounds, since=_since(store, task)))
    progress = Progress(stage.quiet, "episodes", task.stage)
    tools = Tools(stage.engines, stage.budget, stage.utc, progress)
    executor = make_executor(task, tools, store, progress, bounds.concurrency, stage.cluster)
    progress.total, started = len(ids), stage.utc()

    def ended(reason: str) -> None:
        told = {**settings.model_dump(mode="json"), "judges": list(task.models)}
        row = executor.launch_row(
            stage.run_id, task.stage, started, stage.utc(), whole(reason), told
        )
        store.add("launches", row)

    def whole(reason: str) -> str:
        return "limit" if reason == "done" and len(ids) < len(found) else reason

    def missing() -> str | None:
        critics, labels = getattr(settings, "critics", ()), isinstance(settings, LabelConfig)
        since = _since(store, task)
        given = {
            "models": list(task.models),
            "critics": list(critics),
            "labels": labels,
            "ids": ids,
            "again": list(AGAIN),
            "doubtful": list(DOUBTFUL),
            "judges": list(since),
            "since": list(since.values()),
        }
        with store.reading() as con:
            left = con.execute(_LEFT, given).fetchall()
        return unanswered(stage.run, dict(left))

    return whole(await executor.run(_items(store, ids, read), len(ids), ended, missing))


def _since(store: Store, task: Critiquing | Labelling) -> dict[str, datetime]:
    """Return when each model of a review answered first, of those that have."""
    judges = isinstance(task, Critiquing)
    table, time = ("verdicts", "judged_at") if judges else ("intents", "labelled_at")
    with store.reading() as con:
        query = _SINCE.format(table=table, time=time)
        return dict(con.execute(query, [[*AGAIN, *DOUBTFUL]]).fetchall())


def _items(store: Store, ids: Sequence[str], read: _Read) -> Iterator[ReviewItem]:
    """Yield the episodes, read in chunks as they are needed."""
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        with store.reading() as con:
            conversations, (one, other) = load_conversations(con, chunk), read(con, chunk)
            counts = dict(
                con.execute(
                    "select episode_id, max(call) from calls where episode_id in ? "
                    "group by episode_id",
                    [chunk],
                ).fetchall()
            )
        for id_ in chunk:
            known = (one.get(id_, []), other.get(id_, []))
            yield ReviewItem(conversations[id_], counts.get(id_, 0), known)


def _grouped(con: duckdb.DuckDBPyConnection, query: str, *values: object) -> Loaded:
    """Return the rows of a query by the episode they belong to."""
    grouped: Loaded = {}
    for row in read_rows(con, query, *values):
        grouped.setdefault(row["episode_id"], []).append(row)
    return grouped
