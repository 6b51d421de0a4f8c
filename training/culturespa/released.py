"""Reads answer sheets in the layout that CultureSPA's authors released, and scores them as they do.

Invariant: every entry of a sheet is either kept or counted under the reason why it is not.

A sheet is a JSON list of `{Q_id, question, option_lst, answer}`: options in the order of the
survey's codes, numbered as these are, from 0 or from 1; the answer is what the model wrote.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from eval.item import Item, load_items
from eval.respondents.marginals import load_marginals
from eval.survey.reading import Reading, read_reply
from folkways.errors import UserError
from folkways.files import read_bytes
from folkways.provenance import short_hash

_UNSCORED = {"Q223", *(f"Q{number}" for number in range(260, 291))}
"""Items of the questionnaire that are never scored: the party, and demographics."""
NO_ITEM = "no item of the survey"
NOT_SCORED = "not scored by anyone (Q223, demographics)"
NO_OPTIONS = "without options"
OTHER_OPTIONS = "with other options than the survey's"
NO_ANSWER = "without an answer"
NO_TEXT = "whose answer is no text"
_PUBLISHED_MOST = 10
"""The largest number that the published evaluation takes for an answer; its selection takes 15."""
_NUMBERED = re.compile(r"\(?(\d+)\)? ?[.):] ?(?=\S)")


class Entry(NamedTuple):
    """An answer to an item."""

    item: Item
    labels: tuple[str, ...]
    """Options in the order of the item's codes, without numbers in front."""
    text: str
    prompt: str
    """Hash of the question and options as the sheet has them."""

    def read(self, refusals: Sequence[str], unsure: Sequence[str]) -> Reading:
        """Read the answer; places are those of the item's codes."""
        return read_reply(
            self.text, self.labels, refusals, unsure, first=next(iter(self.item.options))
        )


@dataclass(frozen=True, slots=True)
class ReleasedSheet:
    """The answers of one file."""

    path: Path
    digest: str
    """SHA-256 of the file."""
    size: int
    """Entries, those left out included."""
    entries: Mapping[str, Entry]
    """By id of the item, in the order of the file."""
    left_out: Mapping[str, Sequence[str]]
    """By reason: the ids, as the file has them."""
    countries: tuple[str, ...] = ()
    """What entries say under `country` or `culture`, each once."""


def read_sheet(path: Path) -> ReleasedSheet:
    """Return the answers in a file. Raises UserError where it is no list of entries with ids, an id
    comes twice, or nothing in it can be used."""
    rows, digest = _load(path)
    entries: dict[str, Entry] = {}
    left_out: dict[str, list[str]] = {}
    seen: set[str] = set()
    for number, row in enumerate(rows, start=1):
        name = row.get("Q_id") if isinstance(row, dict) else None
        if not isinstance(name, str) or not name.strip():
            raise UserError(
                f"{path}: entry {number} has no id; each is an object with Q_id, question, "
                f"option_lst and answer (given: {row!r:.60})"
            )
        name = name.strip()
        if name in seen:
            raise UserError(f"{path}: {name} comes twice, so its answer is not certain; leave one")
        seen.add(name)
        found = _entry(name, row)
        if isinstance(found, Entry):
            entries[name] = found
        else:
            left_out.setdefault(found, []).append(name)
    if not entries:
        raise UserError(f"{path}: no answer can be used; " + listed(left_out))
    told = [row.get(key) for row in rows for key in ("country", "culture")]
    countries = tuple(dict.fromkeys(text for text in told if isinstance(text, str)))
    return ReleasedSheet(path, digest, len(rows), entries, left_out, countries)


def _load(path: Path) -> tuple[list[Any], str]:
    try:
        data = read_bytes(path)
        rows = json.loads(data.decode("utf-8-sig"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON in UTF-8: {error}") from error
    if not isinstance(rows, list) or not rows:
        raise UserError(
            f"{path}: an answer sheet is a JSON list of objects with Q_id, question, option_lst "
            f"and answer (given: {type(rows).__name__}{'' if rows else ', empty'})"
        )
    return rows, hashlib.sha256(data).hexdigest()


def _entry(name: str, row: Mapping[str, Any]) -> Entry | str:
    """Return an entry, or the reason why it is none."""
    item = load_items().get(name)
    if item is None:
        return NOT_SCORED if name in _UNSCORED else NO_ITEM
    if not row.get("option_lst"):
        return NO_OPTIONS
    labels = _labels(row["option_lst"], item)
    if labels is None:
        return OTHER_OPTIONS
    answer = row.get("answer")
    if answer is None:
        return NO_ANSWER
    if isinstance(answer, bool) or not isinstance(answer, (str, int, float)):
        return NO_TEXT
    shown = json.dumps([row.get("question"), row["option_lst"]], sort_keys=True)
    return Entry(item, labels, str(answer), short_hash(shown))


def _labels(options: Any, item: Item) -> tuple[str, ...] | None:
    """Return the labels of the item's codes, or None where the options are not one for each code,
    in the order of the codes as far as numbers tell."""
    if not isinstance(options, list) or len(options) != len(item.options):
        return None
    if not all(isinstance(option, (str, int)) for option in options):
        return None
    labels = [str(option).strip() for option in options]
    codes = [str(code) for code in item.options]
    if all(label.isdecimal() for label in labels):
        return tuple(labels) if labels == codes else None
    numbers = [_NUMBERED.match(label) for label in labels]
    found = [match for match in numbers if match]
    if len(found) == len(labels):
        if [match[1] for match in found] != codes:
            return None
        labels = [match.string[match.end() :] for match in found]
    return tuple(labels)


def published_code(text: str, most: int = _PUBLISHED_MOST) -> int | None:
    """Return what the published parser takes for the answer: the first digits of the text, whatever
    they belong to, if no more than `most`, and whether or not the item has such a code."""
    found = re.search(r"[0-9]+", text)
    return int(found[0]) if found and len(found[0]) < 10 and int(found[0]) <= most else None


def published_score(answers: Mapping[str, int], country: str) -> tuple[float, int] | None:
    """Return CultureSPA's score of codes by item against the modes of a country's people, and on
    how many items it rests. None without shipped answers of people."""
    import numpy as np

    from eval.metrics.culture_score import culturespa

    people = load_marginals()
    if country not in people.countries:
        return None
    grid = people.file_grid([country], people.items)
    sheet = np.array([answers.get(item, np.nan) for item in people.items], dtype=np.float64)
    scored = int((~np.isnan(sheet + grid.mode[0])).sum())
    return float(culturespa(sheet, grid.mode[0], grid.scales)), scored


def listed(left_out: Mapping[str, Sequence[str]]) -> str:
    """Return how many entries were left out for each reason, and which, in a line."""
    return "; ".join(f"{len(ids)} {why} ({some(ids)})" for why, ids in left_out.items())


def some(ids: Sequence[str], most: int = 8) -> str:
    """Return the first of some ids, and how many more there are."""
    more = f" and {len(ids) - most} more" if len(ids) > most else ""
    return ", ".join(ids[:most]) + more
