"""The budget of a run: tokens, US dollars and wall time, held across all concurrent episodes.

Invariant: a call is admitted only if what is spent, what calls in flight may still spend and what
it may spend itself stay within the limits.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field

from folkways.errors import FolkwaysError


class BudgetConfig(BaseModel):
    """Bounds on one launch of a run; null is none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: int | None = Field(default=None, ge=1)
    """Prompt and completion tokens together."""
    cost_usd: float | None = Field(default=None, gt=0)
    """US dollars; needs prices in the model's options."""
    wall_s: float | None = Field(default=None, gt=0)
    """Seconds since the launch."""


class BudgetSpent(FolkwaysError):
    """No further call is admitted; the message is budget-tokens, budget-cost or budget-wall."""


class Budget:
    """Counts what calls use and admits new ones."""

    def __init__(self, limits: BudgetConfig, clock: Callable[[], float]) -> None:
        self.limits, self._clock, self._began = limits, clock, clock()
        self.prompt_tokens = self.completion_tokens = 0
        self.cost: float | None = None
        self.spent: str | None = None
        """Which budget ran out, if one did."""
        self._reserved = self._in_flight = 0
        self._dearest = 0.0

    def admit(self, tokens: int) -> None:
        """Reserve `tokens` for a call that may use so many. Raises BudgetSpent."""
        if self.spent is None:
            self.spent = self._exceeded(tokens)
        if self.spent is not None:
            raise BudgetSpent(self.spent)
        self._reserved += tokens
        self._in_flight += 1

    def admit_free(self) -> None:
        """Admit a call that uses nothing; only time refuses it. Raises BudgetSpent."""
        if self._late():
            raise self.out_of_time()

    def out_of_time(self) -> BudgetSpent:
        """Take note that the wall time is over; return what to raise."""
        self.spent = self.spent or "budget-wall"
        return BudgetSpent(self.spent)

    @property
    def left_s(self) -> float | None:
        """Seconds until the wall time is over, None where it has no bound."""
        wall_s = self.limits.wall_s
        return None if wall_s is None else max(0.0, wall_s - (self._clock() - self._began))

    def settle(self, reserved: int, prompt: int, completion: int, cost: float | None) -> None:
        """Replace a reservation by what the call used (tokens, and US dollars where known)."""
        self._reserved -= reserved
        self._in_flight -= 1
        self.add(prompt, completion, cost)

    def add(self, prompt: int, completion: int, cost: float | None) -> None:
        """Count what calls used that were admitted elsewhere; what cannot be takes nothing off."""
        self.prompt_tokens += max(prompt, 0)
        self.completion_tokens += max(completion, 0)
        if cost is not None and 0 <= cost < math.inf:
            self.cost = (self.cost or 0.0) + cost
            self._dearest = max(self._dearest, cost)

    def use(self) -> dict[str, tuple[float, float]]:
        """Return, for each limit that is set, what is used of it and the limit."""
        limits = self.limits
        used = {
            "tokens": (self.prompt_tokens + self.completion_tokens, limits.tokens),
            "cost_usd": (self.cost or 0.0, limits.cost_usd),
            "wall_s": (self._clock() - self._began, limits.wall_s),
        }
        return {name: (part, whole) for name, (part, whole) in used.items() if whole is not None}

    def _late(self) -> bool:
        wall_s = self.limits.wall_s
        return wall_s is not None and self._clock() - self._began >= wall_s

    def _exceeded(self, tokens: int) -> str | None:
        limits = self.limits
        if self._late():
            return "budget-wall"
        used = self.prompt_tokens + self.completion_tokens + self._reserved + tokens
        if limits.tokens is not None and used > limits.tokens:
            return "budget-tokens"
        if limits.cost_usd is not None:
            ahead = (self._in_flight + 1) * self._dearest
            if (self.cost or 0.0) + ahead > limits.cost_usd:
                return "budget-cost"
        return None
