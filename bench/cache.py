"""The response cache: what a call costs that asks and keeps, or that is answered from the file.

A thousand callers at once, prompts of 5,000 characters and replies of 300, a model that takes no
time; CPU time, as the machine may be shared.

Run it with: python bench/cache.py [CALLS]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agents.models.base import Message, Model, Sampling
from agents.models.cache import CachedModel, recall
from agents.models.fake import FakeModel
from agents.models.response_store import ResponseStore

CALLERS = 1000
REPLY = "words " * 50
PROMPT: list[Message] = [
    {"role": "system", "content": "x" * 3000}, {"role": "user", "content": "y" * 2000},
]  # fmt: skip


async def ask(model: Model, number: int) -> None:
    """Make a call as a run does."""
    sampling = Sampling(seed=number)
    if await recall(model, PROMPT, sampling) is None:
        await model.complete(PROMPT, sampling)


async def cpu_ms(model: Model, calls: int, call: Callable[[Model, int], Awaitable[None]]) -> float:
    """Return the CPU time of a call, in milliseconds."""
    numbers = iter(range(calls))

    async def caller() -> None:
        for number in numbers:
            await call(model, number)

    began = time.process_time()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return (time.process_time() - began) / calls * 1000


async def measure(file: Path, calls: int) -> None:
    """Print the table."""
    fake = FakeModel(reply=lambda *_: REPLY)
    print(f"without a cache  {await cpu_ms(fake, calls, ask):.3f} ms of CPU a call")
    for what in ("asked and kept", "from the cache"):
        responses = ResponseStore(file)
        model = CachedModel("fake", {}, responses, fake)
        print(f"{what:<16} {await cpu_ms(model, calls, ask):.3f} ms of CPU a call")
        await responses.close()
    print(f"file             {file.stat().st_size / calls:.0f} bytes a response")


def main() -> None:
    """Print the table."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder) / "responses.sqlite", calls))


if __name__ == "__main__":
    main()
