"""Reading a reply as a question with its options, or as the fault that keeps it from being one.

Invariant: reading raises nothing but `Unfit`, whatever the text; what is returned keeps all bounds
of this module, and its options differ.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from agents.reply import Unreadable, read_object
from folkways.text import sound
from scenarios.words import words
from training.culturespa.option import Unfit, declines, phrases, plain_labels

FEWEST_OPTIONS, MOST_OPTIONS = 2, 11
FEWEST_WORDS, MOST_WORDS = 3, 60
"""Words of a question."""
_OPTION_WORDS = 30
"""Words of an option, at most."""
Declining = Literal["drop", "keep", "refuse"]
"""What becomes of options that decline to answer: left out, kept, or a fault of the question."""

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "question": {"type": "string"},
        "options": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": FEWEST_OPTIONS,
            "maxItems": MOST_OPTIONS,
        },
    },
    "required": ["question", "options"],
    "additionalProperties": False,
}
"""JSON Schema of a reply."""

_HEADING = re.compile(
    r"(?:(?:survey )?question|q) ?\d{0,4} ?[:.)] ?|\d{1,3} ?[.)] (?=\D)", re.IGNORECASE
)
_MARKUP = re.compile(r"[<>{}\\`]|https?:")
_QUOTED = re.compile("\"(.*)\"|'(.*)'|\u201c(.*)\u201d")


class Draft(NamedTuple):
    """A question as it was written, without numbering."""

    ask: str
    options: tuple[str, ...]
    left_out: tuple[str, ...]
    """Options that decline to answer, as written."""


def read_draft(reply: str, declining: Declining = "drop") -> Draft:
    """Return the question of a reply. Raises Unfit; docs/culturespa.md lists the faults."""
    try:
        value = read_object(reply, SCHEMA["properties"])
    except Unreadable as error:
        raise Unfit("unreadable") from error
    return _checked_draft(value.get("question"), value.get("options"), declining)


def _checked_draft(question: Any, given: Any, declining: Declining = "drop") -> Draft:
    """Return the question made of a text and a list of options. Raises Unfit for any other value,
    and where a rule is broken.
    """
    if not isinstance(question, str):
        raise Unfit("no-question")
    tidied = _tidy(question)
    ask = _HEADING.sub("", tidied, count=1) if _HEADING.match(tidied) else tidied
    if len(words(ask)) < FEWEST_WORDS:
        raise Unfit("no-question")
    if len(ask.split()) > MOST_WORDS:
        raise Unfit("long-question")
    options = _texts(given)
    left_out = () if declining == "keep" else tuple(o for o in options if declines(o))
    if left_out and declining == "refuse":
        raise Unfit("declining")
    kept = [option for option in options if option not in left_out]
    if len(kept) < FEWEST_OPTIONS:
        raise Unfit("few-options")
    if len(kept) > MOST_OPTIONS:
        raise Unfit("many-options")
    labels = plain_labels(ask, kept)
    _require_choice(labels)
    if any(map(_MARKUP.search, (ask, *labels))):
        raise Unfit("markup")
    if not _asks(ask, labels):
        raise Unfit("bare-statement")
    return Draft(ask, tuple(labels), left_out)


def _texts(given: Any) -> list[str]:
    """Return a list of texts and whole numbers as texts. Raises Unfit for anything else."""
    if not isinstance(given, list) or not given:
        raise Unfit("no-options")
    if not all(isinstance(one, str | int) and not isinstance(one, bool) for one in given):
        raise Unfit("no-options")
    return [_tidy(one if isinstance(one, str) else f"{one:d}") for one in given]


def _require_choice(labels: Sequence[str]) -> None:
    """Raise Unfit for labels that nobody could choose between."""
    if not all(words(label) for label in labels):
        raise Unfit("empty-option")
    if any(len(label.split()) > _OPTION_WORDS for label in labels):
        raise Unfit("long-option")
    if len({words(label) for label in labels}) < len(labels):
        raise Unfit("same-options")


def _asks(ask: str, labels: Sequence[str]) -> bool:
    """Return whether a text is a question, or a statement that its options judge."""
    if "?" in ask or not {*phrases("asking")}.isdisjoint(words(ask)):
        return True
    return not {*phrases("judging")}.isdisjoint(word for label in labels for word in words(label))


def _tidy(text: str) -> str:
    """Return text on one line, without control characters and without quotes around the whole."""
    spaced = " ".join(sound(text).split())
    plain = "".join(c for c in spaced if unicodedata.category(c) != "Cc")
    quoted = _QUOTED.fullmatch(plain)
    return next(filter(None, quoted.groups()), "").strip() if quoted else plain
