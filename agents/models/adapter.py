"""PEFT adapters: small changes of a model's weights, kept in a folder of their own.

Invariant: an adapter is read from its folder alone; what it says of the model it was trained on
decides nothing, but an adapter that does not fit is an error.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from agents.models.weights import require_packages
from folkways.errors import UserError
from folkways.files import read_json

CONFIG = "adapter_config.json"
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM makes room for."""


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


def lora_rank(folder: Path) -> int:
    """Return the room that vLLM has to make for an adapter. Raises UserError for another kind."""
    config = read_json(folder / CONFIG, dict[str, Any])
    rank = config.get("r")
    if config.get("peft_type") != "LORA" or not isinstance(rank, int):
        raise UserError(f"adapter '{folder}' is no LoRA adapter; vLLM takes no other kind")
    return next((room for room in _RANKS if room >= rank), rank)


def merge_adapter(model: Any, folder: Path) -> Any:
    """Return a transformers model with an adapter added to its weights. Raises UserError where it
    does not fit."""
    require_packages("peft", extra="train")
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
    except (ValueError, RuntimeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"adapter '{folder}' does not fit the model: {reason}") from error
