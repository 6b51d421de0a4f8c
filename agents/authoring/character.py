"""A person invented for a role of a scene: what a model is asked for, and the persona it makes.

Invariant: id, pronouns, culture and languages are the program's, so they agree with the rest.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from typing import Any, get_args

from agents.answer import TEXT, list_of, object_of, one_of, whole
from folkways.text import sound
from scenarios.culture import Culture
from scenarios.persona import Education, Gender, MaritalStatus, Settlement
from scenarios.pool import load_personas
from scenarios.sampling.household import WORDS
from scenarios.sampling.name_book import known_cultures, load_name_book
from scenarios.scenario import Selector

CLOSED: dict[str, tuple[str, ...]] = {
    "gender": get_args(Gender),
    "education": get_args(Education),
    "settlement": get_args(Settlement),
    "marital_status": get_args(MaritalStatus),
}
"""What is said of a person in one of a few words."""
_LETTERS = str.maketrans(
    {"ß": "ss", "ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "\u0131": "i"}
)


def slug(text: str, longest: int = 60) -> str:
    """Return lower-case ASCII words joined by hyphens; empty where no letter has an ASCII form."""
    plain = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    found = re.findall(r"[a-z0-9]+", re.sub(r"['\u2019\u02bc\u0300-\u036f]", "", plain))
    return "-".join(found)[:longest].strip("-")


def tidy(text: str) -> str:
    """Return a text in one line, without what cannot be stored."""
    return " ".join(sound(text).split())


def free_name(name: str, taken: Collection[str]) -> str:
    """Return the name, or with a number behind it where it is taken."""
    found, number = name, 2
    while found in taken:
        found, number = f"{name[:56]}-{number}", number + 1
    return found


def asked_of(select: Selector) -> str:
    """Return what a role asks of the person who plays it, for a prompt."""
    parts = [f"aged {select.age[0]} to {select.age[1]}"] if select.age else []
    for name in ("gender", "occupation", "education", "settlement", "marital_status"):
        if wanted := getattr(select, name):
            parts.append(f"{name.replace('_', ' ')} {' or '.join(wanted)}")
    return ", ".join(parts) or "anybody who fits"


def person_schema(select: Selector, culture: Culture) -> dict[str, Any]:
    """Return the schema of a person who fits a selector; closed sets are given as such."""
    youngest, oldest = select.age or (16, 95)
    native = {"native_name": TEXT} if _own_script(culture) else {}
    return object_of(
        {
            "family_name": TEXT,
            "given_name": TEXT,
            **native,
            "gender": one_of(select.gender or CLOSED["gender"]),
            "age": whole(max(14, youngest), min(100, oldest)),
            "occupation": TEXT,
            "education": one_of(select.education or CLOSED["education"]),
            "settlement": one_of(select.settlement or CLOSED["settlement"]),
            "place": TEXT,
            "marital_status": one_of(select.marital_status or CLOSED["marital_status"]),
            "household": TEXT,
            "background": TEXT,
            "traits": list_of(TEXT, 2, 6),
        }
    )


def _own_script(culture: Culture) -> bool:
    """Return whether names in the culture are written in another script than Latin."""
    if culture.id not in known_cultures():
        return False
    community = next(iter(load_name_book(culture.id).communities.values()))
    return all(community.men.values())


def persona_data(person: Mapping[str, Any], culture: Culture) -> dict[str, Any]:
    """Return a persona as the data of a file; `person` has the form of `person_schema`."""
    given, family = tidy(person["given_name"]), tidy(person["family_name"])
    book = load_name_book(culture.id) if culture.id in known_cultures() else None
    first = book is not None and book.order == "family-first"
    words = WORDS[person["gender"]]
    native = {"native_name": tidy(person["native_name"])} if "native_name" in person else {}
    return {
        "id": f"{culture.id.lower()}-{slug(f'{family} {given}', 50)}".strip("-"),
        "name": f"{family} {given}" if first else f"{given} {family}",
        **native,
        "age": person["age"],
        "gender": person["gender"],
        "pronouns": f"{words.subject}/{words.object}",
        "occupation": tidy(person["occupation"]),
        "education": person["education"],
        "settlement": person["settlement"],
        "place": tidy(person["place"]),
        "marital_status": person["marital_status"],
        "household": tidy(person["household"]),
        "background": tidy(person["background"]),
        "traits": [tidy(trait) for trait in person["traits"]],
        "culture": culture.id,
        "languages": [culture.languages[0]],
    }


def tell_apart(people: Mapping[str, dict[str, Any]]) -> None:
    """Give everybody an id of their own."""
    taken = set(load_personas())
    for person in people.values():
        person["id"] = free_name(person["id"], taken)
        taken.add(person["id"])
