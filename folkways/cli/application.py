"""All commands: each module of this package holds a few in its `app`, and is imported when one of
them is called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class Listed(NamedTuple):
    """A command that help lists before it is imported."""

    module: str
    """Module of this package, with `:ATTRIBUTE` where the commands are not in `app`."""
    help: str
    """First sentence of its help."""


class _Commands(Mapping[str, Any]):
    """Commands by name, each made when it is asked for."""

    def __init__(self, listed: Mapping[str, Listed]) -> None:
        self._listed = listed
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            module, _, attribute = self._listed[name].module.partition(":")
            if module == "application":
                self._made[name] = typer.main.get_group(_scenario())
            else:
                found = getattr(import_module(f"folkways.cli.{module}"), attribute or "app")
                self._made |= typer.main.get_group(found).commands
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)


class Scenario(TyperGroup):
    """The group `scenario`."""

    listed: ClassVar[Mapping[str, Listed]] = {
        "check": Listed("play", "Report every problem of scenario files."),
        "show": Listed("play", "Print exactly what each agent will be told."),
        "play": Listed("play", "Play one episode to the terminal; nothing is stored."),
        "test": Listed("play", "Play the tests of scenario files without a model."),
        "draw": Listed("play", "Print the phases of a scene as a diagram."),
        "new": Listed(
            "scenario:scenario_app", "Write a commented scenario file that passes the check."
        ),
        "list": Listed(
            "scenario:scenario_app", "List the shipped scenarios, or those in files and folders."
        ),
        "schema": Listed(
            "scenario:scenario_app", "Print the JSON Schema of scenario files, for editors."
        ),
        "adapt": Listed("author", "Have a model move scenarios to other cultures."),
        "generate": Listed("author", "Have a model write new scenarios around norms."),
        "import": Listed("scenario_import", "Take over scenes and norms that others published."),
    }
    """Where each command is, in the order in which help lists them."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        self.commands = _Commands(self.listed)  # type: ignore[assignment]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, which imports no command."""
        whole = self.commands
        self.commands = {
            name: TyperCommand(name, help=one.help) for name, one in self.listed.items()
        }
        try:
            super().format_help(ctx, formatter)
        finally:
            self.commands = whole


def _group(name: str, cls: type[TyperGroup], text: str, **attrs: Any) -> typer.Typer:
    """Return a group whose commands `cls` knows."""
    group = typer.Typer(
        name=name,
        cls=cls,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help=text,
        **attrs,
    )
    group.callback()(lambda: None)
    return group


class Folkways(Scenario):
    """All of them."""

    listed: ClassVar[Mapping[str, Listed]] = {
        "new": Listed("study", "Write a study folder that runs as it is."),
        "doctor": Listed("doctor", "Say what works on this machine, and what to install for what."),
        "models": Listed(
            "models", "List what --model takes, and what of it works here; find its play profile."
        ),
        "scenario": Listed("application", "Check, show, play, write and find scenario files."),
        "culture": Listed("scenario", "Look at cultures, or write your own."),
        "persona": Listed("scenario", "Look at personas, or draw new ones."),
        "run": Listed("run", "Play the scenes of a configuration."),
        "status": Listed("status", "Print how far a run is, while it is live or later."),
        "sql": Listed("read", "Query a run with SQL, read-only; without a query, open a shell."),
        "schema": Listed("read", "Print the views, macros and tables of a run with comments."),
        "view": Listed("view", "Print the transcript of an episode, or write it as a web page."),
        "critique": Listed("critique", "Have critics judge a run."),
        "label": Listed("critique", "Label the intent behind every turn of a run."),
        "review": Listed("review", "Look at what critics made of a run; exchange ratings."),
        "critics": Listed("critique", "Look at the critics, and test them."),
        "export": Listed("export", "Export accepted episodes as a corpus to train on."),
        "train": Listed("train", "Train LoRA adapters on a corpus."),
        "bench": Listed("bench", "Measure how well a model plays scenes."),
        "eval": Listed("evaluate", "Ask models what surveys asked people."),
        "spa": Listed("culturespa", "CultureSPA: train on where a culture changes answers."),
        "experiment": Listed("experiment", "Run a whole study: simulate, train, evaluate, report."),
        "replay": Listed("replay", "Play a run again from its log, checking every row."),
        "branch": Listed("replay", "Start new episodes from the middle of a stored one."),
        "snapshot": Listed("copies", "Copy the store of a run to a file."),
        "salvage": Listed("copies", "Copy what can still be read of a damaged run."),
        "merge": Listed("shards", "Bring shards into the store of a run."),
        "pack": Listed("shards", "Write a run as Parquet shards."),
    }


def _scenario() -> typer.Typer:
    return _group("scenario", Scenario, Folkways.listed["scenario"].help)


def application() -> typer.Typer:
    """Return the application with all commands."""
    return _group(
        "folkways",
        Folkways,
        "Simulate social life between culture-conditioned agents, and query it with SQL.",
        epilog="Every command takes --allow-code: run code that a scenario, a pool file or a store "
        "names. Without it, only names on the command line and in your configurations are run.",
    )
