"""What all parts of a configuration have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of a configuration: unknown keys are refused and values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
