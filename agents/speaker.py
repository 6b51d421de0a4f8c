"""Where a line of a play passes to another speaker.

Invariant: a name is known however it is written: in capitals, without accents, in wide letters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from agents.naming import aliases, bounded

_DATA: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
_SPELLED: dict[str, str] = _DATA["spelled"]
_MOST = 10_000
"""Characters of a line in which speakers are looked for."""


class Label(NamedTuple):
    """A place in a line where somebody is marked as its speaker."""

    role: str | None
    """None for a narrator, who is nobody in the scene."""
    start: int
    end: int
    """Where the words begin."""
    aside: str | None
    """A direction between the name and the colon, or whom the words are for."""


def _plain_text(text: str) -> str:
    """Return text without letter case, accents, widths and unseen characters."""
    return "".join(map(_plain_character, text))


@lru_cache(maxsize=4096)
def _plain_character(character: str) -> str:
    spread = unicodedata.normalize("NFKD", _SPELLED.get(character, character)).casefold()
    kept = "".join(one for one in spread if not _is_unsaid(one))
    return "".join(_SPELLED.get(one, one) for one in unicodedata.normalize("NFC", kept))


def _is_unsaid(character: str) -> bool:
    """Return whether a character is an accent, a point of a Semitic or Indian letter, or unseen.

    Vowels and voicing marks of other scripts, which make another word, are none.
    """
    point = unicodedata.combining(character)
    unseen = unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f"
    return unseen or point == 7 or 10 <= point <= 36 or point >= 200


def _either(kind: str) -> str:
    """Return a pattern of the words of a kind, each whole, the longest first."""
    words = sorted(map(_plain_text, _DATA[kind]), key=len, reverse=True)
    return f"(?:{'|'.join(map(bounded, words))})"


_ENDS = (
    r"(?:[.!?\u203d\u061f\u06d4\u0964\u0965\u1362\u3002\u300d\u300f\u3011)\]\u00bb\u201d\u2014|"
    r"\u2600-\u27bf\U0001f300-\U0001faff]|(?<=[^\s*\"'])[*\"']{1,3}|<br */?>)"
    + "".join(rf"(?<!\b{title}\.)" for title in _DATA["short_titles"])
)
"""What may end a sentence before a new speaker; a quote or a star that opens ends none."""
_MAY_PASS = re.compile(
    r"[:\uff1a\ufe13\ufe30\ufe55\u2236\ua789\u1365\u1366\]>\uff3d\uff1e]"
    r"|[\"'\u201c\u201d\u2019\u00bb\u300d\u300f\uff02\uff07\uff63][.!?]?$"
)
"""What a line has in which anybody is marked as a speaker."""
_MARKS = r"(?:\*{1,3}|_{1,2})?"
_BEGIN = re.compile(
    r"(?:^(?:[(\[]?\d{1,3}(?:[.:]\d\d){0,2}[.)\]]{1,2}\s*)?|(?P<end>"  # an entry's number or time
    rf"{_ENDS}\s*))(?:<(?:b|em|i|strong|br ?/?)>|"
    rf"[\s>#\-\u2013\u2014\"\u201c\u00ab\u300c(\[<]){{0,8}}{_MARKS}"
)
_TITLE = re.compile(rf"(?:the\s+)?(?:(?:{_either('titles')}|{_either('short_titles')}\.?)\s+)?")
_HONORIFIC = re.compile(rf"(?:\s?{_either('honorifics')})?")
_NARRATOR, _EVERYBODY = (re.compile(_either(kind)) for kind in ("narrators", "everybody"))
_JOINED = re.compile(
    rf"\s*(?:(?P<toward>{_either('toward')}|->|\u2192)|{_either('along')}|[&+/])\s*(?:the\s+)?"
)
_COLON = re.compile(
    rf"{_MARKS}(?:</\w{{1,9}}>)?[\"\u201d\u00bb\u300d)\]]{{0,8}}\s*"
    r"(?:[(\[\u3010](?P<aside>[^()\[\]\u3010\u3011\n]{1,80})[)\]\u3011])?"
    rf"\s*{_MARKS}\s*[:\u2236\ua789\u1365\u1366]{_MARKS}\s*"
)
_BRACKET = re.compile(r"[\]>]\s+(?=\S)")
_QUOTED = re.compile(
    rf"{_MARKS}(?:\s*[\-\u2013\u2014\u2015]+\s*|\s*{_either('saying')}\s*[:,]?\s*)"
    r"(?=[\"'\u201c\u201e\u00ab\u300c\u300e][^\"\u201d\u00ab\u00bb\u300c\u300d\u300e\u300f]+"
    r"[\"'\u201c\u201d\u00bb\u300d\u300f][.!?]?\s*$)"
)
"""A dash or a word of saying, before words in quotes that fill the rest of a line."""


class _Line(NamedTuple):
    """A line of a play, and its plain text, each character of which is at a place in the line."""

    written: str
    plain: str
    places: Sequence[int]

    def between(self, start: int, end: int) -> str:
        """Return what is written there, by places in the plain text."""
        return self.written[self.places[start] : self.places[end]]


class _Cast(NamedTuple):
    """The people of a scene, as they are looked for in plain text."""

    pattern: re.Pattern[str]
    meant: dict[str, dict[str, str]]
    """Whom each plain alias means, by how it is written."""


def speakers(line: str, names: Mapping[str, str]) -> list[Label]:
    """Return where a line of a play passes to a speaker: a name, a role or a narrator at the
    beginning or after the end of a sentence, with a colon; in bold, with a title, a direction or
    somebody addressed before the colon, too. A name in brackets needs no colon, nor does one at the
    beginning before words in quotes that fill the line.
    """
    if not _MAY_PASS.search(line):
        return []
    text, cast, found = _plain_line(line[:_MOST]), _cast(tuple(names.items())), list[Label]()
    for begin in _BEGIN.finditer(text.plain):
        for name in _named(text.plain, begin.end(), cast.pattern, _NARRATOR):
            if label := _label(text, begin, name, cast):
                found.append(label)
                break
    return found


def _label(text: _Line, begin: re.Match[str], name: re.Match[str], cast: _Cast) -> Label | None:
    """Return the label that begins there with a name, if it is one."""
    plain, at, told = text.plain, _past(_HONORIFIC, text.plain, name.end()), None
    match = _COLON.match(plain, at)
    if not match and (joined := _JOINED.match(plain, at)):
        for other in _named(plain, joined.end(), cast.pattern, _EVERYBODY):
            if match := _COLON.match(plain, other.end()):
                told = f"to {text.between(*other.span())}" if joined["toward"] else None
                break
    if match and match["aside"]:
        told = text.between(*match.span("aside"))
    if not match and plain[name.start() - 1 : name.start()] in ("[", "<"):
        match = _BRACKET.match(plain, at)
    if not match and begin["end"] is None:
        match = _QUOTED.match(plain, at)
    if not match:
        return None
    bearers = cast.meant.get(" ".join(name[0].split()), {})
    role = bearers.get(text.between(*name.span()).casefold(), next(iter(bearers.values()), None))
    start = text.places[begin.end("end")] if begin["end"] else 0
    return Label(role, start, text.places[match.end()], told)


def _named(
    plain: str, at: int, cast: re.Pattern[str], others: re.Pattern[str]
) -> Iterator[re.Match[str]]:
    """Yield the names that may be meant at a place, also behind a title."""
    behind = _past(_TITLE, plain, at)
    tried = cast.match(plain, at), cast.match(plain, behind), others.match(plain, behind)
    yield from filter(None, tried)


def _past(optional: re.Pattern[str], plain: str, at: int) -> int:
    found = optional.match(plain, at)
    return found.end() if found else at


@lru_cache(maxsize=512)
def _cast(names: tuple[tuple[str, str], ...]) -> _Cast:
    whole, parts = aliases(dict(names))
    meant: dict[str, dict[str, str]] = {}
    for alias, role in {**parts, **whole}.items():
        if plain := " ".join(_plain_text(alias).split()):
            meant.setdefault(plain, {})[alias.casefold()] = role
    known = map(bounded, sorted(meant, key=len, reverse=True))
    return _Cast(re.compile("|".join(known)), meant)


def _plain_line(text: str) -> _Line:
    if text.isascii():
        return _Line(text, text.lower(), range(len(text) + 1))
    plain = [(character, at) for at, one in enumerate(text) for character in _plain_character(one)]
    return _Line(text, "".join(one for one, _ in plain), [*(at for _, at in plain), len(text)])
