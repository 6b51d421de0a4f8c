"""Step 3 of CultureSPA: which answers of its own a model is trained on.

Invariant: the same answers and settings give the same pairs in the same rank, and a smaller
selection is the beginning of a larger one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from pydantic import Field, field_validator

from folkways.errors import UserError, unknown_name
from folkways.provenance import short_hash
from folkways.settings import Settings
from simulation.store.record import Record
from simulation.store.writer import Store
from training.corpus.candidates import draw
from training.culturespa.pairs import Answers, Pair, of_cultures


def _crqpc(pairs: Sequence[Pair], threshold: float) -> list[Pair]:
    """Return the pairs whose answers differ: culture-related questions by prediction change (Xu,
    Leng, Yu and Xiong 2025)."""
    return [pair for pair in pairs if pair.differ]


def _rds(pairs: Sequence[Pair], threshold: float) -> list[Pair]:
    """Return all pairs: a random selection, once it is cut to a size."""
    return list(pairs)


def _cds(pairs: Sequence[Pair], threshold: float) -> list[Pair]:
    """Return the pairs whose answers agree."""
    return [pair for pair in pairs if not pair.differ]


def _divergence(pairs: Sequence[Pair], threshold: float) -> list[Pair]:
    """Return the pairs whose distributions are further apart than the noise and the threshold
    together, furthest first.

    Raises UserError where the noise of no pair is known.
    """
    beyond = [
        (pair.tv - pair.noise, pair)
        for pair in pairs
        if pair.tv is not None and pair.noise is not None
    ]
    if pairs and not beyond:
        raise UserError(
            "divergence takes two replies to a question or more, to tell culture from noise: set "
            "collection.orders to balanced, or collection.samples to 2 or more, and collect again"
        )
    beyond.sort(key=lambda each: -round(each[0], 9))
    return [pair for excess, pair in beyond if excess > threshold]


METHODS: dict[str, Callable[[Sequence[Pair], float], list[Pair]]] = {
    "crqpc": _crqpc,
    "rds": _rds,
    "cds": _cds,
    "divergence": _divergence,
}
"""From pairs that are answered on both sides, in random order, and a threshold to those that a
method takes, best first."""


class SelectConfig(Settings):
    """A selection."""

    method: str = "crqpc"
    """One of METHODS."""
    reading: str | None = None
    """How replies are read: logprobs, text-strict or text-lenient; null: the first there is."""
    size: int | None = Field(default=None, ge=1)
    """Pairs together; null: all."""
    per_culture: int | None = Field(default=None, ge=1)
    """Pairs of each culture; null: as they fall."""
    cultures: tuple[str, ...] = ()
    """ISO 3166 alpha-3 codes; empty: all that were asked."""
    threshold: float = Field(default=0.0, ge=0, lt=1)
    """Of `_divergence`: total variation beyond the noise, at least."""
    paraphrases: bool = True
    """Whether questions that paraphrase a survey item may be selected."""
    seed: int = 0
    """Seed of the random order."""

    @field_validator("method")
    @classmethod
    def _known_method(cls, name: str) -> str:
        if name not in METHODS:
            raise unknown_name("method", name, METHODS)
        return name


@dataclass(frozen=True, eq=False)
class Selection:
    """What was chosen, and out of how much."""

    answers: Answers
    config: SelectConfig
    asked: tuple[Pair, ...]
    """The pairs it was chosen from, answered or not."""
    held_out: int
    """Pairs left out because their questions paraphrase a survey item."""
    chosen: tuple[Pair, ...]
    """By rank."""

    @property
    def settings(self) -> dict[str, Any]:
        """What it was made with, as plain data."""
        answers, config = self.answers, self.config
        return {
            "method": config.method,
            "reading": answers.reading,
            "size": config.size,
            "per_culture": config.per_culture,
            "cultures": self.cultures,
            "threshold": config.threshold if config.method == "divergence" else None,
            "paraphrases": config.paraphrases,
            "seed": config.seed,
            "model": answers.model,
            "unaware_id": answers.unaware_id,
            "aware_id": answers.aware_id,
        }

    @cached_property
    def cultures(self) -> list[str]:
        """The cultures it was chosen from."""
        return sorted({pair.country for pair in self.asked})

    @cached_property
    def hash(self) -> str:
        """Hash of the settings and of what was chosen."""
        rows = [[pair.question, pair.country, pair.aware] for pair in self.chosen]
        return short_hash(json.dumps([self.settings, rows]))

    @property
    def id(self) -> str:
        """Its name in the store."""
        return f"{self.config.method}-{self.hash}"

    def funnel(self) -> str:
        """Return from how much it was chosen, in a line."""
        return _funnel(self.asked)


def select(
    answers: Answers, config: SelectConfig, questions: Collection[str] | None = None
) -> Selection:
    """Return the selection from some questions, all by default.

    Raises UserError where nothing is left, and where there is less than the size asked for; each
    with the counts.
    """
    if config.size and config.per_culture:
        raise UserError(
            "give --size or --per-culture, not both: so many of each culture are a size already"
        )
    scope = of_cultures(answers.pairs, config.cultures)
    held_out = 0 if config.paraphrases else sum(bool(pair.paraphrases) for pair in scope)
    asked = tuple(
        pair
        for pair in scope
        if (config.paraphrases or not pair.paraphrases)
        and (questions is None or pair.question in questions)
    )
    answered = [pair for pair in asked if pair.answered]
    answered.sort(key=lambda pair: draw(config.seed, f"{pair.question} {pair.country}"))
    found = METHODS[config.method](answered, config.threshold)
    if not found:
        raise UserError(f"{config.method} selects nothing: {_funnel(asked)}{_monotony(answered)}")
    chosen = _cut(found, config, sorted({pair.country for pair in asked}))
    return Selection(answers, config, asked, held_out, tuple(chosen))


def record(store: Store, selection: Selection, utc: datetime) -> bool:
    """Store a selection; return False where it is stored already."""
    with store.reading() as con:
        known = con.execute(
            "select count(*) from spa_selection_sets where selection_id = ?", [selection.id]
        ).fetchall()
    if known[0][0]:
        return False
    settings = json.dumps(selection.settings)
    row = {
        "selection_id": selection.id,
        "settings": settings,
        "hash": selection.hash,
        "created_at": utc,
    }
    rows = [
        {
            "selection_id": selection.id,
            "method": selection.config.method,
            "reading": selection.answers.reading,
            "question_id": pair.question,
            "country": pair.country,
            "unaware": pair.unaware,
            "aware": pair.aware,
            "divergence": pair.tv,
            "noise": pair.noise,
            "rank": rank,
        }
        for rank, pair in enumerate(selection.chosen, 1)
    ]
    store.append([Record({"spa_selection_sets": [row], "spa_selections": rows}, "selected")])
    return True


def _cut(found: list[Pair], config: SelectConfig, cultures: Sequence[str]) -> list[Pair]:
    """Return the first pairs, as many as are wanted in all or of each culture."""
    if config.per_culture:
        counts = Counter(pair.country for pair in found)
        short = [
            f"{name} {counts[name]:,}" for name in cultures if counts[name] < config.per_culture
        ]
        if short:
            raise UserError(
                f"{config.method} finds fewer than {config.per_culture:,} pairs for some cultures: "
                f"{', '.join(short)}. Take a smaller --per-culture, or leave them out of --cultures"
            )
        places: Counter[str] = Counter()
        chosen = []
        for pair in found:
            places[pair.country] += 1
            if places[pair.country] <= config.per_culture:
                chosen.append(pair)
        return chosen
    if config.size and len(found) < config.size:
        raise UserError(
            f"{config.method} finds {len(found):,} pairs, fewer than --size {config.size:,}; take "
            "a smaller one, or generate and collect more"
        )
    return found[: config.size]


def _funnel(asked: Sequence[Pair]) -> str:
    answered = [pair for pair in asked if pair.answered]
    different = sum(pair.differ for pair in answered)
    return (
        f"of {len(asked):,} pairs of a question and a culture {len(answered):,} are answered on "
        f"both sides, {different:,} of them differently"
    )


def _monotony(answered: Sequence[Pair]) -> str:
    """Return what to add where a model always says the same."""
    codes = {code for pair in answered for code in (pair.unaware, pair.aware)}
    return f"; every answer is option {codes.pop()}, whatever is asked" if len(codes) == 1 else ""
