"""What a piece of work leaves for the store.

Invariant: the rows of one record arrive in the store together or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """Rows of the store, by table."""

    rows: dict[str, list[Row]]
    outcome: str
    """What it came to, in a word: the exit reason of an episode, the label of a verdict."""
    shared: dict[str, list[Row]] = field(default_factory=dict)
    """Rows that other records may have as well: cultures, scenarios, personas, templates."""

    @property
    def episode(self) -> Row:
        """The row of the episode that was played."""
        return self.rows["episodes"][0]
