"""Deterministic detectors: faults of a conversation that need no model to be seen.

Invariant: the same conversation gives the same detections; what a detector cannot tell it does not
flag.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import yaml

from agents.conversation import Conversation, Line, Person, Shared
from agents.language import speaks
from scenarios.words import is_unspaced, parts, words

_GRAM = 3
"""Words in a row that repetition, echo and leaks are measured by."""
_CHARACTER_GRAM = 5
"""The same in scripts written without spaces, where a character is a word, for leaks."""
COPIED_SHARE = 0.5
"""Share of a turn's different word sequences said before that makes it a repeat or an echo."""
_LEAKED_SEQUENCES = 3
"""Sequences of a secret in one turn that give it away; half of them where there are fewer than six.
"""
_SHORT_WORDS = 3
"""Words of a turn that is too short; in scripts without spaces, characters of one."""


class Detection(NamedTuple):
    """What one detector measured of one role."""

    detector: str
    role: str
    value: float
    """Share of the role's spoken turns that have the fault, 0 to 1."""
    flagged: bool
    turns: tuple[int, ...]
    evidence: str | None


Faulty = Callable[[Conversation, Person, Sequence[Line]], Iterator[Line]]
"""A detector: from a conversation, a role and the turns it spoke, in order, to the faulty ones."""


def detect(conversation: Conversation) -> list[Detection]:
    """Run all detectors on every role that spoke."""
    found = []
    for person in conversation.speakers:
        spoken = [line for line in conversation.turns if line.role == person.role and line.words]
        for name, (faulty, threshold) in DETECTORS.items() if spoken else ():
            lines = list(faulty(conversation, person, spoken))
            share = len(lines) / len(spoken)
            turns = tuple(line.turn for line in lines if line.turn is not None)
            evidence = lines[0].text if lines else None
            flagged = bool(lines) and share >= threshold
            found.append(Detection(name, person.role, share, flagged, turns, evidence))
    return found


def _repetition(
    conversation: Conversation, person: Person, spoken: Sequence[Line]
) -> Iterator[Line]:
    """Turns at least half of whose three-word sequences the speaker said in earlier turns."""
    said: set[tuple[str, ...]] = set()
    for line in spoken:
        own = grams(line.text)
        if own and len(own & said) >= COPIED_SHARE * len(own):
            yield line
        said |= own


def echo(conversation: Conversation, person: Person, spoken: Sequence[Line]) -> Iterator[Line]:
    """Turns at least half of whose three-word sequences are in the spoken turn just before.

    What two say in the same step is no echo: neither could hear the other.
    """
    talk = [line for line in conversation.turns if line.words]
    before = {line.turn: earlier for earlier, line in pairwise(talk)}
    for line in spoken:
        earlier, own = before.get(line.turn), grams(line.text)
        if (
            earlier is None
            or earlier.role == line.role
            or (line.step and earlier.step == line.step)
        ):
            continue
        if own and len(own & grams(earlier.text)) >= COPIED_SHARE * len(own):
            yield line


def _speaks_for_others(
    conversation: Conversation, person: Person, spoken: Sequence[Line]
) -> Iterator[Line]:
    """Turns that hold a line of another person's: a name, a colon, and words.

    The name begins the turn or a sentence, so that "I told Ana: go home" is no such line.
    """
    others = {other.name for other in conversation.people if other.role != person.role}
    names = others.union(*map(_parts, others)) - _parts(person.name) - {person.name}
    names = {name for name in names if len(name) > 1}
    if not names:
        return
    either = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    cue = re.compile(
        rf"(?:^|[^\w\s,;:\u3001\uff0c-])\W{{0,3}}(?:{either})[*_]{{0,2}}"
        r"(?: ?[(\[][^()\[\]]{1,60}[)\]])? ?[:\uff1a][\W_]{0,6}\w",
        re.MULTILINE,
    )
    yield from (line for line in spoken if cue.search(line.text or ""))


def _wrong_language(
    conversation: Conversation, person: Person, spoken: Sequence[Line]
) -> Iterator[Line]:
    """Turns that are surely not in the language the role speaks."""
    yield from (line for line in spoken if not speaks(line.text or "", person.language))


def _secret_leak(
    conversation: Conversation, person: Person, spoken: Sequence[Line]
) -> Iterator[Line]:
    """Turns that hold a secret's own words and are heard by somebody who was not told it: the rule
    of the view secret_leaks. A role's own secret was told to nobody else, a team's to its members.

    Three-word sequences (five characters in scripts without spaces) count that not everybody was
    told and that hold no word which changes with the speaker. Paraphrases go unnoticed.
    """
    own = Shared(person.secret or "", (person.role,))
    secrets = [
        ({*each.members}, _telling(each.secret, conversation.public))
        for each in (own, *person.shared)
    ]
    everyone = {each.role for each in conversation.people} - {person.role}
    for line in spoken:
        audience = everyone if line.audience is None else {*line.audience}
        said = _row(parts(line.text or ""))
        for members, telling in secrets:
            enough = min(_LEAKED_SEQUENCES, -(-len(telling) // 2))
            found = sum(sequence in said for sequence in telling)
            if telling and found >= enough and not audience <= members:
                yield line
                break


def _telling(text: str, public: Sequence[str]) -> list[str]:
    """Return the sequences of a secret that give it away."""
    secret = parts(text)
    size = _CHARACTER_GRAM if any(map(is_unspaced, secret)) else _GRAM
    known = _row(parts(" ".join(public)))
    own = [g for g in _sequences(secret, size) if not _person_words() & set(g)]
    return [sequence for sequence in map(_row, own) if sequence not in known]


def _too_short(
    conversation: Conversation, person: Person, spoken: Sequence[Line]
) -> Iterator[Line]:
    """Turns of one to three words."""
    yield from (line for line in spoken if len(words(line.text or "")) <= _SHORT_WORDS)


def _meta_talk(
    conversation: Conversation, person: Person, spoken: Sequence[Line]
) -> Iterator[Line]:
    """Turns in which a machine talks about itself or its task."""
    for line in spoken:
        text = unicodedata.normalize("NFKC", line.text or "").replace("\u2019", "'")
        if _meta_phrases().search(text):
            yield line


DETECTORS: Mapping[str, tuple[Faulty, float]] = {
    "repetition": (_repetition, 0.3),
    "echo": (echo, 0.3),
    "speaks-for-others": (_speaks_for_others, 0.0),
    "wrong-language": (_wrong_language, 0.2),
    "secret-leak": (_secret_leak, 0.0),
    "too-short": (_too_short, 0.6),
    "meta-talk": (_meta_talk, 0.0),
}
"""Detectors with the share of a role's spoken turns from which they flag it."""


def grams(text: str | None) -> frozenset[tuple[str, ...]]:
    """Return every three words in a row; of a shorter text the text itself."""
    return frozenset(_sequences(words(text or ""), _GRAM))


def _sequences(text: tuple[str, ...], size: int) -> list[tuple[str, ...]]:
    if len(text) <= size:
        return [text] if text else []
    return [text[start : start + size] for start in range(len(text) - size + 1)]


def _row(some: Sequence[str]) -> str:
    return f" {' '.join(some)} "


def _parts(name: str) -> set[str]:
    return {part.strip(".,:;\uff1a") for part in name.split()}


@cache
def _data() -> dict[str, list[str]]:
    text = Path(__file__).with_name("detector.yaml").read_text(encoding="utf-8")
    data: dict[str, list[str]] = yaml.safe_load(text)
    return data


@cache
def _person_words() -> frozenset[str]:
    return frozenset(word for line in _data()["person_words"] for word in line.split())


@cache
def _meta_phrases() -> re.Pattern[str]:
    return re.compile("|".join(_data()["meta_talk"]), re.IGNORECASE)
