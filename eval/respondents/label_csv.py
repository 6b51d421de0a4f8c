"""CSV files whose cells hold the labels of answers: from labels back to numbers.

Invariant: a label without a number loses its own cells and nothing else, as long as it may be a
stray one; an item some option of which may hide behind such labels is left out whole, for its
shares would be those of the other options. Either is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eval.item import Item
from eval.respondents.dialect import Dialect, read_rows
from eval.respondents.label import NUMBER, Codebook, patterns, plain, read_label
from eval.respondents.stat_file import UNREADABLE

_CHUNK = 10_000
_STRAY_SHARE = 0.01
"""Share of an item's cells up to which labels without a number are stray ones: the most that an
option without a pattern can be missed by."""


class Readings(NamedTuple):
    """What the labels of a file stand for."""

    numbers: Mapping[str, Mapping[str, float]]
    """By target and label as it stands in the file."""
    stray: Mapping[str, Counter[str]]
    """Labels that lose their cells, with how many there are, by target."""
    unread: Mapping[str, Counter[str]]
    """Labels for which a whole item is left out, by target."""


def interpret(
    dialect: Dialect,
    columns: Mapping[str, str],
    items: Mapping[str, Item],
    book: Codebook,
) -> Readings:
    """Return what every label in these columns (from target to column of the file) stands for.

    Two labels of an item for one number mean that a pattern is wrong, and the rarer ones count as
    unknown; those for missing answers, and counts, may well share one.
    """
    labels: dict[str, Counter[str]] = {target: Counter() for target in columns}
    places = [(labels[target], dialect.columns[column]) for target, column in columns.items()]
    for row in read_rows(dialect):
        for seen, place in places:
            seen[row[place]] += 1
    readings: dict[str, dict[str, float]] = {}
    stray: dict[str, Counter[str]] = {}
    unread: dict[str, Counter[str]] = {}
    for target, seen in labels.items():
        known, item = book.get(target, {}), items.get(target)
        seen = Counter({text: often for text, often in seen.items() if text.strip()})
        found = {text: read_label(target, text, known) for text in seen}
        numbers = {text: number for text, number in found.items() if number is not None}
        doubled = set() if target in patterns().counts else _doubled(numbers, seen)
        readings[target] = {text: n for text, n in numbers.items() if text not in doubled}
        lost = Counter({text: n for text, n in seen.items() if text not in readings[target]})
        few = lost.total() <= max(1, _STRAY_SHARE * seen.total())
        whole = item is not None and set(item.options) <= set(numbers.values())
        if lost and (item is None or few or (whole and not doubled)):
            stray[target] = lost
        elif lost:
            unread[target] = lost
    return Readings(readings, stray, unread)


def _doubled(numbers: Mapping[str, float], seen: Mapping[str, int]) -> set[str]:
    """Return the rarer ones of labels that differ in more than case and spaces and yet have one
    number."""
    forms: dict[float, Counter[str]] = {}
    for label, number in numbers.items():
        if number >= 0 and not NUMBER.fullmatch(plain(label)):
            forms.setdefault(number, Counter())[plain(label)] += seen[label]
    rarer = {form for words in forms.values() for form, _ in words.most_common()[1:]}
    return {label for label in numbers if plain(label) in rarer}


def label_chunks(
    dialect: Dialect, columns: Mapping[str, str], texts: Sequence[str], readings: Readings
) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield rows as arrays by target, as `stat_file.read_chunks` does; see `interpret`."""
    rows: list[list[str]] = []
    for row in read_rows(dialect):
        rows.append(row)
        if len(rows) == _CHUNK:
            yield _arrays(dialect, columns, texts, readings, rows)
            rows = []
    if rows:
        yield _arrays(dialect, columns, texts, readings, rows)


def _arrays(
    dialect: Dialect,
    columns: Mapping[str, str],
    texts: Sequence[str],
    readings: Readings,
    rows: Sequence[Sequence[str]],
) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    for target, column in columns.items():
        place = dialect.columns[column]
        cells = [row[place] for row in rows]
        if target in texts:
            arrays[target] = np.array([cell.strip() or None for cell in cells], dtype=object)
        else:
            numbers = readings.numbers[target]
            arrays[target] = np.array(
                [numbers.get(cell, UNREADABLE) if cell.strip() else np.nan for cell in cells]
            )
    return arrays
