"""How likely a person of a culture is: the weights behind the sampler, fitted to country figures.

Invariant: the figures hold among people drawn with these chances, whatever ages, schooling and
places rule out; where a country has no figure, the weights are a choice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from random import Random
from typing import TypeAlias, TypeVar, get_args

from scenarios.persona import Education, Gender, MaritalStatus, Settlement
from scenarios.sampling.figures import AGES, SCHOOLED_FROM, Figures, figures_of
from scenarios.sampling.household import PARTNERED, PARTNERED_UNTIL, status_weights
from scenarios.sampling.name_book import Community, NameBook, load_name_book
from scenarios.sampling.occupation import (
    EARLIEST_AGE,
    EDUCATION_LEVELS,
    HIGHER,
    Occupation,
    WorkState,
    possible_occupations,
    state_of_work,
)

_Option = TypeVar("_Option")
_Titles: TypeAlias = dict[WorkState, list[tuple[str, Occupation]]]

_NONBINARY = 0.01
"""Share of people; a choice, since the figures count women and men."""
_SETTLEMENTS: dict[Settlement, float] = {
    "capital": 2,
    "large-city": 3,
    "small-city": 2,
    "town": 2,
    "village": 2,
}
_EDUCATION: dict[Education, float] = {
    "none": 1,
    "primary": 2,
    "lower-secondary": 2,
    "upper-secondary": 4,
    "vocational": 3,
    "bachelor": 3,
    "master": 1.5,
    "doctorate": 0.4,
}
_LATE_LEAVER = 0.02
"""How much rarer somebody younger than the name book says has left school after primary school."""
_STEPS = tuple(math.sqrt(prime) for prime in (2, 3, 5, 7, 11))
"""Richtmyer's sequence: multiples of the square roots of primes, modulo 1, are spread evenly."""
DIMENSIONS = len(_STEPS)
"""Numbers that `Chances.draw` takes."""
_FITTED = 2000
"""People among whom the weights are fitted."""
_ROUNDS = 60
_SEXES: tuple[Gender, ...] = ("woman", "man")


@dataclass(frozen=True, slots=True)
class Core:
    """What is drawn of a person before family, name and story."""

    age: int
    gender: Gender
    settlement: Settlement
    community: Community
    education: Education
    title: str
    occupation: Occupation
    status: MaritalStatus


@dataclass(frozen=True, slots=True)
class Chances:
    """Weights of one culture, against each other within a field."""

    book: NameBook
    people: Mapping[tuple[Gender, int], float]
    settlements: Mapping[Settlement, float]
    communities: Mapping[Settlement, Mapping[str, float]]
    education: Mapping[Education, float] = field(default_factory=dict)
    """Factor of a level, 1 where it is absent."""
    work: Mapping[WorkState, float] = field(default_factory=dict)
    """Factor of a state of work, 1 where it is absent."""
    partnered: float = 1
    """Factor of having a partner, up to the age that the figure covers."""

    def draw(self, spread: Sequence[float], rng: Random) -> Core:
        """Draw a person: what has figures by `spread`, numbers from 0 to 1, by `rng` the rest."""
        by_person, by_settlement, by_education, by_work, by_status = spread
        gender, age = _pick(self.people, by_person)
        if rng.random() < _NONBINARY:
            gender = "nonbinary"
        settlement = _pick(self.settlements, by_settlement)
        community = _pick(self.communities[settlement], rng.random())
        education = _pick(self._education_weights(age, settlement), by_education)
        titles = self._titles(age, education, settlement)
        state = _pick(self._work_weights(titles), by_work)
        title, occupation = rng.choice(titles[state])
        status = _pick(self._status_weights(age, occupation), by_status)
        return Core(
            age=age,
            gender=gender,
            settlement=settlement,
            community=self.book.communities[community],
            education=education,
            title=title,
            occupation=occupation,
            status=status,
        )

    def _education_weights(self, age: int, settlement: Settlement) -> dict[Education, float]:
        """Return the levels that the age allows and that people of this age left school with."""
        weights = {}
        for level in EDUCATION_LEVELS:
            # Two years' grace: not everybody goes through school and university without a pause.
            grace = 2 if level in HIGHER else 0
            if age < EARLIEST_AGE[level] + grace:
                continue
            weight = _EDUCATION[level] * self.education.get(level, 1)
            never = AGES[1] + 1 if level in ("none", "primary") else AGES[0]
            if age < self.book.least_schooling.get(level, never):
                if level == "none" or not self.education:
                    continue
                weight *= _LATE_LEAVER
            # Degrees are half as frequent in towns and villages.
            rare = level in HIGHER and settlement in ("town", "village")
            weights[level] = weight * (0.5 if rare else 1)
        return weights

    def _work_weights(self, titles: _Titles) -> dict[WorkState, float]:
        """Return the states of work that the titles of a person allow."""
        return {state: len(named) * self.work.get(state, 1) for state, named in titles.items()}

    def _status_weights(self, age: int, occupation: Occupation) -> dict[MaritalStatus, float]:
        """Return the marital statuses that age and occupation allow."""
        return status_weights(
            age,
            occupation.kind,
            cohabitation=self.book.cohabitation,
            partnered=self.partnered,
        )

    def _titles(self, age: int, education: Education, settlement: Settlement) -> _Titles:
        """Return what a person may be called, by state of work."""
        titles: _Titles = {}
        for title, entry in possible_occupations(age, education, settlement, self.book.culture):
            titles.setdefault(state_of_work(title), []).append((title, entry))
        return titles


def _pick(weights: Mapping[_Option, float], place: float) -> _Option:
    """Return the option at a place from 0 to 1 along the weights."""
    rest = place * sum(weights.values())
    for option, weight in weights.items():
        rest -= weight
        if rest < 0:
            return option
    return next(reversed(list(weights)))


def spread(start: Sequence[float], number: int) -> tuple[float, ...]:
    """Return a person's numbers from 0 to 1, which over many people are even, each and jointly."""
    return tuple((first + number * step) % 1 for first, step in zip(start, _STEPS, strict=True))


@cache
def chances_of(culture_id: str) -> Chances:
    """Return the chances of a culture; raise UserError for one without a name book."""
    book, figures = load_name_book(culture_id), figures_of(culture_id)
    people = {(gender, age): 1.0 for gender in _SEXES for age in range(AGES[0], AGES[1] + 1)}
    kinds = {kind for community in book.communities.values() for kind in community.places}
    settlements = {kind: weight for kind, weight in _SETTLEMENTS.items() if kind in kinds}
    if figures:
        people = figures.people()
        factors = _factors([settlements], figures.settlement_shares())
        settlements = {kind: w * factors.get(kind, 1) for kind, w in settlements.items()}
    communities = _communities(book, settlements)
    chances = Chances(book, people, settlements, communities)
    return _fitted(chances, figures) if figures else chances


def _communities(
    book: NameBook, settlements: Mapping[Settlement, float]
) -> dict[Settlement, dict[str, float]]:
    """Return, by settlement, the weights that give communities their share wherever they live."""
    rows = [
        {name: 1.0 for name, group in book.communities.items() if kind in group.places}
        for kind in settlements
    ]
    shares = {frozenset((name,)): group.share for name, group in book.communities.items()}
    factors = _factors(rows, shares, list(settlements.values()))
    return {
        kind: {name: factors[name] for name in row}
        for kind, row in zip(settlements, rows, strict=True)
    }


def _fitted(chances: Chances, figures: Figures) -> Chances:
    """Return the chances with schooling, work and partners such that a crowd has the figures."""
    schooled = [person for person in _crowd(chances) if person.age >= SCHOOLED_FROM]
    # Any factor lets people leave school younger than the name book says, as figures may ask.
    chances = replace(chances, education=dict.fromkeys(EDUCATION_LEVELS, 1.0))
    levels = [chances._education_weights(person.age, person.settlement) for person in schooled]
    chances = replace(chances, education=_factors(levels, figures.education_shares()))
    titles = [chances._titles(p.age, p.education, p.settlement) for p in _crowd(chances)]
    states = [chances._work_weights(named) for named in titles]
    chances = replace(chances, work=_factors(states, figures.work_shares()))
    if figures.partnered is None:
        return chances
    women = [p for p in _crowd(chances) if p.gender == "woman" and p.age <= PARTNERED_UNTIL]
    statuses = [chances._status_weights(person.age, person.occupation) for person in women]
    alone = frozenset(get_args(MaritalStatus)) - PARTNERED
    shares = {PARTNERED: figures.partnered.share, alone: 1 - figures.partnered.share}
    factors = _factors(statuses, shares)
    return replace(chances, partnered=factors["married"] / factors["single"])


def _crowd(chances: Chances) -> list[Core]:
    start = (0.5,) * DIMENSIONS
    return [chances.draw(spread(start, number), Random(number)) for number in range(_FITTED)]


def _factors(
    rows: Sequence[Mapping[_Option, float]],
    shares: Mapping[frozenset[_Option], float],
    weights: Sequence[float] | None = None,
) -> dict[_Option, float]:
    """Return what to multiply each option's weight with for the groups of options to have shares.

    Iterative proportional fitting: a group's part of a row, in the mean over rows (by `weights`),
    becomes its share. A group that no row has room for stays below.
    """
    counts: dict[tuple[float, ...], float] = {}
    for row, weight in zip(rows, weights or [1.0] * len(rows), strict=True):
        sums = tuple(sum(w for option, w in row.items() if option in group) for group in shares)
        counts[sums] = counts.get(sums, 0) + weight
    whole = sum(counts.values()) / sum(shares.values()) if shares else 0
    factors = [1.0] * len(shares)
    for _ in range(_ROUNDS if shares else 0):
        parts = [0.0] * len(shares)
        for sums, count in counts.items():
            weighted = [part * factor for part, factor in zip(sums, factors, strict=True)]
            total = sum(weighted)
            parts = [part + count * w / total for part, w in zip(parts, weighted, strict=True)]
        factors = [
            factor * share * whole / part if part else factor
            for factor, share, part in zip(factors, shares.values(), parts, strict=True)
        ]
    return {
        option: factor for group, factor in zip(shares, factors, strict=True) for option in group
    }
