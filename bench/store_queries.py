"""Time of the cookbook's queries, and of the commands that read a run, on a store of any size.

Fills a store with made-up episodes of 20 turns (50,000 take half a minute and 100 MB), then
prints for each query the seconds of the fastest of three runs, beside the processor time of that
run: on an idle machine with two threads the first is about half the second. Each command is a
process of its own; beside its time stands its worst memory.

    python bench/store_queries.py [--episodes 50000] [--threads 2] [--folder KEPT] [--only commands]
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import duckdb

from scenarios.culture import load_cultures
from scenarios.persona import Persona
from scenarios.scenario import Scenario
from simulation.store.reader import run_query
from simulation.store.writer import Store

HERE = Path(__file__).parent
COOKBOOK = HERE.parent / "docs" / "sql.md"
README_QUERIES = 5
"""The first five queries of the cookbook are the README's."""


COMMANDS = (
    ("the latest transcript", "view RUN"),
    ("a hundred episodes", "view RUN --list"),
    ("progress, rates and costs", "status RUN"),
    ("the funnel of a review", "review show RUN"),
    ("a sheet for 200 annotated episodes", "review export RUN OUT.csv --n 200"),
    ("turns as Parquet", "sql RUN --parquet OUT.parquet 'from turns'"),
    ("a corpus of all tasks", "export RUN OUT"),
    ("shards", "pack RUN OUT"),
)


def main() -> None:
    """Fill the store, time the queries and the commands, print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the store is kept, and found again")
    parser.add_argument("--only", choices=("queries", "commands"))
    arguments = parser.parse_args()
    kept = arguments.folder
    with nullcontext(str(kept)) if kept else tempfile.TemporaryDirectory() as folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        path = Store(Path(folder)).path
        if not path.exists():
            path, seconds = fill(Path(folder), arguments.episodes)
            print(f"{arguments.episodes * 20:,} turns filled in {seconds:.0f} s")
        print(f"{path.stat().st_size / 1e6:,.0f} MB, DuckDB {duckdb.__version__}\n")
        if arguments.only != "commands":
            print_queries(path, arguments.threads)
        if arguments.only != "queries":
            print_commands(path.parent)


def print_queries(path: Path, threads: int) -> None:
    """Time the cookbook."""
    print(f"{'seconds':>7}  {'cpu s':>5}  {'rows':>6}  question ({threads} threads)")
    for number, (question, query) in enumerate(cookbook(), 1):
        seconds, cpu, rows = timed(path, query, threads)
        mark = " (README)" if number <= README_QUERIES else ""
        print(f"{seconds:7.3f}  {cpu:5.2f}  {rows:6,}  {question}{mark}", flush=True)


def print_commands(run: Path) -> None:
    """Time the commands."""
    print(f"\n{'seconds':>7}  {'cpu s':>6}  {'MiB':>5}  {'MB out':>6}  command")
    for what, line in COMMANDS:
        with tempfile.TemporaryDirectory(dir=run.parent) as folder:
            out = Path(folder) / "out"
            words = shlex.split(line.replace("RUN", str(run)).replace("OUT", str(out)))
            seconds, usage = spent([sys.executable, "-m", "folkways", *words])
            written = sum(f.stat().st_size for f in Path(folder).rglob("*") if f.is_file()) / 1e6
        cpu = usage.ru_utime + usage.ru_stime
        print(
            f"{seconds:7.1f}  {cpu:6.1f}  {usage.ru_maxrss / 1024:5,.0f}  {written:6,.0f}  "
            f"{line.split(' OUT')[0]} ({what})",
            flush=True,
        )


def spent(command: list[str]) -> tuple[float, resource.struct_rusage]:
    """Run a command; return its seconds and what it used."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=HERE.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command}: exit code {process.returncode}")
    return time.perf_counter() - began, usage


def fill(run: Path, episodes: int) -> tuple[Path, float]:
    """Make a store of so many episodes; return its path and the seconds that took."""
    began = time.perf_counter()
    store = Store(run)
    store.create()
    with duckdb.connect(str(store.path)) as con:
        con.execute("set variable episodes = ?", [episodes])
        con.execute((HERE / "store_fill.sql").read_text(encoding="utf-8"))
        for culture in load_cultures().values():
            data = culture.model_dump_json()
            con.execute("update cultures set data = ? where culture_id = ?", [data, culture.id])
        for hash_, data in con.execute("select scenario_hash, data from scenarios").fetchall():
            whole = Scenario.model_validate_json(data).model_dump_json()
            con.execute("update scenarios set data = ? where scenario_hash = ?", [whole, hash_])
        for (data,) in con.execute("select data from personas").fetchall():
            Persona.model_validate_json(data)
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
