"""Whether a model works for anybody: what one call cannot tell, all calls together do.

Invariant: a fault of the whole endpoint ends the work and is nobody's result; a fault of some calls
is left to those who made them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from agents.models.base import (
    LONGEST_WAIT_S,
    CallFailed,
    Completion,
    Model,
    ModelUnavailable,
    Prompt,
    Sampling,
)
from agents.models.deadline import out_of_time

FAULTS = ("timeout", "server-error", "bad-response")
"""Failures of calls that are the endpoint's: another time the same call may be answered."""
NO_RESULT = (*FAULTS, "prompt-too-long")
"""Failures of acts that end a scene without a result: the endpoint's, or its settings'."""
DOUBTFUL = ("prompt-too-long", "cut-in-reasoning", "refusal")
"""Failures of calls that are a fact about a question where the model has answered others, and
otherwise its endpoint's or its settings'."""
NEVER_WORKED, WORKED = 12, 24
"""Requests without a usable answer in a row, of several calls, after which a model is down: one
that has not answered yet, and one that has."""
REMEDIES = {
    "timeout": "check that the server keeps up; a larger timeout_s or a smaller concurrency in "
    "the model's options helps a slow one",
    "server-error": "see the server's own log, or a provider's page on limits and status",
    "bad-response": "check the address, which usually ends in /v1",
    "prompt-too-long": "give the server a larger context, or play shorter scenes (limits.turns)",
    "refusal": "see what the provider or a filter before the model does not let pass",
    "parse-failure": "check the model's name, its chat template and the reply form",
    "cut-in-reasoning": "replies are cut off before their text begins: make max_tokens larger, or "
    "switch the model's reasoning off",
}
"""What to do about each kind of failure of all calls."""

_Result = TypeVar("_Result")


class Guarded:
    """A model whose calls are counted, so that one that is down is not asked by everybody."""

    def __init__(
        self, model: Model, utc: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._utc = utc
        self.model, self.name = model, model.name
        self.works = False
        """Whether a call has brought a usable answer."""
        self.down: str | None = None
        """What is wrong, once no more call is made."""
        self._calls = self._requests = 0
        self._answered_at = -math.inf
        """On the event loop's clock: calls that were under way then are no evidence against it."""
        self._in_flight: set[asyncio.Timeout] = set()

    async def start(self) -> None:
        """Load or connect."""
        await self.model.start()

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        """Pass the call on. Raises ModelUnavailable where the model is down."""
        done = await self._guarded(partial(self.model.complete, prompt, sampling, schema))
        if done.text.strip():
            self._answered()
        elif done.cut_in_reasoning:
            message = f"{self.name} has used up its tokens"
            self._failed("cut-in-reasoning", message, done.attempts)
        else:
            self._failed("parse-failure", f"{self.name} answers without text", done.attempts)
        return done

    async def score(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float]:
        """Pass the call on. Raises as `complete` does."""
        scores = await self._guarded(partial(self.model.score, prompt, options, floor))
        self._answered()
        return scores

    async def close(self) -> None:
        """Give back what the model holds."""
        await self.model.close()

    async def _guarded(self, ask: Callable[[], Awaitable[_Result]]) -> _Result:
        if self.down:
            raise ModelUnavailable(self.down)
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(None) as cut:
                self._in_flight.add(cut)
                try:
                    return await ask()
                finally:
                    self._in_flight.discard(cut)
        except TimeoutError:
            if cut.expired():
                raise ModelUnavailable(self.down or "") from None
            raise
        except CallFailed as failed:
            if failed.reason in FAULTS:
                self._failed(
                    failed.reason, str(failed), failed.attempts, failed.retry_after_s, began=began
                )
            else:
                self._alive()  # it was read and judged
            raise
        except ModelUnavailable as error:
            self.down = str(error)
            raise
        except asyncio.CancelledError:
            if out_of_time():
                self._count("timeout", f"{self.name} did not answer in time", 1, began)
            raise

    def _answered(self) -> None:
        self.works = True
        self._alive()

    def _alive(self) -> None:
        self._answered_at = asyncio.get_running_loop().time()
        self._calls = self._requests = 0

    def _failed(
        self,
        kind: str,
        message: str,
        requests: int,
        wait_s: float | None = None,
        *,
        began: float = math.inf,
    ) -> None:
        """Count a call that failed. Raises ModelUnavailable where nobody's would do better."""
        self._count(kind, message, requests, began)
        if wait_s is not None and wait_s > LONGEST_WAIT_S:
            self.down = (
                f"{message}; {returning(wait_s, self._utc())}; the same command resumes then"
            )
        if self.down:
            raise ModelUnavailable(self.down) from None

    def _count(self, kind: str, message: str, requests: int, began: float) -> None:
        """Count a call that failed; stop those in flight where it was one too many."""
        if began < self._answered_at:
            return
        self._calls += 1
        self._requests += requests
        if self._calls > 1 and self._requests >= (WORKED if self.works else NEVER_WORKED):
            count = f"none of the last {self._requests} requests to {self.name} brought an answer"
            self.down = f"{count}: {message}; {REMEDIES[kind]}; the same command resumes"
            for cut in self._in_flight:
                if not cut.expired():
                    cut.reschedule(-math.inf)


def returning(wait_s: float, now: datetime) -> str:
    """Return in words when an endpoint says that it will answer again; `now` is in UTC."""
    wait = timedelta(seconds=round(min(wait_s, 1e9)))
    at = f"{now + wait:%Y-%m-%d %H:%M} UTC"
    return f"it says that it will answer again in {wait} (h:mm:ss), at {at}"
