"""The command `export`: from the store of a run to a corpus.

Invariant: everything printed that a run wrote passes through `printable`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from folkways.cli.options import Quiet
from folkways.text import printable

app = typer.Typer()


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Run directory, or its log.duckdb.")],
    folder: Annotated[Path, typer.Argument(help="Folder to make; empty, missing, or done.")],
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="messages, prompt-completion, preference, sharegpt, parquet, or module:function.",
        ),
    ] = "messages",
    preset: Annotated[
        str | None,
        typer.Option(help="clca (the default), dialogue-only, intent-only or no-filter."),
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(help="dialogue, intent, relevance; with weights: dialogue=2,intent=1."),
    ] = None,
    by: Annotated[str | None, typer.Option(help="What weights weigh: examples or tokens.")] = None,
    repeat: Annotated[
        bool, typer.Option("--repeat", help="Repeat rows of the smaller tasks.")
    ] = False,
    policy: Annotated[
        str | None,
        typer.Option(help="clca, strict, lenient, needs-review, none, or an SQL file."),
    ] = None,
    cultures: Annotated[str | None, typer.Option(help="Cultures, such as DEU,MEX.")] = None,
    parties: Annotated[int | None, typer.Option(min=1, help="Scenes of so many roles.")] = None,
    min_parties: Annotated[int | None, typer.Option(min=1, help="Of so many at least.")] = None,
    max_parties: Annotated[int | None, typer.Option(min=1, help="Of so many at most.")] = None,
    tokens: Annotated[
        int | None, typer.Option(min=1, help="Stop at so many tokens, for corpora of equal size.")
    ] = None,
    validation: Annotated[
        float | None, typer.Option(help="Share of the rows whose scenarios are held out.")
    ] = None,
    hold_out: Annotated[
        str | None,
        typer.Option(help="What rows do not share with those: people (and scenarios), scenarios."),
    ] = None,
    thoughts: Annotated[
        bool, typer.Option("--thoughts", help="With what a person thought before each act.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of split, sampling and order.")] = 0,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Folder of a tokenizer that counts tokens.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Export the accepted episodes of a run as a corpus to train on, with a card."""
    from training.corpus.config import make_config, read_tasks
    from training.corpus.export import export_corpus, made_already

    given: dict[str, Any] = {
        "format": format_,
        "by": by,
        "policy": policy,
        "tokens": tokens,
        "seed": seed,
        "validation": validation,
        "hold_out": hold_out,
        "repeat": repeat or None,
        "thoughts": thoughts or None,
        "tasks": None if tasks is None else read_tasks(tasks),
        "cultures": None if cultures is None else [c.strip() for c in cultures.split(",")],
        "min_parties": parties if min_parties is None else min_parties,
        "max_parties": parties if max_parties is None else max_parties,
        "tokenizer": None if tokenizer is None else str(tokenizer),
    }
    config = make_config(preset, **given)
    if (made := made_already(run, folder, config)) is not None:
        typer.echo(printable(f"{folder}: done already, {config.format}, corpus {made}"))
        return
    contents = export_corpus(run, folder, config, quiet)
    for line in contents.lines():
        typer.echo(printable(line))
    typer.echo(printable(f"{folder}: {config.format}, corpus {contents.hash}"))
