"""What commands print: kept until it is whole, and shown as the terminal needs it.

Invariant: what a model wrote cannot steer the terminal, and nothing stays open while output waits
to be read.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import TextIO, cast

from rich.console import Console

from folkways.errors import UserError
from folkways.text import printable

_WIDTH = 160
"""Width of tables that are not printed to a terminal, in characters."""


@contextmanager
def output(raw: bool = False) -> Iterator[TextIO]:
    """Give a stream whose text is printed at the end of the block, unless that ends in an error.

    `raw` text is made harmless where it goes to a terminal.
    """
    with TemporaryFile("w+", encoding="utf-8", newline="") as spool:
        stream = cast(TextIO, spool)
        yield stream
        stream.seek(0)
        if raw and sys.stdout.isatty():
            sys.stdout.writelines(printable(line) for line in stream)
        else:
            shutil.copyfileobj(stream, sys.stdout)
        sys.stdout.flush()


def console_for(stream: TextIO) -> Console:
    """Return a console for `stream` that behaves as standard output would; in a notebook, too,
    what is printed on it goes to the stream alone."""
    return Console(
        file=stream,
        force_terminal=sys.stdout.isatty(),
        force_jupyter=False,
        width=shutil.get_terminal_size((_WIDTH, 50)).columns,
        highlight=False,
    )


def refuse_to_overwrite(path: Path, force: bool) -> None:
    """Raise UserError for a file that is there, unless the user insists."""
    if path.exists() and not force:
        raise UserError(f"'{path}' exists already; choose another name, or overwrite with --force")
