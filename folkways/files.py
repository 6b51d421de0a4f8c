"""Files that may come from somebody else: read as what they should be, written where they belong.

Invariant: nothing outside a root is written or removed, whatever names and symbolic links say; a
file that is read is what its reader expects, or one line says what is wrong with it.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from folkways.errors import UserError

T = TypeVar("T")
LARGEST = 256 * 2**20
"""Bytes of a file of JSON that is read whole."""
_NODES = 1_000_000
"""Values in a text of YAML, each counted as often as aliases repeat it."""


def inside(root: Path, path: Path) -> Path:
    """Return a path that is below a root once symbolic links are followed, the last one too.

    Raises UserError for any other: whatever writes or removes asks here first.
    """
    home, found = root.resolve(), path.resolve()
    if found == home or not found.is_relative_to(home):
        raise UserError(
            f"'{path}' leads to '{found}', which is not inside '{home}': nothing is written or "
            "removed there. Remove that link or name, then run the same command again"
        )
    return path


def remove(root: Path, path: Path) -> None:
    """Remove a file or a folder below a root, if it is there; of a link only the link goes."""
    if path.name in ("", ".", "..") or path.parent.resolve() != root.resolve():
        inside(root, path.parent)
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    elif path.exists():
        shutil.rmtree(path)


def write_whole(root: Path, file: Path, text: str | bytes, private: bool = False) -> None:
    """Write a file below a root so that a reader finds all of it or what was there before.

    `private` files can be read by nobody else (mode 0600); others follow the umask.
    """
    inside(root, file)
    beside = file.with_name(f"{file.name}.part")
    with suppress(FileNotFoundError):
        beside.unlink()  # of an earlier attempt; opening it would follow a link
    mode = 0o600 if private else 0o666
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(handle, "wb") as stream:
        stream.write(text.encode() if isinstance(text, str) else text)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(file)


def write_named(file: Path, text: str | bytes) -> None:
    """Write a file that the user named, whole or not at all; a link is followed, and what is a pipe
    or a device is written to. Raises UserError where that cannot be done."""
    target = file.resolve()
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(text.encode() if isinstance(text, str) else text)
        else:
            write_whole(target.parent, target, text)
    except OSError as error:
        raise UserError(f"cannot write '{file}': {error.strerror}") from error


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to write in that takes the place of `folder`, empty or missing, once the block
    has ended well; what a process that was killed has left of it is removed first."""
    target = folder.resolve()
    beside = target.with_name(f".{target.name}.part")
    remove(beside.parent, beside)
    beside.mkdir(parents=True)
    try:
        yield beside
        beside.rename(target)
    finally:
        remove(beside.parent, beside)


def read_bytes(file: Path) -> bytes:
    """Return what a small file holds.

    Raises UserError for what is no ordinary file, is too large or cannot be read;
    FileNotFoundError where there is none.
    """
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"'{file}' is not an ordinary file")
        if found.st_size > LARGEST:
            raise UserError(f"'{file}' has {found.st_size:,} bytes; at most {LARGEST:,} are read")
        return file.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"cannot read '{file}': {error.strerror}") from error


def read_json(file: Path, kind: type[T]) -> T:
    """Return what a file of JSON holds, as a type that pydantic knows.

    Raises UserError, with the place in the file, where it holds something else; otherwise as
    `read_bytes` does.
    """
    return parse_json(read_bytes(file), kind, str(file))


def read_lines(file: Path, kind: type[T]) -> list[T]:
    """Return the lines of a file to which JSON is appended, none where there is no file; the start
    of a line, which a kill has left at its end, is taken away.

    Raises UserError, with the line, where one holds something else; the file is left as it is then.
    """
    if not file.is_file():
        return []
    data = file.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    lines = [
        parse_json(line, kind, f"{file}:{number}")
        for number, line in enumerate(whole.splitlines(), 1)
    ]
    if len(whole) < len(data):
        with file.open("r+b") as stream:
            stream.truncate(len(whole))
    return lines


def parse_json(data: bytes | str, kind: type[T], where: str) -> T:
    """Return what a text of JSON holds, as a type that pydantic knows; raise as `read_json`."""
    try:
        return TypeAdapter(kind).validate_json(data)
    except ValidationError as error:
        raise _unlike(error, where) from None


def checked(data: Any, kind: type[T], where: str) -> T:
    """Return plain data as a type that pydantic knows; raise as `read_json`."""
    try:
        return TypeAdapter(kind).validate_python(data)
    except (ValidationError, RecursionError) as error:
        raise _unlike(error, where) from None


def _unlike(error: ValidationError | RecursionError, where: str) -> UserError:
    if isinstance(error, RecursionError):
        return UserError(f"{where} is nested too deeply")
    first = error.errors(include_url=False, include_input=False)[0]
    at = "".join(f"{part}: " for part in [".".join(map(str, first["loc"]))] if part)
    return UserError(f"{where} is not what folkways writes: {at}{first['msg']}")


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """Return what a text of YAML holds, which is a mapping. Raises UserError for anything else, and
    for a text whose aliases stand for more than NODES values."""
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{where} cannot be read as YAML: {reason}") from None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise UserError(f"{where} is not a mapping of names to values, as folkways writes it")
    waiting: list[Any] = [data]
    count = 0
    while waiting:
        count += 1
        if count > _NODES:
            raise UserError(f"{where} holds more than {_NODES:,} values")
        one = waiting.pop()
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
    return data
