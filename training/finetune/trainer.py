"""Our configuration as TRL's: the trainer of one adapter.

Invariant: what TRL is given is already in tokens, with labels; it never renders a chat, cuts a row
or chooses what is learned.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from training.finetune.base import Precision
from training.finetune.checkpoint import FOLDER
from training.finetune.config import TrainConfig
from training.finetune.memory import lora_config
from training.finetune.tokenise import Example


class Examples(NamedTuple):
    """What one adapter learns from and is scored on."""

    train: Sequence[Example]
    validation: Sequence[Example]


def sft_config(
    config: TrainConfig, folder: Path, device: str, precision: Precision, scored: bool, new: bool
) -> Any:
    """Return TRL's configuration. `scored`: there are validation rows; `new`: no step is done."""
    from trl import SFTConfig

    chosen, best = config.optimisation, config.checkpoint == "best"
    return SFTConfig(
        output_dir=str(folder / FOLDER),
        per_device_train_batch_size=chosen.batch,
        per_device_eval_batch_size=chosen.batch,
        gradient_accumulation_steps=chosen.accumulation,
        learning_rate=chosen.learning_rate,
        num_train_epochs=chosen.epochs,
        max_steps=chosen.max_steps or -1,
        lr_scheduler_type=chosen.schedule,
        warmup_steps=chosen.warm_up,
        weight_decay=chosen.weight_decay,
        max_grad_norm=chosen.max_grad_norm,
        max_length=chosen.max_length if chosen.packing else None,
        packing=chosen.packing,
        eval_packing=False,
        gradient_checkpointing=chosen.gradient_checkpointing,
        bf16=precision.bf16,
        use_cpu=device == "cpu",
        dataloader_pin_memory=device == "cuda",
        ddp_find_unused_parameters=False,
        seed=config.seed,
        data_seed=config.seed,
        logging_steps=1,
        logging_nan_inf_filter=False,  # it would log an average in the place of a NaN
        save_strategy="steps",
        save_steps=config.save_every,
        save_total_limit=config.keep,
        eval_strategy="steps" if scored else "no",
        eval_steps=config.save_every,
        eval_on_start=scored and new,
        load_best_model_at_end=best,
        metric_for_best_model="eval_loss" if best else None,
        greater_is_better=False if best else None,
        report_to="none",
        disable_tqdm=True,
    )


def build_trainer(
    model: Any,
    tokenizer: Any,
    arguments: Any,
    config: TrainConfig,
    examples: Examples,
    callback: Any,
) -> Any:
    """Return TRL's trainer with a new adapter on the model."""
    import datasets
    import torch
    from transformers import PrinterCallback
    from trl import SFTTrainer

    datasets.disable_progress_bars()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*tie_word_embeddings")  # the preset says so
        trainer = SFTTrainer(
            model=model,
            args=arguments,
            train_dataset=_dataset(examples.train),
            eval_dataset=_dataset(examples.validation) if examples.validation else None,
            processing_class=tokenizer,
            peft_config=lora_config(config.lora, model),
            callbacks=[callback],
        )
    trainer.remove_callback(PrinterCallback)
    if not config.optimisation.load_in_4bit:
        for parameter in trainer.model.parameters():
            if parameter.requires_grad:  # in bfloat16, small steps would be rounded away
                parameter.data = parameter.data.to(torch.float32)
    return trainer


def trained_by_kind(model: Any) -> dict[str, int]:
    """Return how many parameters are trained, by the name of the module that they are part of."""
    counts: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            before = name.partition(".lora_")[0].partition(".modules_to_save")[0]
            counts[before.rpartition(".")[2]] += parameter.numel()
    return dict(counts.most_common())


def _dataset(examples: Sequence[Example]) -> Any:
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "input_ids": [example.ids for example in examples],
            "labels": [example.labels for example in examples],
        }
    )
