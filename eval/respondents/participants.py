"""Files that name the respondents to be asked, and which questions each of them is asked.

Invariant: a respondent is found by the id of the interview alone; an id that a file of respondents
does not have is told, never replaced.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

from folkways.errors import UserError

Participants = dict[str, set[str] | None]
"""By D_INTERVIEW: the ids of the items that the respondent is asked, None for all."""
_PERSON = ("d_interview", "participant_id", "participant", "respondent")
_QUESTION = ("question", "question_id", "item", "item_id")


def read_participants(path: Path) -> Participants:
    """Return who is asked what: of a .txt file with an id a line, a .json list of ids, or a .csv or
    .tsv table with a column D_INTERVIEW and, where not everybody is asked everything, Question.

    The layout of WorldValuesBench's samples.tsv is one of them. Raises UserError for a file without
    ids.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; name a file with ids of respondents")
    try:
        found = _of_table(path) if path.suffix in (".csv", ".tsv") else _of_list(path)
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as a file of ids: {error}") from error
    if not found:
        raise UserError(f"{path} names no respondents")
    return found


def _of_list(path: Path) -> Participants:
    text = path.read_text(encoding="utf-8-sig")
    ids = json.loads(text) if path.suffix == ".json" else text.split()
    if not isinstance(ids, list):
        raise UserError(f"{path} is not a list of ids")
    return dict.fromkeys(map(str, ids))


def _of_table(path: Path) -> Participants:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        header = [name.strip().casefold() for name in next(rows, [])]
        person = next((header.index(name) for name in _PERSON if name in header), None)
        question = next((header.index(name) for name in _QUESTION if name in header), None)
        if person is None:
            raise UserError(
                f"{path} has no column D_INTERVIEW with the ids of respondents; it has "
                f"{', '.join(header)}"
            )
        found: Participants = {}
        for row in rows:
            if len(row) <= max(person, question or 0) or not row[person].strip():
                continue
            asked = found.setdefault(row[person].strip(), None if question is None else set())
            if asked is not None and question is not None:
                asked.add(row[question].strip())
        return found
