"""The sampler of personas: who comes out, for every culture, size and seed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import unicodedata
from itertools import chain
from statistics import mean
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from folkways.errors import UserError
from scenarios.checks.consistency import inconsistencies
from scenarios.persona import Persona, Settlement
from scenarios.sampling.name_book import (
    Community,
    known_cultures,
    load_character,
    load_name_book,
)
from scenarios.sampling.occupation import load_occupations
from scenarios.sampling.population import sample_personas

ALL = (
    *("AUS", "BOL", "BRA", "CAN", "CHN", "DEU", "ETH", "GBR", "IND", "JPN"),
    *("KEN", "MEX", "NGA", "NLD", "NZL", "RUS", "THA", "UKR", "USA", "ZWE"),
)
cultures = st.sampled_from(ALL)
seeds = st.integers(-(2**63), 2**63)


def communities(culture_id: str) -> list[Community]:
    return list(load_name_book(culture_id).communities.values())


def test_there_is_a_name_book_for_every_culture():
    assert tuple(known_cultures()) == ALL


@pytest.mark.parametrize("culture_id", ALL)
def test_a_name_book_has_enough_of_everything(culture_id):
    groups = communities(culture_id)
    assert load_name_book(culture_id).culture == culture_id
    assert len(set(chain.from_iterable(group.women for group in groups))) >= 24
    assert len(set(chain.from_iterable(group.men for group in groups))) >= 24
    if any(group.surnames != "patronymic" for group in groups):
        assert len(set(chain.from_iterable(group.family for group in groups))) >= 24
    places = set(chain.from_iterable(chain(*group.places.values()) for group in groups))
    assert len(places) >= 8
    assert {kind for group in groups for kind in group.places} == set(get_args(Settlement))


@pytest.mark.parametrize("culture_id", ALL)
def test_a_name_book_is_coherent(culture_id):
    for group in communities(culture_id):
        tables = [group.women, group.men, group.family, group.family_women or {}]
        spellings = [entry for table in tables for entry in table.items()]
        assert len({native is None for _, native in spellings}) == 1, (
            "native spellings: all or none"
        )
        for text in chain.from_iterable(spellings):
            assert text is None or (text.strip() == text and text.isprintable() and text)
        assert all(scripts(latin) == {"LATIN"} for latin, _ in spellings)
        assert all(not native or "LATIN" not in scripts(native) for _, native in spellings)
        assert (group.surnames == "patronymic") == (not group.family)
        assert group.family_women is None or len(group.family_women) == len(group.family)
        assert all(re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]+)*", tag) for tag in group.languages)


def scripts(text: str) -> set[str]:
    return {unicodedata.name(letter).split()[0] for letter in text if letter.isalpha()}


@given(cultures, seeds, st.integers(1, 12))
@settings(max_examples=150)
def test_sampled_people_are_consistent(culture_id, seed, count):
    for persona in sample_personas(culture_id, count, seed):
        assert inconsistencies(persona) == []


@pytest.mark.parametrize("culture_id", ALL)
def test_large_samples_are_consistent_and_unique(culture_id):
    people = sample_personas(culture_id, 500, seed=1)
    assert [persona.id for persona in people if inconsistencies(persona)] == []
    assert len({persona.id for persona in people}) == 500


@given(cultures, seeds, st.integers(0, 15), st.integers(0, 15))
@settings(max_examples=60)
def test_a_longer_sample_begins_with_the_shorter_one(culture_id, seed, first, second):
    shorter, longer = sorted((first, second))
    long = sample_personas(culture_id, longer, seed)
    assert len(long) == longer
    assert long[:shorter] == sample_personas(culture_id, shorter, seed)


def test_different_seeds_give_different_people_with_different_ids():
    first, second = (sample_personas("MEX", 200, seed) for seed in (1, 2))
    assert not {persona.id for persona in first} & {persona.id for persona in second}
    assert [persona.name for persona in first] != [persona.name for persona in second]


def test_ids_carry_culture_number_and_a_short_hash():
    for number, persona in enumerate(sample_personas("MEX", 17, seed=3), start=1):
        assert re.fullmatch(rf"mex-sampled-{number:06}-[0-9a-f]{{8}}", persona.id)


def test_the_same_seed_gives_the_same_people_in_every_process():
    program = "from scenarios.sampling.population import *; print(sample_personas('IND', 5, 9))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_an_unknown_culture_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match=r"unknown culture 'FRA'; known: AUS, BOL, .*ZWE"):
        sample_personas("FRA", 1, seed=0)
    with pytest.raises(UserError, match="unknown culture 'occupations'"):
        sample_personas("occupations", 1, seed=0)
    with pytest.raises(UserError, match="-1"):
        sample_personas("MEX", -1, seed=0)


@given(cultures, seeds)
@settings(max_examples=60)
def test_occupations_are_held_by_those_the_catalogue_admits(culture_id, seed):
    catalogue = {occupation.title: occupation for occupation in load_occupations()}
    for person in sample_personas(culture_id, 5, seed):
        occupation = catalogue[person.occupation.removeprefix("retired ")]
        facts = (person.age, person.education, person.settlement, person.culture)
        assert occupation.admits(*facts) == person.occupation
        if occupation.kind == "study":
            assert person.marital_status in ("single", "living-together")


@pytest.mark.parametrize("culture_id", ALL)
def test_a_sample_is_varied(culture_id):
    people = sample_personas(culture_id, 500, seed=5)
    assert min(sum(p.gender == gender for p in people) for gender in ("woman", "man")) > 200
    assert {person.settlement for person in people} == set(get_args(Settlement))
    assert min(person.age for person in people) < 21
    assert max(person.age for person in people) > 80
    assert len({person.occupation for person in people}) > 50
    assert len({person.marital_status for person in people}) >= 5
    assert len({person.background for person in people}) > 480
    native = {person.native_name is None for person in people}
    assert native == {"CHN": {False}, "USA": {True}, "ETH": {True, False}}.get(culture_id, native)


def test_nonbinary_people_are_sampled_with_names_and_pronouns():
    people = [p for p in sample_personas("DEU", 1000, seed=1) if p.gender == "nonbinary"]
    assert people and {person.pronouns for person in people} == {"they/them"}
    assert not any(re.search(r"\b(he|she|his|her)\b", p.background.lower()) for p in people)


def test_unmarried_couples_are_sampled_only_where_the_name_book_says_so():
    for culture_id in ALL:
        statuses = {person.marital_status for person in sample_personas(culture_id, 400, seed=2)}
        assert ("living-together" in statuses) == load_name_book(culture_id).cohabitation


def test_school_leavers_without_schooling_are_as_old_as_the_name_book_says():
    assert youngest_without_school("ETH") >= 30
    assert youngest_without_school("CHN") >= 60
    assert youngest_without_school("DEU") is None


def youngest_without_school(culture_id: str) -> int | None:
    people = sample_personas(culture_id, 1000, seed=4)
    return min((person.age for person in people if person.education == "none"), default=None)


def people_of(culture_id: str, gender: str) -> list[Persona]:
    return [p for p in sample_personas(culture_id, 300, seed=8) if p.gender == gender]


@pytest.mark.parametrize("culture_id", ["RUS", "UKR"])
def test_women_carry_the_feminine_form_of_their_family_name(culture_id):
    groups = communities(culture_id)
    feminine = {name for group in groups for name in group.family_women or ()}
    masculine = {name for group in groups for name in group.family}
    assert {person.name.split()[-1] for person in people_of(culture_id, "woman")} <= feminine
    assert {person.name.split()[-1] for person in people_of(culture_id, "man")} <= masculine
    if culture_id == "RUS":
        assert all(name.endswith("a") for name in feminine)
        assert not feminine & masculine


def test_the_family_name_comes_first_in_china_and_japan():
    for culture_id in ("CHN", "JPN"):
        groups = communities(culture_id)
        given_names = {name for group in groups for name in (*group.women, *group.men)}
        families = {name for group in groups for name in group.family}
        for person in sample_personas(culture_id, 100, seed=6):
            family, given_name = person.name.split(" ")
            assert family in families and given_name in given_names
            assert person.native_name and " " not in person.native_name


def test_bolivians_and_mexicans_have_two_different_surnames():
    for culture_id in ("BOL", "MEX"):
        families = {name for group in communities(culture_id) for name in group.family}
        for person in sample_personas(culture_id, 100, seed=6):
            *given_name, father, mother = person.name.split(" ")
            assert given_name and father != mother and {father, mother} <= families


def test_ethiopians_carry_their_fathers_given_name():
    men = {name for group in communities("ETH") for name in group.men}
    for person in sample_personas("ETH", 200, seed=6):
        own, father = person.name.split(" ")
        assert father in men and own != father


def test_given_names_follow_the_fashion_of_the_generation():
    ages: dict[str, list[int]] = {"Gisela": [], "Lea": []}
    for person in sample_personas("DEU", 3000, seed=1):
        if (given_name := person.name.split()[0]) in ages:
            ages[given_name].append(person.age)
    assert mean(ages["Gisela"]) > 60 > 40 > mean(ages["Lea"])


@given(cultures, seeds)
@settings(max_examples=60)
def test_traits_do_not_contradict_each_other(culture_id, seed):
    lines, _ = load_character()
    line_of = {trait: number for number, line in enumerate(lines) for trait in line}
    assert len(line_of) == sum(map(len, lines)), "a trait stands on one line only"
    for person in sample_personas(culture_id, 3, seed):
        assert len({line_of[trait] for trait in person.traits}) == len(person.traits) >= 3


@given(cultures, seeds)
@settings(max_examples=60)
def test_sampled_text_is_plain_and_survives_json(culture_id, seed):
    for person in sample_personas(culture_id, 3, seed):
        text = person.model_dump_json()
        assert Persona.model_validate_json(text) == person
        assert text.isprintable() and "{{" not in text and "{%" not in text
        assert not re.search(
            r"\s\s|\s[.,]|\.\.|\bNone\b|\b1 years|\b[Oo]ne \w+ren\b", person.background
        )
        assert not re.search(r"(?<!')\ba [aeio]|\ban [^aeiouI]", person.background)
