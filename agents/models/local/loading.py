"""How transformers holds a model: in which numbers, on which device, with which attention, and with
which adapter.

Invariant: weights in 4 bits are the same for who trains on them and who asks them; what this
machine lacks is told before a weight is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agents.models.adapter import MERGED, adapter_folder, add_adapter, warn_of_rounding
from folkways.errors import UserError, unknown_name

_DTYPES = ("bfloat16", "float16", "float32")
_ATTENTIONS = ("eager", "sdpa", "flash_attention_2")
"""Implementations of attention; kernels from a hub, which transformers takes as well, are code."""


@dataclass(frozen=True, slots=True)
class Loading:
    """How a model is to be held; what is null follows from the model and the machine."""

    dtype: str | None = None
    device: str | None = None
    adapter: str | None = None
    """Folder of a PEFT adapter."""
    load_in_4bit: bool = False
    attn_implementation: str | None = None

    def __post_init__(self) -> None:
        """Raise UserError for a value that is unknown, or that this machine lacks."""
        if self.dtype not in (None, *_DTYPES):
            raise UserError(f"unknown dtype '{self.dtype}'; known: {', '.join(_DTYPES)}")
        if self.load_in_4bit not in (True, False):
            raise UserError(f"load_in_4bit is {self.load_in_4bit!r}; it must be true or false")
        if self.load_in_4bit:
            require_four_bits("load_in_4bit")
        if self.attn_implementation not in (None, *_ATTENTIONS):
            raise unknown_name("attn_implementation", str(self.attn_implementation), _ATTENTIONS)
        if self.attn_implementation == "flash_attention_2" and find_spec("flash_attn") is None:
            raise UserError(
                "attn_implementation: flash_attention_2 takes an NVIDIA GPU and flash-attn (pip "
                "install flash-attn --no-build-isolation); sdpa takes neither"
            )

    def load(self, folder: Path) -> Any:
        """Return the model of a folder, ready to compute. Raises what transformers raises, and
        UserError for an adapter that does not fit."""
        import torch
        from transformers import AutoModelForCausalLM

        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = self._numbers(folder)
        options: dict[str, Any] = {}
        if self.load_in_4bit:
            require_four_bits("load_in_4bit", device)
            options = {"quantization_config": four_bits(dtype), "device_map": {"": device}}
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            attn_implementation=self.attn_implementation,
            local_files_only=True,
            **options,
        )
        if self.adapter:
            adapter, exact = adapter_folder(self.adapter), dtype == "float32"
            if not exact:
                warn_of_rounding(adapter, folder, dtype)
            model = add_adapter(model, adapter, merged=exact and not self.load_in_4bit)
        return (model if self.load_in_4bit else model.to(device)).eval()

    def _numbers(self, folder: Path) -> str:
        """Return the format asked for: by default float32 where another would lose an adapter."""
        exact = (bool(self.adapter) and not self.load_in_4bit) or (folder / MERGED).is_file()
        return self.dtype or ("float32" if exact else "bfloat16")


def require_four_bits(setting: str, device: str = "cuda") -> None:
    """Raise UserError, naming the setting, where weights cannot be held in 4 bits."""
    if not device.startswith("cuda") or find_spec("bitsandbytes") is None:
        raise UserError(
            f"{setting} takes an NVIDIA GPU and bitsandbytes (pip install bitsandbytes); leave it "
            "out here"
        )


def four_bits(dtype: str) -> Any:
    """Return the form of weights in 4 bits, NF4 with double quantisation, computed in `dtype`."""
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, dtype),
    )
