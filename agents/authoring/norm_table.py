"""Norms out of tables that others made, as sentences around which scenarios are written.

Invariant: a norm is one row's text, whole or not at all; rows that are left out are counted with
the reason.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from agents.authoring.character import tidy
from agents.authoring.foreign import read_records, read_table
from folkways.errors import UserError
from scenarios.parsing.yaml_file import load_yaml

LONGEST = 400
"""Characters of a norm."""
_SHORTEST = 8
_SHOWN = 20
"""Columns that a message lists."""


class Norm(NamedTuple):
    """An expectation, and where it is from."""

    text: str
    source: str


@dataclass(slots=True)
class NormTable:
    """The norms of a table, each once, and what became of the other rows."""

    norms: list[Norm] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def sample(self, count: int | None, seed: int) -> list[Norm]:
        """Return so many of the norms, drawn by their texts and the seed alone, or all."""
        if count is None or count >= len(self.norms):
            return self.norms
        drawn = sorted(self.norms, key=lambda norm: sha256(f"{seed} {norm.text}".encode()).digest())
        return drawn[:count]


def read_norm_table(path: Path, column: str | None = None) -> NormTable:
    """Return the norms of a table such as Social Chemistry 101's or NormBank's, or of the column
    that is named. Raises UserError for a table without norms, and for one that cannot be read."""
    table, known = NormTable(), set[str]()
    form: dict[str, Any] | None = None
    for place, row in read_table(path):
        form = form or _form(path, row, column)
        text, reason = _norm(form, row)
        if text.casefold() in known:
            reason = "repeated"
        if reason:
            table.left_out[reason] += 1
            continue
        known.add(text.casefold())
        table.norms.append(Norm(text, place))
    if not table.norms:
        told = ", ".join(f"{number} {reason}" for reason, number in table.left_out.items())
        raise UserError(f"'{path}' holds no norm{f': {told}' if told else ''}")
    return table


def norm_lines(norms: Iterable[Norm]) -> str:
    """Return norms as lines of JSON."""
    return "".join(
        json.dumps({"norm": norm.text, "source": norm.source}, ensure_ascii=False) + "\n"
        for norm in norms
    )


def read_norms(path: Path) -> list[Norm]:
    """Return the norms of a file that `norm_lines` made. Raises UserError with the place."""
    found = []
    for place, data in read_records(path):
        text = data.get("norm")
        if not isinstance(text, str) or not 1 <= len(tidy(text)) <= LONGEST:
            raise UserError(f"{place}: 'norm' is a text of 1 to {LONGEST} characters")
        found.append(Norm(tidy(text), str(data.get("source", place))[:200]))
    return found


@cache
def _forms() -> dict[str, Any]:
    forms: dict[str, Any] = load_yaml(Path(__file__).with_name("norms.yaml")).data
    return forms


def _form(path: Path, row: Mapping[str, Any], column: str | None) -> dict[str, Any]:
    """Return how the rows of a table are read."""
    if column is not None and column in row:
        return {"columns": [column]}
    found = next((form for form in _forms().values() if {*form["columns"]} <= row.keys()), None)
    if found is not None and column is None:
        return dict(found)
    there = ", ".join(list(row)[:_SHOWN])
    wanted = f"column '{column}'" if column else "column of norms"
    raise UserError(f"'{path}' has no {wanted}; it has: {there[:500]}; name one: --column")


def _norm(form: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[str, str]:
    """Return the norm of a row and why it is left out; one of them is empty."""
    cells = {name: tidy(str(row.get(name, ""))) for name in form["columns"]}
    for name, least in form.get("least", {}).items():
        if row.get(name) and _number(row[name]) < least:
            return "", "held by few"
    if any(_is(row.get(name), value) for name, value in form.get("not", {}).items()):
        return "", "marked as bad"
    template = form.get("text", "")
    if "texts" in form:
        label = next((str(row[name]).casefold() for name in form["label"] if row.get(name)), "")
        template = form["texts"].get(label.strip(), "")
        if not template:
            return "", "neither expected nor taboo"
    text = template.format_map(cells) if template else next(iter(cells.values()))
    if not all(cells.values()) or len(text) < _SHORTEST:
        return "", "too short"
    if len(text) > LONGEST:
        return "", "too long"
    return (text, "") if text.isprintable() else ("", "unprintable")


def _number(text: Any) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _is(cell: Any, value: str) -> bool:
    return cell is not None and (cell == value or _number(cell) == _number(value))
