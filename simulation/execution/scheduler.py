"""The schedule of items over workers that may die: what is left, in progress, done and given up.

Invariant: every item is left, with one worker, done, or given up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

ALONE_AFTER = 3
"""Dead workers after which an item is given out by itself: it may be what kills them."""
GIVEN_UP_AFTER = 6
"""Dead workers after which an item is given up."""

Item = TypeVar("Item")


@dataclass(slots=True)
class Assignment(Generic[Item]):
    """An item, and how many workers died over it."""

    number: int
    item: Item
    deaths: int = 0


class Scheduler(Generic[Item]):
    """Items on their way to workers and back, in batches."""

    def __init__(self, items: Iterator[Item], count: int, size: int) -> None:
        """`count` items are read, as they are asked for; a batch has `size` at most."""
        self._items, self._unread, self._size = enumerate(items), count, size
        self._again: deque[Assignment[Item]] = deque()
        """Items that came back."""
        self._held: dict[str, dict[int, Assignment[Item]]] = {}
        self._change = asyncio.Condition()
        self._left, self.given_up = count, 0
        self.stopped = False
        self.over = asyncio.Event()
        """Set once nothing is left, or nothing is given out any more."""
        if not count:
            self.over.set()

    @property
    def held(self) -> int:
        """How many items workers have."""
        return sum(map(len, self._held.values()))

    async def wanted(self) -> bool:
        """Return whether there is something for a new worker; wait while others may bring some
        back."""
        async with self._change:
            while self._left and not self.stopped:
                if self._again or self._unread:
                    return True
                await self._change.wait()
        return False

    async def take(self, worker: str) -> list[Assignment[Item]]:
        """Return the next batch for a worker; empty where nothing is left for it."""
        async with self._change:
            while self._left and not self.stopped:
                if batch := self._batch():
                    self._held.setdefault(worker, {}).update({t.number: t for t in batch})
                    return batch
                if not any(held for other, held in self._held.items() if other != worker):
                    break  # all that is left is in this worker's other hands
                await self._change.wait()
        return []

    def _batch(self) -> list[Assignment[Item]]:
        if self._again and self._again[0].deaths >= ALONE_AFTER:
            return [self._again.popleft()]
        batch: list[Assignment[Item]] = []
        while len(batch) < self._size:
            if self._again:
                if self._again[0].deaths >= ALONE_AFTER:
                    break
                batch.append(self._again.popleft())
            elif self._unread and (entry := next(self._items, None)):
                self._unread -= 1
                batch.append(Assignment(*entry))
            else:
                break
        return batch

    async def requeue(self, worker: str, numbers: Iterable[int], done: set[int]) -> None:
        """Take items out of a worker's hands; those not done are given out again."""
        async with self._change:
            self._settle(worker, numbers, done, died=False)

    async def release(self, worker: str, done: set[int], *, died: bool) -> None:
        """Take everything out of the hands of a worker that is gone."""
        async with self._change:
            self._settle(worker, list(self._held.get(worker, ())), done, died)
            self._held.pop(worker, None)

    def _settle(self, worker: str, numbers: Iterable[int], done: set[int], died: bool) -> None:
        for number in numbers:
            given = self._held[worker].pop(number)
            given.deaths += died
            if number in done:
                self._left -= 1
            elif given.deaths >= GIVEN_UP_AFTER:
                self._left -= 1
                self.given_up += 1
            else:
                self._again.append(given)
        if not self._left:
            self.over.set()
        self._change.notify_all()

    async def stop(self) -> None:
        """Give nothing out any more."""
        self.stopped = True
        self.over.set()
        async with self._change:
            self._change.notify_all()
