"""Snapshots of a store: copies that are read in its place while somebody writes it.

Invariant: a snapshot is the store between two transactions, with what waits beside it; the store is
held only while its file is copied.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from folkways.errors import FolkwaysError, UserError
from folkways.files import remove
from simulation.store import file_copy
from simulation.store.connection import cannot_open
from simulation.store.locked import connect
from simulation.store.spill import absorb, spills_of

_TRIES = 3
_PREFIX = ".snapshot-"
_STALE_S = 3600.0
"""Age at which the folder of a snapshot belongs to a process that was killed."""


@contextmanager
def snapshot(path: Path, wait_s: float) -> Iterator[Path]:
    """Give a copy of a store, opened once and found sound, for the time of a block.

    A connection to it that is opened in the block can be used afterwards. It lies beside the store
    where that folder can be written, since file systems copy fastest there. Raises UserError where
    no sound copy can be made.
    """
    home = path.parent if os.access(path.parent, os.W_OK) else None
    if home:
        _sweep(home)
    for attempt in range(1, _TRIES + 1):
        with TemporaryDirectory(prefix=_PREFIX, dir=home, ignore_cleanup_errors=True) as folder:
            target = Path(folder) / path.name
            try:
                _take(path, target, wait_s)
            except (duckdb.Error, NoCopy) as error:
                if attempt == _TRIES:
                    raise UserError(cannot_open(path, error)) from error
                time.sleep(0.1)
                continue
            yield target
            return


class NoCopy(FolkwaysError):
    """The file could not be copied."""


def _take(path: Path, target: Path, wait_s: float) -> None:
    """Copy a store and what waits to be brought into it, and join them."""
    copy_file(path, target, wait_s)
    waiting = spills_of(path)
    for number, spill in enumerate(waiting):
        folder = target.parent / str(number) / spill.parent.name
        folder.mkdir(parents=True)
        copy_file(spill, folder / spill.name, wait_s)
    home = str(target.parent.resolve())
    with connect(target, folders=[home]) as con:  # brings its write-ahead log in as well
        for copied in sorted(target.parent.glob(f"*/*/{path.name}")):
            absorb(con, copied)


def copy_file(source: Path, target: Path, wait_s: float) -> None:
    """Copy a database in a process of its own. Raises an error that says why it could not be."""
    command = [sys.executable, "-I", "-S", str(file_copy.__file__)]
    command += [str(source), str(target), str(wait_s)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoCopy(done.stderr.strip())


def _sweep(home: Path) -> None:
    """Remove what snapshots of processes that were killed have left."""
    for folder in home.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _STALE_S:
                remove(home, folder)
