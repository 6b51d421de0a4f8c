"""The command that trains adapters and merges them: `folkways train`.

Invariant: everything printed that a file wrote passes through `printable`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from folkways.cli.options import Override, Quiet
from folkways.errors import UserError
from folkways.text import printable

app = typer.Typer()


@app.command()
def train(
    config: Annotated[
        Path, typer.Argument(help="Training configuration, YAML; with --merge also an adapter.")
    ],
    out: Annotated[
        Path | None, typer.Argument(help="With --merge ADAPTER: the model folder to write.")
    ] = None,
    override: Override = None,
    merge: Annotated[
        bool, typer.Option(help="Write a model with the adapter in its weights, too.")
    ] = False,
    base: Annotated[
        str | None, typer.Option(help="With --merge ADAPTER: its base, if it has moved.")
    ] = None,
    fresh: Annotated[bool, typer.Option(help="Start over; old folders are set aside.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train LoRA adapters on a corpus; the same command again goes on where it stopped.

    Or merge one: folkways train --merge ADAPTER OUT. On several GPUs run: accelerate launch
    --num_processes N -m folkways.cli.train CONFIG.yaml, or torchrun --nproc-per-node N -m
    folkways.cli.train CONFIG.yaml, with the same options.
    """
    if config.is_dir():
        _merge_folder(config, out, base, merge)
        return
    if out is not None or base is not None:
        raise UserError(f"{config} is no folder of an adapter, so OUT and --base mean nothing")
    from training.finetune.config import load_train_config
    from training.finetune.train import train as train_all

    outcomes = train_all(load_train_config(config, override or []), fresh=fresh, quiet=quiet)
    first = os.environ.get("RANK", "0") == "0"
    for outcome in outcomes if first else ():
        typer.echo(printable(f"{outcome.folder}: {outcome.ending}"))
    if any(outcome.ending == "interrupted" for outcome in outcomes):
        if first:
            typer.echo("the same command goes on where this one stopped")
        raise typer.Exit(130)
    if merge and first:
        from training.finetune.merge import merge as merge_one

        for outcome in outcomes:
            target = outcome.folder / "merged"
            if not target.exists():
                merge_one(outcome.folder, target)
            typer.echo(printable(str(target)))


def _merge_folder(adapter: Path, out: Path | None, base: str | None, asked: bool) -> None:
    if not asked or out is None:
        raise UserError(
            f"{adapter} is a folder; train takes a configuration file, or --merge ADAPTER OUT"
        )
    from training.finetune.merge import merge as merge_one

    typer.echo(printable(str(merge_one(adapter, out, base))))


def main() -> None:
    """Run the command as a module, as `accelerate launch -m` and torchrun do."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(train)
    try:
        typer.main.get_command(app)(prog_name="python -m folkways.cli.train")
    except UserError as error:
        if os.environ.get("RANK", "0") == "0":
            print(printable(f"folkways: {error}"), file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
