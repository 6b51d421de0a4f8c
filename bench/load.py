"""Load, measured: what a run takes beside others that use its log.

A run of scenes whose model takes its time is played alone, then beside a reader that asks the log a
question every second, as often as wanted; each run is a process of its own. Run it with:
python bench/load.py [EPISODES] [REPEATS]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parent.parent
LATENCY_S = 0.5
"""Of an answer: most of a run's time goes into waiting for models, and so does this one's."""
CONCURRENCY = 16
EVERY_S = 1.0
QUERY = "select count(*), sum(turns), sum(spoken_words) from conversations"
GOAL = 1.10


class Asked(NamedTuple):
    """What became of the questions."""

    seconds: list[float]
    failed: int


def write_run(folder: Path, name: str, episodes: int) -> Path:
    """Write the configuration of a run and return its path."""
    config = {
        "name": name, "scenarios": ["soup-before-dusk"], "cultures": ["MEX"],
        "replicates": episodes, "concurrency": CONCURRENCY, "out": str(folder),
        "model": {"name": "fake", "options": {"latency_s": LATENCY_S}},
    }  # fmt: skip
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def play(path: Path) -> float:
    """Play a run and return how many seconds it took."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "folkways", "run", str(path), "--quiet"], cwd=ROOT, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - began


def ask(run: Path, over: threading.Event) -> Asked:
    """Ask a run a question every second until it is over."""
    seconds, failed = [], 0
    while not over.wait(EVERY_S):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "folkways", "sql", str(run), QUERY, "--csv"], cwd=ROOT,
            capture_output=True, check=False,
        )  # fmt: skip
        if (run / "log.duckdb").exists():
            seconds.append(time.perf_counter() - began)
            failed += done.returncode != 0
    return Asked(seconds, failed)


def queried(folder: Path, episodes: int, repeats: int) -> None:
    """Play runs alone and beside a reader, in turn, and print what that cost."""
    alone, beside, asked = [], [], list[Asked]()
    with ThreadPoolExecutor() as pool:
        for number in range(repeats):
            alone.append(play(write_run(folder, f"alone-{number}", episodes)))
            path, over = write_run(folder, f"beside-{number}", episodes), threading.Event()
            reader = pool.submit(ask, path.with_suffix(""), over)
            beside.append(play(path))
            over.set()
            asked.append(reader.result())
    seconds = [took for one in asked for took in one.seconds]
    ratio = statistics.median(beside) / statistics.median(alone)
    print(
        f"{episodes} episodes, {repeats} times: alone {statistics.median(alone):.1f} s, beside a "
        f"reader every {EVERY_S:g} s {statistics.median(beside):.1f} s, ratio {ratio:.3f} "
        f"(goal: at most {GOAL})"
    )
    failed = sum(one.failed for one in asked)
    print(f"{len(seconds)} questions, {failed} failed, {statistics.median(seconds):.2f} s each")


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    times = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as name:
        queried(Path(name), wanted, times)
