"""Made-up results of an evaluation, for tests of whatever shows them."""

from dataclasses import replace

from eval.report.item_row import ItemRow
from eval.report.results import (
    ALL,
    Individual,
    Matrix,
    NoiseFloor,
    PairedDifference,
    Panel,
    Point,
    Rates,
    Results,
    Score,
    Series,
)

METRICS = {"js_distance": 0.3, "tv": 0.3, "w1": 0.2, "js_penalised": 0.3, "culturespa": 70.0}
BASELINES = {"uniform": 0.4, "first": 0.6, "last": 0.6, "middle": 0.5, "world-mode": 0.5,
             "national-mode": 0.45, "people": 0.0}  # fmt: skip


def series(place: int, model: str = "tiny", method: str = "culture") -> Series:
    """Make a series."""
    return Series(
        f"s{place}", f"s{place}", "logprobs", model, method, False, None, "en", False, None
    )


def made(models: list[str], countries: tuple[str, ...], **changed: object) -> Results:
    """Make results in which the first series is the best in every metric."""
    results = Results(
        name="trial", made_at="2026-01-02T03:04:05", protocol={"items": "clca-44", "seed": 0},
        items=44, people="SYNTHETIC respondents", synthetic=True, countries=countries,
        without=("JPN",), versions={"folkways": "0"}, draws=100,
    )  # fmt: skip
    results.series = [series(place, model) for place, model in enumerate(models)]
    for place, one in enumerate(results.series):
        worse = 1 + place / 10
        for where in (ALL, *countries):
            for metric, start in METRICS.items():
                value = start / worse if metric == "culturespa" else start * worse
                results.scores.append(
                    Score(
                        one.id,
                        where,
                        metric,
                        value,
                        value - 0.02,
                        value + 0.02,
                        44,
                        guess=0.4,
                        floor=0.04,
                        floor_high=0.05,
                    )
                )
            results.rates.append(Rates(one.id, where, 0.95, 0.02, 0.03, 0.0, 0.8, 0.1))
        for step, where in enumerate(countries):
            results.points.append(Point(one.id, where, 0.5 + worse / 5, step / 5))
        results.matrices.append(_matrix(one.id, countries, 0.5))
        results.gaps += [
            PairedDifference(one.id, other.id, "js_distance", ALL, -0.1, -0.2, -0.05, 0.0004, 44)
            for other in results.series[place + 1 :]
        ]
    results.baselines = [
        Score(
            who, where, metric, value * (100 if metric == "culturespa" else 1), None, None, 44, "1"
        )
        for who, value in BASELINES.items()
        for where in (ALL, *countries)
        for metric in METRICS
    ]
    results.points += [Point("people", where, 0.1, 0.1 * n) for n, where in enumerate(countries)]
    results.matrices.append(_matrix("people", countries, None))
    results.floors = [NoiseFloor("1", 200, "js_distance", 0.04, 0.05)]
    items = tuple(f"Q{number}" for number in range(1, 45))
    called = tuple(one.id for one in results.series)
    results.panels = [Panel("1", False, 200, countries, items, called)] if called else []
    results.individuals = [Individual("s0", ALL, "hard", 0.4, 0.3, 0.5, 8800)]
    return replace(results, **changed)  # type: ignore[arg-type]


def _matrix(who: str, countries: tuple[str, ...], r: float | None) -> Matrix:
    rows = tuple(
        tuple(100.0 - 3 * abs(row - column) for column in range(len(countries)))
        for row in range(len(countries))
    )
    return Matrix(who, countries, rows, r, 81.25)


def rows(count: int, answered: bool = True) -> list[ItemRow]:
    """Make the rows of items Q1, Q2 and so on, each farther from people than the one before."""
    found = []
    for place in range(count):
        share = 0.5 - place / (2 * count)
        for point, model in ((1, share), (2, 1 - share)):
            given_share = model if answered else None
            found.append(
                ItemRow(f"Q{place + 1}", "Is it?", point, f"option {point}", point - 1.0, 0.5,
                        given_share)
            )  # fmt: skip
    return found
