"""What a finished training leaves in its folder: the adapter, its numbers, its figure, its card.

Invariant: results.json is written last, so that a folder that has it is whole; no number in it is
estimated.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from agents.models.chat import template_variables
from folkways.files import remove, write_whole
from training.finetune.base import Base, Precision, find_base
from training.finetune.card import render_card
from training.finetune.checkpoint import FOLDER, RESULTS
from training.finetune.config import TrainConfig
from training.finetune.memory import outline
from training.finetune.plot import plot_loss
from training.finetune.rows import Corpus, TrainingJob
from training.finetune.tokenise import Tally
from training.finetune.watch import read_metrics

WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"
_PACKAGES = (
    "folkways",
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "datasets",
    "bitsandbytes",
)


class TrainingMetadata(NamedTuple):
    """What is known of an adapter before it is trained."""

    job: TrainingJob
    config: TrainConfig
    base: Base
    corpus: Corpus
    precision: Precision
    tally: Tally
    validated: int
    """Validation rows that are scored."""
    processes: int


def write_result(
    trainer: Any, facts: TrainingMetadata, folder: Path, trained: dict[str, int], writes: bool
) -> None:
    """Write a trained adapter's files; all processes take part, one of them writes."""
    staged = folder / FOLDER / "final"
    trainer.save_model(str(staged))
    if not writes:
        return
    metrics = read_metrics(folder)
    results = _results(facts, metrics, trained)
    plot_loss(metrics, f"{facts.config.name}: {facts.job.name}", folder / "loss.svg")
    write_whole(folder, folder / "README.md", render_card(facts, results))
    (staged / WEIGHTS).replace(folder / WEIGHTS)
    settings = json.loads((staged / SETTINGS).read_text(encoding="utf-8"))
    settings["base_model_name_or_path"] = facts.base.findable
    if isinstance(settings["target_modules"], list):  # PEFT writes a set, in any order
        settings["target_modules"].sort()
    write_whole(folder, folder / SETTINGS, json.dumps(settings, indent=2, sort_keys=True) + "\n")
    write_whole(folder, folder / RESULTS, json.dumps(results, indent=2) + "\n")
    remove(folder, staged)


def write_null(config: TrainConfig, folder: Path) -> None:
    """Write an adapter that changes nothing into a folder, unless it is there: of the size that is
    configured, one of the two matrices of each layer being zero."""
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    if (folder / RESULTS).is_file():
        return
    base = find_base(config.model)
    model = outline(base.folder, config.lora.model_copy(update={"modules_to_save": ()}))
    random = torch.Generator().manual_seed(config.seed)
    weights = {
        name: torch.zeros(each.shape)
        if ".lora_B." in name
        else torch.randn(each.shape, generator=random)
        for name, each in get_peft_model_state_dict(model).items()
    }
    settings = model.peft_config["default"]
    settings.base_model_name_or_path, settings.inference_mode = base.findable, True
    settings.save_pretrained(str(folder))
    save_file(weights, folder / WEIGHTS)
    write_whole(folder, folder / RESULTS, json.dumps({"steps": 0}) + "\n")


def _results(
    facts: TrainingMetadata, metrics: Sequence[dict[str, Any]], trained: dict[str, int]
) -> dict[str, Any]:
    steps = [row for row in metrics if "loss" in row]
    scored = [row for row in metrics if "validation_loss" in row]
    best = facts.config.checkpoint == "best"
    saved = [row for row in scored if row["step"]]  # before the first step nothing is
    kept = min(saved, key=_loss) if best else scored[-1] if scored else None
    tail = steps[-max(1, len(steps) // 10) :]
    tokens, seconds = (_over_launches(steps, key) for key in ("tokens", "seconds"))
    return {
        "adapter": facts.job.name,
        "cultures": list(facts.job.cultures),
        "base": {"name": facts.base.name, "fingerprint": facts.base.fingerprint},
        "corpus_hash": facts.corpus.hash,
        "corpus_card_hash": facts.corpus.card_hash,
        "rows": asdict(facts.tally) | {"validation": facts.validated},
        "template": template_variables(facts.config.template),
        "trained_parameters": trained,
        "precision": facts.precision.words,
        "processes": facts.processes,
        "steps": steps[-1]["step"],
        "epochs": steps[-1]["epoch"],
        "tokens": tokens,
        "seconds": seconds,
        "tokens_per_second": round(tokens / seconds, 1) if seconds else None,
        "loss_first": steps[0]["loss"],
        "loss_last": sum(row["loss"] for row in tail) / len(tail),
        "validation_loss_before": scored[0]["validation_loss"] if scored else None,
        "validation_loss_after": kept["validation_loss"] if kept else None,
        "kept_step": kept["step"] if kept and best else steps[-1]["step"],
        "versions": _versions(),
    }


def _loss(row: dict[str, Any]) -> float:
    return float(row["validation_loss"])


def _over_launches(steps: Sequence[dict[str, Any]], key: str) -> float:
    """Return the sum over launches of a number that each of them counts from 0."""
    ends = [before[key] for before, after in pairwise(steps) if after[key] < before[key]]
    return round(float(sum(ends) + steps[-1][key]), 3)


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
