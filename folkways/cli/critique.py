"""Commands that have models judge: `critique`, `label`, `critics`.

Invariant: what a model, a scenario or an annotator wrote is printed as text that cannot steer the
terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from agents.critics.critic import CRITICS
from agents.critics.detector import DETECTORS
from agents.models.base import whole_name
from folkways.cli.ending import say_ending
from folkways.cli.options import (
    KeepShards,
    MetricsPort,
    OnCluster,
    Quiet,
    Ray,
    RunPath,
    Shards,
    Workers,
)
from folkways.clock import utc_now
from folkways.settings import apply_override, validated
from simulation.display.output import console_for, output
from simulation.episode.budget import BudgetConfig
from simulation.execution.metrics import serving
from simulation.execution.model_manager import CacheConfig
from simulation.execution.placement import cluster_of
from simulation.review.baseline import print_baselines
from simulation.review.calibrate import calibrate, print_report, print_steered
from simulation.review.calibration import load_cases
from simulation.review.intents import print_labeller
from simulation.review.launch import review
from simulation.review.reliability import write_counts
from simulation.review.task import Bounds
from simulation.review_settings import CritiqueConfig, LabelConfig
from simulation.store.part import POLICIES
from simulation.store.reader import open_reader

app = typer.Typer()

Override = Annotated[
    list[str] | None,
    typer.Option("-o", help="Override a setting: key=value, as in a config; also cache.mode."),
]
Concurrency = Annotated[int, typer.Option(min=1, help="Calls in progress at once.")]
Limit = Annotated[int | None, typer.Option(min=1, help="So many episodes at most.")]
Retry = Annotated[bool, typer.Option("--retry", help="Ask again where answers could not be used.")]
Tokens = Annotated[int | None, typer.Option(min=1, help="Spend so many tokens at most.")]
_STORED = "all of it is stored"
"""What is true at the end."""


@app.command(cls=OnCluster)
def critique(
    run: RunPath,
    model: Annotated[
        list[str] | None, typer.Option(help="Judge; several times for a panel of models.")
    ] = None,
    critics: Annotated[str | None, typer.Option(help="Critics, such as quality,culture.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Answers to each question.")] = 1,
    override: Override = None,
    concurrency: Concurrency = 64,
    limit: Limit = None,
    retry: Retry = False,
    max_tokens_spent: Tokens = None,
    quiet: Quiet = False,
    ray: Ray = None,
    workers: Workers = None,
    shards: Shards = None,
    keep_shards: KeepShards = False,
    metrics: MetricsPort = None,
) -> None:
    """Have critics judge a run; the same command again goes on where it stopped."""
    settings, cache = _critique_settings(critics, samples, model or [], override)
    bounds = Bounds(concurrency, limit, retry)
    cluster = cluster_of(ray, workers, shards, keep_shards)
    budget = BudgetConfig(tokens=max_tokens_spent)
    with serving(metrics, quiet):
        reason = review(run, settings, bounds, budget, quiet, cache, cluster)
    say_ending(run, reason, _STORED)


@app.command(cls=OnCluster)
def label(
    run: RunPath,
    model: Annotated[str | None, typer.Option(help="Model that labels.")] = None,
    taxonomy: Annotated[
        Path | None, typer.Option(help="Map the intents to the categories of this YAML file.")
    ] = None,
    override: Override = None,
    concurrency: Concurrency = 64,
    limit: Limit = None,
    retry: Retry = False,
    max_tokens_spent: Tokens = None,
    quiet: Quiet = False,
    ray: Ray = None,
    workers: Workers = None,
    shards: Shards = None,
    keep_shards: KeepShards = False,
    metrics: MetricsPort = None,
) -> None:
    """Label the intent behind every turn of a run; the same command again goes on."""
    given = {"model": model, "taxonomy": str(taxonomy) if taxonomy else None}
    settings, cache = _settings(LabelConfig, given, override)
    bounds = Bounds(concurrency, limit, retry)
    cluster = cluster_of(ray, workers, shards, keep_shards)
    budget = BudgetConfig(tokens=max_tokens_spent)
    with serving(metrics, quiet):
        reason = review(run, settings, bounds, budget, quiet, cache, cluster)
    say_ending(run, reason, _STORED)


_critics_app = typer.Typer(help="Look at the critics, and test them.", no_args_is_help=True)
app.add_typer(_critics_app, name="critics")


@_critics_app.command("list")
def list_critics() -> None:
    """List critics, detectors and filter policies."""
    for kind, names in (("critic", CRITICS), ("detector", DETECTORS), ("policy", POLICIES)):
        for name in names:
            typer.echo(f"{kind}  {name}")


@_critics_app.command("calibrate")
def calibrate_(
    model: Annotated[str, typer.Option(help="Judge to be tested.")] = "embedded",
    critics: Annotated[str | None, typer.Option(help="Critics, such as quality,culture.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Answers to each question.")] = 1,
    out: Annotated[Path, typer.Option(help="Folder in which the run's folder is made.")] = Path(
        "runs"
    ),
    override: Override = None,
    concurrency: Concurrency = 64,
    limit: Limit = None,
    retry: Retry = False,
    quiet: Quiet = False,
    injections: Annotated[
        bool, typer.Option("--injections", help="Judge texts that try to steer a judge instead.")
    ] = False,
    labeller: Annotated[
        bool, typer.Option("--labeller", help="Label turns whose intent is plain instead.")
    ] = False,
) -> None:
    """Judge conversations with known faults, and print precision and recall of every critic."""
    bounds = Bounds(concurrency, limit, retry)
    if labeller:
        _calibrate_labeller(model, out, override, bounds, quiet)
        return
    settings, cache = _critique_settings(critics, samples, [], override)
    run, reason = calibrate(model, settings, out, bounds, quiet, cache, injections)
    if reason != "done":
        typer.echo("not all of the set has been judged yet; the same command goes on", err=True)
    with output() as stream, closing(open_reader(run)) as con:
        (print_steered if injections else print_report)(con, console_for(stream))
        if not injections:
            print_baselines(load_cases(), console_for(stream))
        if reason == "done" and not injections:
            write_counts(con, run, whole_name(model), utc_now().date())


def _calibrate_labeller(
    model: str, out: Path, override: Sequence[str] | None, bounds: Bounds, quiet: bool
) -> None:
    settings, cache = _settings(LabelConfig, {}, override)
    run, reason = calibrate(model, settings, out, bounds, quiet, cache)
    if reason != "done":
        typer.echo("not all turns have been labelled yet; the same command goes on", err=True)
    with output() as stream, closing(open_reader(run)) as con:
        print_labeller(con, console_for(stream))


def _critique_settings(
    critics: str | None, samples: int, models: Sequence[str], override: Sequence[str] | None
) -> tuple[CritiqueConfig, CacheConfig]:
    given: dict[str, Any] = {"models": list(dict.fromkeys(models)), "samples": samples}
    if critics is not None:
        given["critics"] = [name.strip() for name in critics.split(",") if name.strip()]
    return _settings(CritiqueConfig, given, override)


_Judging = TypeVar("_Judging", CritiqueConfig, LabelConfig)


def _settings(
    kind: type[_Judging], given: dict[str, Any], overrides: Sequence[str] | None
) -> tuple[_Judging, CacheConfig]:
    """Return the settings and the cache, which is set by `cache.mode` and `cache.path` as in a run,
    overrides `key=value` applied. Raises UserError naming every fault.
    """
    for override in overrides or ():
        apply_override(given, override)
    cache = given.pop("cache", {})
    return validated(kind, given), validated(CacheConfig, cache, "cache")
