"""The sub-commands `scenario`, `culture` and `persona`.

Invariant: text from files is printed only after control characters have been made visible.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import BaseModel

from folkways.errors import UserError, unknown_name
from folkways.text import printable
from scenarios.checks.check import check_file
from scenarios.culture import (
    add_cultures,
    gaps,
    load_cultures,
    named_culture,
    write_culture,
)
from scenarios.descriptors import hofstede_words, map_words
from scenarios.library import adapted, games, library, load_scenario, tiny
from scenarios.needs import needs_of
from scenarios.parsing.json_schema import json_schema
from scenarios.parsing.problem import Problem, suggest
from scenarios.parsing.yaml_file import load_yaml
from scenarios.persona import Persona
from scenarios.pool import draw_pool, load_personas
from scenarios.sampling.comparison import compare
from scenarios.sampling.figures import source_of, without_figures
from scenarios.sampling.name_book import known_cultures
from scenarios.sampling.population import sample_personas
from scenarios.skeleton import MAX_ROLES, write_skeleton

app = typer.Typer()

scenario_app = typer.Typer(help="Check, write and find scenario files.", no_args_is_help=True)
_culture_app = typer.Typer(help="Look at cultures, or write your own.", no_args_is_help=True)
_persona_app = typer.Typer(help="Look at personas, or draw new ones.", no_args_is_help=True)
app.add_typer(_culture_app, name="culture")
app.add_typer(_persona_app, name="persona")


def _print(text: str, err: bool = False) -> None:
    typer.echo(printable(text), err=err)


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns, the first row being the heads."""
    safe = [[" ".join(printable(cell).split()) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*safe, strict=True)]
    for row in safe:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo(line.rstrip())


def _print_yaml(data: Any) -> None:
    text = yaml.safe_dump(data, allow_unicode=True, sort_keys=False, width=100)
    _print(text.rstrip("\n"))


def _plain(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", exclude_none=True)


def report(
    paths: Sequence[Path],
    personas: Mapping[str, Persona] | None,
    further: Callable[[Path], list[Problem]],
) -> None:
    """Print every problem of scenario files, and what else there is to say of sound ones; exit
    with 1 if there is an error.
    """
    failed = warned = 0
    for path in paths:
        try:
            problems = check_file(path, personas=personas)
            if not any(problem.severity == "error" for problem in problems):
                problems += further(path)
        except UserError as error:
            _print(f"{path}:1:1: error: {error}")
            failed += 1
            continue
        for problem in problems:
            _print(problem.render(str(path)))
        failed += any(problem.severity == "error" for problem in problems)
        warned += sum(problem.severity == "warning" for problem in problems)
    files_, warnings_ = _count(len(paths), "file"), _count(warned, "warning")
    _print(f"{files_} checked, {failed} with errors, {warnings_}", err=True)
    if failed:
        raise typer.Exit(1)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@scenario_app.command("schema")
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors and other programs."""
    typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))


@scenario_app.command("new")
def new(
    file: Annotated[Path, typer.Argument(help="Where to write it; the name becomes the id.")],
    roles: Annotated[int, typer.Option(help=f"How many roles, 2 to {MAX_ROLES}.")] = 2,
) -> None:
    """Write a commented scenario file that passes the check."""
    write_skeleton(file, roles)
    _print(f"wrote {file}; next: folkways scenario check {file}")


@scenario_app.command("list")
def list_scenarios(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Files of your own, or folders, to list instead.")
    ] = None,
    theme: Annotated[str | None, typer.Option(help="Only scenarios of this theme.")] = None,
    roles: Annotated[int | None, typer.Option(help="Only scenarios with so many roles.")] = None,
    to_cultures: Annotated[
        bool, typer.Option("--adapted", help="List the adaptations to cultures instead.")
    ] = False,
    to_tiny: Annotated[
        bool, typer.Option("--tiny", help="List those for the smallest models instead.")
    ] = False,
    with_worlds: Annotated[
        bool, typer.Option("--games", help="List the games, which keep count, instead.")
    ] = False,
) -> None:
    """List the shipped scenarios, or those in files and folders, with the model that they need."""
    own = [
        file
        for path in files or ()
        for file in (sorted(path.glob("*.y*ml")) if path.is_dir() else [path])
    ]
    there = tiny if to_tiny else games if with_worlds else adapted if to_cultures else library
    scenes = [*map(load_scenario, own if files else there())]
    themes = {scene.theme for scene in scenes}
    if theme is not None and theme not in themes:
        raise unknown_name("theme", theme, themes)
    rows = [
        (
            scene.id,
            str(len(scene.roles)),
            needs_of(scene),
            scene.culture or "any",
            scene.theme,
            scene.title,
        )
        for scene in scenes
        if (theme is None or scene.theme == theme) and (roles is None or len(scene.roles) == roles)
    ]
    _print_table([("id", "roles", "needs", "culture", "theme", "title"), *rows])


@_culture_app.command("list")
def list_cultures(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Files of cultures of your own to list as well.")
    ] = None,
) -> None:
    """List the shipped cultures, and those in files."""
    add_cultures(files or ())
    rows = [
        (culture.id, culture.name, ", ".join(culture.languages), str(len(culture.norms)))
        for culture in load_cultures().values()
    ]
    _print_table([("id", "name", "languages", "norms"), *rows])


@_culture_app.command("show")
def show_culture(
    culture_id: Annotated[str, typer.Argument(help="ISO alpha-3, as in JPN, or a file.")],
) -> None:
    """Print a culture's numbers, the words computed from them, and its norms with sources."""
    culture = named_culture(culture_id)
    data = _plain(culture)
    norms = data.pop("norms")
    words: dict[str, Any] = dict(hofstede_words(culture.hofstede))
    if culture.inglehart_welzel:
        words["inglehart_welzel"] = list(map_words(culture.inglehart_welzel))
    _print_yaml(data | {"descriptors": words, "norms": norms})


@_culture_app.command("new")
def new_culture(
    file: Annotated[Path, typer.Argument(help="Where to write it; the name is the id: XAA.yaml.")],
) -> None:
    """Write a commented culture file, with the numbers and sources to fill in."""
    write_culture(file)
    _print(f"wrote {file}; fill it in; next: folkways culture check {file}")


@_culture_app.command("check")
def check_cultures(
    files: Annotated[list[Path], typer.Argument(help="Culture files.")],
) -> None:
    """Report every problem of culture files; the exit status is 1 if there is an error."""
    failed = 0
    for path in files:
        try:
            (culture,) = add_cultures([path])
        except UserError as error:
            _print(str(error))
            failed += 1
            continue
        source = load_yaml(path)
        for finding in gaps(culture):
            _print(source.place(finding).render(str(path)))
        if culture.id not in known_cultures():
            told = f"{path}: no names are known for {culture.id}, so that nobody can be sampled; "
            _print(f"{told}give a pool of people in cast.pools", err=True)
    _print(f"{_count(len(files), 'file')} checked, {failed} with errors", err=True)
    if failed:
        raise typer.Exit(1)


@_persona_app.command("list")
def list_personas(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Pool files of your own to list instead.")
    ] = None,
    culture: Annotated[str | None, typer.Option(help="Only personas of this culture.")] = None,
) -> None:
    """List the shipped personas, or those of pool files (of a large one those who are drawn)."""
    own = [persona for path in files or () for persona in draw_pool(path, 0)]
    personas = own if files else list(load_personas().values())
    cultures = {persona.culture for persona in personas}
    if culture is not None and culture.upper() not in cultures:
        raise unknown_name("culture with shipped personas", culture, cultures)
    rows = [
        (p.id, p.name, str(p.age), p.gender, p.occupation, p.place)
        for p in personas
        if culture is None or p.culture == culture.upper()
    ]
    _print_table([("id", "name", "age", "gender", "occupation", "place"), *rows])


@_persona_app.command("show")
def show_persona(persona_id: Annotated[str, typer.Argument(help="Id of a persona.")]) -> None:
    """Print all that is known of a shipped persona."""
    personas = load_personas()
    if persona_id not in personas:
        hint = suggest(persona_id, personas) or "; see the list with: folkways persona list"
        raise UserError(f"no shipped persona has the id '{persona_id}'{hint}")
    _print_yaml(_plain(personas[persona_id]))


@_persona_app.command("sample")
def sample(
    culture: Annotated[str, typer.Argument(help="ISO alpha-3, as in JPN.")],
    count: Annotated[int, typer.Option(help="How many.", min=1, max=100_000)] = 10,
    seed: Annotated[int, typer.Option(help="The same seed gives the same people.")] = 0,
    report: Annotated[
        bool,
        typer.Option("--report", help="Print the sample beside the country's figures instead."),
    ] = False,
) -> None:
    """Draw new personas and print them as a pool file."""
    culture = culture.upper()
    people = sample_personas(culture, count, seed)
    if report:
        _print_report(culture, people)
    else:
        made = f"sampled by folkways: culture {culture}, seed {seed}"
        _print_yaml({"provenance": made, "personas": [_plain(person) for person in people]})
    missing = "; ".join(without_figures(culture))
    _print(f"no figures, so not a demographic picture of {culture}: {missing}", err=not report)


def _print_report(culture: str, people: Sequence[Persona]) -> None:
    """Print each published share, that of the people, and the difference in points."""
    rows = compare(culture, people)
    cells = [
        (
            row.name,
            row.years,
            f"{row.published:.1%}",
            "-" if row.drawn is None else f"{row.drawn:.1%}",
            "-" if row.drawn is None else f"{100 * (row.drawn - row.published):+.1f}",
        )
        for row in rows
    ]
    _print_table([(culture, "years", "published", f"{len(people)} drawn", "points"), *cells])
    for source in dict.fromkeys(source_of(row.figure) for row in rows):
        _print(f"source: {source.title}; {source.licence}; read from {source.read_from}")
