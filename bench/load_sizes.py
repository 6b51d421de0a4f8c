"""Sizes, measured: many live episodes, a long scene, many roles, many files in a folder.

Each size is measured in a process of its own beside a smaller one, and printed with its ratio: CPU
time of a turn or of a file, and the most memory that was held. The model is the fake one, whose own
work is counted too. bench/load.py measures the readers of a live run. Run it with:
python bench/load_sizes.py [live] [turns] [roles] [files]
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from overhead import peak_mib, play, scenario

ROOT = Path(__file__).resolve().parent.parent
LATENCY_S = 2.0
"""Long enough that all episodes of `live` are in progress at once."""


def live(folder: Path, episodes: int) -> float:
    """Play so many episodes of 5 agents and 5 turns at once; return CPU ms a turn."""
    return play(folder, f"live-{episodes}", 5, 5, episodes, episodes, LATENCY_S)[0]


def turns(folder: Path, count: int) -> float:
    """Play two scenes of so many turns; return CPU ms a turn."""
    return play(folder, f"turns-{count}", 2, count, 2, 2)[0]


def roles(folder: Path, count: int) -> float:
    """Play four scenes of so many roles, four turns each; return CPU ms a turn."""
    return play(folder, f"roles-{count}", count, 4 * count, 4, 4, source="sampled")[0]


def files(folder: Path, count: int) -> float:
    """Check so many scenario files in a folder; return CPU ms a file."""
    text = Path(scenario(folder, 3, 12)).read_text(encoding="utf-8")
    home = folder / "files"
    home.mkdir()
    for number in range(count):
        name = f"talk-{number:05d}"
        (home / f"{name}.yaml").write_text(text.replace("talk-3-12", name), encoding="utf-8")
    line = [sys.executable, "-m", "folkways", "scenario", "check", *map(str, home.glob("*.yaml"))]
    subprocess.run(line, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) / count * 1000


KINDS: dict[str, tuple[Callable[[Path, int], float], tuple[int, int], str]] = {
    "live": (live, (500, 5000), "episodes at once, 5 agents; CPU ms a turn"),
    "turns": (turns, (200, 2000), "turns in a scene, 2 agents; CPU ms a turn"),
    "roles": (roles, (5, 50), "roles in a scene; CPU ms a turn"),
    "files": (files, (1000, 10000), "scenario files checked; CPU ms a file"),
}
"""What is measured, at which sizes, and what it is."""


def measure(kind: str, size: int) -> None:
    """Print CPU milliseconds, MiB and seconds of one size."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        cost = KINDS[kind][0](Path(name), size)
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(cost, children if kind == "files" else peak_mib(), time.perf_counter() - began)


def main(wanted: list[str]) -> None:
    print("| | size | CPU ms | MiB | seconds | CPU ratio |\n|---|---|---|---|---|---|", flush=True)
    for kind in wanted or KINDS:
        _, sizes, about = KINDS[kind]
        first = 0.0
        for size in sizes:
            done = subprocess.run(
                [sys.executable, __file__, kind, str(size)], check=True, capture_output=True,
                text=True,
            )  # fmt: skip
            cost, mib, seconds = map(float, done.stdout.split()[-3:])
            first = first or cost
            print(f"| {about} | {size:,} | {cost:.2f} | {mib:,.0f} | {seconds:.0f} | "
                  f"{cost / first:.2f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[2].isdigit():
        measure(sys.argv[1], int(sys.argv[2]))
    else:
        main(sys.argv[1:])
