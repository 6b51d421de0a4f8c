"""Casting finds a cast whenever there is one, the same for the same seed, or says why not."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting_room import person

from folkways.errors import UserError
from scenarios.casting import cast_scenario, eligible, named_cultures, obstacles
from scenarios.library import library, load_scenario
from scenarios.persona import Persona
from scenarios.pool import load_personas
from scenarios.sampling.population import populated
from scenarios.scenario import Role, Scenario

CROWD = {
    p.id: p
    for p in (
        person(1, "GBR", age=30, gender="man", occupation="bus driver"),
        person(
            2, "GBR", age=50, gender="woman", occupation="Retired Teacher", settlement="village"
        ),
        person(3, "JPN", age=30, gender="man", occupation="nurse", marital_status="widowed"),
        person(4, "JPN", age=70, gender="woman", occupation="teacher", education="doctorate"),
    )
}


def role(**fields: Any) -> Role:
    """Return a role with the given constraints."""
    return Role.model_validate({"brief": "Someone.", "goal": "You wait."} | fields)


def scenario(roles: Mapping[str, Role]) -> Scenario:
    """Return a scenario with these roles."""
    return Scenario.model_validate(
        {
            "id": "test", "title": "Test", "theme": "public-rules", "setting": "A room. " * 5,
            "roles": roles, "norms": [{"id": "n", "text": "Be nice."}],
            "provenance": {"author": "a test", "made": "written by hand"},
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "numbers"),
    [
        ({}, [1, 2]),
        ({"select": {}}, [1, 2]),
        ({"select": {"culture": "any"}}, [1, 2, 3, 4]),
        ({"select": {"culture": "JPN"}}, [3, 4]),
        ({"select": {"culture": ["JPN", "GBR"], "age": [30, 49]}}, [1, 3]),
        ({"select": {"age": [50, 50]}}, [2]),
        ({"select": {"culture": "any", "gender": ["woman", "nonbinary"]}}, [2, 4]),
        ({"select": {"culture": "any", "occupation": "teacher"}}, [2, 4]),
        ({"select": {"culture": "any", "occupation": ["BUS", "nurse"]}}, [1, 3]),
        ({"select": {"culture": "any", "occupation": "teach"}}, []),
        ({"select": {"culture": "any", "occupation": "bus driver"}}, [1]),
        ({"select": {"culture": "any", "settlement": "village"}}, [2]),
        ({"select": {"culture": "any", "marital_status": "widowed"}}, [3]),
        ({"select": {"culture": "any", "education": "doctorate", "age": [0, 60]}}, []),
        ({"persona": "test-4"}, [4]),
        ({"persona": "test-9"}, []),
    ],
)
def test_who_is_eligible(fields: dict[str, Any], numbers: list[int]) -> None:
    found = eligible(role(**fields), "GBR", CROWD)
    assert [persona.id for persona in found] == [f"test-{number}" for number in numbers]


def test_a_named_persona_is_not_given_to_another_role() -> None:
    scene = scenario({"any": role(), "named": role(persona="test-1")})
    for seed in range(20):
        cast = cast_scenario(scene, "GBR", CROWD, Random(seed))
        assert [cast["any"].id, cast["named"].id] == ["test-2", "test-1"]


def test_the_cast_depends_on_the_seed_alone() -> None:
    scene = scenario({name: role(select={"culture": "any"}) for name in "abc"})
    crowd = dict(reversed(CROWD.items()))
    casts = set()
    for seed in range(200):
        cast = cast_scenario(scene, "GBR", CROWD, Random(seed))
        assert list(cast) == ["a", "b", "c"]
        assert cast == cast_scenario(scene, "GBR", crowd, Random(seed))
        casts.add(tuple(persona.id for persona in cast.values()))
    assert len(casts) == 4 * 3 * 2, "every possible cast is drawn sooner or later"


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        (
            {"a": role(), "b": role(select={"age": [80, 90]})},
            "'test' cannot be cast in GBR: for the role 'b', none of 2 personas meets: age 80",
        ),
        (
            {"a": role(), "b": role(persona="test-11")},
            "for the role 'b', none of 4 personas meets: the persona 'test-11', did you mean",
        ),
        (
            {"a": role(), "b": role(), "c": role(), "d": role(select={"culture": "JPN"})},
            "the roles a, b, c need 3 different personas, and only 2 will do for them "
            r"\(test-1, test-2\)",
        ),
        (
            {"a": role(persona="test-1"), "b": role(persona="test-1")},
            "the roles a, b need 2 different personas, and only 1 will do",
        ),
    ],
)
def test_an_impossible_cast_is_explained(roles: dict[str, Role], message: str) -> None:
    with pytest.raises(UserError, match=message):
        cast_scenario(scenario(roles), "GBR", CROWD, Random(1))
    with pytest.raises(UserError, match="no personas at all"):
        cast_scenario(scenario(roles), "GBR", {}, Random(1))


@given(
    st.lists(st.sets(st.integers(20, 25), min_size=1), min_size=2, max_size=6),
    st.lists(st.integers(20, 25), max_size=6),
    st.integers(0, 9),
)
def test_a_cast_is_found_exactly_when_there_is_one(
    wanted: list[set[int]], ages: list[int], seed: int
) -> None:
    """Compare with the maximum matching of networkx; a role wants people of an age range."""
    people = {p.id: p for p in (person(n, age=age) for n, age in enumerate(ages))}
    roles = {f"r{n}": role(select={"age": [min(w), max(w)]}) for n, w in enumerate(wanted)}
    scene = scenario(roles)
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(roles)
    for name, part in roles.items():
        graph.add_edges_from((name, persona.id) for persona in eligible(part, "GBR", people))
    matching = nx.bipartite.maximum_matching(graph, top_nodes=list(roles))
    if all(name in matching for name in roles):
        cast = cast_scenario(scene, "GBR", people, Random(seed))
        assert len({persona.id for persona in cast.values()}) == len(roles)
        assert all(fits(cast[name], part) for name, part in roles.items())
        assert obstacles(scene, "GBR", people) == []
    else:
        with pytest.raises(UserError, match="cannot be cast"):
            cast_scenario(scene, "GBR", people, Random(seed))
        assert obstacles(scene, "GBR", people)


def fits(persona: Persona, part: Role) -> bool:
    """Return whether the persona is of the age range of the role."""
    assert part.select is not None and part.select.age is not None
    youngest, oldest = part.select.age
    return youngest <= persona.age <= oldest


@pytest.mark.parametrize("name", library())
def test_shipped_scenarios_can_be_cast(name: str) -> None:
    scene = load_scenario(name)
    personas = populated(load_personas(), named_cultures(scene))
    cast = cast_scenario(scene, scene.culture or "MEX", personas, Random(7))
    assert list(cast) == list(scene.roles)
