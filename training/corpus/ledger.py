"""The account of a corpus: how many rows there could have been, and what became of each.

Invariant: of every task, candidates and repeats together are the rows kept and the rows dropped.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

REASONS = {
    "other-culture": "of another culture than asked for",
    "other-parties": "of a scene with another number of parties than asked for",
    "error": "the episode ended in an error",
    "budget": "a budget ended the episode",
    "model-failure": "the model's failures ended the episode",
    "endpoint-failure": "failures of the endpoint ended the episode",
    "role-failure": "a role failed to act more than once and in over a third of its turns",
    "dropped": "the policy drops the episode",
    "unreviewed": "not judged yet by a critic that the policy needs",
    "needs-review": "set aside by the policy for people to read",
    "no-act": "the person did nothing that is a turn",
    "no-label": "no act of the episode has a label",
    "draft-no-act": "the act is none, so there is nothing to prefer",
    "draft-unreadable": "the draft cannot be read, or is to do nothing",
    "draft-unjudged": "the draft or the act was not judged",
    "draft-same-words": "the draft has the same words as the act",
    "draft-no-worse": "the critic likes the draft as much as the act",
    "duplicate": "a duplicate of another row",
    "held-out-person": "the person plays in a held-out scenario",
    "mixture": "left over by the mixture",
    "tokens": "beyond the number of tokens asked for",
}
"""Why a row is not in the corpus; of several reasons the first."""
FATES = (
    "error",
    "budget",
    "model-failure",
    "endpoint-failure",
    "role-failure",
    "dropped",
    "unreviewed",
    "needs-review",
)
"""Those that are about the episode; the names are the store's."""


@dataclass(slots=True)
class Ledger:
    """Rows by task, and by reason or split."""

    candidates: Counter[str] = field(default_factory=Counter)
    repeats: Counter[str] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Task and reason."""
    kept: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Task and split."""
    tokens: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Tokens of what is kept."""
    _collected: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Of what is dropped: what was so while rows were collected."""

    def drop(self, task: str, reason: str, rows: int = 1) -> None:
        """Account for rows that an episode does not give."""
        self.dropped[task, reason] += rows
        self._collected[task, reason] += rows

    def noted(self) -> list[tuple[str, str, int]]:
        """Return what `drop` was told, for `drop` to be told again in another process."""
        return [(*key, rows) for key, rows in self._collected.items()]

    def reasons(self, task: str) -> dict[str, int]:
        """Return why rows of a task were dropped, with their number."""
        found = {reason: self.dropped[task, reason] for reason in REASONS}
        return {reason: count for reason, count in found.items() if count}

    def in_split(self, split: str) -> int:
        """Return how many rows a split has."""
        return sum(count for (_, where), count in self.kept.items() if where == split)

    def tokens_in(self, split: str) -> int:
        """Return how many tokens they take."""
        return sum(count for (_, where), count in self.tokens.items() if where == split)
