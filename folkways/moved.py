"""Modules that earlier versions documented and that have another place now: importing one by its
old name gives the module itself, and a DeprecationWarning that tells the new name.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType

_MOVED = {
    "agents.critic": "agents.critics.critic",
    "agents.engines": "agents.models",
    "agents.model": "agents.models.base",
    "eval.asking": "eval.survey",
    "eval.evaluation": "eval.evaluate",
    "eval.people": "eval.respondents",
    "eval.scoring": "eval.metrics",
    "scenarios.check": "scenarios.checks.check",
    "simulation.launch": "simulation.run",
    "simulation.policy": "simulation.episode.turn_policies",
    "simulation.query": "simulation.store.reader",
    "training.spa": "training.culturespa",
    "training.tuning": "training.finetune",
}
"""New names of modules and packages by their old ones."""


class _Finder(MetaPathFinder, Loader):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what loads a module that has moved, or that is in a package that has."""
        return spec_from_loader(name, self) if _new_name(name) else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module under its new name."""
        new = _new_name(spec.name)
        warnings.warn(f"{spec.name} is {new} now", DeprecationWarning, stacklevel=2)
        module = import_module(new)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module, which has been run, its own spec again."""
        if module.__spec__ is not None and module.__spec__.loader is self:
            module.__spec__ = module.__spec__.loader_state


def _new_name(name: str) -> str:
    package, _, rest = name.rpartition(".")
    if name in _MOVED:
        return _MOVED[name]
    return f"{_MOVED[package]}.{rest}" if package in _MOVED else ""


def keep_old_names() -> None:
    """Have modules found by their old names too."""
    sys.meta_path.insert(0, _Finder())  # before what would load a module of a moved package again
