"""Sotopia's profiles, as its users keep them: environments, people, and pairs of people in one.

Invariant: a record is whole or left out with the reason; fields that are not needed are let be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents.authoring.foreign import Found

LONGEST = 20_000
"""Characters of a text."""


class Record(BaseModel):
    """A record, of which other fields are left alone."""

    model_config = ConfigDict(extra="ignore", str_max_length=LONGEST)
    pk: str = ""


class Environment(Record):
    """A scene."""

    scenario: str
    agent_goals: list[str] = Field(min_length=2, max_length=2)
    codename: str | None = None
    source: str | None = None
    relationship: int | None = Field(default=None, ge=0, le=5)
    age_constraint: Any = None
    """Two ranges, mostly in one text."""
    occupation_constraint: Any = None
    """Two lists of words, the same."""


class Agent(Record):
    """A person."""

    first_name: str
    last_name: str = ""
    age: int = Field(ge=14, le=100)
    gender: str
    occupation: str
    public_info: str = ""
    big_five: str = ""
    personality_and_values: str = ""
    decision_making_style: str = ""
    secret: str = ""


class Pair(Record):
    """Two people in a scene."""

    env_id: str
    agent_ids: list[str] = Field(min_length=2, max_length=2)


_KINDS: dict[str, type[Record]] = {
    "agent_goals": Environment,
    "env_id": Pair,
    "first_name": Agent,
}
"""Kinds of records by a field that only they have."""


def read_profiles(
    found: Sequence[Found], left_out: list[tuple[str, str]]
) -> Iterator[tuple[str, Record]]:
    """Yield the records that are Sotopia's with their places; add the others to `left_out`, with
    the reason."""
    keys = set[tuple[type[Record], str]]()
    for number, (place, data) in enumerate(found, 1):
        kind = next((kind for key, kind in _KINDS.items() if key in data), None)
        if kind is None:
            known = ", ".join(_KINDS)
            left_out.append((place, f"no record of Sotopia's: none of {known} is in it"))
            continue
        try:
            record = kind.model_validate({k: v for k, v in data.items() if v is not None})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            left_out.append((place, f"{where}: {first['msg']}"))
            continue
        record = record.model_copy(update={"pk": record.pk or f"record {number}"})
        if (kind, record.pk) in keys:
            left_out.append((place, f"pk: '{record.pk[:60]}' is in another record, too"))
            continue
        keys.add((kind, record.pk))
        yield place, record
