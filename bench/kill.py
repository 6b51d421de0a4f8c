"""Workers, nodes and the driver of a cluster killed at random: is anything lost or doubled?

A Ray cluster of several node processes on this machine plays a run with the fake model, while a
seeded hand kills a worker process, a whole node or the driver with SIGKILL; a node that is gone is
replaced and a driver that is gone started again by the same command. The store is then compared,
row by row, with that of the same run played undisturbed in one process.

Run it with: python bench/kill.py [KILLS] [SEED] [EPISODES A SCENARIO AND CULTURE]
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # all nodes on the loopback address
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import duckdb

ROOT = Path(__file__).resolve().parent.parent
CONFIG = """
name: killed
scenarios: [{scenarios}]
cultures: [CHN, DEU]
replicates: {replicates}
concurrency: 8
model: {{name: fake, options: {{latency_s: 0.05}}}}
"""
SCENARIOS = "soup-before-dusk, drive-home-from-the-clinic, who-takes-father-in"
CLOCKS = {"started_at", "wall_s", "latency_s", "merged_at", "run_id"}
TABLES = ("episodes", "roles", "turns", "happenings", "choices", "calls")
EVERY_S = 2.5
"""Seconds between two kills, on average."""


def command(config: Path, out: Path, *more: str) -> list[str]:
    """Return the command line that plays the run."""
    return [sys.executable, "-m", "folkways", "run", str(config), "-o", f"out={out}", *more]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


def workers() -> list[int]:
    """Return the process ids of Ray workers that play."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if words.startswith(b"ray::Worker"):
                found.append(int(entry.name))
    return found


class Hand:
    """Kills at random, and keeps count."""

    def __init__(self, cluster: Any, nodes: list[Any], seed: int) -> None:
        self.cluster, self.nodes, self.rng = cluster, nodes, random.Random(seed)
        self.killed: Counter[str] = Counter()

    def strike(self, driver: subprocess.Popen[bytes]) -> None:
        """Kill a worker, a node or the driver."""
        what = self.rng.choices(("worker", "node", "driver"), (3, 1, 1))[0]
        if what == "worker":
            if not (found := sorted(workers())):
                return
            os.kill(self.rng.choice(found), signal.SIGKILL)
        elif what == "node":
            node = self.nodes.pop(self.rng.randrange(len(self.nodes)))
            self.cluster.remove_node(node, allow_graceful=False)
            self.nodes.append(self.cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1"))
        else:
            driver.kill()
            driver.wait()
        self.killed[what] += 1


def play_under_fire(config: Path, out: Path, kills: int, seed: int) -> Counter[str]:
    """Play the run while things are killed; return what was, by kind."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "node_ip_address": "127.0.0.1"}
    )
    try:
        nodes = [cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1") for _ in range(3)]
        hand = Hand(cluster, nodes, seed)
        line = command(config, out, "--ray", cluster.address, "--workers", "3", "--quiet")
        driver = subprocess.Popen(line, env=environment())
        while True:
            try:
                code = driver.wait(hand.rng.uniform(0.2, 2 * EVERY_S))
            except subprocess.TimeoutExpired:
                if hand.killed.total() < kills and workers():
                    hand.strike(driver)
                code = driver.poll()
            if code == 0:
                return hand.killed
            if code == -signal.SIGKILL:
                driver = subprocess.Popen(line, env=environment())
            elif code is not None:
                raise SystemExit(f"the driver ended with {code}")
    finally:
        cluster.shutdown()


def difference(one: Path, other: Path) -> dict[str, tuple[int, int, int]]:
    """Return by table: rows here, rows there, and rows that only one of them has."""
    con = duckdb.connect()
    for name, run in (("a", one), ("b", other)):
        con.execute(f"attach '{run / 'log.duckdb'}' as {name} (read_only)")
    found = {}
    for table in TABLES:
        columns = con.execute(
            "select column_name from duckdb_columns() where database_name = 'a' and table_name = ?",
            [table],
        ).fetchall()
        listed = ", ".join(f'"{name}"' for (name,) in columns if name not in CLOCKS)
        counts = [
            con.execute(f"select count(*) from {name}.{table}").fetchall()[0][0] for name in "ab"
        ]
        ours, theirs = (f"select {listed} from {name}.{table}" for name in "ab")
        only = con.execute(
            f"select count(*) from (({ours} except all {theirs}) union all "
            f"({theirs} except all {ours}))"
        ).fetchall()[0][0]
        found[table] = (*counts, only)
    return found


def main(kills: int = 20, seed: int = 1, replicates: int = 150) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = folder / "killed.yaml"
        config.write_text(CONFIG.format(scenarios=SCENARIOS, replicates=replicates))
        subprocess.run(
            command(config, folder / "calm", "--quiet"), check=True, env=environment(),
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        began = time.perf_counter()
        killed = play_under_fire(config, folder / "fire", kills, seed)
        seconds = time.perf_counter() - began
        found = difference(folder / "calm" / "killed", folder / "fire" / "killed")
    print(f"killed in {seconds:.0f} s: {', '.join(f'{n} {what}' for what, n in killed.items())}")
    for table, (calm, fire, only) in found.items():
        print(f"  {table:<10} {calm:>7,} rows undisturbed, {fire:>7,} under fire, {only} differ")
    if killed.total() < kills or any(only for *_, only in found.values()):
        raise SystemExit("not the same" if killed.total() >= kills else "too few kills: play more")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
