"""Commands killed at random moments: is what they leave, once the same command has ended, what an
undisturbed one leaves?

A command is started in a folder of its own and killed with SIGKILL, its whole process group, at a
moment drawn between its first write, or 60 % of its time, and its usual end; the same command is
started again, and after a few kills left to end. What it wrote is compared with the undisturbed
result: a store row by row, a folder of files byte by byte, names included. Times and ids that are
drawn are left out. What bench/kill.py does to the nodes of a cluster, this one does to every
command on one machine.

Run it with: python bench/kill_commands.py [--kills 20] [--seed 1] [--only run,export] [--heavy]
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/support"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import duckdb
from kill_inputs import CASES, HEAVY, Case, make_inputs

ROOT = Path(__file__).resolve().parent.parent
KILLS_A_ROUND = 5
"""Kills before a command is left to end and its result is compared."""
DRAWN = re.compile(r"(_at|_s|_id|seconds|_per_second)$")
STORE_KEYS = {"episode_id", "scenario_id", "culture_id", "persona_id", "condition_id",
              "question_id", "item_id", "selection_id"}  # fmt: skip
"""Columns of a store whose names look drawn, and are not."""
UNLIKE = {"launches", "meta", "merged_shards", "runs"}
"""Tables that tell of launches."""
IDLE = {"authoring.jsonl", "run.lock", "status", "notes"}
"""What no result is in."""
CLOCKS = re.compile(
    rb'"(made_at|seconds|tokens|num_tokens|tokens_per_second)": [^,\n}]*'
    rb"|made [^<\n]*UTC|[|] time [|].*"
)
"""Times, and what the log of a training counts since its launch began."""


@dataclass(slots=True)
class Fire:
    """What became of a command under fire."""

    kills: int = 0
    ends: int = 0
    whole: int = 0
    """Launches that were refused because the result was there: killed after it was whole."""
    refused: int = 0
    """Launches that were refused otherwise."""
    unlike: int = 0
    """Results that are not the undisturbed one."""
    said: str = ""
    """Why, the first time."""


def start(case: Case, folder: Path, source: Path = ROOT) -> subprocess.Popen[bytes]:
    """Start a command in a folder with the sources of a checkout."""
    path = os.pathsep.join([str(source), str(source / "tests/support")])
    return subprocess.Popen(
        [sys.executable, "-m", "folkways", *case.words], cwd=folder, start_new_session=True,
        env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def state(folder: Path) -> set[tuple[str, int]]:
    """Return the files in a folder with their sizes, that a first write be seen."""
    found = set()
    for path in folder.rglob("*"):
        try:
            found.add((str(path), path.stat().st_size))
        except FileNotFoundError:
            continue
    return found


def undisturbed(case: Case, folder: Path) -> tuple[float, float]:
    """Do a command once; return the seconds from which on it is killed, and until it ended."""
    before, began, wrote = state(folder), time.monotonic(), 0.0
    process = start(case, folder)
    while process.poll() is None:
        if not wrote and state(folder) != before:
            wrote = time.monotonic() - began
        time.sleep(0.02)
    took = time.monotonic() - began
    if process.returncode:
        raise SystemExit(f"{case.name}: {said(process)}")
    return min(wrote or took, 0.6 * took), took


def said(process: subprocess.Popen[bytes]) -> str:
    text = process.communicate()[1].decode(errors="replace").strip()
    return text.splitlines()[-1][:200] if text else f"exit code {process.returncode}"


def under_fire(
    case: Case, inputs: Path, scratch: Path, calm: Path, span: tuple[float, float], kills: int,
    rng: random.Random,
) -> Fire:  # fmt: skip
    """Kill a command as often as wanted, and compare what it leaves whenever it ends."""
    fire, folder, left = Fire(), scratch / "fire", 0
    while fire.kills < kills or folder.exists():
        if not folder.exists():
            shutil.copytree(inputs, folder)
            left = min(KILLS_A_ROUND, kills - fire.kills)
        process = start(case, folder)
        try:
            process.wait(rng.uniform(*span) if left else 600)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            fire.kills, left = fire.kills + 1, left - 1
            continue
        words, found = said(process), unlike(case, calm, folder)
        if process.returncode == 0:
            fire.ends += 1
            fire.unlike += bool(found)
        elif found:
            fire.refused += 1
        else:
            fire.whole += 1
        if found:
            fire.said = fire.said or f"{words}; {found}"
        shutil.rmtree(folder)
    return fire


def unlike(case: Case, calm: Path, fire: Path) -> str:
    """Return in what a result differs from the undisturbed one; empty where it does not."""
    differences = [*_tables(calm / case.store, fire / case.store)] if case.store else []
    if case.folder and not (fire / case.folder).exists():
        return f"{case.folder} is missing"
    if case.folder:
        differences += _files(calm / case.folder, fire / case.folder)
    return "; ".join(differences)


def _tables(one: Path, other: Path) -> Iterator[str]:
    with duckdb.connect() as con:
        for name, path in (("a", one), ("b", other)):
            con.execute(f"attach '{path / 'log.duckdb'}' as {name} (read_only)")
        tables = con.execute(
            "select table_name, list(column_name) from duckdb_columns() join duckdb_tables() "
            "using (database_name, table_name) where database_name = 'a' group by all order by all"
        ).fetchall()
        for table, columns in tables:
            kept = [name for name in columns if name in STORE_KEYS or not DRAWN.search(name)]
            if table in UNLIKE or not kept:
                continue
            listed = ", ".join(f'"{name}"' for name in kept)
            a, b = (f'select {listed} from {name}.main."{table}"' for name in "ab")
            count = con.execute(
                f"select count(*) from (({a} except all {b}) union all ({b} except all {a}))"
            ).fetchall()[0][0]
            if count:
                yield f"{table}: {count} rows"


def _files(one: Path, other: Path) -> Iterator[str]:
    names = [
        {str(path.relative_to(top)) for path in top.rglob("*")
         if path.is_file() and not IDLE & set(path.relative_to(top).parts)}
        for top in (one, other)
    ]  # fmt: skip
    yield from (f"{name} is only in one" for name in sorted(names[0] ^ names[1]))
    for name in sorted(names[0] & names[1]):
        if name.endswith(".parquet"):
            a, b = (duckdb.read_parquet(str(top / name)).fetchall() for top in (one, other))
            if sorted(map(repr, a)) != sorted(map(repr, b)):
                yield f"{name} differs"
        elif _bytes(one / name) != _bytes(other / name):
            yield f"{name} differs"


def _bytes(path: Path) -> list[bytes]:
    """Return a file without its clocks; of JSON and cards, in which libraries write sets in any
    order, the lines sorted."""
    text = CLOCKS.sub(b"", path.read_bytes())
    if path.suffix not in (".json", ".md"):
        return [text]
    return sorted(line.rstrip(b",") for line in text.splitlines())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="of each command")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="commands, joined by commas")
    parser.add_argument("--heavy", action="store_true", help="train, merge and study adapters too")
    given = parser.parse_args()
    wanted = given.only.split(",") if given.only else [
        case.name for case in CASES if given.heavy or case.name not in HEAVY
    ]  # fmt: skip
    clean = True
    print("| command | kills | ends | whole already | refused | unlike | seconds undisturbed |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        befores = [case.after for case in CASES if case.name in wanted]
        heavy = any(name in HEAVY for name in wanted)
        ground = make_inputs(Path(name) / "inputs", befores, start, heavy=heavy)
        for case in CASES:
            if case.name not in wanted:
                continue
            scratch = Path(name) / case.name
            calm = scratch / "calm"
            shutil.copytree(ground / case.after, calm)
            span = undisturbed(case, calm)
            rng = random.Random(f"{given.seed} {case.name}")
            fire = under_fire(case, ground / case.after, scratch, calm, span, given.kills, rng)
            clean &= not (fire.refused or fire.unlike)
            note = f" {fire.said}" if fire.said else ""
            counts = (fire.kills, fire.ends, fire.whole, fire.refused, fire.unlike)
            print(f"| {case.name} | {' | '.join(map(str, counts))} | {span[1]:.1f} |{note}",
                  flush=True)  # fmt: skip
            shutil.rmtree(scratch)
    sys.exit(0 if clean else 1)


if __name__ == "__main__":
    main()
