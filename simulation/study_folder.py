"""A study to begin with: a folder with a configuration, two scenes, a query, a README.

Invariant: only a new or empty folder is written to, and what is written runs as it is.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from string import Template

from scenarios.errors import UserError
from scenarios.schema import json_schema
from scenarios.secrets import refuse_secrets

_TEMPLATES = Path(__file__).with_name("study")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_HIDDEN = {"gitignore": ".gitignore"}
"""Files whose templates are named without the dot, so that they ignore nothing here."""


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
    folder, written = parent / name, []
    try:
        folder.mkdir(exist_ok=True)
        if any(folder.iterdir()):
            raise UserError(f"'{folder}' is there already and is not empty; choose another name")
        for template in sorted(_TEMPLATES.rglob("*")):
            place = template.relative_to(_TEMPLATES)
            file = folder / place.with_name(_HIDDEN.get(place.name, place.name))
            if template.is_dir():
                file.mkdir()
                continue
            text = Template(template.read_text(encoding="utf-8")).safe_substitute(name=name)
            written.append(_write(file, text))
        schema = json.dumps(json_schema(), indent=2, ensure_ascii=False)
        written.append(_write(folder / "scenarios" / "scenario.schema.json", f"{schema}\n"))
    except FileExistsError as error:
        told = f"'{folder}' is there already and is a file; choose another name"
        raise UserError(told) from error
    except OSError as error:
        raise UserError(f"cannot write '{error.filename}': {error.strerror}") from error
    return sorted(written)


def _write(file: Path, text: str) -> Path:
    with file.open("x", encoding="utf-8") as stream:
        stream.write(text)
    return file
