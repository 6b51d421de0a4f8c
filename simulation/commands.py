"""Commands that play scenes: `run`, `scenario show`, `scenario play`.

Invariant: everything printed that a scenario or a model wrote passes through `printable`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from agents.actor import ReplyForm
from agents.event_loop import run_to_end
from agents.model import default_reply_form, open_model
from agents.view import Conditioning
from scenarios.casting import cast_scenario, named_cultures
from scenarios.culture import load_cultures, named_culture
from scenarios.library import find_scenario, load_scenario
from scenarios.pool import load_personas
from scenarios.population import populated
from scenarios.scenario import Scenario
from scenarios.terminal import printable
from simulation.budget import Budget, BudgetConfig
from simulation.caller import CallSettings
from simulation.config import load_config, parse_config
from simulation.ending import say_ending
from simulation.entry import Entry
from simulation.episode import Conditions, Episode, play_episode
from simulation.forecast import forecast
from simulation.launch import launch, utc_now
from simulation.live import entry_text
from simulation.metrics import MetricsPort, serving
from simulation.placement import KeepShards, Ray, Shards, Workers, cluster_of
from simulation.plan import make_plan
from simulation.policy import require_policies
from simulation.stage import Stage


def run(
    config: Annotated[Path, typer.Argument(help="Configuration of the run, YAML.")],
    override: Annotated[
        list[str] | None, typer.Option("-o", help="Override a value: key.sub=value.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Play so many episodes at most.")] = None,
    model: Annotated[str | None, typer.Option(help="Play with this model.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Say what it would take, and stop.")] = False,
    fresh: Annotated[bool, typer.Option(help="Start over; the old run is set aside.")] = False,
    quiet: Annotated[bool, typer.Option(help="Print no progress.")] = False,
    ray: Ray = None,
    workers: Workers = None,
    shards: Shards = None,
    keep_shards: KeepShards = False,
    metrics: MetricsPort = None,
) -> None:
    """Play the scenes of a configuration; the same command again goes on where it stopped."""
    cluster = cluster_of(ray, workers, shards, keep_shards)
    overrides = [*(override or []), *([f"model.name={model}"] if model else [])]
    plan = make_plan(load_config(config, overrides))
    if dry_run:
        sums = forecast(plan, limit)
        typer.echo(f"model              {plan.config.model.name}, reply form {plan.form}")
        typer.echo(f"episodes           {sums.episodes:,}")
        typer.echo(f"calls              {sums.calls:,} at most")
        typer.echo(f"prompt tokens      {sums.prompt_tokens:,} by estimate, if all turns are used")
        typer.echo(f"completion tokens  {sums.completion_tokens:,} at most")
        return
    with serving(metrics, quiet):
        reason = launch(plan, limit=limit, fresh=fresh, quiet=quiet, cluster=cluster)
    folder = Path(plan.config.out) / plan.config.name
    say_ending(folder, reason, "all episodes are stored")


def show(
    scenario: Annotated[str, typer.Argument(help="Id of a shipped scenario, or a file.")],
    culture: Annotated[str | None, typer.Option(help="Culture to play it in, or its file.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the cast.")] = 0,
    role: Annotated[str | None, typer.Option(help="Show this role only.")] = None,
    form: Annotated[str, typer.Option(help="Reply form: json or script.")] = "json",
    conditioning: Annotated[
        str, typer.Option(help="none, name, dimensions, norms.")
    ] = "dimensions",
) -> None:
    """Print exactly what each agent will be told."""
    config = parse_config(
        {"name": "show", "model": {"reply_form": form}, "conditioning": conditioning}, "--form"
    )
    form_, told = config.model.reply_form, config.conditioning
    chosen = "json" if form_ == "auto" else form_
    stage = _stage(load_scenario(scenario), culture, seed, chosen, told)
    for name in stage.scenario.roles:
        if role in (None, name):
            prompt = stage.actors[name].ask(stage.cue()).prompt
            Console(stderr=False).rule(Text(f"{name}: what {stage.names[name]} is told"))
            if isinstance(prompt, str):
                typer.echo(printable(prompt))
            else:
                for message in prompt:
                    typer.echo(printable(f"[{message['role']}]\n{message['content']}\n"))


def play(
    scenario: Annotated[str, typer.Argument(help="Id of a shipped scenario, or a file.")],
    model: Annotated[str, typer.Option(help="Model that plays.")] = "embedded",
    culture: Annotated[str | None, typer.Option(help="Culture to play it in, or its file.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of cast and sampling.")] = 0,
    turns: Annotated[int | None, typer.Option(min=1, help="Play so many turns at most.")] = None,
    form: Annotated[str, typer.Option(help="Reply form: auto, json or script.")] = "auto",
) -> None:
    """Play one episode to the terminal, turn by turn; nothing is stored."""
    config = parse_config(
        {"name": "play", "model": {"name": model, "reply_form": form}}, "--form"
    ).model
    loaded = load_scenario(scenario)
    require_policies(loaded, find_scenario(scenario))
    if turns is not None:
        limits = loaded.limits.model_copy(update={"turns": turns})
        loaded = loaded.model_copy(update={"limits": limits})
    culture_id = (named_culture(culture).id if culture else None) or loaded.culture or "GBR"
    reply_form = config.reply_form
    if reply_form == "auto":
        reply_form = default_reply_form(model)
    people = populated(load_personas(), {culture_id, *named_cultures(loaded)}, seed)
    console = Console(highlight=False)
    console.print(Text(printable(loaded.title), style="bold"))
    console.print(Text(printable(" ".join(loaded.setting.split()))), soft_wrap=False)

    def watch(stage: Stage, entries: Sequence[Entry]) -> None:
        for entry in entries:
            console.print(entry_text(entry, stage.names))

    async def one() -> None:
        engine = open_model(model)
        await engine.start()
        settings = CallSettings(config.sampling(), config.timeout_s, config.repairs)
        conditions = Conditions(
            "play", engine, settings, reply_form, "dimensions", people, load_cultures(), utc_now
        )
        episode = Episode("0" * 16, loaded, culture_id, loaded.language, 0, seed)
        try:
            record = await play_episode(
                episode, conditions, Budget(BudgetConfig(), time.monotonic), watch
            )
        finally:
            await engine.close()
        ending = record.episode
        detail = f" ({ending['exit_detail']})" if ending["exit_detail"] else ""
        console.print(Text(printable(f"[the scene ends: {ending['exit_reason']}{detail}]"), "dim"))

    run_to_end(one())


def _stage(
    scenario: Scenario, culture: str | None, seed: int, form: ReplyForm, told: Conditioning
) -> Stage:
    culture_id = (named_culture(culture).id if culture else None) or scenario.culture or "GBR"
    people = populated(load_personas(), {culture_id, *named_cultures(scenario)}, seed)
    cast = cast_scenario(scenario, culture_id, people, random.Random(seed))
    return Stage(scenario, cast, load_cultures(), scenario.language, form, told)
