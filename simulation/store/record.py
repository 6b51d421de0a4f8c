"""What a piece of work leaves for the store.

Invariant: the rows of one record arrive in the store together or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
LATENCY = "latency_s"
"""Column of the tables whose rows are calls of a model, and of no others."""


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

    @property
    def calls(self) -> list[Row]:
        """The rows that tell of a call of a model: those of tables with the column `latency_s`."""
        told = (rows for rows in self.rows.values() if rows and LATENCY in rows[0])
        return [row for rows in told for row in rows]

    def replaced(self, reason: str) -> Record | None:
        """Return what takes the place of a record that no table can hold: an error, with the
        reason, where it is an episode, None otherwise."""
        if "episodes" not in self.rows:
            return None
        told = {"exit_reason": "error", "exit_detail": f"not stored: {reason}", "turns": 0}
        return Record({"episodes": [self.episode | told]}, "error", self.shared)
