"""The engine for any OpenAI-compatible endpoint, over the `openai` client.

Invariant: nothing but the client retries, except what is refused while others are answered; the
API key is in no error and no log.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeGuard, TypeVar

import httpx2
from openai import APIConnectionError, APIStatusError, AsyncOpenAI, OpenAIError, Timeout

from agents.models.base import (
    CallFailed,
    Completion,
    ModelUnavailable,
    Prompt,
    Sampling,
    prompt_length,
)
from agents.models.chat import template_variables
from agents.models.openai.connection import BadAnswer
from agents.models.openai.error import read_fault
from agents.models.openai.failure import NO_KEY, Failures, Refusal
from agents.models.openai.limiter import OVERLOADED, Limiter
from agents.models.openai.prompt_watch import PromptWatch
from agents.models.openai.reply import (
    LIKELIEST,
    NoEcho,
    Prices,
    is_reply,
    read_completion,
    read_first_token,
    read_model_ids,
    read_scores,
)
from agents.models.openai.route import find_route
from agents.models.openai.start import PATHS, check_start
from agents.models.openai.terms import EXTENSIONS, Terms, Trial, arranged
from agents.models.openai.timed_client import TimedClient
from agents.models.sampling import named
from folkways.errors import UserError

log = logging.getLogger(__name__)

_OPENAI_HOST = "api.openai.com"
OPENAI_URL = f"https://{_OPENAI_HOST}/v1"
CHAT, TEXT = PATHS
_CONNECT_S = 10.0
_LISTING_S = 10.0
"""Seconds that the list of models may take."""
_ROUNDS = 6
"""How often a request that is refused while others are answered goes through all retries."""
_Read = TypeVar("_Read")


def from_spec(spec: str, *, environ: Mapping[str, str] = os.environ, **options: Any) -> OpenAIModel:
    """Return the model for `NAME@BASE_URL`, or for `NAME` at OPENAI_BASE_URL, else at OpenAI.

    The key is OPENAI_API_KEY's value; a server of one's own may do without. `options` are those
    of `OpenAIModel`. Raises UserError for a spec or an address that cannot be right.
    """
    if "base_url" in options:
        address = f"{spec.partition('@')[0]}@{options['base_url']}"
        raise UserError(f"openai model {spec!r}: the address is part of the name; write {address}")
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
    elif "://" in spec:
        raise UserError(f"openai model {spec!r} is an address without a name; write NAME@{spec}")
    else:
        model, url = spec, environ.get("OPENAI_BASE_URL") or OPENAI_URL
        where = "OPENAI_BASE_URL"
    if not model.strip():
        raise UserError(
            f"openai model {spec!r} has no name; write NAME or NAME@http://HOST:PORT/v1"
        )
    host = _host(url, where)
    if re.search(r"/(chat/)?completions/?$", url):
        shorter = re.sub(r"/(chat/)?completions/?$", "", url)
        raise UserError(f"{where}: the address ends before /completions; write {model}@{shorter}")
    key = environ.get("OPENAI_API_KEY")
    if not key and host.endswith(_OPENAI_HOST):
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

    Text is continued by `/completions`, a chat is answered by `/chat/completions`. What the
    endpoint refuses of a request is left out from then on, with one warning in the log.
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
        loading_s: float = 300,
        startup_s: float = 0,
        template: Mapping[str, Any] | None = None,
    ) -> None:
        """Prepare the client; nothing is sent before `start`.

        Without `base_url`, OPENAI_BASE_URL or OpenAI's own address is used. `timeout_s` (seconds)
        bounds one attempt, from connecting to the last byte. At the start a server that says that
        it is loading is waited for up to `loading_s`, and one that refuses the connection up to
        `startup_s`. `template` are variables of the chat template, such as enable_thinking, which
        servers of open models take as chat_template_kwargs. Raises UserError for a key that cannot
        be sent, and for a proxy or certificates that cannot be used.
        """
        self.name = name
        self.model = model
        key = (api_key or "").strip() or NO_KEY
        if not re.fullmatch(r"[!-~]+", key):
            raise UserError(
                "the API key holds a space, a line break or a character outside ASCII; "
                "set OPENAI_API_KEY to the key alone"
            )
        self.loading_s, self.startup_s = loading_s, startup_s
        self._prices = prices
        variables = template_variables(template, dated=False)
        self._template = {"chat_template_kwargs": variables} if variables else {}
        self.limiter = Limiter(concurrency, timeout_s)
        self._terms: defaultdict[str, Terms] = defaultdict(Terms)
        self._watch = PromptWatch()
        limits = httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        route = find_route(base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL)
        self._client = AsyncOpenAI(
            api_key=key,
            base_url=base_url,
            max_retries=max_retries,
            timeout=Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s), pool=None),
            http_client=TimedClient(timeout_s, limits, route, self.limiter),
        )
        self.base_url = str(self._client.base_url).rstrip("/")
        self._is_openai = self._client.base_url.host.endswith(_OPENAI_HOST)
        self.failures = Failures(self.base_url, model, key, timeout_s, route)

    async def start(self) -> None:
        """Ask for one token: proof that the endpoint, the key and the model are right.

        An endpoint that is too busy passes, and one that is loading is waited for. Raises
        ModelUnavailable otherwise.
        """
        await check_start(self)

    async def tried(self, path: str) -> Refusal | None:
        """Ask for one token by one path; return what came instead, None for an answer."""
        retries = min(2, self._client.max_retries)
        answer = await self._send(path, self._shortest(path), retries)
        if isinstance(answer, Refusal):
            return answer
        if not is_reply(answer[0].content):
            raise ModelUnavailable(
                f"{self.base_url} does not answer like an OpenAI-compatible endpoint"
                f"{self.failures.lacks_version or '; check the URL, which usually ends in /v1'}"
            )
        self._terms[path].proven = True
        return None

    def _shortest(self, path: str) -> dict[str, Any]:
        """Return a request for one token."""
        prompt: dict[str, Any] = {"prompt": "."}
        if path == CHAT:
            prompt = {"messages": [{"role": "user", "content": "."}], **self._template}
        return {"model": self.model, "max_tokens": 1, **prompt}

    async def _answers(self, path: str) -> bool:
        """Return whether the endpoint, which refused a prompt, takes another one."""
        sent = arranged(self._shortest(path), self._terms[path].changes)
        return isinstance(await self._try(path, sent, 0), httpx2.Response)

    async def listed(self) -> set[str]:
        """Return the models that the endpoint lists, none where it has no list."""
        client = self._client.with_options(max_retries=0)
        try:
            async with asyncio.timeout(_LISTING_S):
                response = await client.get("/models", cast_to=httpx2.Response)
            return read_model_ids(response.content)
        except (OpenAIError, TimeoutError):
            return set()

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        """Continue or answer `prompt`; with `prices`, the completion has its cost in US dollars.

        Raises CallFailed when this call failed for good, ModelUnavailable when every other would.
        """
        body = {"model": self.model, **self._parameters(sampling, schema)}
        if isinstance(prompt, str):
            path = TEXT
            body["prompt"] = prompt
        else:
            path = CHAT
            body |= {"messages": list(prompt), **self._template}
        made = await self._answered(
            path,
            body,
            prompt,
            lambda content, attempts: read_completion(
                content, sampling.stop, attempts, self._prices, sampling.max_tokens
            ),
        )
        if self._watch.is_cut(prompt, made.prompt_tokens, made.cached_tokens):
            log.warning(
                "%s counts %d tokens of prompts that grow: it seems to cut them to its context "
                "without a word, so that what was said first is lost. Raise its context "
                "(Ollama: num_ctx or OLLAMA_CONTEXT_LENGTH; others: context length)",
                self.base_url,
                made.prompt_tokens,
            )
        return made

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
        if isinstance(prompt, str):
            asked = [prompt, *(prompt + option for option in options)]
            body = {
                "model": self.model,
                "prompt": asked,
                "echo": True,
                "logprobs": 1,
                "max_tokens": 0,
                "temperature": 0,
            }
            return await self._answered(
                TEXT, body, prompt, lambda content, _: read_scores(content, asked)
            )
        body = {
            "model": self.model,
            "messages": list(prompt),
            **self._template,
            "logprobs": True,
            "top_logprobs": LIKELIEST,
            "max_tokens": 1,
            "temperature": 1.0,
        }
        return await self._answered(
            CHAT,
            body,
            prompt,
            lambda content, _: read_first_token(content, options, self._likeliest()),
        )

    def _likeliest(self) -> int:
        """Return how many likeliest tokens the endpoint tells."""
        sent = arranged({"top_logprobs": LIKELIEST}, self._terms[CHAT].changes)
        number: int = sent["top_logprobs"]
        return number

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    def _parameters(self, sampling: Sampling, schema: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return all but the prompt; neutral values too, as servers have defaults of their own."""
        parameters: dict[str, Any] = {
            "max_tokens": sampling.max_tokens,
            **named(sampling, "openai"),
        }
        for name in EXTENSIONS if self._is_openai else ():
            parameters.pop(name, None)
        if sampling.stop:
            parameters["stop"] = list(sampling.stop)
        if sampling.seed is not None:
            parameters["seed"] = sampling.seed
        if schema is not None:
            form = {"name": "reply", "schema": dict(schema), "strict": True}
            parameters["response_format"] = {"type": "json_schema", "json_schema": form}
        return parameters

    async def _answered(
        self,
        path: str,
        body: Mapping[str, Any],
        prompt: Prompt,
        read: Callable[[bytes, int], _Read],
    ) -> _Read:
        """Return what `read` makes of the answer's body and the attempts it took."""
        terms, length = self._terms[path], prompt_length(prompt)
        answer = await self._send(path, body)
        if isinstance(answer, Refusal):
            too_long = answer.fault is not None and terms.may_be_too_long(answer.fault, length)
            too_long = too_long and await self._answers(path)
            raise self.failures.of(answer, too_long=too_long) from None
        response, attempts = answer
        terms.took(length)
        try:
            return read(response.content, attempts)
        except NoEcho as error:
            raise self.failures.scoreless(str(error)) from None
        except CallFailed as failed:
            words = self.failures.excerpt(str(failed))
            raise CallFailed(failed.reason, words, attempts) from None

    async def _send(
        self, path: str, body: Mapping[str, Any], retries: int | None = None
    ) -> tuple[httpx2.Response, int] | Refusal:
        """Return the answer and the attempts it took, asking for less where something is refused.

        One request at a time finds out what that is; those that wait for it then do as it did.
        """
        terms = self._terms[path]
        known = set(terms.changes)
        sent = arranged(body, known)
        answer, earlier = await self._in_turn(path, sent, retries)
        if isinstance(answer, httpx2.Response):
            return answer, earlier + _attempts(answer.request)
        first, attempts = answer, earlier + answer.attempts
        if answer.fault is None or not answer.fault.is_of_request:
            return replace(answer, attempts=attempts)
        async with terms.trying:
            trial = Trial(terms)
            is_old = known != terms.changes
            while answer.fault and (is_old or trial.goes_on(answer.fault, sent)):
                is_old = False
                sent = arranged(body, trial.changes)
                answer = await self._try(path, sent, 0 if _is_broken(first) else retries)
                if isinstance(answer, httpx2.Response):
                    if _is_broken(first) and not await self._refuses(path, first.sent):
                        return answer, attempts + _attempts(answer.request) + 1
                    for line in trial.succeeded():
                        log.warning("%s %s", self.base_url, line)
                    return answer, attempts + _attempts(answer.request)
                if not _is_broken(first):  # a server that is broken is so whatever it is asked
                    attempts += answer.attempts
        is_told = answer.fault is None or answer.fault.kind != "other"
        return replace(answer if is_told else first, attempts=attempts)

    async def _refuses(self, path: str, sent: Mapping[str, Any]) -> bool:
        """Return whether what was refused still is, so that it was no passing fault."""
        return isinstance(await self._try(path, sent, 0), Refusal)

    async def _in_turn(
        self, path: str, sent: Mapping[str, Any], retries: int | None
    ) -> tuple[httpx2.Response | Refusal, int]:
        """Return the answer or the refusal, and the attempts before those that it took.

        What is refused while others are answered is sent again until it gets its turn, within
        bounds: a request may be one that is always refused.
        """
        earlier = attempts = 0
        for _ in range(_ROUNDS):
            earlier, answered = earlier + attempts, self.limiter.answers
            answer = await self._try(path, sent, retries)
            if not _is_crowded_out(answer) or self.limiter.answers == answered:
                break
            attempts = answer.attempts
        return answer, earlier

    async def _try(
        self, path: str, sent: Mapping[str, Any], retries: int | None
    ) -> httpx2.Response | Refusal:
        client = self._client if retries is None else self._client.with_options(max_retries=retries)
        try:
            return await client.post(path, cast_to=httpx2.Response, body=sent)
        except APIStatusError as error:
            given = error.response
            fault = read_fault(given.status_code, given.content, given.headers)
            return Refusal(error, fault, sent, _attempts(given.request))
        except (APIConnectionError, BadAnswer) as error:
            return Refusal(error, None, sent, _attempts(error.request))


def _is_crowded_out(answer: httpx2.Response | Refusal) -> TypeGuard[Refusal]:
    """Return whether a request was refused since there were too many, and for no other reason."""
    fault = answer.fault if isinstance(answer, Refusal) else None
    return fault is not None and fault.status in OVERLOADED and not fault.is_final


def _is_broken(refusal: Refusal) -> bool:
    """Return whether a refusal has the status of a fault that may pass."""
    return refusal.fault is not None and refusal.fault.status == 500


def _attempts(request: httpx2.Request) -> int:
    """Return which attempt of the client's this request was, from 1."""
    return int(request.headers["x-stainless-retry-count"]) + 1
