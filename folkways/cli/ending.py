"""How a launch ended, for the terminal and for the shell.

Invariant: whatever kind of work it was, the same ending has the same words and the same exit code.
"""

from __future__ import annotations

from pathlib import Path

import typer

from folkways.text import printable

_ENDINGS = {
    "limit": "stopped at --limit; the same command without it goes on",
    "drained": "interrupted; the same command goes on where this one stopped",
}
"""Why a launch ended, in words; a budget is named."""


def say_ending(run: Path, reason: str, done: str) -> None:
    """Print how a launch ended, `done` being what is true when nothing is left to do; an
    interrupted one exits with 130."""
    words = done if reason == "done" else _ENDINGS.get(reason, f"the budget ran out ({reason})")
    typer.echo(printable(f"{run}: {words}"))
    if reason == "drained":
        raise typer.Exit(130)
