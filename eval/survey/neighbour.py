"""Which countries a country resembles and which it differs from, for cross-culture thinking.

Invariant: no country is on both sides, and the order in which countries are named changes nothing.

`dimensions` takes likeness from published numbers. The six of Hofstede owe nothing to the survey;
the two coordinates on the Inglehart-Welzel map summarise answers of 2005 to 2022, wave 7 among
them, to the fourteen items of `inglehart_welzel.fourteen_items`. `answers` is CultureSPA's table,
made of people's answers to all its 259 items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import networkx as nx
import numpy as np

from eval.metrics import culture_score
from eval.metrics.grid import Floats, as_floats
from eval.metrics.inglehart_welzel import load_centroids
from eval.respondents.marginals import load_marginals
from folkways.errors import UserError, unknown_name
from scenarios.culture import HOFSTEDE_DIMENSIONS, Culture, load_cultures, shipped_cultures

Source = Literal["dimensions", "answers"]
LEAKS: frozenset[Source] = frozenset({"answers"})
"""Sources made of the evaluation's own gold answers."""
_AXES = ("survival_self_expression", "traditional_secular")
WEIGHTS = as_floats([1] * len(HOFSTEDE_DIMENSIONS) + [len(HOFSTEDE_DIMENSIONS) / len(_AXES)] * 2)
"""(8,): the two coordinates together weigh as much as the six dimensions together."""


class Neighbours(NamedTuple):
    """Who a country stands near to and far from."""

    similar: tuple[str, ...]
    """Best first."""
    different: tuple[str, ...]
    """Most different first."""


def neighbours(country: str, among: Sequence[str], source: Source, n: int = 3) -> Neighbours:
    """Return the n countries of `among` most like a country and the n least like it.

    The country itself never counts, and need not be among them. With fewer than 2n others there are
    fewer than n on each side. Equally near ones stand in alphabetical order; from `answers` in
    CultureSPA's, where of two the later one is the more similar. Raises UserError for fewer than
    two others, for an unknown source, and for a country of which the source knows nothing.
    """
    if source not in _SOURCES:
        raise unknown_name("source of likeness", source, _SOURCES)
    others = [each for each in dict.fromkeys(among) if each != country]
    if len(others) < 2:
        raise UserError(
            f"neighbours of '{country}' are chosen among two other countries or more; there are: "
            f"{', '.join(others) or 'none'}"
        )
    return _SOURCES[source](country, others, min(n, len(others) // 2))


def similarity_graph(countries: Sequence[str]) -> nx.Graph[str]:
    """Return a graph in which an edge joins every two countries, with their `distance`.

    Raises UserError for countries without any published number, and for two without a common one.
    """
    numbers = _standard_numbers()
    unknown = [country for country in countries if country not in numbers]
    if unknown:
        raise UserError(
            f"no cultural dimensions are known of {', '.join(unknown)}; leave them out, or give "
            "each a file in scenarios/cultures"
        )
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(countries)
    for one, other in combinations(graph, 2):
        apart = distance(numbers[one], numbers[other])
        if np.isnan(apart):
            raise UserError(f"no cultural dimension is known of both {one} and {other}")
        graph.add_edge(one, other, distance=apart)
    return graph


def distance(one: Floats, other: Floats) -> float:
    """Return how far apart two countries' eight standardised numbers (8,) are.

    sqrt(sum_k w_k (a_k - b_k)^2 / sum_k w_k) over the numbers known of both, w as in `WEIGHTS`; NaN
    without any. This is folkways' own definition: a Euclidean distance divided by the root of how
    much is known, so that a gap in the sources moves nobody near or far. Distances over different
    numbers need not obey the triangle inequality.
    """
    known = ~np.isnan(one - other)
    if not known.any():
        return float("nan")
    weights, differences = WEIGHTS[known], (one - other)[known]
    return float(np.sqrt((weights * differences**2).sum() / weights.sum()))


def _standard_numbers() -> dict[str, Floats]:
    """Return (8,) by country: six dimensions and two coordinates, NaN where unknown.

    Means and (population) deviations are those of the shipped cultures, whoever is asked about and
    whatever cultures the user has added, so that the distance of two countries is always the same.
    """
    numbers = _numbers(load_cultures())
    shipped = np.stack([numbers[country] for country in shipped_cultures() if country in numbers])
    mean, deviation = np.nanmean(shipped, axis=0), np.nanstd(shipped, axis=0)
    return {country: as_floats((row - mean) / deviation) for country, row in numbers.items()}


def _numbers(cultures: Mapping[str, Culture]) -> dict[str, Floats]:
    """Return (8,) by country as they are published, of cultures and of countries on the map."""
    centroids = {each.country: each for each in load_centroids() if each.country}
    numbers = {}
    for country in {*cultures, *centroids}:
        culture = cultures.get(country)
        place = (culture and culture.inglehart_welzel) or centroids.get(country)
        values = [getattr(culture and culture.hofstede, name, None) for name in HOFSTEDE_DIMENSIONS]
        values += [getattr(place, axis, None) for axis in _AXES]
        row = as_floats([np.nan if value is None else value for value in values])
        if not np.isnan(row).all():
            numbers[country] = row
    return numbers


def _by_dimensions(country: str, others: Sequence[str], n: int) -> Neighbours:
    near = similarity_graph([country, *others])[country]
    ranked = sorted(near, key=lambda other: (near[other]["distance"], other))
    return Neighbours(tuple(ranked[:n]), tuple(ranked[: -n - 1 : -1]))


def _by_answers(country: str, others: Sequence[str], n: int) -> Neighbours:
    people = load_marginals()
    published = {name: place for place, name in enumerate(people.culturespa)}
    rows = sorted([country, *others], key=lambda name: (published.get(name, len(published)), name))
    grid = people.file_grid(rows, people.items)
    matrix = culture_score.score_matrix(culture_score.gold(grid), grid.scales)
    return Neighbours(*culture_score.neighbours(matrix, grid.countries, country, n))


_SOURCES = {"dimensions": _by_dimensions, "answers": _by_answers}
