"""folkways beside Sotopia at equal work: two agents who take turns for 20 turns, the model stubbed
just below the client. folkways writes its log meanwhile, Sotopia none.

The two sides run in turn, three times, each in a process of its own. Sotopia needs an environment
of its own (`python -m venv DIR && DIR/bin/pip install sotopia`); without one its side is skipped.
Run it with: python bench/peers.py [PYTHON_WITH_SOTOPIA]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
TURNS = 20
ROUNDS = 3
OURS = """
import json, sys, tempfile
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from overhead import play
episodes, turns, live = map(int, sys.argv[2:5])
latency_s = float(sys.argv[5])
with tempfile.TemporaryDirectory() as folder:
    cpu_ms, wall_s = play(Path(folder), "peer", 2, turns, episodes, live, latency_s)
played = episodes * turns
print(json.dumps({"cpu_s": cpu_ms * played / 1000, "wall_s": wall_s, "turns": played}))
"""


class Work(NamedTuple):
    """What both sides play."""

    episodes: int
    live: int
    latency_s: float


WORKS = (Work(500, 1, 0.0), Work(1000, 1000, 0.0), Work(500, 500, 0.1))


def measured(command: Sequence[str], work: Work) -> dict[str, float]:
    """Run one side; return CPU milliseconds a turn and wall seconds. Every turn must be played."""
    arguments = (work.episodes, TURNS, work.live, work.latency_s)
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*command, *map(str, arguments)], cwd=folder, stdout=subprocess.PIPE, check=True
        )
    told = json.loads(done.stdout.splitlines()[-1])
    if told["turns"] != work.episodes * TURNS:
        raise SystemExit(f"{command[0]} played {told['turns']} turns of {work.episodes * TURNS}")
    return {"cpu_ms": 1000 * told["cpu_s"] / told["turns"], "wall_s": told["wall_s"]}


def main() -> None:
    sides = {"folkways": [sys.executable, "-c", OURS, str(HERE)]}
    if len(sys.argv) > 1:
        sides["sotopia"] = [sys.argv[1], str(HERE / "peer_sotopia.py")]
    else:
        print("Sotopia: skipped, no Python with it was named")
    print("| side | episodes | live | latency, s | CPU ms a turn | wall s |")
    print("|---|---|---|---|---|---|")
    for work in WORKS:
        rounds = [{side: measured(run, work) for side, run in sides.items()} for _ in range(ROUNDS)]
        for side in sides:
            cpu, wall = (median(r[side][what] for r in rounds) for what in ("cpu_ms", "wall_s"))
            cells = (side, *work, f"{cpu:.2f}", f"{wall:.1f}")
            print("|", " | ".join(map(str, cells)), "|")


if __name__ == "__main__":
    main()
