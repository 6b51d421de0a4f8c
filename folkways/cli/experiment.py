"""The commands that run whole studies: `experiment clca` and `experiment culturespa`.

Invariant: everything printed that a model or a file wrote passes through `printable`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from folkways.cli.options import Override, Quiet
from folkways.errors import unknown_name
from folkways.text import printable

if TYPE_CHECKING:
    from training.experiment.experiment import ExperimentSettings
    from training.experiment.stages import Stage

app = typer.Typer()

_experiment_app = typer.Typer(
    no_args_is_help=True, help="Run a whole study: simulate, train, evaluate, report."
)
app.add_typer(_experiment_app, name="experiment")
Config = Annotated[Path, typer.Argument(help="Configuration of the experiment, YAML.")]
Only = Annotated[str | None, typer.Option(help="Do this stage only.")]
Fresh = Annotated[bool, typer.Option(help="Start over; the old folder is set aside.")]


@_experiment_app.command()
def clca(
    config: Config,
    override: Override = None,
    only: Only = None,
    fresh: Fresh = False,
    quiet: Quiet = False,
) -> None:
    """Train on simulated scenes, and see whether answers move towards people: simulate, texts,
    corpora, train, evaluate, report. The same command goes on where it stopped."""
    from training.experiment.config import load_clca
    from training.experiment.stages import STAGES

    chosen = load_clca(config, override or [])
    _do("clca", chosen, STAGES, config, override or [], only, fresh, quiet)


@_experiment_app.command()
def culturespa(
    config: Config,
    override: Override = None,
    only: Only = None,
    fresh: Fresh = False,
    quiet: Quiet = False,
) -> None:
    """Train on a model's own answers, and see the same: generate, collect, select, train, evaluate,
    abilities, report. The same command goes on where it stopped."""
    from training.experiment.spa_config import load_spa_experiment
    from training.experiment.stages import SPA_STAGES

    chosen = load_spa_experiment(config, override or [])
    _do("culturespa", chosen, SPA_STAGES, config, override or [], only, fresh, quiet)


def _do(
    name: str,
    chosen: ExperimentSettings,
    stages: Mapping[str, Stage],
    file: Path,
    override: list[str],
    only: str | None,
    fresh: bool,
    quiet: bool,
) -> None:
    """Do one stage here, or all of them as commands of their own."""
    from simulation.run import set_aside
    from training.experiment.stages import run_stages

    if only is None:
        chosen.require_machine()
    if fresh and chosen.folder.exists():
        _say(f"the old folder is now {set_aside(chosen.folder)}")
    if only is None:
        command = [name, str(file), *(part for one in override for part in ("-o", one))]
        code = run_stages([*command, *(["--quiet"] if quiet else [])], list(stages), _say)
        if code:
            raise typer.Exit(code)
        return
    if only not in stages:
        raise unknown_name("stage", only, stages)
    reason = stages[only](chosen, _say, quiet)
    if reason != "done":
        _say(f"{only} ended early: {reason}; the same command goes on there")
        raise typer.Exit(130 if reason == "drained" else 1)


def _say(line: str) -> None:
    """Print a line that may hold what a model wrote."""
    typer.echo(printable(line))
