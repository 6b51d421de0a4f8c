"""Scoring without a model: metrics, intervals, tests and noise floors for 19 countries x 259 items.

Run it with: python bench/evaluation.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from eval.item import preset
from eval.metrics import baseline
from eval.metrics.bootstrap import compare, culturespa, interval, tabulate
from eval.metrics.culture_score import gold, score_matrix, squares
from eval.metrics.metric import Answers, measure
from eval.metrics.sampling import noise_floor, resample_distances
from eval.respondents.marginals import load_marginals

RESPONDENTS = 200
"""In each country."""
DRAWS = 10_000

Value = TypeVar("Value")


def timed(name: str, work: Callable[[], Value]) -> Value:
    wall, cpu = time.perf_counter(), time.process_time()
    value = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name:<66} {wall:>7.3f} {cpu:>7.3f}")
    return value


def main() -> None:
    rng = np.random.default_rng(1)
    print(f"{'':<66} {'wall s':>7} {'CPU s':>7}")
    marginals = timed("read the national answers", load_marginals)
    items = preset("culturespa-259")
    grid = timed("arrays of 19 x 259", lambda: marginals.grid(marginals.countries, items))
    whole = time.perf_counter()
    invalid = rng.integers(0, 20, grid.mode.shape).astype(np.float64)
    answers = [Answers(baseline.sample(grid.shares, RESPONDENTS, rng), invalid) for _ in range(2)]
    cells = [
        timed(
            "every metric of one model", lambda each=each: measure(grid.shares, each, grid.scales)
        )
        for each in answers
    ]
    tables = [tabulate(np.stack(list(each.values()), axis=-1)) for each in cells]
    timed(
        f"intervals of {len(cells[0])} metrics, {DRAWS:,} draws of items",
        lambda: interval(tables[0], rng, rows=False, items=True, draws=DRAWS),
    )
    sheet, target = grid.median, gold(grid)
    timed("cross-culture matrix", lambda: score_matrix(sheet, grid.scales))
    scored = tabulate(*squares(sheet, target, grid.scales))
    timed(
        f"interval of CultureSPA's score, {DRAWS:,} draws of items",
        lambda: interval(scored, rng, rows=False, items=True, statistic=culturespa, draws=DRAWS),
    )
    print(f"together: {time.perf_counter() - whole:.2f} s\n")
    timed(
        f"differences of {len(cells[0])} metrics with p, {DRAWS:,} draws of items",
        lambda: compare(tables[0], tables[1], rng, rows=False, items=True, draws=DRAWS),
    )
    group = np.repeat(np.arange(19), RESPONDENTS)
    hits = [rng.integers(0, 2, (len(group), 259)).astype(np.float64) for _ in range(2)]
    people = [tabulate(each, group=group) for each in hits]
    crowd = f"{len(group):,} respondents x 259 items"
    timed(
        f"accuracy, {crowd}, {DRAWS:,} draws of both",
        lambda: interval(people[0], rng, rows=True, items=True, draws=DRAWS),
    )
    timed(
        f"difference in accuracy with p, {DRAWS:,} draws of both",
        lambda: compare(people[0], people[1], rng, rows=True, items=True, draws=DRAWS),
    )
    picked = rng.integers(0, 2, (len(group), 259))
    given = np.eye(grid.scales.codes.shape[1])[picked]
    for draws in (1000, DRAWS):
        timed(
            f"JS and W1, {crowd}, {draws:,} draws of both",
            lambda draws=draws: resample_distances(
                [given], grid.shares, grid.scales, group, rng,
                rows=True, items=True, names=("js_distance", "w1"), draws=draws,
            ),
        )  # fmt: skip
    timed(
        "noise floor of 5 metrics, 200 draws",
        lambda: noise_floor(grid.shares, grid.scales, RESPONDENTS, None, rng),
    )


if __name__ == "__main__":
    main()
