"""The engines of one command, opened once however many stages use them.

Invariant: each model is loaded at most once, when it is first needed, and given back at the end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from agents.model import Completion, Model, Prompt, Sampling, open_model


class Lent:
    """A model that outlives the stage it is lent to: it starts once, and closing it does
    nothing.
    """

    def __init__(self, model: Model) -> None:
        self.model, self.name, self.started = model, model.name, False

    async def start(self) -> None:
        """Start the model, unless it has been."""
        if not self.started:
            await self.model.start()
            self.started = True

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        """Pass the call on."""
        return await self.model.complete(prompt, sampling, schema)

    async def score(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float]:
        """Pass the call on."""
        return await self.model.score(prompt, options, floor)

    async def close(self) -> None:
        """Do nothing: others may still use the model."""


class Engines:
    """Models by name."""

    def __init__(self) -> None:
        self._lent: dict[str, Lent] = {}

    def lend(self, name: str, options: Mapping[str, Any]) -> Lent:
        """Return a model, opened with the options the first time its name is asked for."""
        if name not in self._lent:
            self._lent[name] = Lent(open_model(name, options))
        return self._lent[name]

    def lend_as(self, name: str, model: Model) -> None:
        """Have a name stand for a model that somebody else has opened."""
        self._lent[name] = Lent(model)

    async def close(self) -> None:
        """Close every model that was started."""
        for lent in self._lent.values():
            if lent.started:
                await lent.model.close()
