"""Faults, measured: the same episodes against sound endpoints and against failing ones, and what
became of them; then a full disk, a jumping clock, a poisoned scene and a reader that holds the log.

Every run is a process of its own, its three endpoints are another, and every turn in the log is
held against what the endpoints say they sent. Run it with: python bench/faults.py [EPISODES]
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

import duckdb
import yaml

ROOT = Path(__file__).resolve().parent.parent
TURNS = 6
RATE = 0.2
LATENCY_S = 1.0
"""Of a sound answer in the comparison: long enough for waiting, not computing, to take the time."""
TIMEOUT_S = 5.0
"""Of one request: what a hang costs."""
SEED = 7
LIVE = 64
REQUESTS_PER_MINUTE = 600
"""Of each endpoint while the clock jumps."""
FULL = 2**17
"""Bytes that every file may have on the full disk: enough for some episodes more."""
HELD_S = 120.0
"""How long a reader holds the log."""
SERVER = Path(__file__).with_name("faulty_server.py")


class Ran(NamedTuple):
    """A run's process."""

    code: int
    seconds: float
    cpu_s: float
    rss_mib: float
    """Worst resident memory."""
    told: str
    """What it wrote to standard error."""


async def poisoned(stage: Any, ask: Any, rng: Any, options: Any) -> Any:
    """A turn policy that breaks in the middle of a scene."""
    raise RuntimeError("this scene is poisoned")


@contextmanager
def endpoints(
    rate: float, latency_s: float = 0.05, count: int = 3, slots: int = 1000,
    quota: int = sys.maxsize,
) -> Iterator[list[int]]:  # fmt: skip
    """Run endpoints and give their ports."""
    numbers = (count, rate, latency_s, SEED, slots, quota)
    command = [sys.executable, str(SERVER), *map(str, numbers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())
        finally:
            server.terminate()


def journal(ports: list[int]) -> list[dict[str, Any]]:
    """Return every request that the endpoints had, with what they sent."""
    with urlopen(f"http://127.0.0.1:{ports[0]}/journal") as answer:
        entries: list[dict[str, Any]] = json.loads(answer.read())
    return entries


def write_run(
    folder: Path, name: str, ports: list[int], episodes: int, policy: str = "round-robin",
    **limits: Any,
) -> Path:  # fmt: skip
    """Write the scene, the pool and the configuration of a run; return the latter's path."""
    scene = {
        "id": "talk", "title": "A talk", "theme": "public-rules",
        "setting": "A long table in the hall, in the evening, after everything has been said once.",
        "roles": {role: {"brief": "One of them.", "goal": "You want to be heard."}
                  for role in ("first", "second")},
        "policy": "round-robin", "limits": {"turns": TURNS},
        "phases": [{"id": "talk", "acts": ["speak"]}],
        "norms": [{"id": "listen", "text": "One lets others finish."}],
        "provenance": {"author": "bench", "made": "generated"},
    }  # fmt: skip
    scenes = [scene] + ([scene | {"id": "poison", "policy": policy}] if ":" in policy else [])
    for each in scenes:
        (folder / f"{each['id']}.yaml").write_text(yaml.safe_dump(each, sort_keys=False))
    pool = {
        "endpoints": [
            {"name": f"e{number}", "model": f"openai:m@http://127.0.0.1:{port}/v1",
             "concurrency": 32, "options": {"timeout_s": TIMEOUT_S}, **limits}
            for number, port in enumerate(ports)
        ],
        "health": {"pause_s": 0.2, "longest_pause_s": 2},
    }  # fmt: skip
    (folder / f"{name}-pool.yaml").write_text(yaml.safe_dump(pool, sort_keys=False))
    config = {
        "name": name, "scenarios": [str(folder / f"{each['id']}.yaml") for each in scenes],
        "cultures": ["GBR"], "replicates": episodes, "concurrency": LIVE, "out": str(folder),
        "model": {"name": f"pool:{folder / name}-pool.yaml", "max_tokens": 64},
        "budget": {"wall_s": 3600},
    }  # fmt: skip
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def run(*command: str, file_limit: int | None = None) -> Ran:
    """Run a command of Python's; `file_limit` bounds the size of every file it writes, bytes."""

    def bound() -> None:
        if file_limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    environ = os.environ | {"PYTHONPATH": str(ROOT / "bench")}
    began = time.perf_counter()
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=environ, stdout=told, stderr=told,
            preexec_fn=bound,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        told.seek(0)
        text = told.read().decode(errors="replace")
    cpu_s = usage.ru_utime + usage.ru_stime
    seconds = time.perf_counter() - began
    return Ran(process.returncode, seconds, cpu_s, usage.ru_maxrss / 1024, text)


def folkways_run(path: Path, file_limit: int | None = None) -> Ran:
    """Play a configuration with the command that a user gives."""
    return run("-m", "folkways", "run", str(path), "--allow-code", file_limit=file_limit)


def rows(run_folder: Path, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query on a run's log."""
    with duckdb.connect(str(run_folder / "log.duckdb"), read_only=True) as con:
        return con.execute(query).fetchall()


def audit(run_folder: Path, planned: int, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Hold a log against what was planned and against what the endpoints sent."""
    found = rows(run_folder, "select content_hash, exit_reason from episodes")
    finished = Counter(hash_ for hash_, reason in found if reason != "error")
    turns = rows(
        run_folder,
        "select t.text, t.failure, c.seed, c.prompt_hash, c.endpoint from turns t "
        "left join calls c using (episode_id, call)",
    )
    invented, used = 0, Counter[int]()
    for text, _, seed, prompt_hash, endpoint in (row for row in turns if row[0] is not None):
        told = re.fullmatch(r"Answer (\d+) is given\.", text)
        entry = entries[int(told[1]) - 1] if told else {}
        sent = tuple(entry.get(key) for key in ("text", "seed", "prompt_hash", "endpoint"))
        invented += sent != (text, seed, prompt_hash, endpoint or entry.get("endpoint"))
        used[int(told[1]) if told else 0] += 1
    (requests,), *_ = rows(run_folder, "select sum(attempts) from calls")
    return {
        "lost": planned - len(finished),
        "doubled": sum(finished.values()) - len(finished),
        "invented": invented + sum(count - 1 for count in used.values()),
        "turns": len(turns),
        "failures": counted(failure for _, failure, *_ in turns if failure),
        "exits": counted(reason for _, reason in found),
        "requests": requests,
    }


def counted(words: Iterable[str]) -> str:
    """Return how often each word occurs."""
    return ", ".join(f"{n} {word}" for word, n in sorted(Counter(words).items())) or "none"


def told_of(name: str, ran: Ran, found: dict[str, Any], more: str = "") -> None:
    """Print one row of the table."""
    print(
        f"{name}: exit code {ran.code}, {ran.seconds:.1f} s (CPU {ran.cpu_s:.1f} s), "
        f"worst memory {ran.rss_mib:.0f} MiB\n"
        f"  episodes lost {found['lost']}, doubled {found['doubled']}; turns {found['turns']}, "
        f"invented {found['invented']}, failed: {found['failures']}{more}",
        flush=True,
    )


def faults(folder: Path, episodes: int) -> None:
    """Play against sound endpoints, then against failing ones."""
    seconds = []
    for name, rate in (("fault-free", 0.0), (f"{RATE:.0%} faults", RATE)):
        with endpoints(rate, LATENCY_S) as ports:
            path = write_run(folder, f"rate-{rate:.0%}".strip("%"), ports, episodes)
            ran, entries = folkways_run(path), journal(ports)
        found = audit(path.with_suffix(""), episodes, entries)
        seconds.append(ran.seconds)
        told_of(name, ran, found)
        print(f"  episodes ended: {found['exits']}")
        print(f"  requests {len(entries)}, counted in the log {found['requests']}")
        for fault, count in sorted(Counter(e["fault"] for e in entries if e["fault"]).items()):
            print(f"  {fault:<22} {count:>5}")
    print(f"time over the fault-free run: {seconds[1] / seconds[0]:.2f}")


def full_disk(folder: Path, episodes: int) -> None:
    """Let no file grow beyond a bound, which the log already has, then continue with room."""
    with endpoints(0) as ports:
        path = write_run(folder, "disk", ports, episodes)
        run("-m", "folkways", "run", str(path), "--limit", "1")
        stopped = folkways_run(path, FULL)
        kept = set(map(str, rows(path.with_suffix(""), "from turns")))
        episodes_kept = rows(path.with_suffix(""), "select count(*) from episodes")[0][0]
        ran, entries = folkways_run(path), journal(ports)
    said = [line for line in stopped.told.splitlines() if line.startswith("folkways: ")]
    print(
        f"disk full: exit code {stopped.code}, {episodes_kept} episodes stored; {len(said)} line:"
    )
    print("  " + ("".join(said) if len(said) == 1 else stopped.told))
    gone = kept - set(map(str, rows(path.with_suffix(""), "from turns")))
    found = audit(path.with_suffix(""), episodes, entries)
    told_of("the same command with room", ran, found, f"; stored before and changed: {len(gone)}")


def jumping_clock(folder: Path, episodes: int) -> None:
    """Let the clock of the day jump a day forward, then two back, while limits are in force."""
    with endpoints(0) as ports:
        path = write_run(folder, "clock", ports, episodes, requests_per_minute=REQUESTS_PER_MINUTE)
        ran, entries = run(__file__, "--jumping", str(path)), journal(ports)
    found = audit(path.with_suffix(""), episodes, entries)
    took = entries[-1]["time_s"] - entries[0]["time_s"] + 1  # they are timed where they arrive
    allowed = 3 * REQUESTS_PER_MINUTE * (0.1 + 0.9 * took / 60)
    ((jumps, reason),) = rows(
        path.with_suffix(""),
        "select count(distinct started_at::date), (select any_value(end_reason) from launches) "
        "from episodes",
    )
    told_of("clock jumps", ran, found, f"; {jumps} days in the log, ended: {reason}")
    print(f"  requests {len(entries)} in {took:.0f} s, allowed {allowed:.0f}")


def jumping(path: Path) -> None:
    """Play a run whose clock of the day jumps after a third and after two thirds of the turns."""
    sys.path.insert(0, str(ROOT))
    from folkways.clock import utc_now
    from simulation.config import load_config
    from simulation.episode.budget import Budget
    from simulation.execution.model_manager import ModelManager
    from simulation.execution.progress import Progress
    from simulation.plan import make_plan
    from simulation.runner import Runner
    from simulation.store.writer import Store

    plan = make_plan(load_config(path))
    folder, progress, real = path.with_suffix(""), Progress(), time.time
    folder.mkdir()
    Store(folder).create()

    def ahead() -> float:
        third = len(plan) * TURNS / 3
        return 0.0 if progress.turns < third else 86_400 * (1 if progress.turns < 2 * third else -1)

    def utc() -> datetime:
        return utc_now() + timedelta(seconds=ahead())

    clock: Callable[[], float] = lambda: real() + ahead()  # noqa: E731
    time.time = clock
    budget = Budget(plan.config.budget, time.monotonic)
    runner = Runner(plan, ModelManager(), folder, progress, utc, budget)
    print(asyncio.run(runner.run()))


def one_slot(folder: Path, episodes: int) -> None:
    """Play many episodes at once against a server that works off one request after the other, and
    goes on with those that were given up."""
    with endpoints(0, 0.1, count=1, slots=1) as ports:
        path = alone(write_run(folder, "one-slot", ports, episodes), ports[0])
        ran, entries = folkways_run(path), journal(ports)
    found = audit(path.with_suffix(""), episodes, entries)
    told_of("one slot", ran, found, f"; requests {len(entries)}")


def spent_quota(folder: Path, episodes: int) -> None:
    """Let the day's quota end half-way; continue on the next day."""
    with endpoints(0, count=1, quota=episodes * TURNS // 2) as ports:
        path = alone(write_run(folder, "quota", ports, episodes), ports[0])
        stopped = folkways_run(path)
        ((kept, results),) = rows(
            path.with_suffix(""),
            "select count(*), count(*) filter (exit_reason = 'turn-limit') from episodes",
        )
        with urlopen(f"http://127.0.0.1:{ports[0]}/refill"):
            ran, entries = folkways_run(path), journal(ports)
    said = [line for line in stopped.told.splitlines() if line.startswith("folkways: ")]
    print(f"quota spent: exit code {stopped.code}, {kept} episodes stored, {results} of them whole")
    print("  " + "".join(said))
    found = audit(path.with_suffix(""), episodes, entries)
    told_of("the same command on the next day", ran, found, f"; requests {len(entries)}")


def alone(path: Path, port: int) -> Path:
    """Have a run play with one endpoint instead of a pool."""
    config = yaml.safe_load(path.read_text())
    name = f"openai:m@http://127.0.0.1:{port}/v1"
    config["model"] |= {"name": name, "options": {"timeout_s": TIMEOUT_S}}
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def held_log(folder: Path, episodes: int) -> None:
    """Let a reader of another program hold the log almost from the first for two minutes."""
    held_s = HELD_S if episodes > 50 else HELD_S / 10
    with endpoints(0, LATENCY_S) as ports:
        path = write_run(folder, "held", ports, episodes)
        log = path.with_suffix("") / "log.duckdb"
        command = [sys.executable, __file__, "--holding", str(log), str(held_s)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as reader:
            ran, entries = folkways_run(path), journal(ports)
            held, _ = reader.communicate()
    said = ran.told.count(f"held by process {reader.pid} ")
    found = audit(path.with_suffix(""), episodes, entries)
    told_of("a reader holds the log", ran, found, f"; {held.strip()}, named {said} time(s)")


def holding(log: Path, seconds: float) -> None:
    """Hold a log as a reader for so many seconds, beginning as soon as there is one."""
    while True:
        try:
            with duckdb.connect(str(log), read_only=True):
                time.sleep(seconds)
            print(f"held for {seconds:.0f} s")
            return
        except duckdb.Error:
            time.sleep(0.01)


def poison(folder: Path, episodes: int) -> None:
    """Play a scene that always breaks beside a sound one."""
    with endpoints(0) as ports:
        path = write_run(folder, "poison-run", ports, episodes, policy="faults:poisoned")
        ran, entries = folkways_run(path), journal(ports)
    found = audit(path.with_suffix(""), episodes, entries)
    told_of("a poisoned scene", ran, found, f"; episodes ended: {found['exits']}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--jumping"]:
        jumping(Path(sys.argv[2]))
    elif sys.argv[1:2] == ["--holding"]:
        holding(Path(sys.argv[2]), float(sys.argv[3]))
    else:
        wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
        with tempfile.TemporaryDirectory() as name:
            faults(Path(name), wanted)
            full_disk(Path(name), wanted)
            jumping_clock(Path(name), min(wanted, 200))
            poison(Path(name), min(wanted, 200))
            one_slot(Path(name), min(wanted, 50))
            spent_quota(Path(name), min(wanted, 200))
            held_log(Path(name), wanted)
