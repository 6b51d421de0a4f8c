"""Countries and territories: three-letter codes, and every form in which survey files name them.

Invariant: a name leads to one country or to none; nothing is guessed from a part of a name. Codes
and numbers are those of ISO 3166-1; NIR and 909 are the survey's own, for Northern Ireland.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Country:
    """One country or territory."""

    code: str
    """ISO 3166 alpha-3."""
    number: int
    name: str
    place: str
    """The name after a preposition, where it differs, or empty."""
    continent: str
    """Africa, Asia, Europe, North America, Oceania, South America, or empty."""
    forms: tuple[str, ...]
    """Everything else it is called: alpha-2, and further names."""


@cache
def load_countries() -> dict[str, Country]:
    """Return all of `country_codes.csv` by alpha-3."""
    path = Path(__file__).with_name("country_codes.csv")
    with path.open(encoding="utf-8", newline="") as file:
        return {
            row["alpha3"]: Country(
                code=row["alpha3"],
                number=int(row["number"]),
                name=row["name"],
                place=row["place"],
                continent=row["continent"],
                forms=tuple(filter(None, (row["alpha2"], *row["also"].split("|")))),
            )
            for row in csv.DictReader(file)
        }


def country_code(text: str) -> str | None:
    """Return the alpha-3 code of a code, number or name; None for whatever names no country.

    >>> country_code("S. Korea"), country_code("276"), country_code("de"), country_code("Utopia")
    ('KOR', 'DEU', 'DEU', None)
    """
    return country_forms().get(_plain(text))


@cache
def country_forms() -> dict[str, str]:
    """Return the alpha-3 code by every form in lower case: codes, numbers and names."""
    return {
        _plain(form): country.code
        for country in load_countries().values()
        for form in (*country.forms, country.name, str(country.number), country.code)
    }


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
