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


FOUR_BITS = "takes an NVIDIA GPU and bitsandbytes (pip install bitsandbytes); leave it out here"
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
        ({"evaluation": {"people": "wvs.duckdb"}}, "wvs.duckdb: no such file"),
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


EXAMPLES = sorted((Path(__file__).parents[2] / "examples/paper").glob("*.yaml"))
STUDENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "clca-llama31-8b": ("llama", {"layers": 32, "width": 4096, "inner": 14336, "heads": 32}),
    "clca-llama32-3b": ("llama", {"layers": 28, "width": 3072, "inner": 8192, "heads": 24}),
    "clca-mistral-7b": ("mistral", {"layers": 32, "width": 4096, "inner": 14336, "heads": 32}),
    "clca-qwen25-7b": ("qwen2", {"layers": 28, "width": 3584, "inner": 18944, "heads": 28}),
    "clca-gemma3-4b": ("gemma3", {"layers": 34, "width": 2560, "inner": 10240, "heads": 8}),
    "culturespa-llama3-8b": ("llama", {"layers": 32, "width": 4096, "inner": 14336, "heads": 32}),
}
"""Published sizes, which decide how much memory a training takes; key and value heads and
vocabulary are in `outline_folder`."""
VOCABULARY = {"llama": 128256, "mistral": 32768, "qwen2": 152064, "gemma3": 262208}


def outline_folder(folder: Path, name: str) -> Path:
    """Write the configuration of a student, without weights, and return its folder."""
    from transformers import AutoConfig

    kind, size = STUDENTS[name]
    text = {
        "num_hidden_layers": size["layers"], "hidden_size": size["width"],
        "intermediate_size": size["inner"], "num_attention_heads": size["heads"],
        "num_key_value_heads": 4 if kind in ("qwen2", "gemma3") else 8,
        "head_dim": 256 if kind == "gemma3" else 128, "vocab_size": VOCABULARY[kind],
        "tie_word_embeddings": "3b" in name or kind == "gemma3",
    }  # fmt: skip
    if kind == "gemma3":
        eyes = {"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27}
        text = {"text_config": text, "vision_config": eyes}
    AutoConfig.for_model(kind, **text).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def loaded() -> dict[str, Any]:
    """Every study of examples/paper, by its name."""
    from training.experiment.config import load_clca
    from training.experiment.spa_config import load_spa_experiment

    kinds = {"clca": load_clca, "culturespa": load_spa_experiment}
    return {path.stem: kinds[path.stem.partition("-")[0]](path) for path in EXAMPLES}


def test_there_is_a_study_of_each_student(loaded: dict[str, Any]) -> None:
    assert sorted(loaded) == sorted(STUDENTS)
    assert all(study.name == name for name, study in loaded.items())


@pytest.mark.parametrize("name", STUDENTS)
def test_a_study_has_the_published_protocol_and_its_controls(
    loaded: dict[str, Any], name: str
) -> None:
    from eval.config import ModelRef

    study = loaded[name]
    assert {"people", "null"} <= study.chosen_arms.keys()
    asked = study.eval_config([ModelRef(name="fake")])
    assert asked.readouts == ("logprobs", "text") and asked.orders == "forward"
    trained = study.train_config("x", Path("x"), "joint", "")
    step = trained.optimisation.batch * trained.optimisation.accumulation
    assert trained.optimisation.gradient_checkpointing
    if name.startswith("clca"):
        assert (asked.respondents, step, len(asked.chosen_items())) == (1000, 8, 44)
        assert len(study.cultures) == 5 and trained.preset == "clca-paper"
        assert study.run_config().critique is not None
    else:
        assert (len(study.cultures), step, len(asked.chosen_items())) == (18, 128, 259)
        assert study.spa_config().per_topic * len(study.spa_config().topics) == 13_000


@pytest.mark.parametrize("name", STUDENTS)
def test_the_memory_that_a_file_states_is_what_we_estimate(
    loaded: dict[str, Any], tmp_path: Path, name: str
) -> None:
    pytest.importorskip("peft")
    from training.finetune.base import Precision
    from training.finetune.memory import GIB, Load, estimate, shape_of

    trained = loaded[name].train_config("x", Path("x"), "joint", "")
    shape = shape_of(outline_folder(tmp_path / name, name), trained.lora)

    def takes(rows: int, four_bit: bool, checkpointing: bool) -> str:
        length, dropout = (2048, True) if name.startswith("clca") else (512, False)
        precision = Precision(True, four_bit)
        load = Load(rows, length, precision, checkpointing, dropout, "cuda")
        return f"{sum(estimate(shape, load).values()) / GIB:.1f} GiB"

    whole = 8 if name.startswith("clca") else 4
    rows = trained.optimisation.batch
    said = (EXAMPLES[0].parent / f"{name}.yaml").read_text(encoding="utf-8")
    told = [takes(rows, False, True), takes(rows, True, True), takes(whole, False, False)]
    assert all(each in said for each in told), told
    assert float(told[0].split()[0]) < 0.95 * 22.3  # what a GPU of 24 GB has free


def test_scenes_of_a_study_are_planned_without_the_teacher(
    loaded: dict[str, Any], tmp_path: Path
) -> None:
    from simulation.plan import make_plan

    study = loaded["clca-llama31-8b"]
    plan = make_plan(study.run_config())
    assert {scene.limits.turns for scene in plan.scenarios} == {20}
    others = [each for name, each in loaded.items() if name.startswith("clca")]
    played = [each.simulation for each in others]
    assert all(each == played[0] for each in played)


@pytest.mark.slow
@pytest.mark.model
def test_a_dry_run_needs_a_description_of_the_student_and_no_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for package in ("torch", "peft", "trl"):
        pytest.importorskip(package)
    from chats import tiny_model

    student = tiny_model(tmp_path / "student", max_position_embeddings=2048)
    (student / "model.safetensors").unlink()
    outline_folder(student, "clca-llama31-8b")
    small = {
        "model": student, "out": tmp_path, "cultures": "[CHN]", "evaluation.items": "[Q1]",
        "evaluation.respondents": 2, "simulation.scenarios": "[washing-before-dawn]",
    }  # fmt: skip
    given = [part for key, value in small.items() for part in ("-o", f"{key}={value}")]
    file = next(path for path in EXAMPLES if path.stem == "clca-llama31-8b")
    with pytest.raises(SystemExit) as ended:
        main(["experiment", "clca", str(file), "--dry-run", *given])
    lines = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert ended.value.code in (0, None)
    assert 15 < float(lines["train"][-1]) < 20, "GiB of an 8B in bfloat16 with checkpointing"
    assert not (tmp_path / "clca-llama31-8b").exists()
