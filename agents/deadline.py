"""The time that one call may take, which stands still while the call waits for its turn.

Invariant: only what the model itself takes counts against the limit, never a queue before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

_LIMIT: ContextVar[asyncio.Timeout | None] = ContextVar("_LIMIT", default=None)
"""The limit on the call in progress."""


@asynccontextmanager
async def time_limit(seconds: float) -> AsyncIterator[None]:
    """Bound a call. Raises TimeoutError, as `asyncio.timeout` does."""
    async with asyncio.timeout(seconds) as limit:
        before = _LIMIT.set(limit)
        try:
            yield
        finally:
            _LIMIT.reset(before)


@contextmanager
def not_counted() -> Iterator[None]:
    """Let the time of a block not count against the limit on the call in progress."""
    limit = _LIMIT.get()
    when = limit.when() if limit else None
    if limit is None or when is None or limit.expired():
        yield
        return
    clock = asyncio.get_running_loop().time
    began = clock()
    limit.reschedule(None)
    try:
        yield
    finally:
        limit.reschedule(when + clock() - began)


def out_of_time() -> bool:
    """Return whether the limit on the call in progress has passed."""
    limit = _LIMIT.get()
    return limit is not None and limit.expired()
