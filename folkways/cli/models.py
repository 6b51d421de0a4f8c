"""The commands `models` and `models tune`.

Invariant: `models` looks and reads headers; no model is loaded and no address is asked. What a file
says is printed as text that cannot steer the terminal.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from agents.models.kept_models import KeptModel, Place, kept_models, usual_places
from agents.models.local.gguf_file import read_model
from agents.models.readiness import WAYS, usable
from folkways.cli.options import Override, Quiet
from folkways.errors import UserError
from folkways.settings import apply_override
from folkways.text import printable
from simulation.display.output import refuse_to_overwrite

app = typer.Typer()

_LONGEST = 60
"""Characters of what a file says of itself."""


class _ListsByDefault(TyperGroup):
    """Takes `models` for `models list`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        rest: list[str] = super().parse_args(ctx, args or ["list"])
        return rest


_models_app = typer.Typer(
    cls=_ListsByDefault,
    help="List what --model takes, and what of it works here; find a model's play profile.",
)
app.add_typer(_models_app, name="models")


@_models_app.command("tune")
def tune_(
    model: Annotated[str, typer.Argument(help="Model to play with, as --model takes it.")],
    file: Annotated[
        Path, typer.Argument(help="Profile to write, beside the run configuration.")
    ] = Path("profile.yaml"),
    profile: Annotated[
        list[str] | None, typer.Option(help="Play profile to try; repeatable.")
    ] = None,
    scenes: Annotated[int, typer.Option(min=2, max=12, help="Scenes of the bench.")] = 4,
    turns: Annotated[int, typer.Option(min=2, help="Turns of a scene.")] = 8,
    ranked: Annotated[int, typer.Option(min=0, help="Answers of a scene to rank.")] = 3,
    option: Override = None,
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("bench"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    quiet: Quiet = False,
) -> None:
    """Play a small tournament of play profiles, and write the winner with its table.

    `model: {profile: FILE}` in a run's configuration plays it; `-o` sets options of the engine.
    """
    from eval.play.bench import Size
    from eval.play.tune import rivals, tune, write_winner

    refuse_to_overwrite(file, force)
    options: dict[str, Any] = {}
    for one in option or []:
        apply_override(options, one)
    size = Size(scenes=scenes, cultures=1, seeds=1, turns=turns, ranked=ranked)
    results = tune(model, profile or rivals(model), size, options, out, quiet)
    table = write_winner(results, model, file)
    for name, value in results["scores"].items():
        _say(f"{name:<12} {value:.3f}{'  the winner' if name == results['winner'] else ''}")
    _say(f"{file}; its table: {table}")


@_models_app.command("list")
def models() -> None:
    """List what --model takes, what of it works here, and the GGUF files of other programs."""
    _say("What --model takes:")
    for form, state, about in _ways():
        _say(f"  {form:<21} {state:<14} {about}")
    _say("")
    places = usual_places(Path.home(), os.environ)
    found = [one for place in places for one in kept_models(place)]
    if not found:
        _say(f"No GGUF files found in {'; '.join(_named(place) for place in places)}.")
    else:
        _say("GGUF files found; folkways doctor --model NAME tries one:")
    for one in found:
        for line in _describe(one):
            _say(f"  {line}")


def _ways() -> list[tuple[str, str, str]]:
    """Return each form of a model's name, whether it can be used here, and what it is or takes."""
    rows = []
    for way in WAYS:
        state, remedy = usable(way, os.environ)
        rows.append((way.form, state, "; ".join(filter(None, (way.about, remedy)))))
    return rows


def _describe(one: KeptModel) -> list[str]:
    """Return what a file's header says of it and the flag that plays it, or why it cannot be."""
    try:
        file = read_model(one.path)
    except UserError as error:
        return [f"{one.name} ({one.program}): cannot be played: {' '.join(str(error).split())}"]
    facts = [
        " ".join(file.architecture.split())[:_LONGEST],
        f"{file.size / 2**30:.1f} GiB",
        file.quantisation,
        "chat template" if file.chat_template else "no chat template",
    ]
    flags = f"--model {shlex.quote(f'llama:{one.path}')}"
    if one.adapter:
        flags += f" -o {shlex.quote(f'model.options.adapter={one.adapter}')}"
    return [f"{one.name} ({one.program}): {', '.join(filter(None, facts))}", f"    {flags}"]


def _named(place: Place) -> str:
    return f"{place.folder} ({place.program})"


def _say(text: str) -> None:
    typer.echo(printable(text))
