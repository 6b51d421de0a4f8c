"""Sheets for human annotators: written from a run, filled in elsewhere, read back.

Invariant: a sheet does not show the critics' verdicts, and reading one back either stores all its
ratings or none.
"""

from __future__ import annotations

import csv
import random
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import duckdb

from agents.conversation import Conversation
from agents.critics import culture, meta, quality, social
from agents.critics.critic import Labels, Scale
from agents.critics.labeller import RELEVANCE
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
_INTENT_SCALES: Mapping[str, Scale] = {
    "intent": Labels(("right", "wrong")),
    "relevance": Labels(RELEVANCE),
}
"""What can be rated of a labelled turn: whether its intent is the right one, and whether it is
generic or cultural."""
_ALL_SCALES = {**SCALES, **_INTENT_SCALES}
_RATED = (
    "role",
    "name",
    "dimension",
    "scale",
    "rating",
    "comment",
    "annotator",
    "title",
    "culture",
)
"""Columns that sheets of scenes and of turns share."""
_COLUMNS = ("episode_id", *_RATED, "goal", "secret", "transcript")
_INTENT_COLUMNS = ("episode_id", "turn", *_RATED, "line", "intent", "transcript")
_LABELLED = """
select episode_id, turn, any_value(intent order by labeller) from last_intents
group by episode_id, turn order by episode_id, turn
"""
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
    return _write(file, _COLUMNS, rows)


def export_intents(con: duckdb.DuckDBPyConnection, file: Path, n: int | None, seed: int) -> int:
    """Write a sheet with two rows for each labelled turn, or for `n` of them: whether the intent
    that is shown is the right one, and whether it is generic or cultural, which is not shown.

    Return the number of rows. Raises UserError for a run without labels.
    """
    turns = con.execute(_LABELLED).fetchall()
    if not turns:
        raise UserError("no turn of this run has a label yet: folkways label RUN")
    if n is not None and n < len(turns):
        turns = sorted(random.Random(seed).sample(turns, n))
    talks = load_conversations(con, list(dict.fromkeys(row[0] for row in turns)))
    rows = [
        row
        for episode, turn, intent in turns
        for row in _intent_rows(talks[episode].until(turn), turn, intent)
    ]
    return _write(file, _INTENT_COLUMNS, rows)


def _intent_rows(talk: Conversation, turn: int, intent: str) -> list[dict[str, str]]:
    said, line = load_template("review").said, talk.lines[-1]
    person = next(one for one in talk.people if one.role == line.role)
    told = dict.fromkeys(_INTENT_COLUMNS, "") | {
        "episode_id": talk.episode_id,
        "turn": str(turn),
        "role": person.role,
        "name": person.name,
        "title": talk.title,
        "culture": talk.culture.name,
        "line": said(line),
        "transcript": "\n".join(said(one) for one in talk.lines),
    }
    shown = {"intent": intent, "relevance": ""}
    return [
        told | {"dimension": dimension, "scale": _scale(scale), "intent": shown[dimension]}
        for dimension, scale in _INTENT_SCALES.items()
    ]


def _write(file: Path, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> int:
    sheet = StringIO(newline="")
    writer = csv.DictWriter(sheet, columns)
    writer.writeheader()
    writer.writerows(
        {key: text if key == "turn" else _harmless(text) for key, text in row.items()}
        for row in rows
    )
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
            labelled = {(row[0], str(row[1])) for row in con.execute(_LABELLED).fetchall()}
        rows, empty, now = [], 0, utc_now()
        for number, row in _sheet(file).rows:
            if not row["rating"].strip():
                empty += 1
                continue
            where = f"{file}, row {number}"
            rating = _rating(row, where, cast, annotator) | {"imported_at": now}
            rows.append(rating | {"turn": _turn(row, rating, where, labelled)})
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
    if dimension not in _ALL_SCALES:
        raise UserError(f"{where}: '{dimension}' is not one of {', '.join(_ALL_SCALES)}")
    if episode not in cast:
        raise UserError(f"{where}: this run has no episode '{episode}'")
    mixed = len(set(cast[episode].values())) > 1
    by_role = dimension in _INTENT_SCALES or _by_role(dimension, mixed)
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
    label, score = _value(_ALL_SCALES[dimension], given, where, dimension)
    return {
        "episode_id": episode,
        "role": role,
        "dimension": dimension,
        "annotator": who,
        "label": label,
        "score": score,
        "comment": row["comment"].strip() or None,
    }


def _turn(
    row: Mapping[str, str], rating: Mapping[str, Any], where: str, labelled: Collection[Any]
) -> int | None:
    """Return the act whose intent is rated; None where something else is."""
    if rating["dimension"] not in _INTENT_SCALES:
        return None
    turn = row.get("turn", "").strip().lstrip("'")
    if (rating["episode_id"], turn) not in labelled:
        raise UserError(f"{where}: the episode has no labelled turn '{turn}'")
    return int(turn)


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
