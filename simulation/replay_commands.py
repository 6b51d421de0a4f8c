"""Commands that go back to what was played: `branch`, `replay`.

Invariant: everything printed that a scenario, a model or a user wrote passes through `printable`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scenarios.terminal import printable
from simulation.branching import Wanted
from simulation.branching import branch as start_branches
from simulation.budget import BudgetConfig
from simulation.ending import say_ending

RunPath = Annotated[Path, typer.Argument(help="Run directory, or its log.duckdb.")]
Quiet = Annotated[bool, typer.Option(help="Print no progress.")]


def branch(
    run: RunPath,
    episode: Annotated[str, typer.Argument(help="Id of an episode or its beginning.")],
    at: Annotated[int, typer.Option("--at", help="Last turn to keep; 0 keeps none.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="ROLE.culture=JPN, ROLE.goal=... or ROLE.secret=...; repeat."),
    ] = None,
    say: Annotated[
        str | None, typer.Option(help="Words of the next turn: 'TEXT' or 'ROLE: TEXT'.")
    ] = None,
    n: Annotated[int, typer.Option("--n", help="So many branches, each with a seed.")] = 1,
    model: Annotated[str | None, typer.Option(help="Play with this model.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Branches in progress at once.")] = 64,
    max_tokens_spent: Annotated[
        int | None, typer.Option(min=1, help="Spend so many tokens at most.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Start new episodes from the middle of a stored one; the same command again goes on."""
    wanted = Wanted(episode, at, set_ or (), say, n, model)
    done = start_branches(run, wanted, concurrency, BudgetConfig(tokens=max_tokens_spent), quiet)
    for id_ in done.ids:
        typer.echo(printable(id_))
    say_ending(run, done.reason, f"branches of {done.parent_id} after turn {at} are stored")
