"""What a reader has to be wary of before believing a figure.

Invariant: the same results give the same caveats in the same order; what concerns several series is
said once and names them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from eval.report.measure import measure
from eval.report.name import country_name, names
from eval.report.number import known, number
from eval.report.results import ALL, Results, Score, Series
from eval.report.verdict import order_dependent

VALID, MASS = 0.9, 0.5
"""Least share of valid answers, and least probability of the options, that go without a word."""
_HEADLINE = ("js_distance", "tv", "w1")
"""Metrics in which a series has to beat the uniform guesser."""
_ANYWHERE = "*"
"""Stands for answers that name no culture."""


class Caveat(NamedTuple):
    """One thing to be wary of."""

    text: str
    about: tuple[str, ...] = ()
    """The series that it concerns, with figures."""


def caveats(results: Results) -> list[Caveat]:
    """Return what to be wary of."""
    kinds = {
        "These are shown people's answers to the evaluated items, so their scores are no evidence "
        "of what the model knows:": _gold,
        "No better than guessing uniformly as often in the same cells:": _guessing,
        "Not surely better than guessing uniformly as often:": _perhaps_guessing,
        f"Fewer than {VALID:.0%} valid answers; distances are of those only:": _few_valid,
        f"The options get less than {MASS:.0%} of the probability; left to itself the model would "
        "mostly say something else:": _little_mass,
        "Answers depend on the order of the options by more than chance:": _order,
        "Calls failed:": _failed,
        "Given elsewhere; how these were drawn is not known, the protocol not theirs:": _imported,
    }
    found = list(_of_people(results))
    for text, said in kinds.items():
        about = [(series, said(results, series)) for series in results.series]
        called = names(results)
        lines = tuple(f"{called[series.id]}{what}" for series, what in about if what is not None)
        found += [Caveat(text, lines)] if lines else []
    return found


def _of_people(results: Results) -> Iterator[Caveat]:
    if results.recoded:
        yield Caveat(
            f"CultureSPA's score is taken on recoded scales: of {len(results.recoded)} items "
            f"({', '.join(results.recoded)}) these are longer or shorter than as published, which "
            "moves the score of a country by up to 0.75."
        )
    if results.synthetic:
        yield Caveat(
            f"The respondents are made up ({results.people}). Individual accuracy and whatever "
            "rests on joint distributions say how the method works, not how real people answer."
        )
    if results.without:
        missing = ", ".join(country_name(code) for code in results.without)
        yield Caveat(f"Asked, but not compared, for want of people's answers: {missing}.")


def _gold(results: Results, series: Series) -> str | None:
    return "" if series.leaks else None


def _few_valid(results: Results, series: Series) -> str | None:
    return _low(results, series, "valid", VALID)


def _little_mass(results: Results, series: Series) -> str | None:
    return _low(results, series, "mass", MASS)


def _low(results: Results, series: Series, rate: str, least: float) -> str | None:
    """Return a rate that is low over all countries, or else those in which it is."""
    found = {each.country: getattr(each, rate) for each in results.rates if each.who == series.id}
    low = {where: share for where, share in found.items() if share is not None and share < least}
    if not low:
        return None
    if whole := low.get(ALL, low.get(_ANYWHERE)):
        return f": {number(whole)}"
    least_of_all = sorted(low, key=lambda where: low[where])[:3]
    said = ", ".join(f"{number(low[where])} in {country_name(where)}" for where in least_of_all)
    return f": {said}" + (f", low in {len(low)} countries" if len(low) > 3 else "")


def _order(results: Results, series: Series) -> str | None:
    for rates in results.rates:
        if (rates.who, rates.country) == (series.id, ALL) and order_dependent(rates):
            beside = (
                "" if series.reading == "logprobs" else f", by chance {number(rates.order_floor)}"
            )
            return f": gap {number(rates.order_gap)}{beside}"
    return None


def _imported(results: Results, series: Series) -> str | None:
    return "" if series.imported else None


def _failed(results: Results, series: Series) -> str | None:
    for rates in results.rates:
        if rates.who == series.id and rates.country == ALL and rates.failed > 0:
            return f": {number(100 * rates.failed, 1)} %"
    return None


def _guessing(results: Results, series: Series) -> str | None:
    worse = [
        _against(score, guess)
        for score, guess in _guessed(results, series)
        if not measure(score.metric).beats(score.value or 0, guess)
    ]
    return f": {', '.join(worse)}" if worse else None


def _perhaps_guessing(results: Results, series: Series) -> str | None:
    unsure = [
        _against(score, guess)
        for score, guess in _guessed(results, series)
        if measure(score.metric).beats(score.value or 0, guess)
        and score.high is not None
        and score.high >= guess
    ]
    return f": {', '.join(unsure)}" if unsure else None


def _guessed(results: Results, series: Series) -> Iterator[tuple[Score, float]]:
    """Yield the headline scores of a series with what the uniform guesser gets, who gives as many
    valid answers in the same cells."""
    for score in results.scores:
        if (score.who, score.country) != (series.id, ALL) or score.metric not in _HEADLINE:
            continue
        if score.value is not None and score.guess is not None and known(score.value + score.guess):
            yield score, score.guess


def _against(score: Score, guess: float) -> str:
    return f"{measure(score.metric).title} {number(score.value)} against {number(guess)}"
