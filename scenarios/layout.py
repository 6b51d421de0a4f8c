"""A scenario laid out as a YAML file that reads like those of the library.

Invariant: reading the text gives back the same data; nothing in it is a tag, an anchor or an alias.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from folkways.errors import UserError
from folkways.files import write_whole
from scenarios.parsing.scalar import resolve_scalar

_WIDTH = 90
"""Columns after which a line ends with the word that it is in."""
_FOLDED_FROM = 72
"""Characters from which a text stands below its key, folded into lines."""
_IN_LINE = 130
"""Characters up to which a list or mapping is written in brackets."""
_ORDER = (
    "id", "title", "theme", "tags", "culture", "language", "setting", "roles", "teams",
    "relationships",
    "policy", "opens", "limits", "stop", "phases", "events", "norms", "personas", "provenance",
)  # fmt: skip


def lay_out(data: Mapping[str, Any]) -> str:
    """Return the plain data of a scenario as the text of a file."""
    ordered = {key: data[key] for key in _ORDER if key in data}
    ordered |= {key: value for key, value in data.items() if key not in ordered}
    return yaml.dump(
        ordered,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=_WIDTH,
        default_flow_style=False,
    )


def write_scenario(path: Path, text: str, force: bool = False) -> None:
    """Write a file, whole or not at all; raise UserError for one that is there, unless forced."""
    if not force and path.exists():
        raise UserError(f"'{path}' exists already; add --force to write over it")
    try:
        write_whole(path.parent, path, text)
    except OSError as error:
        raise UserError(f"cannot write '{path}': {error.strerror}") from error


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, False)

    def represent_sequence(self, tag: str, sequence: Any, flow_style: Any = None) -> Any:
        return _in_line_if_short(super().represent_sequence(tag, sequence, flow_style))

    def represent_mapping(self, tag: str, mapping: Any, flow_style: Any = None) -> Any:
        return _in_line_if_short(super().represent_mapping(tag, mapping, flow_style))


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    style = ">" if len(text) >= _FOLDED_FROM else None
    try:
        plain = resolve_scalar(text) == text
    except ValueError:
        plain = False
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style if plain else '"')


_Dumper.add_representer(str, _text)


def _in_line_if_short(node: yaml.CollectionNode) -> yaml.Node:
    size = _size(node)
    node.flow_style = size is not None and size <= _IN_LINE
    return node


def _size(node: yaml.Node) -> int | None:
    """Return about how many characters a node takes in one line, None where it cannot be in one."""
    if isinstance(node, yaml.ScalarNode):
        return None if node.style == ">" else len(node.value) + 2
    parts = node.value
    if isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
    sizes = [_size(part) for part in parts]
    return None if None in sizes else sum(size or 0 for size in sizes) + 2
