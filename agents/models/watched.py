"""A model whose calls are counted and told of while somebody waits for it.

Invariant: it answers as the model does; when nothing answers, that ends the work with one line.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from agents.models.base import CallFailed, Completion, Model, ModelUnavailable, Prompt, Sampling
from agents.models.health import Guarded

_IN_VAIN = 3
"""Calls in a row that may fail before the first answer."""
_ABOUT_THE_CALL = ("refusal", "prompt-too-long")
"""Failures that say nothing about the endpoint."""


@dataclass(slots=True)
class Usage:
    """What calls took."""

    calls: int = 0
    tokens: int = 0
    cost: float | None = None


_USAGE: ContextVar[Usage | None] = ContextVar("usage", default=None)


@contextmanager
def metered() -> Iterator[Usage]:
    """Give what the calls take that this task makes of watched models meanwhile."""
    usage = Usage()
    token = _USAGE.set(usage)
    try:
        yield usage
    finally:
        _USAGE.reset(token)


class Watched(Guarded):
    """Passes calls on, and counts calls, tokens, US dollars and failures."""

    def __init__(self, model: Model, most_usd: float | None = None) -> None:
        """No call is made once `most_usd` US dollars are spent."""
        super().__init__(model)
        self._most_usd = most_usd
        self.begun = self.answered = self.tokens = self._in_vain = 0
        self.cost: float | None = None
        self._began = time.monotonic()

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        """Pass the call on. Raises ModelUnavailable after IN_VAIN failures without an answer, and
        where the money is spent."""
        if self._most_usd is not None:
            self._require_money(self._most_usd)
        self.begun += 1
        try:
            found = await super().complete(prompt, sampling, schema)
        except CallFailed as error:
            self._in_vain += error.reason not in _ABOUT_THE_CALL
            if self._in_vain >= _IN_VAIN and not self.answered:
                raise ModelUnavailable(
                    f"{self.name} gave no answer {self._in_vain} times in a row "
                    f"({error.reason}: {error}); what is finished is kept, and the same command "
                    "tries again"
                ) from error
            raise
        self.answered += 1
        tokens = (found.prompt_tokens or 0) + (found.completion_tokens or 0)
        self.tokens += tokens
        self.cost = self.cost if found.cost is None else (self.cost or 0.0) + found.cost
        if (usage := _USAGE.get()) is not None:
            usage.calls, usage.tokens = usage.calls + 1, usage.tokens + tokens
            usage.cost = usage.cost if found.cost is None else (usage.cost or 0.0) + found.cost
        return found

    def _require_money(self, most: float) -> None:
        if self.answered and self.cost is None:
            raise ModelUnavailable(
                f"{self.name} tells no cost, by which to stop at ${most:g}; give its prices, as in "
                "-o 'prices=[0.4, 0.1, 0.4]'"
            )
        spent = self.cost or 0.0
        if spent >= most:
            raise ModelUnavailable(
                f"${spent:.4f} are spent, of ${most:g}; what is finished is kept, and the same "
                "command resumes with as much again"
            )

    def line(self) -> str:
        """Return the state as one line."""
        seconds = time.monotonic() - self._began
        cost = "" if self.cost is None else f" | ${self.cost:.4f}"
        asked = f"{self.answered} of {self.begun} calls answered"
        return f"{asked} | {self.tokens:,} tokens{cost} | {seconds:.0f} s"
