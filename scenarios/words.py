"""Texts as sequences of words that can be counted and compared in any language.

A word is a run of letters, marks and digits that begins with a letter or a digit. One apostrophe or
hyphen within it, and a point, comma or colon between digits, belong to it; so do invisible
characters such as a joiner. In scripts written without spaces every character, with its marks, is a
word.

Invariant: SQL counts with the same characters: simulation/store/sql/words.sql takes them from here.
"""

from __future__ import annotations

import re
import unicodedata

_APOSTROPHES = "'\u2018\u2019\uff07\u00b7\u05f3\u05f4"
"""Characters that hold two parts of a word together; a comparison leaves them out."""
_HYPHENS = "-\u2010\u2011\u05be"
"""Characters that make one word of two; to a comparison they are the first of them."""
_SEPARATORS = ".,:\u066b\u066c"
"""Characters that belong to a number when they stand between digits."""
_INVISIBLE = "\u00ad\u200c\u200d\u2060\ufeff"
"""Characters within words that are not seen, such as the soft hyphen."""
_UNSPACED = (
    "0e01-0e30 0e32-0e33 0e40-0e46 0e50-0e59 "  # Thai
    "0e81-0e82 0e84-0e84 0e86-0e8a 0e8c-0ea3 0ea5-0ea5 0ea7-0eb0 0eb2-0eb3 0ebd-0ebd 0ec0-0ec4 "
    "0ec6-0ec6 0ed0-0ed9 0edc-0edf "  # Lao
    "1000-102a 103f-1049 1050-1055 105a-105d 1061-1061 1065-1066 106e-1070 1075-1081 108e-108e "
    "1090-1099 a9e0-a9e4 a9e6-a9fe aa60-aa76 aa7a-aa7a aa7e-aa7f "  # Burmese
    "1780-17b3 17d7-17d7 17dc-17dc 17e0-17e9 17f0-17f9 "  # Khmer
    "3005-3007 3021-3029 3031-3035 3038-303c 3041-3096 309d-309f 30a1-30fa 30fc-30ff 31f0-31ff "
    "ff66-ff9f 1b000-1b16f "  # kana, and marks of Han
    "3400-4dbf 4e00-9fff f900-faff 20000-3fffd"  # Han
)
"""Letters and digits of the scripts that are written without spaces: ranges of code points."""

_RANGES = [tuple(int(end, 16) for end in pair.split("-")) for pair in _UNSPACED.split()]
_NUMBER = "<n>+(?:<.><n>+)*"
_WORD = f"<u><m>*|(?:{_NUMBER}|<l>)(?:{_NUMBER}|(?:<'>|<->)(?:{_NUMBER}|<l>)|<l>|<m>)*"
_PART = "<u><m>*|(?:<l>|<n>)(?:<l>|<n>|<m>)*"
"""Patterns of kinds of characters: unspaced, letter, number, mark, apostrophe, hyphen, separator.
"""


class _Kinds(dict[int, str]):
    """What each character is to a word, by code point."""

    def __missing__(self, code: int) -> str:
        self[code] = kind = _kind(chr(code))
        return kind


def _kind(character: str) -> str:
    for kind, members in (
        ("'", _APOSTROPHES),
        ("-", _HYPHENS),
        (".", _SEPARATORS),
        ("m", _INVISIBLE),
    ):
        if character in members:
            return kind
    if any(low <= ord(character) <= high for low, high in _RANGES):
        return "u"
    category = unicodedata.category(character)[0]
    return category.lower() if category in "LMN" else " "


def _of_kinds(pattern: str) -> re.Pattern[str]:
    """Return a pattern for texts in which a letter such as `n` stands for each character's kind."""
    return re.compile(re.sub("<(.)>", lambda kind: re.escape(kind[1]), pattern))


_KINDS = _Kinds()
_WORD_KINDS, _PART_KINDS = _of_kinds(_WORD), _of_kinds(_PART)
_FOLDS: dict[int, str | None] = dict.fromkeys(map(ord, _APOSTROPHES + _INVISIBLE)) | dict.fromkeys(
    map(ord, _HYPHENS), _HYPHENS[0]
)


def words(text: str) -> tuple[str, ...]:
    """Return the words of a text in order; letter case, width and apostrophes make no difference.

    ```
    words("Don't \u2014 a well-known 1,000!")     # ("dont", "a", "well-known", "1,000")
    ```
    """
    return _found(_WORD_KINDS, text)


def parts(text: str) -> tuple[str, ...]:
    """Return the words of a text, cut at apostrophes, hyphens and within numbers: for texts that
    may be put down otherwise, and since "I'm" holds a word of its own.
    """
    return _found(_PART_KINDS, text)


def _found(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    spans = (match.span() for match in pattern.finditer(text.translate(_KINDS)))
    return tuple(_folded(text[start:end]) for start, end in spans)


def _folded(word: str) -> str:
    if word.isascii():
        return word.replace("'", "").lower()
    folded = unicodedata.normalize("NFKC", word.translate(_FOLDS)).casefold()
    return "".join(folded.split())


def contains(text: str, phrase: str) -> bool:
    """Return whether the words of `phrase` occur in `text` one after another, hyphenated or not."""
    sought, said = (f" {' '.join(words(one))} ".replace("-", " ") for one in (phrase, text))
    return sought != "  " and sought in said


def length(run: tuple[str, ...]) -> float:
    """Return how much a run of words says, in words of four letters or more.

    A shorter word counts for its share of four letters, since short words are mostly grammar; a
    character of a script without spaces counts for half a word.
    """
    return sum(0.5 if is_unspaced(word) else min(1.0, len(word) / 4) for word in run)


def is_unspaced(word: str) -> bool:
    """Return whether a word is a character of a script that is written without spaces."""
    return any(_KINDS[ord(character)] == "u" for character in word)


def sql_patterns() -> dict[str, str]:
    """Return the patterns of a word, a part and an unspaced character in the syntax of RE2."""
    unspaced = "".join(rf"\x{{{low:x}}}-\x{{{high:x}}}" for low, high in _RANGES)
    classes = {"u": f"[{unspaced}]", "l": rf"[^\PL{unspaced}]", "n": rf"[^\PN{unspaced}]"}
    for kind, start, members in (
        ("m", r"\pM", _INVISIBLE),
        ("'", "", _APOSTROPHES),
        ("-", "", _HYPHENS),
        (".", "", _SEPARATORS),
    ):
        classes[kind] = f"[{start}{_escaped(members)}]"
    return {
        name: re.sub("<(.)>", lambda kind: classes[kind[1]], pattern)
        for name, pattern in (("word", _WORD), ("part", _PART), ("unspaced", "<u>"))
    } | {
        "apostrophes": classes["'"],
        "hyphens": classes["-"],
        "invisible": f"[{_escaped(_INVISIBLE)}]",
    }


def _escaped(members: str) -> str:
    return "".join(rf"\x{{{ord(character):x}}}" for character in members)


_BREAKS = re.compile(r"\s*[\t-\r\x1c-\x1f\x85\u2028\u2029]\s*")
"""What a program may take for the end of a line or paragraph, and tabs, with spaces around."""


def one_line(text: str) -> str:
    """Return a text as one line; spaces of other kinds, which typography may want, stay."""
    return text if text.isprintable() else _BREAKS.sub(" ", text).strip()
