"""Running asynchronous work from synchronous code, also where an event loop runs already, as in a
notebook.

Invariant: an interrupt reaches the work wherever it runs; nobody else's event loop is touched.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

Result = TypeVar("Result")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What interrupts the work."""
_beside: dict[int, Callable[[], object]] = {}
"""By thread, what an interrupt calls there; only the main thread can listen to signals."""


def run_to_end(work: Coroutine[Any, Any, Result]) -> Result:
    """Do the work and return its result; in a thread of its own where a loop runs already.

    Raises what the work raises, and KeyboardInterrupt where an interrupt cancelled it.
    """
    try:
        if not _loop_runs():
            return asyncio.run(work)
        with ThreadPoolExecutor(1) as thread:
            return _waited_for(thread, work)
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def heed_interrupts(interrupt: Callable[[], None]) -> None:
    """Have interrupts call a function of the running loop, whoever else has listened to them."""
    loop = asyncio.get_running_loop()
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            loop.add_signal_handler(number, interrupt)
    else:
        _beside[threading.get_ident()] = partial(loop.call_soon_threadsafe, interrupt)


def ignore_interrupts() -> None:
    """Take back what `heed_interrupts` did in this loop."""
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
    else:
        _beside.pop(threading.get_ident(), None)


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _waited_for(thread: ThreadPoolExecutor, work: Coroutine[Any, Any, Result]) -> Result:
    """Do the work in a thread; an interrupt of this one is passed on to it."""
    name = thread.submit(threading.get_ident).result()
    began: list[Callable[[], object]] = []

    async def cancellable() -> Result:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        began.append(partial(loop.call_soon_threadsafe, task.cancel))
        return await work

    done = thread.submit(asyncio.run, cancellable())
    while True:
        try:
            return done.result()
        except KeyboardInterrupt:
            if done.done():
                raise
            for interrupt in [_beside[name]] if name in _beside else began:
                interrupt()
