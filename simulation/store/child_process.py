"""Reading in a child process, which can be killed whatever it is doing.

Some queries heed no interruption, and a damaged file may end the process that reads it.

Invariant: once the call returns or raises, no child is left.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import NoReturn, TextIO

from folkways.errors import UserError
from simulation.store.connection import fault_of

_GRACE_S = 1.0
"""Seconds that a child has to end by itself once it is interrupted."""
_ORPHANED_S = 1.0
"""Seconds between two looks of a child whether its parent is alive."""
FAILED, DEFECT = 1, 70


def in_child(
    work: Callable[[TextIO], None], stream: TextIO, timeout_s: float | None = None
) -> None:
    """Do work that writes to `stream`, a file, in a child process, for so many seconds at most.

    Raises the UserError that the work raises; UserError too where its time is over and where the
    system ends it; KeyboardInterrupt after Ctrl-C.
    """
    receiving, sending = os.pipe()
    for each in (sys.stdout, sys.stderr, stream):
        each.flush()
    parent, child = os.getpid(), os.fork()
    if not child:
        os.close(receiving)
        _be_child(work, stream, sending, parent)
    os.close(sending)
    try:
        with os.fdopen(receiving, "rb") as told, _Ended(child) as ended:
            if not select.select([told], [], [], timeout_s)[0]:
                raise UserError(
                    f"the query was stopped after {timeout_s:g} s; give it longer with --timeout, "
                    "or ask for less"
                )
            message = told.read()
    finally:
        stream.seek(0, os.SEEK_END)
    _raise_for(ended.status, message.decode(errors="replace"))


class _Ended:
    """Sees to it that a child has ended by the end of a block."""

    def __init__(self, pid: int) -> None:
        self.pid, self.status = pid, 0

    def __enter__(self) -> _Ended:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is not None:
            self._stop()
        else:
            _, self.status = os.waitpid(self.pid, 0)

    def _stop(self) -> None:
        os.kill(self.pid, signal.SIGINT)
        patience = time.monotonic() + _GRACE_S
        while time.monotonic() < patience:
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                return
            time.sleep(0.01)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _be_child(
    work: Callable[[TextIO], None], stream: TextIO, sending: int, parent: int
) -> NoReturn:
    """Do the work, say what became of it, and end without returning."""
    code = DEFECT
    try:
        os.setpgid(0, 0)  # Ctrl-C is for the parent, which passes it on
        signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
        work(stream)
        stream.flush()
        code = 0
    except UserError as error:
        code = FAILED
        os.write(sending, str(error).encode(errors="replace"))
    except BaseException as error:
        words = fault_of(error)
        code = DEFECT if words is None else FAILED
        os.write(sending, (words or traceback.format_exc()).encode(errors="replace"))
    finally:
        os._exit(code)


def _end_with(parent: int) -> None:
    """End this process once its parent is gone."""
    while os.getppid() == parent:
        time.sleep(_ORPHANED_S)
    os._exit(DEFECT)


def _raise_for(status: int, message: str) -> None:
    """Raise what a child has told, or what its end tells."""
    code = os.waitstatus_to_exitcode(status)
    if code == FAILED:
        raise UserError(message)
    if code < 0:
        killed = -code == signal.SIGKILL
        why = (
            "perhaps for want of memory: bound it with --memory"
            if killed
            else "a damaged store can do that; folkways salvage RUN OUT copies what can be read"
        )
        raise UserError(f"the process that read the store was ended by signal {-code}, {why}")
    if code:
        raise RuntimeError(f"the process that read the store failed:\n{message}")
