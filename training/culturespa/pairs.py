"""Pairs of a question and a culture with the model's answers on both sides, to select from.

Invariant: pairs come out of the view `spa_pairs` and nothing else; answers got in other orders,
with other sampling or read in another way never stand side by side.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import duckdb

from folkways.errors import UserError, unknown_name

_READINGS = {"logprobs": "logprobs", "text-strict": "text", "text-lenient": "text"}
"""From how replies are read to the read-out they are of; the first that there is, is the default.
"""
_CONDITIONS = """
select unaware_id, aware_id, model, engine, readout, options::varchar from spa_conditions
where aware_id in (select condition_id from survey_replies) order by all
"""
_PAIRS = """
select question_id, topic, country, unaware_code, aware_code, answered, coalesce(differ, false), tv,
    noise, paraphrases
from spa_pairs where aware_id = ? and unaware_id = ? and reading = ? order by question_id, country
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """A question that was asked without a culture and for one."""

    question: str
    topic: str
    country: str
    """ISO 3166 alpha-3."""
    unaware: int | None
    """Code of the answer without a culture; None without a valid one."""
    aware: int | None
    """Code of the answer for the culture: the label."""
    answered: bool
    """Whether both sides count as answered."""
    differ: bool
    tv: float | None
    """Total variation of the two distributions; None where one side is not answered."""
    noise: float | None
    """What sampling and option order alone would give; None where that is not known."""
    paraphrases: str | None
    """Survey item that the question is another wording of."""


class Answers(NamedTuple):
    """Answers of both sides, read in one way."""

    unaware_id: str
    aware_id: str
    model: str
    engine: str
    orders: str
    """balanced or forward."""
    reading: str
    """One of READINGS."""
    pairs: tuple[Pair, ...]


class _Conditions(NamedTuple):
    unaware_id: str
    aware_id: str
    model: str
    engine: str
    readout: str
    options: str


def read_answers(
    con: duckdb.DuckDBPyConnection, reading: str | None, among: Collection[str] | None = None
) -> Answers:
    """Return the answers of a run, read in one way; `among` are ids of conditions to choose from.

    Raises UserError for an unknown reading and for one that the run has no answers for, and where
    answers of several kinds were collected and `among` does not tell which are meant.
    """
    if reading is not None and reading not in _READINGS:
        raise unknown_name("reading", reading, _READINGS)
    found = [_Conditions(*row) for row in con.execute(_CONDITIONS).fetchall()]
    found = [one for one in found if among is None or one.aware_id in among]
    readouts = {one.readout for one in found}
    if reading is None:
        reading = next((name for name, of in _READINGS.items() if of in readouts), "logprobs")
    chosen = [one for one in found if one.readout == _READINGS[reading]]
    if not chosen:
        there = ", ".join(name for name, of in _READINGS.items() if of in readouts)
        raise UserError(
            f"there are no answers to be read as '{reading}', only as {there}"
            if there
            else "no answers for a culture are collected with these settings; `folkways spa "
            "collect` collects them"
        )
    if len(chosen) > 1:
        ways = "; ".join(f"{one.model} {one.options}" for one in chosen)
        raise UserError(
            f"answers were collected in {len(chosen)} ways: {ways}. Give the configuration instead "
            "of the run to say which are meant"
        )
    one = chosen[0]
    rows = con.execute(_PAIRS, [one.aware_id, one.unaware_id, reading]).fetchall()
    pairs = tuple(Pair(*row) for row in rows)
    orders = json.loads(one.options)["asked"]["orders"]
    return Answers(one.unaware_id, one.aware_id, one.model, one.engine, orders, reading, pairs)


def of_cultures(pairs: Iterable[Pair], wanted: Collection[str]) -> tuple[Pair, ...]:
    """Return the pairs of some cultures, of all where none is named. Raises UserError for one that
    has no pair."""
    pairs = tuple(pairs)
    known = dict.fromkeys(pair.country for pair in pairs)
    for culture in wanted:
        if culture not in known:
            raise UserError(
                f"no question was asked for the culture '{culture}'; there are answers for "
                f"{', '.join(sorted(known)) or 'none'}"
            )
    return tuple(pair for pair in pairs if not wanted or pair.country in wanted)
