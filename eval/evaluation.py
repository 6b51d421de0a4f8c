"""Running an evaluation: what is asked and not answered yet, model by model, into the store.

Invariant: every answer that was given is stored, whatever interrupts the work, and none is asked
for twice; the same command goes on where the last one stopped.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, runtime_checkable

from agents.engines.vllm import PrefixCache
from agents.model import CallFailed, Model, ScoresUnavailable
from eval.asking.ask import AGAIN, Asked, Interviewer, Todo
from eval.asking.condition import Condition, Planner, Sheet, conditions
from eval.config import EvalConfig, ModelRef, protocol, protocol_hash
from eval.people.source import People, gather_people
from scenarios.errors import UserError
from simulation.budget import Budget
from simulation.crew import Crew
from simulation.engines import Engines, Lent
from simulation.launch import set_aside, settle_configuration, utc_now
from simulation.lock import locked
from simulation.progress import Progress
from simulation.record import Record
from simulation.store import FILE, Store

CALLS_A_SHEET = 64
"""Calls in flight for each sheet in progress, at most."""
DONE = """
select item_id, arrangement, sample, max(attempt) as tries,
    not coalesce(list_contains(?, arg_max(coalesce(problem, ''), attempt)), false) as stands
from survey_replies where condition_id = ? and country = ? and respondent_id is not distinct from ?
group by all
"""
COUNTS = """
select country, respondent_id, count(distinct (item_id, arrangement, sample)) from survey_replies
where condition_id = ? and not list_contains(?, coalesce(problem, '')) group by all
"""


@runtime_checkable
class Caching(Protocol):
    """An engine that tells how much of its prompts it had computed before."""

    def prefix_cache(self) -> PrefixCache:
        """Return the sums over all requests so far."""


def evaluate(config: EvalConfig, *, fresh: bool = False, quiet: bool = False) -> str:
    """Ask what is missing and return why the launch ended: done, drained or the spent budget.

    Raises UserError when another process writes the evaluation, when its protocol differs from the
    stored one, and when a model cannot be used; KeyboardInterrupt after a second Ctrl-C.
    """
    run = Path(config.out) / config.name
    if fresh and run.exists():
        set_aside(run)
    run.mkdir(parents=True, exist_ok=True)
    with locked(run):
        if not (run / FILE).exists():
            forecast(config)  # what cannot be asked settles nothing
        settle_configuration(run, config.name, protocol(config), protocol_hash(config))
        people = find_people(config, run)
        store = Store(run)
        _add_facts(store, config, people)
        try:
            return asyncio.run(_ask_all(config, store, run, people, quiet))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None


def find_people(config: EvalConfig, run: Path) -> People:
    """Return the people of an evaluation; a synthetic sample is made in its folder."""
    described = any(chosen.by_respondent for chosen in config.chosen_methods().values())
    return gather_people(
        config.people, config.chosen_items(), config.cultures, run,
        count=config.respondents if described else None, weights=config.weights, seed=config.seed,
    )  # fmt: skip


def forecast(config: EvalConfig) -> list[str]:
    """Return what an evaluation would ask, line by line; nothing is asked or written.

    Raises UserError for what cannot be put into words: one sheet of each culture is made.
    """
    with TemporaryDirectory() as folder:
        people = find_people(config, Path(folder))
    planner = Planner(config, people)
    lines = [
        f"{len(config.chosen_items())} items, compared with {people.about}",
        *(f"no answers of people for {country}: asked, not scored" for country in people.without),
    ]
    total = 0
    for ref in config.models:
        for condition in conditions(config, ref):
            for _ in islice(planner.sheets(condition), len(config.cultures)):
                pass
            sheets, questions = planner.count(condition), planner.questions(condition)
            total += sheets * questions
            style = f", {condition.style}" if condition.style else ""
            lines.append(
                f"{ref.called}, {condition.method_name}{style}, {condition.language}, "
                f"{condition.readout}: {sheets:,} sheets of {questions:,} questions"
            )
    return [*lines, f"{total:,} questions in all"]


def _add_facts(store: Store, config: EvalConfig, people: People) -> None:
    """Store items, options and people, those that are not there yet."""
    items = config.chosen_items()
    rows = people.rows() | {
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
        "survey_items": ("item_id",), "survey_options": ("item_id",),
        "survey_people": ("country",), "survey_respondents": ("respondent_id",),
        "survey_truths": ("respondent_id",),
    }  # fmt: skip
    fresh: dict[str, list[dict[str, Any]]] = {}
    with store.reading() as con:
        for table, columns in keys.items():
            listed = con.execute(f"select distinct {', '.join(columns)} from {table}").fetchall()
            known = set(listed)
            fresh[table] = [r for r in rows[table] if tuple(r[c] for c in columns) not in known]
    store.append([Record(fresh, "facts")])


async def _ask_all(config: EvalConfig, store: Store, run: Path, people: People, quiet: bool) -> str:
    """Ask one model after the other; return why it ended."""
    budget = Budget(config.budget, time.monotonic)
    planner = Planner(config, people)
    reason = "done"
    for ref in config.models:
        engines = Engines()
        try:
            model = engines.lend(ref.name, ref.options)
            reason = await _ask_model(config, store, planner, model, ref, budget, quiet)
        finally:
            await engines.close()
        if reason != "done":
            break
    return reason


async def _ask_model(
    config: EvalConfig, store: Store, planner: Planner, model: Lent, ref: ModelRef, budget: Budget,
    quiet: bool,
) -> str:  # fmt: skip
    """Ask one model everything that is open."""
    chosen = conditions(config, ref)
    progress = Progress(quiet, "sheets")
    todo, counts = _open(store, planner, chosen)
    if not todo:
        return "done"
    await model.start()
    if not await _gives_scores(model, chosen, config.timeout_s):
        progress.note(f"{ref.called} gives no log-probabilities; its answers are read out of text")
        texts = [replace(condition, readout="text") for condition in chosen]
        chosen = list({condition.id: condition for condition in texts}.values())
        todo, counts = _open(store, planner, chosen)
    interviewer = Interviewer(config, model, budget, utc_now, CALLS_A_SHEET * config.concurrency)
    crew = Crew([model], store, budget, progress, config.concurrency)
    _add_conditions(store, planner, chosen)
    progress.total, progress.already = len(todo), counts
    started = utc_now()

    def ended(reason: str) -> None:
        told = config.model_dump(mode="json") | {"model": ref.called}
        if isinstance(model.model, Caching):
            told["prefix_cache"] = model.model.prefix_cache()._asdict()
        row = crew.launch_row(config.name, "survey", started, utc_now(), reason, told)
        store.add("launches", row)

    return await crew.run(_todos(store, todo), len(todo), interviewer.work, ended)


def _add_conditions(store: Store, planner: Planner, chosen: Sequence[Condition]) -> None:
    """Store the conditions that are new. Raises UserError where an old one was worded otherwise:
    its answers would be to other questions."""
    with store.reading() as con:
        known = dict(con.execute("select condition_id, wording from survey_conditions").fetchall())
    for condition in chosen:  # one by one: DuckDB shuffles what it inserts or ignores together
        wording = planner.wording(condition)
        if known.get(condition.id, wording) != wording:
            raise UserError(
                f"the prompts or items in '{condition.language}' were worded otherwise when "
                f"{store.path} was begun; choose another name, or start over with --fresh"
            )
        store.add("survey_conditions", condition.row() | {"wording": wording})


async def _gives_scores(model: Model, chosen: Sequence[Condition], timeout_s: float) -> bool:
    """Return whether a model can be asked for log-probabilities, if it is to be.

    A call that fails says nothing of that, and what fails later is recorded.
    """
    if all(condition.readout != "logprobs" for condition in chosen):
        return True
    try:
        async with asyncio.timeout(timeout_s):
            await model.score([{"role": "user", "content": "1 or 2?"}], ["1", "2"])
    except ScoresUnavailable:
        return False
    except (CallFailed, TimeoutError):
        return True
    return True


def _open(store: Store, planner: Planner, chosen: Sequence[Condition]) -> tuple[list[Sheet], int]:
    """Return the sheets with something left to ask, and how many have nothing.

    Read-outs of the same questions follow each other sheet by sheet: the second finds its prompts
    in the engine's cache.
    """
    places: dict[tuple[str | None, ...], int] = {}
    found: list[tuple[tuple[int, int], Sheet]] = []
    complete = 0
    with store.reading() as con:
        for condition in chosen:
            alike = (condition.method_name, condition.style, condition.language)
            place = places.setdefault(alike, len(places))
            rows = con.execute(COUNTS, [condition.id, list(AGAIN)]).fetchall()
            answered = {(country, respondent): n for country, respondent, n in rows}
            wanted = planner.questions(condition)
            for number, sheet in enumerate(planner.sheets(condition)):
                if answered.get(sheet.key[1:], 0) < wanted:
                    found.append(((place, number), sheet))
                else:
                    complete += 1
    found.sort(key=lambda each: each[0])
    return [sheet for _, sheet in found], complete


def _todos(store: Store, sheets: Sequence[Sheet]) -> Iterator[Todo]:
    """Yield the sheets with what was answered before, read as they are needed."""
    for sheet in sheets:
        with store.reading() as con:
            rows = con.execute(DONE, [list(AGAIN), *sheet.key]).fetchall()
        tries: dict[Asked, tuple[int, bool]] = {
            (item, arrangement, sample): (count, stands)
            for item, arrangement, sample, count, stands in rows
        }
        yield Todo(sheet, tries)
