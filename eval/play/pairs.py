"""Blind pairs: two transcripts of the same scene, read without knowing which system made which, and
what readers preferred.

Invariant: a sheet names no system; which side is whose stands in a key beside it, drawn by a seed.
A sheet is read back whole or not at all.
"""

from __future__ import annotations

import csv
import json
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from io import StringIO
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.conversation import Conversation, Line
from agents.template import load_template
from eval.metrics.bootstrap import interval, tabulate
from folkways.errors import UserError
from folkways.files import parse_json, write_named
from folkways.text import guard
from scenarios.sheet import read_sheet
from simulation.review.conversations import load_conversations
from simulation.store.reader import open_reader

_COLUMNS = (
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
_ONE_SIDED, _FEWEST = 0.9, 10
"""Share of one side from which, of so many choices or more, a reader is taken to choose sides."""
_ROUNDS = 1000
"""Rounds of the Bradley-Terry fit at most."""
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


def write_pairs(runs: Sequence[Path], file: Path, n: int | None, seed: int) -> int:
    """Write a sheet of blind pairs from runs that played the same scenes, and its key beside it;
    return how many pairs it has.

    Raises UserError for fewer than two runs, two of the same name, and runs without a common scene.
    """
    names = [run.name for run in runs]
    if len(runs) < 2 or len({*names}) < len(names):
        raise UserError("give two or more runs whose folders have different names")
    scenes = {run.name: _scenes(run) for run in runs}
    rng = random.Random(seed)
    found = [
        (scene, rng.sample(two, 2))
        for two in combinations(names, 2)
        for scene in sorted(scenes[two[0]].keys() & scenes[two[1]].keys())
    ]
    if not found:
        raise UserError(f"{' and '.join(names)} have played no scene in common")
    rng.shuffle(found)
    rows, key = [], {}
    for number, (scene, (left, right)) in enumerate(found[:n], start=1):
        name = f"p{number:03}"
        rows.append(_row(name, scenes[left][scene], scenes[right][scene]))
        key[name] = Side(left, right, scene[0])._asdict()
    sheet = StringIO(newline="")
    writer = csv.DictWriter(sheet, _COLUMNS)
    writer.writeheader()
    writer.writerows({column: guard(text) for column, text in row.items()} for row in rows)
    write_named(file, sheet.getvalue().encode("utf-8-sig"))
    write_named(key_of(file), json.dumps(key, indent=1) + "\n")
    return len(rows)


def key_of(file: Path) -> Path:
    """Return where the key of a sheet is."""
    return file.with_name(f"{file.stem}.key.json")


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
    key_file = next((key_of(file) for file in files if key_of(file).is_file()), key_of(files[0]))
    if not key_file.is_file():
        raise UserError(f"there is no key '{key_file}'; it was written beside the sheet")
    key = {
        name: Side(**sides)
        for name, sides in parse_json(key_file.read_text("utf-8"), dict[str, Any], "a key").items()
    }
    choices = []
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
            choices.append(Choice(row["pair"], who, side))
    twice = [
        one for one, times in Counter((c.pair, c.reader) for c in choices).items() if times > 1
    ]
    if twice:
        raise UserError(f"reader '{twice[0][1]}' has read pair {twice[0][0]} twice")
    return choices, key


def one_sided(choices: Sequence[Choice]) -> list[str]:
    """Return the readers who chose the same side nearly always, whatever stood there."""
    by_reader: defaultdict[str, list[str]] = defaultdict(list)
    for choice in choices:
        if choice.side != "tie":
            by_reader[choice.reader].append(choice.side)
    return [
        reader
        for reader, sides in by_reader.items()
        if len(sides) >= _FEWEST and max(Counter(sides).values()) >= _ONE_SIDED * len(sides)
    ]


def preferences(choices: Sequence[Choice], key: Mapping[str, Side], draws: int = 10_000) -> Any:
    """Return what readers preferred, as plain data: for every two systems the share of the first
    (a tie counts half) with its 95 % interval over scenes, how far readers agree, the share of
    choices of the left side, and Bradley-Terry strengths. Readers who choose by side are left out
    and named.
    """
    out = one_sided(choices)
    kept = [choice for choice in choices if choice.reader not in out]
    rng = np.random.default_rng(0)
    pairs: defaultdict[tuple[str, str], list[tuple[str, float]]] = defaultdict(list)
    for choice in kept:
        side = key[choice.pair]
        first, second = sorted((side.left, side.right))
        chosen = {"left": side.left, "right": side.right}.get(choice.side)
        won = 0.5 if chosen is None else float(chosen == first)
        pairs[first, second].append((side.scenario, won))
    sides = Counter(choice.side for choice in kept)
    decided = sides["left"] + sides["right"]
    return {
        "choices": len(kept),
        "left_out": out,
        "left_share": sides["left"] / decided if decided else None,
        "ties": sides["tie"],
        "agreement": _agreement(kept),
        "pairs": [
            {"first": a, "second": b, **_share(won, rng, draws)} for (a, b), won in pairs.items()
        ],
        "strengths": strengths({two: [w for _, w in won] for two, won in pairs.items()}),
    }


def _share(won: Sequence[tuple[str, float]], rng: np.random.Generator, draws: int) -> Any:
    scenes = sorted({scene for scene, _ in won})
    sums = np.array([[sum(w for s, w in won if s == scene)] for scene in scenes])
    sizes = np.array([[float(sum(s == scene for s, _ in won))] for scene in scenes])
    table = tabulate(sums, sizes, group=np.zeros(len(scenes), np.intp))
    found = interval(table, rng, rows=True, items=False, draws=draws)
    value, low, high = (float(part[0]) for part in found)
    return {"n": len(won), "share": value, "low": low, "high": high}


def _agreement(choices: Sequence[Choice]) -> dict[str, Any]:
    """Return in how many of all pairs of readers of the same pair both chose the same."""
    by_pair: defaultdict[str, list[str]] = defaultdict(list)
    for choice in choices:
        by_pair[choice.pair].append(choice.side)
    same = [a == b for sides in by_pair.values() for a, b in combinations(sides, 2)]
    return {"n": len(same), "share": sum(same) / len(same) if same else None}


def strengths(won: Mapping[tuple[str, str], Sequence[float]]) -> dict[str, float]:
    """Return Bradley-Terry strengths as shares that sum to 1, by Hunter's MM algorithm (2004); a
    tie is half a win each. Half a win and half a loss against each rival keep them finite.
    """
    names = sorted({name for two in won for name in two})
    place = {name: n for n, name in enumerate(names)}
    wins = np.zeros((len(names), len(names)))
    for (first, second), each in won.items():
        a, b = place[first], place[second]
        wins[a, b] += sum(each) + 0.5
        wins[b, a] += len(each) - sum(each) + 0.5
    played, strength = wins + wins.T, np.full(len(names), 1 / max(len(names), 1))
    for _ in range(_ROUNDS):
        before = strength
        strength = wins.sum(1) / (played / (strength[:, None] + strength)).sum(1)
        strength = strength / strength.sum()
        if np.abs(strength - before).max() < 1e-10:
            break
    return {name: float(strength[place[name]]) for name in names}
