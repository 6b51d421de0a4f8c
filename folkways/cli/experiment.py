"""The commands that run whole studies: `experiment clca` and `experiment culturespa`.

Invariant: everything printed that a model or a file wrote passes through `printable`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from folkways.cli.options import Override, Quiet
from folkways.errors import unknown_name
from folkways.text import printable

if TYPE_CHECKING:
    from training.experiment.experiment import ExperimentSettings
    from training.experiment.family import Member
    from training.experiment.stages import Stage

app = typer.Typer()

_experiment_app = typer.Typer(
    no_args_is_help=True, help="Run a whole study: simulate, train, evaluate, report."
)
app.add_typer(_experiment_app, name="experiment")
Config = Annotated[Path, typer.Argument(help="Configuration of the experiment, YAML.")]
Only = Annotated[str | None, typer.Option(help="Do this stage only.")]
Fresh = Annotated[bool, typer.Option(help="Start over; the old folder is set aside.")]
DryRun = Annotated[bool, typer.Option(help="Say what the whole study would take, and stop.")]
Pilot = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="With --dry-run: scenes, or questions on each topic, that the study's own models play "
        "first; without it what is stored already, or else a rehearsal by the fake model.",
    ),
]
Gpus = Annotated[
    Path | None, typer.Option(help="With --dry-run: GPUs and what they reach, YAML of your own.")
]


@_experiment_app.command()
def clca(
    config: Config,
    override: Override = None,
    only: Only = None,
    fresh: Fresh = False,
    dry_run: DryRun = False,
    pilot: Pilot = None,
    gpus: Gpus = None,
    quiet: Quiet = False,
) -> None:
    """Train on simulated scenes, and see whether answers move towards people: simulate, texts,
    corpora, train, evaluate, report. The same command goes on where it stopped."""
    from training.experiment.config import load_clca
    from training.experiment.stages import STAGES

    chosen = load_clca(config, override or [])
    if dry_run:
        _forecast(chosen, pilot, gpus)
        return
    _do(chosen, STAGES, _Command("clca", config, override or [], quiet), only, fresh)


@_experiment_app.command()
def culturespa(
    config: Config,
    override: Override = None,
    only: Only = None,
    fresh: Fresh = False,
    dry_run: DryRun = False,
    pilot: Pilot = None,
    gpus: Gpus = None,
    quiet: Quiet = False,
) -> None:
    """Train on a model's own answers, and see the same: generate, collect, select, train, evaluate,
    abilities, report. The same command goes on where it stopped."""
    from training.experiment.spa_config import load_spa_experiment
    from training.experiment.stages import SPA_STAGES

    chosen = load_spa_experiment(config, override or [])
    if dry_run:
        _forecast(chosen, pilot, gpus)
        return
    _do(chosen, SPA_STAGES, _Command("culturespa", config, override or [], quiet), only, fresh)


def _forecast(chosen: ExperimentSettings, pilot: int | None, gpus: Path | None) -> None:
    """Say what a study would take."""
    from training.experiment.dry_run import dry_run
    from training.experiment.family import members

    for number, member in enumerate(members(chosen)):
        _say(f"{member.name}:")
        model = chosen.model_copy(update={"model": member.model, "name": member.name})
        for line in dry_run(model, pilot, gpus, shared=number > 0):
            _say(line)
    for line in dry_run(chosen, pilot, gpus) if not members(chosen) else ():
        _say(line)


@dataclass(frozen=True, slots=True)
class _Command:
    """What was typed, which the stages are given again."""

    name: str
    file: Path
    override: Sequence[str]
    quiet: bool

    def run(self, stages: Sequence[str], changes: Sequence[str] = ()) -> None:
        """Run stages as commands of their own, with further overrides; exit where one does not
        end."""
        from training.experiment.stages import run_stages

        given = [part for one in (*self.override, *changes) for part in ("-o", one)]
        quiet = ["--quiet"] if self.quiet else []
        code = run_stages([self.name, str(self.file), *given, *quiet], stages, _say)
        if code:
            raise typer.Exit(code)


def _do(
    chosen: ExperimentSettings,
    stages: Mapping[str, Stage],
    typed: _Command,
    only: str | None,
    fresh: bool,
) -> None:
    """Do one stage here, or all of them as commands of their own."""
    from simulation.run import set_aside
    from training.experiment.family import members

    if only is not None and only not in stages:
        raise unknown_name("stage", only, stages)
    together = members(chosen)
    if only is None:
        for model in {member.model for member in together} or {chosen.model}:
            chosen.model_copy(update={"model": model}).require_machine()
    if fresh and chosen.folder.exists():
        _say(f"the old folder is now {set_aside(chosen.folder)}")
    if together:
        _do_all(chosen, together, typed, list(stages) if only is None else [only])
    elif only is None:
        typed.run(list(stages))
    elif (reason := stages[only](chosen, _say, typed.quiet)) != "done":
        _say(f"{only} ended early: {reason}; the same command goes on there")
        raise typer.Exit(130 if reason == "drained" else 1)


def _do_all(
    chosen: ExperimentSettings, together: Sequence[Member], typed: _Command, stages: list[str]
) -> None:
    """Do stages of all studies of several models or corpora, then the report on all."""
    from training.experiment.family import shared_changes, write_family

    if stages[0] == "simulate" and (changes := shared_changes(chosen)):
        typed.run(["simulate"], changes)
    for member in together:
        _say(f"{member.name}:")
        typed.run(stages, member.overrides())
    if stages[-1] == "report":
        _say(str(write_family(chosen, [member.study(chosen) for member in together])))


def _say(line: str) -> None:
    """Print a line that may hold what a model wrote."""
    typer.echo(printable(line))
