"""The lock of a run's folder.

Invariant: one process at a time writes a run.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scenarios.errors import UserError


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold the run's lock file for the time of a block; the system lets go of it if we die.

    Raises UserError with the PID of whoever holds it, and where the folder cannot be written.
    """
    try:
        opened = (run / "run.lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write in '{run}': {error.strerror}") from error
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            pid = file.read().strip() or "unknown"
            raise UserError(
                f"{run} is being written by another process (PID {pid}); wait for it, or stop it "
                f"with: kill -INT {pid}"
            ) from None
        try:
            file.truncate(0)
            os.write(file.fileno(), str(os.getpid()).encode())
        except OSError as error:
            raise UserError(f"cannot write in '{run}': {error.strerror}") from error
        yield
