"""A commented scenario file to begin with.

Invariant: what is written passes `scenarios.checks.check` as it is, with examples switched
on or off.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from string import Template

from folkways.errors import UserError

MAX_ROLES = 12
"""Roles a skeleton can have; a file may have more."""

_FOLDER = Path(__file__).parent
_FURTHER = re.compile(r"# begin further role\n(.*)# end further role\n", re.DOTALL)
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def write_skeleton(path: Path, roles: int = 2) -> None:
    """Write a new scenario file with so many roles (2 to MAX_ROLES).

    Raises UserError for a name that is no scenario id, and for a file that exists already or cannot
    be written.
    """
    if path.suffix != ".yaml" or not _ID.fullmatch(path.stem) or len(path.stem) > 60:
        raise UserError(
            f"'{path.name}' cannot be the name of a scenario file; use lower-case letters, digits "
            "and single hyphens (at most 60) and the ending .yaml, as in the-last-bus.yaml"
        )
    if not 2 <= roles <= MAX_ROLES:
        raise UserError(f"a skeleton cannot have {roles} roles; allowed: 2 to {MAX_ROLES}")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(_render(path, roles))
    except FileExistsError as error:
        raise UserError(f"'{path}' exists already; choose another name") from error
    except OSError as error:
        raise UserError(f"cannot write '{path}': {error.strerror}") from error


def _render(path: Path, roles: int) -> str:
    text = (_FOLDER / "skeleton.yaml").read_text(encoding="utf-8")
    found = _FURTHER.search(text)
    assert found is not None
    numbers = range(3, roles + 1)
    further = "".join(Template(found[1]).safe_substitute(number=number) for number in numbers)
    text = text[: found.start()] + further + text[found.end() :]
    return Template(text).substitute(schema=_schema_for(path), file=path.name, id=path.stem)


def _schema_for(path: Path) -> str:
    """Return the way from the file to the JSON Schema, as editors resolve it."""
    schema = _FOLDER / "scenario.schema.json"
    try:
        return Path(os.path.relpath(schema, path.resolve().parent)).as_posix()
    except ValueError:  # on another drive
        return schema.as_uri()
