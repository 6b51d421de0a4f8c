"""The commands `scenario import sotopia` and `scenario import norms`.

Invariant: no file is written over without --force, and everything printed that a file held passes
through `printable`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
import yaml

from folkways.errors import UserError
from folkways.files import write_named
from folkways.text import printable

app = typer.Typer()
_import_app = typer.Typer(
    help="Take over scenes and norms that others published.", no_args_is_help=True
)
app.add_typer(_import_app, name="import")

_TOLD = 10
"""Records left out that are told one by one."""


@_import_app.command()
def sotopia(
    files: Annotated[
        list[Path], typer.Argument(help="Environments, people and pairs of them: JSON, JSONL.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the scenario files.")],
    culture: Annotated[
        str | None, typer.Option(help="Culture of the people, ISO alpha-3; Sotopia has none.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Write over files that are there.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of what Sotopia does not say of people.")] = 0,
) -> None:
    """Turn your copy of Sotopia's profiles into scenario files, and its people into a pool."""
    from agents.authoring.foreign import read_records
    from agents.authoring.sotopia import import_sotopia, pool_of
    from scenarios.culture import named_culture
    from scenarios.layout import lay_out, write_scenario

    place = None if culture is None else named_culture(culture)
    made = import_sotopia([one for path in files for one in read_records(path)], place, seed)
    texts = {out / f"{scene['id']}.yaml": lay_out(scene) for scene in made.scenes}
    if made.people and place:
        pool = yaml.safe_dump(pool_of(made, place), sort_keys=False, allow_unicode=True)
        texts[out / "personas" / f"sotopia-{place.id.lower()}.yaml"] = pool
    _require_free(texts, force)
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_scenario(path, text, force)
    for where, reason in made.left_out[:_TOLD]:
        _say(f"{where}: left out: {reason}", err=True)
    if len(made.left_out) > _TOLD:
        _say(f"and {len(made.left_out) - _TOLD} more left out", err=True)
    read = ", ".join(f"{kind}: {number}" for kind, number in made.kinds.items())
    wrote = f"scenes: {len(made.scenes)}, people: {len(made.people)}"
    _say(f"read {read}; wrote {wrote}; left out: {len(made.left_out)}")
    if not texts:
        raise typer.Exit(1)


@_import_app.command()
def norms(
    file: Annotated[Path, typer.Argument(help="Table of norms: CSV, or text with tabs.")],
    out: Annotated[Path, typer.Option(help="File of norms to write, JSONL.")],
    column: Annotated[
        str | None, typer.Option(help="Column with the norms, where the table is not a known one.")
    ] = None,
    n: Annotated[int | None, typer.Option("--n", min=1, help="So many norms at most.")] = None,
    seed: Annotated[int, typer.Option(help="Seed by which --n draws them.")] = 0,
    force: Annotated[bool, typer.Option(help="Write over a file that is there.")] = False,
) -> None:
    """Turn a table of norms into a file for `scenario generate --norms`."""
    from agents.authoring.norm_table import norm_lines, read_norm_table

    table = read_norm_table(file, column)
    kept = table.sample(n, seed)
    _require_free([out], force)
    write_named(out, norm_lines(kept))
    _say(f"{len(table.norms) + table.left_out.total()} rows: {_counted(table.left_out)}")
    _say(f"wrote {len(kept)} of {len(table.norms)} norms to {out}")


def _counted(reasons: Counter[str]) -> str:
    told = [f"{number:,} {reason}" for reason, number in reasons.most_common()]
    return ", ".join(told) or "none left out"


def _require_free(paths: Iterable[Path], force: bool) -> None:
    for path in paths:
        if path.exists() and not force:
            raise UserError(f"'{path}' exists already; add --force to write over it")


def _say(line: str, err: bool = False) -> None:
    typer.echo(printable(line), err=err)
