"""Commands about one scene: `scenario check`, `show`, `play`, `test` and `draw`.

Invariant: everything printed that a scenario or a model wrote passes through `printable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from folkways.cli.read import Force
from folkways.cli.scenario import report
from folkways.errors import UserError
from folkways.event_loop import run_to_end
from folkways.files import write_named
from folkways.text import printable
from scenarios.culture import add_cultures
from scenarios.library import find_scenario, games, load_scenario, shipped
from scenarios.parsing.problem import Finding, Problem
from scenarios.parsing.yaml_file import read_yaml
from simulation.config import parse_config
from simulation.display.live import entry_text, heard_by_some
from simulation.display.output import refuse_to_overwrite
from simulation.display.phase_graph import phase_graph
from simulation.episode.entry import Entry
from simulation.episode.scene_state import SceneState
from simulation.forecast import too_long
from simulation.plan import make_plan, people_for
from simulation.rehearsal import rehearse
from simulation.script_tests import run_tests

app = typer.Typer()

CastSource = Annotated[str, typer.Option("--cast", help="Who may be cast: authored or sampled.")]
Pools = Annotated[
    list[str] | None, typer.Option("--pools", metavar="FILE", help="Cast from this pool as well.")
]


@app.command()
def check(
    files: Annotated[
        list[str] | None, typer.Argument(help="Files or ids of shipped scenarios; none for all.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Warn of scenes too long for this model.")
    ] = None,
    context: Annotated[
        int | None, typer.Option(min=1, help="Tokens that the model's context holds.")
    ] = None,
    cast: CastSource = "authored",
    pools: Pools = None,
    culture_file: Annotated[
        list[Path] | None, typer.Option(help="Culture of your own that they name; repeat.")
    ] = None,
) -> None:
    """Report every problem of scenario files; the exit status is 1 if there is an error."""
    add_cultures(culture_file or ())
    options = {} if context is None else {"context": context}
    chosen: dict[str, Any] = {"name": model or "openai:any", "options": options}

    def further(path: Path) -> list[Problem]:
        scene = load_scenario(str(path))
        data = {"name": "check", "scenarios": [str(path)], "model": chosen}
        data |= _casting(cast, pools) | {"cultures": [scene.culture or "GBR"]}
        try:
            lines = list(too_long(make_plan(parse_config(data, "--model"))))
        except UserError:
            return []  # it cannot be cast in this culture, which the check has said
        finding = Finding(("limits",), "".join(lines).partition(": ")[2], severity="warning")
        return [read_yaml(path).place(finding)] if lines else []

    paths = [find_scenario(name) for name in files or shipped()]
    wanted = parse_config({"name": "check"} | _casting(cast, pools), "--cast")
    people = people_for(wanted, ()) if cast != "authored" or pools else None
    report(paths, people, further if model or context else lambda _: [])


@app.command()
def show(
    scenario: Annotated[str, typer.Argument(help="Id of a shipped scenario, or a file.")],
    culture: Annotated[str | None, typer.Option(help="Culture to play it in, or its file.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the cast.")] = 0,
    role: Annotated[str | None, typer.Option(help="Show this role only.")] = None,
    form: Annotated[str, typer.Option(help="Reply form: json or script.")] = "json",
    conditioning: Annotated[
        str, typer.Option(help="none, name, dimensions, norms.")
    ] = "dimensions",
    cast: CastSource = "authored",
    pools: Pools = None,
) -> None:
    """Print exactly what each agent will be told."""
    told = {"reply_form": "json" if form == "auto" else form}
    settings = {"model": told, "conditioning": conditioning} | _casting(cast, pools)
    stage = rehearse(scenario, settings, culture, seed).stage()
    for name in stage.scenario.roles:
        if role in (None, name):
            prompt = stage.ask(name).prompt
            Console(stderr=False).rule(Text(printable(f"{name}: what {stage.names[name]} is told")))
            if isinstance(prompt, str):
                typer.echo(printable(prompt))
            else:
                for message in prompt:
                    typer.echo(printable(f"[{message['role']}]\n{message['content']}\n"))


@app.command()
def play(
    scenario: Annotated[str, typer.Argument(help="Id of a shipped scenario, or a file.")],
    model: Annotated[str, typer.Option(help="Model that plays.")] = "embedded",
    culture: Annotated[str | None, typer.Option(help="Culture to play it in, or its file.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of cast and sampling.")] = 0,
    turns: Annotated[int | None, typer.Option(min=1, help="Play so many turns at most.")] = None,
    form: Annotated[str, typer.Option(help="Reply form: auto, json or script.")] = "auto",
    cast: CastSource = "authored",
    pools: Pools = None,
) -> None:
    """Play one episode to the terminal, turn by turn; nothing is stored."""
    settings = {"model": {"name": model, "reply_form": form}} | _casting(cast, pools)
    scene = rehearse(scenario, settings, culture, seed, turns)
    console, told = Console(highlight=False), scene.stage().scenario
    console.print(Text(printable(told.title), style="bold"))
    console.print(Text(printable(" ".join(told.setting.split()))), soft_wrap=False)
    log: list[Entry] = []
    present = [role for role, part in told.roles.items() if part.enters is None]

    def watch(stage: SceneState, entries: Sequence[Entry]) -> None:
        log.extend(entries)
        for entry in entries:
            console.print(entry_text(entry, stage.names, heard_by_some(log, present)))

    record = run_to_end(scene.play(watch))
    ending = record.episode
    detail = f" ({ending['exit_detail']})" if ending["exit_detail"] else ""
    console.print(Text(printable(f"[the scene ends: {ending['exit_reason']}{detail}]"), "dim"))
    if record.outcome in ("endpoint-failure", "error"):
        raise typer.Exit(1)


@app.command("test")
def run_scripts(
    files: Annotated[
        list[str] | None, typer.Argument(help="Files or ids of shipped scenarios; none: all games.")
    ] = None,
) -> None:
    """Play the `tests` of scenario files without a model; the exit status is 1 if one fails."""
    count = failed = 0
    for name in files or games():
        found = run_tests(name)
        if not found:
            typer.echo(printable(f"{name}: no tests"))
        for result in found:
            count, failed = count + 1, failed + bool(result.faults)
            told = "; ".join(result.faults) or "passed"
            typer.echo(printable(f"{name}: {result.name}: {told}"))
    typer.echo(f"{count} tests, {failed} failed", err=True)
    if failed:
        raise typer.Exit(1)


@app.command()
def draw(
    scenario: Annotated[str, typer.Argument(help="Id of a shipped scenario, or a file.")],
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a picture instead.")
    ] = None,
    force: Force = False,
) -> None:
    """Print the phases of a scene and what leads from one to another as a Mermaid diagram."""
    graph = phase_graph(load_scenario(scenario))
    if svg is None:
        typer.echo(printable(graph.mermaid()))
        return
    refuse_to_overwrite(svg, force)
    write_named(svg, graph.svg())
    typer.echo(printable(f"wrote {svg}"))


def _casting(source: str, pools: Sequence[str] | None) -> dict[str, Any]:
    """Return what a run's configuration says of casting."""
    return {"cast": {"source": source, "pools": list(pools or ())}}
