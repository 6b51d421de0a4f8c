"""The options of the engine over vLLM, and what vLLM is started with.

Invariant: what vLLM would refuse after a while is told before anything is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.models.adapter import (
    MERGED,
    adapter_config,
    adapter_folder,
    lora_room,
    warn_of_rounding,
)
from agents.models.local.loading import require_four_bits
from folkways.errors import UserError, unknown_name

_MOST_ADAPTERS = 8
"""Adapters computed in one batch; more wait for each other."""


@dataclass(frozen=True, slots=True)
class VllmOptions:
    """How vLLM is to hold a model."""

    max_num_seqs: int = 128
    """Requests computed at once."""
    max_model_len: int = 4096
    """Tokens of prompt and reply; cut to what the model can take."""
    gpu_memory_utilization: float = 0.9
    """Share of each GPU's memory that is used."""
    tensor_parallel_size: int = 1
    """GPUs that share the model."""
    kv_cache_gib: int = 4
    """GiB for the attention cache; counts on CPUs only."""
    dtype: str | None = None
    """By default bfloat16, and float32 for a model that an adapter is merged into."""
    quantization: str | None = None
    """A method of vLLM; by default what the model's files say."""
    compiled: bool | None = None
    """Whether vLLM compiles the model, by default where there is a GPU: on a CPU that takes a
    minute at every start and makes the embedded model a fifth faster."""
    max_lora_rank: int | None = None
    """Room for adapters; by default the least that they need."""
    adapter: str | None = None
    """Folder of a PEFT adapter, which all calls go through; on a CPU a merged model is several
    times faster."""
    adapters: Sequence[str] = ()
    """Folders for `adapted`, each call choosing one."""

    def __post_init__(self) -> None:
        """Raise UserError for a value that no machine could take, and for such an adapter."""
        for name in ("max_num_seqs", "max_model_len", "tensor_parallel_size", "kv_cache_gib"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise UserError(f"{name} is {value!r}; it is a whole number and at least 1")
        share = self.gpu_memory_utilization
        if not isinstance(share, int | float) or not 0 < share <= 1:
            raise UserError(
                f"gpu_memory_utilization is {share!r}; it is a share of each GPU's memory, above 0 "
                "and up to 1, such as 0.9"
            )
        if self.quantization == "bitsandbytes":
            require_four_bits("quantization: bitsandbytes")
        self._room()

    @property
    def folders(self) -> dict[str, Path]:
        """The folders of its adapters, by how they were named."""
        named = self.adapters if self.adapter is None else [self.adapter]
        return {name: adapter_folder(name) for name in named}

    def arguments(self, folder: Path, context: int) -> dict[str, Any]:
        """Return the arguments of vLLM's engine for a model's folder and a context of so many
        tokens. Raises UserError for what this machine or this vLLM does not have."""
        from vllm.config import StructuredOutputsConfig
        from vllm.platforms import current_platform

        self._require_fit(current_platform)
        dtype = self.dtype or ("float32" if (folder / MERGED).is_file() else "bfloat16")
        for adapter in self.folders.values() if dtype != "float32" else ():
            warn_of_rounding(adapter, folder, dtype)
        cpu = current_platform.is_cpu()
        compiled = not cpu if self.compiled is None else self.compiled
        return {
            "model": str(folder),
            "dtype": dtype,
            "quantization": self.quantization,
            "max_model_len": context,
            "max_num_seqs": self.max_num_seqs,
            "gpu_memory_utilization": self.gpu_memory_utilization,
            "tensor_parallel_size": self.tensor_parallel_size,
            "enable_prefix_caching": True,
            "enforce_eager": not compiled,
            "disable_log_stats": True,
            "use_tqdm_on_load": False,
            "structured_outputs_config": StructuredOutputsConfig(
                backend="xgrammar", disable_any_whitespace=True
            ),
            **(cpu_options(context) if cpu else {}),
            **self._lora(),
        }

    def _lora(self) -> dict[str, Any]:
        count = len(self.folders)
        if not count:
            return {}
        return {
            "enable_lora": True,
            "max_lora_rank": self._room(),
            "max_loras": min(count, _MOST_ADAPTERS),
            "max_cpu_loras": count,
        }

    def _room(self) -> int:
        configs = {f"adapter '{name}'": adapter_config(at) for name, at in self.folders.items()}
        return lora_room(configs, self.max_lora_rank)

    def _require_fit(self, platform: Any) -> None:
        """Raise UserError for a method of quantization or a number of GPUs that there is not."""
        from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS

        if self.quantization not in (None, *QUANTIZATION_METHODS):
            raise unknown_name("quantization", str(self.quantization), QUANTIZATION_METHODS)
        found = None if platform.is_cpu() else platform.device_count()
        if found is not None and found < self.tensor_parallel_size:
            raise UserError(
                f"tensor_parallel_size is {self.tensor_parallel_size} and vLLM sees {found} GPUs "
                f"here; set it to {found} or less"
            )


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
