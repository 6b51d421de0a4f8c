"""What all parts of a configuration have in common, and how a file becomes one.

Invariant: unknown keys are refused, and a fault names the file, the field, the value and what is
allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from scenarios.errors import UserError
from scenarios.source import load_yaml


class Section(BaseModel):
    """A part of a configuration: unknown keys are refused and values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=Section)


def read_settings(path: Path, overrides: Sequence[str], about: str) -> dict[str, Any]:
    """Return the values of a YAML file with overrides `key.sub=value` applied, not yet validated.

    The name is that of the file unless it says otherwise. `about` says what the file should be, for
    the UserError that one without a mapping raises.
    """
    data = load_yaml(path).data
    if not isinstance(data, dict):
        raise UserError(f"{path}: {about}")
    data = {"name": path.stem} | data
    for override in overrides:
        apply_override(data, override)
    return data


def apply_override(data: dict[str, Any], override: str) -> None:
    """Set the value that an override `key.sub=value` names. Raises UserError for a faulty one."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f"override '{override}' is not of the form key.sub=value")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"override '{override}': the value is not YAML") from error
    *parents, last = key.split(".")
    for parent in parents:
        data = data.setdefault(parent, {})
        if not isinstance(data, dict):
            raise UserError(f"override '{override}': '{parent}' has no parts")
    data[last] = value


def validated(kind: type[S], data: Mapping[str, Any], where: str = "") -> S:
    """Return a section of values from `where`. Raises UserError listing every fault."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        before = f"{where}: " if where else ""
        faults = [
            f"{before}{'.'.join(map(str, fault['loc']))}: {fault['msg']} "
            f"(given: {fault['input']!r:.80})"
            for fault in error.errors()
        ]
        raise UserError("\n".join(faults)) from error
