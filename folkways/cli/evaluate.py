"""Commands that evaluate models: on the World Values Survey, `eval wvs ...`, and for what else they
can do, `eval abilities`.

Invariant: everything printed that a file or a model wrote passes through `printable`; a synthetic
sample is called so wherever it is named.
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
from simulation.execution.metrics import serving
from simulation.execution.placement import cluster_of

app = typer.Typer()

_eval_app = typer.Typer(no_args_is_help=True, help="Ask models what surveys asked people.")
_wvs_app = typer.Typer(no_args_is_help=True, help="The World Values Survey, wave 7.")
_eval_app.add_typer(_wvs_app, name="wvs")
app.add_typer(_eval_app, name="eval")


@_eval_app.command()
def abilities(
    models: Annotated[
        list[str], typer.Argument(help="embedded, a folder, a hub id, or BASE+ADAPTER.")
    ],
    tasks: Annotated[str, typer.Option(help="Tasks or groups of lm-evaluation-harness.")],
    include: Annotated[Path | None, typer.Option(help="Folder with further tasks.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Questions of each task.")] = None,
    shots: Annotated[
        int | None, typer.Option(min=0, help="Answered examples before a question.")
    ] = None,
    chat: Annotated[bool, typer.Option("--chat", help="Put questions as a chat.")] = False,
    batch: Annotated[int, typer.Option(min=1, help="Requests computed at once.")] = 8,
    out: Annotated[Path, typer.Option(help="File of results, JSON.")] = Path("abilities.json"),
    fresh: Annotated[bool, typer.Option(help="Overwrite the file of results.")] = False,
) -> None:
    """Measure general abilities, each model beside the first, such as one before training.

    A model that is in the file of results already is not measured again.
    """
    from eval.abilities import Setting, measure_abilities
    from folkways.clock import utc_now

    names = tuple(dict.fromkeys(name.strip() for name in tasks.split(",") if name.strip()))
    setting = Setting(names, include, limit, shots, chat)
    for line in measure_abilities(
        models,
        setting,
        out,
        utc_now,
        batch=batch,
        fresh=fresh,
        say=lambda line: typer.echo(printable(line), err=True),
    ):
        typer.echo(printable(line))
    typer.echo(printable(str(out)))


@_eval_app.command()
def controls(
    run: Annotated[Path, typer.Argument(help="Folder to make.")] = Path("runs/controls"),
    preset: Annotated[str, typer.Option(help="Items: a preset or a topic.")] = "clca-44",
    countries: Annotated[
        str, typer.Option(help="Cultures that they are asked for.")
    ] = "CHN,DEU,KEN,MEX,USA",
    samples: Annotated[int, typer.Option(min=1, help="Draws of text in each order.")] = 20,
    quiet: Quiet = False,
) -> None:
    """Ask models whose answers are known, and see whether the report says what is true of each."""
    from eval.control_trial import try_controls
    from folkways.clock import utc_now

    found = try_controls(
        run,
        utc_now(),
        items=preset,
        cultures=[name.strip() for name in countries.split(",")],
        samples=samples,
        quiet=quiet,
    )
    for outcome in found:
        mark = "wrong" if outcome.wrong else "ok"
        typer.echo(printable("; ".join((f"{mark:<6}{outcome.line}", *outcome.wrong))))
    typer.echo(printable(str(run / "report.html")))
    if any(outcome.wrong for outcome in found):
        raise typer.Exit(1)


@_wvs_app.command(cls=OnCluster)
def run(
    config: Annotated[Path, typer.Argument(help="Configuration of the evaluation, YAML.")],
    override: Override = None,
    model: Annotated[str | None, typer.Option(help="Ask this model.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Say what would be asked, and stop.")] = False,
    fresh: Annotated[bool, typer.Option(help="Start over; the old folder is set aside.")] = False,
    quiet: Quiet = False,
    ray: Ray = None,
    workers: Workers = None,
    shards: Shards = None,
    keep_shards: KeepShards = False,
    metrics: MetricsPort = None,
) -> None:
    """Ask models the survey; the same command again goes on where it stopped."""
    from eval.config import load_eval_config
    from eval.evaluate import evaluate, forecast

    overrides = [*(override or []), *([f"models=[{{name: '{model}'}}]"] if model else [])]
    chosen = load_eval_config(config, overrides)
    if dry_run:
        for line in forecast(chosen):
            typer.echo(printable(line))
        return
    cluster = cluster_of(ray, workers, shards, keep_shards)
    with serving(metrics, quiet):
        reason = evaluate(chosen, fresh=fresh, quiet=quiet, cluster=cluster)
    say_ending(Path(chosen.out) / chosen.name, reason, "all questions have been asked")


@_wvs_app.command()
def methods() -> None:
    """List the ways of asking, and which of them show a model people's answers."""
    from eval.survey.method import METHODS

    for name, chosen in METHODS.items():
        leak = "  [sees answers of the evaluation]" if chosen.leaks else ""
        typer.echo(f"{name:<34} {chosen.about}{leak}")


@_wvs_app.command()
def items(
    preset: Annotated[str, typer.Argument(help="A preset, a topic, or a file.")] = "clca-44",
    language: Annotated[str, typer.Option(help="Language of the wording.")] = "en",
) -> None:
    """Print items as models see them."""
    from eval.own_items import named_items
    from eval.survey.prompt import render_item
    from eval.survey.voice import load_voice

    voice = load_voice(language)
    for item in named_items(preset):
        about = f"{item.id}, {item.topic}, {item.scale}"
        typer.echo(printable(f"[{about}]\n{render_item(voice, item, item.scale_codes)}\n"))


@_wvs_app.command()
def load(
    files: Annotated[list[Path], typer.Argument(help="Downloaded files: CSV, .sav or .dta.")],
    database: Annotated[Path, typer.Argument(help="DuckDB file to make, or to append to.")],
    countries: Annotated[
        str | None, typer.Option(help="Countries to keep, such as DEU,MEX; all by default.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help=".sav, .dta or codebook whose labels explain a file of labels."),
    ] = None,
    append: Annotated[bool, typer.Option(help="Keep the respondents that are there.")] = False,
    replace: Annotated[bool, typer.Option(help="Replace a DuckDB file of respondents.")] = False,
) -> None:
    """Load files of the World Values Survey into one, and report what was left out."""
    from eval.item import load_items
    from eval.respondents.survey import TERMS, load_surveys

    kept = countries.split(",") if countries else None
    reports = load_surveys(
        files,
        database,
        list(load_items().values()),
        countries=kept,
        labels=labels,
        append=append,
        replace=replace,
    )
    for file, found in zip(files, reports, strict=True):
        if len(files) > 1:
            typer.echo(printable(f"{file}:"))
        for line in found.lines():
            typer.echo(printable(line))
    typer.echo(TERMS)


@_wvs_app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Folder of the evaluation.")],
    draws: Annotated[int, typer.Option(min=100, help="Bootstrap draws of intervals.")] = 2000,
) -> None:
    """Score the answers: results.json, results.md, plots and a page report.html in the folder."""
    from eval.report.write import write_report
    from folkways.clock import utc_now

    for path in write_report(run, utc_now(), draws):
        typer.echo(printable(str(path)))


@_wvs_app.command()
def groups(
    run: Annotated[Path, typer.Argument(help="Folder of the evaluation.")],
    by: Annotated[
        str, typer.Option(help="Traits: country, continent, settlement, education, or Q260, ...")
    ] = "continent,settlement,education",
    out: Annotated[Path | None, typer.Option(help="File for the table, CSV.")] = None,
) -> None:
    """Score answers as respondents against the same people, group by group, as WorldValuesBench."""
    from eval.report.group_table import as_csv, lines
    from eval.report.groups import group_scores
    from folkways.files import write_named

    scores = group_scores(run, [name.strip() for name in by.split(",") if name.strip()])
    for line in lines(scores):
        typer.echo(printable(line))
    if out:
        write_named(out, as_csv(scores))
        typer.echo(printable(str(out)))


@_wvs_app.command()
def recite(
    model: Annotated[str, typer.Argument(help="Model.")],
    preset: Annotated[str, typer.Option(help="Items: a preset or a topic.")] = "clca-44",
    countries: Annotated[
        str, typer.Option(help="Two or more; each is the others' control.")
    ] = "CHN,DEU,GBR,MEX",
    people: Annotated[str, typer.Option(help="marginals, or a file of respondents.")] = "marginals",
    adapter: Annotated[str | None, typer.Option(help="Folder of an adapter.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Calls in flight.")] = 4,
    out: Annotated[Path, typer.Option(help="File of results, JSON.")] = Path("recitation.json"),
) -> None:
    """Ask a model for the national shares themselves, and see whether it knows them by heart."""
    from eval.item import preset as chosen
    from eval.recitation import lines, probe

    names = [name.strip() for name in countries.split(",")]
    options = {"adapter": adapter} if adapter else {}
    found = probe(
        model,
        chosen(preset),
        names,
        out,
        options=options,
        people=people,
        concurrency=concurrency,
    )
    for line in lines(found):
        typer.echo(printable(line))
    typer.echo(printable(str(out)))


@_wvs_app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Folder to make.")],
    preset: Annotated[str, typer.Option(help="A preset or a topic.")] = "clca-44",
    countries: Annotated[str, typer.Option(help="Countries.")] = "CHN,DEU,GBR,MEX",
) -> None:
    """Export items as a task of EleutherAI's lm-evaluation-harness."""
    from eval.item import preset as chosen
    from eval.report.harness import export_harness

    for path in export_harness(folder, chosen(preset), countries.split(",")):
        typer.echo(printable(str(path)))
