"""Commands about what was judged: `review` and those in it.

Invariant: what a model, a scenario or an annotator wrote is printed as text that cannot steer the
terminal.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from folkways.cli.options import RunPath
from folkways.cli.pairs import pair, preferences
from folkways.text import printable
from scenarios.sheet import find_encoding
from simulation.display.output import console_for, output, refuse_to_overwrite
from simulation.review.funnel import print_funnel
from simulation.store.reader import open_reader, runs_beside

app = typer.Typer()

Policy = Annotated[
    str, typer.Option(help="clca, strict, lenient, needs-review, or an SQL file of your own.")
]


class _ShowsByDefault(TyperGroup):
    """Takes `review RUN` for `review show RUN`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = ["show", *args]
        rest: list[str] = super().parse_args(ctx, args)
        return rest


_review_app = typer.Typer(
    cls=_ShowsByDefault,
    no_args_is_help=True,
    help="Look at what critics made of a run, and exchange ratings with people: "
    "review RUN, review export, review import, review pair.",
)
app.add_typer(_review_app, name="review")


@_review_app.command("show")
def show(
    run: RunPath,
    policy: Policy = "clca",
    examples: Annotated[int, typer.Option(min=0, help="Examples of drops to print.")] = 3,
) -> None:
    """Print the funnel of a run, why episodes were dropped, and how far judges agree."""
    with output() as stream, closing(open_reader(run)) as con:
        print_funnel(con, policy, examples, console_for(stream), runs_beside(run))


@_review_app.command("export")
def export(
    run: RunPath,
    file: Annotated[Path, typer.Argument(help="CSV sheet to write.")],
    policy: Annotated[
        str | None, typer.Option(help="Only the episodes that this policy accepts.")
    ] = None,
    n: Annotated[int | None, typer.Option("--n", min=1, help="So many episodes at most.")] = None,
    seed: Annotated[int, typer.Option(help="Seed by which --n draws them.")] = 0,
    intents: Annotated[
        bool, typer.Option("--intents", help="Rate labelled turns instead; --n counts turns.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a sheet for annotators: one row for each thing to rate, verdicts not shown."""
    from simulation.review.ratings import export_intents, export_sheet

    refuse_to_overwrite(file, force)
    with closing(open_reader(run)) as con:
        if intents:
            rows = export_intents(con, file, n, seed)
        else:
            rows = export_sheet(con, file, policy, n, seed)
    typer.echo(printable(f"{file}: {rows} rows to rate"))


@_review_app.command("import")
def import_(
    run: RunPath,
    file: Annotated[Path, typer.Argument(help="CSV sheet that was filled in.")],
    annotator: Annotated[
        str | None, typer.Option(help="Who rated, where the sheet's column is empty.")
    ] = None,
) -> None:
    """Read a sheet back: its ratings are stored beside the critics' verdicts."""
    from simulation.review.ratings import import_sheet

    stored, empty = import_sheet(run, file, annotator)
    left = f", {empty} rows left empty" if empty else ""
    typer.echo(printable(f"{file}: {stored} ratings stored{left}"))
    if find_encoding(file) == "latin-1":
        typer.echo(
            "it is not in Unicode and was read as Windows-1252, or as Mac Roman where its lines "
            "end as on an old Macintosh; if letters are wrong in comments or names, save it as "
            "'CSV UTF-8' and import it again"
        )


_review_app.command("pair")(pair)
_review_app.command("preferences")(preferences)
