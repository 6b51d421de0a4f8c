"""Games in miniature for tests: a common pool, and players who follow a script."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scenes import play, scenario, text_of, who_asks

from agents.models.base import Prompt
from agents.models.fake import Reply
from scenarios.scenario import Scenario
from simulation.store.record import Record

LAKE: dict[str, Any] = {
    "world": {
        "pool": {"type": "integer", "start": 100, "min": 0},
        "wealth": {"type": "integer", "each": "role", "visible": "owner"},
    },
    "acts": {
        "fish": {
            "args": {"tons": {"type": "integer", "min": 0, "max": "pool", "shares": "pool"}},
            "effects": {"pool": "pool - tons", "wealth[self]": "wealth[self] + tons"},
            "hears": "nobody",
            "says": "{self} comes back from the lake.",
        }
    },
    "phases": [
        {"id": "harvest", "policy": "simultaneous", "acts": ["fish"], "until": {"rounds": 1}},
        {
            "id": "spring",
            "acts": [],
            "before": {"pool": "min(100, 2 * pool)"},
            "report": "The lake now holds {pool} tons.",
        },
    ],
    "repeat": {"phases": ["harvest", "spring"], "times": 12, "until": "pool < 5"},
    "payoff": "wealth[self]",
    "limits": {"turns": 100},
}
"""A lake that three people fish, and that doubles every spring up to 100 tons."""


def lake(**fields: Any) -> Scenario:
    """Return the lake with other fields."""
    return scenario(3, **{**LAKE, **fields})


def act(name: str, **args: Any) -> str:
    """Return an act of a world as a reply in the form `json`."""
    return json.dumps({"action": name, **args})


def by_role(lines: Mapping[str, Sequence[str]]) -> Reply:
    """Return replies of each role in order; the last one again and again."""
    used = dict.fromkeys(lines, 0)

    def reply(prompt: Any, *_: object) -> str:
        role = who_asks(prompt)
        line = lines[role][min(used[role], len(lines[role]) - 1)]
        used[role] += 1
        return line

    return reply


def played(scene: Scenario, lines: Mapping[str, Sequence[str]] | Reply, **more: Any) -> Record:
    """Play a scene with the lines of each role, or a reply function."""
    reply = lines if callable(lines) else by_role(lines)
    return play(scene, reply, **{"repairs": 0, **more})


def series(record: Record, variable: str, role: str | None = None) -> list[Any]:
    """Return the values of a variable in order, as numbers where they are."""
    rows = [r for r in record.rows["world"] if r["variable"] == variable and r["role"] == role]
    return [row["value"] if row["number"] is None else row["number"] for row in rows]


def payoffs(record: Record) -> dict[str, float | None]:
    """Return payoffs by role."""
    return {row["role"]: row["payoff"] for row in record.rows["payoffs"]}


def decided(record: Record, *columns: str) -> list[tuple[Any, ...]]:
    """Return columns of the decisions."""
    return [tuple(row[column] for column in columns) for row in record.rows["decisions"]]


class Players:
    """A reply function for a scene with a game master that keeps what both were told."""

    def __init__(self, judged: Callable[[], str], line: str) -> None:
        self.judged, self.line = judged, line
        self.judge: list[str] = []
        self.agents: list[str] = []

    def __call__(self, prompt: Prompt, sampling: object, schema: Any) -> str:
        judges = "choice" in (schema or {}).get("properties", ())
        (self.judge if judges else self.agents).append(text_of(prompt))
        return self.judged() if judges else self.line
