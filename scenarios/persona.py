"""A persona: one fictional person, authored in a pool file or drawn by the sampler.

Invariant: every field that a prompt may show is a plain value; nothing is computed from a template.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Gender = Literal["woman", "man", "nonbinary"]
Education = Literal[
    "none",
    "primary",
    "lower-secondary",
    "upper-secondary",
    "vocational",
    "bachelor",
    "master",
    "doctorate",
]
Settlement = Literal["capital", "large-city", "small-city", "town", "village"]
MaritalStatus = Literal["single", "living-together", "married", "separated", "divorced", "widowed"]


class Persona(BaseModel):
    """One fictional person."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    """Lower-case words joined by hyphens, unique among all personas; shipped ones begin with the
    culture, `chn-`.
    """
    name: str = Field(min_length=1, max_length=80)
    """Full name as it is said in the culture, in Latin letters."""
    native_name: str | None = Field(default=None, max_length=80)
    """The name in the script of its language, where that is not Latin."""
    age: int = Field(ge=14, le=100)
    """Years."""
    gender: Gender
    pronouns: str = Field(min_length=1, max_length=30)
    """As used in English, such as `she/her`."""
    occupation: str = Field(min_length=1, max_length=80)
    """What the person does, `retired bus driver` and `student` included."""
    education: Education
    """Highest level completed."""
    settlement: Settlement
    """Kind of place the person lives in."""
    place: str = Field(min_length=1, max_length=80)
    """Region or town, real or plausible."""
    marital_status: MaritalStatus
    household: str = Field(min_length=1, max_length=160)
    """Who lives together: `with her husband and two school-age sons`."""
    background: str = Field(min_length=1, max_length=600)
    """Two or three sentences of life story that everyone who knows the person would know."""
    traits: tuple[str, ...] = Field(min_length=2, max_length=6)
    """Adjectives or short phrases."""
    culture: str = Field(pattern=r"^[A-Z]{3}$")
    """Culture id, ISO 3166 alpha-3."""
    languages: tuple[str, ...] = Field(min_length=1)
    """BCP 47 tags, the first one spoken at home."""


class PersonaPool(BaseModel):
    """A file of personas."""

    model_config = ConfigDict(extra="forbid")

    provenance: str = Field(min_length=1)
    """Who wrote the pool and how."""
    personas: tuple[Persona, ...] = Field(min_length=1)
