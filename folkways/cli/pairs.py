"""The commands of blind pairs: `review pair`, `review preferences`.

Invariant: everything printed that a model, a reader or a file wrote passes through `printable`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from folkways.cli.options import Override
from folkways.errors import UserError
from folkways.settings import apply_override
from folkways.text import printable
from simulation.display.output import refuse_to_overwrite


def pair(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Two or more runs of the same scenes.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="CSV sheet to write; its key lies beside it.")
    ] = None,
    n: Annotated[int | None, typer.Option("--n", min=1, help="So many pairs at most.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the order, and of who stands left.")] = 0,
    model: Annotated[
        str | None, typer.Option(help="Have a model read them, each in both orders.")
    ] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Pairs whose better side is known, not of runs.")
    ] = False,
    option: Override = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Pairs in progress at once.")] = 8,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a sheet of blind pairs: two transcripts of the same scene, to say which is better.

    With --model the same command again reads what is left of the sheet. `-o` sets options of its
    engine.
    """
    from eval.play.known_pairs import FAULTY, SOUND, write_known_pairs
    from eval.play.pairs import key_of, write_pairs

    file = out or Path("pairs-calibration.csv" if calibrate else "pairs.csv")
    if calibrate and (runs or model is None):
        raise UserError("--calibrate tests a reader: give --model, and no runs")
    systems = {SOUND, FAULTY} if calibrate else {run.name for run in runs or []}
    if not (model and not force and _is_of(file, systems)):
        refuse_to_overwrite(file, force)
        pairs = (
            write_known_pairs(file, n, seed)
            if calibrate
            else write_pairs(runs or [], file, n, seed)
        )
        typer.echo(printable(f"{file}: {pairs} pairs to read; {key_of(file)} says whose they are"))
    if model:
        _read(file, model, option or [], concurrency, calibrate)


def _is_of(file: Path, systems: set[str]) -> bool:
    """Tell whether a sheet is there whose pairs are of these systems."""
    from eval.play.pairs import key_of, read_key

    if not (file.is_file() and key_of(file).is_file()):
        return False
    return {name for side in read_key([file]).values() for name in side[:2]} <= systems


def _read(file: Path, model: str, override: list[str], concurrency: int, known: bool) -> None:
    """Have a model read a sheet, and print what it preferred, or how often it was right."""
    from eval.play.known_pairs import accuracy
    from eval.play.pairs import read_choices
    from eval.play.reader import read_pairs
    from folkways.event_loop import run_to_end

    options: dict[str, Any] = {}
    for one in override:
        apply_override(options, one)
    own, readings, failed = run_to_end(read_pairs(file, model, options, concurrency))
    typer.echo(printable(f"{own}: {readings} readings, {failed} of which failed"))
    choices, key = read_choices([own], None)
    for row in accuracy(choices, key) if known else ():
        typer.echo(
            f"{row.kind}: right in {row.share:.0%} of {row.pairs} "
            f"(95 %: {row.low:.0%} to {row.high:.0%})"
        )
    _print(choices, key, shares=not known)


def preferences(
    sheets: Annotated[list[Path], typer.Argument(help="Sheets of pairs that were filled in.")],
    reader: Annotated[
        str | None, typer.Option(help="Who read, where the sheet's column is empty.")
    ] = None,
) -> None:
    """Print what readers of blind pairs preferred, with intervals over scenes.

    Sheets of one key are taken together: those of people, and those that a model filled in.
    """
    from eval.play.pairs import read_choices

    _print(*read_choices(sheets, reader))


def _print(choices: Any, key: Any, shares: bool = True) -> None:
    from eval.play.preference import preferences

    found = preferences(choices, key)
    for one in found["pairs"] if shares else ():
        typer.echo(
            printable(
                f"{one['first']} over {one['second']}: {one['share']:.0%} of {one['n']} "
                f"(95 %: {one['low']:.0%} to {one['high']:.0%}; ties count half)"
            )
        )
    for name, share in found["strengths"].items() if shares else ():
        typer.echo(printable(f"strength (Bradley-Terry) of {name}: {share:.2f}"))
    if found["left_share"] is not None and shares:
        typer.echo(f"left side chosen: {found['left_share']:.0%}; ties: {found['ties']}")
    if found["agreement"]["n"]:
        same, times = found["agreement"]["share"], found["agreement"]["n"]
        typer.echo(f"two readers of a pair agree: {same:.0%} of {times}")
    for name, seen in found["both_orders"].items():
        first, alike = (_percent(seen[part]) for part in ("first_share", "alike_share"))
        typer.echo(
            printable(
                f"{name}: chose the first shown in {first}; same choice in both "
                f"orders: {alike} of {seen['pairs']}"
            )
        )
    for name in found["left_out"]:
        typer.echo(printable(f"left out: {name} chose nearly always the same side"))


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.0%}"
