"""PEFT adapters: small changes of a model's weights, kept in a folder of their own.

Invariant: an adapter is read from its folder alone; what it says of the model it was trained on
decides nothing, but an adapter that does not fit is an error, and one that is added to weights is
added in float32.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agents.models.weights import require_packages
from folkways.errors import UserError
from folkways.files import read_json

log = logging.getLogger(__name__)

CONFIG = "adapter_config.json"
MERGED = "merged_adapter.json"
"""File of a model folder that says which adapter is in its weights, and in which numbers."""
ENOUGH = 0.99
"""Share of an adapter's change that has to be left after rounding."""
_ROWS = 64
"""Rows of each matrix that are looked at for that share, at most."""
_PREFIX = "base_model.model."
"""What PEFT puts before the names of a model's weights."""
_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM makes room for."""
_OUT = "ask it with hf, or merge it: folkways train --merge ADAPTER OUT"


def adapter_folder(path: str) -> Path:
    """Return the folder of an adapter; raise UserError where there is none."""
    folder = Path(path).expanduser()
    if not (folder / CONFIG).is_file():
        raise UserError(f"adapter '{path}': no {CONFIG} there; name the folder that training wrote")
    return folder


def adapter_hash(path: str) -> str:
    """Return a hash of an adapter's contents, wherever its folder or its GGUF file lies. Raises
    UserError where there is none.
    """
    digest, place = hashlib.sha256(), Path(path).expanduser()
    for file in [place] if place.is_file() else _files(adapter_folder(path)):
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]


def _files(folder: Path) -> list[Path]:
    return sorted({folder / CONFIG, *folder.glob("adapter_model*")})


def adapter_config(folder: Path) -> dict[str, Any]:
    """Return what an adapter's folder says of it."""
    return read_json(folder / CONFIG, dict[str, Any])


def lora_room(adapters: Mapping[str, Mapping[str, Any]], given: int | None = None) -> int:
    """Return the room that vLLM has to make for adapters, by what messages call them: the least
    that is enough, or what its option max_lora_rank gives. Raises UserError for an adapter that
    vLLM does not take, and for room that is too small."""
    needed = max((_vllm_rank(name, config) for name, config in adapters.items()), default=1)
    if given is None:
        return next(room for room in _RANKS if room >= needed)
    if given not in _RANKS or given < needed:
        allowed = ", ".join(str(room) for room in _RANKS if room >= needed)
        raise UserError(f"max_lora_rank is {given!r}; give {allowed}, or leave it out")
    return given


def _vllm_rank(name: str, config: Mapping[str, Any]) -> int:
    """Return the rank of an adapter. Raises UserError unless it is one that vLLM takes."""
    rank, pattern = config.get("r"), config.get("rank_pattern")
    if config.get("peft_type") != "LORA" or not isinstance(rank, int):
        raise UserError(f"{name} is no LoRA adapter; vLLM takes no other kind")
    if saved := config.get("modules_to_save"):
        raise UserError(
            f"{name} holds {', '.join(saved)} in full, which vLLM does not take; {_OUT}"
        )
    own = pattern.values() if isinstance(pattern, dict) else ()
    highest = max([rank, *(each for each in own if isinstance(each, int))])
    if highest > _RANKS[-1]:
        raise UserError(f"{name} has rank {highest} and vLLM takes up to {_RANKS[-1]}; {_OUT}")
    return highest


def add_adapter(model: Any, folder: Path, merged: bool) -> Any:
    """Return a transformers model with an adapter: `merged` into its weights, or computed beside
    them, which takes longer. Raises UserError where it does not fit."""
    require_packages("peft", extra="train")
    from peft import PeftModel

    try:
        whole = PeftModel.from_pretrained(model, str(folder))
        if whole.active_peft_config.is_prompt_learning:
            raise ValueError("it is a prompt and changes no weights")
        return whole.merge_and_unload() if merged else whole.get_base_model()
    except (ValueError, RuntimeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"adapter '{folder}' does not fit the model: {reason}") from error


def surviving(adapter: Path, base: Path, dtype: str) -> float | None:
    """Return the share of what an adapter changes that is left once the sums of weights and change
    are rounded to a number format: 1 less the length of the errors over that of the change.

    It is that of the first rows of each matrix; None where it is not known: for another adapter
    than plain LoRA, and for weights that are not in safetensors files.
    """
    import torch

    changed = lost = 0.0
    for weight, change in _changes(adapter, base):
        whole = weight + change
        lost += float(((whole.to(getattr(torch, dtype)).double() - whole) ** 2).sum())
        changed += float((change**2).sum())
    return max(0.0, 1 - math.sqrt(lost / changed)) if changed else None


def warn_of_rounding(adapter: Path, base: Path, dtype: str) -> None:
    """Log a warning where a number format leaves too little of what an adapter changes."""
    kept = surviving(adapter, base, dtype)
    if kept is not None and kept < ENOUGH:
        log.warning(
            "%s in %s: of what the adapter changes about %.0f %% is larger than the rounding; with "
            "the option dtype: float32, for the model without it as well, nothing is lost",
            adapter,
            dtype,
            100 * kept,
        )


def _changes(adapter: Path, base: Path) -> Iterator[tuple[Any, Any]]:
    """Yield rows of the base's weights and what is added to them."""
    from safetensors import safe_open

    config = adapter_config(adapter)
    file = adapter / "adapter_model.safetensors"
    plain = not any(config.get(key) for key in ("use_dora", "alpha_pattern", "fan_in_fan_out"))
    if config.get("peft_type") != "LORA" or not plain or not file.is_file():
        return
    weights: dict[str, Any] = {}
    kept: Any
    for each in sorted(base.glob("*.safetensors")):
        kept = safe_open(each, "pt")
        weights |= dict.fromkeys(kept.keys(), kept)
    with safe_open(file, "pt") as kept:
        for name in list(kept.keys()):
            stem = name.removeprefix(_PREFIX)
            if ".lora_A." in name:
                stem = stem.replace(".lora_A", "")
                change = _product(kept, name, config)
            elif ".lora_" in name:
                continue
            else:
                change = None
            if stem == "lm_head.weight" and stem not in weights:
                stem = "model.embed_tokens.weight"
            if stem not in weights:
                continue
            rows = weights[stem].get_slice(stem)[:_ROWS].double()
            if change is None:
                saved = kept.get_slice(name)[:_ROWS].double()
                change = saved - rows if saved.shape == rows.shape else saved
            if change.shape == rows.shape:  # otherwise it is another model's
                yield rows, change


def _product(kept: Any, name: str, config: Mapping[str, Any]) -> Any:
    """Return the first rows of what a pair of LoRA's matrices adds."""
    inner = kept.get_tensor(name).double()
    outer = kept.get_slice(name.replace(".lora_A.", ".lora_B."))[:_ROWS].double()
    rank = inner.shape[0]
    return outer @ inner * (config["lora_alpha"] / (rank**0.5 if config["use_rslora"] else rank))
