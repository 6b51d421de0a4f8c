"""Plain texts by the model that plays, on things without people: the control that holds no scene.

Invariant: the seed of a text follows from its number alone, so that more texts are the same texts
and some more; what failed is stored as that and never trained on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from agents.actor import Asked, ReplyForm
from agents.models.base import Message, Prompt, Sampling, default_reply_form
from agents.template import Template, load_template, used
from folkways.clock import utc_now
from folkways.event_loop import run_to_end
from folkways.provenance import short_hash
from simulation.episode.budget import Budget, BudgetSpent
from simulation.episode.call import derived_seed, make_call
from simulation.execution.executor import Emit, Executor, Opened
from simulation.execution.model_manager import ModelManager, SharedModel
from simulation.execution.progress import Progress
from simulation.store.record import Record
from simulation.store.run_lock import locked
from simulation.store.writer import Store
from training.corpus.candidates import draw
from training.experiment.config import ClcaExperiment
from training.experiment.corpus_folders import chat_row

_STAGE = "texts"
_KEPT = ("prompt_tokens", "cached_tokens", "completion_tokens", "cost", "latency_s")
WRITTEN = "select number, subject, text from control_texts where problem is null order by number"
_AMOUNT = """
select coalesce(max(number), 0), count(*) filter (problem is null),
    coalesce(sum(coalesce(completion_tokens, len(text) // 4)) filter (problem is null), 0)
from control_texts
"""
_FRUITLESS = 100
"""Tries without a single text after which no more are made."""
_EXPECTED = 100
"""Completion tokens of a text, before there is one."""
_TASK = "text"
"""What rows of plain text are called in a corpus."""
_HERE = Path(__file__).parent


def write_texts(config: ClcaExperiment, tokens: int, quiet: bool = False) -> str:
    """Have the model write until there are so many completion tokens; return why it ended.

    Texts that are stored already count. Raises UserError when the model cannot be used.
    """
    run = config.folder
    with locked(run):
        return run_to_end(_write_all(config, Store(run), tokens, quiet))


def _text_messages(subject: str, text: str) -> list[Message]:
    """Return a text as a chat to learn from."""
    return [
        {"role": "user", "content": _template().asked(subject)},
        {"role": "assistant", "content": text},
    ]


def _template() -> Template:
    return load_template("text", _HERE / "prompts")


@cache
def _subjects() -> tuple[str, ...]:
    return tuple(yaml.safe_load((_HERE / "subjects.yaml").read_text(encoding="utf-8")))


async def _write_all(config: ClcaExperiment, store: Store, tokens: int, quiet: bool) -> str:
    played = config.run_config()
    engines = ModelManager(played.cache.opened(Path(played.out)))
    try:
        model = engines.lend(played.model.name, played.model.options)
        budget = Budget(played.budget, time.monotonic)
        while (open_ := _open(store, tokens)) is not None:
            reason = await _write_some(config, store, model, budget, open_, quiet)
            if reason != "done":
                return reason
        return "done"
    finally:
        await engines.close()


def _open(store: Store, tokens: int) -> range | None:
    """Return the numbers of the texts to be written next, None if there are enough tokens."""
    with store.reading() as con:
        tried, written, have = con.execute(_AMOUNT).fetchall()[0]
    if have >= tokens or (not written and tried >= _FRUITLESS):
        return None
    each = max(have / written, 1) if written else _EXPECTED
    return range(tried + 1, tried + 2 + int(1.1 * (tokens - have) / each))


async def _write_some(
    config: ClcaExperiment,
    store: Store,
    model: SharedModel,
    budget: Budget,
    numbers: range,
    quiet: bool,
) -> str:
    progress = Progress(quiet, "texts", _STAGE)
    progress.total = len(numbers)
    started = utc_now()
    form = default_reply_form(model.name)
    timeout = config.run_config().model.timeout_s

    async def work(number: int, emit: Emit) -> None:
        subject = _subjects()[(number - 1) % len(_subjects())]
        asked = _asked(subject, form)
        sampling = _sampling(config, form, number)
        with suppress(BudgetSpent):  # the next launch writes it
            call = await make_call(
                model,
                asked,
                sampling,
                budget,
                timeout,
                purpose=_STAGE,
                template_hash=_template().hash,
                seen=0,
            )
            row = _row(number, subject, model.name, call)
            templates = {"templates": used((_template(),))}
            emit(Record({"control_texts": [row]}, row["problem"] or "written", templates))

    opened = Opened([model], work)
    executor = Executor(opened, store, budget, progress, config.texts.concurrency)

    def ended(reason: str) -> None:
        told = config.texts.model_dump(mode="json")
        store.add(
            "launches", executor.launch_row(config.name, _STAGE, started, utc_now(), reason, told)
        )

    return await executor.run(iter(numbers), len(numbers), ended)


def _asked(subject: str, form: ReplyForm) -> Asked:
    text = _template().continued(subject) if form == "script" else _template().asked(subject)
    prompt: Prompt = text if form == "script" else [{"role": "user", "content": text}]
    return Asked(prompt, short_hash(json.dumps(prompt, ensure_ascii=False)), None)


def _sampling(config: ClcaExperiment, form: ReplyForm, number: int) -> Sampling:
    texts, seed = config.texts, config.run_config().seed
    stop = ("\n\n\n", "\nHow ", "\nWhy ", "\nWhat ") if form == "script" else ()
    return Sampling(
        texts.temperature,
        1.0,
        texts.min_p,
        texts.repetition_penalty,
        texts.max_tokens,
        stop,
        derived_seed(seed, _STAGE, number),
    )


def _row(number: int, subject: str, model: str, call: dict[str, Any]) -> dict[str, Any]:
    text = (call["reply"] or "").strip()
    return {
        "number": number,
        "subject": subject,
        "model": model,
        "text": text,
        "problem": call["failure"] or (None if text else "empty"),
        "template_hash": call["template_hash"],
        "prompt_hash": call["prompt_hash"],
        "seed": call["seed"],
        "asked_at": utc_now(),
        **{name: call[name] for name in _KEPT},
    }


def text_rows(written: Sequence[tuple[int, str, str]], culture: str) -> Iterator[dict[str, Any]]:
    """Yield rows of a corpus from number, subject and text; each culture has its own order."""
    for number, subject, text in sorted(written, key=lambda one: draw(0, f"{culture} {one[0]}")):
        yield chat_row(_TASK, culture, number, _text_messages(subject, text))
