"""Connections to a store's file: who has it, and how long to wait for it.

Invariant: a file that somebody else holds is told from one that cannot be opened.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from folkways.errors import UserError
from simulation.store.locked import connect, literal

_STORAGE_VERSION = "v1.4.0"
"""Oldest DuckDB that can read the stores that are made."""
_RETRY_S = 0.02
_PID = re.compile(r"\(PID (\d+)\)")
_OURS = ("different configuration", "already attached", "already open")
FOLDER = "spilled"
"""Folder in a run's folder of stores that wait to be brought into the run's."""


class StoreHeld(UserError):
    """Somebody else has the store open and did not let go of it in time."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(f"'{path}' is held by {holder}; wait for it or end it, then try again")
        self.holder = holder


def make_file(path: Path) -> None:
    """Make an empty database that older versions of DuckDB can read as well."""
    with duckdb.connect() as con:
        con.execute(f"attach {literal(str(path))} as made (storage_version '{_STORAGE_VERSION}')")


def open_writer(
    path: Path, wait_s: float, folders: Sequence[str] = (), **reach: Any
) -> duckdb.DuckDBPyConnection:
    """Open a file for writing, waiting so many seconds while somebody else has it. What waits
    beside it can be read, and what `folders` and `reach` name, as `wall.connect` takes them.

    Raises StoreHeld after that, and UserError where it cannot be opened.
    """
    spilled = str(path.parent.resolve() / FOLDER)
    return _open(path, wait_s, folders=[spilled, *folders], **reach)


def open_read_only(path: Path, wait_s: float, **reach: Any) -> duckdb.DuckDBPyConnection:
    """Open a file for reading, as `open_writer` does, but for what waits beside it."""
    return _open(path, wait_s, read_only=True, **reach)


def _open(path: Path, wait_s: float, **reach: Any) -> duckdb.DuckDBPyConnection:
    patience = time.monotonic() + wait_s
    while True:
        try:
            return connect(path, **reach)
        except duckdb.Error as error:
            holder = _holder_of(error)
            if holder is None:
                raise UserError(cannot_open(path, error)) from error
            if time.monotonic() >= patience:
                raise StoreHeld(path, holder) from error
        time.sleep(_RETRY_S)


def cannot_open(path: Path, error: BaseException) -> str:
    """Return in one line that a store cannot be opened, why, and what can be done."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return (
        f"cannot open '{path}' as a store: {reason}. If it is damaged, this copies what can still "
        f"be read into a new run: folkways salvage '{path.parent}' OUT"
    )


def fault_of(error: BaseException) -> str | None:
    """Return in one line what a damaged store or the file system has to do with an error, None for
    any other error."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if isinstance(error, OSError) and error.filename:
        return f"cannot use '{error.filename}': {error.strerror}"
    if isinstance(error, duckdb.OutOfMemoryException | MemoryError):
        return f"the memory was not enough: {reason}"
    if isinstance(error, duckdb.Error | UnicodeDecodeError):
        return (
            f"the store cannot be read or written: {reason}. If it is damaged, folkways salvage "
            "RUN OUT copies what can still be read into a new run"
        )
    return None


def _holder_of(error: duckdb.Error) -> str | None:
    """Return who holds the file that could not be opened, None where that was not the reason."""
    message = str(error)
    if "lock on file" in message:
        found = _PID.search(message)
        return _process(found[1]) if found else "another process"
    if isinstance(error, duckdb.ResourceInUseException) or any(word in message for word in _OURS):
        return "another connection of this process"
    return None


def _process(pid: str) -> str:
    try:
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return f"process {pid}"
    return f"process {pid} ({name})"
