"""Metrics of the work in progress for Prometheus, served on this machine while a command runs.

Invariant: without the switch nothing is imported, counted or served; with it, what is counted is
what the store is given.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from folkways.errors import UserError
from simulation.store.record import Record

ADDRESS = "127.0.0.1"
_FAILURES = ("timeout", "refusal", "server-error", "bad-response", "prompt-too-long")
"""Problems of an answer that are failures of its call."""
_KINDS = ("prompt", "cached", "completion")
"""Kinds of tokens."""
_LATENCIES_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250)
"""Upper bounds of the histogram of latencies, seconds."""


class Working(Protocol):
    """A piece of work that knows how much is in progress."""

    stage: str
    live: int


class Exporter:
    """The metrics of one command."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
        from prometheus_client import disable_created_metrics as without_times_of_creation

        without_times_of_creation()  # type: ignore[no-untyped-call]
        registry = self.registry = CollectorRegistry()
        self._records = Counter(
            "folkways_records",
            "Finished records, by what came of them.",
            ("stage", "outcome"),
            registry=registry,
        )
        self._episodes = Counter(
            "folkways_episodes", "Episodes played.", ("exit_reason",), registry=registry
        )
        self._turns = Counter("folkways_turns", "Turns of played episodes.", registry=registry)
        self._tokens = Counter("folkways_tokens", "Tokens.", ("kind",), registry=registry)
        self._calls = Counter(
            "folkways_calls", "Model calls.", ("endpoint", "failure"), registry=registry
        )
        self._cost = Counter("folkways_cost_dollars", "Cost, where known.", registry=registry)
        self._latency = Histogram(
            "folkways_call_seconds",
            "From request to reply, waiting and retries included.",
            buckets=_LATENCIES_S,
            registry=registry,
        )
        self._live = Gauge("folkways_live", "Now in progress.", ("stage",), registry=registry)

    def follow(self, work: Working) -> None:
        """Tell from now on how much of this work is in progress."""
        self._live.labels(work.stage).set_function(lambda: work.live)

    def count(self, stage: str, record: Record) -> None:
        """Count a finished record."""
        self._records.labels(stage, record.outcome).inc()
        for episode in record.rows.get("episodes", ()):
            self._episodes.labels(episode["exit_reason"]).inc()
        self._turns.inc(len(record.rows.get("turns", ())))
        for call in record.calls:
            if not call.get("copied"):
                self._count_call(call)

    def _count_call(self, call: dict[str, Any]) -> None:
        problem = call.get("problem")
        failure = call.get("failure") or (problem if problem in _FAILURES else "")
        self._calls.labels(call.get("endpoint") or "", failure).inc()
        self._latency.observe(call["latency_s"])
        for kind in _KINDS:
            self._tokens.labels(kind).inc(call[f"{kind}_tokens"] or 0)
        self._cost.inc(call["cost"] or 0)


_current: ContextVar[Exporter | None] = ContextVar("metrics", default=None)


def served(work: Working) -> Exporter | None:
    """Return what counts for the server of this command, if it has one, and have it follow some
    work."""
    exporter = _current.get()
    if exporter:
        exporter.follow(work)
    return exporter


@contextmanager
def serving(port: int | None, quiet: bool = False) -> Iterator[None]:
    """Serve metrics for the time of a block; without a port do nothing.

    Raises UserError where the port cannot be had, and where the package is missing.
    """
    if port is None:
        yield
        return
    try:
        from prometheus_client import start_http_server
    except ImportError as error:
        raise UserError(
            "--metrics needs the package prometheus_client: pip install -e '.[metrics]'"
        ) from error
    exporter = Exporter()
    try:
        server, thread = start_http_server(port, ADDRESS, exporter.registry)
    except OSError as error:
        raise UserError(
            f"--metrics {port}: cannot serve on {ADDRESS}:{port}: {error.strerror}; choose another "
            "port, or 0 for any free one"
        ) from error
    if not quiet:
        address = f"http://{ADDRESS}:{server.server_port}/metrics"
        print(f"metrics at {address}", file=sys.stderr, flush=True)
    token = _current.set(exporter)
    try:
        yield
    finally:
        _current.reset(token)
        server.shutdown()
        server.server_close()
        thread.join()
