"""The response cache before a model: what it answered once is given again instead of asking it.

Invariant: only good answers are kept; an answer from the cache is one that the model gave to the
very same request, and no two requests of a launch get the same draw.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from agents.models.adapter import adapter_hash
from agents.models.base import (
    CACHED,
    Adaptable,
    Completion,
    Model,
    ModelUnavailable,
    Prompt,
    Sampling,
    prompt_hash,
    shaping_options,
)
from agents.models.response_store import Asking, Request, Response, ResponseStore
from folkways.text import sound

_KEY_VERSION = 1
"""Raise it when the same request may get another answer for a reason that its key does not hold."""
_CHAT_VERSION = 2
"""The same for chats that an engine on this machine writes as text."""
_WRITING = ("hf", "llama", "vllm")
"""Those engines."""
_SCORES = TypeAdapter(list[float | None])


class NotKept(ModelUnavailable):
    """No answer to a request is kept, and the model must not be asked."""


async def recall(
    model: Model, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
) -> Completion | None:
    """Return the kept answer to a call, which then costs nothing and need not be made.

    None means that the model has to be asked: it is ready for it, however long it took to load.
    Raises NotKept where it must not be asked.
    """
    kept = getattr(model, "recall", None)
    return None if kept is None else await kept(prompt, sampling, schema)


async def recall_scores(
    model: Model, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
) -> list[float] | None:
    """Return the kept answer to a call of `score`, as `recall` does."""
    kept = getattr(model, "recall_scores", None)
    return None if kept is None else await kept(prompt, options, floor)


def _identify(name: str, options: Mapping[str, Any]) -> Asking:
    """Return what tells a model from others: its name and the options that shape its answers.

    An adapter counts by its contents, wherever its folder lies; adapters that an engine merely
    holds do not count.
    """
    shaping = shaping_options(name, {key: options[key] for key in options if key != "adapters"})
    if shaping.get("adapter"):
        shaping["adapter"] = adapter_hash(shaping["adapter"])
    text = json.dumps(shaping, sort_keys=True, default=str)
    return Asking(hashlib.sha256(f"{name}\n{text}".encode()).hexdigest()[:16], name, text)


class _Sleeper:
    """An engine that is started by the first call that needs it."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._starting: asyncio.Task[None] | None = None

    async def wake(self) -> Model:
        """Return the engine once it is started. A caller that gives up does not stop the start."""
        if self._starting is None:
            self._starting = asyncio.create_task(self.model.start())
        await asyncio.shield(self._starting)
        return self.model

    async def close(self) -> None:
        """Close the engine, if it was ever started."""
        starting, self._starting = self._starting, None
        if starting is None:
            return
        starting.cancel()
        (failed,) = await asyncio.gather(starting, return_exceptions=True)
        if failed is None:
            await self.model.close()


class CachedModel:
    """A model whose good answers are kept, and which is asked only for those that are not."""

    def __init__(
        self, name: str, options: Mapping[str, Any], responses: ResponseStore, model: Model | None
    ) -> None:
        """Without `model`, an answer that is not kept is an error."""
        self.name, self.model = name, model
        self._options, self._responses = options, responses
        self._asking = _identify(name, options)
        self._sleeper = _Sleeper(model) if model else None
        self._adapter: str | None = None
        self._adapted: Model | None = None

    async def start(self) -> None:
        """Open the file of responses; the engine is started when it is first needed."""
        await self._responses.open()

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        """Return the kept answer, or the model's, which is then kept."""
        request = self._completing(prompt, sampling, schema)
        number = self._responses.take(request.key)
        try:
            if kept := await self._responses.find(request.key, number):
                return _completion(kept)
            model = await self._awake(request, number)
            made = await model.complete(prompt, sampling, schema)
        except BaseException:
            self._responses.give_back(request.key, number)
            raise
        if made.finish_reason not in ("stop", "length"):
            self._responses.give_back(request.key, number)
            return made
        thought = None if made.reasoning is None else sound(made.reasoning)
        response = Response(
            sound(made.text),
            made.finish_reason,
            made.prompt_tokens,
            made.completion_tokens,
            made.cached_tokens,
            made.cost,
            thought,
            made.reasoning_tokens,
        )
        kept = await self._responses.keep(request, number, response, made.endpoint)
        return replace(
            _completion(kept), attempts=made.attempts, cost=made.cost, endpoint=made.endpoint
        )

    async def score(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float]:
        """Return the kept log-probabilities, or the model's, which are then kept. They are no
        draws: the same request gets the same ones however often it is made.
        """
        request = self._scoring(prompt, options, floor)
        if kept := await self._responses.find(request.key, 0):
            return self._scores(kept, options)
        model = await self._awake(request, 0)
        made = await model.score(prompt, options, floor)
        if any(math.isnan(value) for value in made):
            return made
        text = json.dumps([None if value == -math.inf else value for value in made])
        return self._scores(await self._responses.keep(request, 0, Response(text)), options)

    async def recall(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion | None:
        """Return the kept answer that `complete` would get, or None once the model is started.

        Raises NotKept where it must not be asked.
        """
        request = self._completing(prompt, sampling, schema)
        number, kept = self._responses.take(request.key), None
        try:
            kept = await self._responses.find(request.key, number)
        finally:
            if kept is None:
                self._responses.give_back(request.key, number)
        if kept is None:
            await self._awake(request, number)
        return None if kept is None else _completion(kept)

    async def recall_scores(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float] | None:
        """Return the kept answer that `score` would get, as `recall` does."""
        request = self._scoring(prompt, options, floor)
        kept = await self._responses.find(request.key, 0)
        if kept is None:
            await self._awake(request, 0)
        return None if kept is None else self._scores(kept, options)

    def adapted(self, adapter: str) -> CachedModel:
        """Return the model with one of its adapters; it shares the engine and the file."""
        other = copy(self)
        other._adapter = adapter
        other._asking = _identify(self.name, {**self._options, "adapter": adapter})
        return other

    async def close(self) -> None:
        """Close the engine, if it was ever started."""
        if self._sleeper:
            await self._sleeper.close()

    async def _awake(self, request: Request, number: int) -> Model:
        """Return the engine, started. Raises NotKept where there is none to ask."""
        if self._sleeper is None:
            raise NotKept(
                f"{self._responses.path} keeps no answer of {self.name} to this request "
                f"({request.verb}, prompt {request.prompt_hash}, replicate {number}, key "
                f"{request.key.hex()[:12]}); with cache.mode=read-write the model is asked. Other "
                "messages, sampling, schema or options of the model make another request; a chat "
                "that an earlier version kept for a model on this machine is one, too"
            )
        model = await self._sleeper.wake()
        if self._adapter is None:
            return model
        if self._adapted is None:
            self._adapted = cast(Adaptable, model).adapted(self._adapter)
        return self._adapted

    def _scores(self, kept: Response, options: Sequence[str]) -> list[float]:
        """Return kept log-probabilities. Raises ModelUnavailable for what is none."""
        try:
            values = _SCORES.validate_json(kept.reply)
        except ValidationError:
            values = []
        if len(values) != len(options):
            raise self._responses.foreign()
        return [-math.inf if value is None else value for value in values]

    def _completing(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None
    ) -> Request:
        return self._request("complete", prompt, [sampling.key(), schema], sampling.seed)

    def _scoring(self, prompt: Prompt, options: Sequence[str], floor: float) -> Request:
        return self._request("score", prompt, [list(options), floor], None)

    def _request(self, verb: str, prompt: Prompt, rest: Any, seed: int | None) -> Request:
        asking = self._asking
        said = prompt if isinstance(prompt, str) else [[m["role"], m["content"]] for m in prompt]
        writes = said is not prompt and asking.name.partition(":")[0] in _WRITING
        version = _CHAT_VERSION if writes else _KEY_VERSION
        text = json.dumps([version, asking.name, asking.options, verb, said, rest])
        key = hashlib.sha256(text.encode()).digest()
        return Request(key, verb, asking, prompt_hash(prompt), seed)


def _completion(kept: Response) -> Completion:
    """Return a kept answer; it costs nothing, where costs are known at all."""
    return Completion(
        kept.reply,
        cast(Any, kept.finish_reason),
        kept.prompt_tokens,
        kept.completion_tokens,
        kept.cached_tokens,
        cost=None if kept.cost is None else 0.0,
        endpoint=CACHED,
        reasoning=kept.reasoning,
        reasoning_tokens=kept.reasoning_tokens,
    )
