"""Faults of a single act that need no model to be seen: what a draft is given up for, and what the
bench of play counts.

Invariant: an act is compared with what came before it and with what its speaker was told; nothing
that came later changes its faults.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path

import yaml

from agents.conversation import Conversation, Line, Person
from agents.critics.detector import COPIED_SHARE, DETECTORS, grams
from scenarios.words import is_unspaced, words

_OF_WORDS = (
    "repetition",
    "echo",
    "speaks-for-others",
    "wrong-language",
    "secret-leak",
    "meta-talk",
)
"""Detectors of whole scenes that also tell of a single act."""
_FEWEST_WORDS = 4
"""Words below which a text may stand in a prompt by chance."""
_SAME_DIRECTION = 0.8
"""Share of a stage direction's words that stand in an earlier one that it repeats."""
_CONTENT_LETTERS = 5
"""Letters from which a word counts as one that says what a text is about."""


def faults(scene: Conversation, person: Person, line: Line, told: str) -> tuple[str, ...]:
    """Return the faults of an act, whose scene may go on after it, by name.

    `told` is what stands in the speaker's prompt before anything is said.
    """
    earlier = [one for one in scene.turns if one.turn is not None and one.turn < (line.turn or 0)]
    found = [
        ("silent", line.action in (None, "none")),
        ("copied-from-prompt", _is_copied(line, told)),
        ("repeated-direction", line.action == "non-verbal" and _is_old(line, earlier, told)),
    ]
    if line.words:
        until = scene.until(line.turn) if line.turn is not None else scene
        spoken = [one for one in until.turns if one.role == person.role and one.words]
        found += [(name, line in DETECTORS[name][0](until, person, spoken)) for name in _OF_WORDS]
        found.append(("said-before", _is_said_before(line, earlier)))
        found.append(("assistant-voice", bool(_assistant().search(_plain(line.text)))))
    return tuple(name for name, holds in found if holds)


def content_words(text: str | None) -> frozenset[str]:
    """Return the words that say what a text is about: those of five letters or more, and in
    scripts without spaces every character.
    """
    found = words(text or "")
    return frozenset(w for w in found if len(w) >= _CONTENT_LETTERS or is_unspaced(w))


def _is_copied(line: Line, told: str) -> bool:
    """Tell whether at least half of a text's three-word sequences stand in the prompt."""
    if len(words(line.text or "")) < _FEWEST_WORDS:
        return False
    own = grams(line.text)
    return bool(own) and len(own & _grams_of(told)) >= COPIED_SHARE * len(own)


def _is_said_before(line: Line, earlier: Sequence[Line]) -> bool:
    """Tell whether one earlier act, whoever made it, holds at least half of a text; courtesies are
    left out."""
    own = grams(line.text)
    return bool(own) and any(
        len(own & grams(one.text)) >= COPIED_SHARE * len(own)
        for one in earlier
        if one.words and not (line.step and one.step == line.step)
    )


def _is_old(line: Line, earlier: Sequence[Line], told: str) -> bool:
    """Tell whether a stage direction was given before, or stands in the prompt."""
    own = frozenset(words(line.text or ""))
    given = [frozenset(words(one.text or "")) for one in earlier if one.action == "non-verbal"]
    in_prompt = bool(own) and f" {' '.join(words(line.text or ''))} " in _row_of(told)
    return in_prompt or any(len(own & one) >= _SAME_DIRECTION * len(own) for one in given)


def _plain(text: str | None) -> str:
    return (text or "").replace("\u2019", "'")


@cache
def _assistant() -> re.Pattern[str]:
    text = Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
    phrases = [one for some in yaml.safe_load(text)["assistant_voice"].values() for one in some]
    return re.compile("|".join(phrases), re.IGNORECASE)


@lru_cache(maxsize=64)
def _grams_of(told: str) -> frozenset[tuple[str, ...]]:
    return grams(told)


@lru_cache(maxsize=64)
def _row_of(told: str) -> str:
    return f" {' '.join(words(told))} "
