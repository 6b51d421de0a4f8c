"""The sampler beside the published figures of twenty countries."""

from __future__ import annotations

from functools import cache

import pytest

from scenarios.persona import Persona
from scenarios.sampling.chances import chances_of
from scenarios.sampling.comparison import compare
from scenarios.sampling.figures import Figures, figures_of, source_of, without_figures
from scenarios.sampling.name_book import known_cultures
from scenarios.sampling.occupation import load_occupations, state_of_work
from scenarios.sampling.population import sample_personas


@cache
def people(culture_id: str) -> tuple[Persona, ...]:
    return tuple(sample_personas(culture_id, 4000, seed=0))


def published(culture_id: str) -> dict[str, float]:
    return {row.name: round(100 * row.published, 1) for row in compare(culture_id, ())}


@pytest.mark.parametrize("culture_id", known_cultures())
def test_a_sample_of_4000_has_the_figures_of_its_country_within_2_points(culture_id):
    rows = compare(culture_id, people(culture_id))
    assert len(rows) >= 19
    far = [row for row in rows if row.drawn is None or abs(row.drawn - row.published) > 0.02]
    assert far == []


def test_the_share_over_65_is_that_of_the_country():
    assert {c: published(c)["65 and over"] for c in ("JPN", "DEU", "MEX", "KEN", "ETH")} == {
        "JPN": 34.0,
        "DEU": 26.2,
        "MEX": 10.9,
        "KEN": 5.2,
        "ETH": 5.8,
    }
    drawn = {
        culture_id: round(100 * sum(p.age >= 65 for p in people(culture_id)) / 4000)
        for culture_id in ("JPN", "DEU", "MEX", "KEN", "ETH")
    }
    assert drawn == {"JPN": 34, "DEU": 26, "MEX": 11, "KEN": 5, "ETH": 6}


def test_people_of_one_country_do_not_have_the_figures_of_another():
    rows = {row.name: row for row in compare("ETH", people("JPN"))}
    assert rows["65 and over"].drawn - rows["65 and over"].published > 0.25
    assert rows["rural"].published - rows["rural"].drawn > 0.6
    assert abs(rows["in agriculture, of those in work"].drawn - 0.03) < 0.02


def test_published_shares_are_worked_out_from_the_file():
    figures = Figures(
        women=(50, *(10,) * 16),
        men=(50, *(30,) * 16),
        urban=(60, 2020),
        capital=(10, 2020),
        upper_secondary=(70, 2015),
        bachelor=(20, 2018),
        employed=(50, 2020),
        unemployed=(20, 2020),
        agriculture=(40, 2020),
    )
    counts = figures.people()
    assert counts["woman", 18] == counts["woman", 19] == 10
    assert counts["man", 99] == 6
    assert sum(counts.values()) == pytest.approx(2 * 2 * 10 + 16 * 40)
    assert list(figures.settlement_shares().values()) == pytest.approx([0.1, 0.5, 0.4])
    assert figures.education_shares() == pytest.approx(
        {
            frozenset(("bachelor", "master", "doctorate")): 0.2,
            frozenset(("upper-secondary", "vocational")): 0.5,
            frozenset(("none", "primary", "lower-secondary")): 0.3,
        }
    )
    # Of 100 adults 50 work, 20 of them on farms; 12.5 of a labour force of 62.5 seek work.
    shares = {state: share for (state,), share in figures.work_shares().items()}
    assert shares == pytest.approx(
        {"agriculture": 0.2, "other work": 0.3, "seeking": 0.125, "no work": 0.375}
    )


def test_every_figure_of_every_country_has_a_year_and_a_source():
    for culture_id in known_cultures():
        figures = figures_of(culture_id)
        for name, value in figures:
            assert source_of(name).licence and source_of(name).title
            if value is not None and name not in ("women", "men"):
                assert 0 < value.percent <= 100 and 2000 < value.year < 2026
        assert figures.capital.percent < figures.urban.percent
        assert figures.bachelor.percent < figures.upper_secondary.percent


def test_what_has_no_figures_is_said():
    assert "marital status" in without_figures("UKR")
    assert "education below upper-secondary" in without_figures("JPN")
    assert "education below upper-secondary" not in without_figures("DEU")
    assert all("households" in without_figures(culture_id) for culture_id in known_cultures())
    assert {"age", "work"} <= set(without_figures("XZZ")) and compare("XZZ", ()) == []


@pytest.mark.parametrize("culture_id", known_cultures())
def test_communities_keep_their_share_wherever_they_have_places(culture_id):
    chances = chances_of(culture_id)
    whole = sum(chances.settlements.values())
    shares = dict.fromkeys(chances.book.communities, 0.0)
    for kind, weights in chances.communities.items():
        for name, weight in weights.items():
            shares[name] += chances.settlements[kind] / whole * weight / sum(weights.values())
    expected = {name: group.share for name, group in chances.book.communities.items()}
    total = sum(expected.values())
    assert shares == pytest.approx({n: share / total for n, share in expected.items()}, abs=0.01)


def test_titles_have_a_state_of_work():
    states = {
        occupation.title: state_of_work(occupation.title) for occupation in load_occupations()
    }
    assert states["herder"] == states["forestry worker"] == "agriculture"
    assert states["agronomist"] == states["baker"] == "other work"
    assert states["homemaker"] == states["student of agriculture"] == "no work"
    assert states["unemployed office clerk"] == "seeking"
    assert state_of_work("retired herder") == "no work"
