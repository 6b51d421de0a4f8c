"""The HTTP client of one endpoint in time: its place in the line, its deadline, its pauses."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx2

from agents.models.openai.connection import Connection
from agents.models.openai.limiter import OVERLOADED, Limiter, Unanswered, retry_after
from agents.models.openai.route import Route

_RETRIED = (408, 409, 429)
"""HTTP status, besides 500 and more, of a request that the client sends again."""
_WAITED_FOR = "1"
"""Milliseconds that the client pauses where the limiter waits in its place: the time of a call and
the wall time of a run are bounds on a limiter's line, and not on the client's sleep."""


class TimedClient(Connection):
    """An HTTP client whose every attempt waits for its turn and then has a deadline.

    The plain client's timeout starts anew with each byte, and some endpoints send blanks for
    as long as an answer is being waited for.
    """

    def __init__(
        self, timeout_s: float, limits: httpx2.Limits, route: Route, limiter: Limiter
    ) -> None:
        super().__init__(route, limits)
        self._timeout_s, self._limiter = timeout_s, limiter

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        try:
            await self._limiter.admit()
        except Unanswered as error:
            raise httpx2.ReadTimeout(str(error), request=request) from None
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await super().send(request, **options)
        except (TimeoutError, httpx2.ReadTimeout):
            self._limiter.given_up()
            raise httpx2.ReadTimeout("deadline passed", request=request) from None
        except asyncio.CancelledError:
            self._limiter.given_up()
            raise
        except BaseException:
            self._limiter.left()
            raise
        if response.is_success:
            self._limiter.answered(time.monotonic() - began)
            return response
        again = response.status_code >= 500 or response.status_code in _RETRIED
        if again and self._limiter.hold(retry_after(response.headers)):
            response.headers["retry-after-ms"] = _WAITED_FOR
        if response.status_code in OVERLOADED:
            self._limiter.refused()
        else:
            self._limiter.left()
        return response
