"""The review: critique and labels against the engine's own batch call, and what each stage costs.

Part one critiques and labels conversations of the calibration set on vLLM; then the same prompts go
to vLLM's own batch call in a fresh process, all at once, each to be answered with as many tokens as
it was before, since answers differ from one batching to another. The batch call is spared the JSON
schemas, which would end answers sooner. Both start with an empty prefix cache.

Part two plays scenes, in the form `json`, in which this model echoes a lot, without a critic in the
loop, with the detectors, and with detectors and model; it critiques and labels them, and prints
calls and tokens per accepted episode by stage, and how much is repeated.

Run it with: python bench/review.py [throughput|stages] [EPISODES]
"""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import duckdb

from agents.models.base import Completion, Model, Prompt, Sampling, open_model
from agents.models.local.vllm_options import cpu_options
from agents.models.weights import embedded_folder
from folkways.clock import utc_now
from simulation.config import RunConfig
from simulation.episode.budget import Budget, BudgetConfig
from simulation.execution.model_manager import ModelManager
from simulation.plan import make_plan
from simulation.review.calibration import configuration, fill_store, load_cases
from simulation.review.stage import ReviewContext, run_critique, run_labels
from simulation.review.task import Bounds, Player
from simulation.review_settings import CritiqueConfig, LabelConfig
from simulation.run import launch
from simulation.store.writer import Store

MODEL = "vllm:embedded"
SEQUENCES = 64
SCENES = ("the-son-at-the-sink", "guest-out-of-the-snow")


class Overheard:
    """A loaded model whose requests are kept."""

    def __init__(self, model: Model) -> None:
        self.model, self.name = model, model.name
        self.asked: list[tuple[Prompt, Sampling, int]] = []
        """Prompt, sampling and completion tokens of each call."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def score(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float]:
        raise NotImplementedError

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        done = await self.model.complete(prompt, sampling, schema)
        assert done.completion_tokens is not None
        self.asked.append((prompt, sampling, done.completion_tokens))
        return done


def fill(folder: Path, what: str) -> tuple[Path, str]:
    """Make a run of the calibration set, and return its folder and name."""
    run, name = folder / what, f"bench-{what}"
    run.mkdir()
    store = Store(run)
    store.create()
    config = json.dumps(configuration(MODEL, name, load_cases()))
    store.add("runs", {
        "run_id": name, "kind": "run", "config": config,
        "config_hash": "0", "versions": "{}", "git_commit": None, "created_at": utc_now(),
    })  # fmt: skip
    fill_store(store, utc_now(), load_cases())
    return run, name


async def review(run: Path, name: str, episodes: int, what: str) -> dict[str, Any]:
    """Critique or label, and return tokens, seconds, the prefix-cache hit rate and the requests."""
    model = Overheard(open_model(MODEL, {"max_num_seqs": SEQUENCES}))
    await model.model.start()
    engines = ModelManager()
    engines.lend_as(MODEL, model)
    stage = ReviewContext(
        run, name, Player(MODEL, {}), engines, Bounds(SEQUENCES, episodes),
        Budget(BudgetConfig(), time.monotonic), utc_now, quiet=True,
    )  # fmt: skip
    began = time.perf_counter()
    if what == "critique":
        await run_critique(stage, CritiqueConfig(repairs=0))
    else:
        await run_labels(stage, LabelConfig(repairs=0))
    seconds = time.perf_counter() - began
    await model.model.close()
    with duckdb.connect(str(run / "log.duckdb")) as con:
        tokens, prompt, cached = con.execute(
            "select sum(completion_tokens), sum(prompt_tokens), sum(cached_tokens) from calls"
        ).fetchall()[0]
    asked = [
        {"prompt": prompt, "seed": sampling.seed, "tokens": length,
         "penalty": sampling.repetition_penalty}
        for prompt, sampling, length in model.asked
    ]  # fmt: skip
    return {"tokens": tokens, "seconds": seconds, "hit_rate": cached / prompt, "asked": asked}


def batch(asked: list[dict[str, Any]]) -> tuple[int, float]:
    """Return tokens and seconds of vLLM's own batch call on the same requests."""
    import os

    os.environ |= {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_HOST_IP": "127.0.0.1",
                   "VLLM_CPU_KVCACHE_SPACE": "4", "HF_HUB_OFFLINE": "1"}  # fmt: skip
    from vllm import LLM, SamplingParams

    llm = LLM(
        str(embedded_folder()), dtype="bfloat16", max_num_seqs=SEQUENCES, max_model_len=4096,
        enable_prefix_caching=True, enforce_eager=True, **cpu_options(4096),
    )  # fmt: skip
    params = [
        SamplingParams(
            temperature=0.0, repetition_penalty=one["penalty"], seed=one["seed"],
            max_tokens=one["tokens"], min_tokens=one["tokens"], ignore_eos=True,
        )
        for one in asked
    ]  # fmt: skip
    began = time.perf_counter()
    outputs = llm.generate([one["prompt"] for one in asked], params, use_tqdm=False)
    seconds = time.perf_counter() - began
    return sum(len(output.outputs[0].token_ids) for output in outputs), seconds


def throughput(episodes: int) -> None:
    print(f"{MODEL}, {episodes} conversations of the calibration set, {SEQUENCES} calls at once")
    for what in ("critique", "labels"):
        with tempfile.TemporaryDirectory() as name:
            done = asyncio.run(review(*fill(Path(name), what), episodes, what))
            file = Path(name) / "asked.json"
            file.write_text(json.dumps(done["asked"]), encoding="utf-8")
            again = [sys.executable, __file__, "--batch", str(file)]
            printed = subprocess.run(again, capture_output=True, text=True, check=True).stdout
        tokens, seconds = json.loads(printed.strip().splitlines()[-1])
        calls = len(done["asked"])
        print(f"{what}: {calls} calls, prefix-cache hit rate {done['hit_rate']:.0%}")
        for who, count, time_s in (
            ("ours", done["tokens"], done["seconds"]), ("batch call", tokens, seconds),
        ):  # fmt: skip
            rate = f"{calls / time_s:.2f} calls/s, {count / time_s:.1f} tokens/s"
            print(f"  {who:<10} {count:>6} tokens in {time_s:>6.1f} s: {rate}")
        print(f"  ratio of calls/s {seconds / done['seconds']:.2f}")


def stages(episodes: int) -> None:
    """Play with and without a critic in the loop, and print costs and repetition."""
    for name, loop in (
        ("none", None),
        ("detectors", {"critics": ["detectors"]}),
        ("detectors-and-model", {"critics": ["detectors", "model"]}),
    ):
        with tempfile.TemporaryDirectory() as folder:
            config = RunConfig.model_validate({
                "name": name, "scenarios": SCENES, "cultures": ["MEX", "JPN"], "out": folder,
                "replicates": max(1, episodes // 4), "limits": {"turns": 8}, "seed": 5,
                "model": {"name": MODEL, "max_tokens": 80, "reply_form": "json"}, "in_loop": loop,
                "critique": {"critics": ["quality", "meta"]}, "label": {},
            })  # fmt: skip
            began = time.perf_counter()
            launch(make_plan(config), limit=None, fresh=False, quiet=True)
            seconds = time.perf_counter() - began
            with duckdb.connect(str(Path(folder) / name / "log.duckdb"), read_only=True) as con:
                print(f"critic in the loop: {name} ({seconds:.0f} s, loading included)")
                for row in con.execute(
                    "select stage, calls, prompt_tokens, cached_tokens, completion_tokens, "
                    "calls_per_accepted, tokens_per_accepted from stage_costs order by stage"
                ).fetchall():
                    print("  ", *row)
                for row in con.execute(
                    "select count(*), (select count(*) from episode_fates where fate = 'accepted'),"
                    " sum(repeated_turns), sum(echoed_turns), sum(spoken_turns) from repetition"
                ).fetchall():
                    print("   episodes, accepted, repeated, echoed, spoken turns:", *row)
                for row in con.execute(
                    "select count(*), count(*) filter (label = 'revise'), "
                    "count(*) filter (kept and draft > 1), count(failure) from drafts"
                ).fetchall():
                    print("   drafts, sent back, rewrites kept, not judged:", *row)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--batch"]:
        print(json.dumps(batch(json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")))))
    elif sys.argv[1:2] == ["stages"]:
        stages(*map(int, sys.argv[2:3] or (16,)))
    else:
        throughput(*map(int, sys.argv[2:3] or (16,)))
