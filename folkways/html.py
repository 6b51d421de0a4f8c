"""HTML pages of one file, with their style inside, in which nothing that others wrote can run.

Invariant: values are escaped, controls and direction overrides in them are made visible, and a
content security policy admits the page's own style alone.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from folkways.text import printable


def render(template: Path, **values: Any) -> str:
    """Return the page that a template makes of values."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["csp_hash"] = _csp_hash
    return environment.get_template(template.name).render(**values)


def _visible(value: Any) -> Any:
    """Return what a template shows, with direction overrides and controls made visible."""
    safe = not isinstance(value, str) or hasattr(value, "__html__")
    return value if safe else printable(value)


def _csp_hash(style: str) -> str:
    """Return the hash by which a content security policy admits an inline style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
