"""Choosing by name: a table of names to import paths, where a full import path is accepted as well.

Invariant: nothing is imported before it is asked for, and what a file of somebody else names is
imported only where the user has allowed it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module, invalidate_caches
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from folkways.errors import UserError, unknown_name


@dataclass(frozen=True, slots=True)
class Code:
    """Where modules are sought besides the installed ones, and which a scenario may name."""

    folders: tuple[str, ...] = ()
    """Sought in before the working folder."""
    trusted: tuple[str, ...] = ()
    """Folders whose modules may be named by any file: those of the user's own configurations."""
    allowed: bool = False
    """Whether any file may name any module."""


class CodeNotAllowed(UserError):
    """A file of somebody else names code, and the user has not allowed it."""


GROUPS = {
    "turn policy": "folkways.turn_policies",
    "stop rule": "folkways.stop_rules",
    "critic": "folkways.critics",
    "model": "folkways.models",
    "export format": "folkways.export_formats",
    "metric": "folkways.metrics",
}
"""Kinds of extensions, with the entry points at which installed packages offer them."""
_own: dict[tuple[str, str], Any] = {}
"""What this process has registered, by kind and name."""
_code = Code()
_found: dict[str, str] = {}
"""Modules that were found in a folder, by name, with their file."""


def code() -> Code:
    """Return where modules are sought now, for another process to go by."""
    return _code


def set_code(known: Code) -> None:
    """Seek modules as another process does, or, with `Code()`, nowhere in particular."""
    global _code
    _code = known


def allow_code() -> None:
    """Let any file name any module."""
    set_code(replace(_code, allowed=True))


def look_beside(file: Path, trusted: bool = False) -> None:
    """Seek modules in the folder of a file as well; `trusted` where the user wrote the file."""
    folder = str(file.absolute().parent)
    others = tuple(one for one in _code.folders if one != folder)
    if trusted:
        trusts = tuple(dict.fromkeys((folder, *_code.trusted)))
        set_code(replace(_code, folders=(folder, *others), trusted=trusts))
    elif folder not in _code.folders:
        set_code(replace(_code, folders=(*others, folder)))


def register(kind: str, name: str, found: Any, facts: Mapping[str, Any]) -> None:
    """Have a name stand for an object in this process; `facts` stay with the object."""
    if not name.isprintable() or not name or ":" in name or name != name.strip():
        raise UserError(f"'{name}' cannot be the name of a {kind}; use letters, digits and hyphens")
    if facts:
        found.folkways_facts = facts
    _own[kind, name] = found


def facts_of(found: Any) -> Mapping[str, Any]:
    """Return the facts an object was registered with, however it was found; empty without any."""
    facts: Mapping[str, Any] = getattr(found, "folkways_facts", {})
    return facts


def offered(kind: str) -> dict[str, Any]:
    """Return what this process and installed packages offer, by name: objects and entry points."""
    return _installed(kind) | {name: found for (of, name), found in _own.items() if of == kind}


@cache
def _installed(kind: str) -> dict[str, EntryPoint]:
    group = GROUPS.get(kind)
    return {one.name: one for one in entry_points(group=group)} if group else {}


def resolve(kind: str, name: str, table: Mapping[str, str]) -> Any:
    """Return the object that `name` stands for: a key of `table`, what was registered or an
    installed package offers, or a path `package.module:attribute`.

    Modules are sought beside the file that names them, in the working folder, and among the
    installed ones. Raises UserError for an unknown name (with the known ones) and for a path that
    does not import.
    """
    if name in table:
        module_name, _, attribute = table[name].partition(":")
        return getattr(import_module(module_name), attribute)
    further = offered(kind)
    found = further.get(name)
    if found is not None and not isinstance(found, EntryPoint):
        return found
    module_name, colon, attribute = name.partition(":")
    if found is None and not (module_name and colon and attribute):
        raise unknown_name(kind, name, [*table, *further])
    try:
        if found is not None:
            return found.load()
        return getattr(_imported(module_name), attribute)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise UserError(
            f"{kind} '{name}' cannot be imported: {' '.join(reason.split())}"
        ) from error


def resolve_foreign(kind: str, name: str, table: Mapping[str, str]) -> Any:
    """Return what `name` stands for in a file that somebody else may have written.

    Raises CodeNotAllowed for an import path that the user has not allowed, before anything of it is
    imported.
    """
    require_allowed(kind, name, table)
    return resolve(kind, name, table)


def require_allowed(kind: str, name: str, table: Mapping[str, str]) -> None:
    """Raise CodeNotAllowed for an import path that the user has not allowed."""
    module_name, colon, _ = name.partition(":")
    shipped = name in table or name in table.values() or module_name in table
    if shipped or not colon or _code.allowed:
        return
    top = module_name.partition(".")[0]
    folder, file = _sought(top)
    if not file or folder not in _code.trusted:
        raise CodeNotAllowed(
            f"{kind} '{name}' is code, and is run only with --allow-code, or when its module lies "
            "beside the run configuration; read it first"
        )


def require_signature(
    kind: str, name: str, found: Any, parameters: tuple[str, ...], awaited: bool
) -> None:
    """Raise UserError for what is not a function of so many values, an async one if `awaited`."""
    wanted = f"{'an async' if awaited else 'a'} function of {', '.join(parameters)}"
    try:
        inspect.signature(found).bind(*parameters)
    except (TypeError, ValueError):
        raise UserError(f"{kind} '{name}' is not {wanted}") from None
    called = found if inspect.isroutine(found) else type(found).__call__
    if awaited and not inspect.iscoroutinefunction(called):
        raise UserError(f"{kind} '{name}' is not {wanted}")


def _sought(top: str) -> tuple[str, str]:
    """Return the folder and the file of a module, empty where no folder has it."""
    for folder in (*_code.folders, str(Path.cwd())):
        spec = PathFinder.find_spec(top, [folder])
        if spec and spec.origin:
            return folder, spec.origin
    return "", ""


def _imported(name: str) -> Any:
    """Import a module that the user has allowed."""
    top = name.partition(".")[0]
    invalidate_caches()
    folder, file = _sought(top)
    loaded = getattr(sys.modules.get(top), "__file__", None)
    if not file or loaded == file:
        return import_module(name)
    if top in sys.modules and _found.get(top) != loaded:
        raise UserError(f"the name of '{file}' is taken by another module; rename the file")
    for module in [one for one in sys.modules if one.partition(".")[0] == top]:
        del sys.modules[module]
    sys.path.insert(0, folder)
    try:
        found = import_module(name)
    finally:
        sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)  # for what it imports later
    _found[top] = file
    return found
