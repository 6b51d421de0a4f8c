"""What people do for a living: the catalogue the sampler draws from.

Invariant: an entry says who can hold it; age, schooling and place decide, and no code names a job.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from scenarios.parsing.yaml_file import load_yaml
from scenarios.persona import Education, Settlement

Kind = Literal["work", "study", "home", "seeking"]
WorkState = Literal["agriculture", "other work", "seeking", "no work"]
"""In work, by sector; seeking work; or neither: studying, keeping house, retired."""

EDUCATION_LEVELS: tuple[Education, ...] = get_args(Education)
"""From none to doctorate."""
HIGHER: tuple[Education, ...] = ("bachelor", "master", "doctorate")
"""Degrees of a university."""
RANK: dict[Education, int] = {level: rank for rank, level in enumerate(EDUCATION_LEVELS)}
EARLIEST_AGE: dict[Education, int] = {
    "none": 0,
    "primary": 11,
    "lower-secondary": 14,
    "upper-secondary": 17,
    "vocational": 18,
    "bachelor": 21,
    "master": 22,
    "doctorate": 26,
}
"""Youngest age in years at which somebody who was never held up has completed a level."""


class Occupation(BaseModel):
    """One entry of the catalogue."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(min_length=1, max_length=60)
    """Noun phrase that an article can precede, `motor mechanic`."""
    education: tuple[Education, Education]
    """Least and highest level that goes with it, both included."""
    ages: tuple[int, int]
    """Youngest and oldest in years, both included."""
    settlements: tuple[Settlement, ...] = get_args(Settlement)
    cultures: tuple[str, ...] | None = None
    """Culture ids where it is found; null for everywhere."""
    kind: Kind = "work"
    """work, study, home (keeps house) or seeking (out of work)."""
    sector: Literal["agriculture", "other"] = "other"
    """agriculture takes in forestry and fishing; only for `work`."""
    retires: bool = True
    """Whether somebody past the oldest age has retired from it; only for `work`."""

    def admits(
        self, age: int, education: Education, settlement: Settlement, culture: str
    ) -> str | None:
        """Return what such a person would be called, `retired ...` included, or None if nobody."""
        youngest, oldest = self.ages
        least, highest = self.education
        if not (
            age >= youngest
            and RANK[least] <= RANK[education] <= RANK[highest]
            and settlement in self.settlements
            and (self.cultures is None or culture in self.cultures)
        ):
            return None
        if age <= oldest:
            return self.title
        return f"retired {self.title}" if self.kind == "work" and self.retires else None

    @property
    def state(self) -> WorkState:
        """The state of work of somebody who has not retired from it."""
        if self.kind == "work":
            return "agriculture" if self.sector == "agriculture" else "other work"
        return "seeking" if self.kind == "seeking" else "no work"


@cache
def load_occupations() -> tuple[Occupation, ...]:
    """Return the shipped catalogue; read once."""
    entries = load_yaml(Path(__file__).parent / "names" / "occupations.yaml").data["occupations"]
    return tuple(Occupation(title=title, **entry) for title, entry in entries.items())


@cache
def _catalogue() -> dict[str, Occupation]:
    return {occupation.title: occupation for occupation in load_occupations()}


def state_of_work(title: str) -> WorkState:
    """Return the state of work of whoever has a title of the catalogue, `retired ...` included."""
    return "no work" if title.startswith("retired ") else _catalogue()[title].state


@cache
def _of_place(education: Education, settlement: Settlement, culture: str) -> tuple[Occupation, ...]:
    """Return the entries that somebody of some age may hold."""
    return tuple(
        occupation
        for occupation in load_occupations()
        if occupation.admits(occupation.ages[0], education, settlement, culture)
    )


def possible_occupations(
    age: int, education: Education, settlement: Settlement, culture: str
) -> list[tuple[str, Occupation]]:
    """Return every title such a person may hold, with the entry it comes from."""
    return [
        (title, occupation)
        for occupation in _of_place(education, settlement, culture)
        if (title := occupation.admits(age, education, settlement, culture))
    ]
