"""The golden set: do the commands of this checkout write what those of another one write?

Every command that bench/kill_commands.py kills is run with the sources of both on the same inputs.
Stores are compared column by column, folders byte by byte, both without clocks; the rows of `pack`,
whose files hold clocks, are those of `merge`. For a change that is to change nothing:

    git worktree add ../before main && python bench/golden.py ../before
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

from kill_commands import ROOT, start, unlike
from kill_inputs import CASES, HEAVY, make_inputs


def main() -> None:
    """Print one row for each command; exit 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, help="a checkout")
    parser.add_argument("--heavy", action="store_true", help="train, merge and an experiment too")
    given = parser.parse_args()
    cases = [
        case for case in CASES if case.name != "pack" and (given.heavy or case.name not in HEAVY)
    ]
    same = True
    with tempfile.TemporaryDirectory() as name:
        ours, theirs = (Path(name) / which for which in ("ours", "theirs"))
        for ground, source in ((ours, ROOT), (theirs, given.other.resolve())):
            wanted = [case.name for case in cases]
            make_inputs(ground, wanted, partial(start, source=source), heavy=given.heavy)
        print("| command | what differs |\n|---|---|")
        for case in cases:
            found = unlike(case, theirs / case.name, ours / case.name)
            same &= not found
            print(f"| {case.name} | {found or 'nothing'} |")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
