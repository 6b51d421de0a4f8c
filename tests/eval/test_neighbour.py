"""Neighbours of countries: the published ones, and those by published dimensions."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.metrics.grid import as_floats
from eval.respondents.marginals import load_marginals
from eval.survey.neighbour import (
    LEAKS,
    WEIGHTS,
    Neighbours,
    Source,
    distance,
    neighbours,
    similarity_graph,
)
from folkways.errors import UserError
from scenarios.culture import load_cultures

SPA = load_marginals().culturespa
BOTH: tuple[Source, ...] = ("dimensions", "answers")

PUBLISHED = """
USA CAN,GBR,NZL / ZWE,NGA,IND · CAN NLD,AUS,GBR / NGA,ZWE,KEN · BOL ZWE,IND,UKR / NZL,AUS,GBR ·
BRA USA,UKR,KEN / IND,ZWE,NGA · GBR CAN,NLD,AUS / ZWE,NGA,ETH · NLD CAN,AUS,GBR / NGA,ZWE,KEN ·
DEU AUS,NZL,NLD / ZWE,NGA,KEN · UKR RUS,ETH,CHN / NZL,NLD,AUS · CHN RUS,UKR,ETH / BRA,NZL,GBR ·
RUS UKR,CHN,ETH / NZL,NLD,AUS · IND UKR,BOL,CHN / GBR,NZL,NLD · THA UKR,CHN,BOL / AUS,NLD,NZL ·
KEN UKR,ETH,NGA / NZL,NLD,AUS · NGA ZWE,ETH,KEN / NZL,NLD,AUS · ETH UKR,CHN,ZWE / NZL,NLD,AUS ·
ZWE BOL,NGA,ETH / NZL,NLD,AUS · AUS NZL,NLD,CAN / ZWE,NGA,KEN · NZL AUS,NLD,CAN / ZWE,NGA,ETH
"""


def test_answers_give_the_published_neighbours_in_whatever_order_the_rest_is_named():
    entries = PUBLISHED.replace("\n", " ").split("·")
    assert len(entries) == 18
    for entry in entries:
        country, like, _, unlike = entry.split()
        wanted = Neighbours(tuple(like.split(",")), tuple(unlike.split(",")))
        assert neighbours(country, SPA, "answers") == wanted, country
        assert neighbours(country, sorted(SPA), "answers") == wanted, country


def test_only_answers_leak():
    assert frozenset({"answers"}) == LEAKS


# Distances.


def row(hofstede: float | None, coordinates: float | None) -> np.ndarray:
    return as_floats([hofstede] * 6 + [coordinates] * 2)


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        (row(0, 0), row(2, 2), 2),
        (row(0, 0), row(1, 0), 0.5**0.5),
        (row(0, 0), row(0, 1), 0.5**0.5),
        (row(0, 0), row(3, 1), 5**0.5),
        (row(None, 0), row(3, 1), 1),
        (row(None, 0), row(3, None), np.nan),
        # One dimension of six is known of both, and the coordinates: (1 * 9 + 6 * 1) / 7.
        (as_floats([3, None, 1, None, 1, None, 1, 1]), as_floats([0, 1, *[None] * 4, 0, 0]),
         (15 / 7) ** 0.5),
    ],
)  # fmt: skip
def test_distances_by_hand(one, other, wanted):
    assert distance(one, other) == pytest.approx(wanted, nan_ok=True)
    assert distance(other, one) == pytest.approx(wanted, nan_ok=True)


def test_both_sources_weigh_alike():
    assert WEIGHTS.tolist() == [1, 1, 1, 1, 1, 1, 3, 3]


def test_the_graph_joins_every_two_countries():
    graph = similarity_graph(SPA)
    assert set(graph) == set(SPA) and graph.number_of_edges() == 153
    distances = nx.get_edge_attributes(graph, "distance")
    assert all(0 < apart < 4 for apart in distances.values())
    turned = similarity_graph(SPA[::-1])
    assert all(turned[one][other]["distance"] == apart for (one, other), apart in distances.items())


def test_an_independent_distance_agrees():
    """Great Britain and Australia, of which everything is known, from the culture files."""
    cultures = load_cultures()
    squares = []
    for source, names in (
        ("hofstede", ("pdi", "idv", "mas", "uai", "lto", "ivr")),
        ("inglehart_welzel", ("survival_self_expression", "traditional_secular")),
    ):
        parts = []
        for name in names:
            values = [getattr(getattr(each, source), name) for each in cultures.values()]
            spread = np.std([value for value in values if value is not None])
            apart = getattr(getattr(cultures["GBR"], source), name) - getattr(
                getattr(cultures["AUS"], source), name
            )
            parts.append((apart / spread) ** 2)
        squares.append(np.mean(parts))
    found = similarity_graph(["GBR", "AUS"])["GBR"]["AUS"]["distance"]
    assert found == pytest.approx(np.mean(squares) ** 0.5)


def test_who_else_is_asked_about_moves_nobody():
    small, large = similarity_graph(["GBR", "CHN"]), similarity_graph([*SPA, "FRA"])
    assert small["GBR"]["CHN"] == large["GBR"]["CHN"]


@pytest.mark.parametrize(
    ("country", "near", "far"),
    [
        ("GBR", "AUS", "CHN"),
        ("AUS", "NZL", "ZWE"),
        ("RUS", "UKR", "NZL"),
        ("KEN", "ETH", "NLD"),
        ("USA", "CAN", "RUS"),
        ("FRA", "NLD", "NGA"),  # no culture file, but a place on the map
    ],
)
def test_sensible_distances(country, near, far):
    edges = similarity_graph([country, near, far])[country]
    assert edges[near]["distance"] < edges[far]["distance"]


# Neighbours.


def test_neighbours_by_dimensions():
    assert neighbours("NZL", SPA, "dimensions").similar[:2] == ("AUS", "CAN")
    found = neighbours("RUS", SPA, "dimensions")
    assert found.similar[0] == "UKR" and set(found.different) <= {"AUS", "GBR", "NZL", "USA", "CAN"}


@pytest.mark.parametrize("source", BOTH)
def test_a_country_need_not_be_among_the_others(source):
    assert "MEX" not in SPA
    found = neighbours("MEX", SPA, source)
    assert set(found.similar) | set(found.different) <= set(SPA)
    assert found == neighbours("MEX", [*SPA, "MEX"], source)


@given(
    chosen=st.lists(st.sampled_from(SPA), unique=True, min_size=3),
    source=st.sampled_from(BOTH),
    n=st.integers(1, 4),
    rng=st.randoms(use_true_random=False),
)
def test_nobody_is_on_both_sides_and_order_changes_nothing(chosen, source, n, rng):
    country = chosen[0]
    found = neighbours(country, chosen, source, n)
    each = min(n, (len(chosen) - 1) // 2)
    assert (len(found.similar), len(found.different)) == (each, each)
    assert len({country, *found.similar, *found.different}) == 2 * each + 1
    shuffled = chosen * 2
    rng.shuffle(shuffled)
    assert neighbours(country, shuffled, source, n) == found
    if source == "dimensions":
        edges = similarity_graph(chosen)[country]
        apart = [edges[name]["distance"] for name in (*found.similar, *found.different[::-1])]
        assert apart == sorted(apart)


@pytest.mark.parametrize("source", BOTH)
def test_bad_input_is_told(source):
    with pytest.raises(UserError, match=r"'GBR' .* two other countries or more; there are: AUS$"):
        neighbours("GBR", ["GBR", "AUS", "AUS"], source)
    with pytest.raises(UserError, match="there are: none"):
        neighbours("GBR", ["GBR"], source)
    with pytest.raises(UserError, match="XKX"):
        neighbours("XKX", SPA, source)
    with pytest.raises(UserError, match="unknown source of likeness 'maps'; known: answers, dim"):
        neighbours("GBR", SPA, "maps")  # type: ignore[arg-type]


def test_each_source_names_the_countries_it_knows_nothing_of():
    with pytest.raises(UserError, match="known of ATL, XKX; leave"):
        similarity_graph(["GBR", "ATL", "AUS", "XKX"])
    with pytest.raises(UserError, match="no national answers for 'JPN'"):
        neighbours("JPN", SPA, "answers")
