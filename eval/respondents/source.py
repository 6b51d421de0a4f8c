"""The people of an evaluation: national answers to compare with, and respondents to answer as.

Invariant: what there are no answers for is named (`without`), never made up; respondents are the
same for the same source, seed and number, whichever model is asked.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from eval.item import Item, load_items
from eval.metrics.grid import Floats, Grid, Scales
from eval.own_items import QUESTION_FILES
from eval.respondents.column_map import RespondentsFile
from eval.respondents.database import absent_items, not_in_file, open_respondents
from eval.respondents.marginals import load_marginals
from eval.respondents.national import national_answers, national_grid
from eval.respondents.own_survey import columns_of, load_respondents
from eval.respondents.participants import Participants
from eval.respondents.respondent import Respondent, draw_respondents, named_respondents
from eval.respondents.synthetic import shares_of_sample, synthesise
from eval.respondents.table import items_of, read_national
from folkways.errors import UserError

MARGINALS, SYNTHETIC = "marginals", "synthetic"
Source = str | RespondentsFile
"""marginals, synthetic, the path of a file, or a file of respondents with a map of its columns."""
_RESPONDENTS_FILE = "people.duckdb"
"""Name of what a map of columns was loaded into, in an evaluation's folder."""
_JOINT = ("Y002", "Y003")
"""Indices of the map that are made of several answers of each person."""
_SYNTHETIC_FILE = "respondents.duckdb"
"""Name of the made-up sample in an evaluation's folder."""


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """National answers and respondents of some countries."""

    about: str
    """What they are, in a few words, for every output."""
    grid: Grid
    """National answers of the countries that have any."""
    without: tuple[str, ...]
    """Countries without answers: models are asked, but not compared there."""
    respondents: dict[str, list[Respondent]]
    """By country; empty where no method needs them."""
    joint: Grid | None = None
    """National answers of the indices that rest on several answers of each person, which cannot be
    told from the answers item by item; None without respondents."""
    asked: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Items by respondent, of those who are not asked all of them."""

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Return them as rows of the store's tables."""
        members = [person for people in self.respondents.values() for person in people]
        return {
            "survey_people": [*_cells(self.grid), *(_cells(self.joint) if self.joint else ())],
            "survey_respondents": [
                {
                    "respondent_id": person.id,
                    "country": person.country,
                    "synthetic": person.synthetic,
                    "weight": person.weight,
                    "demographics": dict(person.demographics),
                    "cluster": person.cluster,
                }
                for person in members
            ],
            "survey_truths": [
                {"respondent_id": person.id, "item_id": item, "point": point}
                for person in members
                for item, point in person.answers.items()
                if point is not None
            ],
        }


def _cells(grid: Grid) -> Iterator[dict[str, Any]]:
    scales = grid.scales
    for row, country in enumerate(grid.countries):
        for column, item in enumerate(scales.items):
            if not grid.asked[row, column]:
                continue
            for place in range(int(scales.lengths[column])):
                yield {
                    "country": country,
                    "item_id": item,
                    "point": int(scales.codes[column, place]),
                    "share": float(grid.shares[row, column, place]),
                    "valid": float(grid.valid[row, column]),
                    "missing": float(grid.missing[row, column]),
                    "independent": _known(grid.independent, row, column),
                    "clusters": _known(grid.clusters, row, column),
                }


def _known(values: Floats | None, row: int, column: int) -> float | None:
    if values is None or np.isnan(values[row, column]):
        return None
    return float(values[row, column])


def nobody(countries: Sequence[str]) -> People:
    """Return the people of a survey that is compared with none."""
    none, on = np.zeros((0, 0)), np.zeros((0, 0), dtype=np.bool_)
    scales = Scales((), none, on, np.zeros(0, dtype=np.bool_))
    grid = Grid((), scales, np.zeros((0, 0, 0)), none, none, none)
    return People("nobody", grid, tuple(countries), {})


def gather_people(
    source: Source,
    items: Sequence[Item],
    countries: Sequence[str],
    folder: Path,
    *,
    count: int | None,
    weights: str,
    seed: int,
) -> People:
    """Return the people that `source` names: marginals, synthetic, or a file.

    `count` respondents of each country are drawn, None for none; a synthetic sample, and one that
    is loaded by a map of columns, is written into `folder`. Raises UserError where a file lacks a
    country or has too few respondents, and where none of the countries has answers.
    """
    if isinstance(source, RespondentsFile):
        path = folder / _RESPONDENTS_FILE
        load_respondents(source, path, items)
        about = f"respondents of {Path(source.file).name}, weights {weights}"
        return _of_file(path, about, items, countries, count=count, weights=weights, seed=seed)
    if source in (MARGINALS, SYNTHETIC):
        return _shipped(source, items, countries, folder, count=count, seed=seed)
    path = Path(source)
    if path.suffix in QUESTION_FILES:
        return _of_table(path, items, countries, count)
    about = f"respondents of {path.name}, weights {weights}"
    return _of_file(path, about, items, countries, count=count, weights=weights, seed=seed)


def _shipped(
    source: str,
    items: Sequence[Item],
    countries: Sequence[str],
    folder: Path,
    *,
    count: int | None,
    seed: int,
) -> People:
    ids = [item.id for item in items]
    if not {*ids} & {*load_items()}:
        raise UserError(
            f"people: {source} answered the World Values Survey, not these items; name the people "
            "of your survey: a national table, or a file of respondents (docs/evaluation.md)"
        )
    marginals = load_marginals()
    known = [country for country in countries if country in marginals.countries]
    if not known:
        raise UserError(
            f"there are no national answers for {', '.join(countries)}; there are for "
            f"{', '.join(marginals.countries)}; for others load the survey's own file"
        )
    without = tuple(country for country in countries if country not in known)
    grid = marginals.grid(known, items)
    about = "national shares of WVS-7, unweighted"
    if source == MARGINALS:
        if count is not None:
            raise UserError(
                "methods that describe a respondent need respondents: set people to synthetic, or "
                "to a file that `folkways eval wvs load` made"
            )
        return People(about, grid, without, {})
    path = folder / _SYNTHETIC_FILE
    if count is None:
        return People(about, grid, without, {})
    shares = shares_of_sample(marginals) | {country: {} for country in without}
    synthesise(path, shares, items, countries, count, seed=seed, replace=True)
    about = f"SYNTHETIC respondents drawn from {about}"
    return People(about, grid, without, _draw(path, ids, countries, count, seed))


def choose_participants(
    people: People, path: Path, participants: Participants, items: Sequence[Item], *, skip: bool
) -> People:
    """Return people whose respondents are those that a file of participants names.

    `path` is the file of respondents. Raises UserError for participants that it does not have,
    unless they are to be skipped, and where nobody is left.
    """
    ids = [item.id for item in items]
    found = named_respondents(path, participants, items=ids)
    absent = [interview for interview in participants if interview not in found]
    if absent and not skip:
        raise UserError(
            f"not in your file {path}: {len(absent):,} of {len(participants):,} participants "
            f"({', '.join(absent[:3])}, ...); go without them: absent_items: skip"
        )
    chosen: dict[str, list[Respondent]] = {country: [] for country in people.grid.countries}
    asked: dict[str, Collection[str]] = {}
    for interview, person in found.items():
        only = participants[interview]
        if person.country in chosen and (only is None or not only.isdisjoint(ids)):
            chosen[person.country].append(person)
            if only is not None:
                asked[person.id] = only
    if not any(chosen.values()):
        raise UserError("none of the participants is from these cultures and asked these items")
    without = f", {len(absent):,} not in the file" if absent else ""
    count = sum(map(len, chosen.values()))
    about = f"{people.about}; {count:,} participants named{without}"
    return replace(people, about=about, respondents=chosen, asked=asked)


def homes_of(path: Path, participants: Participants) -> list[str]:
    """Return the countries of the participants that a file of respondents has."""
    found = named_respondents(path, participants, fields=())
    return sorted({person.country for person in found.values()})


def absent_from(source: Source, items: Sequence[Item]) -> dict[str, str]:
    """Return the items that a file of people lacks, with the reason; none for shipped people."""
    ids = [item.id for item in items]
    if isinstance(source, RespondentsFile):
        there = columns_of(source, items)
    elif source in (MARGINALS, SYNTHETIC):
        return {}
    elif Path(source).suffix in QUESTION_FILES:
        there = items_of(Path(source), items)
    else:
        with contextlib.closing(open_respondents(Path(source))) as con:
            return absent_items(con, ids)
    return {item: "not in the file" for item in ids if item not in there}


def _of_file(
    path: Path,
    about: str,
    items: Sequence[Item],
    countries: Sequence[str],
    *,
    count: int | None,
    weights: str,
    seed: int,
) -> People:
    ids = [item.id for item in items]
    cells = national_answers(path, ids, countries, weights=weights)
    nominal = [item.id for item in items if item.scale == "nominal"]
    drawn = _draw(path, ids, countries, count, seed)
    joint = _joint(path, countries, weights)
    return People(about, national_grid(cells, nominal=nominal), (), drawn, joint)


def _of_table(
    path: Path, items: Sequence[Item], countries: Sequence[str], count: int | None
) -> People:
    if count is not None:
        raise UserError(
            f"methods that describe a respondent need respondents, and {path.name} has national "
            "answers; choose other methods, or name a file of respondents as people"
        )
    absent = absent_from(str(path), items)
    if absent:
        raise not_in_file(path, absent)
    grid = read_national(path, items, countries)
    without = tuple(country for country in countries if country not in grid.countries)
    return People(f"national answers of {path.name}", grid, without, {})


def _joint(path: Path, countries: Sequence[str], weights: str) -> Grid | None:
    """Return the national answers of the indices that a file has of `_JOINT`."""
    with contextlib.closing(open_respondents(path)) as con:
        absent = absent_items(con, _JOINT)
    there = [name for name in _JOINT if name not in absent]
    if not there:
        return None
    return national_grid(national_answers(path, there, countries, weights=weights), nominal=())


def _draw(
    path: Path, items: Sequence[str], countries: Sequence[str], count: int | None, seed: int
) -> dict[str, list[Respondent]]:
    if count is None:
        return {}
    return {
        country: draw_respondents(path, country, count, seed=seed, items=items)
        for country in countries
    }
