"""What a spoken text says of some phrases: that it is so, that it is not, or neither.

Invariant: a phrase in a question, on a condition, inside words that say the opposite, or negated in
its clause is not said to be so; which words negate stands in `negation.yaml`, by language.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import yaml

from scenarios.words import words

_SENTENCE = re.compile(
    r"(?<=[.!?\u2026])[\"'\u201d\u2019)\]]*\s+|(?<=[\u3002\uff01\uff1f\u061f\u0964])|\n+"
)
_ASKED = re.compile(r"[?\uff1f\u061f][\W_]*$")
_CLAUSE = re.compile(
    r",(?!\d)|[;:\uff0c\u3001\uff1b\uff1a\u060c\u061b\u2014\u2013.!\u2026\u3002\uff01]+(?!\d)|\s-\s"
)
_ELISION = re.compile(r"\bn['\u2019](?=\w)", re.IGNORECASE)
_APOSTROPHES = re.compile("['\u2019\u02bc]")
_Span = tuple[int, int]


class Sought(NamedTuple):
    """What is looked for in what somebody says."""

    phrases: tuple[str, ...]
    contrary: tuple[str, ...] = ()
    """What says the opposite."""
    whole_line: bool = False
    """Whether only a text that holds a phrase and nothing else counts."""
    asking: bool = False
    """Whether a question counts as well, as it does for an offer."""


@lru_cache(maxsize=8192)
def stance(text: str, sought: Sought, tag: str) -> bool | None:
    """Return whether a text says a phrase (True), says no to it (False), or neither.

    Of several statements in the text the last one counts. `tag` is the BCP 47 tag of the language
    it is spoken in.
    """
    known = _language(tag)
    found: bool | None = None
    if sought.whole_line:
        row = _row(text)
        if row in map(_row, (*sought.phrases, *sought.contrary)):
            return None if _asked(text, known) else row in map(_row, sought.phrases)
        sought = Sought(())
    for sentence in filter(None, map(str.strip, _SENTENCE.split(text))):
        if sought.asking or not _asked(sentence, known):
            depends = not sought.asking and _depends(sentence, known)
            for said in _stances(sentence, sought, known):
                found = found if said and depends else said
    return found


def denial(text: str, phrase: str, tag: str) -> str | None:
    """Return the words of a text that say no to a phrase, the phrase among them, or None."""
    known = _language(tag)
    for clause in (c for sentence in _SENTENCE.split(text) for c in _clauses(sentence, known)):
        passed = _spans(clause, known["harmless"])
        before = _outside(_spans(clause, known["before"]), passed, proper=False)
        after = _outside(_spans(clause, known["after"]), passed, proper=False)
        for start, end in _spans(clause, (phrase,)):
            if starts := [at for at, to in before if to <= start]:
                return clause[max(starts) : end]
            if ends := [to for at, to in after if at >= end]:
                return clause[start : min(ends)]
    return None


def holds(text: str, phrase: str) -> bool:
    """Return whether the words of a phrase stand in a text."""
    return bool(_spans(_row(text), (phrase,)))


def has_negation(tag: str) -> bool:
    """Return whether the words that negate are known for a language."""
    return _main(tag) in _data()


def _stances(sentence: str, sought: Sought, known: dict[str, tuple[str, ...]]) -> Iterator[bool]:
    """Yield what a sentence says, clause by clause."""
    carried = False
    for clause in _clauses(sentence, known):
        phrases, contrary = _spans(clause, sought.phrases), _spans(clause, sought.contrary)
        phrases, contrary = _outside(phrases, contrary), _outside(contrary, phrases)
        said = [*phrases, *contrary]
        passed = [*_spans(clause, known["harmless"]), *said]
        before = _outside(_spans(clause, known["before"]), passed, proper=False)
        after = _outside(_spans(clause, known["after"]), passed, proper=False)
        refused = _outside(_spans(clause, known["refuse"]), passed, proper=False)
        told = [(end, False) for _, end in refused if not _before(before, end, refused)]
        for start, end in said:
            no = carried or _before(before, start) or any(at >= end for at, _ in after)
            if (start, end) in phrases:
                told.append((end, not no))
            elif not no:
                told.append((end, False))
        answer = _only(clause, known["answers"])
        if answer and not said:
            told.append((0, False))
        yield from (one for _, one in sorted(told))
        # "I don't, for the record, agree": the negation waits for its words.
        carried = carried or (not answer and any(end == len(clause) for _, end in before))


def _before(negations: Iterable[_Span], start: int, own: Iterable[_Span] = ()) -> bool:
    """Tell whether a negation stands before a place, other than inside of `own`."""
    return any(
        end <= start and not any(a <= at and end <= b for a, b in own) for at, end in negations
    )


def _outside(spans: list[_Span], others: list[_Span], proper: bool = True) -> list[_Span]:
    """Return the spans that lie in none of the others; `proper`: in none that is longer."""
    return [
        (start, end)
        for start, end in spans
        if not any(
            a <= start and end <= b and not (proper and (a, b) == (start, end)) for a, b in others
        )
    ]


def _only(clause: str, answers: tuple[str, ...]) -> bool:
    """Tell whether a clause consists of answers that say no."""
    rest = clause
    for start, end in reversed(_spans(clause, answers)):
        rest = rest[:start] + rest[end:]
    return bool(clause) and not rest.strip()


def _clauses(sentence: str, known: dict[str, tuple[str, ...]]) -> Iterator[str]:
    for part in _CLAUSE.split(sentence):
        row, start = _row(part), 0
        whole = _spans(row, (*known["harmless"], *known["before"]))  # "anything but"
        for begin, _ in _outside(_spans(row, known["but"]), whole):
            if row[start:begin].strip():
                yield row[start:begin].strip()
            start = begin
        if row[start:].strip():
            yield row[start:].strip()


def _asked(sentence: str, known: dict[str, tuple[str, ...]]) -> bool:
    row = _row(sentence)
    ends = any(end == len(row) for _, end in _spans(row, known["asks"]))
    return ends or bool(_ASKED.search(sentence.strip()))


def _depends(sentence: str, known: dict[str, tuple[str, ...]]) -> bool:
    """Tell whether what a sentence says is so on a condition only."""
    row = _row(sentence)
    return bool(_outside(_spans(row, known["depends"]), _spans(row, known["harmless"])))


def _row(text: str) -> str:
    """Return the words of a text, folded, with one space between them."""
    plain = _ELISION.sub("ne ", unicodedata.normalize("NFKC", text))
    return " ".join(words(_APOSTROPHES.sub("", plain))).replace("-", " ")


def _spans(row: str, phrases: tuple[str, ...]) -> list[_Span]:
    """Return where phrases stand in a row of words, the longest at each place, in order."""
    pattern = _pattern(phrases)
    return [found.span() for found in pattern.finditer(row)] if pattern else []


@lru_cache(maxsize=4096)
def _pattern(phrases: tuple[str, ...]) -> re.Pattern[str] | None:
    rows = [
        " ".join(re.escape(_row(part)) for part in phrase.split("*")).replace(r"\ ", " ").strip()
        + (r"\S*" if phrase.endswith("*") else "")
        for phrase in phrases
        if words(phrase)
    ]
    if not rows:
        return None
    either = "|".join(sorted(rows, key=len, reverse=True))
    return re.compile(rf"(?<!\S)(?:{either})(?!\S)")


def _main(tag: str) -> str:
    return tag.split("-")[0].casefold()


@cache
def _language(tag: str) -> dict[str, tuple[str, ...]]:
    known = _data().get(_main(tag), {})
    kinds = ("before", "after", "harmless", "refuse", "answers", "but", "asks", "depends")
    return {kind: tuple(known.get(kind, ())) for kind in kinds}


@cache
def _data() -> dict[str, dict[str, list[str]]]:
    text = Path(__file__).with_name("negation.yaml").read_text(encoding="utf-8")
    data: dict[str, dict[str, list[str]]] = yaml.safe_load(text)
    return data
