"""The executor on a Ray cluster: gives batches of items to workers on its nodes, and merges shards.

The only module that imports Ray. A worker that dies, with its process or its node, is closed: what
it has written counts, the rest of its items goes to others. Nothing depends on Ray's own retries.

Invariant: every item of a launch is finished once, or said to be unfinished; what is finished is
merged before the launch ends.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from agents.models.response_store import ResponseStore
from folkways.clock import utc_now
from folkways.errors import UserError
from folkways.registry import code
from scenarios.culture import own_cultures
from simulation.episode.budget import Budget, BudgetConfig
from simulation.execution.executor import Executor, Opened
from simulation.execution.placement import Cluster
from simulation.execution.progress import Progress
from simulation.execution.ray_worker import Done, Worker
from simulation.execution.scheduler import GIVEN_UP_AFTER, Scheduler
from simulation.execution.task import Task
from simulation.store.manifest import Manifest
from simulation.store.shards import SHARDS_AT, ShardDirectory, clear, shards_of
from simulation.store.writer import Store

try:
    import ray
    from ray.exceptions import RayError, RayTaskError
except ImportError as missing:
    raise UserError(
        "--ray needs the package ray; install it with: pip install 'folkways[ray]'"
    ) from missing

log = logging.getLogger(__name__)

_LOCAL_ENGINES = ("embedded", "hf", "llama", "vllm")
"""Engines that live in the worker and want a GPU of their own where there is one."""
_BATCH = 16
"""Items that a worker is given at once, at most."""
_CLOSING_S = 60.0
"""Seconds that a worker has to close its engines."""
_WAIT_NOTE_S = 30.0
"""Seconds without any worker after which that is said, and said again."""

Item = TypeVar("Item")


class _Retired(Exception):
    """A worker has spent its share of the budget; the message says which."""


class RayExecutor(Executor[Item]):
    """Does a task with the workers of a cluster."""

    def __init__(
        self,
        task: Task[Item],
        cluster: Cluster,
        store: Store,
        budget: Budget,
        progress: Progress,
        concurrency: int,
        responses: ResponseStore | None = None,
    ) -> None:
        """`concurrency` is that of each worker; all share the response cache, if there is one."""
        super().__init__(Opened((), _nothing), store, budget, progress, concurrency)
        self.task, self.cluster, self.responses = task, cluster, responses
        self.directory = ShardDirectory(shards_of(store.path.parent, cluster.shards))
        self._launch, self._began = secrets.token_hex(4), time.monotonic()
        self._begun = self._alive = 0
        self._scheduler: Scheduler[Item] = Scheduler(iter(()), 0, 1)
        self._actors: dict[str, Any] = {}
        self._ready: set[str] = set()
        """Workers that have started."""
        self._dismissals: list[asyncio.Task[None]] = []
        self._written: set[int] = set()
        """Numbers of the items that are merged."""
        self._merged: set[str] = set()
        self._used: dict[str, tuple[int, float]] = {}
        """Tokens and US dollars used, by place."""
        self._merging = asyncio.Lock()
        self._stopped = False
        self._warned: set[str] = set()

    async def _do_all(self, items: Iterator[Item], count: int, writer: asyncio.Task[None]) -> None:
        """Have the workers do all items; what they wrote is merged whatever happens."""
        wanted = await asyncio.to_thread(self._connect)
        self._heed_signals()  # Ray has taken SIGTERM for itself
        await asyncio.to_thread(self.directory.make)
        self._workers = max(1, min(wanted, count))
        size = max(1, min(_BATCH, math.ceil(count / (4 * self._workers))))
        self._hands = math.ceil(self.concurrency / size) + 1
        self._scheduler = Scheduler(items, count, size)
        if self.draining:
            await self._scheduler.stop()
        self._tasks = [asyncio.create_task(self._employ(place)) for place in range(self._workers)]
        try:
            for ended in asyncio.as_completed(self._tasks):
                await ended
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            try:
                await asyncio.gather(*self._dismissals)
                await asyncio.to_thread(self.directory.tidy)
            finally:
                await asyncio.to_thread(ray.shutdown)
        (self.store.path.parent / SHARDS_AT).unlink(missing_ok=True)  # all of them are merged
        if self._scheduler.given_up:
            raise UserError(
                f"{self._scheduler.given_up} {self.progress.noun} were left undone: over each of "
                f"them {GIVEN_UP_AFTER} workers died, the last ones with nothing else in hand. "
                "The others are stored"
            )

    def _connect(self) -> int:
        """Connect to the cluster and return how many workers are wanted."""
        cluster = self.cluster
        own = cluster.address == "local"
        settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if own:
            cpus = max(os.cpu_count() or 1, cluster.workers or 1)
            settings |= {"num_cpus": cpus, "include_dashboard": False}
            settings |= {"_node_ip_address": "127.0.0.1"}
        try:
            ray.init(cluster.address, **settings)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(
                f"cannot use the Ray cluster '{cluster.address}': {str(error).splitlines()[0]}; "
                "start one with `ray start --head`, or give --ray without an address"
            ) from error
        if not own and os.environ.get("RAY_AUTH_MODE", "disabled") == "disabled":
            self.progress.note(
                "this Ray cluster asks for no token: whoever reaches it can run code on it; "
                "docs/scale.md says how to start it with one"
            )
        has: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        local = any(name.partition(":")[0] in _LOCAL_ENGINES for name in self.task.models)
        gpus, cpus = int(has.get("GPU", 0)), int(has.get("CPU", 1))
        self._resources = {"num_gpus": 1} if local and gpus else {"num_cpus": 1}
        nodes = sum(node["Alive"] for node in ray.nodes())  # type: ignore[no-untyped-call]
        return cluster.workers or ((gpus or nodes) if local else max(cpus, 1))

    async def _employ(self, place: int) -> None:
        """Keep a place filled with one worker after the other until nothing is left to do."""
        while await self._scheduler.wanted():
            self._begun += 1
            name = f"{self._launch}-{place}x{self._begun}"
            try:
                await self._serve(name, self._share(place))
            except _Retired as reason:
                self.budget.spent = str(reason)  # whatever the others do, items were cut short
                return
            except RayTaskError as error:
                if isinstance(error.cause, UserError):
                    raise error.cause from None
                raise
            except RayError as error:
                words = (str(error) or type(error).__name__).splitlines()[0]
                self.progress.note(f"a worker is gone, its items go to others: {words[:160]}")
            finally:
                dismissal = asyncio.create_task(self._dismiss(name))
                self._dismissals.append(dismissal)
                await asyncio.shield(dismissal)

    async def _serve(self, name: str, limits: BudgetConfig) -> None:
        """Start a worker and feed it until nothing is left for it."""
        worker_class = ray.remote(Worker).options(
            max_restarts=0,
            max_concurrency=self._hands + 8,
            scheduling_strategy="SPREAD",
            **self._resources,
        )
        actor = worker_class.remote(
            self.task,
            self.directory,
            name,
            self.concurrency,
            limits,
            self.responses,
            code(),
            own_cultures(),
        )
        self._actors[name] = actor
        if not await self._started(actor):
            return
        self._ready.add(name)
        self._alive += 1
        feeds = [asyncio.create_task(self._feed(name, actor)) for _ in range(self._hands)]
        try:
            spent = next(filter(None, await asyncio.gather(*feeds)), None)
        finally:
            self._alive -= 1
            for feed in feeds:
                feed.cancel()
            await asyncio.gather(*feeds, return_exceptions=True)
        if spent:
            raise _Retired(spent)

    async def _started(self, actor: Any) -> bool:
        """Wait for a worker to start, or for the others to have done everything; return whether it
        has. Where there is no worker for long, say so."""
        starting = asyncio.create_task(_result(actor.start.remote()))
        over = asyncio.create_task(self._scheduler.over.wait())
        first = asyncio.FIRST_COMPLETED
        try:
            while not (
                await asyncio.wait([starting, over], timeout=_WAIT_NOTE_S, return_when=first)
            )[0]:
                if not self._alive:
                    self.progress.note("no worker has started yet; waiting for the cluster")
            if starting.done():
                await starting
            return starting.done()
        finally:
            starting.cancel()
            over.cancel()

    async def _feed(self, name: str, actor: Any) -> str | None:
        """Give a worker one batch after the other; return the budget that ran out, if one did."""
        while batch := await self._scheduler.take(name):
            self.progress.live = self._scheduler.held
            items = [(one.number, one.item) for one in batch]
            done: Done = await _result(actor.do.remote(items))
            await self._merge(done.manifests)
            for record, reason in done.set_aside:
                await asyncio.to_thread(self.store.put_aside, record, reason)
            self._warn(done.warnings)
            await self._scheduler.requeue(name, [one.number for one in batch], self._written)
            self.progress.live = self._scheduler.held
            if done.spent:
                return done.spent
        return None

    def _warn(self, warnings: Iterable[str]) -> None:
        """Pass on what workers warn of, once however many say it."""
        for text in dict.fromkeys(warnings):
            if text not in self._warned:
                self._warned.add(text)
                log.warning("%s", text)

    async def _dismiss(self, name: str) -> None:
        """Close a worker, dead or alive: what it wrote is merged, the rest goes to others."""
        actor = self._actors.pop(name, None)
        if actor is None:
            return
        if name not in self._ready:  # it has been given nothing and has written nothing
            ray.kill(actor)
            return
        orderly = False
        if not self._stopped:
            with suppress(RayError, TimeoutError):
                async with asyncio.timeout(_CLOSING_S):
                    await _result(actor.close.remote())
                    orderly = True
        ray.kill(actor)
        await self._merge(await asyncio.to_thread(self.directory.close, name))
        if orderly:  # it writes nothing any more: nobody has to be told which of its shards count
            await asyncio.to_thread(self.directory.remove, f"{name}.json")
        died = not (orderly or self.draining)
        await self._scheduler.release(name, self._written, died=died)

    async def _merge(self, manifests: Iterable[Manifest]) -> None:
        """Merge shards that are not merged yet, and count what is in them.

        A merge that began goes on to its end, though whoever waits for it be cancelled: its thread
        cannot be stopped, and two at once would clash.
        """
        await asyncio.shield(self._merge_alone(manifests))

    async def _merge_alone(self, manifests: Iterable[Manifest]) -> None:
        async with self._merging:
            fresh = [one for one in manifests if one.shard not in self._merged]
            if not fresh:
                return
            keep = self.cluster.keep
            await asyncio.to_thread(
                clear, self.store, self.directory, fresh, utc_now(), keep=keep, live=True
            )
            for one in fresh:
                self._merged.add(one.shard)
                self._written |= set(one.items)
                self._count(one)

    def _count(self, manifest: Manifest) -> None:
        progress = self.progress
        prompt, completion = manifest.prompt_tokens, manifest.completion_tokens
        progress.done += len(manifest.items)
        progress.turns += manifest.turns
        progress.outcomes.update(manifest.outcomes)
        if manifest.cost is not None:
            progress.cost = (progress.cost or 0.0) + manifest.cost
        self.budget.add(prompt, completion, manifest.cost)
        place = manifest.worker.partition("x")[0]
        tokens, cost = self._used.get(place, (0, 0.0))
        self._used[place] = tokens + prompt + completion, cost + (manifest.cost or 0.0)

    def _share(self, place: int) -> BudgetConfig:
        """Return the part of the budget that a place may still use. Raises _Retired if none is."""
        limits = self.budget.limits
        tokens, cost = self._used.get(f"{self._launch}-{place}", (0, 0.0))
        rest: dict[str, Any] = {}
        if limits.tokens is not None:
            rest["tokens"] = limits.tokens // self._workers - tokens
        if limits.cost_usd is not None:
            rest["cost_usd"] = limits.cost_usd / self._workers - cost
        if limits.wall_s is not None:
            rest["wall_s"] = limits.wall_s - (time.monotonic() - self._began)
        for name, left in rest.items():
            if left <= 0:
                raise _Retired(f"budget-{name.partition('_')[0]}")
        return BudgetConfig(**rest)

    def interrupt(self) -> None:
        """Have the workers begin nothing more at the first call; stop them at the second."""
        self._stopped = self.draining
        super().interrupt()
        for actor in self._actors.values():
            actor.drain.remote()
        self._stopping = asyncio.create_task(self._scheduler.stop())


async def _nothing(item: Any, emit: Any) -> None:
    raise NotImplementedError("the workers do it")


async def _result(reference: Any) -> Any:
    """Return what a remote call returned, or raise what it raised."""
    return await reference
