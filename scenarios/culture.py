"""A culture: an ISO country id, published numbers, and norms with a source each.

Invariant: descriptor words are computed from the numbers (`scenarios.descriptors`), never stored.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from scenarios.errors import unknown_name
from scenarios.problem import Finding, SourceError, show_value
from scenarios.schema import load_model

CULTURE_FOLDER = Path(__file__).with_name("cultures")
"""One YAML file a culture, named by its id."""

HOFSTEDE_DIMENSIONS = ("pdi", "idv", "mas", "uai", "lto", "ivr")
"""Power distance, individualism, motivation to achieve, uncertainty avoidance, long-term
orientation, indulgence."""


class Hofstede(BaseModel):
    """Six dimension scores, 0 to 100; null where none is published."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pdi: float | None = Field(default=None, ge=0, le=100)
    idv: float | None = Field(default=None, ge=0, le=100)
    mas: float | None = Field(default=None, ge=0, le=100)
    uai: float | None = Field(default=None, ge=0, le=100)
    lto: float | None = Field(default=None, ge=0, le=100)
    ivr: float | None = Field(default=None, ge=0, le=100)
    estimate: bool = False
    """True where the source marks the row as an estimate rather than a measurement."""
    source: str = Field(min_length=1)
    """Where the numbers come from and of what date they are."""


class InglehartWelzel(BaseModel):
    """Coordinates on the cultural map, in its units (roughly -2.5 to 2.5)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    survival_self_expression: float
    traditional_secular: float
    source: str = Field(min_length=1)


class Norm(BaseModel):
    """One expectation people in the culture tend to hold of each other."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    text: str = Field(min_length=1, max_length=400)
    """The norm in our own words, as a tendency and not a law."""
    domain: Literal[
        "family", "work", "hospitality", "conflict", "money",
        "religion", "migration", "gender", "neighbours", "public",
    ]  # fmt: skip
    source: str = Field(min_length=1)
    """A publication that documents it: author, year, title."""


class Culture(BaseModel):
    """A culture, addressed by country because the survey data is.

    People within a country differ more than countries do.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[A-Z]{3}$")
    """ISO 3166 alpha-3."""
    name: str
    """Country name in English."""
    demonym: str
    """Adjective, `Mexican`."""
    article: Literal["a", "an"]
    """English article before the demonym."""
    languages: tuple[str, ...] = Field(min_length=1)
    """BCP 47 tags, the most spoken first."""
    hofstede: Hofstede
    inglehart_welzel: InglehartWelzel | None = None
    norms: tuple[Norm, ...] = ()


def read_culture(path: Path) -> Culture:
    """Return the culture written in a YAML file.

    Raises UserError with line and column for whatever is not YAML or not allowed by the schema, and
    for a file whose name is not its id.
    """
    culture, source = load_model(path, Culture)
    if culture.id == path.stem:
        return culture
    message = "the id is not the file's name; change one of them"
    finding = Finding(("id",), message, show_value(culture.id), show_value(path.stem))
    raise SourceError(source.name, [source.place(finding)])


@cache
def load_cultures() -> dict[str, Culture]:
    """Return the shipped cultures by id, in alphabetical order; read once, not to be changed."""
    return {path.stem: read_culture(path) for path in sorted(CULTURE_FOLDER.glob("*.yaml"))}


def load_culture(culture_id: str) -> Culture:
    """Return the shipped culture with this id; raises UserError with the known ids otherwise."""
    cultures = load_cultures()
    if culture_id not in cultures:
        raise unknown_name("culture", culture_id, cultures)
    return cultures[culture_id]
