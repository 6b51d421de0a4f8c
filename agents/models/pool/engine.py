"""The engine for many endpoints at once: calls are spread over them, and moved when one fails.

Invariant: a call is in at most one place at a time, first come is first served, and a failure that
the prompt brought about is never tried elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from agents.models.base import (
    CallFailed,
    Completion,
    Model,
    ModelUnavailable,
    Prompt,
    Sampling,
    ScoresUnavailable,
    prompt_length,
)
from agents.models.health import FAULTS
from agents.models.pool.endpoint import Endpoint, EndpointState
from agents.models.pool.pool_file import PoolConfig, read_pool
from agents.models.pool.request_queue import Call, RequestQueue
from folkways.errors import UserError
from folkways.text import printable

log = logging.getLogger(__name__)

_CHARACTERS_PER_TOKEN = 3
"""A cautious guess for reserving tokens before an endpoint has counted."""
_PROBE_S = 30.0
"""Seconds that an endpoint has to show that it is back."""

_Ask = Callable[[Model], Awaitable[Any]]


def from_spec(spec: str) -> PoolModel:
    """Return the pool that a file describes. Raises UserError for a faulty one."""
    if spec == "pool":
        raise UserError("a pool needs a file that lists its endpoints; write pool:FILE.yaml")
    return PoolModel(f"pool:{spec}", *read_pool(Path(spec)))


class _Served(NamedTuple):
    result: Any
    endpoint: Endpoint
    attempts: int


class PoolModel:
    """Several endpoints that serve the same model, used as one."""

    def __init__(
        self,
        name: str,
        config: PoolConfig,
        models: Sequence[Model],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`clock` and `sleep` (seconds) are those of the limits per minute and of the pauses."""
        self.name, self._config, self._sleep = name, config, sleep
        self._endpoints = [
            Endpoint(each, model, config.health, clock)
            for each, model in zip(config.endpoints, models, strict=True)
        ]
        self._line = RequestQueue(self._endpoints, sleep)
        self._nurses: dict[str, asyncio.Task[None]] = {}

    def endpoints(self) -> list[EndpointState]:
        """Return what is known of each endpoint now, in the file's order."""
        return [endpoint.state for endpoint in self._endpoints]

    async def start(self) -> None:
        """Start every endpoint; those that cannot be reached are looked at again later.

        Raises ModelUnavailable, with each endpoint's reason, where none can be used, and UserError
        where an engine on this machine cannot be loaded.
        """
        starts = (endpoint.model.start() for endpoint in self._endpoints)
        for endpoint, error in zip(
            self._endpoints, await asyncio.gather(*starts, return_exceptions=True), strict=True
        ):
            if isinstance(error, ModelUnavailable) and endpoint.is_remote:
                endpoint.drain(str(error), is_usable=False)
            elif error is not None:
                raise error
        sick = [endpoint for endpoint in self._endpoints if not endpoint.is_up]
        if len(sick) == len(self._endpoints):
            raise self._unavailable()
        for endpoint in sick:
            self._nurse(endpoint)

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        """Have an endpoint continue or answer `prompt`; the completion names it.

        Raises CallFailed when this call failed for good, ModelUnavailable when no endpoint can be
        used until the user acts.
        """
        call = Call(_tokens(prompt_length(prompt)) + sampling.max_tokens, scoring=False)
        served = await self._serve(call, lambda model: model.complete(prompt, sampling, schema))
        completion: Completion = served.result
        return replace(completion, attempts=served.attempts, endpoint=served.endpoint.name)

    async def score(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float]:
        """Have an endpoint score `options`; see `Model.score`.

        Endpoints without log-probabilities are passed over. Raises ScoresUnavailable when none has
        any, else as `complete` does.
        """
        length = prompt_length(prompt)
        if isinstance(prompt, str):
            length += sum(length + len(option) for option in options)
        call = Call(_tokens(length), scoring=True)
        scores: list[float] = (
            await self._serve(call, lambda model: model.score(prompt, options, floor))
        ).result
        return scores

    async def close(self) -> None:
        """Close every endpoint."""
        nurses = self._nurses.values()
        for nurse in nurses:
            nurse.cancel()
        await asyncio.gather(*nurses, self._line.close(), return_exceptions=True)
        closing = (endpoint.model.close() for endpoint in self._endpoints)
        for error in await asyncio.gather(*closing, return_exceptions=True):
            if error is not None:
                raise error

    async def _serve(self, call: Call, ask: _Ask) -> _Served:
        """Ask one endpoint after the other until one serves the call or it fails for good."""
        give_up = asyncio.get_running_loop().time() + self._config.wait_s
        try:
            while True:
                endpoint = await self._place(call, give_up)
                if (result := await self._ask(call, endpoint, ask)) is not None:
                    return _Served(result, endpoint, call.attempts)
        finally:
            self._line.move_up()

    async def _ask(self, call: Call, endpoint: Endpoint, ask: _Ask) -> Any:
        """Return what the endpoint answers, or None where the call is to be moved."""
        used, attempts = 0, 1  # unless somebody tells
        try:
            result = await ask(endpoint.model)
            used, told, attempts = _usage(result, call.tokens)
            if endpoint.served(told):
                log.warning("%s: endpoint %s is back", self.name, endpoint.name)
            return result
        except CallFailed as error:
            attempts = error.attempts
            self._failed(call, endpoint, error)
        except ModelUnavailable as error:
            attempts = error.attempts
            if endpoint.failed(str(error), is_usable=False):
                self._nurse(endpoint)
            call.failed_at.append(endpoint)
        except ScoresUnavailable as error:
            endpoint.gives_scores = False
            about = (self.name, endpoint.name, _line(str(error)))
            log.warning("%s: endpoint %s is passed over for scores: %s", *about)
        finally:
            endpoint.end(call.tokens, used, attempts)
            call.attempts += attempts
        return None

    def _failed(self, call: Call, endpoint: Endpoint, failed: CallFailed) -> None:
        """Take note of a failure; raise it where the call is not to be moved."""
        for_good = CallFailed(failed.reason, str(failed), call.attempts + failed.attempts)
        if failed.reason not in FAULTS:
            endpoint.served(0)
            raise for_good from None
        if endpoint.failed(str(failed)):
            self._nurse(endpoint)
        call.failed_at.append(endpoint)
        call.last = failed
        call.moves += 1
        if call.moves > self._config.moves:
            raise for_good from None

    async def _place(self, call: Call, give_up: float) -> Endpoint:
        try:
            endpoint = await self._line.place(call, give_up)
        except TimeoutError:
            raise self._given_up(call) from None
        if endpoint is None:
            raise ScoresUnavailable(
                f"no endpoint of {self.name} gives log-probabilities of given text; "
                "read answers out of generated text"
            )
        return endpoint

    def _nurse(self, endpoint: Endpoint) -> None:
        """Look after an endpoint until it is back."""
        if endpoint.setbacks == 1:
            about = (self.name, endpoint.name, _line(endpoint.reason or ""))
            log.warning("%s: endpoint %s gets no calls for now: %s", *about)
        self._nurses[endpoint.name] = asyncio.create_task(self._heal(endpoint))

    async def _heal(self, endpoint: Endpoint) -> None:
        while not endpoint.is_up:
            await self._sleep(endpoint.pause())
            try:
                if endpoint.is_remote:
                    async with asyncio.timeout(_PROBE_S):
                        await endpoint.model.start()
            except UserError as error:
                endpoint.drain(str(error), is_usable=False)
            except TimeoutError:
                endpoint.drain(f"no answer within {_PROBE_S:g} s")
            else:
                endpoint.bring_back()
        self._line.move_up()

    def _given_up(self, call: Call) -> CallFailed | ModelUnavailable:
        """Return what a call fails with that no endpoint took in time."""
        if not any(each.is_usable for each in self._endpoints if call.fits(each)):
            return self._unavailable()
        states = "; ".join(f"{e.name}: {e.reason or 'busy'}" for e in self._endpoints)
        message = f"no endpoint took the call within {self._config.wait_s:g} s ({states})"
        return CallFailed(call.last.reason if call.last else "timeout", message, call.attempts)

    def _unavailable(self) -> ModelUnavailable:
        reasons = "; ".join(f"{each.name}: {each.reason}" for each in self._endpoints)
        return ModelUnavailable(f"no endpoint of {self.name} can be used: {reasons}")


def _tokens(characters: int) -> int:
    return characters // _CHARACTERS_PER_TOKEN


def _usage(result: Any, reserved: int) -> tuple[int, int, int]:
    """Return tokens to settle a reservation with, tokens that the endpoint told, and requests."""
    if not isinstance(result, Completion):
        return reserved, 0, 1
    counts = (result.prompt_tokens, result.completion_tokens)
    told = sum(count or 0 for count in counts)
    return reserved if None in counts else told, told, result.attempts


def _line(text: str) -> str:
    """Return a reason as one line that is safe to print."""
    return printable(" ".join(text.split()))[:300]
