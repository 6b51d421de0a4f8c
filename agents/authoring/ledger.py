"""What was tried in a folder of scenarios: the file by which a batch resumes, and its funnel.

Invariant: a try is a line, written once it is over; a line cut short by a kill is taken away, and
what the endpoint failed to answer is no try of a scenario's.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from agents.models.health import FAULTS
from agents.models.watched import Usage
from folkways.files import read_lines
from folkways.provenance import short_hash

FILE = "authoring.jsonl"
WRITTEN = "written"
"""Outcome of a try whose scenario was kept."""


class Outcome(NamedTuple):
    """What came of a try: a file with its text, or why there is none."""

    kind: str
    """written, or why not, in a word."""
    reason: str | None = None
    file: Path | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class _Try:
    """One try for one scenario."""

    job: str
    """Hash of what was wanted."""
    about: str
    """What was wanted, in words."""
    outcome: str
    reason: str | None
    file: str | None
    model: str
    calls: int
    tokens: int
    cost: float | None


def job_key(*wanted: object) -> str:
    """Return the hash of what is wanted."""
    return short_hash(json.dumps([str(one) for one in wanted]))


class Ledger:
    """The tries of a folder."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError, with the line, for a file that is no such list."""
        self.folder = folder
        self.path = folder / FILE
        self._tries = read_lines(self.path, _Try)

    def add(self, job: str, about: str, outcome: Outcome, model: str, usage: Usage) -> None:
        """Add a try, before its scenario is written: a file that is not there is not written."""
        file = None if outcome.file is None else outcome.file.name
        took = (usage.calls, usage.tokens, usage.cost)
        one = _Try(job, about, outcome.kind, outcome.reason, file, model, *took)
        self._tries.append(one)
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(one), ensure_ascii=False) + "\n")

    def written(self, job: str) -> Path | None:
        """Return the file that was written for a job, if it is still there."""
        files = [self.folder / Path(one.file).name for one in self._of([job]) if one.file]
        return next((path for path in files if path.is_file()), None)

    def used(self, job: str) -> int:
        """Return how many tries of a job are used up; those without an answer do not count."""
        return sum(one.outcome not in (*FAULTS, WRITTEN) for one in self._of([job]))

    def funnel(self, jobs: Sequence[str]) -> list[str]:
        """Return what became of jobs in all launches: what it took, then how many are written."""
        tries = self._of(jobs)
        costs = [one.cost for one in tries if one.cost is not None]
        cost = f", ${sum(costs):.4f}" if costs else ""
        calls, tokens = sum(one.calls for one in tries), sum(one.tokens for one in tries)
        done = sum(self.written(job) is not None for job in jobs)
        lost = Counter(one.outcome for one in tries if one.outcome != WRITTEN)
        reasons = ", ".join(f"{number} {kind}" for kind, number in sorted(lost.items()))
        dropped = f"{lost.total()} tries dropped{f' ({reasons})' * bool(reasons)}"
        return [
            f"in all launches: {calls:,} calls, {tokens:,} tokens{cost}",
            f"{done} of {len(jobs)} written, {dropped}",
        ]

    def _of(self, jobs: Sequence[str]) -> list[_Try]:
        wanted = set(jobs)
        return [one for one in self._tries if one.job in wanted]
