"""The commands `scenario adapt` and `scenario generate`.

Invariant: no file is written over without --force, what is finished is written at once unless it is
to be reviewed, and everything printed that a model wrote passes through `printable`.
"""

from __future__ import annotations

import asyncio
import difflib
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from agents.authoring.adaptation import Adaptation, Move, moves_to
from agents.authoring.generation import Generation, place_in
from agents.authoring.norm_table import LONGEST, read_norms
from agents.models.base import Model, open_model
from agents.models.health import FAULTS
from agents.models.watched import Watched
from folkways.cli.options import Override
from folkways.errors import UserError
from folkways.event_loop import run_to_end
from folkways.settings import apply_override
from folkways.text import printable
from scenarios.checks.check import check_file
from scenarios.culture import Culture, named_culture
from scenarios.library import find_scenario, library, load_scenario, without_folders
from scenarios.scenario import Scenario

app = typer.Typer()

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_TOLD_EVERY_S = 10.0
"""Seconds between two lines while no answer comes."""
ROLES = (2, 5)
"""The fewest and the most roles of a generated scenario."""
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}

CulturesOption = Annotated[str, typer.Option(help="ISO alpha-3 ids, joined by commas.")]
ModelOption = Annotated[str, typer.Option(help="Model that writes; the embedded one is too small.")]
OutOption = Annotated[Path, typer.Option(help="Folder for the files.")]
ForceOption = Annotated[bool, typer.Option(help="Write over files that are there.")]
ConcurrencyOption = Annotated[
    int, typer.Option(min=1, max=1024, help="Scenarios in the making at the same time.")
]
CostOption = Annotated[
    float | None, typer.Option(min=0, help="Stop once so many US dollars are spent; takes prices.")
]
SeedOption = Annotated[int, typer.Option(help="Seed of the sampling.")]


@app.command()
def adapt(
    files: Annotated[
        list[str], typer.Argument(help="Scenario files, folders of them, ids, or all: the library.")
    ],
    culture: CulturesOption,
    language: Annotated[
        str | None, typer.Option(help="`native` or a BCP 47 tag; default the original's.")
    ] = None,
    model: ModelOption = "embedded",
    override: Override = None,
    out: OutOption = Path(),
    force: ForceOption = False,
    review: Annotated[bool, typer.Option(help="Show each as a diff and ask first.")] = False,
    tries: Annotated[int, typer.Option(min=1, max=100, help="Tries for each.")] = 1,
    concurrency: ConcurrencyOption = 16,
    cost_usd: CostOption = None,
    seed: SeedOption = 0,
) -> None:
    """Have a model move scenarios to other cultures; what fails the checks is refused. The same
    command again resumes. `-o` sets options of the model's engine, such as prices."""
    names = [name for one in files for name in (library() if one == "all" else [one])]
    paths = {path: _sound(path) for path in map(find_scenario, without_folders(names))}
    _require_writer(model)
    moves = moves_to(paths.values(), _cultures(culture), language, out)
    if review and not sys.stdin.isatty():
        raise UserError("--review asks before it keeps anything and needs a terminal to ask in")
    _make_folder(out)
    made = Adaptation(
        moves,
        out,
        force=force,
        again=force or review,
        seed=seed,
        tries=tries,
        at_once=concurrency,
    )
    left = made.left()
    _tell_of_the_others(moves, left, force, tries)

    async def one(engine: Model, move: Move) -> str | None:
        text = await made.one(engine, move, _say)
        if text is not None and not review:
            made.keep(move, text)
            _say(f"wrote {move.target}")
        return text

    texts = _with_model(model, override, cost_usd, one, left)
    if review:
        sources = {scene.id: path for path, scene in paths.items()}
        for move, text in zip(left, texts, strict=True):
            if text is not None and _is_wanted(sources[move.original.id], move.target, text):
                made.keep(move, text)
                _say(f"wrote {move.target}")
    if len(moves) > 1:
        for line in made.funnel():
            _say(line)
    if (not review and not all(move.target.exists() for move in moves)) or None in texts:
        raise typer.Exit(1)


@app.command()
def generate(
    culture: CulturesOption,
    norm: Annotated[
        str | None, typer.Option(help="The expectation to put under strain, one sentence.")
    ] = None,
    norms: Annotated[
        Path | None, typer.Option(help="File of norms that `scenario import norms` wrote.")
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, max=1000, help="Scenarios for each culture.")] = 1,
    roles: Annotated[
        int | None, typer.Option(min=ROLES[0], max=ROLES[1], help="Roles in each.")
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="`native` or a BCP 47 tag; default English.")
    ] = None,
    model: ModelOption = "embedded",
    override: Override = None,
    out: OutOption = Path(),
    force: ForceOption = False,
    tries: Annotated[int, typer.Option(min=1, max=100, help="Tries for each.")] = 3,
    concurrency: ConcurrencyOption = 16,
    cost_usd: CostOption = None,
    seed: SeedOption = 0,
) -> None:
    """Have a model write new scenarios around a norm, or around many in turn; near-duplicates are
    dropped. The same command again resumes. `-o` sets options of the model's engine."""
    _require_writer(model)
    around = _norms(norm, norms)
    places = [place_in(one, language, "en") for one in _cultures(culture)]
    _make_folder(out)
    made = Generation(
        norms=around,
        places=places,
        roles=(roles, roles) if roles else ROLES,
        count=n,
        out=out,
        force=force,
        seed=seed,
        tries=tries,
        at_once=concurrency,
    )
    left = made.left()
    _with_model(
        model, override, cost_usd, lambda engine, wanted: made.one(engine, wanted, _say), left
    )
    for line in made.funnel():
        _say(line)
    written = len(left) - len(made.left())
    failed = written < len(left) and any(kind in FAULTS for kind in made.dropped)
    if failed or made.is_empty():
        raise typer.Exit(1)


def _norms(norm: str | None, file: Path | None) -> list[str]:
    """Return the norms that are given, one or those of a file."""
    if (norm is None) == (file is None):
        raise UserError("give one norm with --norm, or a file of them with --norms")
    if file is not None:
        return [one.text for one in read_norms(file)]
    norm = " ".join(str(norm).split())
    if not 1 <= len(norm) <= LONGEST:
        raise UserError(f"the norm has {len(norm)} characters; allowed: 1 to {LONGEST}")
    return [norm]


def _with_model(
    name: str,
    override: list[str] | None,
    cost_usd: float | None,
    job: Callable[[Model, _Item], Awaitable[_Result]],
    items: Sequence[_Item],
) -> list[_Result]:
    """Return what a job returns for each item, done at the same time by one model, which is not
    started where there is no item."""
    options: dict[str, Any] = {}
    for one in override or ():
        apply_override(options, one)
    if not items:
        return []
    done = 0

    async def waiting(engine: Watched) -> None:
        while True:
            await asyncio.sleep(_TOLD_EVERY_S)
            _say(f"{done} of {len(items)} done | {engine.line()}; waiting", err=True)

    async def finished(engine: Watched, item: _Item) -> _Result:
        nonlocal done
        result = await job(engine, item)
        done += 1
        return result

    async def run() -> list[_Result]:
        engine = Watched(open_model(name, options), cost_usd)
        await engine.start()
        still = asyncio.create_task(waiting(engine))
        try:
            return await asyncio.gather(*(finished(engine, item) for item in items))
        finally:
            still.cancel()
            _say(engine.line(), err=True)
            await engine.close()

    return run_to_end(run())


def _say(line: str, err: bool = False) -> None:
    """Print a line that may hold what a model wrote."""
    typer.echo(printable(line), err=err)


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


def _tell_of_the_others(
    moves: Sequence[Move], left: Sequence[Move], force: bool, tries: int
) -> None:
    """Print what of the moves is not tried, and why."""
    there = [] if force else [move.target for move in moves if move.target.exists()]
    if len(there) == 1:
        _say(f"{there[0]} exists already and is kept; --force writes over it")
    elif there:
        _say(f"{len(there)} files exist already and are kept; --force writes over them")
    if refused := len(moves) - len(there) - len(left):
        _say(f"{refused} refused before; --tries {tries + 1} tries once more")


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"'{out}' cannot be a folder: {error.strerror}") from error


def _is_wanted(path: Path, target: Path, text: str) -> bool:
    """Print a unified diff from the original file to the new text, and ask whether to keep it."""
    console = Console(highlight=False, soft_wrap=True)
    old = path.read_text(encoding="utf-8").splitlines()
    for line in difflib.unified_diff(old, text.splitlines(), str(path), str(target), lineterm=""):
        console.print(Text(printable(line), style=_COLOURS.get(line[:1], "")))
    return typer.confirm(f"Keep {target}?")
