"""What is known of a model before it is loaded: its size, whether it chats, whether it reasons.

Invariant: what is not known is None; nothing is downloaded or loaded to find out.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from math import prod
from pathlib import Path

from agents.models.base import whole_name
from agents.models.local.gguf_file import read_model
from folkways.errors import UserError

_EMBEDDED = 134_515_008
"""Parameters of the embedded model."""
_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)\s?([bm])(?![a-z0-9])", re.IGNORECASE)
"""A size in a name, such as 1.5B or 360M."""
_REASONS = re.compile(
    r"(?<![a-z0-9])(r1|qwq|o[1-9]|gpt-oss|magistral|thinking|reasoning|reasoner)(?![a-z0-9])",
    re.IGNORECASE,
)
"""Names of models that think before they answer."""
_THINKS = re.compile(r"<think>|enable_thinking|reasoning_content|<\|channel\|>|\[THINK\]")
"""What the chat template of such a model holds."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a model; null: not known."""

    parameters: int | None
    chats: bool | None
    """Whether it has a chat template."""
    reasons: bool | None
    """Whether it thinks before it answers."""


def model_facts(name: str) -> ModelFacts:
    """Return what a model's file, folder or name says of it."""
    engine, _, spec = whole_name(name).partition(":")
    spec = spec.partition("@")[0]
    if spec == "embedded":
        return ModelFacts(_EMBEDDED, chats=True, reasons=False)
    path = Path(spec).expanduser()
    if engine == "llama" and path.is_file():
        return _of_gguf(path)
    if engine in ("hf", "vllm") and path.is_dir():
        return _of_folder(path)
    if engine in ("fake", "control"):
        return ModelFacts(None, None, None)
    return ModelFacts(_size_in(spec), None, bool(_REASONS.search(spec)) or None)


def _of_gguf(path: Path) -> ModelFacts:
    try:
        file = read_model(path)
    except UserError:  # it is told when the model is loaded
        return ModelFacts(None, None, None)
    template = file.chat_template
    thinks = bool(template and _THINKS.search(template))
    return ModelFacts(sum(map(prod, file.tensors.values())), template is not None, thinks)


def _of_folder(path: Path) -> ModelFacts:
    """Return what a folder of Hugging Face says: sizes of its weights and its chat template."""
    template = "".join(
        one.read_text(encoding="utf-8", errors="replace")
        for one in (path / "chat_template.jinja", path / "tokenizer_config.json")
        if one.is_file()
    )
    chats = (path / "chat_template.jinja").is_file() or '"chat_template"' in template
    files = sorted(path.glob("*.safetensors"))
    sizes = [_parameters_in(file) for file in files]
    known = sum(size or 0 for size in sizes) if sizes and None not in sizes else None
    return ModelFacts(known, chats, chats and bool(_THINKS.search(template)))


def _parameters_in(file: Path) -> int | None:
    """Return how many numbers a safetensors file holds, from its header."""
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(min(length, 100 * 2**20)))
        tensors = [tensor for key, tensor in header.items() if key != "__metadata__"]
        return sum(int(prod(tensor["shape"])) for tensor in tensors)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _size_in(name: str) -> int | None:
    """Return the size that a name tells, the largest where it tells several: `8x7B` is none."""
    found = [float(n) * (1e9 if unit in "bB" else 1e6) for n, unit in _SIZE.findall(name)]
    return round(max(found)) if found else None
