"""The columns of the official files that are loaded beside the items, as `columns.yaml` lists them.

Invariant: a column is named as in wave 7, whichever file it comes from.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


def read_table(name: str) -> Any:
    """Return a YAML file of this folder, in which keys may be numbers."""
    return yaml.load(Path(__file__).with_name(name).read_text(encoding="utf-8"), _LOADER)


class Column(BaseModel):
    """One column with whole numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    about: str
    """What it says about a respondent, with its codes."""
    range: tuple[int, int]
    """Lowest and highest code that is an answer."""
    series: str | None = None
    """The column of the time-series file that holds the same in the same codes."""
    type: Literal["smallint", "integer", "bigint"] = "smallint"
    """Type in the database."""
    of: tuple[str, ...] = ()
    """Items of which an index can be computed where a file has no column of it."""
    rule: str = ""
    """SQL expression over these items that does it."""


class Columns(BaseModel):
    """All of them, by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    demographics: dict[str, Column]
    """Who the respondents are; stored as null where there is no answer."""
    indices: dict[str, Column]
    """Indices that the files bring along, kept as codes like the items."""


@cache
def load_columns() -> Columns:
    """Return the columns of `columns.yaml`."""
    return Columns.model_validate(read_table("columns.yaml"))
