"""The command that plays the scenes of a configuration: `run`.

Invariant: everything printed that a scenario or a model wrote passes through `printable`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from folkways.cli.ending import say_ending
from folkways.cli.options import (
    KeepShards,
    MetricsPort,
    OnCluster,
    Override,
    Quiet,
    Ray,
    Shards,
    Workers,
)
from folkways.text import printable
from simulation.config import load_config
from simulation.execution.metrics import serving
from simulation.execution.placement import cluster_of
from simulation.forecast import forecast, too_demanding, too_long
from simulation.plan import Plan, make_plan
from simulation.run import launch

app = typer.Typer()


@app.command(cls=OnCluster)
def run(
    config: Annotated[Path, typer.Argument(help="Configuration of the run, YAML.")],
    override: Override = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Play so many episodes at most.")] = None,
    model: Annotated[str | None, typer.Option(help="Play with this model.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Say what it would take, and stop.")] = False,
    fresh: Annotated[bool, typer.Option(help="Start over; the old run is set aside.")] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="Also play what failed too often to be tried again.")
    ] = False,
    quiet: Quiet = False,
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
    if (above := too_demanding(plan)) and not quiet:
        typer.echo(printable(f"warning: {above}"), err=True)
    if dry_run:
        _forecast(plan, limit)
        return
    with serving(metrics, quiet):
        reason = launch(plan, limit=limit, fresh=fresh, quiet=quiet, cluster=cluster, retry=retry)
    folder = Path(plan.config.out) / plan.config.name
    say_ending(folder, reason, "all episodes are stored")


def _forecast(plan: Plan, limit: int | None) -> None:
    """Say what a run would take."""
    sums = forecast(plan, limit)
    model = f"model              {plan.config.model.name}, reply form {plan.form}"
    typer.echo(printable(model))
    typer.echo(printable(f"play profile       {plan.config.model.profile}"))
    if lost := (plan.resolved["contents"]["sampling"] or {}).get("not_taken"):
        typer.echo(f"not taken          {', '.join(lost)}: this engine does not know it")
    if drafts := plan.config.play.drafts:
        price = "all of them" if drafts.keep == "best" else "until one has no fault"
        typer.echo(f"drafts of an act   {drafts.n} at most, {price}")
    typer.echo(f"conditioning       {plan.config.conditioning}")
    typer.echo(f"episodes           {sums.episodes:,}")
    typer.echo(f"calls              {sums.calls:,} at most")
    typer.echo(f"prompt tokens      {sums.prompt_tokens:,} by estimate, if all turns are used")
    typer.echo(f"completion tokens  {sums.completion_tokens:,} at most")
    for line in too_long(plan):
        typer.echo(printable(f"warning: {line}"), err=True)
