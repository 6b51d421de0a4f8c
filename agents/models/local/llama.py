"""The engine over llama.cpp, in this process: any GGUF file, batches that requests join and leave
at any token, and the prompts of earlier turns kept.

Invariant: llama.cpp is given only files whose header has been read and found sound; its server
listens on this machine alone and answers nobody without a key that only this object has.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2

from agents.models.base import (
    CallFailed,
    Completion,
    Message,
    ModelUnavailable,
    Prompt,
    Sampling,
)
from agents.models.chat import alternate, fold_system, template_variables
from agents.models.context import LLAMA_DEFAULT
from agents.models.local.chat_form import (
    NO_TEMPLATE,
    SAMPLES,
    folds,
    refusal,
    stripped,
)
from agents.models.local.gguf_file import GgufFile, check_adapter, read_model
from agents.models.local.llama_server import (
    SPARE_CONNECTIONS,
    ServerSettings,
    launch,
    usable_threads,
)
from agents.models.local.tokens import Choice, require_room, score_choice, split_choice
from agents.models.sampling import named
from agents.models.weights import packaged_file, require_packages
from folkways.errors import UserError

_SAMPLERS = ("penalties", "dry", "temperature", "min_p", "top_p")
"""In the order of the other local engines."""
_DRY_ALLOWED = 3
"""Tokens in a row that may be said again under DRY: names are as long."""
_LIKELIEST = 256
"""Tokens whose log-probability comes with one request; others are asked for one by one."""
_IMPOSSIBLE = -1e30
"""llama.cpp writes a number below this for the log-probability of zero."""
_CERTAIN = 1e9
"""Added to a token's logit so that it is drawn."""
_SEEDS = 2**32 - 1
"""llama.cpp's seeds lie below; this one it takes for none."""


def from_spec(spec: str, **options: Any) -> LlamaModel:
    """Return the model for a GGUF file, or for `embedded`; `options` are LlamaModel's."""
    return LlamaModel(options.pop("name", f"llama:{spec}"), spec, **options)


class LlamaModel:
    """A GGUF model run by llama.cpp's server."""

    def __init__(
        self,
        name: str,
        path: str | Path,
        *,
        slots: int = 4,
        context: int | None = None,
        threads: int | None = None,
        gpu_layers: int | None = None,
        adapter: str | None = None,
        template: Mapping[str, Any] | None = None,
        debug: bool = False,
    ) -> None:
        """`path` is a GGUF file, of a model in parts the first, or `embedded`.

        `slots` requests are computed in one batch, each in a context of its own of `context`
        tokens (default: the file's, at most 4,096; llama.cpp rounds up to multiples of 256); more
        requests wait. `threads` defaults to the
        cores that are free, `gpu_layers` to all that fit where the package has a GPU; `adapter` is
        a LoRA adapter as GGUF; `template` are variables of the chat template, such as
        enable_thinking; with `debug` llama.cpp writes its log to standard error.
        """
        for option, value, least in (
            ("slots", slots, 1),
            ("context", context, 1),
            ("threads", threads, 1),
            ("gpu_layers", gpu_layers, 0),
        ):
            if value is not None and (type(value) is not int or value < least):
                raise UserError(f"{option} is {value!r}; it must be a whole number from {least}")
        self.name = name
        self.path = str(path)
        self._slots, self._asked_context, self._threads = slots, context, threads
        self._gpu_layers, self._adapter, self._debug = gpu_layers, adapter, debug
        self._variables = template_variables(template)
        self._folds: bool | None = None
        self._file: GgufFile | None = None
        self._context = context or LLAMA_DEFAULT
        self._server: Any = None
        self._client: httpx2.AsyncClient | None = None

    async def start(self) -> None:
        """Load the model; raise UserError when it cannot be."""
        require_packages("xllamacpp", extra="llama")
        key = secrets.token_urlsafe()
        self._server = await asyncio.to_thread(self._load, key)
        connections = self._slots + SPARE_CONNECTIONS
        self._client = httpx2.AsyncClient(
            base_url=self._server.listening_address,
            headers={"Authorization": f"Bearer {key}"},
            timeout=None,
            limits=httpx2.Limits(max_connections=connections),
            trust_env=False,
        )

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        """Continue or answer `prompt`, constrained to `schema` where one is given."""
        asked: dict[str, Any] = {
            "prompt": await self._as_text(prompt),
            "n_predict": sampling.max_tokens,
            **named(sampling, "llama"),
            "top_k": 0,
            "repeat_last_n": self._context,
            "dry_allowed_length": _DRY_ALLOWED,
            "dry_penalty_last_n": self._context,
            "samplers": _SAMPLERS,
            "stop": sampling.stop,
        }
        if sampling.seed is not None:
            asked["seed"] = sampling.seed % _SEEDS
        if schema is not None:  # white space is fixed, otherwise it may never end
            asked["json_schema"] = {**schema, "x-guidance": {"whitespace_flexible": False}}
        given = await self._post("/completion", asked)
        ended = given["stop_type"]
        if ended not in ("eos", "word", "limit"):
            raise CallFailed("server-error", f"llama.cpp ended the request: {ended}")
        return Completion(
            text=given["content"],
            finish_reason="length" if ended == "limit" else "stop",
            prompt_tokens=given["tokens_evaluated"],
            completion_tokens=given["tokens_predicted"],
            cached_tokens=given["timings"]["cache_n"],
        )

    async def score(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float]:
        """Return the log-probability (nats) of each option; see `Model.score`."""
        if not options:
            return []
        choice = await self._choice(prompt, options)
        require_room(len(choice.shared) + max(map(len, choice.rests)) - 1, self._context)
        return await score_choice(choice, floor, self._next)

    async def close(self) -> None:
        """Free the model; what is still asked for fails."""
        if self._client is not None:
            await self._client.aclose()
        self._client = None
        servers, self._server = [self._server], None
        await asyncio.to_thread(servers.clear)

    def _load(self, key: str) -> Any:
        path = packaged_file() if self.path == "embedded" else Path(self.path).expanduser()
        file = read_model(path)
        if self._adapter:
            check_adapter(Path(self._adapter).expanduser(), file)
        self._file = file
        self._context = self._context_of(file)
        settings = ServerSettings(
            file=file,
            slots=self._slots,
            context=self._context,
            threads=self._threads or usable_threads(),
            gpu_layers=self._gpu_layers,
            adapter=Path(self._adapter).expanduser() if self._adapter else None,
            debug=self._debug,
        )
        return launch(settings, key)

    def _context_of(self, file: GgufFile) -> int:
        wanted, known = self._asked_context, file.context
        if wanted and known and wanted > known:
            raise UserError(f"context is {wanted}; {file.path} holds {known} tokens at most")
        return wanted or min(known or LLAMA_DEFAULT, LLAMA_DEFAULT)

    async def _as_text(self, prompt: Prompt) -> str:
        """Return the text that the model reads: of a chat, what its template makes of it."""
        if isinstance(prompt, str):
            return prompt
        if self._file is not None and not self._file.chat_template:
            raise UserError(NO_TEMPLATE)
        chat = stripped(prompt)
        if await self._folds_system():
            chat = fold_system(chat)
        try:
            return await self._rendered(chat)
        except CallFailed as error:
            for other in (alternate(chat), alternate(fold_system(chat))):
                with contextlib.suppress(CallFailed):
                    return await self._rendered(other)
            raise refusal(error) from error

    async def _folds_system(self) -> bool:
        """Return whether the system message goes in front of the first user message."""
        if self._folds is None:
            native = [await self._tried(chat) for chat in SAMPLES]
            folded = [await self._tried(fold_system(chat)) for chat in SAMPLES]
            # For a template that drops it llama.cpp joins the message itself, in its own way.
            joined = "\n".join(message["content"] for message in SAMPLES[0])
            native = [None if joined in (text or "") else text for text in native]
            self._folds = folds(native, folded)
        return self._folds

    async def _tried(self, chat: Sequence[Message]) -> str | None:
        try:
            return await self._rendered(chat, opens=False)
        except CallFailed:
            return None

    async def _rendered(self, chat: Sequence[Message], opens: bool = True) -> str:
        """Return what the file's template makes of messages. Raises CallFailed for a refusal."""
        asked = {
            "messages": chat,
            "add_generation_prompt": opens,
            "chat_template_kwargs": self._variables,
        }
        return str((await self._post("/apply-template", asked))["prompt"])

    async def _choice(self, prompt: Prompt, options: Sequence[str]) -> Choice:
        """Return the options in tokens; see `encode_choice`."""
        if isinstance(prompt, str):
            whole = [prompt + option for option in options]
            bare, *rest = await asyncio.gather(*map(self._tokens, (prompt, *whole)))
            return split_choice(bare, rest)
        shared = await self._tokens(await self._as_text(prompt))
        rests = await asyncio.gather(*(self._tokens(option, whole=False) for option in options))
        return Choice(shared, rests)

    async def _tokens(self, text: str, whole: bool = True) -> list[int]:
        """Return the ids of a text; a whole one begins with what the model's texts begin with."""
        asked = {"content": text, "add_special": whole, "parse_special": True}
        ids: list[int] = (await self._post("/tokenize", asked))["tokens"]
        return ids

    async def _next(self, ids: list[int], tokens: list[int]) -> dict[int, float]:
        """Return the log-probability of each of `tokens` right after `ids`."""
        found = {each["id"]: each["logprob"] for each in (await self._draw(ids))["top_logprobs"]}
        for token in tokens:
            if token not in found:
                found[token] = (await self._draw(ids, token))["logprob"]
        return {
            token: found[token] if found[token] > _IMPOSSIBLE else -math.inf for token in tokens
        }

    async def _draw(self, ids: list[int], token: int | None = None) -> dict[str, Any]:
        """Return what llama.cpp tells of the likeliest next token, or of the one that is given."""
        asked = {"prompt": ids, "n_predict": 1, "temperature": 0, "n_probs": _LIKELIEST}
        if token is not None:
            asked |= {"n_probs": 1, "logit_bias": [[token, _CERTAIN]]}
        given = await self._post("/completion", asked)
        told: dict[str, Any] = given["completion_probabilities"][0]
        if token is not None and told["id"] != token:
            raise CallFailed("bad-response", f"llama.cpp drew token {told['id']}, not {token}")
        return told

    async def _post(self, path: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return llama.cpp's answer; a call that is cancelled frees its slot."""
        if self._client is None:
            raise ModelUnavailable(f"'{self.name}' is closed or was never started")
        try:
            response = await self._client.post(path, json=asked)
        except (httpx2.TransportError, RuntimeError) as error:
            raise ModelUnavailable(f"the engine of '{self.name}' has ended: {error}") from error
        given: dict[str, Any] = response.json()
        if response.is_success:
            return given
        fault = given.get("error", {})
        words = " ".join(str(fault.get("message", response.status_code)).split())
        if fault.get("type") == "exceed_context_size_error":
            require_room(int(fault["n_prompt_tokens"]), self._context)
        raise CallFailed("server-error", f"llama.cpp: {words}")
