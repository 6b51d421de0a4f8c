"""How Sphinx builds the documentation: `make docs` writes it to build/docs, and fails at a
warning.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "folkways"
release = version = _known["version"]
author = copyright = "the folkways authors"  # noqa: A001
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown"}
html_theme = "furo"
html_title = f"folkways {release}"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
suppress_warnings = ["misc.highlighting_failure"]  # of languages that Pygments does not know


def setup(app: Any) -> None:
    """Have docstrings, which are Markdown, read as reStructuredText."""
    app.connect("autodoc-process-docstring", _as_rst)


def _as_rst(
    _app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    found, code = [], False
    for line in lines:
        item = re.match(r" *\* ", line)
        if line.startswith("```"):
            code = not code
            found += [f".. code-block:: {line[3:] or 'text'}", ""] if code else [""]
        elif code:
            found.append(f"   {line}")
        else:
            found += [""] if item else []  # nested lists need a line between them
            found.append(re.sub(r"`([^`]+)`", r"``\1``", line))
    lines[:] = found
