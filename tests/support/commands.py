"""Commands of folkways, run in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from folkways.cli import main


def command(*arguments: str | Path) -> int:
    """Return the exit status of a command."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)
