"""Blind pairs: two transcripts of the same scene, read without knowing which system made which, and
what readers preferred.

Invariant: a sheet names no system; which side is whose stands in a key beside it, drawn by a seed.
A sheet is read back whole or not at all.
"""

from __future__ import annotations

import csv
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from io import StringIO
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from agents.conversation import Conversation, Line
from agents.template import load_template
from folkways.errors import UserError
from folkways.files import parse_json, write_named
from folkways.text import guard
from scenarios.sheet import read_sheet
from simulation.review.conversations import load_conversations
from simulation.store.reader import open_reader

COLUMNS = (
    "pair",
    "title",
    "setting",
    "people",
    "left",
    "right",
    "preference",
    "reader",
    "comment",
)
_CHOICES = ("left", "right", "tie")
SWAPPED = "swapped"
"""Order of a reading whose sides stood the other way round than in the key."""
_PLAYED = """
select episode_id, scenario_id, culture_id, replicate from episodes
where exit_reason not in ('error', 'budget', 'endpoint-failure') and turns > 0
"""


class Side(NamedTuple):
    """Who stands where in a pair."""

    left: str
    right: str
    scenario: str


class Choice(NamedTuple):
    """What a reader preferred of a pair."""

    pair: str
    reader: str
    side: str
    """As it was shown."""
    swapped: bool = False
    """Whether it was shown the other way round than in the key, as to a model that reads both
    orders."""


def write_pairs(runs: Sequence[Path], file: Path, n: int | None, seed: int) -> int:
    """Write a sheet of blind pairs from runs that played the same scenes, and its key beside it;
    return how many pairs it has.

    Raises UserError for fewer than two runs, two of the same name, and runs without a common scene.
    """
    names = [run.name for run in runs]
    if len(runs) < 2 or len({*names}) < len(names):
        raise UserError("give two or more runs whose folders have different names")
    scenes = {run.name: _scenes(run) for run in runs}
    found = [
        (scene, {name: scenes[name][scene] for name in two})
        for two in combinations(names, 2)
        for scene in sorted(scenes[two[0]].keys() & scenes[two[1]].keys())
    ]
    if not found:
        raise UserError(f"{' and '.join(names)} have played no scene in common")
    return write_pairs_of(found, file, n, seed)


def write_pairs_of(
    found: Sequence[tuple[tuple[str, str, int], Mapping[str, Conversation]]],
    file: Path,
    n: int | None,
    seed: int,
) -> int:
    """Write a sheet of pairs, each a scene with what two systems made of it, and its key; sides,
    order, and which `n` of them follow from the seed."""
    rng = random.Random(seed)
    drawn = [(scene, talks, rng.sample(sorted(talks), 2)) for scene, talks in found]
    rng.shuffle(drawn)
    rows, key = [], {}
    for number, (scene, talks, (left, right)) in enumerate(drawn[:n], start=1):
        name = f"p{number:03}"
        rows.append(_row(name, talks[left], talks[right]))
        key[name] = Side(left, right, scene[0])._asdict()
    write_sheet(file, rows, COLUMNS)
    write_named(key_of(file), json.dumps(key, indent=1) + "\n")
    return len(rows)


def write_sheet(file: Path, rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> None:
    """Write a sheet whose cells no spreadsheet takes for formulas."""
    sheet = StringIO(newline="")
    writer = csv.DictWriter(sheet, columns)
    writer.writeheader()
    writer.writerows({column: guard(text) for column, text in row.items()} for row in rows)
    write_named(file, sheet.getvalue().encode("utf-8-sig"))


def key_of(file: Path) -> Path:
    """Return where the key of a sheet is."""
    return file.with_name(f"{file.stem}.key.json")


def read_key(files: Sequence[Path]) -> dict[str, Side]:
    """Return the key of sheets, of which the first may be a model's. Raises UserError without
    one."""
    stems = [file.with_name(file.name.split(".")[0]) for file in files]
    places = [key_of(one) for one in (*files, *stems)]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise UserError(f"there is no key '{places[0]}'; it was written beside the sheet")
    data = parse_json(found.read_text("utf-8"), dict[str, Any], "a key")
    return {name: Side(**sides) for name, sides in data.items()}


def _scenes(run: Path) -> dict[tuple[str, str, int], Conversation]:
    with closing(open_reader(run)) as con:
        rows = con.execute(_PLAYED).fetchall()
        talks = load_conversations(con, [row[0] for row in rows])
    return {(scenario, culture, number): talks[id_] for id_, scenario, culture, number in rows}


def _row(name: str, left: Conversation, right: Conversation) -> dict[str, str]:
    people = "\n".join(f"{one.name}: {one.brief} Wants: {one.goal}" for one in left.people)
    told = {"pair": name, "title": left.title, "setting": left.setting, "people": people}
    blank = dict.fromkeys(("preference", "reader", "comment"), "")
    return told | {"left": _transcript(left), "right": _transcript(right)} | blank


def _transcript(talk: Conversation) -> str:
    said = load_template("review").said
    return "\n".join(said(line) for line in talk.lines if _is_shown(line))


def _is_shown(line: Line) -> bool:
    return line.turn is not None or bool(line.text)


def read_choices(files: Sequence[Path], reader: str | None) -> tuple[list[Choice], dict[str, Side]]:
    """Return what readers chose in sheets that share a key, and the key; rows left empty are
    skipped. Raises UserError, with the row, for an unknown pair, side, or reader.
    """
    key, choices = read_key(files), []
    for file in files:
        for number, row in read_sheet(file).rows:
            if not (side := row.get("preference", "").strip().lower()):
                continue
            who = row.get("reader", "").strip() or reader or file.stem
            where = f"{file}, row {number}"
            if side not in _CHOICES:
                raise UserError(f"{where}: preference '{side:.20}' is none of left, right, tie")
            if row.get("pair") not in key:
                raise UserError(f"{where}: the key has no pair '{row.get('pair', ''):.20}'")
            choices.append(Choice(row["pair"], who, side, row.get("order") == SWAPPED))
    read = Counter((choice.pair, choice.reader, choice.swapped) for choice in choices)
    twice = [one for one, times in read.items() if times > 1]
    if twice:
        raise UserError(f"reader '{twice[0][1]}' has read pair {twice[0][0]} twice")
    return choices, key
