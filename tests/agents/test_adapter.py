"""Adapters: what is no adapter is refused in one line, what fits changes what the model says."""

from __future__ import annotations

import asyncio
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from agents.models.adapter import adapter_folder, lora_room, surviving
from agents.models.base import Message, open_model, shaping_options
from eval.config import ModelPart, ModelRef
from eval.survey.condition import Condition
from folkways.errors import UserError

CHAT: list[Message] = [{"role": "user", "content": "Tea or coffee?"}]


def write_config(folder: Path, **fields: object) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(fields), encoding="utf-8")
    return folder


def test_a_folder_without_an_adapter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no adapter_config\.json there"):
        adapter_folder(str(tmp_path))


@pytest.mark.parametrize(
    ("ranks", "given", "room"),
    [([1], None, 1), ([4], None, 8), ([8, 9], None, 16), ([512], None, 512), ([4], 64, 64)],
)
def test_room_is_made_for_the_highest_rank(ranks: list[int], given: int | None, room: int) -> None:
    adapters = {str(number): {"peft_type": "LORA", "r": rank} for number, rank in enumerate(ranks)}
    assert lora_room(adapters, given) == room


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"peft_type": "PROMPT_TUNING"}, "is no LoRA adapter; vLLM takes no other kind"),
        ({"r": "8"}, "is no LoRA adapter"),
        ({"r": 4, "modules_to_save": ["lm_head"]}, "holds lm_head in full, which vLLM does not"),
        ({"r": 600}, r"has rank 600 and vLLM takes up to 512; ask it with hf, or merge it: folk"),
        ({"r": 8, "rank_pattern": {"q_proj": 1024}}, "has rank 1024 and vLLM takes up to 512"),
    ],
)
def test_an_adapter_that_vllm_does_not_take_is_told_before_it_starts(
    tmp_path: Path, fields: dict[str, Any], told: str
) -> None:
    folder = write_config(tmp_path / "a", **{"peft_type": "LORA", **fields})
    with pytest.raises(UserError, match=told):
        open_model("vllm:embedded", {"adapter": str(folder)})
    with pytest.raises(UserError, match=told):
        open_model("vllm:embedded", {"adapters": [str(folder)]})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_lora_rank": 16}, "max_lora_rank is 16; give 64, 128, 256, 320, 512, or leave it"),
        ({"max_lora_rank": 100}, "max_lora_rank is 100; give 64"),
        ({"tensor_parallel_size": 0}, "tensor_parallel_size is 0; it is a whole number"),
        ({"tensor_parallel_size": "2"}, "tensor_parallel_size is '2'; it is a whole number"),
        ({"gpu_memory_utilization": 90}, "gpu_memory_utilization is 90; it is a share"),
        ({"kv_cache_gib": 0}, "kv_cache_gib is 0; it is a whole number and at least 1"),
        ({"max_batch": 8}, "unexpected keyword argument 'max_batch'"),
    ],
)
def test_an_option_that_vllm_cannot_take_is_told_before_it_starts(
    tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    folder = write_config(tmp_path / "a", peft_type="LORA", r=64)
    with pytest.raises(UserError, match=told):
        open_model("vllm:embedded", {"adapter": str(folder), **options})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"dtype": "int8"}, "unknown dtype 'int8'; known: bfloat16, float16, float32"),
        ({"load_in_4bit": "yes"}, "load_in_4bit is 'yes'; it must be true or false"),
        ({"attn_implementation": "a/kernel"}, "known: eager, flash_attention_2, sdpa"),
    ],
)
def test_an_option_that_transformers_cannot_take_is_told_before_it_starts(
    options: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        open_model("hf:embedded", options)


@pytest.mark.skipif(find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")
def test_4_bits_without_bitsandbytes_are_told_before_it_starts() -> None:
    with pytest.raises(UserError, match="quantization: bitsandbytes takes an NVIDIA GPU and"):
        open_model("vllm:embedded", {"quantization": "bitsandbytes"})
    with pytest.raises(UserError) as told:
        open_model("hf:embedded", {"load_in_4bit": True})
    assert str(told.value) == (
        "load_in_4bit takes an NVIDIA GPU and bitsandbytes (pip install bitsandbytes); leave it "
        "out here"
    )


@pytest.mark.skipif(find_spec("flash_attn") is not None, reason="flash-attn is installed")
def test_flash_attention_without_its_package_is_told_before_it_starts() -> None:
    with pytest.raises(UserError, match="takes an NVIDIA GPU and flash-attn"):
        open_model("hf:embedded", {"attn_implementation": "flash_attention_2"})


@pytest.mark.model
def test_attention_is_computed_as_asked() -> None:
    pytest.importorskip("torch")
    from agents.models.local.loading import Loading
    from agents.models.weights import embedded_folder

    for chosen in ("eager", "sdpa"):
        model = Loading(attn_implementation=chosen).load(embedded_folder())
        assert model.config._attn_implementation == chosen


@pytest.mark.parametrize(
    ("change", "dtype", "left"),
    [
        (0.001, "bfloat16", 0.0),  # numbers from 1 to 2 are 1/128 apart
        (1 / 128, "bfloat16", 1.0),
        (1.5 / 128, "bfloat16", 2 / 3),  # a third of the change is the error
        (0.001, "float32", 1.0),
    ],
)
def test_what_rounding_leaves_of_an_adapter(
    tmp_path: Path, change: float, dtype: str, left: float
) -> None:
    torch = pytest.importorskip("torch")
    save_file = pytest.importorskip("safetensors.torch").save_file
    adapter = write_config(tmp_path / "a", peft_type="LORA", r=2, lora_alpha=4, use_rslora=False)
    layer = "layers.0.q_proj"
    save_file({f"model.{layer}.weight": torch.ones(3, 5)}, tmp_path / "model.safetensors")
    pair = {"A": torch.full((2, 5), 0.5), "B": torch.full((3, 2), change / 2)}
    save_file(
        {f"base_model.model.model.{layer}.lora_{side}.weight": pair[side] for side in pair},
        adapter / "adapter_model.safetensors",
    )  # alpha/r is 2, so that each weight gets 2 x 2 x 0.5 x change/2
    assert surviving(adapter, tmp_path, dtype) == pytest.approx(left, abs=1e-3)


def scores(**options: object) -> list[float]:
    async def ask() -> list[float]:
        engine = open_model("hf:embedded", options)
        await engine.start()
        try:
            return await engine.score(CHAT, ["Tea", "Coffee"])
        finally:
            await engine.close()

    return asyncio.run(ask())


@pytest.mark.model
def test_an_adapter_without_effect_is_the_base_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("peft")
    from training.finetune.config import parse_train_config
    from training.finetune.result import write_null

    config = parse_train_config({"name": "n", "corpus": "none", "preset": "clca-paper"}, "test")
    write_null(config, tmp_path / "null")
    for dtype in ("float32", "bfloat16"):
        null = scores(adapter=str(tmp_path / "null"), dtype=dtype)
        assert null == scores(dtype=dtype)
    assert not caplog.records


@pytest.mark.model
def test_an_adapter_is_computed_in_float32_or_its_loss_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    peft = pytest.importorskip("peft")
    import torch
    from transformers import AutoModelForCausalLM

    from agents.models.weights import embedded_folder

    model = AutoModelForCausalLM.from_pretrained(embedded_folder(), dtype=torch.float32)
    torch.manual_seed(0)
    config = peft.LoraConfig(
        r=4, lora_alpha=0.1, target_modules=["q_proj", "v_proj"], init_lora_weights=False
    )
    peft.get_peft_model(model, config).save_pretrained(tmp_path / "adapter")
    adapter = str(tmp_path / "adapter")
    exact = scores(adapter=adapter)
    assert exact == scores(adapter=adapter, dtype="float32") and not caplog.records
    effect = [a - b for a, b in zip(exact, scores(dtype="float32"), strict=True)]
    assert max(map(abs, effect)) > 1e-4
    scores(adapter=adapter, dtype="bfloat16")
    (told,) = [record.getMessage() for record in caplog.records]
    assert "in bfloat16: of what the adapter changes about" in told and "dtype: float32" in told


def test_the_numbers_of_an_adapter_are_part_of_what_was_asked() -> None:
    assert shaping_options("hf:m", {"adapter": "a"}) == {"adapter": "a", "dtype": "float32"}
    assert shaping_options("hf:m", {"adapter": "a", "dtype": "float16"})["dtype"] == "float16"
    assert shaping_options("hf:m", {"adapter": "a", "load_in_4bit": True})["dtype"] == "bfloat16"
    assert shaping_options("vllm:m", {"adapter": "a"}) == {"adapter": "a"}
    other = {"tensor_parallel_size": 4, "gpu_memory_utilization": 0.5, "max_lora_rank": 64}
    assert shaping_options("vllm:m", {"quantization": "fp8", **other}) == {"quantization": "fp8"}
    held = {"load_in_4bit": True, "attn_implementation": "eager"}
    assert shaping_options("hf:m", held | {"max_batch": 4}) == held
    part = ModelPart(options={"adapter": "a"})
    asked = Condition(
        ModelRef(name="hf:m", by_culture={"DEU": part}), "culture", None, "en", "text"
    )
    told = json.loads(asked.row()["options"])["by_culture"]["DEU"]["options"]
    assert told == {"adapter": "a", "dtype": "float32"}


@pytest.mark.model
def test_an_adapter_changes_what_the_model_says(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    import torch
    from transformers import AutoModelForCausalLM

    from agents.models.weights import embedded_folder

    model = AutoModelForCausalLM.from_pretrained(embedded_folder(), dtype=torch.float32)
    torch.manual_seed(0)
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    peft.get_peft_model(model, config).save_pretrained(tmp_path / "adapter")
    plain, adapted = scores(dtype="float32"), scores(adapter=str(tmp_path / "adapter"))
    assert max(abs(a - b) for a, b in zip(plain, adapted, strict=True)) > 0.01
    with torch.inference_mode():  # the model above still carries the adapter
        from agents.models.local.chat_form import ChatForm
        from agents.models.local.tokens import encode_choice, load_tokenizer

        choice = encode_choice(ChatForm(load_tokenizer(embedded_folder())), CHAT, ["Tea"])
        logits = model(torch.tensor([choice.shared])).logits[0, -1]
        first = float(logits.log_softmax(-1)[choice.rests[0][0]])
    if len(choice.rests[0]) == 1:
        assert first == pytest.approx(adapted[0], abs=0.01)


@pytest.mark.model
def test_an_adapter_of_another_model_does_not_fit(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    folder = write_config(
        tmp_path / "a", peft_type="LORA", r=4, target_modules=["no_such_layer"],
        task_type="CAUSAL_LM", base_model_name_or_path="another",
    )  # fmt: skip

    async def start() -> None:
        engine = open_model("hf:embedded", {"adapter": str(folder)})
        try:
            await engine.start()
        finally:
            await engine.close()

    with pytest.raises(UserError, match="does not fit the model"):
        asyncio.run(start())
