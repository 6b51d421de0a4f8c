"""Pools of people: read as a stream, drawn by the seed, bounded in memory."""

from __future__ import annotations

import csv
import json
import tracemalloc
from pathlib import Path
from typing import Any

import duckdb
import pytest
from people import PERSON

from folkways.errors import UserError
from scenarios.pool import PER_CULTURE, draw_pool

PEOPLE = [PERSON | {"id": f"xbz-{n}", "name": f"Yann {n}", "age": 20 + n % 60} for n in range(40)]


def json_lines(path: Path, people: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in people), encoding="utf-8")
    return path


def test_every_format_gives_the_same_people(tmp_path: Path) -> None:
    lines = json_lines(tmp_path / "a.jsonl", PEOPLE)
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, list(PEOPLE[0]))
        rows.writeheader()
        rows.writerows(
            one | {k: "; ".join(one[k]) for k in ("traits", "languages")} for one in PEOPLE
        )
    with duckdb.connect() as con:
        con.execute(f"copy (from read_json('{lines}')) to '{tmp_path / 'a.parquet'}'")
    found = [draw_pool(tmp_path / f"a.{kind}", 1) for kind in ("jsonl", "csv", "parquet")]
    assert len(found[0]) == 40
    assert found[0] == found[1] == found[2]


def test_two_hundred_thousand_people_take_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    text = json.dumps(PERSON | {"id": "xbz-@"})
    with path.open("w", encoding="utf-8") as file:
        file.writelines(text.replace("@", str(n)) + "\n" for n in range(200_000))
    tracemalloc.start()
    people = draw_pool(path, 7, {"xbz-199999"})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * 2**20
    assert len(people) == PER_CULTURE + 1 and people[0].id == "xbz-199999"
    numbers = [int(one.id.removeprefix("xbz-")) for one in people[1:]]
    assert 90_000 < sum(numbers) / len(numbers) < 110_000, "they are drawn from the whole file"


def test_the_seed_decides_and_the_order_does_not(tmp_path: Path) -> None:
    people = [PERSON | {"id": f"xbz-{n}"} for n in range(PER_CULTURE + 500)]
    one = draw_pool(json_lines(tmp_path / "a.jsonl", people), 1)
    assert one == draw_pool(json_lines(tmp_path / "b.jsonl", people[::-1]), 1)
    assert {p.id for p in one} != {p.id for p in draw_pool(tmp_path / "a.jsonl", 2)}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.jsonl", "{}\n", r"a\.jsonl:1:1: error: .*missing"),
        ("a.jsonl", "{", r"a\.jsonl:1:1: error: not one JSON object"),
        ("a.jsonl", "[" * 70_000, r"a\.jsonl:1:1: error: longer than"),
        ("a.csv", "id,name\nx,y\n", r"a\.csv:2:1: error: .*missing"),
        ("a.parquet", "no parquet", "as Parquet"),
        ("a.yaml", "#" * 300_000, "write it as JSONL, CSV or Parquet"),
    ],
)
def test_a_faulty_file_is_told_in_one_line(name: str, text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=told) as caught:
        draw_pool(path, 0)
    assert len(str(caught.value).splitlines()) == 1


def test_an_id_given_twice_is_refused(tmp_path: Path) -> None:
    twice = json_lines(tmp_path / "a.jsonl", [PEOPLE[0], PEOPLE[0]])
    for named in ((), {"xbz-0"}):
        with pytest.raises(UserError, match="the id 'xbz-0' is taken"):
            draw_pool(twice, 0, named)
