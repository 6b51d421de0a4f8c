"""The launcher and console script: checks that our package names are ours, then mounts the
commands.

Invariant: no command runs with a package that another distribution has shadowed.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

PACKAGES = ("scenarios", "agents", "simulation", "training", "eval")
ALLOW_CODE = "--allow-code"
HOME = Path(__file__).resolve().parent


def shadowed() -> str | None:
    """Return a sentence about the first package name that resolves elsewhere, or None."""
    for name in PACKAGES:
        spec = find_spec(name)
        found = Path(spec.origin).resolve().parent if spec and spec.origin else None
        if found != HOME / name:
            return (
                f"the package name '{name}' resolves to {found or 'nothing'} instead of "
                f"{HOME / name}: install folkways into an environment of its own"
            )
    return None


def main(arguments: list[str] | None = None) -> None:
    """Run a command. Exit codes: 0 ok, 1 the user's error, 2 usage, 130 interrupted."""
    problem = shadowed()
    if problem:
        sys.exit(f"folkways: {problem}")
    import typer

    try:
        try:
            given = with_leave(sys.argv[1:] if arguments is None else arguments)
            typer.main.get_command(application())(args=given, prog_name="folkways")
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _end_unread()
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):
            _end_unread()
        raise
    except KeyboardInterrupt:
        _end("interrupted", 130)
    except Exception as error:
        words = _one_line(error)
        if words is None:
            raise
        _end(words, 1)


def _end(words: str, code: int) -> NoReturn:
    from scenarios.secrets import redacted
    from scenarios.terminal import printable

    print(printable(redacted(f"folkways: {words}")), file=sys.stderr)
    sys.exit(code)


def _end_unread() -> NoReturn:
    """End well where nobody reads on, as in `folkways sql ... | head`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def _one_line(error: Exception) -> str | None:
    """Return what to say of an error that the user can do something about, None for a defect."""
    from scenarios.errors import UserError

    if isinstance(error, UserError):
        return str(error)
    from simulation.connection import fault_of

    return fault_of(error)


def with_leave(arguments: list[str]) -> list[str]:
    """Take `--allow-code`, which every command has, out of the arguments and give the leave."""
    from scenarios.culture import forget_cultures
    from scenarios.registry import Code, allow_code, set_code

    set_code(Code())
    forget_cultures()
    if ALLOW_CODE in arguments:
        allow_code()
    return [argument for argument in arguments if argument != ALLOW_CODE]


def application() -> object:
    """Return the Typer application with all commands mounted."""
    import typer

    from agents import author_commands, model_commands
    from eval.commands import eval_app
    from scenarios.commands import culture_app, persona_app, scenario_app
    from simulation import (
        commands,
        copy_commands,
        doctor_commands,
        reading_commands,
        replay_commands,
        shard_commands,
        status_commands,
        study_commands,
    )
    from simulation.placement import OnCluster
    from simulation.review import commands as review_commands
    from training.corpus.commands import export
    from training.experiment.commands import experiment_app
    from training.spa.commands import spa_app
    from training.tuning.commands import train

    app = typer.Typer(
        name="folkways",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Simulate social life between culture-conditioned agents, and query it with SQL.",
        epilog="Every command takes --allow-code: run code that a scenario, a pool file or a store "
        "names. Without it, only names on the command line and in your configurations are run.",
    )
    scenario_app.command("check")(commands.check)
    scenario_app.command("show")(commands.show)
    scenario_app.command("play")(commands.play)
    scenario_app.command("adapt")(author_commands.adapt)
    scenario_app.command("generate")(author_commands.generate)
    app.add_typer(scenario_app, name="scenario")
    app.add_typer(culture_app, name="culture")
    app.add_typer(persona_app, name="persona")
    app.command("run", cls=OnCluster)(commands.run)
    app.command("sql", cls=reading_commands.SqlCommand)(reading_commands.sql)
    app.command("schema")(reading_commands.schema)
    app.command("view")(reading_commands.view)
    app.command("snapshot")(copy_commands.snapshot)
    app.command("salvage")(copy_commands.salvage)
    app.command("new")(study_commands.new)
    app.command("doctor")(doctor_commands.doctor)
    app.command("models")(model_commands.models)
    app.command("status")(status_commands.status)
    app.command("merge")(shard_commands.merge)
    app.command("pack")(shard_commands.pack)
    app.command("replay")(replay_commands.replay)
    app.command("branch")(replay_commands.branch)
    app.command("critique", cls=OnCluster)(review_commands.critique)
    app.command("label", cls=OnCluster)(review_commands.label)
    app.add_typer(review_commands.review_app, name="review")
    app.add_typer(review_commands.critics_app, name="critics")
    app.command("export")(export)
    app.command("train")(train)
    app.add_typer(eval_app, name="eval")
    app.add_typer(spa_app, name="spa")
    app.add_typer(experiment_app, name="experiment")
    return app


if __name__ == "__main__":
    main()
