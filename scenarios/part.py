"""What every piece of a scenario file has in common.

Invariant: unknown keys are refused, and values do not change.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
)

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
Span = int | str
"""A number of acts, or of rounds: `2 rounds`."""
RoleId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]


def as_tuple(value: Any) -> Any:
    """Let a single value stand for a list of one."""
    return (value,) if isinstance(value, str) else value


def span(low: int, high: int, begins: bool = False) -> tuple[Any, Any]:
    """Return what makes a field a number of acts within bounds, or rounds in words: so many, or the
    one that begins."""
    rounds = r"round [1-9]\d{0,3}" if begins else r"[1-9]\d{0,3} rounds?"
    example = "round 3" if begins else "2 rounds"

    def check(value: Any) -> Any:
        if isinstance(value, str) and re.fullmatch(rounds, value):
            return value
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise ValueError(f"must be a number of acts from {low} to {high}, or rounds as '{example}'")

    whole = {"type": "integer", "minimum": low, "maximum": high}
    schema = {"anyOf": [whole, {"type": "string", "pattern": f"^{rounds}$"}]}
    return BeforeValidator(check), WithJsonSchema(schema)


def number_in(given: Span) -> int:
    """Return the number in a span, of acts or of rounds; no fewer acts make so many rounds."""
    return int("".join(filter(str.isdigit, given))) if isinstance(given, str) else given


def in_words(given: Span, unit: str = "acts") -> str:
    """Return a span with its unit."""
    return given if isinstance(given, str) else f"{given} {unit}"


class Part(BaseModel):
    """What every piece of a scenario file has in common: unknown keys are refused and values do not
    change.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, serialize_by_alias=True
    )
    later: ClassVar[frozenset[str]] = frozenset()
    """Fields that came after the first release: left out of the data while they are empty, so that
    what was stored before keeps its hash."""

    @model_serializer(mode="wrap")
    def _without_empty(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = dump(self)
        return {key: value for key, value in data.items() if value or key not in self.later}
