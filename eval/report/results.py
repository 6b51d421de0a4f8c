"""What an evaluation found, as plain records that go into results.json.

Invariant: a figure stands beside its interval, the number of items it rests on, and the read-out it
was taken with; what could not be computed is null, never zero.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from folkways.files import write_whole

ALL = "all"
"""Stands for the mean over countries, each weighing the same."""


@dataclass(frozen=True, slots=True)
class Series:
    """One model asked in one way and read in one way: a line of every table, a colour of a plot."""

    id: str
    """Condition and reading."""
    condition: str
    reading: str
    """logprobs, text-strict, text-lenient or, of imported sheets, text-published."""
    model: str
    method: str
    leaks: bool
    style: str | None
    language: str
    by_respondent: bool
    answers: int | None
    """Answers to each item and country, option orders and samples included; of respondents their
    number, and null for the probabilities of a culture."""
    imported: bool = False
    """Whether the answers were given elsewhere, by a protocol that is not known."""

    @property
    def label(self) -> str:
        """What tables call it."""
        parts = [self.model, self.method, self.style or "", self.reading]
        parts += [self.language] if self.language != "en" else []
        return ", ".join(part for part in parts if part) + (" (sees gold)" if self.leaks else "")


@dataclass(frozen=True, slots=True)
class Score:
    """A metric of a series or a baseline, in a country or over all."""

    who: str
    """Id of a series, or the name of a baseline."""
    country: str
    metric: str
    value: float | None
    low: float | None
    """Lower end of the 95 % interval; null for baselines."""
    high: float | None
    items: int
    """Items scored."""
    panel: str | None = None
    """Id of the panel in which a baseline stands; null for series."""
    guess: float | None = None
    """What a uniform guesser gets with as many valid answers in the same cells; of distances."""
    floor: float | None = None
    """What a perfect sampler gets with as many valid answers in the same cells; of distances."""
    floor_high: float | None = None
    """What 95 of 100 such samplers stay below."""
    corrected: float | None = None
    """The distance without what sampling makes of it; null where too few answers tell nothing of
    it. Then the interval is that of the measured distance, otherwise of the true one."""
    at_most: float | None = None
    """Upper bound of the true distance, 97.5 %, where the measured one is a perfect sampler's."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Series that can be ranked: asked in the same cells, as often, and read in the same way."""

    id: str
    exact: bool
    """Whether answers are probabilities, of which nothing is drawn."""
    answers: int | None
    """As of its series."""
    countries: tuple[str, ...]
    items: tuple[str, ...]
    """Those asked in any of the countries."""
    series: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rates:
    """How usable the answers of a series are, in a country or over all."""

    who: str
    country: str
    valid: float
    """Share of answers that are a point of the scale."""
    refused: float
    """Share that are refusals."""
    unsure: float
    """Share that say there is no opinion."""
    failed: float
    """Share of questions whose last call failed."""
    mass: float | None
    """Mean probability that the model names an option at all; null for text."""
    order_gap: float | None
    """Mean total variation between option orders; null with one order."""
    order_floor: float | None = None
    """The gap of somebody whose answers do not depend on the order, and who gives as many; 0 for
    probabilities."""
    order_high: float | None = None
    """What 95 of 100 such gaps stay below."""


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """The difference between two series on the same people and items: first less second."""

    one: str
    two: str
    metric: str
    country: str
    value: float | None
    low: float | None
    high: float | None
    p: float | None
    """Permutation test, exchanging the two at random."""
    items: int


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """What sampling alone makes of a metric, where the model is the population itself and people
    are a sample of it, as many as were asked."""

    panel: str
    answers: int | None
    """Answers to each item; null for the probabilities of a culture."""
    metric: str
    mean: float
    high: float
    """95th percentile."""


@dataclass(frozen=True, slots=True)
class Nearness:
    """How far a series is, asked for one culture, from the people of a country."""

    who: str
    culture: str
    """For which it answers; * where the prompt names none."""
    country: str
    """Whose people it is compared with."""
    value: float
    """JS distance, the mean over items that all countries were asked."""
    low: float
    high: float
    gap: float
    """How much farther than the nearest people; 0 for these."""
    gap_low: float
    gap_high: float
    items: int


@dataclass(frozen=True, slots=True)
class Point:
    """A place on the Inglehart-Welzel map."""

    who: str
    """people, or the id of a series."""
    country: str
    survival_self_expression: float | None
    traditional_secular: float | None


@dataclass(frozen=True, slots=True)
class Matrix:
    """CultureSPA's score of every country's modal answers against every other's."""

    who: str
    countries: tuple[str, ...]
    scores: tuple[tuple[float | None, ...], ...]
    correlation: float | None
    """Pearson's r with people's matrix over the pairs; null for people."""
    mean: float | None
    """Mean over the pairs: high where all cultures answer alike."""


@dataclass(frozen=True, slots=True)
class Individual:
    """How often a series answers as the respondent did whom it speaks for, over all countries."""

    who: str
    country: str
    measure: str
    """hard, soft, chance-corrected and penalised forms, accuracy_clca."""
    value: float | None
    low: float | None
    high: float | None
    cells: int
    """Answers compared."""


@dataclass(frozen=True, slots=True)
class Diversity:
    """How many different answers a series gives, beside as many of people's."""

    who: str
    country: str
    measure: str
    """entropy, of the options, 0 to 1; variance, along the scale from 0 to 1; or profiles, the
    number of respondents' different ones, in which no answer is one as well."""
    value: float
    people: float
    ratio: float
    """Value over people's: 1 is as diverse as people, 0 one answer for all."""
    low: float | None
    """Ends of its 95 % interval, over respondents, where there are any, and items; null for
    profiles, for who is drawn twice has one."""
    high: float | None
    answers: int
    """Respondents of a country, or answers to an item; of a culture's probabilities as many as they
    count for."""


@dataclass(slots=True)
class Results:
    """Everything an evaluation found."""

    name: str
    made_at: str
    protocol: dict[str, Any]
    items: int
    people: str
    """Who the models are compared with; says so where respondents are synthetic."""
    synthetic: bool
    countries: tuple[str, ...]
    """Those that can be compared."""
    without: tuple[str, ...]
    """Those that were asked for without any answers of people to compare with."""
    versions: dict[str, str]
    draws: int
    recoded: tuple[str, ...] = ()
    """Items whose scale is longer or shorter than CultureSPA's, where people are not the shipped
    ones."""
    series: list[Series] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    baselines: list[Score] = field(default_factory=list)
    rates: list[Rates] = field(default_factory=list)
    floors: list[NoiseFloor] = field(default_factory=list)
    gaps: list[PairedDifference] = field(default_factory=list)
    unpaired: list[tuple[str, str]] = field(default_factory=list)
    """Pairs of series that would be compared, had they a respondent or a country in common."""
    individuals: list[Individual] = field(default_factory=list)
    diversity: list[Diversity] = field(default_factory=list)
    nearness: list[Nearness] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    matrices: list[Matrix] = field(default_factory=list)

    def one(self, who: str) -> Series:
        """Return the series with an id."""
        return next(series for series in self.series if series.id == who)

    def label(self, who: str) -> str:
        """Return what tables call a series or a baseline."""
        return next((each.label for each in self.series if each.id == who), who)

    def write(self, path: Path) -> None:
        """Write results.json; NaN and infinite numbers become null."""
        text = json.dumps(_plain(asdict(self)), ensure_ascii=False, indent=1, allow_nan=False)
        write_whole(path.parent, path, text + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
