"""Which country an answer sheet is about, by its name or contents, and whether a list was swapped.

Invariant: a country is taken from a name or an entry only where one alone is named; the answers
themselves only ever raise a doubt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from eval.respondents.marginals import load_marginals
from eval.survey.voice import load_voice
from training.culturespa.released import ReleasedSheet

_LEAST_ITEMS = 20
"""Fewer common items than this tell nothing of whose people a sheet is like."""


def told_country(sheet: ReleasedSheet) -> str | None:
    """Return the one country that a sheet's entries or, failing that, its file name tell."""
    named = {code for text in sheet.countries for code in _countries(text)}
    return _only(named) or _only(_countries(sheet.path.stem))


def doubts(
    sheets: Sequence[ReleasedSheet], answers: Sequence[Mapping[str, int]], homes: Sequence[str]
) -> list[list[str]]:
    """Return for each sheet, with its codes by item, what speaks against the country it is taken
    for: another in its name or entries, and people of another sheet's country that it is more like.
    """
    return [
        [*_other_name(sheet, home), *_other_people(codes, home, homes)]
        for sheet, codes, home in zip(sheets, answers, homes, strict=True)
    ]


def _other_name(sheet: ReleasedSheet, home: str) -> list[str]:
    told = told_country(sheet)
    return [f"it calls itself {told}, and is taken for {home}"] if told not in (None, home) else []


def _other_people(codes: Mapping[str, int], home: str, homes: Sequence[str]) -> list[str]:
    found = {other: _likeness(codes, other) for other in dict.fromkeys(homes)}
    likeness = {other: r for other, r in found.items() if r is not None}
    if home not in likeness:
        return []
    best = max(likeness, key=lambda other: likeness[other])
    if likeness[best] <= likeness[home]:
        return []
    return [
        f"its answers are more like those of people of {best} (r = {likeness[best]:.2f}) than of "
        f"{home} (r = {likeness[home]:.2f}); are the countries in the order of the files?"
    ]


def _likeness(codes: Mapping[str, int], country: str) -> float | None:
    """Return Pearson's r over items of a sheet's codes with the mean codes of a country's people,
    both less the mean of all countries and over the length of the scale."""
    people = load_marginals()
    if country not in people.countries:
        return None
    grid = people.file_grid(people.countries, people.items)
    middle = np.nanmean(grid.mean, axis=0)
    given = np.array([codes.get(item, np.nan) for item in people.items], dtype=np.float64)
    own = grid.mean[people.countries.index(country)]
    pair = np.stack([given - middle, own - middle]) / grid.scales.span
    pair = pair[:, ~np.isnan(pair).any(axis=0)]
    if pair.shape[1] < _LEAST_ITEMS or np.ptp(pair, axis=1).min() == 0:
        return None
    return float(np.corrcoef(pair)[0, 1])


def _countries(text: str) -> set[str]:
    """Return the countries that a text names, by code or by name."""
    words = f" {' '.join(re.findall('[a-z]+', text.casefold()))} "
    return {
        code
        for code, place in load_voice("en").words.countries.items()
        if f" {code.casefold()} " in words or f" {place.name.casefold()} " in words
    }


def _only(found: set[str]) -> str | None:
    return next(iter(found)) if len(found) == 1 else None
