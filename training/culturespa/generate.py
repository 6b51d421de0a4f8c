"""Step 1 of CultureSPA: the model writes questions on each topic, examples before it.

Invariant: every try is stored, whatever came of it; what is short at the end is said, never made
up.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from agents.models.base import open_model
from agents.models.health import DOUBTFUL
from folkways.clock import utc_now
from folkways.event_loop import run_to_end
from simulation.episode.budget import Budget
from simulation.execution.ending import unanswered
from simulation.execution.executor import Executor, Opened
from simulation.execution.model_manager import ModelManager, SharedModel
from simulation.execution.progress import Progress
from simulation.run import set_aside
from simulation.store.run_lock import locked
from simulation.store.writer import FILE, Store
from training.culturespa.config import SpaConfig
from training.culturespa.questions import load_questions, settle_questions
from training.culturespa.topic import AGAIN, FAILED, Topic
from training.culturespa.writer import Writer

_STAGE = "spa-generate"
_ACCEPTED = "accepted"
_Outcomes = dict[str, Counter[str]]
"""Tries by topic and what came of them."""
_OUTCOMES = "select outcome, tries from spa_outcomes where topic = ? order by tries desc, outcome"
_FLAGGED = "select count(*) from spa_questions where paraphrases is not null"
_LEFT_OUT = "select count(*) from spa_attempts where question_id is not null and len(left_out) > 0"
_HELD = {False: "and count as any other", True: "and are held out"}


def generate(config: SpaConfig, *, fresh: bool = False, quiet: bool = False) -> str:
    """Have the questions written that are missing; return why the launch ended: done, drained or
    the spent budget.

    Raises UserError when another process writes the run, when its questions were made with other
    settings, and when the model cannot be used; KeyboardInterrupt after a second Ctrl-C.
    """
    run = config.run
    if config.cache.mode != "replay-strict":
        open_model(config.model.name, config.model.options)
    if fresh and run.exists():
        set_aside(run)
    run.mkdir(parents=True, exist_ok=True)
    with locked(run):
        settle_questions(config)
        return run_to_end(_write_all(config, Store(run), quiet))


async def _write_all(config: SpaConfig, store: Store, quiet: bool) -> str:
    engines = ModelManager(config.cache.opened(Path(config.out)))
    try:
        model = engines.lend(config.model.name, config.model.options)
        return await _write(config, store, model, quiet)
    finally:
        await engines.close()


async def _write(config: SpaConfig, store: Store, model: SharedModel, quiet: bool) -> str:
    topics = _topics(config, store)
    todo = [topic for topic in topics if topic.next_tries()]
    if not todo:
        return "done"
    budget, progress = Budget(config.budget, time.monotonic), Progress(quiet, "topics", _STAGE)
    progress.total, progress.already = len(todo), len(topics) - len(todo)
    writer = Writer(config, model, budget, utc_now, lambda: executor.draining)
    executor = Executor(Opened([model], writer.work), store, budget, progress, config.concurrency)
    started = utc_now()

    def ended(reason: str) -> None:
        told = config.model_dump(mode="json")
        store.add(
            "launches", executor.launch_row(config.name, _STAGE, started, utc_now(), reason, told)
        )

    def missing() -> str | None:
        """Tell of calls that failed, where questions are short: the others were used up."""
        short = [topic.name for topic in todo if topic.missing]
        with store.reading() as con:
            failed = con.execute(FAILED, [list(AGAIN), list(DOUBTFUL), short, started]).fetchall()
        return unanswered(config.run, dict(failed))

    return await executor.run(iter(todo), len(todo), ended, missing)


def _topics(config: SpaConfig, store: Store | None) -> list[Topic]:
    """Return the topics of a run with what the store has of them."""
    topics = [Topic(name, config) for name in config.topics]
    for topic in topics:
        if store is not None:
            topic.restore(store)
    return topics


def forecast(config: SpaConfig) -> list[str]:
    """Return what would be asked, line by line; nothing is asked or written."""
    topics = _topics(config, _stored(config.run))
    missing = [topic for topic in topics if topic.missing]
    return [
        f"{len(topics)} topics, {config.per_topic:,} questions wanted on each",
        f"{sum(topic.missing for topic in missing):,} are missing; {config.model.called} is asked "
        f"{sum(topic.left for topic in missing):,} times at most",
    ]


def _stored(run: Path) -> Store | None:
    """Return the store of a run that has questions in it, or may have."""
    if not (run / FILE).exists():
        return None
    store = Store(run)
    with store.reading() as con:
        found = con.execute("from duckdb_tables() where table_name = 'spa_attempts'").fetchall()
    return store if found else None


def summary(config: SpaConfig) -> list[str]:
    """Return what a run has come to so far, line by line, and by topic what is short."""
    store = Store(config.run)
    topics = _topics(config, store)
    with store.reading() as con:
        outcomes = {
            topic.name: Counter(dict(con.execute(_OUTCOMES, [topic.name]).fetchall()))
            for topic in topics
        }
        flagged, left_out = (con.execute(sql).fetchall()[0][0] for sql in (_FLAGGED, _LEFT_OUT))
        stored = con.execute("select count(*) from spa_questions").fetchall()[0][0]
    notes = {
        f"paraphrase survey items, {_HELD[config.hold_out_paraphrases]}": flagged,
        "repeat one of another topic word for word, and are not used": stored
        - len(load_questions(store)),
        "have lost options that decline to answer": left_out,
    }
    return [
        *_totals(config, topics, outcomes),
        *(f"{number:,} questions {what}" for what, number in notes.items() if number),
        *_shortages(topics, outcomes),
    ]


def _totals(config: SpaConfig, topics: list[Topic], outcomes: _Outcomes) -> Iterator[str]:
    there, wanted = sum(topic.usable for topic in topics), config.per_topic * len(topics)
    together = sum(outcomes.values(), Counter())
    tries = together.total()
    yield f"{there:,} questions on {len(topics)} topics, {wanted:,} wanted; {tries:,} tries"
    if faults := _faults(together):
        yield f"not accepted: {faults}"


def _shortages(topics: list[Topic], outcomes: _Outcomes) -> Iterator[str]:
    """Yield a line for each topic without all its questions, and what can be done."""
    short = [topic for topic in topics if topic.missing]
    for topic in short:
        counts = outcomes[topic.name]
        faults = f": {_faults(counts)}" if _faults(counts) else ""
        wanted = topic.usable + topic.missing
        yield f"{topic.name}: {topic.usable:,} of {wanted:,} after {counts.total():,} tries{faults}"
    if any(not topic.left for topic in short):
        yield "all tries are used up there; raise generation.attempts to go on"


def _faults(counts: Counter[str]) -> str:
    """Return the outcomes but accepted, the most frequent first."""
    return ", ".join(f"{n:,} {what}" for what, n in counts.most_common() if what != _ACCEPTED)
