"""Scale-out on Ray: efficiency at fixed latency, the price of a turn, and merged rows a second.

Workers of a Ray cluster on this machine play scenes with a fake model that takes one second for a
reply, each so many episodes at once. Times run from the first episode's start to the last one's
end, without the start of the cluster. The price of a turn is that of scenes without latency, with
one worker against one process. Then a store is packed into shards and these are merged.

Run it with: python bench/scale_out.py [EPISODES AT ONCE A WORKER] [EPISODES TO MERGE]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import duckdb
from store_queries import fill

from folkways.clock import utc_now
from simulation.store.pack import merge, pack

ROOT = Path(__file__).resolve().parent.parent
WORKERS = (1, 2, 4, 8)
CONFIG = """
name: {name}
scenarios: [soup-before-dusk]
cultures: [DEU]
replicates: {episodes}
limits: {{turns: 12}}
concurrency: {concurrency}
model: {{name: fake, options: {{latency_s: {latency}}}}}
"""
SPAN = """
select count(*), sum(turns), epoch(max(started_at + to_microseconds((wall_s * 1e6)::bigint))
    - min(started_at)) from episodes
"""


def played(folder: Path, name: str, episodes: int, at_once: int, latency: float,
           workers: int | None) -> tuple[int, float]:  # fmt: skip
    """Play a run, with workers or in one process; return its turns and seconds."""
    config = folder / f"{name}.yaml"
    config.write_text(
        CONFIG.format(name=name, episodes=episodes, concurrency=at_once, latency=latency),
        encoding="utf-8",
    )
    line = [sys.executable, "-m", "folkways", "run", str(config), "-o", f"out={folder}", "--quiet"]
    line += ["--ray", "--workers", str(workers)] if workers else []
    subprocess.run(line, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    with duckdb.connect(str(folder / name / "log.duckdb"), read_only=True) as con:
        count, turns, seconds = con.execute(SPAN).fetchall()[0]
    assert count == episodes
    return turns, seconds


def scale_out(folder: Path, at_once: int) -> None:
    alone = None
    print(f"one second a reply, {at_once} episodes at once a worker, four times as many in all")
    for workers in WORKERS:
        episodes = 4 * at_once * workers
        turns, seconds = played(folder, f"w{workers}", episodes, at_once, 1.0, workers)
        rate = turns / seconds
        alone = alone or rate
        print(
            f"  {workers} workers  {turns:>7,} turns in {seconds:6.1f} s  {rate:7.1f} turns/s  "
            f"efficiency {rate / workers / alone:.2f}",
            flush=True,
        )


def price(folder: Path) -> None:
    one, spent = played(folder, "one", 600, 64, 0.0, None)
    other, seconds = played(folder, "ray", 600, 64, 0.0, 1)
    print(
        f"no latency: one process {1000 * spent / one:.2f} ms a turn, one worker "
        f"{1000 * seconds / other:.2f} ms a turn"
    )


def merging(folder: Path, episodes: int) -> None:
    (folder / "store").mkdir()
    fill(folder / "store", episodes)
    rows = sum(sum(m.rows.values()) for m in pack(folder / "store", str(folder / "shards"), 5000))
    began = time.perf_counter()
    fresh, merged = merge(folder / "merged", str(folder / "shards"), utc_now())
    seconds = time.perf_counter() - began
    assert merged <= rows
    print(f"merged {merged:,} rows of {fresh} shards in {seconds:.1f} s: {merged / seconds:,.0f}/s")


def main(at_once: int = 64, episodes: int = 50_000) -> None:
    with tempfile.TemporaryDirectory() as name:
        merging(Path(name), episodes)
        price(Path(name))
        scale_out(Path(name), at_once)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
