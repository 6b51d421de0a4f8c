"""Studies of the papers' size: what a machine lacks is told before anything is spent."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from folkways.cli import main

SMALL: dict[str, Any] = {
    "name": "small",
    "cultures": ["CHN", "DEU"],
    "engine": "hf",
    "simulation": {"model": {"name": "fake"}},
}


def written(folder: Path, **fields: Any) -> Path:
    path = folder / "small.yaml"
    path.write_text(json.dumps(SMALL | {"out": str(folder / "runs")} | fields), encoding="utf-8")
    return path


FOUR_BITS = "takes an NVIDIA GPU and bitsandbytes (pip install bitsandbytes); set it to false here"
without_bitsandbytes = pytest.mark.skipif(
    find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed"
)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"engine": "vllm", "training": {"lora": {"r": 600}}},
         "training.lora has rank 600 and vLLM takes up to 512"),
        ({"engine": "vllm", "training": {"preset": "clca-code"}},
         "training.lora holds lm_head, embed_tokens in full, which vLLM does not take"),
        ({"engine": "vllm", "engine_options": {"max_lora_rank": 8}},
         "max_lora_rank is 8; give 16, 32"),
        ({"engine_options": {"attn_implementation": "fast"}},
         "unknown attn_implementation 'fast'; known: eager, flash_attention_2, sdpa"),
        ({"engine": "vllm", "engine_options": {"tensor_parallel_size": 0}},
         "tensor_parallel_size is 0; it is a whole number"),
        pytest.param({"engine_options": {"load_in_4bit": True}}, f"load_in_4bit {FOUR_BITS}",
                     marks=without_bitsandbytes),
        pytest.param({"training": {"optimisation": {"load_in_4bit": True}}},
                     f"training.optimisation.load_in_4bit {FOUR_BITS}",
                     marks=without_bitsandbytes),
    ],
)  # fmt: skip
def test_what_a_later_stage_would_lack_is_told_before_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fields: dict[str, Any], told: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["experiment", "clca", str(written(tmp_path, **fields))])
    assert ended.value.code == 1
    errors = capsys.readouterr().err
    assert told in errors and errors.count("\n") == 1
    assert not (tmp_path / "runs").exists()
