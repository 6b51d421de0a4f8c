"""A study to begin with: a folder with a configuration, two scenes, a query, a README.

Invariant: only a new or empty folder is written to, and what is written runs as it is.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from string import Template

from folkways.errors import UserError
from folkways.files import remove
from folkways.secrets import refuse_secrets
from scenarios.parsing.json_schema import json_schema

_TEMPLATES = Path(__file__).with_name("study")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_HIDDEN = {"ignore.txt": ".gitignore"}
"""Names of files whose templates are named otherwise, so that they ignore nothing here."""


def write_study(name: str, parent: Path = Path()) -> list[Path]:
    """Write the folder `name` below `parent`; return its files, by name.

    Raises UserError for a name that a run cannot have, for what is there already and is not an
    empty folder, and where nothing can be written.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"'{name}' cannot be the name of a study; use letters, digits, '.', '_' and '-' (up to "
            "80, a letter or digit first), as in bread-2026; go to the folder it belongs in first"
        )
    refuse_secrets({"name": name}, "")
    folder, beside = parent / name, parent / f".{name}.part"
    try:
        there = folder.is_symlink() or folder.exists()
        if there and (folder.is_symlink() or not folder.is_dir() or any(folder.iterdir())):
            told = f"'{folder}' is there already and is not an empty folder; choose another name"
            raise UserError(told)
        remove(parent, beside)  # of an attempt that was killed
        written = _write(name, beside)
        beside.rename(folder)
    except OSError as error:
        raise UserError(f"cannot write '{folder}': {error.strerror}") from error
    finally:
        remove(parent, beside)
    return [folder / file for file in written]


def _write(name: str, folder: Path) -> list[Path]:
    """Write all files into a new folder; return where they are in it."""
    schema = json.dumps(json_schema(), indent=2, ensure_ascii=False)
    texts = {Path("scenarios/scenario.schema.json"): f"{schema}\n"}
    for template in _TEMPLATES.rglob("*.*"):
        place = template.relative_to(_TEMPLATES)
        text = Template(template.read_text(encoding="utf-8")).safe_substitute(name=name)
        texts[place.with_name(_HIDDEN.get(place.name, place.name))] = text
    for place, text in texts.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text, encoding="utf-8")
    return sorted(texts)
