"""Options as a model writes them: numbering, points of a scale, and those that decline to answer.

Invariant: what comes out means the same in whatever order it is shown. Marks before options ("1.",
"b)") go where all have them, in sequence. An option that is but a number is a point of a scale and
becomes "3 of 10", where both ends have words: as the first and the last option, or in the question
("1 means never and 10 always"); elsewhere nobody could tell what it means.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import yaml

from folkways.errors import FolkwaysError
from scenarios.words import words

_NUMBER = re.compile(r"[(\[]?(\d{1,3})[)\].:]?", re.ASCII)
_BARE = re.compile(r"[(\[]?\d+[)\].:]?", re.ASCII)
_MARKED = re.compile(
    r"[(\[]?(?P<mark>\d{1,3}|[A-Za-z])"
    r"(?:(?:[)\]]|[.:](?!\d)) ?|(?: ?=| ?[-\u2013\u2014](?= )) ?+(?!\d))"
    r"(?P<text>.*)",
    re.ASCII,
)
_SPACED = re.compile(r"(?P<mark>\d{1,3}) (?P<text>[^\W\d].*)")
_MEANS = (
    r"[)\]'\"]{0,2}(?: ?[=:(]| (?:-|\u2013|means?|meaning|being|is|for|stands|represent|indicat))"
)


class Unfit(FolkwaysError):
    """A reply is no question; the message is the fault's name."""


class _Part(NamedTuple):
    """An option taken apart."""

    number: int | None
    text: str


def plain_labels(ask: str, options: Sequence[str]) -> list[str]:
    """Return the labels of options without what numbers them. Raises Unfit: mixed-numbering where
    some are numbered and others not, bare-numbers where numbers mean nothing by themselves.
    """
    labels = _without_marks(ask, options)
    if any(_BARE.fullmatch(label) for label in labels):
        raise Unfit("bare-numbers")
    return labels


def _without_marks(ask: str, options: Sequence[str]) -> list[str]:
    if any(_NUMBER.fullmatch(option) for option in options):
        return _with_points(ask, options)
    marked = [_MARKED.fullmatch(option) for option in options]
    marks = [found["mark"].casefold() for found in marked if found]
    digits = [int(mark) for mark in marks if mark.isdigit()]
    if len(marks) == len(options) and (_in_sequence(digits, marks) or _alphabet(marks)):
        return [found["text"] for found in marked if found]
    if digits:
        raise Unfit("mixed-numbering")
    return list(options)


@lru_cache(maxsize=4096)
def declines(option: str) -> bool:
    """Return whether an option says nothing but that there is no answer."""
    found = _MARKED.fullmatch(option)
    label = " ".join(words(found["text"] if found else option))
    return bool(_declining().fullmatch(label))


def _in_sequence(digits: Sequence[int], marks: Sequence[str]) -> bool:
    steps = [later - earlier for earlier, later in pairwise(digits)]
    same_way = all(step > 0 for step in steps) or all(step < 0 for step in steps)
    return len(digits) == len(marks) and same_way


def _alphabet(marks: Sequence[str]) -> bool:
    return "".join(marks) == "abcdefghijklmnopqrstuvwxyz"[: len(marks)]


def _with_points(ask: str, options: Sequence[str]) -> list[str]:
    """Return the labels of a scale some of whose options are but numbers."""
    parts = [_taken_apart(option) for option in options]
    numbers = _filled([part.number for part in parts])
    steps = {later - earlier for earlier, later in pairwise(numbers)}
    if steps not in ({1}, {-1}) or min(numbers) < 0:
        raise Unfit("bare-numbers")
    ends = [bool(parts[0].text), bool(parts[-1].text)]
    if not (all(ends) or (not any(ends) and all(_named(ask, numbers[at]) for at in (0, -1)))):
        raise Unfit("bare-numbers")
    top = max(numbers)
    return [part.text or f"{number} of {top}" for part, number in zip(parts, numbers, strict=True)]


def _taken_apart(option: str) -> _Part:
    if bare := _NUMBER.fullmatch(option):
        return _Part(int(bare[1]), "")
    found = _MARKED.fullmatch(option) or _SPACED.fullmatch(option)
    if found and found["mark"].isdigit():
        return _Part(int(found["mark"]), found["text"])
    return _Part(None, option)


def _filled(numbers: list[int | None]) -> list[int]:
    """Return the numbers of all points; ends without one continue what is between them, if that is
    two points at least. Raises Unfit where a number is missing.
    """
    inner = numbers[1:-1]
    if len(inner) > 1 and inner[0] is not None and inner[1] is not None:
        step = inner[1] - inner[0]
        first = inner[0] - step if numbers[0] is None else numbers[0]
        last = inner[0] + step * len(inner) if numbers[-1] is None else numbers[-1]
        numbers = [first, *inner, last]
    known = [number for number in numbers if number is not None]
    if len(known) < max(len(numbers), 2):
        raise Unfit("bare-numbers")
    return known


def _named(ask: str, number: int) -> bool:
    """Return whether a question says what an end of its scale means."""
    after = rf"(?<![\d.]){number}{_MEANS}[^\d]*?[^\W\d]"
    before = rf"[^\W\d]['\"]? ?[(\[](?:= ?)?{number}[)\]]"
    return bool(re.search(after, ask) or re.search(before, ask))


@cache
def phrases(purpose: str) -> tuple[str, ...]:
    """Return the folded phrases of `phrases.yaml` for a purpose: declining, asking or judging."""
    text = Path(__file__).with_name("phrases.yaml").read_text(encoding="utf-8")
    return tuple(" ".join(words(phrase)) for phrase in yaml.safe_load(text)[purpose])


@cache
def _declining() -> re.Pattern[str]:
    """Return the pattern of options that decline: such phrases, one after another."""
    known = sorted(phrases("declining"), key=len, reverse=True)
    one = "|".join(map(re.escape, known))
    return re.compile(rf"(?:{one})(?: (?:(?:or|and) )?(?:{one}))*")
