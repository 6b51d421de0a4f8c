"""A seeded sampler of fictional people, for any size and any culture with a name book.

Invariant: a person depends on culture, seed and number alone, so the same seed gives the same
people and a longer sample begins with the shorter one. Age, sex, settlement, schooling, partners
and work follow the country's figures (figures.yaml), evenly: a sample of thousands is nearer to
them than one drawn by chance. All else is chosen for variety; in it a sample is not a demographic
picture of a country (`figures.without_figures` says what that is).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import sha256
from random import Random
from typing import Any

from folkways.errors import UserError
from scenarios.persona import Education, Gender, Persona, Settlement
from scenarios.sampling.background import tell_background
from scenarios.sampling.chances import DIMENSIONS, chances_of, spread
from scenarios.sampling.household import WORDS, draw_family
from scenarios.sampling.name_book import (
    Community,
    NameBook,
    known_cultures,
    load_character,
    load_name_book,
)
from scenarios.sampling.occupation import HIGHER

_NAMING_AGES = (18, 85)
"""Youngest and oldest in years between whom the fashion of given names changes."""
_POPULATION = 200
"""People who stand in for a culture without personas of its own."""


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


@cache
def _start(culture_id: str, seed: int) -> tuple[float, ...]:
    rng = Random(f"{culture_id} {seed}")
    return tuple(rng.random() for _ in range(DIMENSIONS))


def _sample(book: NameBook, seed: int, number: int) -> Persona:
    rng = Random(f"{book.culture} {seed} {number}")
    core = chances_of(book.culture).draw(spread(_start(book.culture, seed), number), rng)
    family = draw_family(
        rng, age=core.age, gender=core.gender, kind=core.occupation.kind, status=core.status
    )
    name, native_name = _draw_name(rng, book, core.community, core.gender, core.age)
    place, origin = _draw_places(rng, core.community, core.settlement, family.with_parents)
    traits, pastime = _draw_character(rng)
    background = tell_background(
        rng,
        age=core.age,
        gender=core.gender,
        education=core.education,
        occupation=core.occupation,
        family=family,
        place=place,
        origin=origin,
        pastime=pastime,
    )
    fields: dict[str, Any] = {
        "name": name,
        "native_name": native_name,
        "age": core.age,
        "gender": core.gender,
        "pronouns": f"{WORDS[core.gender].subject}/{WORDS[core.gender].object}",
        "occupation": core.title,
        "education": core.education,
        "settlement": core.settlement,
        "place": place,
        "marital_status": family.status,
        "household": family.household,
        "background": background,
        "traits": traits,
        "culture": book.culture,
        "languages": _draw_languages(rng, book, core.community, core.education),
    }
    fingerprint = sha256(f"{seed} {fields}".encode()).hexdigest()[:8]
    return Persona(id=f"{book.culture.lower()}-sampled-{number:06}-{fingerprint}", **fields)


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
    youngest, oldest = _NAMING_AGES
    start = round((oldest - min(age, oldest)) / (oldest - youngest) * len(names) / 2)
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
    learned = book.learned if education in HIGHER and rng.random() < 0.5 else ()
    return tuple(dict.fromkeys((*community.languages, *learned)))
