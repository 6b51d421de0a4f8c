"""Commands that measure models by what they do here: `bench play`.

Invariant: everything printed that a model or a file wrote passes through `printable`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from folkways.cli.options import Override, Quiet
from folkways.settings import apply_override
from folkways.text import printable

app = typer.Typer()

_bench_app = typer.Typer(no_args_is_help=True, help="Measure how well a model plays scenes.")
_bench_app.callback()(lambda: None)
app.add_typer(_bench_app, name="bench")


@_bench_app.command("play")
def bench_play(
    model: Annotated[str, typer.Argument(help="Model that plays, as --model takes it.")],
    profile: Annotated[
        str, typer.Option(help="Play profile: auto, none, a name or a YAML file.")
    ] = "auto",
    against: Annotated[
        list[str] | None,
        typer.Option(help="Another profile, another model, or the folder of a run; repeatable."),
    ] = None,
    scenes: Annotated[int, typer.Option(min=2, max=12, help="Scenes of the set.")] = 12,
    cultures: Annotated[int, typer.Option(min=1, max=5, help="Cultures of each scene.")] = 2,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of each.")] = 2,
    turns: Annotated[int, typer.Option(min=2, help="Turns of a scene.")] = 10,
    ranked: Annotated[int, typer.Option(min=0, help="Answers of a scene to rank; 0: none.")] = 3,
    option: Override = None,
    out: Annotated[Path, typer.Option(help="Folder of the runs and of play.json.")] = Path("bench"),
    quiet: Quiet = False,
) -> None:
    """Play a fixed set of scenes and print what can be counted in them, with intervals.

    The same command again goes on where it stopped. `-o` sets options of the engine.
    """
    from eval.play.bench import (
        Size,
        contenders,
        play,
        summarise,
        table_lines,
        write_results,
    )

    options: dict[str, Any] = {}
    for one in option or []:
        apply_override(options, one)
    size = Size(scenes, cultures, seeds, turns, ranked)
    played = [
        play(one, size, options, out, quiet) for one in contenders(model, profile, against or [])
    ]
    results = summarise(played)
    out.mkdir(parents=True, exist_ok=True)
    write_results(out / "play.json", results)
    for line in table_lines(results):
        typer.echo(printable(line))
    for done in played:
        if done.note:
            typer.echo(printable(f"{done.contender.label}: not ranked: {done.note}"), err=True)
    typer.echo(printable(f"{out / 'play.json'}"), err=True)
