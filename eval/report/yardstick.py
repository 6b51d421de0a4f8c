"""What scores are held against: guessers, perfect samplers and sheets that cost nothing, with as
many answers in the same cells, and the panels of series that can be ranked.

Invariant: like is compared with like. A distance of few answers is larger whatever they say, so a
guesser and a sampler draw as many as the series gave; of probabilities nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from eval.metrics import baseline
from eval.metrics.grid import Bools, Floats, Grid, known_mean
from eval.metrics.metric import METRICS
from eval.metrics.sampling import FLOORS, expected_distances, noise_floor
from eval.report.answers import SeriesAnswers
from eval.report.results import ALL, NoiseFloor, Panel, Score

_FEW = 10
"""Fewer answers to an item than this have no KL: the half answer that is added to each option would
be most of it."""
_CELLS = 150_000
"""Cells that are drawn for an expectation, all tries together."""
_MOST_DRAWS, _LEAST_DRAWS = 400, 30
_Z95 = 1.645
"""Standard deviations above the mean below which 95 of 100 lie: of means over many cells, where few
draws give no quantile."""


@dataclass(frozen=True, slots=True)
class Yardstick:
    """The distances by metric of whoever draws so many answers: expected, and below which 95 of 100
    stay; means over items, of all countries (0) and of each (1 + C,)."""

    mean: dict[str, Floats]
    high: dict[str, Floats]


@dataclass(slots=True)
class Yardsticks:
    """Makes guessers and perfect samplers, each once."""

    grid: Grid
    own: tuple[str, ...]
    """Metrics of one's own."""
    rng: np.random.Generator
    _made: dict[tuple[str, bool, bytes], Yardstick] = field(default_factory=dict)

    def guesser(self, n: Floats, exact: bool) -> Yardstick:
        """Return a uniform guesser with n answers (C, I), NaN in cells that do not count."""
        key = ("guess", exact, n.tobytes())
        if key not in self._made:
            cells = self.cells(baseline.uniform(self.grid), n, exact, self.names(n))
            mean = {name: _with_all(known_mean(each)) for name, each in cells.items()}
            self._made[key] = Yardstick(mean, mean)
        return self._made[key]

    def sampler(self, n: Floats, exact: bool) -> Yardstick:
        """Return a perfect sampler with n answers (C, I): people are a fresh sample, too."""
        key = ("sampler", exact, n.tobytes())
        if key not in self._made:
            rows = _rows(n)
            drawn = noise_floor(
                _within(self.grid.shares, n)[rows],
                self.grid.scales,
                None if exact else n[rows],
                self.grid.sampled[rows],
                self.rng,
                draws=_draws(n),
                names=self.names(n),
            )
            whole = {name: _with_all(_spread(each, rows)) for name, each in drawn.items()}
            self._made[key] = Yardstick(
                {name: each.mean(axis=0) for name, each in whole.items()},
                {name: _high(each) for name, each in whole.items()},
            )
        return self._made[key]

    def cells(
        self, model: Floats, n: Floats, exact: bool, names: tuple[str, ...]
    ) -> dict[str, Floats]:
        """Return the distances (C, I) to be expected of whoever draws n answers from `model`."""
        rows = _rows(n)
        found = expected_distances(
            _within(self.grid.shares, n)[rows],
            _within(model, n)[rows],
            self.grid.scales,
            n[rows],
            None if exact else self.rng,
            draws=_draws(n),
            names=names,
        )
        return {name: _spread(each.T, rows).T for name, each in found.items()}

    def names(self, n: Floats) -> tuple[str, ...]:
        """Return the metrics that have a floor, with so many answers."""
        names = (*FLOORS, *self.own)
        return tuple(name for name in names if name != "kl" or enough(n))

    def beside(self, scores: Sequence[Score], given: SeriesAnswers) -> Iterator[Score]:
        """Yield scores of a series with what a guesser and a perfect sampler get, who give as many
        valid answers in the same cells."""
        valid = np.rint(given.pooled.valid)
        n = np.where((valid > 0) & self.grid.asked, valid, np.nan)
        if np.isnan(n).all():
            yield from scores
            return
        sampled = given.exact and not given.series.by_respondent  # respondents are a sample
        guess, floor = self.guesser(n, given.exact), self.sampler(n, sampled)
        rows = {country: row + 1 for row, country in enumerate(self.grid.countries)} | {ALL: 0}
        for score in scores:
            name, row = score.metric, rows[score.country]
            if name in guess.mean:
                score = replace(
                    score,
                    guess=float(guess.mean[name][row]),
                    floor=float(floor.mean[name][row]),
                    floor_high=float(floor.high[name][row]),
                )
            yield score


def enough(n: Floats) -> bool:
    """Return whether there are enough answers to every item that was asked (C, I) for KL."""
    return bool(np.nanmin(n, initial=np.inf) >= _FEW)


def panels(all_given: Sequence[SeriesAnswers], grid: Grid) -> list[tuple[Panel, Floats]]:
    """Return which series can be ranked together, with the answers to each cell (C, I)."""
    found: dict[tuple[bool, bytes], tuple[Floats, list[SeriesAnswers]]] = {}
    for given in all_given:
        pooled = given.pooled
        n = np.where(grid.asked, np.rint(pooled.valid + pooled.invalid), np.nan)
        if not np.isnan(n).all():
            found.setdefault((given.exact, n.tobytes()), (n, []))[1].append(given)
    return [
        (_panel(str(number), n, members, grid), n)
        for number, (n, members) in enumerate(found.values(), 1)
    ]


def _panel(name: str, n: Floats, members: Sequence[SeriesAnswers], grid: Grid) -> Panel:
    rows, columns = np.nonzero(~np.isnan(n))
    return Panel(
        id=name,
        exact=members[0].exact,
        answers=members[0].series.answers,
        countries=tuple(grid.countries[row] for row in np.unique(rows)),
        items=tuple(grid.scales.items[column] for column in np.unique(columns)),
        series=tuple(given.series.id for given in members),
    )


def baselines(panel: Panel, n: Floats, made: Yardsticks) -> Iterator[Score]:
    """Yield every metric of what costs nothing, with as many answers in the cells of a panel.

    Of the people themselves only probabilities are of use: drawn, they are the perfect sampler.
    """
    grid = made.grid
    names = tuple(name for name in (*METRICS, *made.own) if name != "kl" or enough(n))

    def cells(shares: Floats) -> dict[str, Floats]:
        return made.cells(shares, n, panel.exact, names)

    for name, make in baseline.DISTRIBUTIONS.items():
        if name != "people" or panel.exact:
            yield from _plain_scores(name, cells(make(grid)), grid, panel)
    others = []
    for country in panel.countries:
        sheet = np.array(baseline.other_country(grid, country))
        sheet[grid.countries.index(country)] = np.nan
        others.append(cells(sheet))
    if len(others) > 1:
        means = {
            name: known_mean(np.stack([other[name] for other in others], axis=-1)) for name in names
        }
        yield from _plain_scores("other countries' mode", means, grid, panel)


def _plain_scores(who: str, cells: dict[str, Floats], grid: Grid, panel: Panel) -> Iterator[Score]:
    """Yield the means of cells (C, I) by metric, over all countries and of each."""
    for name, values in cells.items():
        counts = (~np.isnan(values)).sum(axis=1)
        whole = int((~np.isnan(values)).any(axis=0).sum())
        means = _with_all(known_mean(values))
        yield Score(who, ALL, name, _known(means[0]), None, None, whole, panel.id)
        for country, value, count in zip(grid.countries, means[1:], counts, strict=True):
            if count:
                yield Score(who, country, name, float(value), None, None, int(count), panel.id)


def floors(panel: Panel, n: Floats, made: Yardsticks) -> Iterator[NoiseFloor]:
    """Yield what sampling makes of a model that is the population, with as many answers."""
    exact = panel.exact and panel.answers is None
    found = made.sampler(n, exact)
    for name in found.mean:
        mean, high = float(found.mean[name][0]), float(found.high[name][0])
        yield NoiseFloor(panel.id, panel.answers, name, mean, high)


def _draws(n: Floats) -> int:
    cells = max(1, int((~np.isnan(n)).sum()))
    return int(np.clip(_CELLS // cells, _LEAST_DRAWS, _MOST_DRAWS))


def _high(drawn: Floats) -> Floats:
    if len(drawn) == _MOST_DRAWS:
        return np.asarray(np.quantile(drawn, 0.95, axis=0))
    return np.asarray(drawn.mean(axis=0) + _Z95 * drawn.std(axis=0, ddof=1))


def _rows(n: Floats) -> Bools:
    """Return which countries (C,) have any answer."""
    return np.asarray(~np.isnan(n).all(axis=1))


def _spread(values: Floats, rows: Bools) -> Floats:
    """Return values (..., c) of some countries as those of all (..., C), NaN for the others."""
    out = np.full((*values.shape[:-1], len(rows)), np.nan)
    out[..., rows] = values
    return out


def _within(shares: Floats, n: Floats) -> Floats:
    """Return shares (C, I, K), NaN in cells without an answer."""
    return np.where(np.isnan(n)[..., None], np.nan, shares)


def _with_all(by_country: Floats) -> Floats:
    """Return means (..., C) of countries with their own mean before them (..., 1 + C)."""
    return np.concatenate([known_mean(by_country)[..., None], by_country], axis=-1)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
