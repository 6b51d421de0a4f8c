"""Prompt templates: Jinja files whose macros turn facts into prompt text.

Invariant: scenario, persona and model text enter as values; no such text is ever compiled as a
template, and none of it begins a line of a prompt by a line break of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from folkways.provenance import short_hash
from scenarios.words import one_line

PROMPTS = Path(__file__).with_name("prompts")


class _Sandbox(ImmutableSandboxedEnvironment):
    """The sandbox, with a short way to the values of templates: keys of dicts, slots of records."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return `obj.attribute` as a template means it."""
        if type(obj) is dict and attribute in obj:
            return obj[attribute]
        if attribute in getattr(type(obj), "__slots__", ()):
            return getattr(obj, attribute)
        return super().getattr(obj, attribute)


class Template:
    """One compiled template file with its text and content hash; its macros are called as
    functions.
    """

    def __init__(self, name: str, text: str, folded: bool = True) -> None:
        """With `folded`, every value is one line: none of it can look like a line of the prompt."""
        self.name, self.text, self.hash = name, text, short_hash(text)
        environment = _Sandbox(
            undefined=StrictUndefined, autoescape=False, finalize=fold if folded else None
        )
        self._macros = environment.from_string(text).module

    def __getattr__(self, macro: str) -> Callable[..., str]:
        function: Callable[..., str] = getattr(self._macros, macro)
        return function


def fold(value: Any) -> Any:
    """Return what a template writes for a value: a text on one line."""
    return one_line(value) if isinstance(value, str) else value


@cache
def load_template(name: str, folder: Path = PROMPTS, folded: bool = True) -> Template:
    """Return the shipped template NAME.jinja of a folder, by default of the prompts of agents."""
    return Template(name, (folder / f"{name}.jinja").read_text(encoding="utf-8"), folded)


def used(templates: tuple[Template, ...]) -> list[dict[str, Any]]:
    """Return templates as rows of the store's table `templates`."""
    return [{"template_hash": t.hash, "name": t.name, "text": t.text} for t in templates]
