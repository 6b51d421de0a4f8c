"""How often the other intervals of a report hold the truth: those of penalised distances, KL,
CLCA's figures, the same answer as the respondent, and paired differences.

Of respondents and of penalised distances the truth is what answers and people without end would
give, for these intervals take off what sampling adds; otherwise, of 40 answers or probabilities for
a culture, it is what is measured on average, of items without end, with as many of both. Up to 30 %
of the answers to an item are none, but for probabilities. A respondent's own answers and a model's
for it depend on who it is.

Run it with: python bench/coverage_measured.py [SAMPLES] [individuals|gaps|distances ...]
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.coverage import KINDS, PEOPLE, POINTS, POPULATION, answers, scales, world
from eval.metrics.grid import Floats, Grid, known_mean
from eval.metrics.metric import measure
from eval.metrics.sampling import beside_invalid
from eval.report.answers import SeriesAnswers
from eval.report.compute import series_gap, series_scores
from eval.report.individuals import individual_gaps, individuals
from eval.report.results import ALL
from eval.report.true_distance import true_distances

SAMPLES, DRAWS = 100, 500
PENALISED = ("js_penalised", "tv_penalised", "w1_penalised")
"""Metrics whose intervals are of the true value, whatever the kind of answers."""
OTHERS = (*PENALISED, "kl", "clca_compat_kl", "clca_compat_js")
COMPARED = ("js_distance", "tv", "tv_penalised", "kl", "clca_compat_kl", "clca_compat_js")
NEAR = 0.15
"""Share of the way from people to answers at random, of the model that others are compared with."""
KNOWN, NONE = (0.8, 0.4), 0.1
"""How well the two models know a respondent at best, and their share of invalid answers."""
MEASURES = ("hard", "hard_penalised", "accuracy_clca")
Held = dict[str, list[bool]]
Trial = Callable[[int, str, int, int, float, Held], None]


def people(rng: np.random.Generator, human: Floats) -> Grid:
    """Return what a sample of people says."""
    seen = rng.multinomial(PEOPLE, human) / PEOPLE
    number = np.full(human.shape[:2], float(PEOPLE))
    names = tuple(f"C{place}" for place in range(len(human)))
    mode = seen.argmax(axis=-1) + 1.0
    return Grid(names, scales(human.shape[1]), seen, number, number * 0, mode)


def with_none(rng: np.random.Generator, given: SeriesAnswers, none: Floats) -> SeriesAnswers:
    """Return answers of which the shares `none` (C, I) are no answer."""
    if given.series.by_respondent:
        lost = rng.random(given.answers.shape[:2]) < none[given.group]
        return replace(given, answers=np.where(lost[..., None], 0.0, given.answers))
    number = given.series.answers
    assert number is not None
    counts = np.rint(given.answers * number).astype(int)
    return replace(given, answers=rng.binomial(counts, 1 - none[given.group][..., None]) / number)


def draw(
    rng: np.random.Generator, model: Floats, kind: str, none: Floats, name: str = "s"
) -> SeriesAnswers:
    """Return what is drawn of a model's shares (C, I, K)."""
    given = answers(rng, model, kind)
    given = replace(given, series=replace(given.series, id=name))
    return given if given.exact else with_none(rng, given, none)


@cache
def truths(
    kind: str, countries: int, away: float, names: tuple[str, ...], true_ones: tuple[str, ...] = ()
) -> dict[str, float]:
    """Return the means over the population of items: true distances, or what is measured of those
    whose intervals say no more."""
    rng = np.random.default_rng(0)
    human, model = world(rng, countries, POPULATION, away)
    none = 0.3 * rng.random(human.shape[:2]) * (kind != "probabilities")
    exact = beside_invalid(model * 1e9, none)
    found = measure(human, exact, scales(POPULATION), names)
    if not kind.endswith("respondents"):
        given, grid = draw(rng, model, kind, none), people(rng, human)
        seen = measure(grid.shares, given.pooled, grid.scales, names)
        found |= {name: seen[name] for name in names if name not in true_ones}
    return {name: float(known_mean(cells, axis=-1).mean()) for name, cells in found.items()}


def holds(low: float | None, true: float, high: float | None) -> bool:
    return low is not None and high is not None and low - 1e-9 <= true <= high + 1e-9


def distances(seed: int, kind: str, countries: int, items: int, away: float, held: Held) -> None:
    rng = np.random.default_rng(seed + 1)
    human, model = world(rng, countries, items, away)
    none = 0.3 * rng.random(human.shape[:2])
    true = truths(kind, countries, away, OTHERS, PENALISED)
    given, grid = draw(rng, model, kind, none), people(rng, human)
    plain = list(series_scores(given, grid, (), rng, DRAWS))
    for score in true_distances(plain, given, grid, rng):
        if score.country == ALL and score.metric in true:
            held[score.metric].append(holds(score.low, true[score.metric], score.high))


def gaps(seed: int, kind: str, countries: int, items: int, away: float, held: Held) -> None:
    """Note whether intervals hold the difference between a model that is NEAR and one `away`."""
    rng = np.random.default_rng(seed + 1)
    human, near = world(rng, countries, items, NEAR)
    far = human + away * (rng.dirichlet(np.ones(POINTS), human.shape[:2]) - human)
    none = 0.3 * rng.random(human.shape[:2])
    grid = people(rng, human)
    one, two = draw(rng, near, kind, none, "one"), draw(rng, far, kind, none, "two")
    left, right = (truths(kind, countries, each, COMPARED) for each in (NEAR, away))
    for gap in series_gap(one, two, grid, (), rng, DRAWS):
        if gap.metric in left:
            true = left[gap.metric] - right[gap.metric]
            held[gap.metric].append(holds(gap.low, true, gap.high))


def individual(seed: int, kind: str, countries: int, items: int, away: float, held: Held) -> None:
    """Note the same of individual accuracy, over all countries and in the first: two models each
    know the own answers of some people better than those of others, and of some items."""
    rng = np.random.default_rng(seed + 1)
    human, _ = world(rng, countries, items, away)
    grid, given = people(rng, human), answers(rng, human, kind)
    own = given.answers.argmax(axis=-1) + 1.0
    person, ease = rng.random((len(own), 1)), rng.random(items)
    told = []
    for name, known in zip(("one", "two"), KNOWN, strict=True):
        guess = answers(rng, human, kind).answers
        knows = rng.random(own.shape) < known * (person + ease) / 2
        said = np.where(knows[..., None], given.answers, guess)
        said = said * (rng.random(own.shape) >= NONE)[..., None]
        told.append(replace(given, series=replace(given.series, id=name), answers=said))
    by_chance = float((world(np.random.default_rng(0), 1, POPULATION, 0)[0] ** 2).sum(-1).mean())
    hard = [by_chance + known / 2 * (1 - by_chance) for known in KNOWN]
    for one in individuals(told[0], own, grid, rng, DRAWS):
        if one.measure in MEASURES and one.country in (ALL, "C0"):
            true = hard[0] * (1 if one.measure == "hard" else 1 - NONE)
            held[f"{one.measure}, {one.country}"].append(holds(one.low, true, one.high))
    for gap in individual_gaps((told[0], own), (told[1], own), grid, rng, DRAWS):
        if gap.country in (ALL, "C0"):
            true = (hard[0] - hard[1]) * (1 if gap.metric == "hard" else 1 - NONE)
            held[f"difference, {gap.metric}, {gap.country}"].append(holds(gap.low, true, gap.high))


TRIALS: dict[str, tuple[Trial, tuple[str, ...], tuple[float, ...]]] = {
    "individuals": (individual, ("200 respondents",), (0.0,)),
    "gaps": (gaps, tuple(KINDS), (NEAR, 0.4)),
    "distances": (distances, tuple(KINDS), (0.0, 0.4)),
}
"""Trials with their kinds of answers and shares of the way from people to answers at random."""


def main() -> None:
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else SAMPLES
    for part in sys.argv[2:] or TRIALS:
        trial, kinds, ways = TRIALS[part]
        for kind in kinds:
            for countries, items in ((1, 20), (1, 44), (5, 20), (5, 44)):
                for away in ways:
                    held: Held = defaultdict(list)
                    for seed in range(samples):
                        trial(seed, kind, countries, items, away, held)
                    told = "; ".join(f"{name} {np.mean(each):.2f}" for name, each in held.items())
                    print(f"{part}, {kind}, {countries} x {items}, {away}: {told}", flush=True)


if __name__ == "__main__":
    main()
