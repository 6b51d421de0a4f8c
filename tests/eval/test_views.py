"""The views of a survey's store, against the same figures computed another way."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pytest

from eval.config import ModelRef
from eval.item import Item, load_items
from eval.survey.condition import Condition
from eval.survey.order import option_orders
from simulation.store.record import Record
from simulation.store.writer import Store

ITEMS = {name: load_items()[name] for name in ("Q1", "Q7", "Q48", "Q119", "Q149", "Q152", "Q241")}
"""Ordinal, binary and nominal; recoded, and with two codes of one point."""
PEOPLE, ALL = ("DEU", "MEX"), ("DEU", "JPN", "MEX")
"""Countries with answers of people, and those that are asked for."""
CONDITIONS = {
    name: Condition(ModelRef(name="fake"), method, style, "en", readout)
    for name, method, style, readout in (
        ("people", "respondent", "story", "logprobs"), ("nobody", "unaware", None, "logprobs"),
        ("culture", "culture", None, "text"), ("anyone", "unaware", None, "text"),
        ("person", "respondent", "bullets", "text"),
    )
}  # fmt: skip
Row = dict[str, Any]


class Read(NamedTuple):
    """What one reply says: weights by code, None for no valid answer."""

    condition: str
    reading: str
    country: str
    respondent: str | None
    item: str
    arrangement: int
    weights: Mapping[int | None, float]


def people_rows(rng: random.Random) -> Iterator[Row]:
    for country in PEOPLE:
        for item in ITEMS.values():
            if rng.random() < 0.1:
                continue  # was not asked there
            weights = [rng.choice((0, rng.random())) + 0.01 for _ in item.points]
            for point, weight in zip(item.points, weights, strict=True):
                yield {
                    "country": country, "item_id": item.id, "point": point, "valid": 100.0,
                    "missing": 0.1, "share": weight / sum(weights),
                }  # fmt: skip


def reply_rows(rng: random.Random) -> Iterator[Row]:
    """Make replies of every kind, some of them missing, some after failed tries."""
    for condition in CONDITIONS.values():
        homes = ("*",) if condition.method_name == "unaware" else ALL
        for country in homes:
            described = condition.style is not None
            for person in [f"{country}-{n}" for n in range(3)] if described else [None]:
                for item in ITEMS.values():
                    for number, order in enumerate(option_orders(item, "balanced", 0)):
                        for sample in range(2 if condition.readout == "text" else 1):
                            yield from tries(
                                rng, condition, order, condition_id=condition.id, country=country,
                                respondent_id=person, item_id=item.id, arrangement=number,
                                sample=sample,
                            )  # fmt: skip


def tries(
    rng: random.Random, condition: Condition, order: tuple[int, ...], **key: Any
) -> Iterator[Row]:
    attempts = rng.choice((0, 1, 1, 1, 1, 2, 3))
    for attempt in range(1, attempts + 1):
        row = key | {
            "attempt": attempt, "shown": list(order), "prompt_hash": "x", "copied": False,
            "latency_s": 1.0,
            "asked_at": "2026-01-01",
        }  # fmt: skip
        if attempt < attempts or rng.random() < 0.1:
            yield row | {"problem": rng.choice(("timeout", "server-error")), "reply": "none"}
        elif condition.readout == "logprobs":
            chances = [rng.choice((0.0, rng.random())) / len(order) for _ in order]
            if rng.random() < 0.1:
                chances = [0.0] * len(order)
            problem = None if sum(chances) else "no mass"
            yield row | {"probabilities": chances, "mass": sum(chances), "problem": problem}
        else:
            lenient = rng.choice((None, *order))
            yield row | {
                "reply": "so", "lenient": lenient, "strict": rng.choice((None, lenient)),
                "problem": None if lenient else "several",
            }  # fmt: skip


class World(NamedTuple):
    """A store, and the rows that were put into it."""

    con: duckdb.DuckDBPyConnection
    people: list[Row]
    replies: list[Row]


def options(item: Item) -> Iterator[Row]:
    for code in item.scale_codes:
        point = item.point(code)
        assert point is not None
        position = None if item.scale == "nominal" else item.positions[point]
        yield {"item_id": item.id, "code": code, "point": point, "label": "x", "position": position}


@pytest.fixture(scope="module", params=range(3))
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Made-up answers, three times over."""
    rng = random.Random(request.param)
    store = Store(Path(tmp_path_factory.mktemp("views")))
    store.create()
    people, replies = list(people_rows(rng)), list(reply_rows(rng))
    rng.shuffle(replies)
    tables = {
        "survey_people": people, "survey_replies": replies,
        "survey_options": [row for item in ITEMS.values() for row in options(item)],
        "survey_conditions": [one.row() | {"wording": "x"} for one in CONDITIONS.values()],
    }  # fmt: skip
    store.append([Record(tables, "facts")])
    with duckdb.connect(str(store.path), read_only=True) as con:
        yield World(con, people, replies)


def read(replies: list[Row]) -> list[Read]:
    """Return what the last try of each question says, in every reading."""
    last: dict[tuple[Any, ...], Row] = {}
    names = ("condition_id", "country", "respondent_id", "item_id", "arrangement", "sample")
    for row in sorted(replies, key=lambda row: row["attempt"]):
        last[tuple(row[name] for name in names)] = row
    readouts = {condition.id: condition.readout for condition in CONDITIONS.values()}
    found = []
    for key, row in last.items():
        if readouts[key[0]] == "text":
            for reading in ("strict", "lenient"):
                found.append(Read(key[0], f"text-{reading}", *key[1:5], {row.get(reading): 1.0}))
            continue
        chances = row.get("probabilities") or []
        mass = sum(chances)
        weights: dict[int | None, float] = {None: 1.0}
        if mass:
            weights = {code: p / mass for code, p in zip(row["shown"], chances, strict=True)}
        found.append(Read(key[0], "logprobs", *key[1:5], weights))
    return found


def by_point(item: str, weights: Mapping[int | None, float]) -> dict[int | None, float]:
    summed: defaultdict[int | None, float] = defaultdict(float)
    for code, weight in weights.items():
        summed[None if code is None else ITEMS[item].point(code)] += weight
    return summed


def answers(replies: list[Row]) -> dict[tuple[Any, ...], dict[int | None, float]]:
    """Return weights by point of condition, reading, country, respondent and item."""
    questions: defaultdict[tuple[Any, ...], list[dict[int | None, float]]] = defaultdict(list)
    for one in read(replies):
        questions[one[:5]].append(by_point(one.item, one.weights))
    return {
        key: {
            point: sum(weights.get(point, 0.0) for weights in found) / len(found)
            for point in {point for weights in found for point in weights}
        }
        for key, found in questions.items()
    }


def compared(world: World) -> dict[tuple[Any, ...], tuple[float, float, dict[int, float]]]:
    """Return answers, valid ones and weights by point: of condition, reading, country, item."""
    found: dict[tuple[Any, ...], tuple[float, float, dict[int, float]]] = {}
    for (condition, reading, country, _, item), weights in answers(world.replies).items():
        for home in ALL if country == "*" else (country,):
            key = (condition, reading, home, item)
            total, valid, summed = found.get(
                key, (0.0, 0.0, dict.fromkeys(ITEMS[item].points, 0.0))
            )
            for point, weight in weights.items():
                total += weight
                if point is not None:
                    valid += weight
                    summed[point] += weight
            found[key] = total, valid, summed
    return found


def gold(world: World) -> dict[tuple[str, str], dict[int, float]]:
    shares: dict[tuple[str, str], dict[int, float]] = {}
    for row in world.people:
        shares.setdefault((row["country"], row["item_id"]), {})[row["point"]] = row["share"]
    return shares


def fetched(world: World, query: str, keys: int) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    rows = world.con.execute(query).fetchall()
    found = {row[:keys]: row[keys:] for row in rows}
    assert len(found) == len(rows) > 0
    return found


def same(found: dict[Any, tuple[Any, ...]], wanted: dict[Any, tuple[Any, ...]]) -> None:
    assert found.keys() == wanted.keys()
    for key, values in wanted.items():
        for value, other in zip(found[key], values, strict=True):
            assert (value is None) == (other is None), (key, found[key], values)
            assert value is None or value == pytest.approx(other, abs=1e-9), key


def test_answers_are_means_over_orders_and_samples(world: World) -> None:
    columns = "condition_id, reading, country, respondent_id, item_id"
    found = fetched(world, f"select {columns}, point, weight from survey_answers", 6)
    wanted = {
        (*key, point): (weight,)
        for key, weights in answers(world.replies).items()
        for point, weight in weights.items()
    }
    same(found, wanted)
    sums = fetched(world, f"select {columns}, sum(weight) from survey_answers group by all", 5)
    assert all(value == pytest.approx(1) for (value,) in sums.values())


def test_shares_stand_beside_those_of_people(world: World) -> None:
    found = fetched(
        world, "select condition_id, reading, country, item_id, point, position, share, people, "
        "answers, invalid_rate from survey_shares", 5,
    )  # fmt: skip
    people = gold(world)
    wanted: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for key, (total, valid, weights) in compared(world).items():
        item = ITEMS[key[3]]
        for point, weight in weights.items():
            wanted[*key, point] = (
                None if item.scale == "nominal" else item.positions[point],
                weight / valid if valid else None, people.get(key[2:], {}).get(point), total,
                1 - valid / total,
            )  # fmt: skip
    same(found, wanted)
    assert {key[2] for key, row in found.items() if row[2] is not None} == set(PEOPLE)


def test_distances_are_those_of_the_shares(world: World) -> None:
    found = fetched(
        world, "select condition_id, reading, country, item_id, tv, w1 from survey_distances", 4
    )
    people = gold(world)
    wanted: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for key, (_, valid, weights) in compared(world).items():
        item, other = ITEMS[key[3]], people.get(key[2:])
        tv = w1 = None
        if valid and other:
            gaps = [weights[point] / valid - other[point] for point in item.points]
            tv = sum(map(abs, gaps)) / 2
            if item.scale != "nominal":
                places = [item.positions[point] for point in item.points]
                steps = range(len(places) - 1)
                w1 = sum(abs(sum(gaps[: k + 1])) * (places[k + 1] - places[k]) for k in steps)
        wanted[key] = tv, w1
    same(found, wanted)


def test_order_gaps_are_total_variations(world: World) -> None:
    found = fetched(
        world, "select condition_id, reading, country, item_id, orders, gap "
        "from survey_order_gaps", 4,
    )  # fmt: skip
    sums: defaultdict[tuple[Any, ...], defaultdict[int, defaultdict[int, float]]]
    sums = defaultdict(lambda: defaultdict(lambda: defaultdict(float)))
    for one in read(world.replies):
        for point, weight in by_point(one.item, one.weights).items():
            if point is not None:
                key = (one.condition, one.reading, one.country, one.item)
                sums[key][one.arrangement][point] += weight
    wanted: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for key, orders in sums.items():
        points = ITEMS[key[3]].points
        shares = [[by[point] / sum(by.values()) for point in points] for by in orders.values()]
        n = len(shares)
        mean = [sum(column) / n for column in zip(*shares, strict=True)]
        apart = [sum(abs(a - b) for a, b in zip(one, mean, strict=True)) / 2 for one in shares]
        wanted[key] = n, sum(apart) / (n - 1) if n > 1 else None
        if n == 2:
            first, second = shares
            between = sum(abs(a - b) for a, b in zip(first, second, strict=True)) / 2
            assert wanted[key][1] == pytest.approx(between)
    same(found, wanted)
    assert all(gap is None or -1e-9 <= gap <= 1 + 1e-9 for _, gap in found.values())
    assert {orders for orders, _ in found.values()} > {2, 4}
