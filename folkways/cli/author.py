"""The commands `scenario adapt` and `scenario generate`.

Invariant: no file is written over without --force, what is finished is written at once unless it is
to be reviewed, and everything printed that a model wrote passes through `printable`.
"""

from __future__ import annotations

import asyncio
import difflib
import re
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from agents.authoring.author import Refused, adapt_scenario
from agents.authoring.generation import Generation
from agents.models.base import Model, open_model
from agents.models.health import FAULTS
from agents.models.watched import Watched
from folkways.errors import UserError
from folkways.event_loop import run_to_end
from folkways.text import printable
from scenarios.adaptation import load_scenes
from scenarios.checks.check import check_file
from scenarios.culture import Culture, named_culture
from scenarios.layout import lay_out, write_scenario
from scenarios.library import adapted, find_scenario, load_scenario
from scenarios.scenario import Scenario

app = typer.Typer()

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_LONGEST_ID = 60
_TOLD_EVERY_S = 10.0
"""Seconds between two lines while no answer comes."""
ROLES = (2, 5)
"""The fewest and the most roles of a generated scenario."""
_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}

CulturesOption = Annotated[str, typer.Option(help="ISO alpha-3 ids, joined by commas.")]
ModelOption = Annotated[str, typer.Option(help="Model that writes; the embedded one is too small.")]
OutOption = Annotated[Path, typer.Option(help="Folder for the files.")]
ForceOption = Annotated[bool, typer.Option(help="Write over files that are there.")]
SeedOption = Annotated[int, typer.Option(help="Seed of the sampling.")]


@app.command()
def adapt(
    file: Annotated[str, typer.Argument(help="Scenario file, or id of a shipped scenario.")],
    culture: CulturesOption,
    language: Annotated[
        str | None, typer.Option(help="`native` or a BCP 47 tag; default the original's.")
    ] = None,
    model: ModelOption = "embedded",
    out: OutOption = Path(),
    force: ForceOption = False,
    review: Annotated[bool, typer.Option(help="Show each as a diff and ask first.")] = False,
    seed: SeedOption = 0,
) -> None:
    """Have a model move a scenario to other cultures; what fails the checks is refused."""
    path = find_scenario(file)
    original = _sound(path)
    _require_writer(model)
    targets = _targets(original, _cultures(culture), language, out, force)
    if review and not sys.stdin.isatty():
        raise UserError("--review asks before it keeps anything and needs a terminal to ask in")
    siblings = _siblings(original, out, targets)

    async def one(engine: Model, target: Path) -> str | None:
        to, tag = targets[target]
        try:
            data = await adapt_scenario(engine, original, to, tag, target.stem, siblings, seed)
        except Refused as reason:
            typer.echo(printable(f"{to.id}: refused: {reason}"), err=True)
            return None
        siblings.append(Scenario.model_validate(data))
        if not review:
            _keep(target, lay_out(data), force)
        return lay_out(data)

    texts = _with_model(model, one, targets)
    for target, text in zip(targets, texts, strict=True):
        if review and text is not None:
            _show_changes(path, target, text)
            if typer.confirm(f"Keep {target}?"):
                _keep(target, text, force)
    if None in texts:
        raise typer.Exit(1)


@app.command()
def generate(
    norm: Annotated[str, typer.Option(help="The expectation to put under strain, one sentence.")],
    culture: Annotated[str, typer.Option(help="ISO alpha-3, as in CHN.")],
    n: Annotated[int, typer.Option("--n", min=1, max=1000, help="How many scenarios.")] = 1,
    roles: Annotated[
        int | None, typer.Option(min=ROLES[0], max=ROLES[1], help="Roles in each.")
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="`native` or a BCP 47 tag; default English.")
    ] = None,
    model: ModelOption = "embedded",
    out: OutOption = Path(),
    force: ForceOption = False,
    seed: SeedOption = 0,
) -> None:
    """Have a model write new scenarios around a norm; near-duplicates are dropped."""
    _require_writer(model)
    norm = " ".join(norm.split())
    if not 1 <= len(norm) <= 400:
        raise UserError(f"the norm has {len(norm)} characters; allowed: 1 to 400")
    place = named_culture(culture)
    made = Generation(
        norm,
        place,
        _language(language, place, "en"),
        (roles, roles) if roles else ROLES,
        n,
        out,
        force,
        seed,
    )
    _make_folder(out)

    def told(line: str, err: bool = False) -> None:
        typer.echo(printable(line), err=err)

    _with_model(model, lambda engine, number: made.one(engine, number, told), range(1, n + 1))
    told(made.summary())
    failed = made.written < n and any(kind in FAULTS for kind in made.dropped)
    if failed or not made.written:
        raise typer.Exit(1)


def _with_model(
    name: str, job: Callable[[Model, _Item], Awaitable[_Result]], items: Iterable[_Item]
) -> list[_Result]:
    """Return what a job returns for each item, all of them done at the same time by one model."""

    def told(line: str) -> None:
        typer.echo(printable(line), err=True)

    async def waiting(engine: Watched) -> None:
        while True:
            await asyncio.sleep(_TOLD_EVERY_S)
            told(f"{engine.line()}; waiting")

    async def run() -> list[_Result]:
        engine = Watched(open_model(name))
        await engine.start()
        still = asyncio.create_task(waiting(engine))
        try:
            return await asyncio.gather(*(job(engine, item) for item in items))
        finally:
            still.cancel()
            told(engine.line())
            await engine.close()

    return run_to_end(run())


def _require_writer(name: str) -> None:
    """Raise UserError for a model whose every answer is refused."""
    if name.rpartition(":")[2] == "embedded":
        raise UserError(
            f"the model '{name}' is too small to write a scenario, and all it writes is refused; "
            "choose a larger one: --model openai:NAME@BASE_URL, or vllm:PATH_OR_ID"
        )


def _sound(path: Path) -> Scenario:
    """Return the scenario in a file that has no errors."""
    errors = [problem for problem in check_file(path) if problem.severity == "error"]
    if errors:
        raise UserError(
            f"{errors[0].render(str(path))}; mend the file first (errors: {len(errors)})"
        )
    return load_scenario(path)


def _cultures(names: str) -> list[Culture]:
    ids = dict.fromkeys(name.strip() for name in names.split(",") if name.strip())
    if not ids:
        raise UserError("no culture is given; give ISO alpha-3 ids, as in JPN,MEX")
    return [named_culture(id_) for id_ in ids]


def _language(given: str | None, culture: Culture, default: str) -> str:
    tag = culture.languages[0] if given == "native" else given or default
    if not _TAG.fullmatch(tag):
        raise UserError(f"'{tag}' is no language tag; allowed: native, or BCP 47 such as pt-BR")
    return tag


def _targets(
    original: Scenario, cultures: Iterable[Culture], language: str | None, out: Path, force: bool
) -> dict[Path, tuple[Culture, str]]:
    """Return the files to be written, each with its culture and language; make their folder."""
    targets = {}
    for culture in cultures:
        tag = _language(language, culture, original.language)
        if culture.id == original.culture:
            raise UserError(f"'{original.id}' is set in {culture.id} already; choose another")
        suffix = f"-{culture.id}" if tag == original.language else f"-{culture.id}-{tag}"
        name = original.id[: _LONGEST_ID - len(suffix)].rstrip("-") + suffix.lower()
        target = out / f"{name}.yaml"
        targets[target] = (culture, tag)
    there = [target for target in targets if target.exists() and not force]
    if len(there) == len(targets):
        raise UserError(f"'{there[0]}' exists already; add --force to write over it")
    for target in there:
        typer.echo(printable(f"{target} exists already and is kept; --force writes over it"))
        del targets[target]
    _make_folder(out)
    return targets


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"'{out}' cannot be a folder: {error.strerror}") from error


def _siblings(original: Scenario, out: Path, targets: Iterable[Path]) -> list[Scenario]:
    """Return the adaptations there are, shipped and in the folder, but for those to be replaced."""
    files = [*adapted().values(), *sorted(set(out.glob("*.yaml")) - set(targets))]
    return [scene for scene in load_scenes(files) if scene.provenance.parent == original.id]


def _keep(target: Path, text: str, force: bool) -> None:
    write_scenario(target, text, force)
    typer.echo(printable(f"wrote {target}"))


def _show_changes(path: Path, target: Path, text: str) -> None:
    """Print a unified diff from the original file to the new text."""
    console = Console(highlight=False, soft_wrap=True)
    old = path.read_text(encoding="utf-8").splitlines()
    for line in difflib.unified_diff(old, text.splitlines(), str(path), str(target), lineterm=""):
        console.print(Text(printable(line), style=_COLOURS.get(line[:1], "")))
