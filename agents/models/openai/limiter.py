"""How many requests one endpoint has in flight at once, found out from what it makes of them.

The bound begins low and rises by one with each answer, until the endpoint refuses a request as one
too many or leaves it unanswered. From then on such a request lowers the bound by one and an answer
raises it by a fifth, so that refused requests settle under a sixth of all, whatever the endpoint
can take; and it only rises while answers come soon, so that a server that works off one request
after the other is not given more than it answers in time.

Invariant: never more in flight than the bound or than the user allows; first come, first served. A
request that was given up may still occupy the endpoint, so its place is not filled again.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from agents.models.base import LONGEST_WAIT_S
from agents.models.deadline import not_counted
from folkways.errors import FolkwaysError

FIRST = 4
"""Requests that an unknown endpoint is given at once."""
_RISE = 0.2
"""By how much an answer raises the bound once it has been found."""
_SOON = 0.25
"""Share of the time limit that an answer may take and still raise the bound."""
_UNANSWERED = 6
"""Requests in a row, the last ones alone at the endpoint, after which it is taken to be dead: one
at a time goes on trying, and the others fail at once."""
_EPOCH_S = 1e9
"""Numbers of seconds from here on are points of time."""
OVERLOADED = (429, 503, 529)
"""HTTP status of a request that is one too many."""


class Unanswered(FolkwaysError):
    """An endpoint that answers nobody is not asked."""


class Limiter:
    """Admits requests to one endpoint."""

    def __init__(self, most: int, timeout_s: float) -> None:
        """`most` requests at once at most, each with `timeout_s` seconds to be answered."""
        self._most, self._timeout_s = most, timeout_s
        self._bound = float(min(most, FIRST))
        self._is_found = False
        self._in_flight = self._unanswered = 0
        self.answers = 0
        """Requests that were answered."""
        self._soonest = math.inf
        self._held_until = -math.inf
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def bound(self) -> int:
        """Requests that may be in flight at once now."""
        return int(self._bound)

    @property
    def held_s(self) -> float:
        """Seconds that the endpoint has asked everybody to wait from now on."""
        return max(0.0, self._held_until - time.monotonic())

    async def admit(self) -> None:
        """Wait for a place; the time does not count against the call's limit.

        Raises Unanswered where the endpoint has not answered anybody for long.
        """
        if not self._line and self._has_room():
            self._in_flight += 1
            return
        if self._is_dead:
            raise self._dead()
        place = asyncio.get_running_loop().create_future()
        self._line.append(place)
        try:
            with not_counted():
                await place
        except asyncio.CancelledError:
            if place in self._line:
                self._line.remove(place)
            elif not place.cancelled() and not place.exception():
                self.left()
            raise

    def answered(self, seconds: float) -> None:
        """Take note of an answer that took so long."""
        self._unanswered = 0
        self.answers += 1
        self._soonest = min(self._soonest, seconds)
        soon = seconds < max(_SOON * self._timeout_s, 2 * self._soonest)
        if soon and 2 * self._in_flight >= self.bound:  # what is not used is not tried either
            self._bound = min(self._most, self._bound + (_RISE if self._is_found else 1))
        self.left()

    def hold(self, wait_s: float | None) -> bool:
        """Have everybody wait for some seconds; return whether they do, which is bounded."""
        if not wait_s or not 0 < wait_s <= LONGEST_WAIT_S:
            return False
        self._held_until = max(self._held_until, time.monotonic() + wait_s)
        asyncio.get_running_loop().call_later(wait_s, self._after_hold)
        return True

    def refused(self) -> None:
        """Take note that a request was one too many."""
        self._unanswered = 0
        self._lower()
        self.left()

    def given_up(self) -> None:
        """Take note of a request that was not answered in time."""
        self._unanswered += 1
        self._lower()
        while self._is_dead and self._line:
            place = self._line.popleft()
            if not place.done():
                place.set_exception(self._dead())
        self.left()

    def left(self) -> None:
        """Take note that a request is over that says nothing of what the endpoint can take."""
        self._in_flight -= 1
        self._move_up()

    @property
    def _is_dead(self) -> bool:
        return self._unanswered >= _UNANSWERED and self.bound == 1

    def _dead(self) -> Unanswered:
        return Unanswered(f"the last {self._unanswered} requests had no answer")

    def _lower(self) -> None:
        self._is_found = True
        self._bound = max(1.0, self._bound - 1)

    def _after_hold(self) -> None:
        if left_s := self.held_s:  # it was made longer, or a timer is early
            asyncio.get_running_loop().call_later(left_s, self._after_hold)
        self._move_up()

    def _has_room(self) -> bool:
        return self._in_flight < self.bound and not self.held_s

    def _move_up(self) -> None:
        while self._line and self._has_room():
            place = self._line.popleft()
            if not place.done():
                self._in_flight += 1
                place.set_result(None)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until an endpoint wants to be asked again, None where it does not say."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            return float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
    try:
        return parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time()
    except (KeyError, ValueError, OverflowError):
        return _reset_after(headers)


def _reset_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until an allowance that is used up is granted anew: in OpenRouter's and
    GitHub's headers a point of time, in others a number of seconds."""
    try:
        if float(headers["x-ratelimit-remaining"]) > 0:
            return None
        at = float(headers["x-ratelimit-reset"])
    except (KeyError, ValueError):
        return None
    if at < _EPOCH_S:
        return at
    return (at / 1000 if at > 1000 * _EPOCH_S else at) - time.time()
