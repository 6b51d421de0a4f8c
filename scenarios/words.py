"""Texts as sequences of words that can be compared in any language.

Invariant: letter case, width, punctuation and apostrophes make no difference; in scripts written
without spaces every character is a word.
"""

from __future__ import annotations

import re
import unicodedata

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"  # kana, Han
)
_APOSTROPHES = re.compile("['\u2019\u02bc]")


def words(text: str) -> tuple[str, ...]:
    """Return the folded words of a text in order."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    spread = _UNSPACED.sub(r" \g<0> ", _APOSTROPHES.sub("", folded))
    kept = (c if unicodedata.category(c)[0] in "LMN" else " " for c in spread)
    return tuple("".join(kept).split())


def contains(text: str, phrase: str) -> bool:
    """Return whether the words of `phrase` occur in `text` one after another."""
    sought = words(phrase)
    return bool(sought) and f" {' '.join(sought)} " in f" {' '.join(words(text))} "


def length(run: tuple[str, ...]) -> float:
    """Return how much a run of words says, in words of four letters or more.

    A shorter word counts for its share of four letters, since short words are mostly grammar; a
    character of a script without spaces counts for half a word.
    """
    return sum(0.5 if _UNSPACED.match(word) else min(1.0, len(word) / 4) for word in run)
