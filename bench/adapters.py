"""Many adapters in one pass on vLLM, against one after another.

Some LoRA adapters of the embedded model, with random weights, answer the 44 items of CLCA as people
of two cultures. One evaluation asks each adapter in its own culture, so that they share one engine;
the other loads an engine for each. Asking is timed without loading, and the whole with it.

Run it with: python bench/adapters.py [ADAPTERS] [RESPONDENTS]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import duckdb

from agents.models.weights import embedded_folder
from eval.config import parse_eval_config
from eval.evaluate import evaluate

CULTURES = ("CHN", "DEU", "GBR", "JPN", "MEX")
ENGINE = "vllm:embedded"


def write_adapters(folder: Path, count: int) -> list[str]:
    """Write LoRA adapters of rank 16 on all linear layers; return their folders."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    paths = []
    for number in range(count):
        torch.manual_seed(number)
        base = AutoModelForCausalLM.from_pretrained(embedded_folder(), dtype=torch.bfloat16)
        settings = LoraConfig(
            r=16, lora_alpha=32, target_modules="all-linear", init_lora_weights=False,
            task_type="CAUSAL_LM",
        )  # fmt: skip
        paths.append(str(folder / f"adapter-{number}"))
        get_peft_model(base, settings).save_pretrained(paths[-1])
    return paths


def asked(folder: Path, name: str, models: list[dict[str, Any]], respondents: int) -> list[float]:
    """Evaluate and return answers, seconds of asking, and seconds in all."""
    config = parse_eval_config(
        {
            "name": name, "out": str(folder), "items": "clca-44", "cultures": list(CULTURES),
            "models": models, "methods": ["respondent"], "people": "synthetic",
            "respondents": respondents, "readouts": ["logprobs"], "orders": "forward",
        },
        "bench",
    )  # fmt: skip
    began = time.perf_counter()
    assert evaluate(config, quiet=True) == "done"
    whole = time.perf_counter() - began
    with duckdb.connect(str(folder / name / "log.duckdb"), read_only=True) as con:
        row = con.execute(
            "select (select count(*) from survey_replies), sum(epoch(ended_at - started_at)) "
            "from launches"
        ).fetchone()
    assert row is not None
    return [float(row[0]), float(row[1]), whole]


def main(count: int = 4, respondents: int = 5) -> None:
    cultures = CULTURES[:count]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_adapters(folder, len(cultures))
        parts = [
            {culture: {"options": {"adapter": path}}}
            for culture, path in zip(cultures, paths, strict=True)
        ]
        together = [{"name": ENGINE, "label": "all", "by_culture": dict(
            pair for part in parts for pair in part.items())}]  # fmt: skip
        found = {"one pass": asked(folder, "one", together, respondents)}
        # Another number of sequences is another engine, so these are not asked together.
        apart = [
            {"name": ENGINE, "label": str(number), "by_culture": part,
             "options": {"max_num_seqs": 128 + number}}
            for number, part in enumerate(parts)
        ]  # fmt: skip
        found["one after another"] = asked(folder, "each", apart, respondents)
    print(f"{len(cultures)} adapters, 44 items, {respondents} respondents each")
    for way, (answers, asking, whole) in found.items():
        print(
            f"  {way:<18} {answers:>6.0f} answers in {asking:>6.1f} s: {answers / asking:.1f}/s; "
            f"with loading {whole:.1f} s"
        )
    (_, one, one_whole), (_, each, each_whole) = found.values()
    print(f"ratio {each / one:.2f}, with loading {each_whole / one_whole:.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
