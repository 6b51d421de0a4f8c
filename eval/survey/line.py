"""The lines of a reply as words, numbers and marks, and phrases found among the words.

Invariant: what makes no difference to a reader makes none here, be it letter case, the width or
script of digits, kinds of dashes and quotes, apostrophes or invisible characters. Whole words are
compared; in scripts written without spaces every character is a word.

Time is linear in the length of the text, and no text raises an error.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

Words = tuple[str, ...]

EDGES = " \"'*_`^"
"""Spaces and marks that may surround an answer."""


class _Characters(dict[int, str]):
    """What `str.translate` puts for a character, found out when it is first met."""

    def __init__(self, find: Callable[[str], str]) -> None:
        self._find = find

    def __missing__(self, code: int) -> str:
        return self.setdefault(code, self._find(chr(code)))


_SAME = dict.fromkeys("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029", "\n")
_SAME |= dict.fromkeys("\u2010\u2011\u2212", "-") | dict.fromkeys("\u2018\u2019\u02bc", "'")
_SAME |= dict.fromkeys("\u2012\u2013\u2014\u2015\u301c\uff5e", "~")
_SAME |= dict.fromkeys("\u201e\u201a\u300c\u300d\u300e\u300f", '"') | {"\u20e3": ""}
_MARKS = {"\u3002": ".", "\u3001": ",", "\u060c": ",", "\u066b": ".", "\u2044": "/", "\u066a": "%"}
_NO_SPACES = re.compile(  # Thai, Lao, Burmese, Khmer; kana, Han
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


def _clean(character: str) -> str:
    category = unicodedata.category(character)
    if character in _SAME:
        return _SAME[character]
    if category == "Cf" or "\ufe00" <= character <= "\ufe0f":
        return ""  # invisible
    if category in ("Cc", "Cs") or character.isspace():
        return " "
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if character.isdigit() and unicodedata.decomposition(character).startswith("<su"):
        return "^" + character
    return '"' if category in ("Pi", "Pf") else character


def _shape(character: str) -> str:
    """Return 0 for a digit, u or a for a letter without or with spaces between words, or a mark."""
    category = unicodedata.category(character)
    if character in "0123456789":
        return "0"
    if category[0] in "LMN":
        return "u" if _NO_SPACES.match(character) else "a"
    if character < "\x80":
        return "*" if character in "_`" else character
    return _MARKS.get(character, "$" if category == "Sc" else ";")


_CLEAN, _SHAPE = _Characters(_clean), _Characters(_shape)
_APOSTROPHE = re.compile(r"(?<=[^\W\d_])'(?=[^\W\d_])")


def fold(text: str) -> str:
    """Return a text without what makes no difference, its digits in ASCII, its lines ended by \\n.

    It is normalized in pieces, since a long run of combining marks takes quadratic time.
    """
    clean = text.translate(_CLEAN)
    folded = re.sub(r"\S{1,200}", lambda m: unicodedata.normalize("NFKC", m[0]).casefold(), clean)
    return re.sub(" +", " ", _APOSTROPHE.sub("", folded))


def bare(text: str) -> str:
    """Return a folded text as one line, without what may surround an answer."""
    plain = re.sub(r"[*_`\n ]+", " ", text.replace("~", "-"))
    return plain.strip(EDGES).rstrip(EDGES + ".!\u3002")


class Line(NamedTuple):
    """The words of a line, among them numbers."""

    words: Words
    kinds: str
    """Of each word: 0 number, a word, u character of a script without spaces."""
    gaps: Words
    """The marks and spaces before each word, and after the last."""


_WORD = re.compile(r"0+(?:(?:[.,:/'^+]| ?[-~] ?| |\) ?-?)0+)*|a+|u")
_DASH = re.compile(" ?[-~] ?")


def split(text: str) -> Line:
    """Return the words of a folded line. Digits with marks between them are one number."""
    shape = re.sub(r"(?<=[au])-(?=[au])", " ", text.translate(_SHAPE))
    found = list(_WORD.finditer(shape))
    edges = [0, *(edge for word in found for edge in word.span()), len(shape)]
    words = tuple(_DASH.sub("-", text[slice(*word.span())]) for word in found)
    gaps = tuple(shape[i:j] for i, j in zip(edges[::2], edges[1::2], strict=True))
    return Line(words, "".join(word[0][0] for word in found), gaps)


class Phrases:
    """Finds phrases among words: at each place the longest, and none within another."""

    def __init__(self, phrases: Iterable[Words]) -> None:
        self._by_first: defaultdict[str, list[Words]] = defaultdict(list)
        for phrase in sorted(filter(None, phrases), key=len, reverse=True):
            self._by_first[phrase[0]].append(phrase)

    def find(self, words: Words) -> Iterator[tuple[int, int]]:
        """Yield where phrases begin and end."""
        end = 0
        for start, word in enumerate(words):
            if start >= end and word in self._by_first:
                for phrase in self._by_first[word]:
                    if words[start : start + len(phrase)] == phrase:
                        end = start + len(phrase)
                        yield start, end
                        break
