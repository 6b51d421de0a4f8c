"""The runner: plays a plan's episodes concurrently and hands finished ones to the only writer.

Invariant: what is stored is whole episodes, each once; whatever interrupts a run, the same command
continues it.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from agents.model import Model, ModelUnavailable
from simulation.budget import Budget
from simulation.caller import CallSettings
from simulation.episode import RETRIED, Conditions, Episode, Record, play_episode
from simulation.plan import Plan
from simulation.progress import Progress
from simulation.store import Store

FLUSH_EPISODES = 256
"""Finished episodes that are stored at once at most."""
FLUSH_S = 0.5
"""Longest time in seconds that a finished episode waits for others to be stored with it."""


class Runner:
    """One launch of a run: from the first unplayed episode until done, drained or out of budget."""

    def __init__(
        self, plan: Plan, model: Model, run: Path, progress: Progress, utc: Callable[[], datetime]
    ) -> None:
        self.plan, self.model, self.progress, self.utc = plan, model, progress, utc
        self.store = Store(run)
        config = plan.config
        self.budget = Budget(config.budget, time.monotonic)
        self.conditions = Conditions(
            config.name, model,
            CallSettings(config.model.sampling(), config.model.timeout_s, config.model.repairs),
            plan.form, config.conditioning, plan.personas, plan.cultures, utc,
        )  # fmt: skip
        self.finished: asyncio.Queue[Record | None] = asyncio.Queue()
        self.draining = False
        self._stored = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self, limit: int | None = None) -> str:
        """Play what is not stored yet, `limit` episodes at most, and return why the launch ended.

        done, limit, drained, or the budget that ran out. Raises UserError when the model cannot be
        used or the store cannot be written, and CancelledError after a second interrupt; finished
        episodes are stored in every case.
        """
        started = self.utc()
        todo, self.progress.total, left_out = self._todo(limit)
        reason = "limit" if left_out else "done"
        writer = asyncio.create_task(self._write())
        try:
            await self.model.start()
            with _Interrupts(self), self.progress.shown():
                await self._play(todo, writer)
            reason = self.budget.spent or ("drained" if self.draining else reason)
        except ModelUnavailable:
            reason = "model-unavailable"
            raise
        except asyncio.CancelledError:
            reason = "stopped"
            raise
        finally:
            await self._finish(writer, started, reason)
            await self.model.close()
        return reason

    def _todo(self, limit: int | None) -> tuple[Iterator[Episode], int, bool]:
        """Return the episodes to play, how many they are, and whether the limit left some out."""
        stored: dict[str, tuple[int, str]] = {
            content_hash: (attempt, reason)
            for content_hash, attempt, reason in self.store.episodes()
        }
        todo = []
        for episode in self.plan.episodes():
            attempt, reason = stored.get(episode.content_hash, (0, ""))
            if attempt == 0 or reason in RETRIED:
                todo.append(replace(episode, attempt=attempt + 1))
        self.progress.already = len(self.plan) - len(todo)
        kept = todo if limit is None else todo[:limit]
        return iter(kept), len(kept), len(kept) < len(todo)

    async def _play(self, todo: Iterator[Episode], writer: asyncio.Task[None]) -> None:
        """Keep `concurrency` episodes in progress until none is left, or the first failure."""
        count = min(self.plan.config.concurrency, self.progress.total)
        self._tasks = [asyncio.create_task(self._work(todo)) for _ in range(count)]
        try:
            waiting = {*self._tasks}
            while waiting and not writer.done():
                done, waiting = await asyncio.wait(
                    {*waiting, writer}, return_when=asyncio.FIRST_COMPLETED
                )
                waiting.discard(writer)
                for task in done - {writer}:
                    task.result()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self, todo: Iterator[Episode]) -> None:
        for episode in todo:
            if self.draining or self.budget.spent:
                return
            self.progress.live += 1
            try:
                record = await play_episode(
                    episode, self.conditions, self.budget, self.progress.watch
                )
            finally:
                self.progress.live -= 1
            self.progress.count(record)
            self.finished.put_nowait(record)

    async def _write(self) -> None:
        """Store finished episodes, several in one transaction, until a None arrives."""
        last = False
        while not last:
            batch = [await self.finished.get()]
            if batch[0] is not None and self.finished.empty():
                await asyncio.sleep(FLUSH_S)
            while not self.finished.empty() and len(batch) < FLUSH_EPISODES and batch[-1]:
                batch.append(self.finished.get_nowait())
            records = [record for record in batch if record is not None]
            last = len(records) < len(batch)
            if records:
                await asyncio.to_thread(self.store.append, records)
                self._stored += len(records)

    async def _finish(self, writer: asyncio.Task[None], started: datetime, reason: str) -> None:
        """Store what is finished and note how the launch ended; re-raises what broke the writer."""
        self.finished.put_nowait(None)
        await writer
        budget = self.budget
        launch = {
            "run_id": self.plan.config.name, "started_at": started, "ended_at": self.utc(),
            "episodes": self._stored, "prompt_tokens": budget.prompt_tokens,
            "completion_tokens": budget.completion_tokens, "cost": budget.cost,
            "end_reason": reason,
        }  # fmt: skip
        self.store.add("launches", launch)

    def interrupt(self) -> None:
        """Drain at the first call; stop what is in progress at the second."""
        if self.draining:
            for task in self._tasks:
                task.cancel()
        self.draining = True
        self.progress.note(
            f"finishing {self.progress.live} episodes in progress; "
            "press Ctrl-C again to stop without them"
        )


class _Interrupts:
    """Routes Ctrl-C and SIGTERM to a runner for the time of a block."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, runner: Runner) -> None:
        self.runner = runner

    def __enter__(self) -> None:
        for number in self.SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self.runner.interrupt)

    def __exit__(self, *_: object) -> None:
        for number in self.SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
