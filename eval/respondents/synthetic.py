"""A made-up sample of respondents, for trying whatever needs respondents without the survey's file.

Invariant: every row says that it is synthetic, in its id and in a column; answers follow the
national shares they are drawn from, item by item, and nothing else. Items are independent of each
other and of who the respondent is, so a figure that rests on either (a regression, a cell of a
cross-table, the limit of five qualities in Q7 to Q17) means nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import duckdb
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from eval.item import Item
from eval.respondents.column import read_table
from eval.respondents.database import Note, add_notes, create_tables, list_items, new_database
from eval.respondents.load_report import CITATION, LoadReport
from eval.respondents.marginals import Marginals
from folkways.errors import UserError

Shares = Mapping[str, Mapping[str, Mapping[int, float]]]
"""By country, item and code as in the file: share of the national sample. What is left to 1 gave no
answer."""
NOT_ASKED, MISSING = -4, -5
_SOURCE = "synthetic sample"
_CAUTION = (
    "made up: items are drawn one by one from national shares, independent of each other and of "
    "the demographics, which are the same everywhere"
)
_Weights = dict[int, float]
_Key = TypeVar("_Key", int, str)


class _People(BaseModel):
    """The file of weights, see its comments."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ages: dict[str, float]
    settlement: _Weights
    urban: _Weights
    born_here: float
    marital: dict[int, _Weights]
    household: dict[int, _Weights]
    education: _Weights
    education_from: dict[int, int]
    work: dict[int, _Weights]
    never_worked: _Weights
    occupation: dict[int, _Weights]
    farming: _Weights
    own_class: dict[int, _Weights] = Field(alias="class")


@cache
def _people() -> _People:
    return _People.model_validate(read_table("synthetic.yaml"))


def shares_of_sample(marginals: Marginals) -> dict[str, dict[str, dict[int, float]]]:
    """Return national answers as shares of the whole sample, so that what is missing is left."""
    shares: dict[str, dict[str, dict[int, float]]] = {}
    for (country, item), cell in marginals.cells.items():
        counts = zip(cell.codes, cell.counts, strict=True)
        shares.setdefault(country, {})[item] = {
            code: count / cell.respondents for code, count in counts
        }
    return shares


def synthesise(
    database: Path,
    shares: Shares,
    items: Sequence[Item],
    countries: Sequence[str],
    count: int,
    *,
    seed: int = 0,
    replace: bool = False,
) -> LoadReport:
    """Write `count` made-up respondents of each country to a DuckDB file, laid out like a real one.

    A respondent depends on seed, country and number alone and an answer on these and the item, so a
    longer sample begins with the shorter one. An item without shares in a country was not asked
    there. Raises UserError for a country without any, and for shares that are none.
    """
    if count < 1:
        raise UserError(f"cannot make {count} respondents; ask for 1 or more")
    for country in countries:
        _check(country, shares, items)
    homes = {country: count for country in countries}
    notes = [Note("respondents", None, _SOURCE, count * len(homes), _CAUTION)]
    notes += [
        Note(item.id, country, "not asked there", count, f"all {NOT_ASKED}")
        for country in homes
        for item in items
        if not shares[country].get(item.id)
    ]
    with new_database(database, replace) as con:
        con.execute("begin")
        create_tables(con, items, _meta(seed))
        list_items(con, items, {})
        for country in homes:
            _insert(con, _rows(country, shares[country], items, count, seed))
        add_notes(con, notes)
        con.execute("commit")
    names = tuple(item.id for item in items)
    return LoadReport(database, _SOURCE, "", homes, names, tuple(notes))


def _check(country: str, shares: Shares, items: Sequence[Item]) -> None:
    if country not in shares:
        known = ", ".join(sorted(shares))
        raise UserError(f"no national answers to draw from for '{country}'; there are for {known}")
    for item in items:
        cell = shares[country].get(item.id, {})
        unknown = sorted(set(cell) - set(item.options))
        if unknown:
            known = ", ".join(map(str, item.options))
            raise UserError(f"{country}, {item.id}: code {unknown[0]} is none of {known}")
        if any(share < 0 for share in cell.values()) or sum(cell.values()) > 1 + 1e-6:
            raise UserError(
                f"{country}, {item.id}: shares have to be 0 or more and sum to at most 1; they sum "
                f"to {sum(cell.values()):.6f}"
            )


def _meta(seed: int) -> dict[str, str]:
    return {
        "synthetic": "true",
        "source": _SOURCE,
        "seed": str(seed),
        "caution": _CAUTION,
        "citation": f"National shares from: {CITATION}",
    }


def _rows(
    country: str,
    cells: Mapping[str, Mapping[int, float]],
    items: Sequence[Item],
    count: int,
    seed: int,
) -> dict[str, NDArray[Any]]:
    people = [draw_person(country, seed, number) for number in range(1, count + 1)]
    columns: dict[str, NDArray[Any]] = {
        "respondent_id": np.array([f"{country}-synthetic-{n:06}" for n in range(1, count + 1)]),
        "country": np.full(count, country),
        "synthetic": np.full(count, True),
        "wave": np.full(count, 7),
        "weight": np.ones(count),
        "S018": np.full(count, 1000 / count),
        "weight_pooled": np.full(count, 1000 / count),
    }
    columns |= {name: np.array([person[name] for person in people]) for name in people[0]}
    for item in items:
        columns[item.id] = _answers(cells.get(item.id, {}), count, f"{seed} {country} {item.id}")
    return columns


def _answers(cell: Mapping[int, float], count: int, key: str) -> NDArray[np.int16]:
    """Return `count` codes drawn with the probabilities of a cell."""
    if not cell:
        return np.full(count, NOT_ASKED, dtype=np.int16)
    rng = np.random.default_rng(int.from_bytes(sha256(key.encode()).digest()[:8]))
    codes = np.array([*cell, MISSING], dtype=np.int16)
    upper = np.cumsum(list(cell.values()))
    # Shares in six decimals may end just below 1, which is not a missing answer.
    upper[-1] = 1.0 if upper[-1] > 1 - 1e-4 else upper[-1]
    return codes[np.searchsorted(upper, rng.random(count), side="right")]


def _insert(con: duckdb.DuckDBPyConnection, columns: Mapping[str, NDArray[Any]]) -> None:
    names = ", ".join(f'"{name}"' for name in columns)
    con.register("made_up", dict(columns))
    con.execute(f"insert into respondents ({names}) select {names} from made_up")
    con.unregister("made_up")


def draw_person(country: str, seed: int, number: int) -> dict[str, int]:
    """Return age and the demographics of CLCA for one respondent, who could exist.

    Somebody with a degree is old enough for it, who is married does not live alone, and only those
    who study, keep house or are out of work may never have had a job.
    """
    rng, people = Random(f"{seed} {country} {number}"), _people()
    ages = _pick(rng, people.ages)
    youngest, oldest = (int(end) for end in ages.split("-"))
    age, band = rng.randint(youngest, oldest), list(people.ages).index(ages) + 1
    settlement = _pick(rng, people.settlement)
    urban = rng.random() * 100 < people.urban[settlement]
    levels = {
        level: weight
        for level, weight in people.education.items()
        if age >= people.education_from[level]
    }
    education = _pick(rng, levels)
    marital = _pick(rng, people.marital[band])
    work = _pick(rng, _up_to(people.work, age))
    occupation = 0
    if rng.random() * 100 >= people.never_worked.get(work, 0):
        farming = {} if urban else people.farming
        occupation = _pick(rng, {**_up_to(people.occupation, education), **farming})
    return {
        "Q260": rng.choice((1, 2)),
        "Q262": age,
        "X003R": band,
        "H_SETTLEMENT": settlement,
        "H_URBRURAL": 1 if urban else 2,
        "Q263": 1 if rng.random() * 100 < people.born_here else 2,
        "Q270": _pick(rng, people.household[marital]),
        "Q273": marital,
        "Q275": education,
        "Q279": work,
        "Q281": occupation,
        "Q287": _pick(rng, _up_to(people.own_class, education)),
    }


def _pick(rng: Random, weights: Mapping[_Key, float]) -> _Key:
    return rng.choices(list(weights), list(weights.values()))[0]


def _up_to(tables: Mapping[int, _Weights], value: int) -> _Weights:
    """Return the first table whose key is not below a value."""
    return next(table for key, table in tables.items() if value <= key)
