"""A consistent copy of a database file that another process may be writing: run as a script.

A process of its own makes the copy: closing a file lets go of every lock that its process has on
it, those of an open database too.

Invariant: what is copied is the state between two transactions, or nothing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import time
from pathlib import Path
from typing import BinaryIO

_HEADERS = 3 * 4096
"""Bytes at the beginning of a database that change with every checkpoint."""
LOGS = (".wal", ".wal.checkpoint", ".wal.recovery")
"""Endings of write-ahead logs."""
_TRIES = 20
_CHANGED = "it changes all the time"


def _copy_database(source: Path, target: Path, wait_s: float) -> None:
    """Copy a database with its write-ahead log, waiting up to `wait_s` seconds for its writer to be
    between two transactions. Raises OSError where it cannot be read or does not keep still."""
    with source.open("rb") as file:
        locked = _lock(file, wait_s)
        for _ in range(_TRIES):
            before = _state(source, file)
            for part in [source, *_logs(source)]:
                _copy(part, target.with_name(part.name.replace(source.name, target.name, 1)))
            if locked or _state(source, file) == before:
                return
            for part in [target, *_logs(target)]:
                part.unlink(missing_ok=True)
            time.sleep(0.1)
    raise OSError(None, _CHANGED)


def _lock(file: BinaryIO, wait_s: float) -> bool:
    """Keep writers out while the file is open, as a reader of the database would."""
    patience = time.monotonic() + wait_s
    while True:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
        except OSError:  # a file system without locks as well
            if time.monotonic() > patience:
                return False
            time.sleep(0.01)


def _logs(path: Path) -> list[Path]:
    named = (path.with_name(f"{path.name}{end}") for end in LOGS)
    return [file for file in named if file.exists()]


def _state(path: Path, file: BinaryIO) -> tuple[bytes, list[Path]]:
    return os.pread(file.fileno(), _HEADERS, 0), _logs(path)


def _copy(source: Path, target: Path) -> None:
    """Copy a file inside the kernel, sharing its blocks where the file system can."""
    with source.open("rb") as old, target.open("wb") as new:
        left = os.fstat(old.fileno()).st_size
        try:
            while left > 0 and (done := os.copy_file_range(old.fileno(), new.fileno(), left)):
                left -= done
        except (OSError, AttributeError):
            old.seek(0)
            new.seek(0)
            shutil.copyfileobj(old, new, 2**20)


if __name__ == "__main__":
    try:
        _copy_database(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
    except OSError as error:
        sys.exit(str(error.strerror or error))
