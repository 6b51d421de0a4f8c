"""Asking the survey: log-probabilities of 44 items by many respondents, against two other ways.

Part one is an evaluation as users run it, store and all: `clca-44` asked of synthetic respondents
on `vllm:embedded`, in the questionnaire's order. Part two gives the same prompts to vLLM's own
batch call, all at once, in a fresh process with an empty cache. Part three asks some of them the
published way: one prompt at a time, generated text, batches of one, transformers.

Run it with: python bench/asking.py [RESPONDENTS] [PROMPTS OF PART THREE]
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

from agents.models.base import Sampling, open_model
from agents.models.local.chat_form import ChatForm
from agents.models.local.tokens import encode_prompt, load_tokenizer
from agents.models.local.vllm_options import cpu_options
from agents.models.weights import embedded_folder
from eval.config import EvalConfig, parse_eval_config
from eval.evaluate import evaluate, find_people
from eval.survey.ask import FORMS
from eval.survey.condition import Planner
from eval.survey.prompt import chat

SEQUENCES = 256
ASKING = """
select count(*), epoch(max(asked_at) - min(asked_at - to_microseconds((latency_s * 1e6)::bigint))),
    (select (settings ->> '$.prefix_cache.hits')::double
        / (settings ->> '$.prefix_cache.queries')::double from launches)
from survey_replies
"""
"""Answers, seconds from the first question to the last answer, and the prefix-cache hit rate."""
SHORT, PUBLISHED = 24, 500
"""Completion tokens of a generated answer at most: ours by default, and CLCA's."""


def configuration(out: Path, respondents: int) -> EvalConfig:
    return parse_eval_config(
        {
            "name": "bench", "out": str(out), "items": "clca-44", "cultures": ["DEU"],
            "models": [{"name": "vllm:embedded", "options": {"max_num_seqs": SEQUENCES}}],
            "methods": ["respondent"], "people": "synthetic", "respondents": respondents,
            "readouts": ["logprobs"], "orders": "forward",
        },
        "bench",
    )  # fmt: skip


def ours(config: EvalConfig) -> tuple[int, float, float]:
    """Return prompts, seconds without loading the model, and the prefix-cache hit rate."""
    assert evaluate(config, quiet=True) == "done"
    with duckdb.connect(str(Path(config.out) / config.name / "log.duckdb"), read_only=True) as con:
        row = con.execute(ASKING).fetchone()
    assert row is not None
    return row


def prompts(planner: Planner) -> list[dict[str, Any]]:
    """Return the same prompts with the tokens that name an option."""
    tokenizer = load_tokenizer(embedded_folder())
    return [
        {
            "ids": encode_prompt(ChatForm(tokenizer), chat(sheet.system, question.text)),
            "chat": chat(sheet.system, question.text),
            "options": [
                tokenizer(form.format(number), add_special_tokens=False).input_ids[0]
                for number in range(1, len(question.order) + 1)
                for form in FORMS
            ],
        }
        for condition in planner.conditions(planner.config.models[0])
        for sheet in planner.sheets(condition)
        for question in sheet.questions
    ]


def batch(asked: list[dict[str, Any]]) -> tuple[float, float]:
    """Return the seconds of vLLM's own batch call, and its prefix-cache hit rate."""
    import os

    os.environ |= {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_HOST_IP": "127.0.0.1",
                   "VLLM_CPU_KVCACHE_SPACE": "4", "HF_HUB_OFFLINE": "1"}  # fmt: skip
    from vllm import LLM, SamplingParams

    llm = LLM(
        str(embedded_folder()), dtype="bfloat16", max_num_seqs=SEQUENCES, max_model_len=4096,
        enable_prefix_caching=True, enforce_eager=True, **cpu_options(4096),
    )  # fmt: skip
    params = [
        SamplingParams(max_tokens=1, temperature=0, logprob_token_ids=sorted(set(one["options"])))
        for one in asked
    ]
    began = time.perf_counter()
    done = llm.generate([{"prompt_token_ids": one["ids"]} for one in asked], params, use_tqdm=False)
    seconds = time.perf_counter() - began
    hits = sum(one.num_cached_tokens or 0 for one in done)
    return seconds, hits / sum(len(one["ids"]) for one in asked)


def batch_apart(asked: list[dict[str, Any]], folder: Path) -> tuple[float, float]:
    """Return the same from a fresh process, whose cache is empty."""
    file = folder / "asked.json"
    file.write_text(json.dumps(asked), encoding="utf-8")
    again = [sys.executable, __file__, "--batch", str(file)]
    printed = subprocess.run(again, capture_output=True, text=True, check=True).stdout
    seconds, hit_rate = json.loads(printed.strip().splitlines()[-1])
    return seconds, hit_rate


def published(asked: list[dict[str, Any]], tokens: int = SHORT) -> float:
    """Return the seconds of one prompt after the other, generated by transformers."""

    async def one_by_one() -> float:
        model = open_model("embedded", {"max_batch": 1})
        await model.start()
        began = time.perf_counter()
        for one in asked:
            await model.complete(one["chat"], Sampling(0.0, 1.0, 0.0, 1.0, tokens))
        seconds = time.perf_counter() - began
        await model.close()
        return seconds

    return asyncio.run(one_by_one())


def main(respondents: int = 1000, singles: int = 88) -> None:
    with tempfile.TemporaryDirectory() as name:
        config = configuration(Path(name), respondents)
        count, seconds, hit_rate = ours(config)
        print(f"44 items x {respondents:,} respondents, prefix-cache hit rate {hit_rate:.1%}")
        print(f"  ours        {count:>6} prompts in {seconds:>7.1f} s: {count / seconds:.1f}/s")
        asked = prompts(Planner(config, find_people(config, Path(name))))
        batched, _ = batch_apart(asked, Path(name))
    print(
        f"  batch call  {len(asked):>6} prompts in {batched:>7.1f} s: {len(asked) / batched:.1f}/s"
    )
    print(f"ratio to the batch call {batched / seconds:.2f}")
    for tokens, some in ((SHORT, asked[:singles]), (PUBLISHED, asked[: max(1, singles // 8)])):
        single = published(some, tokens)
        rate = len(some) / single
        print(
            f"  one by one, {tokens} tokens at most  {len(some):>6} prompts in {single:>7.1f} s: "
            f"{rate:.2f}/s; ratio {count / seconds / rate:.1f}"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--batch"]:
        print(json.dumps(batch(json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")))))
    else:
        main(*map(int, sys.argv[1:]))
