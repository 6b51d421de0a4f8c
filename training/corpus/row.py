"""A row of a corpus: one chat, and where it comes from.

Invariant: messages are a system message, then user and assistant in turn, ending with the
assistant; the id of a row is a hash of what it says.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agents.models.base import Message
from folkways.provenance import short_hash

Count = Callable[[Sequence[Message]], int]
"""How many tokens some messages take."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row comes from; the same for all rows of an episode but for role and persona."""

    episode: str
    scenario: str
    family: str
    """The scenario that this one was adapted from, or its own id."""
    culture: str
    """ISO 3166 alpha-3: of the focal person where there is one, else of the scene."""
    language: str
    """BCP 47 tag."""
    model: str
    """The model that played."""
    parties: int
    """Roles of the scene."""
    people: tuple[str, ...]
    """Ids of all personas of the scene."""
    role: str | None = None
    """The focal role; null where the row is about everyone."""
    persona: str | None = None
    """Id of the persona in it."""


@dataclass(frozen=True, slots=True)
class CorpusRow:
    """One training example."""

    task: str
    messages: tuple[Message, ...]
    turns: tuple[int, ...]
    """Number of the act that each assistant message is, or is about."""
    origin: Origin
    rejected: str | None = None
    """Preference pairs: what the last message might have been instead, and was worse."""

    @property
    def id(self) -> str:
        """Hash of task and content."""
        return _hash([self.task, self.messages, self.rejected])

    @property
    def likeness(self) -> str:
        """Hash of what makes a row a duplicate: task, system and assistant messages, white space
        folded. Where the assistant is one of the people, what the others say does not count; where
        it labels what all of them say, it does.
        """
        heard = self.origin.role is None
        own = [m["content"] for m in self.messages if heard or m["role"] != "user"]
        return _hash([self.task, *(" ".join(text.split()) for text in own), self.rejected])

    def meta(self) -> dict[str, Any]:
        """Return what is known of the row beside its messages, under the store's names."""
        origin = self.origin
        return {
            "task": self.task,
            "episode_id": origin.episode,
            "role": origin.role,
            "persona_id": origin.persona,
            "persona_ids": list(origin.people),
            "scenario_id": origin.scenario,
            "culture_id": origin.culture,
            "language": origin.language,
            "model": origin.model,
            "turns": list(self.turns),
            "parties": origin.parties,
        }


def cut_at_turn(messages: Sequence[Message], limit: int, count: Count) -> list[Message] | None:
    """Return as many messages from the start as take at most `limit` tokens.

    Whole pairs of user and assistant go from the end, so no assistant message is ever cut in the
    middle; a user message without an answer at the end goes too. None where no pair is left.
    `count` must not fall as messages are added.
    """
    start = 1 if messages and messages[0]["role"] == "system" else 0
    pairs = (len(messages) - start) // 2
    sizes = range(1, pairs + 1)
    kept = bisect_right(sizes, limit, key=lambda n: count(messages[: start + 2 * n]))
    return list(messages[: start + 2 * kept]) if kept else None


def _hash(value: Any) -> str:
    return short_hash(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
