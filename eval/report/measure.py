"""What reports say of a metric: its name in words, its unit, and which way is better.

Invariant: every metric has a `Measure`, also one that measures.yaml does not know.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

from eval.metrics.metric import own_facts

_FILE = Path(__file__).with_name("measures.yaml")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Measure(_Strict):
    """A metric in words."""

    title: str
    unit: str = ""
    """Unit and range."""
    better: Literal["lower", "higher"] | None = None
    decimals: int = 3
    plot: bool = False
    """Whether a page draws it by itself."""

    @property
    def head(self) -> str:
        """What stands over a column, with an arrow to where it is better."""
        return self.title + {"lower": " ↓", "higher": " ↑", None: ""}[self.better]

    def beats(self, value: float, other: float) -> bool:
        """Return whether one value is truly better than another."""
        return value > other if self.better == "higher" else value < other


class Group(_Strict):
    """Metrics that stand in one table."""

    title: str
    reading: str
    """How to read it."""
    measures: dict[str, Measure]


class _File(_Strict):
    groups: tuple[Group, ...]
    baselines: dict[str, str]


@cache
def _file() -> _File:
    return _File.model_validate(yaml.safe_load(_FILE.read_text(encoding="utf-8")))


def groups() -> tuple[Group, ...]:
    """Return the groups of measures.yaml, in the order in which reports show them."""
    return _file().groups


def baseline_name(who: str) -> str:
    """Return what a baseline is called."""
    return _file().baselines.get(who, who.replace("-", " ").replace("_", " "))


def measure(name: str) -> Measure:
    """Return what is known of a metric; of an unknown one what its longest known beginning says."""
    facts = own_facts(name)
    return _known(name)[1] if facts is None else Measure(**facts)


def _group_of(name: str) -> Group | None:
    """Return the group a metric belongs to; None for one of no known kind."""
    return _known(name)[0] if own_facts(name) is None else None


def by_group(names: Iterable[str]) -> list[tuple[Group | None, list[str]]]:
    """Return metrics by group, in the order of measures.yaml, those of no known kind last."""
    order = [name for group in groups() for name in group.measures]
    ranked = sorted(
        set(names), key=lambda name: (order.index(name) if name in order else len(order), name)
    )
    found = [
        (group, [name for name in ranked if _group_of(name) is group])
        for group in (*groups(), None)
    ]
    return [(group, chosen) for group, chosen in found if chosen]


@cache
def _known(name: str) -> tuple[Group | None, Measure]:
    begun = [
        (len(known), group, found)
        for group in groups()
        for known, found in group.measures.items()
        if name == known or name.startswith(f"{known}_")
    ]
    if not begun:
        return None, Measure(title=name.replace("_", " "))
    length, group, found = max(begun, key=lambda each: each[0])
    if length == len(name):
        return group, found
    return group, found.model_copy(update={"title": name.replace("_", " "), "plot": False})
