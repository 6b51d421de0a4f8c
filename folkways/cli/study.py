"""The command `new`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.models.readiness import lacking
from folkways.text import printable
from simulation.study_folder import write_study

app = typer.Typer()


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the study, and of its folder here.")],
) -> None:
    """Write a study folder that runs as it is: a configuration, two scenes, a query, a README."""
    files = write_study(name)
    inside = ", ".join(file.relative_to(Path(name)).as_posix() for file in files)
    fallback = " --model fake" if lacking("embedded") else ""
    typer.echo(printable(f"wrote {name}: {inside}"))
    if fallback:
        typer.echo("the embedded model is not installed (folkways doctor), so try it with fake")
    typer.echo("next:")
    for command in (
        f"cd {name}",
        f"folkways run study.yaml{fallback}",
        f"folkways sql runs/{name} --file query.sql",
    ):
        typer.echo(printable(f"  {command}"))
