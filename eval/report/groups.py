"""How far respondents that a model answers as are from the people they stand for, group by group.

The score is that of WorldValuesBench (Zhao et al. 2024): the Wasserstein-1 distance between the
answers of the model and those of the very same people on a scale from 0 to 1, item by item, and the
share of items in which it is below 0.2. Invariant: nobody is weighted, an answer that is none is
left out, and what chance alone makes of groups as small as these stands beside every figure.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np

from eval.metrics.bootstrap import draw_weights
from eval.metrics.grid import Floats, as_floats
from eval.metrics.sampling import basic_interval
from eval.respondents.country import load_countries
from eval.survey.voice import load_voice
from folkways.errors import UserError, unknown_name
from simulation.store.reader import open_reader, read_rows

_NEAR = 0.2
"""An item is near below this distance."""
_DRAWS, _RESAMPLES = 200, 1000
"""Draws of people from themselves, and for an interval."""
_ALL = "all"
_SCALES = """
select item_id, list(distinct position order by position) as positions from survey_options
where position is not null group by all
"""
_PEOPLE = """
select respondent_id, country, demographics, item_id, position
from survey_respondents join survey_truths using (respondent_id)
join (select distinct item_id, point, position from survey_options) using (item_id, point)
where position is not null
"""
_ANSWERS = """
select condition_id || ':' || reading as series, any_value(model) as model,
    any_value(method) as method, any_value(style) as style, reading, respondent_id, item_id,
    position, sum(weight) as weight
from survey_answers
join (select distinct item_id, point, position from survey_options) using (item_id, point)
where respondent_id is not null and position is not null
group by condition_id, reading, respondent_id, item_id, position order by all
"""
_ASKED = """
select condition_id || ':' || reading as series, any_value(model) as model,
    any_value(method) as method, any_value(style) as style, reading, respondent_id, item_id
from survey_answers where respondent_id is not null
group by condition_id, reading, respondent_id, item_id order by all
"""
Demographics = Mapping[str, Any]
Traits = Callable[[str, Demographics], str | None]
_SETTLEMENTS = {1: "urban", 2: "rural"}
_EDUCATION = {
    **dict.fromkeys((0, 1), "primary or none"),
    2: "lower secondary",
    **dict.fromkeys((3, 4, 5), "upper or post-secondary"),
    **dict.fromkeys((6, 7, 8), "tertiary"),
}
"""Levels of ISCED as WorldValuesBench joins them."""
_TRAITS: dict[str, Traits] = {
    "country": lambda country, _: country,
    "continent": lambda country, _: (
        load_countries()[country].continent if country in load_countries() else None
    ),
    "settlement": lambda _, told: _SETTLEMENTS.get(told.get("H_URBRURAL") or 0),
    "education": lambda _, told: _EDUCATION.get(-1 if told.get("Q275") is None else told["Q275"]),
}
"""What people can be grouped by, besides any demographic that is told about respondents."""
_PROBE = ("continent", "settlement", "education")
"""The groups of WorldValuesBench's probe set."""


class GroupScore(NamedTuple):
    """A series in one group."""

    model: str
    method: str
    reading: str
    by: str
    """The traits that make the group."""
    group: str
    respondents: int
    items: int
    answers: int
    """Valid answers of the model."""
    valid: float
    """Their share of the questions asked."""
    w1: float
    near: float
    """Share of items whose distance is below `_NEAR`."""
    resampled_w1: float
    """The distance of the same people, drawn anew, from themselves: what no model can beat."""
    resampled_near: float
    uniform_w1: float
    """The distance of a guesser that knows nothing."""
    uniform_near: float
    low: float
    """Ends of the 95 % interval of `w1`, over respondents and items."""
    high: float


def group_scores(run: Path, by: Sequence[str] = _PROBE, seed: int = 0) -> list[GroupScore]:
    """Return the scores over all people, by each trait, and by all traits together.

    Raises UserError for an unknown trait, and where no series describes respondents.
    """
    with open_reader(run) as con:
        people = _people(con)
        scales = {row["item_id"]: as_floats(row["positions"]) for row in read_rows(con, _SCALES)}
        series = _series(con)
    told = sorted({name for _, demographics, _ in people.values() for name in demographics})
    for name in by:
        if name not in _TRAITS and name not in told:
            raise unknown_name("trait", name, [*_TRAITS, *told])
    if not series:
        raise UserError(
            f"{run} has no answers as respondents with answers of their own; ask with the method "
            "respondent, and people from a file"
        )
    sets = [(), *combinations(by, 1), *([tuple(by)] if len(by) > 1 else [])]
    rng = np.random.default_rng(seed)
    return [
        score
        for (model, method, reading), asked in series.items()
        for traits in sets
        for group, members in _groups(people, traits)
        for score in _scored(
            (model, method, reading), traits, group, members, asked, people, scales, rng
        )
    ]


_Person = tuple[str, Demographics, dict[str, float]]
"""Country, demographics, and position by item."""
_Asked = dict[tuple[str, str], dict[float, float]]
"""By respondent and item: the weights of the positions answered, none where no answer is valid."""


def _people(con: duckdb.DuckDBPyConnection) -> dict[str, _Person]:
    people: dict[str, _Person] = {}
    for row in read_rows(con, _PEOPLE):
        told = row["demographics"]
        demographics = json.loads(told) if isinstance(told, str) else told
        person = people.setdefault(row["respondent_id"], (row["country"], demographics, {}))
        person[2][row["item_id"]] = row["position"]
    return people


def _series(con: duckdb.DuckDBPyConnection) -> dict[tuple[str, str, str], _Asked]:
    series: dict[tuple[str, str, str], _Asked] = defaultdict(dict)
    for row in read_rows(con, _ASKED):
        series[_name(row)][row["respondent_id"], row["item_id"]] = {}
    for row in read_rows(con, _ANSWERS):
        told = series[_name(row)][row["respondent_id"], row["item_id"]]
        told[row["position"]] = row["weight"]
    return dict(series)


def _name(row: Mapping[str, Any]) -> tuple[str, str, str]:
    style = f", {row['style']}" if row["style"] else ""
    return row["model"], f"{row['method']}{style}", row["reading"]


def _groups(
    people: Mapping[str, _Person], traits: Sequence[str]
) -> Iterator[tuple[str, list[str]]]:
    groups: dict[str, list[str]] = {}
    for name, (country, demographics, _) in people.items():
        values = [_trait(trait, country, demographics) for trait in traits]
        if None not in values:
            groups.setdefault(" x ".join(map(str, values)) or _ALL, []).append(name)
    yield from sorted(groups.items())


def _trait(trait: str, country: str, demographics: Demographics) -> str | None:
    if trait in _TRAITS:
        return _TRAITS[trait](country, demographics)
    code = demographics.get(trait)
    if code is None:
        return None
    words = load_voice("en").words.fields.get(trait)
    word = words.values.get(code) if words else None
    return word if isinstance(word, str) else f"{trait} {code}"


def _scored(
    who: tuple[str, str, str],
    traits: Sequence[str],
    group: str,
    members: Sequence[str],
    asked: _Asked,
    people: Mapping[str, _Person],
    scales: Mapping[str, Floats],
    rng: np.random.Generator,
) -> Iterator[GroupScore]:
    """Yield the score of a group, if it was asked anything that has a scale."""
    by_row = dict(zip(members, draw_weights(len(members), _RESAMPLES, rng).T, strict=True))
    moved: list[Floats] = []
    distances: list[tuple[float, float, float]] = []
    near: list[tuple[float, float, float]] = []
    persons: set[str] = set()
    questions, answers = 0, 0
    for item, positions in scales.items():
        mine = [one for one in members if (one, item) in asked and item in people[one][2]]
        given = [asked[one, item] for one in mine if asked[one, item]]
        persons.update(mine)
        questions, answers = questions + len(mine), answers + len(given)
        if not given:
            continue
        human = _histogram([{people[one][2][item]: 1.0} for one in mine], positions)
        drawn = rng.multinomial(len(mine), human, size=_DRAWS) / len(mine)
        again = _w1(drawn, human, positions)
        guess = _w1(np.full(len(positions), 1 / len(positions)), human, positions)
        model = _w1(_histogram(given, positions), human, positions)
        distances.append((float(model), float(again.mean()), float(guess)))
        moved.append(_resampled(mine, asked, people, item, positions, by_row))
        near.append((float(model < _NEAR), float((again < _NEAR).mean()), float(guess < _NEAR)))
    if not distances:
        return
    means, shares = np.mean(distances, axis=0), np.mean(near, axis=0)
    low, high = _interval(float(means[0]), np.stack(moved, axis=-1), rng)
    yield GroupScore(
        *who,
        by=" x ".join(traits) or _ALL,
        group=group,
        respondents=len(persons),
        items=len(distances),
        answers=answers,
        valid=answers / questions,
        w1=float(means[0]),
        near=float(shares[0]),
        resampled_w1=float(means[1]),
        resampled_near=float(shares[1]),
        uniform_w1=float(means[2]),
        uniform_near=float(shares[2]),
        low=low,
        high=high,
    )


def _resampled(
    mine: Sequence[str],
    asked: _Asked,
    people: Mapping[str, _Person],
    item: str,
    positions: Floats,
    by_row: Mapping[str, Floats],
) -> Floats:
    """Return the distances (draws,) of an item where respondents are drawn with replacement, each
    with the model's answers and its own; NaN where a draw has no valid answer."""
    places = {float(position): place for place, position in enumerate(positions)}
    model, human = (np.zeros((_RESAMPLES, len(positions))) for _ in range(2))
    for one in mine:
        human[:, places[people[one][2][item]]] += by_row[one]
        given = asked[one, item]
        total = sum(given.values())
        for position, weight in given.items():
            model[:, places[position]] += by_row[one] * weight / total
    with np.errstate(invalid="ignore", divide="ignore"):
        model, human = (each / each.sum(axis=-1, keepdims=True) for each in (model, human))
    return _w1(model, human, positions)


def _interval(observed: float, moved: Floats, rng: np.random.Generator) -> tuple[float, float]:
    """Return the ends of a basic interval from the distances (draws, items) of resamples, in which
    items are drawn as well; it holds the distance observed."""
    by_item = draw_weights(moved.shape[1], len(moved), rng) * ~np.isnan(moved)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = (by_item * np.nan_to_num(moved)).sum(axis=1) / by_item.sum(axis=1)
    found = basic_interval(as_floats([observed]), drawn[:, None])
    return min(float(found.low[0]), observed), max(float(found.high[0]), observed)


def _histogram(answers: Sequence[Mapping[float, float]], positions: Floats) -> Floats:
    """Return the mean of answers, each of which counts the same, over the positions."""
    shares = np.zeros(len(positions))
    places = {float(position): place for place, position in enumerate(positions)}
    for answer in answers:
        total = sum(answer.values())
        for position, weight in answer.items():
            shares[places[position]] += weight / total
    return shares / len(answers)


def _w1(model: Floats, human: Floats, positions: Floats) -> Floats:
    """Return the area between two cumulative distributions along the scale from 0 to 1."""
    apart = np.abs(np.cumsum(model - human, axis=-1)[..., :-1])
    return as_floats(apart @ np.diff(positions))
