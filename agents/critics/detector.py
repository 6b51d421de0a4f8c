"""Deterministic detectors: faults of a conversation that need no model to be seen.

Invariant: the same conversation gives the same detections; what a detector cannot tell it does not
flag.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import yaml

from agents.conversation import Conversation, Line, Person, Shared
from agents.critics.wording import is_courtesy, row_length, stems, without_courtesies
from agents.language import speaks
from scenarios.words import is_unspaced, words

_GRAM = 3
"""Words in a row that repetition and echo are measured by."""
_STEMS, _CHARACTERS = 2, 5
"""Stems in a row that leaks are measured by; the same in scripts written without spaces, where a
character is a word."""
_SAID_ONCE = 25
"""Length of a turn that may not be said a second time, by `row_length`; a shorter one, or one of
courtesies, may not be said a third time."""
COPIED_SHARE = 0.5
"""Share of a turn's different word sequences said before that makes it a repeat or an echo."""
_LEAKED_SEQUENCES = 3
"""Sequences of a secret in one turn that give it away; half of them where there are fewer than six,
but two of two."""
_SHORT_WORDS = 3
"""Words of a turn that is too short; in scripts without spaces, characters of one."""
_VOWEL_SIGNS = re.compile("[\u064b-\u0652]")
"""Of Arabic: written or not."""


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
    """Turns at least half of whose three-word sequences the speaker said in earlier turns, or that
    the speaker said before, word for word, at least twice: the rule of the view repetition.

    Of courtesies and short turns only the second counts: people thank and greet each other twice.
    """
    said: set[tuple[str, ...]] = set()
    whole: Counter[tuple[str, ...]] = Counter()
    for line in spoken:
        text = line.text or ""
        own, turn = grams(text), words(text)
        copied = len(own & said) >= COPIED_SHARE * len(own)
        long = row_length(without_courtesies(text)) >= _SAID_ONCE
        if (long and copied) or (turn and whole[turn] > 1):
            yield line
        said |= own
        whole[turn] += 1


def echo(conversation: Conversation, person: Person, spoken: Sequence[Line]) -> Iterator[Line]:
    """Turns at least half of whose three-word sequences are in the spoken turn just before,
    courtesies left out.

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

    Two stems in a row (five characters in scripts without spaces) count that not everybody was
    told; the turn may have one between them, or have them turned round. Words that say little or
    change with the speaker are left out. Paraphrases go unnoticed.
    """
    own = Shared(person.secret or "", (person.role,))
    secrets = [
        ({*each.members}, _telling(each.secret, conversation.public))
        for each in (own, *person.shared)
    ]
    everyone = {each.role for each in conversation.people} - {person.role}
    for line in spoken:
        audience = everyone if line.audience is None else {*line.audience}
        said = _nearby(stems(line.text or ""))
        for members, telling in secrets:
            enough = min(_LEAKED_SEQUENCES, max(-(-len(telling) // 2), min(2, len(telling))))
            found = sum(_holds(said, sequence) for sequence in telling)
            if telling and found >= enough and not audience <= members:
                yield line
                break


def _telling(text: str, public: Sequence[str]) -> list[str]:
    """Return the sequences of a secret that give it away."""
    secret = stems(text)
    size = _CHARACTERS if any(map(is_unspaced, secret)) else _STEMS
    known = _row(stems(" ".join(public)))
    rows = [_row(sequence) for sequence in _sequences(secret, size) if len(sequence) > 1]
    return [row for row in rows if not _holds(known, row)]


def _nearby(said: tuple[str, ...]) -> str:
    """Return rows in which stems that have at most one between them are beside each other."""
    return "|".join(map(_row, (said, said[::2], said[1::2])))


def _holds(text: str, sequence: str) -> bool:
    """Return whether a row of stems holds a sequence; of two stems either may come first."""
    one, _, two = sequence.strip().partition(" ")
    return sequence in text or (" " not in two and _row((two, one)) in text)


def _too_short(
    conversation: Conversation, person: Person, spoken: Sequence[Line]
) -> Iterator[Line]:
    """Turns of up to three words that are no courtesy."""
    for line in spoken:
        text = line.text or ""
        if len(words(text)) <= _SHORT_WORDS and not is_courtesy(text):
            yield line


def _meta_talk(
    conversation: Conversation, person: Person, spoken: Sequence[Line]
) -> Iterator[Line]:
    """Turns in which a machine talks about itself or its task."""
    for line in spoken:
        text = unicodedata.normalize("NFKC", line.text or "").replace("\u2019", "'")
        text = _VOWEL_SIGNS.sub("", text)
        if any(pattern.search(text) for pattern in _meta_talk_patterns()):
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
    """Return every three words in a row, courtesies left out; of a shorter text the text itself."""
    return frozenset(_sequences(words(without_courtesies(text or "")), _GRAM))


def _sequences(text: tuple[str, ...], size: int) -> list[tuple[str, ...]]:
    if len(text) <= size:
        return [text] if text else []
    return [text[start : start + size] for start in range(len(text) - size + 1)]


def _row(some: Sequence[str]) -> str:
    return f" {' '.join(some)} "


def _parts(name: str) -> set[str]:
    return {part.strip(".,:;\uff1a") for part in name.split()}


@cache
def _meta_talk_patterns() -> tuple[re.Pattern[str], ...]:
    """Return a pattern for each language: one for all is searched for four times as long."""
    text = Path(__file__).with_name("detector.yaml").read_text(encoding="utf-8")
    languages: dict[str, list[str]] = yaml.safe_load(text)["meta_talk"]
    return tuple(re.compile("|".join(phrases), re.IGNORECASE) for phrases in languages.values())
