"""Commands that go back to what was played: `branch`, `replay`.

Invariant: everything printed that a scenario, a model or a user wrote passes through `printable`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from folkways.cli.ending import say_ending
from folkways.cli.options import Quiet, RunPath
from folkways.text import printable
from simulation.episode.budget import BudgetConfig
from simulation.replay.branching import Wanted
from simulation.replay.branching import branch as start_branches
from simulation.replay.reproduction import reproduce

app = typer.Typer()


@app.command()
def branch(
    run: RunPath,
    episode: Annotated[str, typer.Argument(help="Id of an episode or its beginning.")],
    at: Annotated[int, typer.Option("--at", help="Last turn to keep; 0 keeps none.")],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="ROLE.culture=JPN, ROLE.goal=..., ROLE.secret=..., world.NAME=40; repeat."
        ),
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


@app.command()
def replay(
    run: RunPath,
    episode: Annotated[
        str | None, typer.Argument(help="Id of an episode or its beginning; none for all.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write what was replayed to a new store in this folder.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Play a run again from its log, without a model, and check every prompt and every row."""
    done = reproduce(run, episode, out, quiet)
    branches = f" ({done.branches:,} branches)" if done.branches else ""
    typer.echo(f"episodes  {done.episodes:,}{branches}")
    typer.echo(f"calls     {done.calls:,}")
    typer.echo(f"prompts   {done.prompts:,} rebuilt, each with the hash that was recorded")
    if done.left_aside:
        typer.echo(f"reviews   {done.left_aside:,} calls of critics and labellers left aside")
    for fault in done.faults:
        typer.echo(printable(f"{fault.episode_id}  {fault.what}"))
    if more := done.faulty - len(done.faults):
        typer.echo(f"and {more:,} more")
    if out:
        typer.echo(printable(f"{out}: {done.episodes - done.faulty:,} episodes written"))
    if done.faulty:
        typer.echo(printable(f"{run}: {done.faulty:,} of {done.episodes:,} episodes differ"))
        raise typer.Exit(1)
    typer.echo(printable(f"{run}: the replay is equal to the log"))
