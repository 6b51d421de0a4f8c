"""Players that follow a rule or a script instead of a model: `rule:module:function` and
`script:FILE`.

Invariant: a player sees what its role may see, and answers nothing but acts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from agents.models.base import CallFailed, Completion, Model, Prompt, Sampling
from agents.offer import Offer
from folkways.errors import UserError
from folkways.registry import resolve_foreign
from scenarios.parsing.validation import load_model


@dataclass(frozen=True, slots=True)
class Observation:
    """What a role may know at its turn."""

    role: str
    names: Mapping[str, str]
    """Role to the name it goes by, of all roles."""
    phase: str | None
    round: int
    """Repetitions of phases begun; 0 where none is repeated."""
    turn: int
    """Acts made in the scene so far."""
    made: int
    """Acts made by the role."""
    known: Mapping[str, Any]
    """Variables that the role may see: a value, or values by role."""
    offers: tuple[Offer, ...]
    """Acts of the world that are allowed now, with their bounds."""


Move = Mapping[str, Any] | str | None
"""An act of the world as `{"act": NAME, ARGUMENT: VALUE}`, with roles by their id; words to say; or
None to let the moment pass."""
Rule = Callable[[Observation], Move]


class Player:
    """A player that a rule plays."""

    def __init__(self, name: str, rule: Rule, written: bool = False) -> None:
        """`written`: the rule gives lines of a play."""
        self.name, self._rule, self._written = name, rule, written

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        """Raise: only acts are answered, by what `seeing` returns."""
        raise CallFailed("bad-response", f"'{self.name}' answers nothing but acts", 0)

    async def score(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float]:
        """Raise as `complete` does."""
        raise CallFailed("bad-response", f"'{self.name}' answers nothing but acts", 0)

    def reply(self, seen: Observation) -> str:
        """Return its act as a reply. Raises UserError for what is no act."""
        move = self._rule(seen)
        if self._written:
            return str(move)
        if move is None:
            return _talk("none", "")
        if isinstance(move, str):
            return _talk("speak", move)
        if not isinstance(move, Mapping) or "act" not in move:
            raise UserError(
                f"'{self.name}' returned {move!r:.60}; allowed: {{'act': NAME, ...}}, words or None"
            )
        given = {key: value for key, value in move.items() if key != "act"}
        return json.dumps({"action": move["act"], **given}, ensure_ascii=False)


class Seeing:
    """A player at one turn, as a model that is asked for one act."""

    def __init__(self, player: Player, seen: Observation) -> None:
        self.name, self._player, self._seen = player.name, player, seen

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        """Return the act."""
        return Completion(self._player.reply(self._seen), "stop", None, None)

    async def score(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float]:
        """Raise as the player does."""
        return await self._player.score(prompt, options, floor)


def _talk(action: str, text: str) -> str:
    return json.dumps({"action": action, "to": [], "whisper": False, "text": text})


def is_player(name: str) -> bool:
    """Tell whether a model's name is that of a player."""
    return name.startswith(("rule:", "script:"))


def player_of(model: Model) -> Player | None:
    """Return the player behind a model's wrappers, or None where there is a model."""
    inner: Any = model
    while not isinstance(inner, Player) and getattr(inner, "model", None) is not None:
        inner = inner.model
    return inner if isinstance(inner, Player) else None


def from_rule(spec: str) -> Player:
    """Return the player of a function `module:function`. Raises UserError where there is none."""
    return Player(f"rule:{spec}", resolve_foreign("model", spec, {}))


class _Script(BaseModel):
    """The file behind `script:FILE`."""

    model_config = ConfigDict(extra="forbid")
    plays: dict[str, list[str]]
    """Role to its lines and acts in order, as in the form `script`; `*` for any other role. The
    last one is repeated."""


def from_script(spec: str) -> Player:
    """Return the player of a file. Raises UserError for a bad file."""
    plays = load_model(Path(spec), _Script)[0].plays

    def rule(seen: Observation) -> Move:
        lines = plays.get(seen.role) or plays.get("*") or ["[says nothing]"]
        return lines[min(seen.made, len(lines) - 1)]

    return Player(f"script:{spec}", rule, written=True)
