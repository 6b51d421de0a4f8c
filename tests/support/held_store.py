"""Processes that have a store open, as other programs do, and records to store meanwhile."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from simulation.store.record import Record

NOW = datetime(2026, 3, 2, 8)  # noqa: DTZ001
HOLD = """
import duckdb, sys, time
while True:
    try:
        con = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "reads")
        break
    except duckdb.Error:
        time.sleep(0.01)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(store: Path, how: str = "reads") -> Iterator[subprocess.Popen[str]]:
    """Have another process hold a store for the time of a block, open to read or to write it."""
    command = [sys.executable, "-c", HOLD, str(store), how]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        yield process
        assert process.stdin
        process.stdin.close()


def played(number: int, template: str = "t", **fields: object) -> Record:
    """Return the record of an episode in which next to nothing happened."""
    episode = {
        "episode_id": f"e{number}", "content_hash": f"e{number}", "attempt": 1, "run_id": "r",
        "scenario_id": "s", "scenario_hash": "h", "culture_id": "MEX", "language": "en",
        "replicate": 0, "seed": 1, "model": "fake", "reply_form": "json", "policy": "random",
        "exit_reason": "deal", "turns": 1, "started_at": NOW, "wall_s": 1.0,
    }  # fmt: skip
    turn = {
        "episode_id": f"e{number}", "turn": 1, "step": 1, "speaker": "a", "action": "speak",
        "text": "It is so.", "addressees": [], "audience": ["b"], "whisper": False, "call": 1,
    } | fields  # fmt: skip
    shared = {"templates": [{"template_hash": template, "name": "x", "text": "y"}]}
    return Record({"episodes": [episode], "turns": [turn]}, "deal", shared)
