"""The engine for any OpenAI-compatible endpoint, over the `openai` client.

Invariant: the client's own retries are the only ones, and the API key is in no error and no log.
"""

from __future__ import annotations

import asyncio
import difflib
import logging
import math
import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2
from openai import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncOpenAI,
    DefaultAsyncHttpxClient,
    Timeout,
)

from agents.engines.limiter import OVERLOADED, Limiter, Unanswered, retry_after
from agents.engines.openai_reply import (
    EXTENSIONS,
    TOO_LONG,
    NoEcho,
    Prices,
    read_completion,
    read_error,
    read_first_token,
    read_model_ids,
    read_scores,
    refused_parameter,
)
from agents.model import (
    CallFailed,
    Completion,
    Message,
    ModelUnavailable,
    Prompt,
    Sampling,
    ScoresUnavailable,
)
from scenarios.errors import UserError

log = logging.getLogger(__name__)

OPENAI_HOST = "api.openai.com"
OPENAI_URL = f"https://{OPENAI_HOST}/v1"
CONNECT_S = 10.0
LIKELIEST = 20
"""First tokens of an answer whose log-probability an endpoint gives, at most."""
NO_KEY = "none"
"""What is sent where there is no key; the client insists on one."""
NO_MODEL = re.compile(
    r"(invalid|unknown|no such) model|\bmodel\b.{0,120}\bnot (exist|found)", re.IGNORECASE
)


def from_spec(spec: str, *, environ: Mapping[str, str] = os.environ, **options: Any) -> OpenAIModel:
    """Return the model for `NAME@BASE_URL`, or for `NAME` at OPENAI_BASE_URL, else at OpenAI.

    The key is OPENAI_API_KEY's value; a server of one's own may do without. `options` are those
    of `OpenAIModel`. Raises UserError for a spec or an address that cannot be right.
    """
    match = re.fullmatch(r"(?s)(.*?)@(https?://.*)", spec)
    if match:
        model, url = match.groups()
        where = f"openai model {model!r}"
    elif "@" in spec:
        model, _, url = spec.rpartition("@")
        raise UserError(
            f"openai model {model!r}: the address {url!r} does not begin with http:// or https://; "
            "write NAME@http://HOST:PORT/v1"
        )
    else:
        model, url = spec, environ.get("OPENAI_BASE_URL") or OPENAI_URL
        where = "OPENAI_BASE_URL"
    if not model.strip():
        raise UserError(
            f"openai model {spec!r} has no name; write NAME or NAME@http://HOST:PORT/v1"
        )
    host = _host(url, where)
    key = environ.get("OPENAI_API_KEY")
    if not key and host.endswith(OPENAI_HOST):
        raise UserError(
            f"openai model {model!r} at {host} needs a key: set OPENAI_API_KEY, "
            "or name a server of your own as NAME@http://HOST:PORT/v1"
        )
    options.setdefault("name", f"openai:{spec}")
    return OpenAIModel(model=model, base_url=url, api_key=key, **options)


def _host(url: str, where: str) -> str:
    """Return the host of a sound base URL, or raise UserError naming `where` it stands."""
    form = "write http://HOST:PORT/v1 or https://HOST/v1"
    if "@" in url:
        raise UserError(
            f"{where}: an address holds no user name, password or '@'; {form} "
            "and put the key into OPENAI_API_KEY"
        )
    try:
        parts = httpx2.URL(url)
    except httpx2.InvalidURL:
        parts = httpx2.URL()
    shaped = re.fullmatch(r"https?://[^/\s?#]+(/[^\s?#]*)?", url)
    if not shaped or not parts.host or not 0 < (parts.port or 80) < 65536:
        raise UserError(f"{where}: the address {url!r} is malformed; {form}")
    return parts.host


class OpenAIModel:
    """A model behind an OpenAI-compatible endpoint.

    Text is continued by `/completions`, a chat is answered by `/chat/completions`. A dispensable
    parameter that the endpoint refuses is left out from then on, with one warning in the log.
    """

    def __init__(
        self,
        name: str,
        model: str,
        base_url: str | None,
        api_key: str | None,
        *,
        timeout_s: float = 120,
        max_retries: int = 5,
        concurrency: int = 64,
        prices: Prices | None = None,
    ) -> None:
        """Prepare the client; nothing is sent before `start`.

        Without `base_url`, OPENAI_BASE_URL or OpenAI's own address is used. `timeout_s` (seconds)
        bounds one attempt, from connecting to the last byte. Raises UserError for a key that
        cannot be sent.
        """
        self.name = name
        self.model = model
        self._key = (api_key or "").strip() or NO_KEY
        if not re.fullmatch(r"[!-~]+", self._key):
            raise UserError(
                "the API key holds a space, a line break or a character outside ASCII; "
                "set OPENAI_API_KEY to the key alone"
            )
        self._timeout_s = timeout_s
        self._prices = prices
        self.limiter = Limiter(concurrency, timeout_s)
        self._refused: set[tuple[str, str]] = set()
        limits = httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        self._client = AsyncOpenAI(
            api_key=self._key,
            base_url=base_url,
            max_retries=max_retries,
            timeout=Timeout(timeout_s, connect=min(CONNECT_S, timeout_s), pool=None),
            http_client=_TimedClient(timeout_s, limits, self.limiter),
        )
        self.base_url = str(self._client.base_url).rstrip("/")
        self._is_openai = self._client.base_url.host.endswith(OPENAI_HOST)

    async def start(self) -> None:
        """Ask for the list of models: proof that the endpoint, the key and the model are right.

        An endpoint that has no such list, or is too busy to give it, passes.
        Raises ModelUnavailable otherwise.
        """
        client = self._client.with_options(max_retries=min(2, self._client.max_retries))
        try:
            response = await client.get("/models", cast_to=httpx2.Response)
            known = read_model_ids(response.json())
        except APIStatusError as error:
            if error.status_code in (404, 405, 429, 501):
                return
            raise ModelUnavailable(str(self._failure(error, {}, 1))) from None
        except APIConnectionError as error:
            raise self._unreachable(error) from None
        except ValueError:
            raise ModelUnavailable(
                f"{self.base_url} does not answer like an OpenAI-compatible endpoint: its list of "
                "models is not JSON; check the URL, which usually ends in /v1"
            ) from None
        if known and self.model not in known:
            closest = difflib.get_close_matches(self.model, sorted(known), n=10, cutoff=0.0)
            more = ", ..." if len(known) > len(closest) else ""
            raise ModelUnavailable(
                f"{self.base_url} has no model '{self.model}'; known: {', '.join(closest)}{more}"
            )

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        """Continue or answer `prompt`; with `prices`, the completion has its cost in US dollars.

        Raises CallFailed when this call failed for good, ModelUnavailable when every other would.
        """
        body = {"model": self.model, **self._parameters(sampling, schema)}
        if isinstance(prompt, str):
            path = "/completions"
            body["prompt"] = prompt
        else:
            path = "/chat/completions"
            body["messages"] = list(prompt)
        response, attempts = await self._post(path, body)
        try:
            return read_completion(
                response.content, sampling.stop, attempts, self._prices, sampling.max_tokens
            )
        except CallFailed as failed:
            raise CallFailed(failed.reason, self._excerpt(str(failed)), attempts) from None

    async def score(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float]:
        """Return the log-probability (nats) of each option as the continuation of `prompt`.

        Of a text, one request has the endpoint echo the prompt alone and the prompt with each
        option; where an option merges with the prompt's last token, that token's log-probability is
        taken off. Of a chat, the endpoint tells the likeliest first tokens of the answer, which are
        the options or not; see `read_first_token`. Raises ScoresUnavailable for an endpoint without
        log-probabilities.
        """
        if not isinstance(prompt, str):
            return await self._score_chat(prompt, options)
        asked = [prompt, *(prompt + option for option in options)]
        body = {"prompt": asked, "echo": True, "logprobs": 1, "max_tokens": 0, "temperature": 0}
        response, attempts = await self._post("/completions", {"model": self.model, **body})
        try:
            return read_scores(response.content, asked)
        except NoEcho as error:
            raise self._scoreless(str(error)) from None
        except CallFailed as failed:
            raise CallFailed(failed.reason, self._excerpt(str(failed)), attempts) from None

    async def _score_chat(self, chat: Sequence[Message], options: Sequence[str]) -> list[float]:
        body = {
            "model": self.model, "messages": list(chat), "logprobs": True,
            "top_logprobs": LIKELIEST, "max_tokens": 1, "temperature": 1.0,
        }  # fmt: skip
        response, attempts = await self._post("/chat/completions", body)
        try:
            return read_first_token(response.content, options)
        except NoEcho as error:
            raise self._scoreless(str(error)) from None
        except CallFailed as failed:
            raise CallFailed(failed.reason, self._excerpt(str(failed)), attempts) from None

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def _parameters(self, sampling: Sampling, schema: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return all but the prompt; neutral values too, as servers have defaults of their own."""
        names = ("temperature", "top_p", "max_tokens", *(() if self._is_openai else EXTENSIONS))
        parameters: dict[str, Any] = {name: getattr(sampling, name) for name in names}
        if sampling.stop:
            parameters["stop"] = list(sampling.stop)
        if sampling.seed is not None:
            parameters["seed"] = sampling.seed
        if schema is not None:
            form = {"name": "reply", "schema": dict(schema), "strict": True}
            parameters["response_format"] = {"type": "json_schema", "json_schema": form}
        return parameters

    async def _post(self, path: str, body: Mapping[str, Any]) -> tuple[httpx2.Response, int]:
        """Return the answer and the attempts it took, leaving out what was refused before."""
        attempts = 0
        while True:
            sent = {key: body[key] for key in body if (path, key) not in self._refused}
            if (path, "max_tokens") in self._refused:
                sent["max_completion_tokens"] = body["max_tokens"]
            try:
                response = await self._client.post(path, cast_to=httpx2.Response, body=sent)
            except (APIStatusError, APIConnectionError) as error:
                attempts += _attempts(error.request)
                refused = refused_parameter(error, sent)
                if refused is None:
                    failure = self._failure(error, sent, attempts)
                    if isinstance(failure, ModelUnavailable):
                        failure.attempts = attempts
                    raise failure from None
                if (path, refused) not in self._refused:
                    log.warning("%s takes no %s; going on without", self.base_url, refused)
                self._refused.add((path, refused))
            else:
                return response, attempts + _attempts(response.request)

    def _failure(
        self, error: APIStatusError | APIConnectionError, sent: Mapping[str, Any], attempts: int
    ) -> UserError | CallFailed:
        """Return the exception that stands for what the client gave up on."""
        if isinstance(error, APITimeoutError):
            message = f"no answer from {self.base_url} within {self._timeout_s:g} s"
            return CallFailed("timeout", message, attempts)
        if isinstance(error, APIConnectionError):
            if isinstance(error.__cause__, httpx2.ConnectError):
                return self._unreachable(error)
            message = f"the connection to {self.base_url} was lost: {error.__cause__}"
            return CallFailed("server-error", self._excerpt(message), attempts)
        return self._status_failure(error, sent, attempts)

    def _status_failure(
        self, error: APIStatusError, sent: Mapping[str, Any], attempts: int
    ) -> UserError | CallFailed:
        status, words = error.status_code, self._excerpt(read_error(error))
        message = f"{self.base_url} answers HTTP {status}: {words}"
        if status == 401:
            return ModelUnavailable(
                f"{self.base_url} refuses the API key (HTTP 401); set OPENAI_API_KEY to a valid one"
            )
        if status in (402, 403) or error.code == "insufficient_quota":
            return ModelUnavailable(f"{message}; check what the account behind the API key may do")
        if TOO_LONG.search(words):
            return CallFailed("prompt-too-long", words, attempts)
        if sent.keys() & {"echo", "logprobs"} and status in (400, 404, 405, 422, 501):
            return self._scoreless(f"HTTP {status}: {words}")
        if status in (404, 405) or (status < 500 and NO_MODEL.search(words)):
            return ModelUnavailable(f"{message}; check the model's name '{self.model}' and the URL")
        if error.code == "content_filter":
            return CallFailed("refusal", words, attempts)
        if status == 400 and error.param in ("temperature", "top_p"):
            return ModelUnavailable(f"{message}; choose a {error.param} that the model takes")
        return CallFailed("server-error", message, attempts, retry_after(error.response.headers))

    def _unreachable(self, error: APIConnectionError) -> ModelUnavailable:
        cause = self._excerpt(str(error.__cause__ or "")) or "timed out"
        return ModelUnavailable(
            f"cannot reach {self.base_url}: {cause}; check the URL and that the server runs"
        )

    def _scoreless(self, why: str) -> ScoresUnavailable:
        return ScoresUnavailable(
            f"{self.base_url} gives no log-probabilities of given text ({why}); "
            "use the vllm or transformers engine, or read answers out of generated text"
        )

    def _excerpt(self, text: str) -> str:
        """Return at most 1,000 characters of `text`, with the key made unreadable."""
        return (text if self._key == NO_KEY else text.replace(self._key, "***"))[:1000]


class _TimedClient(DefaultAsyncHttpxClient):
    """An HTTP client whose every attempt waits for its turn and then has a deadline.

    The plain client's timeout starts anew with each byte, and some endpoints send blanks for
    as long as an answer is being waited for.
    """

    def __init__(self, timeout_s: float, limits: httpx2.Limits, limiter: Limiter) -> None:
        super().__init__(limits=limits)
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
        elif response.status_code in OVERLOADED:
            self._limiter.refused(retry_after(response.headers))
        else:
            self._limiter.left()
        return response


def _attempts(request: httpx2.Request) -> int:
    """Return which attempt of the client's this request was, from 1."""
    return int(request.headers["x-stainless-retry-count"]) + 1
