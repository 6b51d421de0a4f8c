"""General abilities: the shipped questions are sound, models are compared question by question, and
the harness itself is run where it is installed."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from operator import add, mul, sub
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml
from chats import tiny_model
from local_models import needs

from eval.abilities import Setting, measure_abilities
from eval.report.abilities import Change, changes, read_measured, read_results, table_lines
from folkways.cli import main
from folkways.errors import UserError

FOLDER = Path(__file__).parents[2] / "examples/abilities"
TASKS = ("sums", "larger", "odd", "sense")
NOW = datetime(2026, 1, 2)  # noqa: DTZ001
HARNESS = needs("lm_eval", "torch", "transformers", "peft")


def documents(task: str) -> list[dict[str, Any]]:
    with (FOLDER / "data" / f"{task}.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"abilities_{name}", FOLDER / f"{name}.py")
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def right(document: dict[str, Any]) -> str:
    return str(document["choices"][document["answer"]])


# The questions


def test_the_files_are_what_the_script_makes() -> None:
    for name, text in module("make").texts().items():
        assert (FOLDER / "data" / name).read_text(encoding="utf-8") == text


@pytest.mark.parametrize("task", TASKS)
def test_questions_are_whole_and_answers_balanced(task: str) -> None:
    found = documents(task)
    assert len(found) == 60
    for key in ("id", "question"):
        assert len({one[key] for one in found}) == 60
    for one in found:
        assert set(one) == {"id", "question", "choices", "answer"}
        assert len(set(one["choices"])) == len(one["choices"]) == (2 if task == "larger" else 4)
        assert all(choice and choice == choice.strip() for choice in one["choices"])
    places = Counter(one["answer"] for one in found)
    assert set(places.values()) == {60 // len(found[0]["choices"])}


def test_sums_and_comparisons_are_true() -> None:
    operations = {"plus": add, "minus": sub, "times": mul}
    used = Counter[str]()
    for one in documents("sums"):
        a, word, b = one["question"].split("?")[0].split()[-3:]
        assert int(right(one)) == operations[word](int(a), int(b))
        assert {len(choice) for choice in one["choices"]} == {2}
        used[word] += 1
    assert set(used.values()) == {20}
    for one in documents("larger"):
        assert int(right(one)) == max(map(int, one["choices"]))
        assert len({len(choice) for choice in one["choices"]}) == 1
        assert " or ".join(one["choices"]) in one["question"]


def test_three_of_four_words_are_of_a_kind() -> None:
    with (FOLDER / "kinds.csv").open(encoding="utf-8", newline="") as file:
        kinds = {word: row["kind"] for row in csv.DictReader(file) for word in row["words"].split()}
    with (FOLDER / "kinds.csv").open(encoding="utf-8") as file:
        assert sum(len(line.split()) for line in file.readlines()[1:]) == len(kinds)
    asked = Counter[str]()
    for one in documents("odd"):
        others = {kinds[word] for word in one["choices"] if word != right(one)}
        assert len(others) == 1 and kinds[right(one)] not in others
        asked.update(others)
    assert set(asked.values()) == {4}


def test_the_tasks_are_declared() -> None:
    group = yaml.safe_load((FOLDER / "folkways_abilities.yaml").read_text(encoding="utf-8"))
    assert group["task"] == [f"folkways_{task}" for task in TASKS]
    for task in TASKS:
        told = yaml.safe_load((FOLDER / f"{task}.yaml").read_text(encoding="utf-8"))
        assert told["task"] == f"folkways_{task}"
        assert (FOLDER / "data" / told["dataset_kwargs"]["file"]).is_file()
        assert (FOLDER / told["include"]).is_file()
    common = (FOLDER / "_common_yaml").read_text(encoding="utf-8")
    assert "output_type: multiple_choice" in common and "documents.load_documents" in common
    assert callable(module("documents").load_documents)


# Results and comparisons, from made-up logs


def results(tasks: dict[str, list[float]], **groups: list[str]) -> dict[str, Any]:
    """Return what the harness returns for answers that are right (1) or wrong (0)."""
    found: dict[str, Any] = {
        task: {
            "alias": task, "sample_len": len(scores), "acc,none": float(np.mean(scores)),
            "acc_stderr,none": float(np.std(scores, ddof=1) / np.sqrt(len(scores))),
        }
        for task, scores in tasks.items()
    }  # fmt: skip
    for group, parts in groups.items():
        each = [found[part]["acc,none"] for part in parts]
        found[group] = {"acc,none": float(np.mean(each)), "acc_stderr,none": "N/A", " ": 1}
    samples = {
        task: [
            {"doc_id": n, "filter": "none", "metrics": ["acc"], "acc": score}
            for n, score in enumerate(scores)
        ]
        for task, scores in tasks.items()
    }
    sizes = {task: {"original": 99, "effective": len(scores)} for task, scores in tasks.items()}
    return {
        "results": found, "samples": samples, "n-samples": sizes, "group_subtasks": groups,
    }  # fmt: skip


FIRST = {"a": [1.0, 0.0, 1.0, 1.0], "b": [0.0, 0.0]}
SECOND = {"a": [1.0, 1.0, 1.0, 0.0], "b": [1.0, 1.0]}


def pair(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Change]:
    found = changes([read_results("one", one), read_results("two", two)], draws=2000)
    return {change.task: change for change in found}


def test_results_are_read_with_their_questions() -> None:
    found = read_results("one", results(FIRST, ab=["a", "b"]))
    figures = {figure.task: figure for figure in found.figures}
    assert (figures["a"].value, figures["a"].questions) == (0.75, 4)
    assert figures["a"].stderr == pytest.approx(0.25)
    assert (figures["ab"].value, figures["ab"].stderr, figures["ab"].questions) == (0.375, None, 6)
    assert found.parts["ab"] == ("a", "b") and "a" not in found.parts
    assert found.answers["a"]["acc"] == {"0": 1, "1": 0, "2": 1, "3": 1}
    stored = json.dumps(found.plain())
    assert json.dumps(read_measured(json.loads(stored)).plain()) == stored


def test_filters_name_a_metric_and_what_is_no_number_is_left_out() -> None:
    made = results({"a": [1.0, 0.0]})
    made["results"]["a"] |= {
        "exact,strict": 0.5,
        "exact_stderr,strict": 0.5,
        "bleu,none": float("nan"),
    }
    made["samples"]["a"] += [
        {"doc_id": n, "filter": "strict", "metrics": ["exact", "bleu"], "exact": n, "bleu": ("x",)}
        for n in range(2)
    ]
    found = read_results("one", made)
    assert [figure.metric for figure in found.figures] == ["acc", "exact,strict"]
    assert set(found.answers["a"]) == {"acc", "exact,strict"}


def test_groups_of_groups_rest_on_their_tasks() -> None:
    made = results({"a": [1.0, 0.0], "b": [0.0, 0.0], "c": [1.0, 1.0]}, low=["a", "b"])
    made["group_subtasks"]["high"] = ["low", "c"]
    assert read_results("one", made).parts["high"] == ("a", "b", "c")


def test_a_difference_is_that_of_the_same_questions() -> None:
    found = pair(results(FIRST), results(SECOND))
    assert (found["a"].value, found["a"].questions) == (0, 4)
    assert found["a"].low == pytest.approx(-0.75) and found["a"].high == pytest.approx(0.75)
    assert found["a"].p == 1
    assert (found["b"].value, found["b"].low, found["b"].high) == (1, 1, 1)
    assert (found["a"].reference, found["a"].model) == ("one", "two")


def test_questions_are_paired_by_number_whatever_their_order() -> None:
    two = results(SECOND)
    two["samples"]["a"].reverse()
    assert pair(results(FIRST), two) == pair(results(FIRST), results(SECOND))


def test_an_interval_is_about_that_of_the_formula() -> None:
    rng = np.random.default_rng(1)
    one = rng.integers(0, 2, 400)
    two = np.where(rng.random(400) < 0.2, 1 - one, one)
    made = [results({"a": [float(score) for score in each]}) for each in (one, two)]
    found = pair(*made)["a"]
    error = float(np.std(two - one, ddof=1) / 20)
    assert found.value == pytest.approx(float(np.mean(two - one)))
    assert found.low == pytest.approx(found.value - 1.96 * error, abs=0.006)
    assert found.high == pytest.approx(found.value + 1.96 * error, abs=0.006)


def test_a_groups_tasks_weigh_as_the_harness_weighs_them() -> None:
    made = [results(each, ab=["a", "b"]) for each in (FIRST, SECOND)]
    assert pair(*made)["ab"].value == pytest.approx(0.5)
    assert pair(*made)["ab"].low == pytest.approx(0.125)  # b never moves, a by .75 and half of it
    for each, tasks in zip(made, (FIRST, SECOND), strict=True):
        each["results"]["ab"]["acc,none"] = float(np.mean(tasks["a"] + tasks["b"]))
    by_size = pair(*made)["ab"]
    assert by_size.value == pytest.approx(2 / 6) and by_size.low is not None


def test_there_is_no_interval_that_the_questions_do_not_explain() -> None:
    other = results(SECOND)
    other["results"]["a"]["acc,none"] = 0.9
    shorter = results({"a": SECOND["a"][:3], "b": [1.0, 1.0]})
    silent = results(SECOND)
    del silent["samples"]
    for each in (other, shorter, silent):
        found = pair(results(FIRST), each)["a"]
        assert (found.low, found.high, found.p) == (None, None, None)
    assert pair(results(FIRST), other)["a"].value == pytest.approx(0.15)


def test_what_the_first_model_was_not_asked_is_not_compared() -> None:
    assert set(pair(results({"a": [1.0, 0.0]}), results(SECOND))) == {"a"}


def test_the_table_has_every_model_below_its_task() -> None:
    made = [results(each, ab=["a", "b"]) for each in (FIRST, SECOND)]
    measured = [read_results(name, each) for name, each in zip(("base", "b+x"), made, strict=True)]
    lines = table_lines(measured, changes(measured, draws=1000))
    assert [re.sub(r"p 0\.\d+", "p less", line) for line in lines] == [
        "a, acc (4 questions)",
        "  base  0.750 ± 0.250",
        "  b+x   0.750 ± 0.250   0.000 [-0.750, 0.750], p 1.000",
        "b, acc (2 questions)",
        "  base  0.000 ± 0.000",
        "  b+x   1.000 ± 0.000   +1.000 [1.000, 1.000], p less",
        "ab, acc (2 tasks, 6 questions)",
        "  base  0.375",
        "  b+x   0.875   +0.500 [0.125, 0.875], p less",
    ]


# The harness itself, where it is installed


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of random weights, and an adapter for it."""
    peft = pytest.importorskip("peft")
    import torch
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("models")
    model = AutoModelForCausalLM.from_pretrained(tiny_model(folder / "tiny"))
    torch.manual_seed(0)
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    peft.get_peft_model(model, config).save_pretrained(folder / "adapter")
    return folder


def measure(out: Path, *names: str, said: list[str] | None = None, fresh: bool = False, **how: Any):
    setting = Setting(**{"tasks": ("folkways_abilities",), "include": FOLDER, "limit": 3} | how)
    say = (lambda line: None) if said is None else said.append
    return measure_abilities(names, setting, out, lambda: NOW, fresh=fresh, say=say)


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        act()
    return str(caught.value)


@HARNESS
def test_models_are_measured_once_and_compared(models: Path, tmp_path: Path) -> None:
    out, said = tmp_path / "new" / "out.json", list[str]()
    base, tuned = str(models / "tiny"), f"{models / 'tiny'}+{models / 'adapter'}"
    alone = measure(out, base, said=said)
    assert len(said) == 1 and alone[0] == "folkways_sums, acc (3 questions)"
    lines = measure(out, base, tuned, said=said)
    assert len(said) == 2 and said[1].startswith(tuned)
    assert len(lines) == 5 * 3 and " [" in lines[2]
    record = json.loads(out.read_text(encoding="utf-8"))
    assert [each["model"] for each in record["models"]] == [base, tuned]
    assert record["setting"]["limit"] == 3 and record["setting"]["lm_eval"]
    for each in record["models"]:
        figures = {one["task"]: one for one in each["figures"]}
        assert figures["folkways_abilities"]["questions"] == 12
        for task in TASKS:
            scores = each["answers"][f"folkways_{task}"]["acc"]
            assert figures[f"folkways_{task}"]["value"] == pytest.approx(
                np.mean([*scores.values()])
            )
    assert {change["task"] for change in record["changes"]} == set(figures)
    assert all(change["low"] is not None for change in record["changes"])
    assert "limit: 3 -> 2" in refusal(lambda: measure(out, base, limit=2))
    assert measure(out, base, limit=2, fresh=True)[0] == "folkways_sums, acc (2 questions)"


@HARNESS
def test_a_model_whose_folder_changed_is_measured_again(models: Path, tmp_path: Path) -> None:
    folder, said = tmp_path / "copy", list[str]()
    shutil.copytree(models / "tiny", folder)
    how: dict[str, Any] = {"tasks": ("folkways_larger",), "limit": 1, "said": said}
    for count, change in ((1, False), (1, False), (2, True)):
        if change:
            (folder / "notes.txt").write_text("new", encoding="utf-8")
        measure(tmp_path / "out.json", str(folder), **how)
        assert len(said) == count
    assert len(json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["models"]) == 1


@HARNESS
def test_tasks_take_patterns_and_a_chat(models: Path, tmp_path: Path) -> None:
    lines = measure(
        tmp_path / "out.json", str(models / "tiny"), tasks=("folkways_[so]*",), chat=True, limit=1
    )
    named = {line.split(",")[0] for line in lines if not line.startswith(" ")}
    assert named == {"folkways_sums", "folkways_odd", "folkways_sense"}


@HARNESS
def test_what_cannot_be_measured_is_refused_in_one_line(models: Path, tmp_path: Path) -> None:
    out, base = tmp_path / "out.json", str(models / "tiny")
    cases = {
        "named twice": lambda: measure(out, base, base),
        "no model folder": lambda: measure(out, str(tmp_path / "none")),
        "no adapter_config.json": lambda: measure(out, f"{base}+{tmp_path}"),
        "no folder of tasks": lambda: measure(out, base, include=tmp_path / "none"),
    }
    for problem, act in cases.items():
        told = refusal(act)
        assert problem in told and "\n" not in told
    assert not out.exists()
    out.write_text("[]", encoding="utf-8")
    assert "no file of measured abilities" in refusal(lambda: measure(out, base))


@HARNESS
@pytest.mark.slow
def test_unknown_tasks_name_near_ones_and_faulty_ones_say_why(models: Path, tmp_path: Path) -> None:
    out, base = tmp_path / "out.json", str(models / "tiny")
    told = refusal(lambda: measure(out, base, tasks=("folkways_sum",)))
    assert "unknown task 'folkways_sum'" in told and "folkways_sums" in told
    folder = tmp_path / "tasks"
    folder.mkdir()
    text = "task: broken\ndataset_path: json\ndataset_kwargs: {data_files: none.jsonl}\n"
    (folder / "broken.yaml").write_text(text + "test_split: train\n", encoding="utf-8")
    told = refusal(lambda: measure(out, base, tasks=("broken",), include=folder))
    assert "broken cannot be loaded" in told and "\n" not in told


@HARNESS
def test_the_command_prints_the_table(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["eval", "abilities", str(models / "tiny"), "--tasks", "folkways_larger"]
    arguments += ["--include", str(FOLDER), "--limit", "1", "--out", str(tmp_path / "out.json")]
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "folkways_larger, acc (1 questions)"
    assert printed[-1].endswith("out.json")


@pytest.mark.skipif(importlib.util.find_spec("lm_eval") is not None, reason="lm_eval is installed")
def test_a_missing_harness_is_named_with_what_to_do(tmp_path: Path) -> None:
    told = refusal(lambda: measure(tmp_path / "out.json", "embedded"))
    assert "lm_eval" in told and "folkways[abilities]" in told
