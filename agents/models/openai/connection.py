"""The HTTP connection to one endpoint: bounded answers, no foreign redirects, one shape for errors.

Invariant: what was meant for an endpoint goes to its own origin alone, and an answer takes bounded
memory.
"""

from __future__ import annotations

import zlib
from typing import Any

import httpx2
from openai import DefaultAsyncHttpxClient, OpenAIError

from agents.models.openai.error import read_fault, status_within
from agents.models.openai.events import joined_events
from agents.models.openai.route import Route

MOST_BYTES = 16 * 2**20
"""Bytes of an answer, decompressed; a longer one is given up there. A thousand echoed tokens with
their log-probabilities take about 100 kB."""
_REDIRECTS = 5
_ACCEPTED = {"Accept-Encoding": "gzip"}
"""The only compression that is asked for and read: its output is bounded."""
_TRANSFER = ("content-encoding", "content-length", "transfer-encoding")


class BadAnswer(OpenAIError):
    """An answer that is not read, and would not be if it were asked for again."""

    def __init__(self, message: str, request: httpx2.Request) -> None:
        super().__init__(message)
        self.request = request


class RedirectedAway(BadAnswer):
    """The endpoint wants to be asked elsewhere."""


class Connection(DefaultAsyncHttpxClient):
    """An HTTP client for one endpoint.

    A reply that comes as a stream of events is joined into one; an error inside an answer with
    status 200 gets the status that it stands for, so that whoever retries sees it.
    """

    def __init__(self, route: Route, limits: httpx2.Limits) -> None:
        super().__init__(
            limits=limits,
            headers=_ACCEPTED,
            trust_env=False,
            proxy=route.proxy,
            verify=route.verify,
        )

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Return the whole answer. Raises BadAnswer for one that is too large or compressed in an
        unknown way, and RedirectedAway."""
        options |= {"stream": True, "follow_redirects": False}
        for _ in range(_REDIRECTS + 1):
            response = await super().send(request, **options)
            try:
                content = await _read(response)
            finally:
                await response.aclose()
            if not response.has_redirect_location:
                return _whole(response, content)
            request = _redirected(response)
        raise BadAnswer(f"it redirects more than {_REDIRECTS} times", request)


async def _read(response: httpx2.Response) -> bytes:
    """Return the body, decompressed."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise BadAnswer(f"the answer is compressed as {encoding[:40]!r}", response.request)
    unzip = zlib.decompressobj(zlib.MAX_WBITS | 32) if encoding not in ("", "identity") else None
    body = bytearray()
    async for chunk in response.aiter_raw():
        try:
            body += unzip.decompress(chunk, MOST_BYTES + 1 - len(body)) if unzip else chunk
        except zlib.error as error:
            message = f"the answer cannot be decompressed ({error})"
            raise BadAnswer(message, response.request) from None
        if len(body) > MOST_BYTES:
            message = f"the answer is longer than {MOST_BYTES // 2**20} MiB"
            raise BadAnswer(message, response.request)
    return bytes(body)


def _whole(response: httpx2.Response, content: bytes) -> httpx2.Response:
    """Return a response with its body in one piece and the status that its contents stand for."""
    status = response.status_code
    headers = httpx2.Headers(
        [(name, value) for name, value in response.headers.multi_items() if name not in _TRANSFER]
    )
    if response.is_success:
        content = joined_events(content)
        status = status_within(content) or status
    if status >= 400:
        fault = read_fault(status, content, headers)
        if fault.is_final:
            headers["x-should-retry"] = "false"
        elif fault.retry_after_s is not None and "retry-after" not in headers:
            headers["retry-after"] = f"{fault.retry_after_s:g}"
    return httpx2.Response(status, headers=headers, content=content, request=response.request)


def _redirected(response: httpx2.Response) -> httpx2.Request:
    """Return the same request to where the endpoint sends it, at the same origin."""
    asked = response.request
    try:
        url = asked.url.join(response.headers["location"])
    except httpx2.InvalidURL:
        raise BadAnswer("it redirects to a malformed address", asked) from None
    if (url.scheme, url.host, url.port) != (asked.url.scheme, asked.url.host, asked.url.port):
        port = f":{url.port}" if url.port else ""
        message = f"it redirects to {url.scheme}://{url.host}{port}"
        raise RedirectedAway(message, asked)
    return httpx2.Request(
        asked.method, url, headers=asked.headers, content=asked.content, extensions=asked.extensions
    )
