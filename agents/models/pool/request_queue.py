"""The line in which calls wait for an endpoint of a pool.

Invariant: first come, first served: a call never overtakes an earlier one at an endpoint that both
may go to, and one that is moved keeps its place.
"""

from __future__ import annotations

import asyncio
import math
from bisect import insort
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from agents.models.base import CallFailed
from agents.models.deadline import not_counted
from agents.models.pool.endpoint import Endpoint, choose


@dataclass(slots=True, eq=False)
class Call:
    """A call on its way through the pool."""

    tokens: int
    """What it may use: prompt and completion."""
    scoring: bool
    number: int = 0
    """Its place among all calls, by arrival; 0 before it has come."""
    failed_at: list[Endpoint] = field(default_factory=list)
    moves: int = 0
    """How often an endpoint failed it."""
    attempts: int = 0
    """Requests made so far."""
    last: CallFailed | None = None
    """What it failed with last."""

    def fits(self, endpoint: Endpoint) -> bool:
        """Return whether the endpoint can take such a call at all."""
        return endpoint.gives_scores or not self.scoring


@dataclass(slots=True, eq=False)
class _Waiting:
    call: Call
    place: asyncio.Future[Endpoint | None]


class RequestQueue:
    """Gives calls to endpoints as room comes up."""

    def __init__(
        self, endpoints: Sequence[Endpoint], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._endpoints, self._sleep = endpoints, sleep
        self._line: list[_Waiting] = []
        self._arrived = 0
        self._alarm: asyncio.Task[None] | None = None

    async def place(self, call: Call, give_up: float) -> Endpoint | None:
        """Return the endpoint where the call has begun; None where none can ever take it.

        Raises TimeoutError when the event loop's time is `give_up`.
        """
        if not call.number:
            self._arrived += 1
            call.number = self._arrived
        waiting = _Waiting(call, asyncio.get_running_loop().create_future())
        insort(self._line, waiting, key=lambda one: one.call.number)
        self.move_up()
        try:
            async with asyncio.timeout_at(give_up):
                with not_counted():
                    return await waiting.place
        except (TimeoutError, asyncio.CancelledError):
            self._leave(waiting)
            raise

    def move_up(self) -> None:
        """Place the calls that wait, in order, as far as there is room.

        A call that finds none is first in line at every endpoint it may go to: those behind it go
        elsewhere or wait.
        """
        claimed: set[str] = set()
        soonest = math.inf
        for waiting in list(self._line):
            if all(endpoint.name in claimed or not endpoint.is_up for endpoint in self._endpoints):
                break
            if waiting.place.done():
                continue  # it was cancelled and is about to leave
            call = waiting.call
            open_ = [each for each in self._open_to(call) if each.name not in claimed]
            delays = [endpoint.delay(call.tokens) for endpoint in open_]
            ready = [each for each, delay in zip(open_, delays, strict=True) if delay == 0]
            if ready:
                endpoint = choose(ready)
                endpoint.begin(call.tokens)
                self._answer(waiting, endpoint)
            elif not any(call.fits(endpoint) for endpoint in self._endpoints):
                self._answer(waiting, None)
            else:
                claimed.update(endpoint.name for endpoint in open_)
                soonest = min(soonest, *delays, math.inf)
        self._set_alarm(soonest)

    async def close(self) -> None:
        """Stop looking."""
        if self._alarm:
            self._alarm.cancel()
            await asyncio.gather(self._alarm, return_exceptions=True)

    def _leave(self, waiting: _Waiting) -> None:
        """Take a call that is given up out of the line, or give back what it was just given."""
        if waiting in self._line:
            self._line.remove(waiting)
        elif not waiting.place.cancelled() and (endpoint := waiting.place.result()):
            endpoint.end(waiting.call.tokens, 0, 0)
        self.move_up()

    def _open_to(self, call: Call) -> list[Endpoint]:
        """Return where a call may go: where it has not failed yet, if anything like that is up."""
        up = [each for each in self._endpoints if each.is_up and call.fits(each)]
        return [each for each in up if each not in call.failed_at] or up

    def _answer(self, waiting: _Waiting, endpoint: Endpoint | None) -> None:
        self._line.remove(waiting)
        waiting.place.set_result(endpoint)

    def _set_alarm(self, delay: float) -> None:
        """Look again once a bucket holds what the first in line wants."""
        if self._alarm:
            self._alarm.cancel()
        self._alarm = None if delay == math.inf else asyncio.create_task(self._wake(delay))

    async def _wake(self, delay: float) -> None:
        await self._sleep(delay)
        self._alarm = None
        self.move_up()
