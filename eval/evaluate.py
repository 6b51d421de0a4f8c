"""Running an evaluation: what is asked and not answered yet, model by model, into the store.

Invariant: every answer that was given is stored, whatever interrupts the work, and none is asked
for twice; the same command goes on where the last one stopped.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, runtime_checkable

import yaml

from agents.models.base import CallFailed, Model, ScoresUnavailable
from agents.models.local.chat_form import ChatForm, local_form
from agents.models.local.vllm import PrefixCache
from eval.config import EvalConfig, described, protocol_hash
from eval.respondents.participants import read_participants
from eval.respondents.source import People, choose_participants, gather_people
from eval.survey.condition import Condition, Planner
from eval.survey.remaining import open_sheets, unanswered_questions, with_tries
from eval.survey.seat import Seat, open_engine, seats_by_engine
from eval.survey.task import Surveying
from folkways.clock import utc_now
from folkways.errors import UserError
from folkways.event_loop import run_to_end
from simulation.episode.budget import Budget
from simulation.execution.ending import unanswered
from simulation.execution.executor import Incomplete, make_executor
from simulation.execution.model_manager import ModelManager
from simulation.execution.placement import Cluster, recover_shards
from simulation.execution.progress import Progress
from simulation.execution.task import Tools
from simulation.run import set_aside, settle_configuration
from simulation.store.record import Record
from simulation.store.run_lock import locked
from simulation.store.writer import FILE, Store

_LOCAL = ("control", "embedded", "fake", "hf", "llama", "vllm")
"""Engines that are known to give log-probabilities."""


@runtime_checkable
class _Caching(Protocol):
    """An engine that tells how much of its prompts it had computed before."""

    def prefix_cache(self) -> PrefixCache:
        """Return the sums over all requests so far."""


def evaluate(
    config: EvalConfig, *, fresh: bool = False, quiet: bool = False, cluster: Cluster | None = None
) -> str:
    """Ask what is missing, here or on a cluster, and return why the launch ended: done, drained or
    the spent budget.

    Raises UserError when another process writes the evaluation, when its protocol differs from the
    stored one, and when a model cannot be used; KeyboardInterrupt after a second Ctrl-C.
    """
    run = Path(config.out) / config.name
    if fresh or not (run / FILE).exists():
        forecast(config)  # what cannot be asked settles nothing
        if config.cache.mode != "replay-strict":
            for seats in seats_by_engine(config.models):
                open_engine(ModelManager(), seats)
    if fresh and run.exists():
        set_aside(run)
    run.mkdir(parents=True, exist_ok=True)
    with locked(run):
        settle_survey(run, config)
        planner = Planner(config, find_people(config, run))
        return conduct(planner, Store(run), quiet=quiet, cluster=cluster)


def settle_survey(run: Path, config: EvalConfig) -> None:
    """Record what all answers of an evaluation have in common, and the metrics chosen now; refuse
    another protocol."""
    told, store = described(config), Store(run)
    settle_configuration(
        run, config.name, told, protocol_hash(config), "survey", ("survey_replies",)
    )
    stored = store.run("survey")
    text = yaml.safe_dump(told, sort_keys=False, allow_unicode=True)
    if stored and stored[0] != text:
        with store.writing() as con:
            con.execute("update runs set config = ? where kind = 'survey'", [text])


def conduct(
    planner: Planner,
    store: Store,
    *,
    stage: str = "survey",
    quiet: bool = False,
    cluster: Cluster | None = None,
) -> str:
    """Ask what a store has no answers to and return why that ended, as `evaluate` does.

    The caller has locked the run and settled its configuration; `stage` is what the table
    `launches` calls this piece of work.
    """
    recover_shards(store, cluster, utc_now())
    add_facts(store, planner)
    budget = Budget(planner.config.budget, time.monotonic)
    return run_to_end(_ask_all(_Work(planner, store, stage, budget, quiet, cluster)))


def find_people(config: EvalConfig, run: Path) -> People:
    """Return the people of an evaluation; a synthetic sample is made in its folder."""
    described = any(chosen.by_respondent for chosen in config.chosen_methods().values())
    items, drawn = config.chosen_items(), described and config.participants is None
    people = gather_people(
        config.people,
        items,
        config.cultures,
        run,
        count=config.respondents if drawn else None,
        weights=config.weights,
        seed=config.seed,
    )
    if not described or config.participants is None:
        return people
    participants = read_participants(Path(config.participants))
    skip, path = config.absent_items == "skip", Path(str(config.people))
    return choose_participants(people, path, participants, items, skip=skip)


def forecast(config: EvalConfig) -> list[str]:
    """Return what an evaluation would ask, line by line; nothing is asked or written.

    Raises UserError for what cannot be put into words: one sheet of each culture is made.
    """
    with TemporaryDirectory() as folder:
        people = find_people(config, Path(folder))
    return [
        f"{len(config.chosen_items())} items, compared with {people.about}",
        *_skipped(config.skipped_items()),
        *(f"no answers of people for {country}: asked, not scored" for country in people.without),
        *count_questions(Planner(config, people)),
    ]


def _skipped(items: Mapping[str, str]) -> list[str]:
    """Return the items that are skipped, a line for each reason."""
    reasons: dict[str, list[str]] = {}
    for item, why in items.items():
        reasons.setdefault(why, []).append(item)
    return [
        f"skipped, not in your file: {', '.join(names)} ({why})" for why, names in reasons.items()
    ]


def count_questions(planner: Planner) -> list[str]:
    """Return how much would be asked in each condition, and in all, line by line."""
    lines, total = list[str](), 0
    for ref in planner.config.models:
        for condition in planner.conditions(ref):
            for _ in islice(planner.sheets(condition), len(planner.config.cultures)):
                pass
            sums = questions_of(planner, condition)
            total += sum(sums)
            each = f"{min(sums):,}" if len({*sums}) == 1 else f"{min(sums):,} to {max(sums):,}"
            style = f", {condition.style}" if condition.style else ""
            lines.append(
                f"{ref.called}, {condition.method_name}{style}, {condition.language}, "
                f"{condition.readout}: {len(sums):,} sheets of {each} questions"
            )
    return [*lines, f"{total:,} questions in all"]


def questions_of(planner: Planner, condition: Condition) -> list[int]:
    """Return how many questions each sheet of a condition has."""
    if condition.method.by_respondent and planner.people.asked:
        return [len(sheet.questions) for sheet in planner.sheets(condition)]
    return [planner.questions(condition)] * planner.count(condition)


def add_facts(store: Store, planner: Planner) -> None:
    """Store items, options and people, those that are not there yet."""
    items = planner.items
    rows = planner.people.rows() | {
        "survey_items": [
            {"item_id": item.id, "topic": item.topic, "ask": item.ask, "scale": item.scale,
             "higher": item.higher}
            for item in items
        ],
        "survey_options": [
            {"item_id": item.id, "code": code, "point": item.point(code),
             "label": item.options[code],
             "position": None if item.scale == "nominal" else item.positions[item.point(code) or 0]}
            for item in items
            for code in item.scale_codes
        ],
    }  # fmt: skip
    keys = {
        "survey_items": ("item_id",),
        "survey_options": ("item_id",),
        "survey_people": ("country",),
        "survey_respondents": ("respondent_id",),
        "survey_truths": ("respondent_id",),
    }
    fresh: dict[str, list[dict[str, Any]]] = {}
    with store.reading() as con:
        for table, columns in keys.items():
            listed = con.execute(f"select distinct {', '.join(columns)} from {table}").fetchall()
            known = set(listed)
            fresh[table] = [r for r in rows[table] if tuple(r[c] for c in columns) not in known]
    store.append([Record(fresh, "facts")])


@dataclass(frozen=True, slots=True)
class _Work:
    """What all models of a launch have in common."""

    planner: Planner
    store: Store
    stage: str
    budget: Budget
    quiet: bool
    cluster: Cluster | None


async def _ask_all(work: _Work) -> str:
    """Ask what one engine holds after the other; return why it ended."""
    config = work.planner.config
    responses, unfinished = config.cache.opened(Path(config.out)), None
    for seats in seats_by_engine(config.models):
        engines = ModelManager(responses)
        try:
            reason = await _ask(work, seats, engines)
        except Incomplete as error:
            unfinished, reason = unfinished or error, "done"
        finally:
            await engines.close()
        if reason != "done":
            return reason
    if unfinished:
        raise unfinished
    return "done"


async def _ask(work: _Work, seats: Sequence[Seat], engines: ModelManager) -> str:
    """Ask the models of one engine everything that is open."""
    planner, store, config = work.planner, work.store, work.planner.config
    chosen = [planner.conditions(seat.ref) for seat in seats]
    todo, counts = open_sheets(store, planner, seats, chosen)
    if not todo:
        return "done"
    progress = Progress(work.quiet, "sheets", work.stage)
    called = ", ".join(dict.fromkeys(seat.ref.called for seat in seats))
    engine = open_engine(engines, seats)
    if not await _gives_scores(engine, list(chain(*chosen)), config):
        progress.note(f"{called} gives no log-probabilities; its answers are read out of text")
        chosen = [_as_texts(some) for some in chosen]
        todo, counts = open_sheets(store, planner, seats, chosen)
    tools = Tools(engines, work.budget, utc_now, progress)
    task = Surveying(config, seats, work.stage)
    executor = make_executor(task, tools, store, progress, config.concurrency, work.cluster)
    renders = config.cache.mode != "replay-strict"  # nothing is loaded there
    _add_conditions(store, planner, list(chain(*chosen)), renders)
    progress.total, progress.already = len(todo), counts
    started = utc_now()

    def ended(reason: str) -> None:
        told = config.model_dump(mode="json") | {"model": called}
        if isinstance(engine.engine, _Caching) and engine.started:
            told["prefix_cache"] = engine.engine.prefix_cache()._asdict()
        row = executor.launch_row(config.name, work.stage, started, utc_now(), reason, told)
        store.add("launches", row)

    def missing() -> str | None:
        left = unanswered_questions(store, list(chain(*chosen)))
        return unanswered(store.path.parent, left)

    return await executor.run(with_tries(store, todo), len(todo), ended, missing)


def _as_texts(chosen: Sequence[Condition]) -> list[Condition]:
    """Return conditions with answers read out of text, each once."""
    texts = [replace(condition, readout="text") for condition in chosen]
    return list({condition.id: condition for condition in texts}.values())


def _add_conditions(
    store: Store, planner: Planner, chosen: Sequence[Condition], renders: bool
) -> None:
    """Store the conditions that are new. Raises UserError where an old one was worded otherwise, or
    its chats were written otherwise for the model: its answers would be to other questions."""
    with store.reading() as con:
        found = con.execute("select condition_id, wording, chat_hash from survey_conditions")
        known = {name: (wording, written) for name, wording, written in found.fetchall()}
    forms: dict[str, ChatForm | None] = {}
    for condition in chosen:  # one by one: DuckDB shuffles what it inserts or ignores together
        wording, form = planner.wording(condition), None
        if renders:
            form = _chat_form(condition, forms)
        written = None if form is None else form.hash
        before = known.get(condition.id, (wording, written))
        if before[0] != wording:
            raise UserError(
                f"the prompts or items in '{condition.language}' were worded otherwise when "
                f"{store.path} was begun; choose another name, or start over with --fresh"
            )
        if form is not None and (before[1] != written if before[1] else form.dated):
            raise UserError(
                f"the chat template of '{condition.model.called}' wrote chats otherwise when "
                f"{store.path} was begun: another template, or the date of that day; choose "
                "another name, or start over with --fresh"
            )
        row = condition.row() | {"wording": wording, "chat_hash": written}
        store.add("survey_conditions", row)


def _chat_form(condition: Condition, known: dict[str, ChatForm | None]) -> ChatForm | None:
    """Return how the chats of a condition's model are written, each tokenizer being loaded once."""
    part = condition.model.parts()[0][1]
    variables = part.options.get("template")
    key = f"{part.name} {variables}"
    if key not in known:
        known[key] = local_form(part.name, variables)
    return known[key]


async def _gives_scores(model: Model, chosen: Sequence[Condition], config: EvalConfig) -> bool:
    """Return whether a model can be asked for log-probabilities, if it is to be.

    A call that fails says nothing of that, and what fails later is recorded.
    """
    if all(condition.readout != "logprobs" for condition in chosen):
        return True
    if model.name.partition(":")[0] in _LOCAL:
        return True
    await model.start()
    try:
        async with asyncio.timeout(config.timeout_s):
            await model.score([{"role": "user", "content": "1 or 2?"}], ["1", "2"])
    except ScoresUnavailable:
        return False
    except (CallFailed, TimeoutError):
        return True
    return True
