"""Answers to short questions, read from JSON of any shape or from plain words.

Invariant: what is not clearly one answer raises `Unreadable`; nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from agents.naming import named, sole
from agents.reply import Unreadable, json_objects
from folkways.text import sound

_EDGES = " \t\r\n\"'`*_.,:;!?()[]{}<>#-\u201c\u201d\u2018\u2019\u00ab\u00bb\u201e\u3002\uff01"
_DENIES = re.compile(
    r"\b(?:not|never|neither|nor|nobody|no one|except|instead|anyone|anybody|rather)\b"
    r"|n['\u2019]t\b",
    re.IGNORECASE,
)
_SCALE = re.compile(
    r"(?:/|\bout of|\bof)\s*\d+|(?:from|between|scale of)\s+\d+\s*(?:to|and|-|\u2013)\s*\d+",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![\w.,])[-\u2212]?\d+(?:[.,]\d+)?(?![\w%])")
_NUMERALS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
)  # fmt: skip
_NUMERAL = re.compile(rf"\b(?:{'|'.join(_NUMERALS)})\b", re.IGNORECASE)
_YES_NO = re.compile(r"\b(?:yes|no)\b", re.IGNORECASE)
_CLAUSE = re.compile(r"[,.;:!?\u2014\u2013\n]|\s-\s")
_FINAL = re.compile(
    r"\b(yes|no)\b(?=[\"'*_`\u201d\u2019]*\s*(?:[,.;:!?\u2014\n]|\Z))", re.IGNORECASE
)


def read_role(reply: str, key: str, names: Mapping[str, str]) -> str:
    """Return the one role that an answer names: alone, or in a sentence that denies nothing.

    Raises Unreadable.
    """
    text = _said(reply, key)
    first = text.strip().partition("\n")[0].strip(_EDGES)
    found = named(text, names)
    if alone := sole(first, names):
        return alone
    if len(found) != 1 or _DENIES.search(text):
        raise Unreadable(f"it must name one of {', '.join(names.values())}, and nobody else.")
    return found[0]


class Chosen(NamedTuple):
    """An option that an answer chooses."""

    choice: str
    reason: str | None
    """Why, where it says so."""


def read_choice(reply: str, key: str, options: Sequence[str]) -> Chosen:
    """Return the option that an answer chooses: the value of `key`, or the word that its line
    begins with. Raises Unreadable.
    """
    try:
        given = [value for value in json_objects(reply) if key in value]
    except Unreadable:
        given = []
    if any(value[key] != given[0][key] for value in given):
        raise Unreadable("it holds several JSON objects that differ.")
    if given:
        word, reason = str(given[0][key]), given[0].get("reason")
    else:
        word, _, reason = reply.strip().partition("\n")[0].partition(":")
    word, told = word.strip(_EDGES).casefold(), " ".join(str(reason or "").split())
    found = next((one for one in options if one.casefold() == word), None)
    if found is None:
        raise Unreadable(f"the choice must be one of {', '.join(options)}.")
    return Chosen(found, sound(told) or None)


def read_number(reply: str, key: str, low: int, high: int) -> int:
    """Return the one number that an answer gives, in digits or as an English word.

    Raises Unreadable.
    """
    text = _SCALE.sub(" ", _said(reply, key))
    found = {word.replace(",", ".").replace("\u2212", "-") for word in _NUMBER.findall(text)}
    if not found:
        found = {str(_NUMERALS.index(word.lower())) for word in _NUMERAL.findall(text)}
    value = float(found.pop()) if len(found) == 1 else None
    if value is None or not value.is_integer() or not low <= value <= high:
        raise Unreadable(f"it must be one whole number from {low} to {high}.")
    return int(value)


def read_yes_no(reply: str, key: str) -> bool:
    """Return whether an answer is yes: one of its clauses is the word, or ends in it and the other
    word does not occur.

    Raises Unreadable.
    """
    text = _said(reply, key)
    alone = {part.strip(_EDGES).lower() for part in _CLAUSE.split(text)} & {"yes", "no"}
    ends = {word.lower() for word in _FINAL.findall(text)}
    found = alone or ends
    if len(found) != 1 or (not alone and len(set(map(str.lower, _YES_NO.findall(text)))) > 1):
        raise Unreadable('it must be "yes" or "no".')
    return found == {"yes"}


def _said(reply: str, key: str) -> str:
    """Return the text that answers: the values of `key` in JSON objects, all values where none has
    it, or the reply where it holds no whole object.
    """
    try:
        objects = json_objects(reply)
    except Unreadable:
        return reply
    values = [value[key] for value in objects if key in value]
    if any(value != values[0] for value in values):
        raise Unreadable("it holds several JSON objects that differ.")
    values = values or objects
    return "\n".join(dict.fromkeys(_texts(values))) or reply


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, bool):
        yield "yes" if value else "no"
    elif value is not None:
        yield str(value)
