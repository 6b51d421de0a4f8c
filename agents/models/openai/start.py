"""Whether a run may start at an OpenAI-compatible endpoint: one request of one token decides.

Invariant: the list of models only informs; an endpoint that is loading is waited for, for a bounded
time that is said.
"""

from __future__ import annotations

import asyncio
import difflib
import logging
import re
from fnmatch import fnmatchcase
from typing import Protocol

import httpx2

from agents.models.base import ModelUnavailable
from agents.models.openai.failure import Failures, Refusal

log = logging.getLogger(__name__)

PATHS = ("/chat/completions", "/completions")
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
"""Seconds between two looks at an endpoint that is loading."""
_NOT_READY = (502, 503, 504, 529)
"""What servers and gateways answer while there is nothing behind them yet, or too much."""
_NOTICE_S = 15.0
"""Seconds of silence after which it is said what is being waited for."""
_NO_ROOM = re.compile(
    r"(higher|larger|increase|minimum|at least|below).{0,60}(max|token)"
    r"|max_(completion_|output_)?tokens.{0,80}(minimum|at least|was reached|>=)"
)
"""That one token is too few, which proves that the model is there."""


class Startable(Protocol):
    """An endpoint that has not been asked anything yet."""

    failures: Failures
    loading_s: float
    """Seconds that it is waited for while it says that it is loading."""
    startup_s: float
    """Seconds that it is waited for while nobody listens at its port."""

    async def tried(self, path: str) -> Refusal | None:
        """Ask for one token; return what came instead."""

    async def listed(self) -> set[str]:
        """Return the models that the endpoint lists, none where it has no list."""


async def check_start(endpoint: Startable) -> None:
    """Have the endpoint answer once. Raises ModelUnavailable where no call can succeed."""
    told = endpoint.failures
    notice = asyncio.get_running_loop().call_later(
        _NOTICE_S, log.warning, "waiting for the first answer of %s", told.base_url
    )
    try:
        refusal = await _loaded(endpoint)
    finally:
        notice.cancel()
    if refusal is not None and _passes(refusal):
        return
    known = await endpoint.listed()
    unlisted = bool(known) and not any(_means(told.model, name) for name in known)
    names = ", ".join(difflib.get_close_matches(told.model, sorted(known), n=10, cutoff=0.0))
    more = ", ..." if len(known) > 10 else ""
    if refusal is None:
        if unlisted:
            log.warning(
                "%s answers as '%s' but does not list it (%s%s); check that it is the model you "
                "mean",
                told.base_url,
                told.model,
                names,
                more,
            )
        return
    is_missing = refusal.fault is not None and (
        refusal.fault.kind == "no-model" or refusal.fault.status in (404, 405)
    )
    if unlisted and is_missing:
        raise ModelUnavailable(f"{told.base_url} has no model '{told.model}'; known: {names}{more}")
    raise ModelUnavailable(str(told.of(refusal)))


async def _loaded(endpoint: Startable) -> Refusal | None:
    """Return what the endpoint refuses with once it is not loading, or has been for too long."""
    clock = asyncio.get_running_loop().time
    began, pause, said = clock(), SHORTEST_PAUSE_S, False
    while True:
        refusal = await _tried(endpoint)
        patience = _patience(refusal, endpoint)
        asked = refusal.fault.retry_after_s if refusal and refusal.fault else None
        pause = min(max(pause, asked or 0.0), LONGEST_PAUSE_S, began + patience - clock())
        if refusal is None or pause <= 0:
            return refusal
        if not said:
            why = refusal.fault.words if refusal.fault else "nobody listens there yet"
            about = (endpoint.failures.base_url, why[:200], patience)
            log.warning("%s is not ready (%s); waiting for up to %g s", *about)
            said = True
        await asyncio.sleep(pause)
        pause *= 2


async def _tried(endpoint: Startable) -> Refusal | None:
    """Ask in the form of a chat and, where that is refused, of a text."""
    refusal = await endpoint.tried(PATHS[0])
    fault = refusal.fault if refusal else None
    if refusal is None or fault is None or _passes(refusal) or fault.status >= 500:
        return refusal
    if fault.kind not in ("other", "no-model"):
        return refusal
    other = await endpoint.tried(PATHS[1])
    return refusal if other is not None and not _passes(other) else None


def _passes(refusal: Refusal) -> bool:
    """Return whether a refusal leaves other calls a chance."""
    fault = refusal.fault
    if fault is None:
        return False
    busy = fault.kind == "busy" and fault.status < 500
    return (
        busy or fault.kind in ("too-long", "filtered") or _NO_ROOM.search(fault.words) is not None
    )


def _patience(refusal: Refusal | None, endpoint: Startable) -> float:
    """Return for how many seconds to wait for what a refusal says to pass."""
    if refusal is None:
        return 0.0
    if refusal.fault is not None:
        waits = refusal.fault.kind == "loading" or refusal.fault.status in _NOT_READY
        return endpoint.loading_s if waits else 0.0
    is_closed = isinstance(refusal.error.__cause__, httpx2.ConnectError)
    return endpoint.startup_s if is_closed else 0.0


def _means(asked: str, listed: str) -> bool:
    """Return whether a listed name stands for the one asked for: a wildcard, or without a routing
    suffix."""
    return fnmatchcase(asked, listed) or asked.rpartition(":")[0] == listed
