"""What detectors compare of a text: its words without endings and clitics, and what is more than a
courtesy.

Invariant: the macros `stems` and `without_courtesies` of simulation/store/sql/words.sql are made of
the same patterns, which both Python and RE2 read alike.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path

import yaml

from scenarios.words import parts

_COURTESY = 50
"""Length of a courtesy at most: characters of its words, each with a space behind it, so that in
scripts without spaces, where a character is a word, it is half as many."""
_SENTENCE = "[^.!?\u3002\uff01\uff1f\u061f\u0964\u1362\u2026\n]+"
_STEM = 4
"""First letters of a word that stand for it."""
_ARABIC = "[\u0621-\u064a]"
_HANGUL = "[\uac00-\ud7a3]"


@cache
def _lists() -> dict[str, list[str]]:
    text = Path(__file__).with_name("wording.yaml").read_text(encoding="utf-8")
    data: dict[str, list[str]] = yaml.safe_load(text)
    return data


def _listed(key: str) -> list[str]:
    return _lists()[key]


@cache
def person_words() -> tuple[str, ...]:
    """Return the words that change with who speaks."""
    return tuple(word for line in _listed("person_words") for word in line.split())


def _either(phrases: Iterable[str]) -> str:
    """Return a pattern for one of some phrases, which are rows of parts; a `*` is any ending."""
    rows = dict.fromkeys(phrase.strip() for phrase in phrases)
    return "|".join(row[:-1] + "[^ ]*" if row.endswith("*") else row for row in rows)


@cache
def _substitutions() -> tuple[tuple[str, str], ...]:
    """Return what makes stems of a text whose words have a space on either side, in order.

    Arabic: article with preposition, and endings of pronoun, number and case, after the stemmer
    light10 (Larkey, Ballesteros and Connell 2007). Korean: particles, then two syllables. All: the
    first letters (truncation; McNamee and Mayfield 2004, Information Retrieval 7:73).
    """
    listed = (word for line in _listed("function_words") for word in line.split())
    words = (_row(parts(_bare(word)), "  ").strip() for word in (*person_words(), *listed))
    articles, endings, particles = _listed("clitics")
    short = f"[a-z]{{1,2}}|[\u0430-\u0451\u0454-\u0457]{{1,2}}|{_ARABIC}{{1,2}}"
    return (
        (f" (?:{_either(words)}) ", ""),
        (f" (?:{short}) ", ""),
        (f" (?:{articles})({_ARABIC}{{3,}}) ", r" \1 "),
        (f" ({_ARABIC}{{3,}}?)(?:{endings}) ", r" \1 "),
        (f" ({_HANGUL}+?)(?:{particles}) ", r" \1 "),
        (f" ({_HANGUL}{{2}}){_HANGUL}+ ", r" \1 "),
        (f" ([^ ]{{{_STEM}}})[^ ]+ ", r" \1 "),
        (" +", " "),
    )


def stems(text: str) -> tuple[str, ...]:
    """Return the words of a text without endings and accents, those that say little left out.

    ```
    stems("You lost your job at the bank.")       # ("lost", "job", "bank")
    ```
    """
    row = _bare(_row(parts(text), "  "))
    for pattern, replacement in _substitutions():
        row = re.sub(pattern, replacement, row)
    return tuple(row.split())


@lru_cache(maxsize=4096)
def without_courtesies(text: str) -> str:
    """Return a text without its short sentences of greeting, thanks, apology and the like."""
    if not _courteous(text):
        return text
    return " ".join(said for said in re.findall(_SENTENCE, text) if not _short_courtesy(said))


def row_length(text: str) -> int:
    """Return the length of a text in characters of its words, each with a space behind it."""
    return len(_row(parts(text)).rstrip(" "))


def is_courtesy(text: str) -> bool:
    """Return whether a text of a few words greets, thanks, invites, asks nicely and the like."""
    return re.search(_phrases("requests"), _row(parts(text))) is not None or _courteous(text)


def _short_courtesy(sentence: str) -> bool:
    return row_length(sentence) <= _COURTESY and _courteous(sentence)


def _courteous(text: str) -> bool:
    return re.search(_phrases("courtesies"), _row(parts(text))) is not None


@cache
def _phrases(key: str) -> str:
    """Return a pattern, over a row of parts, for the listed phrases."""
    phrases = (phrase for line in _listed(key) for phrase in line.split("|"))
    rows = (" ".join(parts(one)) + "*" * one.strip().endswith("*") for one in phrases)
    return f" (?:{_either(rows)}) "


def _row(some: Iterable[str], gap: str = " ") -> str:
    return f" {gap.join(some)} "


def _bare(text: str) -> str:
    """Return a text without accents and other marks."""
    letters = unicodedata.normalize("NFD", text)
    return unicodedata.normalize(
        "NFC", "".join(one for one in letters if unicodedata.category(one)[0] != "M")
    )


def sql_wording() -> dict[str, str]:
    """Return what stands for the names in braces in words.sql."""
    stemmed = "strip_accents(replace(folded(line), ' ', '  '))"
    for pattern, replacement in _substitutions():
        stemmed = f"regexp_replace({stemmed}, '{pattern}', '{replacement}', 'g')"
    return {
        "person_words": " ".join(person_words()),
        "stemmed": stemmed,
        "sentence": _SENTENCE,
        "courtesies": _phrases("courtesies"),
        "courtesy_length": str(_COURTESY),
    }
