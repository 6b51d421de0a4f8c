"""The authored persona pools, their loader, and the rules of consistency."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from folkways.errors import UserError
from scenarios.checks.consistency import inconsistencies
from scenarios.persona import Education, Persona
from scenarios.pool import PERSONA_FOLDER, load_personas, read_pool

FIVE = ("CHN", "DEU", "GBR", "JPN", "MEX")
BORN_ABROAD = {
    "chn-akhmetov-daniyar": "Kazakhstan",
    "deu-haddad-karim": "Homs",
    "gbr-mensah-abena": "Ghana",
    "jpn-nguyen-minh-duc": "Đà Nẵng",
    "mex-rondon-andres": "Venezuela",
}
ANYONE: dict[str, Any] = {
    "id": "mex-anyone",
    "name": "Ana López Ruiz",
    "age": 40,
    "gender": "woman",
    "pronouns": "she/her",
    "occupation": "tailor",
    "education": "primary",
    "settlement": "town",
    "place": "Comitán",
    "marital_status": "single",
    "household": "alone",
    "background": "Grew up in Comitán and has been a tailor for 20 years.",
    "traits": ["patient", "blunt"],
    "culture": "MEX",
    "languages": ["es"],
}


def anyone(**changes: Any) -> Persona:
    return Persona.model_validate({**ANYONE, **changes})


def pool(culture_id: str) -> list[Persona]:
    return [person for person in load_personas().values() if person.culture == culture_id]


def test_ids_are_unique_across_pools_and_name_the_culture():
    files = sorted(PERSONA_FOLDER.glob("*.yaml"))
    assert [path.stem.upper() for path in files] == list(FIVE)
    authored = [(path.stem, person) for path in files for person in read_pool(path)]
    assert len(load_personas()) == len(authored)
    for stem, person in authored:
        assert load_personas()[person.id] == person
        assert person.id.startswith(f"{stem}-") and person.culture == stem.upper()
    assert len({person.name for _, person in authored}) == len(authored)


@pytest.mark.parametrize("persona_id", load_personas())
def test_authored_personas_are_consistent(persona_id):
    assert inconsistencies(load_personas()[persona_id]) == []


@pytest.mark.parametrize("culture_id", FIVE)
@pytest.mark.parametrize(
    ("youngest", "oldest", "least"),
    [(18, 39, 2), (36, 60, 2), (35, 60, 2), (55, 80, 2), (61, 80, 1)],
)
def test_every_age_band_has_women_and_men(culture_id, youngest, oldest, least):
    genders = Counter(p.gender for p in pool(culture_id) if youngest <= p.age <= oldest)
    assert genders["woman"] >= least and genders["man"] >= least


@pytest.mark.parametrize("culture_id", FIVE)
def test_a_pool_is_varied(culture_id):
    people = pool(culture_id)
    assert len(people) >= 9
    assert {"capital", "village"} <= {person.settlement for person in people}
    assert {"married", "single", "widowed"} <= {person.marital_status for person in people}
    assert len({person.education for person in people}) >= 4
    assert len({person.occupation for person in people}) == len(people)
    assert sum(person.id in BORN_ABROAD for person in people) == 1


def test_the_pools_together_reach_from_no_schooling_to_a_doctorate_and_from_19_to_80():
    people = load_personas().values()
    assert {person.education for person in people} == set(get_args(Education))
    assert min(person.age for person in people) == 19
    assert max(person.age for person in people) == 80
    assert "nonbinary" in {person.gender for person in people}


@pytest.mark.parametrize(("persona_id", "origin"), BORN_ABROAD.items())
def test_one_person_of_each_pool_came_from_abroad(persona_id, origin):
    assert origin in load_personas()[persona_id].background


WITH_HUSBAND = {"marital_status": "married", "household": "with her husband"}
CONTRADICTIONS: dict[str, dict[str, Any]] = {
    "before 50": {"age": 19, "occupation": "retired cook"},
    "a grandchild at the age": {"age": 19, "background": "Minds her two grandchildren."},
    "a grandchild of 9": {"age": 36, "household": "with a grandson aged 9"},
    "grown children": {"age": 34, "background": "Has three grown children."},
    "adult children": {"age": 20, "background": "Has three adult children."},
    "widowed at 20": {"age": 20, "marital_status": "widowed"},
    "married at 15": {"age": 15, "education": "none", **WITH_HUSBAND},
    "'hospital doctor' needs bachelor": {"occupation": "hospital doctor"},
    "'retired surgeon' needs bachelor": {"age": 80, "occupation": "retired surgeon"},
    "'lecturer' needs master": {"occupation": "lecturer", "education": "bachelor"},
    "'doctor' needs an age of 23": {"occupation": "doctor", "education": "bachelor", "age": 21},
    "'student of law' needs upper-secondary": {"age": 20, "occupation": "student of law"},
    "after 40": {"age": 55, "occupation": "student", "education": "bachelor"},
    "after 35": {"age": 50, "occupation": "apprentice baker"},
    "completed doctorate": {"age": 20, "education": "doctorate"},
    "a child of 30": {"age": 40, "household": "with a son aged 30"},
    "a child of 5": {"age": 70, "household": "with two children, aged 5 and 30"},
    "married, but": {"marital_status": "married", "household": "alone"},
    "single, but": {"household": "with her husband"},
    "living-together, but": {"marital_status": "living-together", "household": "alone"},
    "late husband": {"background": "Runs the shop of her late husband."},
    "an only child": {"household": "with a sister", "background": "Grew up an only child."},
    "yet lives with parents": {
        "household": "with her parents",
        "background": "Grew up in Ticul and moved to Comitán at 20.",
    },
    "'for 35 years'": {"background": "Has been a tailor for 35 years."},
    "'at 45'": {"background": "Moved to Comitán at 45."},
    "with the pronouns he/him": {"pronouns": "he/him"},
    "called 'He'": {"background": "Grew up in Comitán. He sews."},
    "household begins 'with his'": {"household": "with his parents"},
    "Comitán is not a village": {"settlement": "village"},
    "Toluca is not the capital": {"settlement": "capital", "place": "Toluca"},
    "speaks none of": {"languages": ["fr"]},
}


@pytest.mark.parametrize(("complaint", "changes"), CONTRADICTIONS.items())
def test_a_contradiction_is_named(complaint, changes):
    found = inconsistencies(anyone(**changes))
    assert any(complaint in sentence for sentence in found), found


UNUSUAL_BUT_POSSIBLE: list[dict[str, Any]] = [
    {},
    {"occupation": "doctor's receptionist"},
    {"occupation": "teaching assistant"},
    {"occupation": "nursery gardener", "age": 16, "background": "Grew up in Comitán."},
    {"occupation": "apprentice electrician", "age": 17, "background": "Grew up in Comitán."},
    {"age": 40, "background": "The granddaughter of miners, she sews for a living."},
    {"age": 37, "household": "with a daughter aged 20 and a granddaughter aged 1"},
    {"household": "with a brother and his wife"},
    {"marital_status": "divorced", "background": "Her former husband lives in Puebla."},
    {"gender": "nonbinary", "pronouns": "she/they", "household": "with their parents"},
    {"gender": "man", "pronouns": "he/him", "marital_status": "married",
     "household": "with his husband"},
    {"culture": "XXX", "place": "Nowhere", "settlement": "capital", "languages": ["eo"]},
    {"languages": ["nl", "es-MX"]},
]  # fmt: skip


@pytest.mark.parametrize("changes", UNUSUAL_BUT_POSSIBLE)
def test_an_unusual_life_is_no_contradiction(changes):
    assert inconsistencies(anyone(**changes)) == []


UNRULY = (
    'Siobhán "Biddy" O\'Dowd',
    "Ana 🧵🪡",
    "ليلى حسن",
    "x{{ 7 * 7 }}{% raw %}",
    "a\\b (c) [d] *e* +f ?g $h ^i |j",
    "\u202eRTL override",
)
texts = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Cn", "Zl", "Zp")), min_size=1, max_size=80
)


@given(st.one_of(st.sampled_from(UNRULY), texts))
@settings(max_examples=200)
def test_no_text_in_a_free_field_upsets_the_rules(text):
    assert inconsistencies(anyone(name=text, native_name=text)) == []
    for field in ("occupation", "household", "background", "place"):
        assert isinstance(inconsistencies(anyone(**{field: text})), list)


@given(name=st.one_of(st.sampled_from(UNRULY), texts))
@settings(max_examples=100)
def test_any_name_comes_out_of_a_pool_file_as_it_went_in(tmp_path_factory, name):
    path = write_pool(tmp_path_factory.mktemp("pool"), [{**ANYONE, "name": name}])
    assert [person.name for person in read_pool(path)] == [name]


def write_pool(folder: Path, personas: list[dict[str, Any]]) -> Path:
    path = folder / "pool.yaml"
    content = {"provenance": "a test", "personas": personas}
    path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


def test_an_id_given_twice_is_refused_with_its_place(tmp_path):
    path = write_pool(tmp_path, [ANYONE, ANYONE])
    with pytest.raises(UserError, match=r"pool\.yaml:\d+:\d+: .*this id is taken.*mex-anyone"):
        read_pool(path)


def test_every_fault_in_a_pool_file_is_named_with_its_place(tmp_path):
    path = write_pool(tmp_path, [{**ANYONE, "age": 7, "hobby": "chess"}])
    with pytest.raises(UserError) as caught:
        read_pool(path)
    assert "personas[1].age" in str(caught.value) and "hobby" in str(caught.value)


def test_a_pool_that_is_not_there_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="nothing-here"):
        read_pool(tmp_path / "nothing-here.yaml")
