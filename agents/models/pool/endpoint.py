"""One endpoint of a pool: what it may take, what it has done, and whether it is well.

Invariant: each call that begins here ends here once, and gives back what it did not use.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from agents.models.base import Model
from agents.models.openai.limiter import Limiter
from agents.models.pool.pool_file import KEY, EndpointConfig, HealthConfig
from agents.models.pool.token_bucket import TokenBucket


@dataclass(frozen=True, slots=True)
class EndpointState:
    """What is known of an endpoint at one moment."""

    name: str
    model: str
    state: Literal["ok", "trial", "draining", "sick"]
    """trial: back, and one call at a time until one succeeds; draining: no new calls, but some in
    flight; sick: no calls."""
    reason: str | None
    """Why it is not ok."""
    in_flight: int
    served: int
    """Calls that it answered, refusals among them."""
    failed: int
    """Calls that it failed, some of which others then served."""
    tokens: int
    """Prompt and completion tokens of the calls that it served, as far as it tells."""


class Endpoint:
    """A model with its limits, counts and health."""

    def __init__(
        self,
        config: EndpointConfig,
        model: Model,
        health: HealthConfig,
        clock: Callable[[], float],
    ) -> None:
        self.name, self.model, self.weight = config.name, model, config.weight
        self.is_remote = config.model.startswith("openai:")
        """Whether starting it again is a mere look at whether it is there."""
        self.gives_scores = True
        self.credit = 0.0
        """What it is owed by those that were chosen instead of it, in calls times weights."""
        self.reason: str | None = None
        self.is_up = True
        self.is_usable = True
        """False where only the user can mend what is wrong."""
        self._config, self._health = config, health
        self._limiter: Limiter | None = getattr(model, "limiter", None)
        """What it can take at once, as far as that is found out."""
        self._requests = TokenBucket(config.requests_per_minute, clock)
        self._tokens = TokenBucket(config.tokens_per_minute, clock)
        self._in_flight = self._served = self._failed = self._used = 0
        self._failed_in_a_row = 0
        self._stragglers = 0
        """Calls still in flight that it had before it was brought back."""
        self.setbacks = 0
        """How often it was found sick since it last served a call."""

    @property
    def state(self) -> EndpointState:
        """What is known of it now."""
        up: Literal["ok", "trial"] = "trial" if self._on_trial else "ok"
        down: Literal["draining", "sick"] = "draining" if self._in_flight else "sick"
        return EndpointState(
            self.name,
            self._config.model,
            up if self.is_up else down,
            self.reason,
            self._in_flight,
            self._served,
            self._failed,
            self._used,
        )

    @property
    def _on_trial(self) -> bool:
        return self.reason is not None

    def delay(self, tokens: int) -> float:
        """Return the seconds until a call of so many tokens fits; infinite while all slots are
        taken."""
        held_s = self._limiter.held_s if self._limiter else 0.0
        bound = self._limiter.bound if self._limiter else self._config.concurrency
        most = min(bound, self._config.concurrency)
        if self._on_trial:
            most = min(most, self._stragglers + 1)
        if self._in_flight >= most:
            return math.inf
        return max(held_s, self._requests.delay(1), self._tokens.delay(tokens))

    def begin(self, tokens: int) -> None:
        """Take a slot, a request and the tokens that a call may use."""
        self._in_flight += 1
        self._requests.take(1)
        self._tokens.take(tokens)

    def end(self, reserved: int, used: int, attempts: int) -> None:
        """Give the slot back, and settle what was reserved against what was used."""
        self._in_flight -= 1
        self._stragglers = max(0, self._stragglers - 1)
        self._requests.take(attempts - 1)
        self._tokens.take(used - reserved)

    def served(self, tokens: int) -> bool:
        """Count a call that was answered; return whether that ended a trial."""
        self._served += 1
        self._used += tokens
        if not self.is_up:
            return False
        was_on_trial, self.reason = self._on_trial, None
        self._failed_in_a_row = self.setbacks = 0
        return was_on_trial

    def failed(self, reason: str, *, is_usable: bool = True) -> bool:
        """Count a call that it failed; return whether it gets no more calls from now on."""
        self._failed += 1
        self._failed_in_a_row += 1
        if not self.is_up:
            return False
        if is_usable and not self._on_trial and self._failed_in_a_row < self._health.failures:
            return False
        self.drain(reason, is_usable=is_usable)
        return True

    def drain(self, reason: str, *, is_usable: bool = True) -> None:
        """Let no more calls in."""
        self.setbacks += 1
        self.is_up, self.is_usable = False, is_usable
        self.reason = reason.replace(KEY, self._config.api_key_env)

    def bring_back(self) -> None:
        """Let calls in again, on trial."""
        self.is_up = self.is_usable = True
        self._stragglers = self._in_flight

    def pause(self) -> float:
        """Return the seconds until it should be looked at again."""
        longest = self._health.longest_pause_s
        return min(longest, self._health.pause_s * 2.0 ** min(self.setbacks - 1, 60))


def choose(ready: Sequence[Endpoint]) -> Endpoint:
    """Return the endpoint whose turn it is: smooth weighted round-robin, as in nginx.

    Each gets its weight as credit, the one with the most is chosen and pays all that was given, so
    that shares hold over any stretch of calls and no endpoint is chosen in bursts.
    """
    for endpoint in ready:
        endpoint.credit += endpoint.weight
    chosen = max(ready, key=lambda endpoint: endpoint.credit)
    chosen.credit -= sum(endpoint.weight for endpoint in ready)
    return chosen
