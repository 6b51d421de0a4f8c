"""The model that is adapted: its folder, what identifies it, the device and precision it gets.

Invariant: two folders have the same fingerprint only if their configuration, tokenizer and weights
are the same, as far as samples of the weights tell.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple

from agents.models.local.loading import four_bits, require_four_bits
from agents.models.local.tokens import first_line
from agents.models.weights import model_folder, require_packages
from folkways.errors import UserError
from training.finetune.config import Optimisation

SAMPLES, SAMPLE_BYTES = 16, 65_536
"""How many pieces of a weight file are read for the fingerprint, and how long they are."""
_DESCRIBING = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
"""Files of a model folder that, beside its weights, decide what an adapter fits."""


class Base(NamedTuple):
    """A model to adapt, not loaded."""

    name: str
    """How the user asked for it."""
    folder: Path
    fingerprint: str

    @property
    def hub(self) -> bool:
        """Whether it was named by a hub id."""
        return self.name.count("/") == 1 and not Path(self.name).expanduser().exists()

    @property
    def findable(self) -> str:
        """The name by which other programs find it: its hub id, else its folder."""
        return self.name if self.hub else str(self.folder)


class Precision(NamedTuple):
    """In what numbers a model is held and computed."""

    bf16: bool
    four_bit: bool

    @property
    def words(self) -> str:
        """The precision in words."""
        if self.four_bit:
            return "4 bits (NF4)"
        return "bfloat16" if self.bf16 else "float32"


def find_base(name: str) -> Base:
    """Return the model that a name stands for. Raises UserError where there is none."""
    folder = model_folder(name)
    return Base(name, folder, fingerprint(folder))


def fingerprint(folder: Path) -> str:
    """Return 16 hex digits that identify a model: its describing files whole, and samples of its
    weights."""
    digest = hashlib.sha256()
    for name in _DESCRIBING:
        file = folder / name
        digest.update(f"{name} {file.is_file()}\n".encode())
        if file.is_file():
            digest.update(file.read_bytes())
    for file in sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin")):
        size = file.stat().st_size
        digest.update(f"{file.name} {size}\n".encode())
        with file.open("rb") as weights:
            for piece in range(SAMPLES):
                weights.seek(piece * max(size - SAMPLE_BYTES, 0) // (SAMPLES - 1))
                digest.update(weights.read(SAMPLE_BYTES))
    return digest.hexdigest()[:16]


def find_device() -> str:
    """Return the kind of device that training uses: cuda, mps or cpu.

    Raises UserError where one process sees several GPUs, which are used by launching one process
    for each.
    """
    import torch

    if not torch.cuda.is_available():
        return "mps" if torch.backends.mps.is_available() else "cpu"
    count = torch.cuda.device_count()
    if count > 1 and int(os.environ.get("WORLD_SIZE", "1")) == 1:
        raise UserError(
            f"{count} GPUs are visible to one process; use them all with: accelerate launch "
            f"--num_processes {count} -m folkways.cli.train CONFIG.yaml, or one of them with: "
            "CUDA_VISIBLE_DEVICES=0 folkways train CONFIG.yaml"
        )
    return "cuda"


def find_precision(chosen: Optimisation, device: str) -> Precision:
    """Return the precision asked for. Raises UserError where the machine does not have it."""
    import torch

    if chosen.load_in_4bit:
        require_four_bits("optimisation.load_in_4bit", device)
        return Precision(True, True)
    able = device == "cuda" and torch.cuda.is_bf16_supported()
    if chosen.bf16 and device == "cuda" and not able:
        raise UserError("this GPU has no bfloat16; set optimisation.bf16 to false")
    return Precision(able if chosen.bf16 is None else chosen.bf16, False)


def load_base(base: Base, precision: Precision) -> Any:
    """Return the model, loaded. Raises UserError where it cannot be."""
    require_packages("torch", "transformers", "peft", "trl", extra="train")
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    options: dict[str, Any] = {"dtype": torch.bfloat16 if precision.bf16 else torch.float32}
    if precision.four_bit:
        options["quantization_config"] = four_bits("bfloat16")
        options["device_map"] = {"": int(os.environ.get("LOCAL_RANK", "0"))}
    try:
        return AutoModelForCausalLM.from_pretrained(base.folder, local_files_only=True, **options)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise UserError(f"{base.folder} cannot be loaded: {first_line(error)}") from error
