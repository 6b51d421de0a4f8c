"""Models that count what they are asked, and processes that fill a response cache."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agents.models.base import CallFailed, Completion, Model, Prompt, Sampling
from agents.models.cache import CachedModel
from agents.models.fake import FakeModel
from agents.models.response_store import ResponseStore

COUNTS: Counter[str] = Counter()
"""What the models of `counted` were asked: start, close, complete, score."""
Request = tuple[Prompt, Sampling, Mapping[str, Any] | None]


class Counted(FakeModel):
    """The fake model with a price, which counts, and fails as a test says."""

    def __init__(self, name: str = "counted", counts: Counter[str] | None = None) -> None:
        super().__init__(name)
        self.counts = Counter[str]() if counts is None else counts
        self.failing = 0
        """How many of the next calls fail."""
        self.slow_s = 0.0
        """How long a start takes."""

    async def start(self) -> None:
        await asyncio.sleep(self.slow_s)
        self.counts["start"] += 1

    async def close(self) -> None:
        self.counts["close"] += 1

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        self.counts["complete"] += 1
        if self.failing:
            self.failing -= 1
            raise CallFailed("server-error", "HTTP 500")
        done = await super().complete(prompt, sampling, schema)
        text = done.text if sampling.seed is not None else f"draw {self.counts['complete']}"
        return Completion(
            text, "stop", done.prompt_tokens, done.completion_tokens, cost=0.5, endpoint="far"
        )

    async def score(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float]:
        self.counts["score"] += 1
        return await super().score(prompt, options, floor)


def counted(name: str) -> Counted:
    """Return a model that counts in COUNTS."""
    return Counted(name, COUNTS)


@asynccontextmanager
async def cached(
    file: Path, model: Model | None, name: str = "counted", **options: Any
) -> AsyncIterator[CachedModel]:
    """Give a model as one launch has it; without one, answers only come from the cache."""
    responses = ResponseStore(file, strict=model is None)
    one = CachedModel(name, options, responses, model)
    await one.start()
    try:
        yield one
    finally:
        await one.close()
        await responses.close()


async def ask_all(model: CachedModel, requests: Sequence[Request]) -> list[Completion]:
    """Make requests one after the other."""
    return [await model.complete(*request) for request in requests]


def fill(file: Path, first: int, count: int, told: Path) -> None:
    """Keep answers to requests of these numbers, and tell of each once it is there."""

    async def work() -> None:
        with told.open("a", encoding="utf-8") as out:
            async with cached(file, FakeModel(), "fake") as model:
                for number in range(first, first + count):
                    done = await model.complete(f"request {number}", Sampling(seed=number))
                    print(number, done.text, file=out, flush=True)

    asyncio.run(work())
