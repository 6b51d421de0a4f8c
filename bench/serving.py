"""Serving efficiency: tokens per second of a simulation against the engine's own batch call.

A simulation of 64 concurrent episodes is played on a local engine. Then its prompts, rebuilt from
the log, go to the engine's own batch call in a fresh process, all at once, with the same sampling
and the same number of sequences at a time. Both start with an empty prefix cache.

Run it with: python bench/serving.py [vllm|hf] [EPISODES] [TURNS]
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import duckdb

from agents.models.base import Completion, open_model
from agents.models.local.vllm_options import cpu_options
from agents.models.weights import embedded_folder
from folkways.clock import utc_now
from simulation.config import RunConfig
from simulation.execution.progress import Progress
from simulation.plan import make_plan
from simulation.replay.player import replay
from simulation.runner import Runner
from simulation.store.writer import Store

MAX_TOKENS = 60
SCENES = ("overloaded-at-the-weighbridge", "at-the-dry-cleaners-counter")


class Warm:
    """A model that is loaded already, so that loading is not timed."""

    def __init__(self, model: Any) -> None:
        self.name, self._model = model.name, model

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def complete(self, *arguments: Any) -> Completion:
        completion: Completion = await self._model.complete(*arguments)
        return completion


async def simulate(folder: Path, engine: str, episodes: int, turns: int) -> dict[str, Any]:
    """Play the scenes, and return tokens, seconds, the prefix-cache hit rate and the prompts."""
    config = RunConfig.model_validate(
        {
            "name": "serving", "scenarios": SCENES, "cultures": ["GBR"], "out": str(folder),
            "replicates": episodes // len(SCENES), "concurrency": episodes, "seed": 3,
            "limits": {"turns": turns},
            "model": {"name": f"{engine}:embedded", "max_tokens": MAX_TOKENS},
        }
    )  # fmt: skip
    plan = make_plan(config)
    run = folder / "serving"
    run.mkdir()
    Store(run).create()
    options = {"max_num_seqs": episodes} if engine == "vllm" else {"max_batch": 32}
    model = open_model(config.model.name, options)
    await model.start()
    runner = Runner(plan, Warm(model), run, Progress(quiet=True), utc_now)
    began = time.perf_counter()
    await runner.run()
    seconds = time.perf_counter() - began
    await model.close()
    with duckdb.connect(str(run / "log.duckdb")) as con:
        row = {"run_id": "serving", "config": json.dumps(plan.resolved), "hash": plan.hash}
        con.execute(
            "insert into runs (run_id, config, config_hash, versions, created_at) "
            "values ($run_id, $config, $hash, '{}', now())",
            row,
        )
        sums = con.execute(
            "select sum(completion_tokens), sum(prompt_tokens), sum(cached_tokens) from calls"
        ).fetchone()
        assert sums is not None
        prompts = []
        for (episode,) in con.execute("select episode_id from episodes").fetchall():
            seeds = dict(
                con.execute(
                    "select call, seed from calls where episode_id = ?", [episode]
                ).fetchall()
            )
            for call in (await replay(con, episode)).calls:
                prompts.append([call.prompt, seeds[call.call]])
    return {
        "tokens": sums[0], "seconds": seconds, "prompts": prompts,
        "hit_rate": None if sums[2] is None else sums[2] / sums[1],
    }  # fmt: skip


def batch_vllm(prompts: list[Any], sequences: int) -> tuple[int, float]:
    """Return tokens and seconds of vLLM's own batch call."""
    import os

    os.environ |= {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_HOST_IP": "127.0.0.1",
                   "VLLM_CPU_KVCACHE_SPACE": "4", "HF_HUB_OFFLINE": "1"}  # fmt: skip
    from vllm import LLM, SamplingParams

    llm = LLM(
        str(embedded_folder()), dtype="bfloat16", max_num_seqs=sequences, max_model_len=4096,
        enable_prefix_caching=True, enforce_eager=True, **cpu_options(4096),
    )  # fmt: skip
    params = [
        SamplingParams(temperature=0.75, min_p=0.05, repetition_penalty=1.1, stop=["\n"],
                       max_tokens=MAX_TOKENS, seed=seed)
        for _, seed in prompts
    ]  # fmt: skip
    began = time.perf_counter()
    outputs = llm.generate([prompt for prompt, _ in prompts], params, use_tqdm=False)
    seconds = time.perf_counter() - began
    return sum(len(output.outputs[0].token_ids) for output in outputs), seconds


def batch_hf(prompts: list[Any], sequences: int) -> tuple[int, float]:
    """Return tokens and seconds of plain `generate` over batches of 32 in order."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(embedded_folder(), padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(embedded_folder(), dtype=torch.bfloat16).eval()
    tokens, began = 0, time.perf_counter()
    for at in range(0, len(prompts), 32):
        texts = [prompt for prompt, _ in prompts[at : at + 32]]
        batch = tokenizer(texts, return_tensors="pt", padding=True)
        with torch.inference_mode():
            out = model.generate(
                **batch, max_new_tokens=MAX_TOKENS, do_sample=True, temperature=0.75, min_p=0.05,
                repetition_penalty=1.1, stop_strings=["\n"], tokenizer=tokenizer,
            )  # fmt: skip
        made = out[:, batch["input_ids"].shape[1] :]
        tokens += int((made != tokenizer.pad_token_id).sum())
    return tokens, time.perf_counter() - began


def main(engine: str, episodes: int, turns: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        done = asyncio.run(simulate(Path(name), engine, episodes, turns))
        file = Path(name) / "prompts.json"
        file.write_text(json.dumps(done["prompts"]), encoding="utf-8")
        again = [sys.executable, __file__, "--batch", engine, str(file), str(episodes)]
        printed = subprocess.run(again, capture_output=True, text=True, check=True).stdout
    tokens, seconds = json.loads(printed.strip().splitlines()[-1])
    ours, theirs = done["tokens"] / done["seconds"], tokens / seconds
    print(f"{engine}:embedded, {episodes} episodes at once, {len(done['prompts'])} calls")
    for label, count, time_s in (
        ("simulation", done["tokens"], done["seconds"]),
        ("batch call", tokens, seconds),
    ):
        print(f"{label} {count:>7} tokens in {time_s:>6.1f} s {count / time_s:>7.0f} tokens/s")
    print(f"ratio {ours / theirs:.2f}")
    if done["hit_rate"] is not None:
        print(f"prefix-cache hit rate of the simulation {done['hit_rate']:.0%}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--batch"]:
        asked = json.loads(Path(sys.argv[3]).read_text(encoding="utf-8"))
        print(
            json.dumps((batch_vllm if sys.argv[2] == "vllm" else batch_hf)(asked, int(sys.argv[4])))
        )
    else:
        main(*(sys.argv[1:2] or ["vllm"]), *map(int, sys.argv[2:4] or (64, 8)))
