"""The lock of a run's folder.

Invariant: one process at a time writes a run.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from folkways.errors import UserError
from folkways.files import inside

FILE = "run.lock"
_PATIENCE_S = 0.2
"""How long a writer tries, lest somebody who only asks for the holder keep it out."""


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold the run's lock file for the time of a block; the system lets go of it if we die.

    Raises UserError with the PID of whoever holds it, and where the folder cannot be written.
    """
    inside(run, run / FILE)
    try:
        opened = (run / FILE).open("a+", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write in '{run}': {error.strerror}") from error
    with opened as file:
        patience = time.monotonic() + _PATIENCE_S
        while not (ours := _flock(file, fcntl.LOCK_EX)) and time.monotonic() < patience:
            time.sleep(0.02)
        if not ours:
            file.seek(0)
            pid = file.read().strip() or "unknown"
            raise UserError(
                f"{run} is being written by another process (PID {pid}); wait for it, or stop it "
                f"with: kill -INT {pid}"
            )
        try:
            file.truncate(0)
            os.write(file.fileno(), str(os.getpid()).encode())
        except OSError as error:
            raise UserError(f"cannot write in '{run}': {error.strerror}") from error
        yield


def holder(run: Path) -> str | None:
    """Return the PID of the process that holds a run's lock, None where nobody does."""
    try:
        with (run / FILE).open(encoding="utf-8") as file:
            return None if _flock(file, fcntl.LOCK_SH) else file.read().strip() or "unknown"
    except OSError:
        return None


def _flock(file: TextIO, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
