"""Models that break off, fail and dawdle, given by import path, for logs that end in every way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from review_runs import new_words

from agents.models.base import CallFailed, Completion, Prompt, Sampling
from agents.models.fake import FakeModel


class Breaking(FakeModel):
    """Breaks off at one act in twenty, once a few acts have been made."""

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        acts = "action" in (schema or {}).get("properties", {})
        await asyncio.sleep(0)
        if acts and (sampling.seed or 0) % 20 == 0:
            raise ZeroDivisionError("no such number")
        return await super().complete(prompt, sampling, schema)


class Failing(FakeModel):
    """Fails one call in three, and says nothing of use in one of the others in three."""

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        seed = sampling.seed or 0
        if seed % 3 == 0:
            raise CallFailed(
                ("timeout", "refusal", "server-error")[seed % 9 // 3], "no", 1 + seed % 4
            )
        done = await super().complete(prompt, sampling, schema)
        return Completion("Well, " * 5000, "length", 7, None) if seed % 3 == 1 else done


def breaking(name: str) -> FakeModel:
    """Return a model whose errors end episodes."""
    return Breaking(reply=new_words)


def failing(name: str) -> FakeModel:
    """Return a model that often fails."""
    return Failing(reply=new_words)


def slow(name: str) -> FakeModel:
    """Return a model that takes its time."""
    return FakeModel(reply=new_words, latency_s=0.02)
