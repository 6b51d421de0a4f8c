"""Sheets for human annotators: written from a run, filled in elsewhere, read back.

Invariant: a sheet does not show the critics' verdicts, and reading one back either stores all its
ratings or none.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from agents.critic import Labels, Scale
from agents.critics import culture, meta, quality, social
from scenarios.errors import UserError
from simulation.launch import utc_now
from simulation.lock import locked
from simulation.query import find_store
from simulation.record import Record
from simulation.review.conversations import load_conversations
from simulation.review.funnel import fates_of
from simulation.store import Store

SCALES: Mapping[str, Scale] = {**quality.SCALES, **culture.SCALES, **meta.SCALES, **social.SCALES}
"""What can be rated, with its scale."""
BY_ROLE = tuple(social.SCALES)
"""Dimensions that are rated for each role."""
COLUMNS = (
    "episode_id", "role", "name", "dimension", "scale", "rating", "comment", "annotator",
    "title", "culture", "goal", "secret", "transcript",
)  # fmt: skip
EXECUTED = ("=", "+", "-", "@", "\t")
"""Beginnings of a cell that a spreadsheet would take for a formula."""


def export_sheet(
    con: duckdb.DuckDBPyConnection, file: Path, policy: str | None, n: int | None, seed: int
) -> int:
    """Write a sheet with one row for each thing to rate, and return the number of rows."""
    if policy:
        fates_of(con, policy)
        query = "select episode_id from chosen_fates where fate = 'accepted' order by episode_id"
    else:
        query = "select episode_id from latest_episodes where turns > 0 order by episode_id"
    ids = [row[0] for row in con.execute(query).fetchall()]
    if n is not None and n < len(ids):
        ids = sorted(random.Random(seed).sample(ids, n))
    if not ids:
        raise UserError("there is no episode to rate in this run" + _under(policy))
    rows = [row for talk in load_conversations(con, ids).values() for row in _rows(talk)]
    try:
        with file.open("w", encoding="utf-8-sig", newline="") as stream:
            writer = csv.DictWriter(stream, COLUMNS)
            writer.writeheader()
            writer.writerows({key: _harmless(text) for key, text in row.items()} for row in rows)
    except OSError as error:
        raise UserError(f"cannot write '{file}': {error.strerror}") from error
    return len(rows)


def import_sheet(run: Path, file: Path, annotator: str | None) -> tuple[int, int]:
    """Store the ratings of a sheet; return how many they are and how many rows were left empty.

    Raises UserError, with the row, for a rating outside its scale, an unknown episode or role, and
    a row without an annotator; nothing is stored then.
    """
    folder = find_store(run).parent
    with locked(folder):
        store = Store(folder)
        store.create()
        with store.reading() as con:
            known = {
                (episode, role)
                for episode, role in con.execute(
                    "select episode_id, null from episodes union all "
                    "select episode_id, role from roles"
                ).fetchall()
            }
        rows, empty, now = [], 0, utc_now()
        for number, row in _read_rows(file):
            if not row["rating"].strip():
                empty += 1
                continue
            rows.append(_rating(row, f"{file}:{number}", known, annotator) | {"imported_at": now})
        if not rows:
            raise UserError(f"{file}: no row has a rating")
        store.append([Record({"ratings": rows}, "rated")])
    return len(rows), empty


def _rows(talk: Any) -> list[dict[str, str]]:
    lines = "\n".join(_line(line) for line in talk.lines)
    about = {"title": talk.title, "culture": talk.culture.name, "transcript": lines}
    blank = dict.fromkeys(COLUMNS, "") | {"episode_id": talk.episode_id} | about
    rows = []
    for dimension, scale in SCALES.items():
        for person in talk.speakers if dimension in BY_ROLE else [None]:
            row = blank | {"dimension": dimension, "scale": _scale(scale)}
            if person:
                row |= {
                    "role": person.role, "name": person.name, "goal": person.goal,
                    "secret": person.secret or "",
                }  # fmt: skip
            rows.append(row)
    return rows


def _line(line: Any) -> str:
    if line.turn is None:
        return f"({line.text})"
    act = line.text or "" if line.action == "speak" else f"[{line.text or line.action}]"
    return f"{line.turn}. {line.name}: {act}"


def _scale(scale: Scale) -> str:
    return " / ".join(scale.names) if isinstance(scale, Labels) else f"{scale.low} to {scale.high}"


def _harmless(text: str) -> str:
    """Return a cell that a spreadsheet shows and does not compute."""
    return f"'{text}" if text.startswith(EXECUTED) else text


def _read_rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            rows = [(reader.line_num, {k: v or "" for k, v in row.items() if k}) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot read '{file}' as a CSV sheet: {error}") from error
    needed = ("episode_id", "role", "dimension", "rating", "comment", "annotator")
    missing = [name for name in needed if name not in (reader.fieldnames or ())]
    if missing:
        raise UserError(f"{file}: the sheet lacks the column {missing[0]}")
    return rows


def _rating(
    row: Mapping[str, str], where: str, known: set[tuple[str, str | None]], annotator: str | None
) -> dict[str, Any]:
    episode, role = row["episode_id"].strip(), row["role"].strip() or None
    dimension, given = row["dimension"].strip(), row["rating"].strip().lstrip("'")
    if dimension not in SCALES:
        raise UserError(f"{where}: '{dimension}' is not one of {', '.join(SCALES)}")
    if (episode, None) not in known:
        raise UserError(f"{where}: this run has no episode '{episode}'")
    if (episode, role) not in known or (role is None) == (dimension in BY_ROLE):
        raise UserError(f"{where}: '{dimension}' cannot be rated for the role '{role or ''}'")
    who = row["annotator"].strip() or (annotator or "")
    if not who:
        raise UserError(f"{where}: who rated? Fill in the column annotator, or give --annotator")
    label, score = _value(SCALES[dimension], given, where, dimension)
    return {
        "episode_id": episode, "role": role, "dimension": dimension, "annotator": who,
        "label": label, "score": score, "comment": row["comment"].strip() or None,
    }  # fmt: skip


def _value(scale: Scale, given: str, where: str, dimension: str) -> tuple[str | None, float | None]:
    if isinstance(scale, Labels):
        if given.lower() in scale.names:
            return given.lower(), None
    else:
        try:
            score = float(given.replace("\u2212", "-").replace(",", "."))
        except ValueError:
            score = float("nan")
        if scale.low <= score <= scale.high:
            return None, score
    raise UserError(f"{where}: '{given}' is not on the scale of {dimension}: {_scale(scale)}")


def _under(policy: str | None) -> str:
    return f" under the policy {policy}" if policy else ""
