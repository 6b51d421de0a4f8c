"""Engine overhead: what a turn costs beside the model, all included (graph, prompts, parsing,
store).

Run it with: python bench/overhead.py
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from folkways.clock import utc_now
from simulation.config import RunConfig
from simulation.execution.progress import Progress
from simulation.plan import make_plan
from simulation.run import launch
from simulation.runner import Runner
from simulation.store.writer import Store


def scenario(folder: Path, roles: int, turns: int) -> str:
    """Write a scenario in which everybody only speaks, in turn, and return its path."""
    data = {
        "id": f"talk-{roles}-{turns}", "title": "A talk", "theme": "public-rules",
        "setting": "A long table in the hall, in the evening, after everything has been said once.",
        "roles": {f"person_{n}": {"brief": "One of them.", "goal": "You want to be heard."}
                  for n in range(roles)},
        "policy": "round-robin", "limits": {"turns": turns},
        "phases": [{"id": "talk", "acts": ["speak"]}],
        "norms": [{"id": "listen", "text": "One lets others finish."}],
        "provenance": {"author": "bench", "made": "generated"},
    }  # fmt: skip
    path = folder / f"talk-{roles}-{turns}.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return str(path)


def play(
    folder: Path, name: str, roles: int, turns: int, episodes: int, live: int,
    latency_s: float = 0, source: str = "authored",
) -> tuple[float, float]:  # fmt: skip
    """Play and store episodes; return CPU milliseconds per turn and wall seconds."""
    config = RunConfig.model_validate(
        {
            "name": name, "scenarios": [scenario(folder, roles, turns)], "cultures": ["GBR"],
            "replicates": episodes, "concurrency": live, "out": str(folder),
            "model": {"name": "fake", "options": {"latency_s": latency_s}},
            "cast": {"source": source},
        }
    )  # fmt: skip
    plan = make_plan(config)
    cpu, wall = time.process_time(), time.perf_counter()
    launch(plan, limit=None, fresh=False, quiet=True)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return cpu / (episodes * turns) * 1000, wall


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def overhead(folder: Path) -> None:
    print("CPU ms per turn, fake model, 20 turns, form json")
    print(f"{'live episodes':>14} {'2 agents':>9} {'5 agents':>9}")
    for live in (1, 100, 1000):
        cells = [
            play(folder, f"o{roles}-{live}", roles, 20, max(live, 200), live)[0] for roles in (2, 5)
        ]
        print(f"{live:>14} {cells[0]:>9.2f} {cells[1]:>9.2f}")


def long_scenes(folder: Path) -> None:
    print("\nCPU ms per turn by length of the scene, 2 agents, 50 live episodes")
    for turns in (25, 50, 100, 200):
        print(f"{turns:>4} turns {play(folder, f'l{turns}', 2, turns, 100, 50)[0]:>6.2f}")


def throughput(folder: Path) -> None:
    _, wall = play(folder, "throughput", 2, 20, 1000, 200)
    print(f"\n20,000 turns played and stored in {wall:.1f} s: {20_000 / wall:,.0f} turns a second")


def latency(folder: Path) -> None:
    _, wall = play(folder, "latency", 2, 20, 500, 500, latency_s=0.1)
    print(
        f"\n500 episodes of 20 turns at 100 ms model latency: {wall:.1f} s (latency alone: 2.0 s)"
    )


def log_size(folder: Path) -> None:
    print("\nsize of the log, 2 agents, 20 turns an episode")
    for episodes in (500, 1000, 2000):
        play(folder, f"s{episodes}", 2, 20, episodes, 200)
        size = (folder / f"s{episodes}" / "log.duckdb").stat().st_size
        turns = episodes * 20
        print(f"{turns:>6} turns {size / 2**20:>6.1f} MiB, {size / turns:>5.0f} bytes a turn")


def memory(folder: Path) -> None:
    """Hold 1,000 episodes of 5 agents in mid-scene and compare with holding 10."""
    print("\nmemory of live episodes, 5 agents, halfway through 20 turns")
    peaks = []
    for live in (10, 1000):
        config = RunConfig.model_validate(
            {
                "name": f"m{live}", "scenarios": [scenario(folder, 5, 20)], "cultures": ["GBR"],
                "replicates": live, "concurrency": live, "out": str(folder),
                "model": {"name": "fake", "options": {"latency_s": 0.5}},
            }
        )  # fmt: skip
        plan = make_plan(config)
        (folder / f"m{live}").mkdir()
        Store(folder / f"m{live}").create()
        from agents.models.fake import FakeModel

        progress = Progress(quiet=True)
        runner = Runner(plan, FakeModel(latency_s=0.5), folder / f"m{live}", progress, utc_now)

        async def halfway(runner: Runner = runner, wanted: int = live * 10) -> None:
            task = asyncio.create_task(runner.run())
            while runner.progress.turns < wanted:
                await asyncio.sleep(0.05)
            peaks.append(current_mib())
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(halfway())
    print(f"{(peaks[1] - peaks[0]) / 990 * 1024:.0f} KiB a live episode")


def current_mib() -> float:
    """Return resident memory in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1024 / 1024


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        for part in (memory, overhead, long_scenes, throughput, latency, log_size):
            part(Path(name))
