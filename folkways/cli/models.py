"""The command `models`.

Invariant: it looks and reads headers; no model is loaded and no address is asked. What a file
says is printed as text that cannot steer the terminal.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import typer

from agents.models.kept_models import KeptModel, Place, kept_models, usual_places
from agents.models.local.gguf_file import read_model
from agents.models.readiness import WAYS, usable
from folkways.errors import UserError
from folkways.text import printable

app = typer.Typer()

_LONGEST = 60
"""Characters of what a file says of itself."""


@app.command()
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
