"""Time of the README's five queries and of the whole cookbook on a store of one million turns.

Fills a store with 50,000 made-up episodes in a temporary folder (half a minute, 100 MB), then
prints for each query the seconds of the fastest of three runs, beside the
processor time of that run: on an idle machine with two threads the first is about half the second.

    python bench/store_queries.py [--episodes 50000] [--threads 2]
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from pathlib import Path

import duckdb

from simulation.query import run_query
from simulation.store import Store

HERE = Path(__file__).parent
COOKBOOK = HERE.parent / "docs" / "sql.md"
README_QUERIES = 5
"""The first five queries of the cookbook are the README's."""


def main() -> None:
    """Fill the store, time the queries, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, seconds = fill(Path(folder), arguments.episodes)
        size = path.stat().st_size / 1e6
        print(f"{arguments.episodes * 20:,} turns filled in {seconds:.0f} s, {size:.0f} MB")
        print(f"DuckDB {duckdb.__version__}, {arguments.threads} threads\n")
        print(f"{'seconds':>7}  {'cpu s':>5}  {'rows':>6}  question")
        for number, (question, query) in enumerate(cookbook(), 1):
            seconds, cpu, rows = timed(path, query, arguments.threads)
            mark = " (README)" if number <= README_QUERIES else ""
            print(f"{seconds:7.3f}  {cpu:5.2f}  {rows:6,}  {question}{mark}", flush=True)


def fill(run: Path, episodes: int) -> tuple[Path, float]:
    """Make a store of so many episodes; return its path and the seconds that took."""
    began = time.perf_counter()
    store = Store(run)
    store.create()
    with duckdb.connect(str(store.path)) as con:
        con.execute("set variable episodes = ?", [episodes])
        con.execute((HERE / "store_fill.sql").read_text(encoding="utf-8"))
    return store.path, time.perf_counter() - began


def cookbook() -> list[tuple[str, str]]:
    """Return questions and queries of the cookbook, in order."""
    pattern = r"^### ([^\n]+)\n.*?^```sql\n(.*?)^```"
    return re.findall(pattern, COOKBOOK.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def timed(path: Path, query: str, threads: int) -> tuple[float, float, int]:
    """Return seconds and processor seconds of the fastest of three runs, and the number of rows."""
    best, rows = (float("inf"), 0.0), 0
    with duckdb.connect(str(path), read_only=True, config={"threads": threads}) as con:
        for _ in range(3):
            began, busy = time.perf_counter(), time.process_time()
            rows = len(list(run_query(con, query).rows))
            best = min(best, (time.perf_counter() - began, time.process_time() - busy))
    return *best, rows


if __name__ == "__main__":
    main()
