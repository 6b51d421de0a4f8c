"""Training: tokens per second against a bare TRL script on the same rows, and padding waste.

Both train in fresh processes, in turns, on the same token ids with the same labels, and are timed
from the first step to the last, without loading and saving. Then the same rows are trained packed.
Padding waste is counted on the batches the trainer makes.

Run it with: python bench/training.py [ROWS] [STEPS] [BATCH] [ROUNDS] [MODEL]
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agents.models.local.chat_form import ChatForm
from agents.models.local.tokens import load_tokenizer
from training.finetune.base import find_base, find_device, find_precision, load_base
from training.finetune.config import TrainConfig, parse_train_config
from training.finetune.rows import read_corpus
from training.finetune.tokenise import Example, encode_rows, find_form

ROOT = Path(__file__).resolve().parent.parent
WORDS = ("tea", "bread", "the", "a", "market", "rain", "aunt", "we", "came", "late", "again", "so")
MAX_LENGTH = 1024


def write_rows(folder: Path, count: int) -> None:
    """Write chats of two to ten turns of various lengths, as corpora have them."""
    rng = random.Random(1)

    def text() -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(4, 60)))

    with (folder / "train.jsonl").open("w", encoding="utf-8") as file:
        for number in range(count):
            turns = [{"role": "system", "content": f"A market hall. You are Ana. {text()}"}]
            for _ in range(rng.randint(1, 5)):
                turns += [{"role": "user", "content": f"Bo: {text()}"},
                          {"role": "assistant", "content": text()}]  # fmt: skip
            row = {"id": str(number), "culture_id": "DEU", "messages": turns}
            file.write(json.dumps(row) + "\n")


def configuration(folder: Path, name: str, model: str, steps: int, batch: int,
                  packing: bool) -> TrainConfig:  # fmt: skip
    """Return the training; a packed sequence counts as so many rows as fit in."""
    return parse_train_config(
        {
            "name": name, "model": model, "corpus": str(folder), "out": str(folder / "runs"),
            "validate_rows": False, "save_every": 10**6,
            "optimisation": {"max_steps": steps, "batch": 1 if packing else batch,
                             "max_length": MAX_LENGTH, "packing": packing},
        },
        "bench",
    )  # fmt: skip


def ours(config: TrainConfig) -> tuple[float, float]:
    """Return tokens and seconds of a training as users run it."""
    file = Path(config.corpus) / f"{config.name}.yaml"
    file.write_text(json.dumps(config.model_dump(mode="json")), encoding="utf-8")
    command = [sys.executable, "-m", "folkways.cli.train", str(file), "--quiet"]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    results = Path(config.out) / config.name / "DEU" / "results.json"
    found = json.loads(results.read_text(encoding="utf-8"))
    return found["tokens"], found["seconds"]


def bare(config: TrainConfig) -> tuple[float, float]:
    """Return tokens and seconds of the bare script."""
    file = Path(config.corpus) / "bare.json"
    file.write_text(json.dumps(config.model_dump(mode="json")), encoding="utf-8")
    command = [sys.executable, __file__, "--bare", str(file)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    tokens, seconds = json.loads(printed.strip().splitlines()[-1])
    return tokens, seconds


def examples_of(config: TrainConfig) -> tuple[Any, list[Example]]:
    """Return the tokenizer and the rows in tokens."""
    tokenizer = load_tokenizer(find_base(config.model).folder)
    corpus = read_corpus(Path(config.corpus))
    form = find_form(ChatForm(tokenizer), config.model)
    return tokenizer, encode_rows(form, corpus.train, MAX_LENGTH)[0]


def run_bare(config: TrainConfig) -> None:
    """Train with TRL as its documentation shows it, on rows already in tokens."""
    import os

    from agents.models.local.transformers import PATIENT_THREADS

    os.environ.update(PATIENT_THREADS)
    import huggingface_hub.constants
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True
    chosen, times = config.optimisation, {}

    class Clock(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            times["began"] = time.monotonic()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            times["ended"] = time.monotonic()

    device = find_device()
    precision = find_precision(chosen, device)
    tokenizer, examples = examples_of(config)
    columns = {"input_ids": [e.ids for e in examples], "labels": [e.labels for e in examples]}
    trainer = SFTTrainer(
        load_base(find_base(config.model), precision),
        SFTConfig(
            str(Path(config.out) / "bare"), per_device_train_batch_size=chosen.batch,
            max_steps=chosen.max_steps, learning_rate=chosen.learning_rate, warmup_steps=0.03,
            lr_scheduler_type="cosine", bf16=precision.bf16, use_cpu=device == "cpu",
            max_length=MAX_LENGTH if chosen.packing else None, packing=chosen.packing,
            gradient_checkpointing=False, save_strategy="no", report_to="none", seed=config.seed,
        ),
        train_dataset=Dataset.from_dict(columns),
        processing_class=tokenizer,
        peft_config=LoraConfig(r=16, lora_alpha=32, lora_dropout=0.05, target_modules="all-linear",
                               task_type="CAUSAL_LM"),
        callbacks=[Clock()],
    )  # fmt: skip
    trainer.train()
    tokens = next(log["num_tokens"] for log in reversed(trainer.state.log_history)
                  if "num_tokens" in log)  # fmt: skip
    print(json.dumps([tokens, times["ended"] - times["began"]]))


def waste(examples: list[Example], batch: int, packing: bool) -> tuple[float, float]:
    """Return the shares of computed positions that are padding, and of max_length left empty."""
    from datasets import Dataset, disable_progress_bars
    from trl import pack_dataset

    disable_progress_bars()
    lengths = [len(example.ids) for example in examples]
    if packing:
        packed = pack_dataset(Dataset.from_dict({"input_ids": [e.ids for e in examples]}),
                              MAX_LENGTH)  # fmt: skip
        return 0.0, 1 - sum(lengths) / (len(packed) * MAX_LENGTH)
    random.Random(1).shuffle(lengths)
    batches = [lengths[at : at + batch] for at in range(0, len(lengths), batch)]
    computed = sum(max(each) * len(each) for each in batches)
    return 1 - sum(lengths) / computed, 1 - sum(lengths) / (len(lengths) * MAX_LENGTH)


def main(rows: int = 256, steps: int = 20, batch: int = 8, rounds: int = 3,
         model: str = "embedded") -> None:  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder, rows)
        _, examples = examples_of(configuration(folder, "count", model, steps, batch, False))
        lengths = sorted(len(example.ids) for example in examples)
        print(f"{rows} rows of {lengths[0]} to {lengths[-1]} tokens, median {lengths[rows // 2]}; "
              f"{model}, {steps} steps")  # fmt: skip
        for packing in (False, True):
            form = f"packed to {MAX_LENGTH}" if packing else f"batches of {batch}"
            padding, empty = waste(examples, batch, packing)
            rates: dict[str, list[float]] = {"ours": [], "bare": []}
            for turn in range(rounds):
                config = configuration(folder, f"{packing}-{turn}", model, steps, batch, packing)
                for who, way in (("ours", ours), ("bare", bare)):
                    tokens, seconds = way(config)
                    rates[who].append(tokens / seconds)
            mine, theirs = (statistics.median(rates[who]) for who in ("ours", "bare"))
            print(
                f"{form:<18} padding {padding:6.1%}  of max_length empty {empty:6.1%}  "
                f"ours {mine:8.1f} tokens/s  bare TRL {theirs:8.1f}  ratio {mine / theirs:.3f}"
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--bare"]:
        text = Path(sys.argv[2]).read_text(encoding="utf-8")
        run_bare(parse_train_config(json.loads(text), "bench"))
    else:
        main(*map(int, sys.argv[1:5]), *sys.argv[5:6])
