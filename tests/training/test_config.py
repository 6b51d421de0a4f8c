"""Configurations of trainings, corpora as they are read, memory as it is estimated: no model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from chats import chat, row, write_corpus

from folkways.cli import train as commands
from folkways.errors import UserError
from training.finetune.base import Precision, find_precision
from training.finetune.checkpoint import (
    could_not_write,
    is_whole,
    last_whole,
    remove_unfinished,
    seal,
    settle_record,
)
from training.finetune.config import (
    Lora,
    Optimisation,
    TrainConfig,
    load_presets,
    load_train_config,
    parse_train_config,
    preset_note,
)
from training.finetune.memory import GIB, Load, Shape, estimate
from training.finetune.plot import plot_loss
from training.finetune.progress import FitProgress
from training.finetune.rows import JOINT, plan_jobs, read_corpus
from training.finetune.watch import Watch


def config(**values: Any) -> TrainConfig:
    return parse_train_config({"name": "t", "corpus": "c"} | values, "here")


def test_every_preset_is_valid_and_says_what_it_is() -> None:
    assert set(load_presets()) == {"default", "clca-paper", "clca-code", "culturespa"}
    for name in load_presets():
        assert config(preset=name).preset == name
        assert len(preset_note(name)) > 30


def test_the_default_preset_is_what_the_fields_default_to() -> None:
    assert config().lora == Lora()
    assert config().optimisation == Optimisation()


def test_the_published_values_are_in_the_presets() -> None:
    paper, code, spa = (config(preset=name) for name in ("clca-paper", "clca-code", "culturespa"))
    assert (paper.lora.r, paper.lora.alpha, paper.lora.dropout) == (4, 0.1, 0.5)
    assert paper.lora.target_modules == ("q_proj", "v_proj")
    assert paper.lora.scaling == 0.025
    assert paper.lora.modules_to_save == ()
    assert code.lora.modules_to_save == ("lm_head", "embed_tokens")
    assert code.optimisation.batch * code.optimisation.accumulation == 8
    assert (spa.lora.r, spa.lora.alpha, spa.lora.target_modules) == (8, 16, "all-linear")
    assert (spa.optimisation.schedule, spa.optimisation.warm_up) == ("cosine", 0.1)
    assert spa.optimisation.epochs == 1


def test_values_of_ones_own_go_before_the_presets(tmp_path: Path) -> None:
    file = tmp_path / "pilot.yaml"
    file.write_text("corpus: c\npreset: clca-paper\nlora: {r: 8}\n", encoding="utf-8")
    loaded = load_train_config(file, ["optimisation.epochs=1", "lora.alpha=16"])
    assert loaded.name == "pilot"
    assert (loaded.lora.r, loaded.lora.alpha, loaded.lora.dropout) == (8, 16, 0.5)
    assert (loaded.optimisation.epochs, loaded.optimisation.learning_rate) == (1, 1e-4)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"preset": "best"}, r"unknown preset in here: 'best'; known: clca-code, "),
        ({"lora": {"rank": 3}}, r"here: lora\.rank: unknown key; allowed: alpha, dropout"),
        ({"lora": {"target_modules": ["lm_head"]}}, r"put it into modules_to_save"),
        ({"optimisation": {"learning_rate": 3}}, r"optimisation\.learning_rate: .*less than 1"),
        ({"keep": 1}, r"keep: too small; found 1; allowed: 2 or more"),
        ({"name": "../x"}, r"here: name"),
    ],
)
def test_faults_of_a_configuration_are_named(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        config(**values)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (None, "no corpus folder at .*folkways export"),
        ([], r"train\.jsonl has no row: nothing to learn from"),
        (["{"], r"train\.jsonl:1: not one JSON object a line"),
        (["[]"], r"train\.jsonl:1: the row has no list 'messages'"),
        ([row(1), {"messages": chat("a", "b")[::-1]}], r"train\.jsonl:2: turn \d is"),
        ([{"messages": chat("a", "b", "c", "")}], "message 5 is empty"),
        ([{"messages": chat("a")}], "nothing to learn"),
        ([{"messages": [{"role": "user"}]}], "message 1 is not of the form"),
        ([{"messages": [*chat("a", "b"), *chat("c", "d")]}], "turn 3 is 'system'; after"),
    ],
)
def test_what_is_no_corpus_is_refused_in_one_line(
    tmp_path: Path, lines: list[Any] | None, said: str
) -> None:
    folder = tmp_path / "corpus"
    if lines is not None:
        write_corpus(folder, [])
        text = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines)
        (folder / "train.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=said) as caught:
        read_corpus(folder)
    assert "\n" not in str(caught.value)


def test_a_folder_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").touch()
    with pytest.raises(UserError, match=r"has no train\.jsonl.*--format messages"):
        read_corpus(tmp_path)


def test_the_hash_of_a_corpus_is_that_of_its_rows(tmp_path: Path) -> None:
    rows = [row(n) for n in range(3)]
    one = read_corpus(write_corpus(tmp_path / "a", rows, rows[:1]))
    assert one.hash == read_corpus(write_corpus(tmp_path / "b", rows, rows[:1])).hash
    assert one.hash != read_corpus(write_corpus(tmp_path / "c", rows, rows[:2])).hash
    assert one.hash != read_corpus(write_corpus(tmp_path / "d", [*rows, rows[0]])).hash


def test_the_hash_on_the_card_of_a_corpus_is_known(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "a", [row(1)])
    assert read_corpus(folder).card_hash is None
    (folder / "README.md").write_text("---\nfolkways:\n  hash: abc\n---\n", encoding="utf-8")
    assert read_corpus(folder).card_hash == "abc"


def test_adapters_get_the_rows_of_their_cultures(tmp_path: Path) -> None:
    rows = [row(n, ("DEU", "MEX", None)[n % 3]) for n in range(9)]
    corpus = read_corpus(write_corpus(tmp_path / "c", rows, rows[:2]))
    jobs, notes = plan_jobs(config(adapters="both"), corpus)
    assert [(job.name, len(job.train), len(job.validation)) for job in jobs] == [
        ("DEU", 3, 1), ("MEX", 3, 1), (JOINT, 9, 2),
    ]  # fmt: skip
    assert notes == []
    jobs, _ = plan_jobs(config(adapters="joint", cultures=["DEU", "MEX"]), corpus)
    assert [(job.name, job.cultures, len(job.train)) for job in jobs] == [
        (JOINT, ("DEU", "MEX"), 6)
    ]


def test_one_culture_for_a_joint_adapter_is_worth_a_line(tmp_path: Path) -> None:
    corpus = read_corpus(write_corpus(tmp_path / "c", [row(1)]))
    jobs, notes = plan_jobs(config(adapters="joint"), corpus)
    assert [job.name for job in jobs] == [JOINT]
    assert notes == ["the joint adapter learns from one culture only, DEU"]


def test_cultures_that_are_not_there_are_refused(tmp_path: Path) -> None:
    corpus = read_corpus(write_corpus(tmp_path / "c", [row(1), row(2, "MEX")]))
    with pytest.raises(UserError, match=r"no row of the culture 'FRA'; it has DEU \(1\), MEX"):
        plan_jobs(config(cultures=["FRA"]), corpus)
    nameless = read_corpus(write_corpus(tmp_path / "n", [row(1, None)]))
    with pytest.raises(UserError, match="set adapters: joint"):
        plan_jobs(config(), nameless)
    hostile = read_corpus(write_corpus(tmp_path / "h", [row(1, "../up")]))
    with pytest.raises(UserError, match="cannot name a folder"):
        plan_jobs(config(), hostile)


def test_the_terms_of_memory_are_those_of_the_formula() -> None:
    shape = Shape(weights=1000, trained=10, layers=3, width=8, key_value=4, inner=20,
                  vocabulary=100)  # fmt: skip
    layer = 7 * 8 + 3 * 4 + 4 * 20
    plain = estimate(shape, Load(2, 5, Precision(False, False), False, False, "cpu"))
    assert plain["weights"] == 4000
    assert plain["adapter"] == plain["optimiser"] == 80
    assert plain["activations"] == 2 * 5 * 4 * 3 * layer
    assert plain["attention"] == 2 * 4 * 2 * 25
    assert plain["output"] == 32 * 10 * 100
    assert plain["held back"] == pytest.approx(0.6 * (plain["activations"] + plain["output"]))
    assert plain["rest"] == 1.2 * GIB
    thrifty = estimate(shape, Load(2, 5, Precision(True, False), True, True, "cuda"))
    assert thrifty["weights"] == 2000
    assert thrifty["activations"] == 2 * 5 * 2 * (3 * 8 + layer + 1.5 * (6 * 8 + 20))
    assert thrifty["output"] == 8 * 10 * 100


def test_four_bits_take_a_gpu() -> None:
    pytest.importorskip("torch")
    with pytest.raises(UserError, match="takes an NVIDIA GPU and bitsandbytes"):
        find_precision(Optimisation(load_in_4bit=True), "cpu")
    assert find_precision(Optimisation(), "cpu") == Precision(False, False)
    assert find_precision(Optimisation(bf16=True), "cpu").words == "bfloat16"


def write_checkpoint(folder: Path, step: int) -> Path:
    path = folder / "checkpoints" / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "adapter_model.safetensors").write_bytes(b"w" * 1000)
    (path / "optimizer.pt").write_bytes(b"o" * 500)
    return path


def test_only_whole_checkpoints_count(tmp_path: Path) -> None:
    first, second, third = (write_checkpoint(tmp_path, step) for step in (5, 10, 100))
    seal(first)
    seal(second)
    assert (is_whole(first), is_whole(third)) == (True, False)
    assert last_whole(tmp_path) == second
    with (second / "optimizer.pt").open("r+b") as file:
        file.truncate(100)
    assert last_whole(tmp_path) == first
    notes = remove_unfinished(tmp_path)
    assert len(notes) == 2
    assert "checkpoint-100 was not written to its end" in notes[0]
    assert not second.exists() and first.exists()


def test_a_folder_in_which_another_was_trained_is_refused_with_the_keys(tmp_path: Path) -> None:
    settle_record(tmp_path, {"corpus_hash": "z", "lora": {"r": 8, "alpha": 16}})
    settle_record(tmp_path, {"corpus_hash": "a", "lora": {"r": 8, "alpha": 16}})
    write_checkpoint(tmp_path, 5)
    settle_record(tmp_path, {"corpus_hash": "a", "lora": {"r": 8, "alpha": 16}})
    with pytest.raises(UserError, match="--fresh") as caught:
        settle_record(tmp_path, {"corpus_hash": "b", "lora": {"r": 4, "alpha": 16}})
    assert "corpus_hash: 'a' -> 'b'" in str(caught.value)
    assert "lora.r: 8 -> 4" in str(caught.value)
    assert "alpha" not in str(caught.value)


def test_checkpoints_nobody_knows_are_refused(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 5)
    with pytest.raises(UserError, match="has checkpoints but no"):
        settle_record(tmp_path, {"corpus_hash": "a"})


def test_a_full_disk_is_told_from_a_defect() -> None:
    assert could_not_write(OSError(28, "No space left on device"))
    assert could_not_write(RuntimeError("[enforce fail] PytorchStreamWriter failed writing file"))
    assert not could_not_write(RuntimeError("shape mismatch"))
    assert not could_not_write(FileNotFoundError(2, "No such file"))
    outer = RuntimeError("unexpected pos 5")
    outer.__cause__ = OSError(27, "File too large")
    assert could_not_write(outer)


@pytest.mark.parametrize("name", ["loss", "grad_norm", "eval_loss"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_stops_at_once(tmp_path: Path, name: str, value: float) -> None:
    watch = Watch(tmp_path, FitProgress(True, "DEU"), True)
    watch.log(1, {"loss": 2.0, "grad_norm": 1.0})
    seal(write_checkpoint(tmp_path, 1))
    with pytest.raises(UserError, match=r"is (nan|inf) at step 2.*step 1.*learning_rate"):
        watch.log(2, {"loss": 2.0, name: value})


def test_lines_after_the_checkpoint_are_logged_anew(tmp_path: Path) -> None:
    def steps() -> list[int]:
        text = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8")
        return [json.loads(line)["step"] for line in text.splitlines()]

    watch = Watch(tmp_path, FitProgress(True, "DEU"), True)
    watch.begin(0)
    for step in range(1, 5):
        watch.log(step, {"loss": 2.0, "num_tokens": 10.0 * step})
    watch.log(5, {"train_runtime": 3.0})
    assert steps() == [1, 2, 3, 4]
    Watch(tmp_path, FitProgress(True, "DEU"), True).begin(2)
    assert steps() == [1, 2]
    Watch(tmp_path, FitProgress(True, "DEU"), True).begin(0)
    assert steps() == []


def test_progress_says_what_is_done_and_left() -> None:
    progress = FitProgress(True, "DEU")
    assert progress.line() == "DEU: loading"
    progress.start(10, 40)
    progress.done, progress.loss, progress.tokens = 20, 1.5, 1000
    assert progress.line().startswith("DEU: 20/40 steps | loss 1.5000 | ")
    assert progress.line().endswith(" left")


def test_the_loss_is_drawn_the_same_each_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rows = [{"step": n, "loss": 3 / n} for n in range(1, 30)]
    rows += [{"step": 1, "validation_loss": 3.0}, {"step": 29, "validation_loss": 1.0}]
    for name in ("a", "b"):
        plot_loss(rows, "pilot: D&U <x>", tmp_path / f"{name}.svg")
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert text == (tmp_path / "b.svg").read_text(encoding="utf-8")
    assert "D&amp;U &lt;x&gt;" in text
    assert "validation rows" in text


def test_a_folder_where_a_configuration_should_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="or --merge ADAPTER OUT"):
        commands.train(tmp_path)
    with pytest.raises(UserError, match="is no folder of an adapter"):
        commands.train(tmp_path / "t.yaml", tmp_path / "out")


def test_the_command_is_light_to_import() -> None:
    code = (
        "import sys, folkways.cli.train; "
        "print([name for name in ('torch', 'transformers', 'trl', 'peft', 'datasets', "
        "'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          cwd=Path(__file__).parents[2])  # fmt: skip
    assert done.stdout.strip() == "[]"
