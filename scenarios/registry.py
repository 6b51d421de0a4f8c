"""Choosing by name: a table of names to import paths, where a full import path is accepted as well.

Invariant: nothing is imported before it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from scenarios.errors import UserError, unknown_name


def resolve(kind: str, name: str, table: Mapping[str, str]) -> Any:
    """Return the object that `name` stands for: a key of `table`, or a path
    `package.module:attribute`.

    Raises UserError for an unknown name (with the known ones) and for a path that does not import.
    """
    path = table.get(name, name)
    module_name, colon, attribute = path.partition(":")
    if not (module_name and colon and attribute):
        raise unknown_name(kind, name, table)
    try:
        return getattr(import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        if path != name:
            raise
        raise UserError(f"{kind} '{name}' cannot be imported: {error}") from error
