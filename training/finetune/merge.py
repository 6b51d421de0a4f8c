"""Merging an adapter into the model it was trained on.

Invariant: a merged folder is whole or absent, and an adapter is never merged into another model
than its own nor rounded away.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from agents.models.adapter import (
    CONFIG,
    ENOUGH,
    MERGED,
    adapter_folder,
    adapter_hash,
    add_adapter,
    surviving,
)
from agents.models.local.tokens import first_line, load_tokenizer
from agents.models.weights import check_model_folder, require_packages
from folkways.errors import UserError
from folkways.files import new_folder, read_json, write_whole
from training.finetune.base import Base, Precision, find_base, load_base
from training.finetune.checkpoint import could_not_write, read_record


def merge(adapter: Path, out: Path, base: str | None = None) -> Path:
    """Write a model folder with the adapter in its weights and return it: in the base's own number
    format where that leaves nearly all of what the adapter changes, otherwise in float32. `base` is
    the base model if the adapter's folder does not say, or says a folder that has moved.

    Raises UserError where the adapter is none, was trained on another model, or `out` exists.
    """
    require_packages("torch", "transformers", "peft", extra="train")
    import torch

    folder = adapter_folder(str(adapter))
    if out.exists():
        raise UserError(f"{out} is there already; name a folder that is not")
    found = _find(folder, base)
    own = _own_dtype(found.folder)
    kept = surviving(folder, found.folder, own)
    dtype = own if kept is not None and kept >= ENOUGH else "float32"
    told = {"adapter": adapter_hash(str(folder)), "dtype": dtype, "kept": {own: kept}}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*tie")
        model = add_adapter(load_base(found, Precision(False, False)), folder, merged=True)
    try:
        with new_folder(out) as part:
            model.to(getattr(torch, dtype)).save_pretrained(part)
            load_tokenizer(found.folder).save_pretrained(part)
            check_model_folder(part)
            if dtype == "float32":
                write_whole(part, part / MERGED, json.dumps(told, indent=1) + "\n")
    except Exception as error:
        if could_not_write(error):
            raise UserError(f"{out} cannot be written: {first_line(error)}") from error
        raise
    return out


def _find(folder: Path, name: str | None) -> Base:
    """Return the base of an adapter. Raises UserError where the named one is another."""
    record = read_record(folder)
    settings = read_json(folder / CONFIG, dict[str, Any])
    wanted = name or record.get("model") or settings.get("base_model_name_or_path")
    if not wanted:
        raise UserError(f"adapter '{folder}' does not say its base model; name it with --base")
    base = find_base(str(wanted))
    if record.get("base", base.fingerprint) != base.fingerprint:
        raise UserError(
            f"adapter '{folder}' was trained on another base: {record.get('model')} with the "
            f"fingerprint {record['base']}, while {base.name} has {base.fingerprint}; name the "
            "right one with --base"
        )
    return base


def _own_dtype(folder: Path) -> str:
    """Return the number format of a model's weights."""
    import torch
    from transformers import AutoConfig

    dtype = AutoConfig.from_pretrained(folder, local_files_only=True).dtype
    return str(dtype).rpartition(".")[2] if isinstance(dtype, torch.dtype) else "float32"
