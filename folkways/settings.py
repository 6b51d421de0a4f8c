"""What all parts of a configuration have in common, and how a file becomes one.

Invariant: unknown keys are refused, and a fault names the file, the field, the value and what is
allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from agents.models.base import whole_name
from folkways.errors import UserError
from folkways.registry import look_beside
from folkways.secrets import redacted, refuse_secrets
from scenarios.culture import add_cultures
from scenarios.parsing.problem import Keys, Position, Problem
from scenarios.parsing.validation import parse_source
from scenarios.parsing.yaml_file import Source, load_yaml


class Settings(BaseModel):
    """A part of a configuration: unknown keys are refused and values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Configuration(Settings):
    """A configuration as a whole."""

    culture_files: tuple[str, ...] = Field(default=(), exclude=True)
    """Paths of cultures of your own, from the working folder or that of the configuration; what
    they say is stored with what is played."""


ModelName = Annotated[str, AfterValidator(whole_name)]
"""The name of a model in a configuration, a short one made whole."""
S = TypeVar("S", bound=Settings)


class PlacedSettings(dict[str, Any]):
    """The values of a file with overrides applied; it knows where each value stands."""

    source: Source
    overridden: frozenset[Keys] = frozenset()
    """Keys whose values stand on the command line."""

    def with_values(self, values: Mapping[str, Any]) -> PlacedSettings:
        """Return other values that stand in the same places."""
        other = PlacedSettings(values)
        other.source, other.overridden = self.source, self.overridden
        return other


def read_settings(path: Path, overrides: Sequence[str], about: str) -> PlacedSettings:
    """Return the values of a YAML file with overrides `key.sub=value` applied, not yet validated.

    The name is that of the file unless it says otherwise. `about` says what the file should be, for
    the UserError that one without a mapping raises.
    """
    source = load_yaml(path)
    look_beside(path, trusted=True)
    if not isinstance(source.data, dict):
        raise UserError(f"{path}: {about}")
    data = PlacedSettings({"name": path.stem} | source.data)
    for override in overrides:
        apply_override(data, override)
    _add_own_cultures(data, path)
    data.source = source
    data.overridden = frozenset(tuple(one.partition("=")[0].split(".")) for one in overrides)
    return data


def _add_own_cultures(data: dict[str, Any], path: Path) -> None:
    """Take the key `culture_files` out of a configuration and make its cultures known.

    Paths are sought from the working folder, then from that of the file. What the cultures say is
    recorded with what is played, so that the paths need not be.
    """
    files = data.pop("culture_files", None) or ()
    files = [files] if isinstance(files, str) else files
    if not all(isinstance(file, str) for file in files):
        raise UserError(f"{path}: culture_files is a list of paths, as in [XAA.yaml]")
    here = [Path(file).expanduser() for file in files]
    add_cultures(one if one.exists() else path.parent / one for one in here)


def apply_override(data: dict[str, Any], override: str) -> None:
    """Set the value that an override `key.sub=value` names; parts of it that were there are left as
    they are. Raises UserError for a faulty one.
    """
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f"override '{override}' is not of the form key.sub=value")
    try:
        value = load_yaml(text).data if text.strip() else None
    except UserError as error:
        raise UserError(f"override '{override:.80}': the value is not YAML") from error
    *parents, last = key.split(".")
    for parent in parents:
        part = data.get(parent, {})
        if not isinstance(part, dict):
            raise UserError(f"override '{override}': '{parent}' has no parts")
        data[parent] = part = dict(part)
        data = part
    data[last] = value


def validated(kind: type[S], data: Mapping[str, Any], where: str = "") -> S:
    """Return a section of values from `where`. Raises UserError listing every fault, each with its
    line and column where the values come from a file; and for a key or a password among them.
    """
    refuse_secrets(data, where)
    placed = data if isinstance(data, PlacedSettings) else None
    if placed is None and issubclass(kind, Configuration):
        data = dict(data)
        _add_own_cultures(data, Path(where or "the configuration"))
    source = placed.source if placed else Source(where, None, {(): Position(1, 1)}, {})
    value, problems, _ = parse_source(replace(source, data=dict(data)), kind)
    if value is not None:
        return value
    raise UserError(redacted("\n".join(_told(one, where, placed) for one in problems)))


def _told(problem: Problem, where: str, placed: PlacedSettings | None) -> str:
    overridden = placed.overridden if placed else ()
    if placed and not any(problem.path[: len(keys)] == keys for keys in overridden):
        return problem.render(where)
    return f"{where}: {problem.text()}" if where else problem.text()
