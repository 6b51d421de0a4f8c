"""What a call to an OpenAI-compatible endpoint failed with, as the exception that stands for it.

Invariant: each is one line that says what to do, and the API key is in none.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from openai import APIConnectionError, APITimeoutError, OpenAIError

from agents.models.base import LONGEST_WAIT_S, CallFailed, ModelUnavailable, ScoresUnavailable
from agents.models.health import returning
from agents.models.openai.connection import RedirectedAway
from agents.models.openai.error import UNSUPPORTED, Fault
from agents.models.openai.route import Route
from folkways.clock import utc_now
from folkways.errors import UserError

NO_KEY = "none"
"""What is sent where there is no key; the client insists on one."""
_PLAIN_HTTP = re.compile(r"plain http|http request (was sent )?to an? https", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that came to nothing, after the client's own retries."""

    error: OpenAIError
    fault: Fault | None
    """What the endpoint said, where it said anything."""
    sent: Mapping[str, Any]
    attempts: int


@dataclass(frozen=True, slots=True)
class Failures:
    """Finds the words for what one endpoint fails with."""

    base_url: str
    model: str
    key: str
    timeout_s: float
    route: Route

    def of(self, refusal: Refusal, *, too_long: bool = False) -> UserError | CallFailed:
        """Return the exception for a refusal; `too_long` where arithmetic says so."""
        failure = self._of(refusal, too_long)
        if isinstance(failure, ModelUnavailable):
            failure.attempts = refusal.attempts
        return failure

    def excerpt(self, text: str) -> str:
        """Return at most 1,000 characters of `text`, with the key made unreadable."""
        return (text if self.key == NO_KEY else text.replace(self.key, "***"))[:1000]

    def scoreless(self, why: str) -> ScoresUnavailable:
        """Return the exception of an endpoint that gives no log-probabilities."""
        return ScoresUnavailable(
            f"{self.base_url} gives no log-probabilities of given text ({self.excerpt(why)}); "
            "use the vllm or transformers engine, or read answers out of generated text"
        )

    @property
    def lacks_version(self) -> str:
        """Where the address has no version in its path, a hint that it should have one."""
        if re.search(r"/v\d", self.base_url):
            return ""
        return f"; the address seems to lack /v1: write {self.model}@{self.base_url}/v1"

    @property
    def _where(self) -> str:
        return f"{self.base_url} through {self.route.through}" * bool(self.route.through) or (
            self.base_url
        )

    def _of(self, refusal: Refusal, too_long: bool) -> UserError | CallFailed:
        error, attempts = refusal.error, refusal.attempts
        if refusal.fault is not None:
            return self._refused(refusal.fault, refusal.sent, attempts, too_long)
        if isinstance(error, RedirectedAway):
            return ModelUnavailable(
                f"{self.base_url} is not where its answers are: {error}, and a key is sent to no "
                "other address than the one you name; name that one if you trust it"
            )
        if isinstance(error, APITimeoutError):
            message = f"no answer from {self._where} within {self.timeout_s:g} s"
            return CallFailed("timeout", message, attempts)
        if isinstance(error, APIConnectionError):
            return self._disconnected(error, attempts)
        return CallFailed("bad-response", self.excerpt(f"{self._where}: {error}"), attempts)

    def _disconnected(self, error: APIConnectionError, attempts: int) -> UserError | CallFailed:
        cause = error.__cause__
        host = httpx2.URL(self.base_url).host
        if isinstance(cause, httpx2.ProxyError):
            return ModelUnavailable(
                f"{self.route.through or 'the proxy'} does not let {host} through: "
                f"{self.excerpt(str(cause))}; correct it, or put {host} into NO_PROXY"
            )
        if not isinstance(cause, httpx2.ConnectError):
            message = f"the connection to {self._where} was lost: {cause}"
            return CallFailed("server-error", self.excerpt(" ".join(message.split())), attempts)
        words = " ".join(self.excerpt(str(cause or "")).split()) or "timed out"
        if any(isinstance(one, ssl.SSLError) for one in _causes(cause)) or "SSL" in words:
            who = "proxy or the server" if "https" in self.route.through else "server"
            return ModelUnavailable(f"no trusted connection to {self._where}: {_tls(words, who)}")
        remedy = f"check the proxy, or put {host} into NO_PROXY" * bool(self.route.through)
        return ModelUnavailable(
            f"cannot reach {self._where}: {words}; "
            f"{remedy or 'check the URL and that the server runs'}"
        )

    def _refused(
        self, fault: Fault, sent: Mapping[str, Any], attempts: int, too_long: bool
    ) -> UserError | CallFailed:
        status, words, kind = fault.status, self.excerpt(fault.words), fault.kind
        message = f"{self._where} answers HTTP {status}: {words}"
        if status == 407:
            return ModelUnavailable(f"{message}; {self.route.through} wants a user and a password")
        if kind == "key":
            wants = "wants an" if self.key == NO_KEY else "refuses the"
            return ModelUnavailable(
                f"{self._where} {wants} API key (HTTP {status}); set OPENAI_API_KEY to a valid one"
            )
        if kind == "quota":
            wait = fault.retry_after_s
            again = "" if wait is None else f"; {returning(wait, utc_now())}"
            return ModelUnavailable(
                f"{message}{again}; the account behind the API key has nothing left: check its "
                "balance and limits, then start the same command again"
            )
        if kind == "access":
            hint = "set OPENAI_API_KEY" * (self.key == NO_KEY) or (
                "check what the account behind the API key may do"
            )
            return ModelUnavailable(f"{message}; {hint}")
        if kind == "too-long" or too_long:
            return CallFailed("prompt-too-long", words, attempts)
        if kind == "filtered":
            return CallFailed("refusal", words, attempts)
        if sent.keys() & {"echo", "logprobs"} and _is_scoreless(fault):
            return self.scoreless(f"HTTP {status}: {words}")
        if _PLAIN_HTTP.search(words):
            return ModelUnavailable(f"{message}; write https:// instead of http://")
        if kind == "no-model" or status in (404, 405):
            hint = self.lacks_version or f"; check the model's name '{self.model}' and the URL"
            return ModelUnavailable(f"{message}{hint}")
        if status == 400 and (named := _named(fault)):
            return ModelUnavailable(f"{message}; choose a {named} that the model takes")
        return CallFailed("server-error", message, attempts, self._wait(fault))

    def _wait(self, fault: Fault) -> float | None:
        wait = fault.retry_after_s
        return wait if wait is not None and wait > LONGEST_WAIT_S else None


def _is_scoreless(fault: Fault) -> bool:
    """Return whether a refusal of log-probabilities is for good."""
    return fault.status in (404, 405) or (fault.is_of_request and fault.status != 500)


def _named(fault: Fault) -> str | None:
    """Return the sampling parameter whose value is refused, if only the user can choose it."""
    for name in ("temperature", "top_p"):
        in_words = re.search(rf"\b{name}\b", fault.words) and (
            UNSUPPORTED.search(fault.words) or re.search("must be|between|range", fault.words)
        )
        if fault.param == name or (fault.param is None and in_words):
            return name
    return None


def _tls(words: str, who: str) -> str:
    """Return a fault of TLS with what can be done about it."""
    if re.search("WRONG_VERSION_NUMBER|record layer failure|unexpected message", words, re.I):
        return f"{words}; the {who} seems to speak plain HTTP there: write http://"
    if re.search("verify failed|self.signed|unable to get|hostname", words, re.I):
        return (
            f"{words}; set SSL_CERT_FILE to the certificates of whoever signs for that server "
            "or for the proxy before it"
        )
    return f"{words}; check the URL and the server's certificate"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
