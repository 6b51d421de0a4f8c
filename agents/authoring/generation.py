"""A batch of new scenarios around norms, none of which repeats another or the library.

Invariant: each scenario is written as soon as it is accepted, every try is in the folder's ledger,
and what is written, or has used up its tries, is not asked for again.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

from agents.authoring.author import Refused, generate_scenario
from agents.authoring.character import free_name
from agents.authoring.ledger import WRITTEN, Ledger, Outcome, job_key
from agents.models.base import Model
from agents.models.watched import metered
from folkways.errors import UserError
from scenarios.adaptation import load_scenes
from scenarios.checks.overlap import NEAR_DUPLICATE, shingles, similarity
from scenarios.culture import Culture
from scenarios.layout import lay_out, write_scenario
from scenarios.library import adapted, library
from scenarios.scenario import Scenario

_SHOWN_TITLES = 40
"""Titles in use that a prompt lists, the latest."""


class Place(NamedTuple):
    """Where a scene is set and in which language, a BCP 47 tag."""

    culture: Culture
    language: str


_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def place_in(culture: Culture, language: str | None, default: str) -> Place:
    """Return a place in the language that is given, or the culture's own for `native`. Raises
    UserError for what is no tag."""
    tag = culture.languages[0] if language == "native" else language or default
    if not _TAG.fullmatch(tag):
        raise UserError(f"'{tag}' is no language tag; allowed: native, or BCP 47 such as pt-BR")
    return Place(culture, tag)


class Wanted(NamedTuple):
    """A scenario that is wanted."""

    place: Place
    norm: str
    number: int
    """Which one around this norm, from 1."""
    of: int


@dataclass(slots=True)
class Generation:
    """What is wanted, and what has come of it so far."""

    norms: Sequence[str]
    """They take turns."""
    places: Sequence[Place]
    roles: tuple[int, int]
    """The fewest and the most."""
    count: int
    """Scenarios for each place."""
    out: Path
    force: bool
    seed: int
    tries: int
    """Tries for each scenario that is wanted."""
    at_once: int
    """Scenarios that are in the making at the same time."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Reasons of this launch."""
    ledger: Ledger = field(init=False)
    _titles: list[str] = field(init=False)
    _taken: set[str] = field(init=False)
    _known: list[frozenset[tuple[str, ...]]] = field(init=False)
    _gate: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        """Take note of what exists: the library, its adaptations and the folder's scenarios."""
        there = [] if self.force else sorted(self.out.glob("*.yaml"))
        shipped = [*library().values(), *adapted().values()]
        self.ledger = Ledger(self.out)
        self._titles = [scene.title for scene in load_scenes(there)]
        self._taken = {path.stem for path in (*shipped, *there)}
        self._known = [shingles(scene) for scene in load_scenes([*shipped, *there])]
        self._gate = asyncio.Semaphore(self.at_once)

    def wanted(self) -> list[Wanted]:
        """Return all that is wanted, place after place in turn."""
        every = len(self.norms)
        return [
            Wanted(place, self.norms[at % every], at // every + 1, _turns(self.count, at, every))
            for at in range(self.count)
            for place in self.places
        ]

    def left(self) -> list[Wanted]:
        """Return what is wanted and may still be tried for."""
        return [
            one
            for one in self.wanted()
            if self.force or (not self._done(one) and self.ledger.used(self._key(one)) < self.tries)
        ]

    async def one(self, model: Model, wanted: Wanted, told: Callable[..., None]) -> None:
        """Try for a scenario until one is accepted or the tries are used up; `told` is told of
        every refusal and every file.
        """
        used = 0 if self.force else self.ledger.used(self._key(wanted))
        for attempt in range(used, self.tries):
            async with self._gate:
                with metered() as usage:
                    outcome = await self._try(model, wanted, attempt)
                self.ledger.add(self._key(wanted), self._about(wanted), outcome, model.name, usage)
            if outcome.file is not None:
                write_scenario(outcome.file, outcome.text, self.force)
                told(f"wrote {outcome.file}")
                return
            self.dropped[outcome.kind] += 1
            if outcome.reason:
                told(f"{self._about(wanted)}: refused: {outcome.reason}", err=True)

    async def _try(self, model: Model, wanted: Wanted, attempt: int) -> Outcome:
        try:
            data = await generate_scenario(
                model,
                wanted.norm,
                *wanted.place,
                self.roles,
                wanted.number,
                wanted.of,
                self._titles[-_SHOWN_TITLES:],
                Random(f"{self.seed} {wanted.number} {attempt}").getrandbits(31),
            )
        except Refused as reason:
            return Outcome(reason.kind, str(reason))
        grams = shingles(Scenario.model_validate(data))
        if any(similarity(grams, other) >= NEAR_DUPLICATE for other in self._known):
            return Outcome("near-duplicate")
        data["id"] = free_name(data["id"], self._taken)
        self._known.append(grams)
        self._titles.append(data["title"])
        self._taken.add(data["id"])
        return Outcome(WRITTEN, None, self.out / f"{data['id']}.yaml", lay_out(data))

    def _about(self, wanted: Wanted) -> str:
        return f'{wanted.place.culture.id}, "{wanted.norm}", {wanted.number}'

    def _key(self, wanted: Wanted) -> str:
        culture, language = wanted.place
        kind = ("generate", culture.id, language, *self.roles, self.seed)
        return job_key(*kind, wanted.norm, wanted.number)

    def _done(self, wanted: Wanted) -> bool:
        return self.ledger.written(self._key(wanted)) is not None

    def is_empty(self) -> bool:
        """Whether nothing that is wanted has been written."""
        return not any(map(self._done, self.wanted()))

    def funnel(self) -> list[str]:
        """Return what became of everything that is wanted, in all launches."""
        return self.ledger.funnel([self._key(one) for one in self.wanted()])


def _turns(count: int, at: int, every: int) -> int:
    """Return how many of `count` come to the norm that has the turn `at`, of so many norms."""
    return len(range(at % every, count, every))
