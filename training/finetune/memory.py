"""How many bytes a training takes at its peak, before anything is loaded.

Invariant: an estimate is a sum of named terms, each a stated formula; a training that cannot fit is
refused with changes that would let it.

With P weights of the model and T trained ones, l layers of width h, key-value width k, inner width
f and vocabulary v, a batch of b sequences of s tokens, w bytes per weight, and c bytes per
computed number (2 in bfloat16, else 4):

    weights      P w                            w: 4 float32, 2 bfloat16, 0.56 in 4 bits
    adapter      8 T                            values and gradients in float32
    optimiser    8 T                            AdamW's two moments in float32
    activations  b s c (l a)                    a = 7h + 3k + 4f, kept for the way back, and with
                                                dropout (6h + f)(1 + 1/c): inputs and masks
      or, with gradient checkpointing, b s c (l h + a)
    attention    2 c b s^2                      the mask, and scores where no kernel fuses them
    output       32 n u on a CPU, 8 n u else    n = min(b s, 4096) by u = min(v, 32768): the tiles
                                                in which TRL computes the loss
    held back    0.6 (CPU) or 0.1 (GPU) of activations and output: freed pieces that are kept
    rest         1.2 GiB on a CPU, 1 GiB on a GPU  libraries, and what loading takes

a counts what a layer of today's models (two norms, gated inner layer) keeps: after Korthikanti et
al. 2022, Reducing Activation Recomputation in Large Transformer Models, without attention scores.
On a CPU the sum was within 5 % of the measured peak for the embedded model with 4 x 206 tokens,
with and without gradient checkpointing; for GPUs it has not been compared.
"""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from folkways.errors import UserError, unknown_name
from training.finetune.base import Base, Precision
from training.finetune.config import Lora, Optimisation, TrainConfig

GIB = 2**30
_FULL = 0.95
"""Share of the free memory that a training may be estimated to take."""


class Shape(NamedTuple):
    """What of a model decides how much memory it takes."""

    weights: int
    trained: int
    layers: int
    width: int
    key_value: int
    inner: int
    vocabulary: int


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of a device at once."""

    batch: int
    length: int
    """Tokens of the longest sequence."""
    precision: Precision
    checkpointing: bool
    dropout: bool
    device: str


def shape_of(folder: Path, lora: Lora) -> Shape:
    """Return the shape of a model with its adapter, counted on a model without memory."""
    model = outline(folder, lora)
    weights = sum(each.numel() for name, each in model.named_parameters() if not _is_added(name))
    text = model.config.get_text_config()
    heads = text.num_attention_heads
    head = getattr(text, "head_dim", None) or text.hidden_size // heads
    return Shape(
        weights,
        sum(each.numel() for each in model.parameters() if each.requires_grad),
        text.num_hidden_layers,
        text.hidden_size,
        head * (getattr(text, "num_key_value_heads", None) or heads),
        getattr(text, "intermediate_size", None) or 4 * text.hidden_size,
        text.vocab_size,
    )


def outline(folder: Path, lora: Lora) -> Any:
    """Return a model with a new adapter, without memory for its weights. Raises UserError for a
    layer in the configuration that the model does not have."""
    import torch
    from peft import get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_config(config)
        _require_layers(model, lora)
        return get_peft_model(model, lora_config(lora, model), low_cpu_mem_usage=True)


def _is_added(name: str) -> bool:
    """Return whether a parameter is the adapter's."""
    return ".lora_" in name or ".modules_to_save." in name


def _require_layers(model: Any, lora: Lora) -> None:
    """Raise UserError for a layer in the configuration that the model does not have."""
    own = {part for name, _ in model.named_modules() if (part := name.rpartition(".")[2])}
    targets = () if isinstance(lora.target_modules, str) else lora.target_modules
    for key, names in (("target_modules", targets), ("modules_to_save", lora.modules_to_save)):
        for name in names:
            if name.rpartition(".")[2] not in own:
                known = (each for each in own if not each.isdigit())
                raise unknown_name(f"layer in lora.{key}:", name, known)


def lora_config(lora: Lora, model: Any) -> Any:
    """Return PEFT's configuration of an adapter on the language layers of a model."""
    from peft import LoraConfig

    targets = lora.target_modules
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        modules_to_save=list(lora.modules_to_save) or None,
        exclude_modules=_outside_language(model),
    )


def _outside_language(model: Any) -> str | None:
    """Return a pattern for layers beside the decoder, such as those that see pictures; None where
    there are none."""
    inside, output = model.get_decoder(), model.get_output_embeddings()
    path = next(name for name, module in model.named_modules() if module is inside).split(".")
    beside = set()
    for name, module in model.named_modules():
        parts = name.split(".")
        if module is not output and not any(True for _ in module.children()):
            shared = next((n for n, part in enumerate(path) if parts[n : n + 1] != [part]), None)
            beside |= set() if shared is None else {".".join(parts[: shared + 1])}
    return "|".join(rf"{re.escape(name)}(\..*)?" for name in sorted(beside)) or None


def estimate(shape: Shape, load: Load) -> dict[str, float]:
    """Return the terms of the formula above, in bytes."""
    size, cpu = 2 if load.precision.bf16 else 4, load.device == "cpu"
    tokens = load.batch * load.length
    layer = float(7 * shape.width + 3 * shape.key_value + 4 * shape.inner)
    if load.dropout:
        layer += (6 * shape.width + shape.inner) * (1 + 1 / size)
    kept = shape.layers * shape.width + layer if load.checkpointing else shape.layers * layer
    tile = min(tokens, 4096) * min(shape.vocabulary, 32768)
    terms = {
        "weights": shape.weights * (0.56 if load.precision.four_bit else size),
        "adapter": 8.0 * shape.trained,
        "optimiser": 8.0 * shape.trained,
        "activations": tokens * size * kept,
        "attention": 2.0 * size * load.batch * load.length**2,
        "output": (32.0 if cpu else 8.0) * tile,
    }
    terms["held back"] = (0.6 if cpu else 0.1) * (terms["activations"] + terms["output"])
    return terms | {"rest": (1.2 if cpu else 1.0) * GIB}


def show(terms: dict[str, float]) -> str:
    """Return an estimate as one line."""
    parts = ", ".join(f"{name} {value / GIB:.2f}" for name, value in terms.items())
    return f"about {sum(terms.values()) / GIB:.2f} GiB ({parts})"


def _free_bytes(device: str) -> int | None:
    """Return the memory that is free on a device; None where it does not tell."""
    import torch

    if device == "cuda":
        return int(torch.cuda.mem_get_info(int(os.environ.get("LOCAL_RANK", "0")))[0])
    if device == "mps":
        return int(torch.mps.recommended_max_memory())
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in text.splitlines())
    found = int(fields["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in fields else None
    limit = Path("/sys/fs/cgroup/memory.max")
    if found is not None and limit.is_file() and (most := limit.read_text().strip()).isdigit():
        used = int((limit.parent / "memory.current").read_text())
        found = min(found, int(most) - used)
    return found


def require_memory(
    config: TrainConfig, base: Base, precision: Precision, device: str, longest: int
) -> str:
    """Return the estimate as a line. Raises UserError, with what would do, where it is more than
    the device has free."""
    shape, chosen = shape_of(base.folder, config.lora), config.optimisation
    load = _load_of(config, precision, device, longest)
    terms, free = estimate(shape, load), _free_bytes(device)
    if free is None or sum(terms.values()) <= _FULL * free:
        return show(terms)
    raise UserError(
        f"training '{base.name}' takes {show(terms)} and the device ({device}) has "
        f"{free / GIB:.2f} GiB free; {_advice(shape, load, chosen, _FULL * free)}"
    )


def gpu_bytes(config: TrainConfig, folder: Path, longest: int) -> float:
    """Return the estimate for a GPU that has bfloat16, whatever this machine has."""
    chosen = config.optimisation
    precision = Precision(chosen.load_in_4bit or chosen.bf16 is not False, chosen.load_in_4bit)
    shape = shape_of(folder, config.lora)
    return sum(estimate(shape, _load_of(config, precision, "cuda", longest)).values())


def _load_of(config: TrainConfig, precision: Precision, device: str, longest: int) -> Load:
    chosen = config.optimisation
    # A packed batch is one flat sequence, and all of it is in the mask.
    flat = chosen.batch * chosen.max_length
    batch, length = (1, flat) if chosen.packing else (chosen.batch, longest)
    return Load(
        batch, length, precision, chosen.gradient_checkpointing, config.lora.dropout > 0, device
    )


def _advice(shape: Shape, load: Load, chosen: Optimisation, room: float) -> str:
    """Return changes, gathered one after the other until they suffice."""
    made: list[str] = []
    for words, change in _changes(load, chosen):
        load = replace(load, **change)
        made.append(words)
        needed = sum(estimate(shape, load).values())
        if needed <= room:
            return f"it would take {needed / GIB:.2f} GiB with {', '.join(made)}"
    return f"not even {', '.join(made)} would do: choose a smaller model or another machine"


def _changes(load: Load, chosen: Optimisation) -> list[tuple[str, dict[str, Any]]]:
    """Return what can be changed, what costs least first."""
    changes: list[tuple[str, dict[str, Any]]] = []
    if not load.checkpointing:
        changes.append(("optimisation.gradient_checkpointing: true", {"checkpointing": True}))
    if load.batch > 1 or chosen.batch > 1:
        rows = chosen.batch * chosen.accumulation
        length = load.length // chosen.batch if chosen.packing else load.length
        words = f"optimisation.batch: 1 and optimisation.accumulation: {rows}"
        changes.append((words, {"batch": 1, "length": length}))
    if not load.precision.bf16:
        changes.append(("optimisation.bf16: true", {"precision": Precision(True, False)}))
    if load.device == "cuda" and not load.precision.four_bit:
        changes.append(("optimisation.load_in_4bit: true", {"precision": Precision(True, True)}))
    if load.length > 512:
        changes.append(("optimisation.max_length: 512", {"length": 512}))
    return changes
