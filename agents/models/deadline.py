"""The time that one call may take, which stands still while the call waits for its turn.

Invariant: only what the model itself takes counts against the limit, never a queue before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


class WaitedOut(TimeoutError):
    """The time for waiting was over before it was the call's turn."""


@dataclass(slots=True)
class _Limit:
    """The limit on the call in progress."""

    timeout: asyncio.Timeout
    latest: float | None
    """When no call is to wait any more, on the event loop's clock."""
    waited_out: bool = False


_LIMIT: ContextVar[_Limit | None] = ContextVar("_LIMIT", default=None)


@asynccontextmanager
async def time_limit(seconds: float, wait_s: float | None = None) -> AsyncIterator[None]:
    """Bound a call. Raises TimeoutError, as `asyncio.timeout` does, and WaitedOut where the call
    would still have waited after `wait_s` seconds."""
    latest = None if wait_s is None else asyncio.get_running_loop().time() + wait_s
    limit = None
    try:
        async with asyncio.timeout(seconds) as timeout:
            limit = _Limit(timeout, latest)
            before = _LIMIT.set(limit)
            try:
                yield
            finally:
                _LIMIT.reset(before)
    except TimeoutError:
        if limit and limit.waited_out:
            raise WaitedOut from None
        raise


@contextmanager
def not_counted() -> Iterator[None]:
    """Let the time of a block not count against the limit on the call in progress."""
    limit = _LIMIT.get()
    when = limit.timeout.when() if limit else None
    if limit is None or when is None or limit.timeout.expired():
        yield
        return
    clock = asyncio.get_running_loop().time
    began = clock()
    limit.timeout.reschedule(limit.latest)
    try:
        yield
    finally:
        if limit.timeout.expired():
            limit.waited_out = True
        else:
            limit.timeout.reschedule(when + clock() - began)


def out_of_time() -> bool:
    """Return whether the limit on the call in progress has passed while it was being answered."""
    limit = _LIMIT.get()
    return limit is not None and limit.timeout.expired() and not limit.waited_out
