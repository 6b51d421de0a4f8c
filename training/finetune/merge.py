"""Merging an adapter into the model it was trained on.

Invariant: a merged folder is whole or absent, and an adapter is never merged into another model
than its own.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from agents.models.adapter import CONFIG, adapter_folder, merge_adapter
from agents.models.local.tokens import first_line, load_tokenizer
from agents.models.weights import check_model_folder, require_packages
from folkways.errors import UserError
from folkways.files import new_folder, read_json
from training.finetune.base import Base, Precision, find_base, load_base
from training.finetune.checkpoint import could_not_write, read_record


def merge(adapter: Path, out: Path, base: str | None = None) -> Path:
    """Write a model folder with the adapter in its weights, in the base's own number format, and
    return it. `base` is the base model if the adapter's folder does not say, or says a folder that
    has moved.

    Raises UserError where the adapter is none, was trained on another model, or `out` exists.
    """
    require_packages("torch", "transformers", "peft", extra="train")
    folder = adapter_folder(str(adapter))
    if out.exists():
        raise UserError(f"{out} is there already; name a folder that is not")
    found = _find(folder, base)
    # Small changes added to bfloat16 weights would be rounded twice, hence float32 until the end.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*tie")
        model = merge_adapter(load_base(found, Precision(False, False)), folder)
    try:
        with new_folder(out) as part:
            model.to(_own_dtype(found.folder)).save_pretrained(part)
            load_tokenizer(found.folder).save_pretrained(part)
            check_model_folder(part)
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


def _own_dtype(folder: Path) -> Any:
    """Return the number format of a model's weights."""
    import torch
    from transformers import AutoConfig

    dtype = AutoConfig.from_pretrained(folder, local_files_only=True).dtype
    return dtype if isinstance(dtype, torch.dtype) else torch.float32
