"""What every piece of a scenario file has in common.

Invariant: unknown keys are refused, and values do not change.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
RoleId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]


def as_tuple(value: Any) -> Any:
    """Let a single value stand for a list of one."""
    return (value,) if isinstance(value, str) else value


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
