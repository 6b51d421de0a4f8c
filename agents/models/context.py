"""How many tokens a model's context holds, without loading the model.

Invariant: what is not known is None; nothing is downloaded to find out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.models.base import CONTEXT, whole_name
from agents.models.local.gguf_file import read_model
from folkways.errors import UserError

_EMBEDDED = 8192
"""Tokens that the context of the embedded model holds."""
LLAMA_DEFAULT = 4096
"""Most tokens that a slot of llama's holds without the option `context`."""
_VLLM_DEFAULT = 4096
"""Default of vllm's option `max_model_len`."""


def context_length(name: str, options: Mapping[str, Any]) -> int | None:
    """Return the tokens that the context of a model holds: its option `context`, or what the
    configuration of a local model says. Raises UserError for an option that is no such number.
    """
    stated = options.get(CONTEXT)
    if stated is not None:
        if type(stated) is not int or stated < 1:
            raise UserError(f"model option context: {stated!r} is not a number of tokens from 1")
        return stated
    engine, _, spec = whole_name(name).partition(":")
    known = _EMBEDDED if spec == "embedded" else None
    if engine in ("hf", "vllm") and known is None:
        known = _configured(spec)
    if engine == "llama":
        return min(known or _stated_by_file(spec), LLAMA_DEFAULT)
    if engine == "vllm":
        most = options.get("max_model_len", _VLLM_DEFAULT)
        return min(most, known or most) if type(most) is int else known
    return known


def _stated_by_file(spec: str) -> int:
    """Return what a GGUF file says; a file that cannot be played is told when it is loaded."""
    try:
        return read_model(Path(spec).expanduser()).context or LLAMA_DEFAULT
    except UserError:
        return LLAMA_DEFAULT


def _configured(spec: str) -> int | None:
    """Return what config.json of a model folder, or of the local cache of the hub, says."""
    path = Path(spec).expanduser() / "config.json"
    if not path.is_file():
        try:
            from huggingface_hub import try_to_load_from_cache

            cached = try_to_load_from_cache(spec, "config.json")
        except (ImportError, ValueError):
            return None
        if not isinstance(cached, str):
            return None
        path = Path(cached)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        config = config.get("text_config") or config
        found = config.get("max_position_embeddings")
    except (OSError, ValueError, AttributeError):
        return None
    return found if type(found) is int and found > 0 else None
