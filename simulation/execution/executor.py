"""An executor: workers that do a list concurrently and hand what is finished to the only writer.

Invariant: what is finished is stored, whatever interrupts the work; what is not finished leaves
nothing behind.
"""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from agents.models.base import Model, ModelUnavailable
from folkways.errors import UserError
from folkways.event_loop import heed_interrupts, ignore_interrupts
from simulation.episode.budget import Budget
from simulation.execution.heartbeat import Heartbeat
from simulation.execution.placement import Cluster, prepare_ray
from simulation.execution.progress import Progress
from simulation.store.record import Record
from simulation.store.writer import SET_ASIDE, Store

if TYPE_CHECKING:
    from simulation.execution.task import Task, Tools

_FLUSH_RECORDS = 256
"""Finished records that are stored at once at most."""
_FLUSH_S = 0.5
"""Longest time in seconds that a finished record waits for others to be stored with it."""
_SETTLE_S = 30.0
"""Seconds that the end of the work waits for whoever holds the store."""
_COLLECTED_EVERY, _USUAL = 100_000, gc.get_threshold()
"""New objects after which Python looks for cycles, while there is work and otherwise."""

Item = TypeVar("Item")
Emit = Callable[[Record], None]
Work = Callable[[Item, Emit], Awaitable[None]]
"""Does one item and hands over each record as it is finished."""


class Opened(NamedTuple, Generic[Item]):
    """Work that is ready to be done."""

    models: Sequence[Model]
    """Models it needs, not yet started."""
    work: Work[Item]


class Incomplete(UserError):
    """All has been tried, and some of it is to be tried again."""


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Have Python look for cycles seldom, and not among what is loaded: with thousands of episodes
    in memory its default, every 700 new objects, takes a fifth of the time.
    """
    gc.freeze()
    gc.set_threshold(_COLLECTED_EVERY, *_USUAL[1:])
    try:
        yield
    finally:
        gc.set_threshold(*_USUAL)
        gc.unfreeze()


class Executor(Generic[Item]):
    """Works with models on items, within one budget, until done, drained or out of budget."""

    def __init__(
        self,
        opened: Opened[Item],
        store: Store,
        budget: Budget,
        progress: Progress,
        concurrency: int,
    ) -> None:
        self.models, self.work = opened
        self.store, self.budget = store, budget
        store.say = progress.note
        self.progress, self.concurrency = progress, concurrency
        self.draining = False
        self._unavailable: ModelUnavailable | None = None
        self.heartbeat = Heartbeat(store.path.parent, progress, budget, self.models)
        written = budget.completion_tokens
        self._before = (budget.prompt_tokens, written, budget.cost)
        progress.written = lambda: budget.completion_tokens - written
        self._finished: asyncio.Queue[Record | None] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    async def run(
        self,
        items: Iterator[Item],
        count: int,
        ended: Callable[[str], None],
        missing: Callable[[], str | None] = lambda: None,
    ) -> str:
        """Do `count` items and return why the work ended: done, drained, or the spent budget.

        `ended` is called with that reason, and with incomplete, stopped, model-unavailable or error
        where an exception ends the work; `missing` is asked at the end of work that is done, and
        says what of it is not, if anything. Raises Incomplete then, UserError when a model cannot
        be used or the store cannot be written, and CancelledError after a second interrupt;
        finished records are stored in every case.
        """
        reason, left = "done", None
        self.heartbeat.start()
        writer = asyncio.create_task(self._write())
        try:
            for model in self.models:
                await model.start()
            self.progress.state = "working"
            with self._interruptible(), self.progress.shown(), _seldom_collected():
                await self._do_all(items, count, writer)
            reason = self.budget.spent or ("drained" if self.draining else reason)
        except ModelUnavailable:
            reason = "model-unavailable"
            raise
        except asyncio.CancelledError:
            reason = "stopped"
            raise
        except Exception:
            reason = "error"
            raise
        finally:
            try:
                self._finished.put_nowait(None)
                await writer
                await asyncio.to_thread(self.store.settle, _SETTLE_S)
                left = missing() if reason == "done" else None
                reason = "incomplete" if left else reason
                ended(reason)
                await asyncio.to_thread(self.store.settle, _SETTLE_S)
            except BaseException:
                reason = "error"
                raise
            finally:
                await self.heartbeat.stop(reason)
                for model in self.models:
                    await model.close()
        self._say_what_was_set_aside()
        if left:
            raise Incomplete(left)
        return reason

    def launch_row(
        self,
        run_id: str,
        stage: str,
        started: datetime,
        ended: datetime,
        reason: str,
        settings: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the row of the table `launches` for this piece of work."""
        budget, (prompt, completion, cost) = self.budget, self._before
        return {
            "run_id": run_id,
            "stage": stage,
            "started_at": started,
            "ended_at": ended,
            "episodes": self.progress.done,
            "prompt_tokens": budget.prompt_tokens - prompt,
            "completion_tokens": budget.completion_tokens - completion,
            "cost": None if budget.cost is None else budget.cost - (cost or 0.0),
            "end_reason": reason,
            "settings": json.dumps(settings) if settings else None,
        }

    async def _do_all(self, items: Iterator[Item], count: int, writer: asyncio.Task[None]) -> None:
        """Keep `concurrency` items in progress until none is left, or the first failure."""
        executor = range(min(self.concurrency, count))
        self._tasks = [asyncio.create_task(self._work(items)) for _ in executor]
        try:
            waiting = {*self._tasks}
            while waiting and not writer.done():
                done, waiting = await asyncio.wait(
                    {*waiting, writer}, return_when=asyncio.FIRST_COMPLETED
                )
                waiting.discard(writer)
                for task in done - {writer}:
                    self._look_at(task)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._unavailable:
            raise self._unavailable

    def _look_at(self, task: asyncio.Task[None]) -> None:
        """Let the others finish what they can where a model is down; raise any other exception."""
        error = task.exception()
        if not isinstance(error, ModelUnavailable):
            task.result()
            return
        self.draining = True
        self.progress.state = "draining"
        self._unavailable = self._unavailable or error

    async def _work(self, items: Iterator[Item]) -> None:
        for item in items:
            if self.draining or self.budget.spent:
                return
            self.progress.live += 1
            try:
                await self.work(item, self._emit)
            finally:
                self.progress.live -= 1
            self.progress.done += 1

    def _emit(self, record: Record) -> None:
        self.progress.count(record)
        self._finished.put_nowait(record)

    async def _write(self) -> None:
        """Store finished records, several in one transaction, until a None arrives."""
        last = False
        while not last:
            batch = [await self._finished.get()]
            if batch[0] is not None and self._finished.empty():
                await asyncio.sleep(_FLUSH_S)
            while not self._finished.empty() and len(batch) < _FLUSH_RECORDS and batch[-1]:
                batch.append(self._finished.get_nowait())
            records = [record for record in batch if record is not None]
            last = len(records) < len(batch)
            if records:
                await asyncio.to_thread(self.store.keep, records)

    def _say_what_was_set_aside(self) -> None:
        """Raise UserError where a finished record could not be stored."""
        if reasons := self.store.set_aside:
            raise UserError(
                f"{len(reasons)} of the finished {self.progress.noun} could not be stored and are "
                f"kept in '{self.store.path.parent / SET_ASIDE}'; the others are stored. The first "
                f"reason: {reasons[0]}"
            )

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Heed signals for the time of a block."""
        self._heed_signals()
        try:
            yield
        finally:
            ignore_interrupts()

    def _heed_signals(self) -> None:
        """Let Ctrl-C and SIGTERM interrupt this executor, whoever else has listened to them."""
        heed_interrupts(self.interrupt)

    def interrupt(self) -> None:
        """Drain at the first call; stop what is in progress at the second."""
        if self.draining:
            for task in self._tasks:
                task.cancel()
            return
        self.draining = True
        self.progress.state = "draining"
        self.progress.note(
            f"finishing {self.progress.live} {self.progress.noun} in progress; "
            "press Ctrl-C again to stop without them"
        )


def make_executor(
    task: Task[Item],
    tools: Tools,
    store: Store,
    progress: Progress,
    concurrency: int,
    cluster: Cluster | None = None,
) -> Executor[Item]:
    """Return what does a task: this process, or the workers of a cluster.

    Raises UserError where Ray is wanted and not installed, or its token cannot be kept.
    """
    if cluster is None:
        return Executor(task.open(tools), store, tools.budget, progress, concurrency)
    prepare_ray(cluster)
    from simulation.execution.ray_executor import RayExecutor

    responses = tools.engines.responses
    return RayExecutor(task, cluster, store, tools.budget, progress, concurrency, responses)
