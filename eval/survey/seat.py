"""Which engine asks which models: those that differ in their adapter alone share one.

Invariant: every culture that a model is asked for has one seat.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from agents.models.base import Adaptable, Model
from eval.config import ModelRef
from simulation.execution.model_manager import ModelManager, SharedModel

_SHARING = ("vllm",)
"""Engines that hold several adapters at once."""


class Seat(NamedTuple):
    """What stands for a model in some cultures."""

    ref: ModelRef
    """As it is configured."""
    cultures: tuple[str, ...]
    """None means all."""
    part: ModelRef
    """As it is opened."""

    @property
    def adapter(self) -> str | None:
        """The folder of its adapter."""
        return self.part.options.get("adapter")

    @property
    def rest(self) -> dict[str, Any]:
        """Its other options."""
        return {name: value for name, value in self.part.options.items() if name != "adapter"}


def seats_by_engine(models: Sequence[ModelRef]) -> list[list[Seat]]:
    """Return the seats of all models, those together that one engine can ask at once."""
    groups: dict[str, list[Seat]] = {}
    for ref in models:
        for cultures, part in ref.parts():
            seat = Seat(ref, cultures, part)
            shares = seat.adapter is not None and part.name.partition(":")[0] in _SHARING
            key = json.dumps([part.name, seat.rest] if shares else len(groups))
            groups.setdefault(key, []).append(seat)
    return list(groups.values())


def open_engine(engines: ModelManager, seats: Sequence[Seat]) -> SharedModel:
    """Return the engine of seats that belong together, not yet started."""
    first = seats[0]
    if len(seats) == 1:
        return engines.lend(first.part.name, first.part.options)
    adapters = list(dict.fromkeys(seat.adapter for seat in seats))
    return engines.lend(first.part.name, first.rest | {"adapters": adapters})


def seated(engine: SharedModel, seat: Seat, alone: bool) -> Model:
    """Return the model that a seat is asked through; the engine has been started."""
    if alone:
        return engine
    assert isinstance(engine.model, Adaptable) and seat.adapter is not None
    return engine.model.adapted(seat.adapter)
