"""Loading a pooled file of the survey: seconds and peak memory.

The file has the size of the pooled release 6.0, 97,220 respondents by 613 columns, and nobody in
it: every answer is a random number. It is loaded with 259 items in a process of its own; then the
national answers to all of them are computed, weighted, and 1,000 respondents are drawn.

Run it with: python bench/survey.py [RESPONDENTS]
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from eval.item import preset
from eval.respondents.column import load_columns
from eval.respondents.country import load_countries
from eval.respondents.national import national_answers
from eval.respondents.respondent import draw_respondents
from eval.respondents.survey import load_survey

RESPONDENTS, COLUMNS, COUNTRIES = 97_220, 613, 66
ADMIN = ("version", "A_WAVE", "A_YEAR", "B_COUNTRY_ALPHA", "D_INTERVIEW", "W_WEIGHT", "S018")
BLOCK = 2_000
"""Different rows of answers; they repeat, which no reader takes advantage of."""


def write_file(path: Path, respondents: int) -> None:
    """Write a comma file in the manner of the pooled release."""
    items = [item.id for item in preset("culturespa-259")]
    names = [*ADMIN, *load_columns().demographics, *items]
    names += [f"EXTRA_{number}" for number in range(COLUMNS - len(names))]
    rng, countries = Random(0), list(load_countries())[:COUNTRIES]
    codes = [str(code) for code in range(-2, 6)]
    rows = [",".join(rng.choices(codes, k=COLUMNS - len(ADMIN))) for _ in range(BLOCK)]
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(f'"{name}"' for name in names) + "\n")
        for number in range(respondents):
            country = countries[number * COUNTRIES // respondents]
            admin = f'"6-0-0 (made up)",7,2022,"{country}",{number},{rng.random() * 2:.6f},0.5'
            file.write(f"{admin},{rows[number % BLOCK]}\n")


def timed(what: str, work: Callable[[], Any]) -> None:
    """Run something and print how long it took, with the memory that the process has needed."""
    start, busy = time.perf_counter(), time.process_time()
    result = work()
    wall, cpu = time.perf_counter() - start, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what:<44} {wall:6.2f} s  {cpu:6.2f} s of CPU  peak {peak:5.0f} MiB  {result}")


def measure(path: Path) -> None:
    """Load a file, compute and draw; in this process."""
    database, items = path.with_suffix(".duckdb"), preset("culturespa-259")
    timed("load", lambda: load_survey(path, database, items).lines()[0].split(" -> ")[0])
    timed("national answers, weighted", lambda: f"{len(national_answers(database)):,} cells")
    home = next(iter({country for country, _ in national_answers(database, ["Q1"])}))
    ids = [item.id for item in items]
    timed("draw 1,000 respondents with all answers", lambda: len(
        draw_respondents(database, home, 1_000, items=ids)
    ))  # fmt: skip
    print(f"{'file of respondents':<44} {os.path.getsize(database) / 2**20:6.1f} MiB")


def main() -> None:
    """Write the file, then measure in a fresh process."""
    if len(sys.argv) > 2:
        return measure(Path(sys.argv[2]))
    respondents = int(sys.argv[1]) if len(sys.argv) > 1 else RESPONDENTS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pooled.csv"
        write_file(path, respondents)
        size = os.path.getsize(path) / 2**20
        print(f"{respondents:,} respondents x {COLUMNS} columns, {size:.0f} MiB, "
              f"{os.cpu_count()} cores")  # fmt: skip
        subprocess.run([sys.executable, __file__, str(respondents), str(path)], check=True)


if __name__ == "__main__":
    main()
