"""A seeded sampler of fictional people, for any size and any culture with a name book.

Invariant: a person depends on culture, seed and number alone, so the same seed gives the same
people and a longer sample begins with the shorter one. The weights are chosen for variety; a sample
is not a demographic picture of a country.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from folkways.errors import UserError, unknown_name
from scenarios.culture import load_culture, load_cultures
from scenarios.parsing.yaml_file import load_yaml
from scenarios.persona import Education, Gender, Persona, Settlement
from scenarios.sampling.background import tell_background
from scenarios.sampling.household import WORDS, draw_family
from scenarios.sampling.occupation import EARLIEST_AGE, EDUCATION_LEVELS, possible_occupations

_Option = TypeVar("_Option", bound=str)

_NAMES = Path(__file__).parent / "names"
_AGES = (18, 85)
"""Youngest and oldest sampled, in years; every age between them is equally likely."""
_GENDERS: dict[Gender, int] = {"woman": 99, "man": 99, "nonbinary": 2}
_SETTLEMENTS: dict[Settlement, int] = {
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
_HIGHER: tuple[Education, ...] = ("bachelor", "master", "doctorate")
"""Half as frequent in towns and villages."""


def _as_mapping(value: Any) -> Any:
    """Let a list of names stand for a mapping without native spellings."""
    return dict.fromkeys(value) if isinstance(value, list) else value


Names = Annotated[dict[str, str | None], BeforeValidator(_as_mapping)]
"""Latin spelling to the native one, or to null where the culture writes Latin letters."""


class Community(BaseModel):
    """People of one culture who share names and a first language."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float = Field(gt=0)
    """Weight against the other communities of the book; an editor's choice, not a census figure."""
    languages: tuple[str, ...] = Field(min_length=1)
    """BCP 47 tags that its people speak, the one spoken at home first."""
    surnames: Literal["one", "two", "patronymic"] = "one"
    """one family name; two (one from each parent); or the father's given name in its place."""
    by_generation: bool = False
    """Whether given names run from those usual among the oldest to those among the youngest."""
    women: Names = Field(min_length=1)
    """Given names of women."""
    men: Names = Field(min_length=1)
    """Given names of men."""
    family: Names = Field(default_factory=dict)
    """Family names, in the masculine form where there are two; empty for patronymics."""
    family_women: Names | None = None
    """The feminine forms, in the same order, where family names have them."""
    places: dict[Settlement, tuple[str, ...]] = Field(min_length=1)
    """Places it lives in by kind; each reads well after `in`."""


class NameBook(BaseModel):
    """Names, places and languages of one culture."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    culture: str = Field(pattern=r"^[A-Z]{3}$")
    """ISO 3166 alpha-3; same as the file's name."""
    order: Literal["given-first", "family-first"]
    """Which name is said first."""
    cohabitation: bool
    """Whether unmarried couples who live together are sampled."""
    least_schooling: dict[Education, int]
    """Age from which somebody with no more than this level is sampled. `none` and `primary` that
    are absent are never sampled, higher levels always; a coarse editor's choice."""
    learned: tuple[str, ...] = ()
    """Languages that half of those with a university degree have learned."""
    communities: dict[str, Community] = Field(min_length=1)
    """By a short English label."""


_POPULATION = 200
"""People who stand in for a culture without personas of its own."""


def known_cultures() -> list[str]:
    """Return the ids of the cultures that have a name book."""
    return sorted(path.stem for path in _NAMES.glob("[A-Z][A-Z][A-Z].yaml"))


@cache
def load_name_book(culture_id: str) -> NameBook:
    """Return the name book of a culture; raise UserError, listing the known ones, without one."""
    if culture_id not in known_cultures():
        if culture_id in load_cultures():
            raise UserError(
                f"no names are known for the culture '{culture_id}', so that nobody can be "
                "sampled; give people of it in a pool file (cast.pools in a run)"
            )
        load_culture(culture_id)
        raise unknown_name("culture", culture_id, known_cultures())
    return NameBook.model_validate(load_yaml(_NAMES / f"{culture_id}.yaml").data)


@cache
def load_character() -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """Return the lines of mutually exclusive traits, and the pastimes."""
    data = load_yaml(_NAMES / "character.yaml").data
    return tuple(tuple(line) for line in data["traits"]), tuple(data["pastimes"])


def sample_personas(culture_id: str, count: int, seed: int) -> list[Persona]:
    """Return `count` people of a culture, numbered from 1.

    Raises UserError for a culture without a name book and for a negative count.
    """
    if count < 0:
        raise UserError(f"cannot sample {count} personas; ask for 0 or more")
    book = load_name_book(culture_id)
    return [_sample(book, seed, number) for number in range(1, count + 1)]


def populated(
    personas: Mapping[str, Persona], cultures: Iterable[str], seed: int = 0
) -> dict[str, Persona]:
    """Return the personas with a sampled population for each culture that none of them is of.

    Cultures for which there is no sampler are left as they are.
    """
    peopled = {persona.culture for persona in personas.values()}
    missing = sorted((set(cultures) - peopled) & set(known_cultures()))
    drawn = (persona for culture in missing for persona in _crowd(culture, seed))
    return {**personas, **{persona.id: persona for persona in drawn}}


@cache
def _crowd(culture_id: str, seed: int) -> tuple[Persona, ...]:
    return tuple(sample_personas(culture_id, _POPULATION, seed))


def _sample(book: NameBook, seed: int, number: int) -> Persona:
    rng = Random(f"{book.culture} {seed} {number}")
    age = rng.randint(*_AGES)
    gender = _pick(rng, _GENDERS)
    community = _draw_community(rng, book)
    settlement = _pick(rng, {kind: _SETTLEMENTS[kind] for kind in community.places})
    education = _draw_education(rng, book, age, settlement)
    title, occupation = rng.choice(possible_occupations(age, education, settlement, book.culture))
    family = draw_family(rng, age, gender, occupation.kind, book.cohabitation)
    name, native_name = _draw_name(rng, book, community, gender, age)
    place, origin = _draw_places(rng, community, settlement, family.with_parents)
    traits, pastime = _draw_character(rng)
    fields: dict[str, Any] = {
        "name": name,
        "native_name": native_name,
        "age": age,
        "gender": gender,
        "pronouns": f"{WORDS[gender].subject}/{WORDS[gender].object}",
        "occupation": title,
        "education": education,
        "settlement": settlement,
        "place": place,
        "marital_status": family.status,
        "household": family.household,
        "background": tell_background(
            rng, age, gender, education, occupation, family, place, origin, pastime
        ),
        "traits": traits,
        "culture": book.culture,
        "languages": _draw_languages(rng, book, community, education),
    }
    fingerprint = sha256(f"{seed} {fields}".encode()).hexdigest()[:8]
    return Persona(id=f"{book.culture.lower()}-sampled-{number:06}-{fingerprint}", **fields)


def _pick(rng: Random, weights: Mapping[_Option, float]) -> _Option:
    return rng.choices(list(weights), list(weights.values()))[0]


def _draw_community(rng: Random, book: NameBook) -> Community:
    communities = list(book.communities.values())
    return rng.choices(communities, [community.share for community in communities])[0]


def _draw_education(rng: Random, book: NameBook, age: int, settlement: Settlement) -> Education:
    """Return a level that the age allows and that people of this age left school with."""
    weights = {}
    for level in EDUCATION_LEVELS:
        never = _AGES[1] + 1 if level in ("none", "primary") else _AGES[0]
        # Two years' grace: not everybody goes through school and university without a pause.
        grace = 2 if level in _HIGHER else 0
        if age >= max(EARLIEST_AGE[level] + grace, book.least_schooling.get(level, never)):
            rare = level in _HIGHER and settlement in ("town", "village")
            weights[level] = _EDUCATION[level] * (0.5 if rare else 1)
    return _pick(rng, weights)


def _draw_name(
    rng: Random, book: NameBook, community: Community, gender: Gender, age: int
) -> tuple[str, str | None]:
    """Return the full name in Latin letters and in the native script, where there is one."""
    feminine = gender == "woman" or (gender == "nonbinary" and rng.random() < 0.5)
    options = list((community.women if feminine else community.men).items())
    given = rng.choice(_of_age(options, age) if community.by_generation else options)
    if community.surnames == "patronymic":
        surnames = [rng.choice([name for name in community.men.items() if name != given])]
    else:
        family = (community.family_women if feminine else None) or community.family
        surnames = rng.sample(list(family.items()), 2 if community.surnames == "two" else 1)
    family_first = book.order == "family-first"
    parts = [*surnames, given] if family_first else [given, *surnames]
    native = [spelling for _, spelling in parts if spelling]
    separator = "" if family_first else " "
    return (
        " ".join(latin for latin, _ in parts),
        separator.join(native) if len(native) == len(parts) else None,
    )


def _of_age(names: list[tuple[str, str | None]], age: int) -> list[tuple[str, str | None]]:
    """Return the stretch of an old-to-young list, half its length, that lies around an age."""
    youngest, oldest = _AGES
    start = round((oldest - age) / (oldest - youngest) * len(names) / 2)
    return names[start : start + (len(names) + 1) // 2]


def _draw_places(
    rng: Random, community: Community, settlement: Settlement, stayed: bool
) -> tuple[str, str]:
    """Return where a person lives and grew up; the same for those who stayed and for some more."""
    place = rng.choice(community.places[settlement])
    if stayed or rng.random() < 0.4:
        return place, place
    return place, rng.choice([name for names in community.places.values() for name in names])


def _draw_character(rng: Random) -> tuple[tuple[str, ...], str]:
    """Return three or four traits that do not contradict each other, and a pastime."""
    lines, pastimes = load_character()
    traits = tuple(rng.choice(line) for line in rng.sample(lines, rng.choice((3, 4))))
    return traits, rng.choice(pastimes)


def _draw_languages(
    rng: Random, book: NameBook, community: Community, education: Education
) -> tuple[str, ...]:
    learned = book.learned if education in _HIGHER and rng.random() < 0.5 else ()
    return tuple(dict.fromkeys((*community.languages, *learned)))
