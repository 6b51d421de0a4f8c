"""The commands of CultureSPA: `spa ...`.

Invariant: everything printed that a model or a file wrote passes through `printable`.
"""

from __future__ import annotations

import json
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
from simulation.execution.metrics import serving
from simulation.execution.placement import cluster_of

app = typer.Typer()

spa_app = typer.Typer(
    no_args_is_help=True, help="CultureSPA: train a model on where a culture changes its answers."
)
app.add_typer(spa_app, name="spa")

Config = Annotated[Path, typer.Argument(help="Configuration of the run, YAML.")]
ModelName = Annotated[str | None, typer.Option(help="Use this model.")]
DryRun = Annotated[bool, typer.Option(help="Say what would be asked, and stop.")]
_DONE = "there is nothing more to do"


@spa_app.command()
def generate(
    config: Config,
    override: Override = None,
    model: ModelName = None,
    dry_run: DryRun = False,
    fresh: Annotated[bool, typer.Option(help="Start over; the old folder is set aside.")] = False,
    quiet: Quiet = False,
    metrics: MetricsPort = None,
) -> None:
    """Step 1: have the model write survey questions on each topic."""
    from simulation.execution.executor import Incomplete
    from training.culturespa.config import load_spa_config
    from training.culturespa.generate import forecast, summary
    from training.culturespa.generate import generate as write_questions

    chosen = load_spa_config(config, _overrides(override, model))
    if dry_run:
        for line in forecast(chosen):
            typer.echo(printable(line))
        return
    unfinished: Incomplete | None = None
    with serving(metrics, quiet):
        try:
            reason = write_questions(chosen, fresh=fresh, quiet=quiet)
        except Incomplete as error:
            unfinished = error
    for line in summary(chosen):
        typer.echo(printable(line))
    if unfinished:
        raise unfinished
    say_ending(chosen.run, reason, _DONE)


@spa_app.command(cls=OnCluster)
def collect(
    config: Config,
    override: Override = None,
    model: ModelName = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    ray: Ray = None,
    workers: Workers = None,
    shards: Shards = None,
    keep_shards: KeepShards = False,
    metrics: MetricsPort = None,
) -> None:
    """Step 2: have the model answer the questions, without a culture and for each."""
    from training.culturespa.collect import collect as ask_questions
    from training.culturespa.collect import forecast
    from training.culturespa.config import load_spa_config

    chosen = load_spa_config(config, _overrides(override, model))
    if dry_run:
        for line in forecast(chosen):
            typer.echo(printable(line))
        return
    cluster = cluster_of(ray, workers, shards, keep_shards)
    with serving(metrics, quiet):
        reason = ask_questions(chosen, quiet=quiet, cluster=cluster)
    say_ending(chosen.run, reason, _DONE)


@spa_app.command()
def select(
    source: Annotated[Path, typer.Argument(help="Configuration of the run, or its folder.")],
    folder: Annotated[Path, typer.Argument(help="Folder to make; empty, missing, or done.")],
    method: Annotated[
        str,
        typer.Option(
            help="crqpc (answers differ), rds (random), cds (answers agree) or divergence "
            "(distributions differ most)."
        ),
    ] = "crqpc",
    size: Annotated[int | None, typer.Option(help="Rows in all.")] = None,
    per_culture: Annotated[int | None, typer.Option(help="Rows of each culture.")] = None,
    cultures: Annotated[
        str | None, typer.Option(help="Cultures, such as DEU,MEX; all by default.")
    ] = None,
    reading: Annotated[
        str | None, typer.Option(help="logprobs, text-strict or text-lenient.")
    ] = None,
    threshold: Annotated[
        float, typer.Option(help="Of divergence: total variation beyond the noise, at least.")
    ] = 0.0,
    paraphrases: Annotated[
        bool | None,
        typer.Option(
            "--paraphrases/--no-paraphrases",
            help="Take or leave questions that paraphrase survey items; as configured by default.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random order.")] = 0,
    override: Override = None,
    model: Annotated[str | None, typer.Option(help="Answers of this model.")] = None,
) -> None:
    """Step 3: choose answers to train on, and write them as a corpus for `folkways train`."""
    from folkways.clock import utc_now
    from folkways.settings import validated
    from training.culturespa.corpus import export_selection, find_source, made_already
    from training.culturespa.select import SelectConfig

    origin = find_source(source, _overrides(override, model))
    held_out = origin.config is not None and origin.config.hold_out_paraphrases
    wanted = validated(
        SelectConfig,
        {
            "method": method,
            "size": size,
            "per_culture": per_culture,
            "reading": reading,
            "threshold": threshold,
            "seed": seed,
            "cultures": [name.strip() for name in cultures.split(",")] if cultures else [],
            "paraphrases": not held_out if paraphrases is None else paraphrases,
        },
    )
    made = made_already(origin, folder, wanted)
    selection, contents = made or export_selection(origin, folder, wanted, utc_now())
    for line in (selection.funnel(), contents.imbalance()):
        typer.echo(printable(line))
    what = f"{contents.rows:,} rows, corpus {contents.hash}, {selection.id}"
    typer.echo(printable(f"{folder}: {'done already, ' if made else ''}{what}"))


def _overrides(given: list[str] | None, model: str | None) -> list[str]:
    return [*(given or []), *([f"model={{name: {json.dumps(model)}}}"] if model else [])]


@spa_app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="Answer sheets, JSON.")],
    run: Annotated[Path, typer.Argument(help="Folder of an evaluation, made if it is missing.")],
    method: Annotated[str, typer.Option(help="How the model was asked, such as unaware.")],
    label: Annotated[str, typer.Option(help="What reports call the model.")],
    country: Annotated[
        str | None,
        typer.Option(help="Culture of the sheets, or of each: USA,CAN; or what they tell."),
    ] = None,
    language: Annotated[str, typer.Option(help="Language of the sheets.")] = "en",
    add: Annotated[bool, typer.Option("--add", help="Further answers beside stored ones.")] = False,
) -> None:
    """Store answer sheets in the released layout, for `eval wvs report` to score."""
    from folkways.clock import utc_now
    from training.culturespa.intake import Source, import_sheets, mean_line

    countries = [name.strip() for name in country.split(",")] if country else []
    source = Source(label, method, language)
    found = import_sheets(files, run, source, countries, add=add, utc=utc_now)
    for line in [*(line for one in found for line in one.lines()), *mean_line(found)]:
        typer.echo(printable(line))
    typer.echo(printable(f"score them: folkways eval wvs report {run}"))
