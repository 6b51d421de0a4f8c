"""What is wrong with a file, and where.

Invariant: a problem renders as exactly one line, `FILE:LINE:COLUMN: severity: text`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple

from folkways.errors import UserError

Keys = tuple[str | int, ...]
"""The way to a value: `('roles', 'mother', 'knows', 1)`; list items count from 0."""

Severity = Literal["error", "warning"]
"""A warning may be meant; an error cannot."""


class Position(NamedTuple):
    """A place in a file, line and column counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at one place of a file."""

    line: int
    column: int
    path: Keys
    value: str
    """The offending value, shortened; empty where there is none."""
    message: str
    allowed: str = ""
    severity: Severity = "error"

    def render(self, name: str) -> str:
        """Return the problem as one line that editors can jump to."""
        return f"{name}:{self.line}:{self.column}: {self.severity}: {self.text()}"

    def text(self) -> str:
        """Return the problem as one line, without its place."""
        text = f"{show_path(self.path)}: {self.message}" if self.path else self.message
        text += f"; found {self.value}" if self.value else ""
        text += f"; allowed: {self.allowed}" if self.allowed else ""
        return " ".join(text.split())


class Finding(NamedTuple):
    """A problem that has a path but no position yet."""

    path: Keys
    message: str
    value: str = ""
    allowed: str = ""
    severity: Severity = "error"
    key: bool = False
    """Whether it is about the key at the path rather than its value."""


class SourceError(UserError):
    """A file that cannot be used, with all its problems."""

    def __init__(self, name: str, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.render(name) for problem in self.problems))


def show_path(path: Keys) -> str:
    """Return a path as readers write it, `roles.mother.knows[2]`, where lists count from 1."""
    text = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def show_value(value: Any) -> str:
    """Return a value as one short line."""
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    text = "null" if value is None else text
    return text if len(text) <= 60 else f"{text[:45]}...{text[-12:]}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like a name, or None where none is near."""
    return next(iter(get_close_matches(name, list(known), n=1)), None)


def suggest(name: str, known: Iterable[str]) -> str:
    """Return `, did you mean 'X'?` for the nearest known name, or nothing where none is near."""
    near = nearest(name, known)
    return f", did you mean '{near}'?" if near else ""
