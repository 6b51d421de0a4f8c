"""The engine for OpenAI-compatible endpoints, against vLLM's own server on the embedded model."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from misbehaving_server import free_port

from agents.models.base import CallFailed, Completion, Message, ModelUnavailable, Sampling
from agents.models.openai.engine import OpenAIModel
from agents.models.weights import embedded_folder

START_S = 400
"""How long the server may take to load its model on a busy machine, in seconds."""
SCENE = "Two neighbours meet at the gate.\n\nANA: Good morning, Bo! How are you?\nBO:"
GREETING: list[Message] = [
    {"role": "system", "content": "You are Ana."},
    {"role": "user", "content": "Greet Bo."},
]
SCHEMA = {
    "type": "object",
    "properties": {"action": {"enum": ["speak", "none"]}},
    "required": ["action"],
    "additionalProperties": False,
}
LINE = Sampling(temperature=0, max_tokens=40, stop=("\n",), seed=1)
FORM = Sampling(temperature=0, max_tokens=60)
CHOICES = {
    "The capital of France is": [" Paris", " Madrid", " a banana"],
    "她的家在中": ["国", "国南部", "子"],
}


class Talk(NamedTuple):
    """What one visit to the server brought."""

    line: Completion
    answer: Completion
    scores: list[list[float]]
    too_long: CallFailed
    unknown_model: ModelUnavailable


async def talk(url: str) -> Talk:
    model, other = (OpenAIModel("test", name, url, None, max_retries=0) for name in ("m", "other"))
    try:
        with pytest.raises(ModelUnavailable) as unknown_model:
            await other.start()
        with pytest.raises(CallFailed) as too_long:
            await model.complete("so " * 4000, LINE)
        return Talk(
            line=await model.complete(SCENE, LINE),
            answer=await model.complete(GREETING, FORM, SCHEMA),
            scores=[await model.score(prompt, options) for prompt, options in CHOICES.items()],
            too_long=too_long.value,
            unknown_model=unknown_model.value,
        )
    finally:
        await model.close()
        await other.close()


async def is_up(url: str) -> bool:
    model = OpenAIModel("test", "m", url, None, max_retries=0)
    try:
        await model.start()
    except ModelUnavailable:
        return False
    else:
        return True
    finally:
        await model.close()


@contextmanager
def vllm_server(folder: Path, log: Path) -> Iterator[str]:
    """Run vLLM's server on the model in `folder`, and give its base URL once it answers."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1"
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(folder), "--served-model-name", "m", "--dtype", "bfloat16"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    command += ["--enforce-eager", "--max-model-len", "2048"]
    settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "WARNING"}
    environ = {**os.environ, **settings, "HF_HUB_OFFLINE": "1"}
    with log.open("wb") as out:
        server = subprocess.Popen(
            command, env=environ, stdout=out, stderr=out, start_new_session=True
        )
    deadline = time.monotonic() + START_S
    try:
        while not asyncio.run(is_up(url)):
            waiting = server.poll() is None and time.monotonic() < deadline
            assert waiting, log.read_text(errors="replace")[-3000:]
            time.sleep(1)
        yield url
    finally:
        stop(server)


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server and the processes it started, which share its process group."""
    os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def reference_scores(folder: Path, prompt: str, options: list[str]) -> list[float]:
    """Return the options' log-probabilities by one plain forward pass each, in float32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    start = len(tokenizer(prompt).input_ids)
    scores = []
    for option in options:
        ids = torch.tensor(tokenizer(prompt + option).input_ids)
        with torch.no_grad():
            logprobs = model(ids[None]).logits[0, :-1].log_softmax(-1)
        each = logprobs.gather(1, ids[1:, None])[:, 0]
        scores.append(float(each[start - 1 :].sum()))
    return scores


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.vllm
@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
def test_vllms_own_server_continues_answers_and_scores(tmp_path: Path) -> None:
    folder = embedded_folder()
    with vllm_server(folder, tmp_path / "vllm.log") as url:
        told = asyncio.run(talk(url))
    assert told.line.text.strip()
    assert "\n" not in told.line.text
    assert told.line.finish_reason == "stop"
    assert told.line.prompt_tokens is not None and told.line.prompt_tokens > 10
    assert json.loads(told.answer.text)["action"] in ("speak", "none")
    assert told.too_long.reason == "prompt-too-long"
    assert "known: m" in str(told.unknown_model)
    for (prompt, options), scores in zip(CHOICES.items(), told.scores, strict=True):
        assert scores == pytest.approx(reference_scores(folder, prompt, options), abs=0.5)
        assert scores[0] == max(scores)
