"""The shipped scenarios, and loading a scenario by its id or from a file.

Invariant: an id stands for a shipped scenario, and anything that looks like a path for a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from folkways.errors import UserError
from scenarios.parsing.problem import suggest
from scenarios.parsing.validation import load_model
from scenarios.scenario import Scenario

_LIBRARY = Path(__file__).with_suffix("")
"""The folder beside this file that has its name."""
_ADAPTED = _LIBRARY.with_name("adapted")
_TINY = _LIBRARY.with_name("tiny")
_GAMES = _LIBRARY.with_name("games")


def library() -> dict[str, Path]:
    """Return the files of the shipped scenarios by id, in the order of their ids."""
    return {path.stem: path for path in sorted(_LIBRARY.glob("*.yaml"))}


def adapted() -> dict[str, Path]:
    """Return the files of the shipped adaptations of library scenarios to a culture, by id."""
    return {path.stem: path for path in sorted(_ADAPTED.glob("*.yaml"))}


def tiny() -> dict[str, Path]:
    """Return the files of the scenarios that were written for the smallest models, by id."""
    return {path.stem: path for path in sorted(_TINY.glob("*.yaml"))}


def games() -> dict[str, Path]:
    """Return the files of the shipped games, which are scenes with a world, by id."""
    return {path.stem: path for path in sorted(_GAMES.glob("*.yaml"))}


def shipped() -> dict[str, Path]:
    """Return the files of all shipped scenarios by id."""
    return library() | adapted() | tiny() | games()


def without_folders(names: Iterable[str]) -> Iterator[str]:
    """Yield ids and paths of scenarios, in place of a folder the files in it. Raises UserError for
    a folder without any."""
    for name in names:
        if name in shipped() or not Path(name).is_dir():
            yield name
            continue
        files = sorted(Path(name).glob("*.yaml"))
        if not files:
            raise UserError(f"the folder '{name}' holds no scenario (*.yaml)")
        yield from map(str, files)


def find_scenario(path_or_id: Path | str) -> Path:
    """Return the file that a path or the id of a shipped scenario stands for.

    Raises UserError for an id that is not in the library and a path where there is no file.
    """
    path, name = Path(path_or_id), str(path_or_id)
    known = shipped()
    if name in known and not path.is_file():
        return known[name]
    if path.is_file():
        return path
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        raise UserError(
            f"there is no scenario file '{name}'; give a path or the id of a shipped one"
        )
    hint = suggest(name, known) or "; see the list with: folkways scenario list"
    raise UserError(f"no shipped scenario has the id '{name}'{hint}")


def load_scenario(path_or_id: Path | str) -> Scenario:
    """Return the scenario in a file or of the library, given by its id.

    Raises UserError that lists every schema error with file, line and column. Whether the scene
    can be played is the question of `scenarios.checks.check`.
    """
    return load_model(find_scenario(path_or_id), Scenario)[0]
