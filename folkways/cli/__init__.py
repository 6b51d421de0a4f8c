"""The command line: checks that our package names are ours, then runs the command that is named.

Invariant: no command runs with a package that another distribution has shadowed.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

_PACKAGES = ("scenarios", "agents", "simulation", "training", "eval")
_ALLOW_CODE = "--allow-code"
_HOME = Path(__file__).resolve().parent.parent.parent
"""The folder of the packages."""


def shadowed() -> str | None:
    """Return a sentence about the first package name that resolves elsewhere, or None."""
    for name in _PACKAGES:
        spec = find_spec(name)
        found = Path(spec.origin).resolve().parent if spec and spec.origin else None
        if found != _HOME / name:
            return (
                f"the package name '{name}' resolves to {found or 'nothing'} instead of "
                f"{_HOME / name}: install folkways into an environment of its own"
            )
    return None


def main(arguments: list[str] | None = None) -> None:
    """Run a command. Exit codes: 0 ok, 1 the user's error, 2 usage, 130 interrupted."""
    problem = shadowed()
    if problem:
        sys.exit(f"folkways: {problem}")
    import typer

    from folkways.cli.application import application

    try:
        try:
            given = _with_leave(sys.argv[1:] if arguments is None else arguments)
            typer.main.get_command(application())(args=given, prog_name="folkways")
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _end_unread()
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):
            _end_unread()
        raise
    except KeyboardInterrupt:
        _end("interrupted", 130)
    except Exception as error:
        words = _one_line(error)
        if words is None:
            raise
        _end(words, 1)


def _end(words: str, code: int) -> NoReturn:
    from folkways.secrets import redacted
    from folkways.text import printable

    print(printable(redacted(f"folkways: {words}")), file=sys.stderr)
    sys.exit(code)


def _end_unread() -> NoReturn:
    """End well where nobody reads on, as in `folkways sql ... | head`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def _one_line(error: Exception) -> str | None:
    """Return what to say of an error that the user can do something about, None for a defect."""
    from folkways.errors import UserError

    if isinstance(error, UserError):
        return str(error)
    from simulation.store.connection import fault_of

    return fault_of(error)


def _with_leave(arguments: list[str]) -> list[str]:
    """Take `--allow-code`, which every command has, out of the arguments and give the leave."""
    from folkways.registry import Code, allow_code, set_code

    set_code(Code())
    if cultures := sys.modules.get("scenarios.culture"):
        cultures.forget_cultures()
    if _ALLOW_CODE in arguments:
        allow_code()
    return [argument for argument in arguments if argument != _ALLOW_CODE]
