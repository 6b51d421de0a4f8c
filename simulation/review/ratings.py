"""Sheets for human annotators: written from a run, filled in elsewhere, read back.

Invariant: a sheet does not show the critics' verdicts, and reading one back either stores all its
ratings or none.
"""

from __future__ import annotations

import csv
import random
import re
from collections import defaultdict
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import duckdb

from agents.critics import culture, meta, quality, social
from agents.critics.critic import Labels, Scale
from agents.template import load_template
from folkways.clock import utc_now
from folkways.errors import UserError
from folkways.files import write_named
from folkways.text import guard, unguard
from scenarios.sheet import Sheet, read_sheet
from simulation.review.conversations import load_conversations
from simulation.review.funnel import fates_of
from simulation.store.reader import find_store
from simulation.store.record import Record
from simulation.store.run_lock import locked
from simulation.store.writer import FILE, Store

SCALES: Mapping[str, Scale] = {**quality.SCALES, **culture.SCALES, **meta.SCALES, **social.SCALES}
"""What can be rated, with its scale."""
_BY_ROLE = tuple(social.SCALES)
"""Dimensions that are rated for each role."""
_BY_CULTURE = tuple(culture.SCALES)
"""Dimensions that are rated for each role of a mixed cast."""
_COLUMNS = (
    "episode_id", "role", "name", "dimension", "scale", "rating", "comment", "annotator",
    "title", "culture", "goal", "secret", "transcript",
)  # fmt: skip
_NUMERIC = re.compile(r"\d+(e\d+)?")
"""Ids of episodes that a spreadsheet would take for numbers."""
_CAST = "select episode_id, role, culture_id from roles"


def export_sheet(
    con: duckdb.DuckDBPyConnection, file: Path, policy: str | None, n: int | None, seed: int
) -> int:
    """Write a sheet with one row for each thing to rate, and return the number of rows."""
    if policy is not None:
        fates_of(con, policy)
        query = "select episode_id from chosen_fates where fate = 'accepted' order by episode_id"
    else:
        query = (
            "select episode_id from latest_episodes where turns > 0 "
            "and exit_reason not in ('error', 'budget', 'model-failure', 'endpoint-failure') "
            "and episode_id not in (select episode_id from failing_roles) order by episode_id"
        )
    ids = [row[0] for row in con.execute(query).fetchall()]
    if n is not None and n < len(ids):
        ids = sorted(random.Random(seed).sample(ids, n))
    if not ids:
        raise UserError("there is no episode to rate in this run" + _under(policy))
    rows = [row for talk in load_conversations(con, ids).values() for row in _rows(talk)]
    sheet = StringIO(newline="")
    writer = csv.DictWriter(sheet, _COLUMNS)
    writer.writeheader()
    writer.writerows({key: _harmless(text) for key, text in row.items()} for row in rows)
    write_named(file, sheet.getvalue().encode("utf-8-sig"))
    return len(rows)


def import_sheet(run: Path, file: Path, annotator: str | None) -> tuple[int, int]:
    """Store the ratings of a sheet; return how many they are and how many rows were left empty.

    Raises UserError, with the row, for a rating outside its scale, an unknown episode or role, and
    a row without an annotator; nothing is stored then.
    """
    path = find_store(run)
    if path.name != FILE:
        raise UserError(f"'{path}' is not the store of a run; give the run first, then the sheet")
    with locked(path.parent):
        store = Store(path.parent)
        store.create()
        with store.reading() as con:
            cast: dict[str, dict[str, str]] = defaultdict(dict)
            for episode, role, origin in con.execute(_CAST).fetchall():
                cast[episode][role] = origin
        rows, empty, now = [], 0, utc_now()
        for number, row in _sheet(file).rows:
            if not row["rating"].strip():
                empty += 1
                continue
            rating = _rating(row, f"{file}, row {number}", cast, annotator)
            rows.append(rating | {"imported_at": now})
        if not rows:
            raise UserError(f"{file}: no row has a rating")
        store.append([Record({"ratings": rows}, "rated")])
    return len(rows), empty


def _rows(talk: Any) -> list[dict[str, str]]:
    said = load_template("review").said
    lines = "\n".join(said(line) for line in talk.lines)
    about = {"title": talk.title, "culture": talk.culture.name, "transcript": lines}
    blank = dict.fromkeys(_COLUMNS, "") | {"episode_id": talk.episode_id} | about
    rows = []
    for dimension, scale in SCALES.items():
        for person in talk.speakers if _by_role(dimension, talk.mixed) else [None]:
            row = blank | {"dimension": dimension, "scale": _scale(scale)}
            if person:
                row |= {
                    "role": person.role,
                    "name": person.name,
                    "goal": person.goal,
                    "secret": person.secret or "",
                }
            rows.append(row)
    return rows


def _by_role(dimension: str, mixed: bool) -> bool:
    return dimension in _BY_ROLE or (mixed and dimension in _BY_CULTURE)


def _scale(scale: Scale) -> str:
    return " / ".join(scale.names) if isinstance(scale, Labels) else f"{scale.low} to {scale.high}"


def _harmless(text: str) -> str:
    """Return a cell that a spreadsheet shows and does not compute."""
    return f"'{text}" if _NUMERIC.fullmatch(text) else guard(text)


def _sheet(file: Path) -> Sheet:
    """Return a sheet with the columns that a rating needs, or raise UserError."""
    sheet = read_sheet(file)
    needed = ("episode_id", "role", "dimension", "rating", "comment", "annotator")
    missing = [name for name in needed if name not in sheet.head]
    if missing:
        raise UserError(f"{file}: the sheet lacks the column {missing[0]}")
    rows = [
        (number, {name: unguard(cell) for name, cell in row.items()}) for number, row in sheet.rows
    ]
    return Sheet(sheet.head, rows)


def _rating(
    row: Mapping[str, str], where: str, cast: Mapping[str, Mapping[str, str]], annotator: str | None
) -> dict[str, Any]:
    episode, role = row["episode_id"].strip().lstrip("'"), row["role"].strip() or None
    dimension, given = row["dimension"].strip(), row["rating"].strip().lstrip("'")
    if dimension not in SCALES:
        raise UserError(f"{where}: '{dimension}' is not one of {', '.join(SCALES)}")
    if episode not in cast:
        raise UserError(f"{where}: this run has no episode '{episode}'")
    by_role = _by_role(dimension, len(set(cast[episode].values())) > 1)
    if by_role and role not in cast[episode]:
        known = " or ".join(cast[episode])
        raise UserError(f"{where}: '{dimension}' is rated for {known}; found '{role or ''}'")
    if not by_role and role:
        raise UserError(
            f"{where}: '{dimension}' is rated for the whole conversation; found the role '{role}'"
        )
    who = row["annotator"].strip() or (annotator or "").strip()
    if not who:
        raise UserError(f"{where}: who rated? Fill in the column annotator, or give --annotator")
    label, score = _value(SCALES[dimension], given, where, dimension)
    return {
        "episode_id": episode,
        "role": role,
        "dimension": dimension,
        "annotator": who,
        "label": label,
        "score": score,
        "comment": row["comment"].strip() or None,
    }


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
