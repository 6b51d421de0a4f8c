"""A batch of new scenarios around one norm, none of which repeats another or the library.

Invariant: each scenario is written as soon as it is accepted, and every one that was not is
counted with the reason.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from agents.authoring.author import Refused, generate_scenario
from agents.authoring.character import free_name
from agents.models.base import Model
from scenarios.adaptation import load_scenes
from scenarios.checks.overlap import NEAR_DUPLICATE, shingles, similarity
from scenarios.culture import Culture
from scenarios.layout import lay_out, write_scenario
from scenarios.library import adapted, library
from scenarios.scenario import Scenario

_TRIES = 3
"""Tries for each scenario that is wanted."""
_AT_ONCE = 16
"""Scenarios that are in the making at the same time."""
_SHOWN_TITLES = 40
"""Titles in use that a prompt lists, the latest."""


@dataclass(slots=True)
class Generation:
    """What is wanted, and what has come of it so far."""

    norm: str
    culture: Culture
    language: str
    roles: tuple[int, int]
    """The fewest and the most."""
    count: int
    out: Path
    force: bool
    seed: int
    written: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    _titles: list[str] = field(init=False)
    _taken: set[str] = field(init=False)
    _known: list[frozenset[tuple[str, ...]]] = field(init=False)
    _gate: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        """Take note of what exists: the library, its adaptations and the folder's scenarios."""
        there = [] if self.force else sorted(self.out.glob("*.yaml"))
        shipped = [*library().values(), *adapted().values()]
        self._titles = [scene.title for scene in load_scenes(there)]
        self._taken = {path.stem for path in (*shipped, *there)}
        self._known = [shingles(scene) for scene in load_scenes([*shipped, *there])]
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def one(self, model: Model, number: int, told: Callable[..., None]) -> None:
        """Try for the scenario with this number until one is accepted or the tries are used up;
        `told` is told of every refusal and every file.
        """
        for attempt in range(_TRIES):
            seed = Random(f"{self.seed} {number} {attempt}").getrandbits(31)
            async with self._gate:
                titles = self._titles[-_SHOWN_TITLES:]
                try:
                    data = await generate_scenario(
                        model,
                        self.norm,
                        self.culture,
                        self.language,
                        self.roles,
                        number,
                        self.count,
                        titles,
                        seed,
                    )
                except Refused as reason:
                    self.dropped[reason.kind] += 1
                    told(f"{number}: refused: {reason}", err=True)
                    continue
            if path := self._accept(data):
                told(f"wrote {path}")
                return

    def summary(self) -> str:
        """Return one line that counts what was written and what was dropped, by reason."""
        reasons = ", ".join(f"{number} {kind}" for kind, number in sorted(self.dropped.items()))
        dropped = f"{self.dropped.total()} tries dropped"
        return f"{self.written} of {self.count} written, {dropped}{f' ({reasons})' * bool(reasons)}"

    def _accept(self, data: dict[str, Any]) -> Path | None:
        """Write a scenario unless it nearly repeats one that is known."""
        grams = shingles(Scenario.model_validate(data))
        if any(similarity(grams, other) >= NEAR_DUPLICATE for other in self._known):
            self.dropped["near-duplicate"] += 1
            return None
        data["id"] = free_name(data["id"], self._taken)
        path = self.out / f"{data['id']}.yaml"
        write_scenario(path, lay_out(data), self.force)
        self._known.append(grams)
        self._titles.append(data["title"])
        self._taken.add(data["id"])
        self.written += 1
        return path
