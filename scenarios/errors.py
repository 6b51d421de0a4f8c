"""The one error a user is meant to read.

Invariant: everything that is not a `UserError` is a defect and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable


class UserError(Exception):
    """Something the user can mend: what was wrong, the value, what is allowed, what to do next.

    The launcher prints it as text without a traceback and exits with status 1.
    """


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Return the error for a name that is not in a table of names, listing the known ones."""
    return UserError(f"unknown {kind} '{name}'; known: {', '.join(sorted(known))}")
