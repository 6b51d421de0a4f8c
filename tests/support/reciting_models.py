"""Models that are asked for a survey's national shares, given by import path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from survey_models import Answerer

from agents.models.base import CallFailed, Completion, Prompt, Sampling
from eval.item import load_items
from eval.metrics.grid import Grid
from eval.respondents.marginals import load_marginals
from eval.survey.voice import load_voice

COUNTRIES, ITEMS = ("DEU", "MEX", "CHN"), ("Q1", "Q45", "Q57", "Q106", "Q182")
CALLS: list[str] = []
"""Questions asked."""


def people() -> Grid:
    """Return the shipped shares."""
    items = load_items()
    return load_marginals().grid(COUNTRIES, [items[name] for name in ITEMS])


class Reciter(Answerer):
    """Replies with shares; `kind` is what it knows: own, world or nothing."""

    def __init__(self, kind: str) -> None:
        super().__init__(lambda *_: (), lambda *_: "")
        self.kind = kind

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        assert not isinstance(prompt, str)
        text = prompt[-1]["content"]
        CALLS.append(text)
        if self.kind == "failing":
            raise CallFailed("timeout", "too slow")
        return Completion(self._reply(text), "stop", prompt_tokens=100, completion_tokens=20)

    def _reply(self, text: str) -> str:
        if self.kind == "nothing":
            return "I cannot know that."
        voice, grid, items = load_voice("en"), people(), load_items()
        row = next(n for n, c in enumerate(COUNTRIES) if f"in {voice.place(c)} chose" in text)
        wordings = [voice.wording(items[name]).ask for name in ITEMS]
        column = next(n for n, ask in enumerate(wordings) if f": {ask}\n" in text)
        shares = grid.shares[row] if self.kind == "own" else grid.shares.mean(axis=0)
        count = len(re.findall(r"(?m)^\d+[.]?.*$", text))
        return "\n".join(f"{n + 1}. {100 * shares[column, n]:.2f}%" for n in range(count))


def own(name: str) -> Reciter:
    """Return a model that knows each country's shares."""
    return Reciter("own")


def world(name: str) -> Reciter:
    """Return a model that says the world's shares, whichever country is asked for."""
    return Reciter("world")


def nothing(name: str) -> Reciter:
    """Return a model that names no shares."""
    return Reciter("nothing")


def failing(name: str) -> Reciter:
    """Return a model whose calls fail."""
    return Reciter("failing")
