"""What the figures of a series come to, in a few words: by sampling, guessing, order and people.

Invariant: a verdict follows from the results alone, by the rules written here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from eval.report.nearness import NO_CULTURE
from eval.report.number import known
from eval.report.results import ALL, Nearness, Rates, Results, Series

METRIC = "js_distance"
"""The distance that verdicts rest on."""
_ORDER = 0.05
"""A gap between orders that exceeds an unbiased sampler's by less goes without a word."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is true of a series over all countries; None where it cannot be told."""

    at_floor: bool | None
    """Whether its distance from people is one that 95 of 100 perfect samplers stay below."""
    guesser: bool | None
    """Whether it is not surely better than guessing uniformly as often."""
    order: bool | None
    """Whether its answers depend on the order of the options by more than chance."""
    corrected: float | None
    """The distance without what sampling makes of it."""
    at_most: float | None
    """Bound of the true distance, at the floor."""
    nearest: Mapping[str, str]
    """By culture that it was asked for, * for none: whose people its answers are nearest to."""

    @property
    def whose(self) -> str | None:
        """The people that it is most often nearest to; None where it cannot be told."""
        return Counter(self.nearest.values()).most_common(1)[0][0] if self.nearest else None

    @property
    def own(self) -> tuple[int, int]:
        """For how many cultures its own people are the nearest, and of how many."""
        named = {culture: who for culture, who in self.nearest.items() if culture != NO_CULTURE}
        return sum(culture == who for culture, who in named.items()), len(named)


def verdict(results: Results, series: Series) -> Verdict:
    """Return what the figures of a series come to."""
    whole = [s for s in results.scores if (s.who, s.country, s.metric) == (series.id, ALL, METRIC)]
    score = next((s for s in whole if known(s.value)), None)
    rates = next((r for r in results.rates if (r.who, r.country) == (series.id, ALL)), None)
    at_floor = guesser = None
    if score is not None and score.value is not None:
        if score.floor_high is not None:
            at_floor = score.value <= score.floor_high
        if score.guess is not None:
            guesser = max(score.value, score.high or score.value) >= score.guess
    nearest: dict[str, Nearness] = {}
    for each in results.nearness:
        if each.who == series.id and (
            each.culture not in nearest or each.value < nearest[each.culture].value
        ):
            nearest[each.culture] = each
    whose = {culture: each.country for culture, each in nearest.items()}
    order = None if rates is None else order_dependent(rates)
    told = (None, None) if score is None else (score.corrected, score.at_most)
    return Verdict(at_floor, guesser, order, *told, whose)


def order_dependent(rates: Rates) -> bool | None:
    """Return whether answers depend on the order of the options by more than chance."""
    if rates.order_gap is None or rates.order_high is None:
        return None
    return rates.order_gap > rates.order_high + _ORDER
