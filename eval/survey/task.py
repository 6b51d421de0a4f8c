"""The task of a survey: sheets are put to the models that one engine holds.

Invariant: a sheet travels with what was answered before; the seats are those of the driver's plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eval.config import EvalConfig
from eval.survey.ask import Interviewer, Todo
from eval.survey.seat import Seat, open_engine, seated
from simulation.execution.executor import Emit, Opened
from simulation.execution.task import Tools

_CALLS_A_SHEET = 64
"""Calls in flight for each sheet in progress, at most."""


@dataclass(frozen=True, slots=True)
class Surveying:
    """The task of asking the models of one engine."""

    config: EvalConfig
    seats: Sequence[Seat]
    stage: str

    @property
    def models(self) -> Sequence[str]:
        """Name of the engine."""
        return (self.seats[0].part.name,)

    def open(self, tools: Tools) -> Opened[tuple[int, Todo]]:
        """Return what asks a sheet of the model in a seat, given by its number."""
        config, seats = self.config, self.seats
        engine = open_engine(tools.engines, seats)
        calls = _CALLS_A_SHEET * config.concurrency
        interviewers: list[Interviewer] = []

        async def work(item: tuple[int, Todo], emit: Emit) -> None:
            if not interviewers:  # the engine has been started by now
                models = [seated(engine, seat, len(seats) == 1) for seat in seats]
                interviewers.extend(
                    Interviewer(config, model, tools.budget, tools.utc, calls) for model in models
                )
            place, sheet = item
            await interviewers[place].work(sheet, emit)

        return Opened([engine], work)
