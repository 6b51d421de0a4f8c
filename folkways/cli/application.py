"""All commands: each module of this package holds a few in its `app`, and is imported when one of
them is called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup


class Commands(Mapping[str, Any]):
    """Commands by name, each made when it is asked for."""

    def __init__(self, modules: Mapping[str, str | typer.Typer]) -> None:
        self._modules = modules
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            module = self._modules[name]
            if isinstance(module, typer.Typer):
                self._made[name] = typer.main.get_group(module)
            else:
                app, _, attribute = module.partition(":")
                found = getattr(import_module(f"folkways.cli.{app}"), attribute or "app")
                self._made |= typer.main.get_group(found).commands
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


class Scenario(TyperGroup):
    """The group `scenario`."""

    modules: ClassVar[Mapping[str, str | typer.Typer]] = {
        "check": "play", "show": "play", "play": "play", "new": "scenario:scenario_app",
        "list": "scenario:scenario_app", "schema": "scenario:scenario_app", "adapt": "author",
        "generate": "author",
    }  # fmt: skip
    """Where each command is, in the order in which help lists them."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        self.commands = Commands(self.modules)  # type: ignore[assignment]


def _group(name: str, cls: type[TyperGroup], text: str, **attrs: Any) -> typer.Typer:
    """Return a group whose commands `cls` knows."""
    group = typer.Typer(
        name=name, cls=cls, no_args_is_help=True, add_completion=False,
        pretty_exceptions_enable=False, help=text, **attrs,
    )  # fmt: skip
    group.callback()(lambda: None)
    return group


class Folkways(Scenario):
    """All of them."""

    modules: ClassVar[Mapping[str, str | typer.Typer]] = {
        "scenario": _group("scenario", Scenario, "Check, write and find scenario files."),
        "culture": "scenario", "persona": "scenario", "run": "run", "sql": "read",
        "schema": "read", "view": "view", "snapshot": "copies", "salvage": "copies",
        "status": "status", "merge": "shards", "pack": "shards", "replay": "replay",
        "branch": "replay", "critique": "review", "label": "review", "review": "review",
        "critics": "review", "export": "export", "train": "train", "eval": "evaluate",
        "spa": "culturespa", "experiment": "experiment", "new": "study", "doctor": "doctor",
        "models": "models",
    }  # fmt: skip


def application() -> typer.Typer:
    """Return the application with all commands."""
    return _group(
        "folkways",
        Folkways,
        "Simulate social life between culture-conditioned agents, and query it with SQL.",
        epilog="Every command takes --allow-code: run code that a scenario, a pool file or a store "
        "names. Without it, only names on the command line and in your configurations are run.",
    )
