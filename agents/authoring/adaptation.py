"""A batch of adaptations: scenarios moved to cultures, each into a file of its own.

Invariant: each is written as soon as it is accepted, every try is in the folder's ledger, and what
is there, or has used up its tries, is not asked for again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

from agents.authoring.author import Refused, adapt_scenario
from agents.authoring.generation import Place, place_in
from agents.authoring.ledger import WRITTEN, Ledger, Outcome, job_key
from agents.models.base import Model
from agents.models.watched import metered
from folkways.errors import UserError
from folkways.provenance import short_hash
from scenarios.adaptation import load_scenes
from scenarios.culture import Culture
from scenarios.layout import lay_out, write_scenario
from scenarios.library import adapted
from scenarios.scenario import Scenario


class Move(NamedTuple):
    """A scenario that is to be moved, and the file it becomes."""

    original: Scenario
    place: Place
    target: Path


_LONGEST_ID = 60


def moves_to(
    originals: Iterable[Scenario], cultures: Sequence[Culture], language: str | None, out: Path
) -> list[Move]:
    """Return every scenario's moves to the cultures in which it is not set already; raise UserError
    where there are none."""
    moves, at_home, ids = list[Move](), list[str](), set[str]()
    for original in originals:
        if original.id in ids:
            raise UserError(f"the scenario id '{original.id}' is named twice; ids must differ")
        ids.add(original.id)
        for culture in cultures:
            place = place_in(culture, language, original.language)
            if culture.id == original.culture:
                at_home.append(f"'{original.id}' is set in {culture.id} already; choose another")
                continue
            same = place.language == original.language
            suffix = f"-{culture.id}" if same else f"-{culture.id}-{place.language}"
            name = original.id[: _LONGEST_ID - len(suffix)].rstrip("-") + suffix.lower()
            moves.append(Move(original, place, out / f"{name}.yaml"))
    if not moves:
        raise UserError(at_home[0])
    return moves


@dataclass(slots=True)
class Adaptation:
    """What is wanted, and what has come of it so far."""

    moves: Sequence[Move]
    out: Path
    force: bool
    again: bool
    """Whether tries of earlier launches do not count."""
    seed: int
    tries: int
    at_once: int
    """Adaptations that are in the making at the same time."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Reasons of this launch."""
    ledger: Ledger = field(init=False)
    _siblings: dict[str, list[Scenario]] = field(init=False)
    _gate: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        """Take note of the adaptations there are, but for those to be replaced."""
        self.ledger = Ledger(self.out)
        replaced = {move.target for move in self.moves} if self.force else set()
        files = [*adapted().values(), *sorted({*self.out.glob("*.yaml")} - replaced)]
        self._siblings = {move.original.id: [] for move in self.moves}
        for scene in load_scenes(files):
            if scene.provenance.parent in self._siblings:
                self._siblings[scene.provenance.parent].append(scene)
        self._gate = asyncio.Semaphore(self.at_once)

    def left(self) -> list[Move]:
        """Return the moves that may still be tried."""
        return [
            move
            for move in self.moves
            if self._used(move) < self.tries and (self.force or not move.target.exists())
        ]

    async def one(self, model: Model, move: Move, told: Callable[..., None]) -> str | None:
        """Try a move until it is accepted or its tries are used up; return the text of its file,
        which is not written. `told` is told of every refusal.
        """
        for attempt in range(self._used(move), self.tries):
            async with self._gate:
                with metered() as usage:
                    outcome = await self._try(model, move, attempt)
                about = f"{move.original.id}, {move.place.culture.id}"
                self.ledger.add(self._key(move), about, outcome, model.name, usage)
            if outcome.file:
                return outcome.text
            self.dropped[outcome.kind] += 1
            told(f"{about}: refused: {outcome.reason}", err=True)
        return None

    def keep(self, move: Move, text: str) -> None:
        """Write the file of a move."""
        write_scenario(move.target, text, self.force)

    async def _try(self, model: Model, move: Move, attempt: int) -> Outcome:
        original, (culture, language), target = move
        siblings = self._siblings[original.id]
        seed = Random(f"{self.seed} {attempt}").getrandbits(31) if attempt else self.seed
        try:
            data = await adapt_scenario(
                model, original, culture, language, target.stem, siblings, seed
            )
        except Refused as reason:
            return Outcome(reason.kind, str(reason))
        siblings.append(Scenario.model_validate(data))
        return Outcome(WRITTEN, None, target, lay_out(data))

    def funnel(self) -> list[str]:
        """Return what became of all moves, in all launches."""
        return self.ledger.funnel([self._key(move) for move in self.moves])

    def _used(self, move: Move) -> int:
        return 0 if self.again else self.ledger.used(self._key(move))

    def _key(self, move: Move) -> str:
        culture, language = move.place
        content = short_hash(move.original.model_dump_json())
        return job_key("adapt", move.original.id, content, culture.id, language, self.seed)
