"""Checkpoints of a training: which are whole, and whether they belong to this configuration.

Invariant: a checkpoint is whole only if its list of files was written after all of them and every
one still has the length it had then; what is not whole is never loaded.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from folkways.errors import UserError
from folkways.files import inside, parse_yaml, read_bytes, read_json, remove, write_whole
from simulation.config import differences

_RECORD = "record.yaml"
"""What shaped the adapter, in its folder."""
RESULTS = "results.json"
"""The numbers of a whole adapter."""
FOLDER = "checkpoints"
_LIST = "whole.json"
"""The list of a checkpoint's files with their lengths."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_WRITING = (
    "No space left",
    "Disk quota",
    "File too large",
    "PytorchStreamWriter",
    "os error 27",
    "os error 28",
)
"""What libraries that do not raise OSError say when a file cannot be written."""


def seal(checkpoint: Path) -> None:
    """Write the list of a checkpoint's files, which makes it whole."""
    sizes = {
        str(file.relative_to(checkpoint)): file.stat().st_size
        for file in sorted(checkpoint.rglob("*"))
        if file.is_file() and file.name != _LIST
    }
    write_whole(checkpoint, checkpoint / _LIST, json.dumps(sizes, indent=1))


def is_whole(checkpoint: Path) -> bool:
    """Return whether a checkpoint can be loaded."""
    try:
        sizes = read_json(checkpoint / _LIST, dict[str, int])
        return all(
            inside(checkpoint, checkpoint / name).stat().st_size == size
            for name, size in sizes.items()
        )
    except (OSError, UserError, ValueError):
        return False


def step_of(checkpoint: Path) -> int:
    """Return the optimiser step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in an adapter's folder, whole or not, the last step first."""
    found = [
        path
        for path in (folder / FOLDER).glob("checkpoint-*")
        if path.name.rpartition("-")[2].isdigit()
    ]
    return sorted(found, key=step_of, reverse=True)


def last_whole(folder: Path) -> Path | None:
    """Return the last checkpoint that can be loaded."""
    return next((path for path in checkpoints(folder) if is_whole(path)), None)


def remove_unfinished(folder: Path) -> list[str]:
    """Remove checkpoints that are not whole, and return a line on each."""
    notes = []
    for path in checkpoints(folder):
        if not is_whole(path):
            remove(folder, path)
            notes.append(f"{path} was not written to its end; it is skipped and removed")
    return notes


def settle_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Record what shapes an adapter in its folder; refuse a folder in which something was trained
    under another record, naming the keys that differ."""
    begun = bool(checkpoints(folder)) or (folder / RESULTS).is_file()
    if begun and (folder / _RECORD).is_file():
        changed = differences(read_record(folder), record)
        if changed:
            raise UserError(
                f"{folder} was trained with another configuration:\n  "
                + "\n  ".join(changed)
                + "\nUndo the change, choose another name, or start over with --fresh (the old "
                "folder is kept under another name)"
            )
    elif begun:
        raise UserError(
            f"{folder} has checkpoints but no {_RECORD} that says what they were trained with; "
            "start over with --fresh"
        )
    text = yaml.safe_dump(dict(record), sort_keys=False, allow_unicode=True)
    write_whole(folder, folder / _RECORD, text)


def read_record(folder: Path) -> dict[str, Any]:
    """Return what shaped an adapter; empty where the folder does not say."""
    try:
        return parse_yaml(read_bytes(folder / _RECORD).decode(), str(folder / _RECORD))
    except (OSError, UnicodeDecodeError, UserError):
        return {}


def could_not_write(error: BaseException) -> bool:
    """Return whether an error, or what led to it, is a file that could not be written."""
    return any(
        (isinstance(each, OSError) and each.errno in _NO_ROOM)
        or (
            type(each).__name__ in ("RuntimeError", "SafetensorError")
            and any(words in str(each) for words in _WRITING)
        )
        for each in _chain(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
