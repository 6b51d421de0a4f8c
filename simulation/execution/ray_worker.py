"""A worker of a cluster: does batches of items with engines of its own, and writes shards.

Invariant: what it says is finished is in a shard; an item is in a shard whole or not at all.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from agents.models.response_store import ResponseStore
from folkways.clock import utc_now
from folkways.registry import Code, set_code
from scenarios.culture import Culture, know_cultures
from simulation.episode.budget import Budget, BudgetConfig
from simulation.execution.model_manager import ModelManager
from simulation.execution.progress import Progress
from simulation.execution.task import Task, Tools
from simulation.store.manifest import Manifest
from simulation.store.record import Record
from simulation.store.shards import Finished, ShardDirectory, ShardWriter

_SHARD_S = 1.0
"""Longest time in seconds that a finished item waits for others to be written with it; it waits
for none when nothing else is in hand."""
_SHARD_ITEMS = 512
"""Finished items that are written at once at most."""


_Entry = tuple[Finished, asyncio.Future[Manifest]]


class Done(NamedTuple):
    """What came of a batch."""

    manifests: list[Manifest]
    """Shards that hold its finished items, and perhaps others'."""
    unfinished: list[int]
    """Numbers of the items that were not begun."""
    spent: str | None
    """The budget that ran out, if one did."""
    set_aside: list[tuple[Record, str]]
    """Records that no table can hold, each with the reason."""
    warnings: list[str]
    """What is to be said to whoever watches the run."""


class _Warnings(logging.Handler):
    """Collects warnings that nobody would read in a worker's own log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a warning as it would be printed."""
        self.texts.append(record.getMessage())


class Worker:
    """Does a task, so many items at once."""

    def __init__(
        self,
        task: Task[Any],
        directory: ShardDirectory,
        name: str,
        concurrency: int,
        limits: BudgetConfig,
        responses: ResponseStore | None,
        code: Code | None = None,
        cultures: Iterable[Culture] = (),
    ) -> None:
        """`code` and `cultures` are what the user has allowed and added."""
        set_code(code or Code())
        know_cultures(cultures)
        self.task, self.limits = task, limits
        self.writer = ShardWriter(directory, name, task.stage)
        self.concurrency = concurrency
        self.draining = False
        self.engines = ModelManager(responses)
        self._before: tuple[int, int, float | None] = (0, 0, None)
        self._warnings = _Warnings()

    async def start(self) -> None:
        """Load the engines. Raises UserError or ModelUnavailable where one cannot be."""
        logging.getLogger().addHandler(self._warnings)
        self.budget = Budget(self.limits, time.monotonic)
        tools = Tools(self.engines, self.budget, utc_now, Progress(quiet=True))
        self.models, self.work = self.task.open(tools)
        for model in self.models:
            await model.start()
        self._gate = asyncio.Semaphore(self.concurrency)
        self._finished: asyncio.Queue[_Entry | None] = asyncio.Queue()
        self._in_hand, self._idle = 0, asyncio.Event()
        self._writing = asyncio.create_task(self._write())

    async def do(self, items: Sequence[tuple[int, Any]]) -> Done:
        """Do items, given with their numbers, and return once what is finished is written."""
        found = await asyncio.gather(*(self._one(number, item) for number, item in items))
        manifests = {one.shard: one for one in found if one is not None}
        unfinished = [number for (number, _), one in zip(items, found, strict=True) if one is None]
        aside, self.writer.set_aside = self.writer.set_aside, []
        warnings, self._warnings.texts = self._warnings.texts, []
        return Done(list(manifests.values()), unfinished, self.budget.spent, aside, warnings)

    async def _one(self, number: int, item: Any) -> Manifest | None:
        records: list[Record] = []
        self._in_hand += 1
        self._idle.clear()
        try:
            async with self._gate:
                if self.draining or self.budget.spent:
                    return None
                await self.work(item, records.append)
        finally:
            self._in_hand -= 1
            if not self._in_hand:
                self._idle.set()
        turns = sum(len(record.rows.get("turns", ())) for record in records)
        stored: asyncio.Future[Manifest] = asyncio.get_running_loop().create_future()
        self._finished.put_nowait((Finished(number, records, turns), stored))
        return await stored

    async def _write(self) -> None:
        """Write what is finished, several items in one shard, until a None arrives."""
        last = False
        while not last:
            entries = [await self._finished.get()]
            if entries[0] is not None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_SHARD_S):
                        await self._idle.wait()
            while not self._finished.empty() and len(entries) < _SHARD_ITEMS and entries[-1]:
                entries.append(self._finished.get_nowait())
            batch = [entry for entry in entries if entry is not None]
            last = len(batch) < len(entries)
            if not batch:
                continue
            items = [item for item, _ in batch]
            try:
                manifest = await asyncio.to_thread(self.writer.append, items, self._since())
            except Exception as error:  # whoever waits for these items raises it
                for _, stored in batch:
                    stored.set_exception(error)
            else:
                for _, stored in batch:
                    stored.set_result(manifest)

    def _since(self) -> tuple[int, int, float | None]:
        """Return the prompt and completion tokens and the US dollars used since the last call."""
        now = (self.budget.prompt_tokens, self.budget.completion_tokens, self.budget.cost)
        prompt, completion, cost = self._before
        self._before = now
        dollars = None if now[2] is None else now[2] - (cost or 0.0)
        return now[0] - prompt, now[1] - completion, dollars

    async def drain(self) -> None:
        """Begin no further item."""
        self.draining = True

    async def close(self) -> None:
        """Write what is finished, and close the engines."""
        self.draining = True
        self._finished.put_nowait(None)
        await self._writing
        for model in self.models:
            await model.close()
        await self.engines.close()
        logging.getLogger().removeHandler(self._warnings)
