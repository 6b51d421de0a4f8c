"""Adapters: what is no adapter is refused in one line, what fits changes what the model says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from agents.models.adapter import adapter_folder, lora_rank
from agents.models.base import Message, open_model
from folkways.errors import UserError

CHAT: list[Message] = [{"role": "user", "content": "Tea or coffee?"}]


def write_config(folder: Path, **fields: object) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(fields), encoding="utf-8")
    return folder


def test_a_folder_without_an_adapter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no adapter_config\.json there"):
        adapter_folder(str(tmp_path))


@pytest.mark.parametrize(("rank", "room"), [(4, 8), (8, 8), (9, 16), (64, 64)])
def test_room_is_made_for_the_rank(tmp_path: Path, rank: int, room: int) -> None:
    assert lora_rank(write_config(tmp_path / "a", peft_type="LORA", r=rank)) == room


def test_another_kind_of_adapter_is_refused_for_vllm(tmp_path: Path) -> None:
    folder = write_config(tmp_path / "a", peft_type="PROMPT_TUNING")
    with pytest.raises(UserError, match="no LoRA adapter"):
        lora_rank(folder)


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

    def scores(**options: object) -> list[float]:
        async def ask() -> list[float]:
            engine = open_model("hf:embedded", {"dtype": "float32", **options})
            await engine.start()
            try:
                return await engine.score(CHAT, ["Tea", "Coffee"])
            finally:
                await engine.close()

        return asyncio.run(ask())

    plain, adapted = scores(), scores(adapter=str(tmp_path / "adapter"))
    assert max(abs(a - b) for a, b in zip(plain, adapted, strict=True)) > 0.01
    with torch.inference_mode():  # the model above still carries the adapter
        from agents.models.local.tokens import encode_choice, load_tokenizer

        choice = encode_choice(load_tokenizer(embedded_folder()), CHAT, ["Tea"])
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
