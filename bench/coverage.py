"""How often intervals hold the truth: every kind that a report prints, in samples drawn anew.

Items are drawn from a population in which the true mean distance is known, people are 1,500 of each
country, and a model's answers are 200 respondents in one order, 40 answers for a culture, or
probabilities. CultureSPA's score is of sheets whose answers are a number of points off.

Run it with: python bench/coverage.py [SAMPLES]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from eval.metrics.bootstrap import score_interval
from eval.metrics.grid import Floats, Grid, Scales
from eval.metrics.metric import Answers, measure
from eval.report.answers import CERTAIN, SeriesAnswers
from eval.report.results import ALL, Score, Series
from eval.report.true_distance import true_distances
from eval.report.yardstick import Yardsticks

SAMPLES = 200
PEOPLE, POINTS, POPULATION = 1500, 4, 4000
"""People of a country, points of a scale, and items of the population."""
NAMES = ("js_distance", "tv", "w1")
AWAY = (0.0, 0.05, 0.15, 0.4, 1.0)
"""Shares of the way from people to answers at random."""
KINDS = {"200 respondents": 200, "40 answers": 40, "probabilities": None}


class Found(NamedTuple):
    """What became of one interval."""

    held: bool
    at_floor: bool


def scales(items: int) -> Scales:
    return Scales.padded(
        dict.fromkeys(map(str, range(items)), range(1, POINTS + 1)), [True] * items
    )


def world(rng: np.random.Generator, countries: int, items: int, away: float) -> tuple[Floats, ...]:
    """Return the true shares (C, I, K) of people and of a model; countries are somewhat alike."""
    common = rng.dirichlet(np.ones(POINTS), items)
    human = 0.6 * common + 0.4 * rng.dirichlet(np.ones(POINTS), (countries, items))
    return human, human + away * (rng.dirichlet(np.ones(POINTS), human.shape[:2]) - human)


def truths(countries: int, away: float) -> dict[str, float]:
    """Return the mean distances of the population of items."""
    human, model = world(np.random.default_rng(0), countries, POPULATION, away)
    exact = Answers(model * 1e9, np.zeros(human.shape[:2]))
    found = measure(human, exact, scales(POPULATION), NAMES)
    return {name: float(cells.mean()) for name, cells in found.items()}


def answers(rng: np.random.Generator, model: Floats, kind: str) -> SeriesAnswers:
    """Return what is drawn of a model's shares (C, I, K)."""
    countries, items = model.shape[:2]
    number = KINDS[kind]
    described = kind.endswith("respondents")
    if number is None:
        given, times = model, CERTAIN
    elif described:
        picks = rng.multinomial(1, model, (number, *model.shape[:2]))
        given, times = picks.swapaxes(0, 1).reshape(-1, items, POINTS).astype(float), 1
    else:
        given, times = rng.multinomial(number, model) / number, number
    rows = len(given)
    group = np.repeat(np.arange(countries), rows // countries)
    reading = "logprobs" if number is None else "text-strict"
    series = Series(
        "s", "s", reading, "model", "culture", False, None, "en", described, number or None
    )
    names = tuple(str(place) for place in range(rows))
    homes = tuple(f"C{place}" for place in range(countries))
    return SeriesAnswers(
        series, given, group, names, homes, np.ones(rows), np.full((rows, items), float(times))
    )


def trial(seed: int, kind: str, countries: int, items: int, away: float) -> Iterator[Score]:
    """Yield the distances over all countries of one sample, with their intervals."""
    rng = np.random.default_rng(seed)
    human, model = world(rng, countries, items, away)
    seen = rng.multinomial(PEOPLE, human) / PEOPLE
    number = np.full(human.shape[:2], float(PEOPLE))
    mode = seen.argmax(axis=-1) + 1.0
    grid = Grid(
        tuple(f"C{n}" for n in range(countries)), scales(items), seen, number, number * 0, mode
    )
    given = answers(rng, model, kind)
    cells = measure(grid.shares, given.pooled, grid.scales, NAMES)
    plain = [Score("s", ALL, name, float(cells[name].mean()), None, None, items) for name in NAMES]
    beside = list(Yardsticks(grid, (), rng).beside(plain, given))
    yield from true_distances(beside, given, grid, rng)


def distances(samples: int) -> None:
    print(f"{'answers':<16} countries items  true JS " + "".join(f"{name:>19}" for name in NAMES))
    for kind in KINDS:
        for countries in (1, 5):
            for items in (20, 44):
                for away in AWAY:
                    true = truths(countries, away)
                    found: dict[str, list[Found]] = {name: [] for name in NAMES}
                    for seed in range(samples):
                        for one in trial(seed, kind, countries, items, away):
                            high = one.high if one.at_most is None else one.at_most
                            held = one.low <= true[one.metric] + 1e-9 and true[one.metric] <= high
                            found[one.metric].append(Found(held, one.at_most is not None))
                    row = "".join(_told(found[name]) for name in NAMES)
                    print(
                        f"{kind:<16} {countries:>9} {items:>5} {true[NAMES[0]]:>8.3f} {row}",
                        flush=True,
                    )


def _told(found: list[Found]) -> str:
    held = np.mean([one.held for one in found])
    floor = np.mean([one.at_floor for one in found])
    return f"{held:>10.2f} ({floor:.2f} =)"


def scores(samples: int) -> None:
    """Print the coverage of CultureSPA's score, items with 2 to 10 points, as in its survey."""
    lengths = np.array([2, 3, 4, 4, 4, 5, 5, 10, 10, 10])

    def sheet(rng: np.random.Generator, items: int) -> tuple[Floats, Floats]:
        length = rng.choice(lengths, items)
        gold, given = (rng.integers(0, length) for _ in range(2))
        off = np.where(rng.random(items) < 0.5, gold, given) - gold
        return off[None] ** 2.0, (length - 1.0)[None] ** 2

    errors, norms = sheet(np.random.default_rng(0), 400_000)
    true = 100 * (1 - np.sqrt(errors.sum() / norms.sum()))
    for items in (20, 44, 259):
        held = 0
        for seed in range(samples):
            rng = np.random.default_rng(seed)
            one = score_interval(*sheet(rng, items), rng, draws=1000)
            held += bool(one.low[0] <= true <= one.high[0])
        print(f"CultureSPA's score, {items:>3} items: {held / samples:.2f}", flush=True)


def main() -> None:
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else SAMPLES
    print(f"{samples} samples each; in brackets how often 'as a perfect sampler' is said")
    scores(samples)
    distances(samples)


if __name__ == "__main__":
    main()
