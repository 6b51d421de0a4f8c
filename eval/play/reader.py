"""A model as reader of blind pairs: it reads every pair in both orders, and its choices are a sheet
like a person's.

Invariant: it is shown what people are shown; an answer that cannot be read is a failure with its
reason and no choice.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.answer import TEXT, object_of, one_of
from agents.critics.critic import UnusableVerdict, asked_as
from agents.models.base import Sampling, default_reply_form, open_model, whole_name
from agents.models.health import FAULTS, Guarded
from agents.reply import Unreadable, read_object
from agents.template import load_template
from eval.play.pairs import COLUMNS, SWAPPED, write_sheet
from folkways.text import sound, unguard
from scenarios.sheet import read_sheet
from simulation.episode.budget import Budget, BudgetConfig
from simulation.review.asking import Asking, Judge
from simulation.review_settings import JudgeSettings

_SIDES = {"first": "left", "second": "right", "tie": "tie"}
_SCHEMA = object_of({"reason": TEXT, "better": one_of(_SIDES)})
_SETTINGS = JudgeSettings(max_tokens=200)
_Row = dict[str, str]


def sheet_of(file: Path, model: str) -> Path:
    """Return where the sheet of a model that reads the pairs of another sheet is."""
    return file.with_name(f"{file.stem}.{re.sub(r'[^A-Za-z0-9.-]+', '-', model)}.csv")


async def read_pairs(
    file: Path, model: str, options: Mapping[str, Any], concurrency: int
) -> tuple[Path, int, int]:
    """Have a model read the pairs of a sheet; return its sheet, how many readings that has, two a
    pair, and how many of them failed.

    What an earlier launch has read is kept, and what an endpoint failed to answer is asked again.
    Raises UserError for a model that cannot be used.
    """
    name = whole_name(model)
    own = sheet_of(file, name)
    done = _known(own)
    asked = [
        row
        for _, cells in read_sheet(file).rows
        for row in _both({column: unguard(cells.get(column, "")) for column in COLUMNS}, name)
    ]
    left = [row for row in asked if _place(row) not in done]
    if left:
        engine = Guarded(open_model(name, options))
        await engine.start()
        try:
            judge = Judge(engine, default_reply_form(name))
            for start in range(0, len(left), concurrency):
                some = left[start : start + concurrency]
                read = await asyncio.gather(*(_read(judge, row) for row in some))
                done |= {_place(row): row for row in read}
                write_sheet(own, [done[p] for p in map(_place, asked) if p in done], FULL)
        finally:
            await engine.close()
    rows = [done[_place(row)] for row in asked]
    return own, len(rows), sum(bool(row["failure"]) for row in rows)


FULL = (*COLUMNS, "order", "failure")
"""Columns of a model's sheet: `left` and `right` stand as they were shown."""


def _known(file: Path) -> dict[tuple[str, str], _Row]:
    """Return the readings of an earlier launch, without those that an endpoint failed to answer."""
    if not file.is_file():
        return {}
    rows = [{c: unguard(cells.get(c, "")) for c in FULL} for _, cells in read_sheet(file).rows]
    return {_place(row): row for row in rows if row["failure"] not in FAULTS}


def _place(row: Mapping[str, str]) -> tuple[str, str]:
    return row["pair"], row["order"]


def _both(row: _Row, reader: str) -> list[_Row]:
    """Return a pair as it stands, and with its sides changed over."""
    blank = row | {"preference": "", "reader": reader, "comment": "", "failure": ""}
    turned = {"left": row["right"], "right": row["left"], "order": SWAPPED}
    return [blank | {"order": ""}, blank | turned]


async def _read(judge: Judge, row: _Row) -> _Row:
    template = load_template("pair")
    text = template.ask(row, row["left"].split("\n"), row["right"].split("\n"))
    asking = Asking(
        row["pair"],
        0,
        _SETTINGS,
        Sampling(0.0, 1.0, 0.0, 1.0, _SETTINGS.max_tokens),
        Budget(BudgetConfig(), time.monotonic),
        asyncio.Semaphore(),
    )
    answer = await asking.ask(
        judge,
        asked_as(text, _SCHEMA, judge.form),
        _chosen,
        template,
        purpose="pair",
        role=None,
        seen=0,
        key=(row["order"],),
    )
    assert answer is not None, "the budget has no bound"
    if answer.value is None:
        return row | {"failure": answer.failure or "", "comment": answer.message}
    side, reason = answer.value
    return row | {"preference": side, "comment": reason}


def _chosen(reply: str) -> tuple[str, str]:
    """Return the side and the reason of an answer. Raises UnusableVerdict."""
    try:
        value = read_object(reply, ("better",))
    except Unreadable as error:
        raise UnusableVerdict("parse-failure", str(error)) from error
    better = str(value.get("better")).strip().lower()
    if better not in _SIDES:
        told = f'"better" must be one of {", ".join(_SIDES)}; found {better!r:.40}.'
        raise UnusableVerdict("out-of-scale", told)
    return _SIDES[better], " ".join(sound(str(value.get("reason") or "")).split())
