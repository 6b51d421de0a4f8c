"""The exported lm-evaluation-harness task: its files, documents and scores, and what is refused."""

from __future__ import annotations

import ast
import importlib.util
import json
import math
import re
import tempfile
from pathlib import Path
from types import ModuleType

import jinja2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.template import fold
from eval.item import Item, load_items, preset
from eval.metrics.metric import tv, w1
from eval.report.harness import export_harness
from eval.respondents.marginals import load_marginals
from eval.survey.method import method
from eval.survey.prompt import render_item, render_system
from eval.survey.voice import load_voice
from folkways.errors import UserError

ITEMS = load_items()
CHOSEN = [ITEMS[name] for name in ("Q1", "Q42", "Q56", "Q82", "Q119", "Q182", "Q241", "Q254")]
COUNTRIES = ("CHN", "DEU", "USA")
TASKS = ("chn", "deu", "usa", "unaware")
NAME = "folkways_wvs"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("harness") / "task"
    files = export_harness(made, CHOSEN, COUNTRIES)
    assert sorted(files) == sorted(path for path in made.rglob("*") if path.is_file())
    return made


def documents(folder: Path, task: str) -> list[dict]:
    """Read a task's documents line by line, as the exported code does."""
    with (folder / "data" / f"{task}.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def utils(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("exported_utils", folder / "utils.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Loader(yaml.SafeLoader):
    """Reads `!function` as the harness does, but leaves it a name."""


Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


def config(path: Path) -> dict:
    return yaml.load(path.read_text(encoding="utf-8"), Loader)


def rendered(template: str, document: dict) -> str:
    """Apply a field's template as lm_eval 0.4.13 does."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(template).render(**document)


# Files.


def test_configurations_load_and_name_only_what_is_there(folder):
    common = config(folder / "_common_yaml")
    known = {common.pop("custom_dataset"), common.pop("process_results")}
    assert known <= {f"utils.{name}" for name in vars(utils(folder))}
    configs = {path.stem: config(path) for path in folder.glob("*.yaml")}
    tasks = {name: each for name, each in configs.items() if "task" in each and "group" not in each}
    assert set(tasks) == {f"{NAME}_{task}" for task in TASKS}
    for name, task in tasks.items():
        assert task["task"] == name
        assert (folder / task["include"]).is_file()
        assert (folder / "data" / task["dataset_kwargs"]["file"]).is_file()
    assert configs[NAME]["task"] == [f"{NAME}_culture", f"{NAME}_unaware"]
    assert configs[f"{NAME}_culture"]["task"] == [f"{NAME}_{task}" for task in TASKS[:3]]
    averaged = [each["metric"] for each in configs[f"{NAME}_culture"]["aggregate_metric_list"]]
    assert averaged == ["acc", "mass", "tv", "w1"]


@pytest.mark.parametrize("task", TASKS)
def test_metrics_are_exactly_those_that_the_functions_return(folder, task):
    listed = config(folder / f"{NAME}_{task}.yaml")["metric_list"]
    found = set()
    for document in documents(folder, task):
        results = [(-1.0, False)] * len(document["choices"])
        found |= set(utils(folder).process_results(document, results))
    assert {each["metric"] for each in listed} == found
    assert all(
        each["higher_is_better"] == each["metric"].startswith(("acc", "mass")) for each in listed
    )


def test_exported_code_imports_nothing_of_ours(folder):
    tree = ast.parse((folder / "utils.py").read_text(encoding="utf-8"))
    names = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [node.names[0].name])
    }
    assert names == {"importlib", "json", "math", "pathlib", "typing"}


def test_nominal_items_alone_have_no_w1_and_exports_are_repeatable(tmp_path):
    for name in "ab":
        export_harness(tmp_path / name, [ITEMS["Q42"]], ["DEU"], name="one")
    listed = config(tmp_path / "a" / "one_deu.yaml")["metric_list"]
    assert [each["metric"] for each in listed] == ["acc", "mass", "tv"]
    for path in (tmp_path / "a").rglob("*.*"):
        again = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == again.read_bytes()


def test_readme_cites_the_survey_and_counts_what_was_not_asked(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "doi:10.14281/18241.24" in text and "not for profit" in text
    assert (
        "--include_path" in text and f"--tasks {NAME}" in text and "--apply_chat_template" in text
    )
    assert "1 of 24 cells" in text
    assert f"| `{NAME}_chn` | 14 | Q82 |" in text
    assert f"| `{NAME}_unaware` | 16 | - |" in text
    assert "{" not in text


# Documents.


@pytest.mark.parametrize("task", TASKS)
def test_prompts_are_ours(folder, task):
    voice = load_voice("en")
    asked_as, country = ("unaware", None) if task == "unaware" else ("culture", task.upper())
    common = config(folder / "_common_yaml")
    for document in documents(folder, task):
        item, order = ITEMS[document["item"]], tuple(document["codes"])
        system = render_system(voice, method(asked_as), country)
        assert rendered(common["description"], document) == system
        assert rendered(common["doc_to_text"], document) == render_item(voice, item, order)


@pytest.mark.parametrize("task", TASKS)
def test_gold_names_the_modal_answer_in_either_order(folder, task):
    cells = load_marginals().cells
    for document in documents(folder, task):
        item, size = ITEMS[document["item"]], len(document["codes"])
        modes = [
            cells[country, item.id].recoded(item.recode, item.other).mode
            for country in document["countries"]
        ]
        named = [int(document["choices"][place]) for place in document["gold"]]
        points = {item.point(document["codes"][number - 1]) for number in named}
        assert len(points) == 1 and modes.count(*points) == max(map(modes.count, modes))
        assert named[: len(named) // 2] == named[len(named) // 2 :]
        assert document["choices"][size:] == [f" {each}" for each in document["choices"][:size]]
        assert [item.points[mode] for mode in document["modes"]] == modes


@pytest.mark.parametrize("task", TASKS)
def test_targets_are_national_shares_and_sum_to_1(folder, task):
    cells = load_marginals().cells
    for document in documents(folder, task):
        item = ITEMS[document["item"]]
        for country, target in zip(document["countries"], document["targets"], strict=True):
            assert sum(target) == pytest.approx(1, abs=1e-5)
            cell = cells[country, item.id].recoded(item.recode, item.other)
            assert target == pytest.approx(cell.shares, abs=1e-6)


def test_both_orders_show_the_same_options_under_other_numbers(folder):
    given = documents(folder, "deu")
    for forward, back in zip(given[::2], given[1::2], strict=True):
        item = ITEMS[forward["item"]]
        assert (forward["id"], back["id"]) == (f"{item.id} forward", f"{item.id} reversed")
        assert tuple(forward["codes"]) == item.scale_codes == tuple(back["codes"][::-1])
        assert forward["points"] == back["points"][::-1]
        assert forward["targets"] == back["targets"]
        for document in (forward, back):
            shown = re.findall(r"^(\d+)(?:\. (.*))?$", document["question"], re.MULTILINE)
            assert [int(number) for number, _ in shown] == [*range(1, len(document["codes"]) + 1)]
            for code, (_, label) in zip(document["codes"], shown, strict=True):
                assert label in ("", item.options[code])


def test_what_was_not_asked_is_left_out(folder):
    assert "Q82" not in {document["item"] for document in documents(folder, "chn")}
    unaware = {each["item"]: each["countries"] for each in documents(folder, "unaware")}
    assert unaware["Q82"] == ["DEU", "USA"] and unaware["Q1"] == ["CHN", "DEU", "USA"]


HOSTILE = (
    "{{ 7 * 7 }} {% for x in ().__class__.__mro__ %}{{ x }}{% endfor %} {# gone #}\u2028\r {0}"
)


@given(st.text(min_size=1), st.text(min_size=1))
@settings(max_examples=25)
def test_text_of_items_is_never_a_template(ask, label):
    for text, words in ((ask, label), (HOSTILE, HOSTILE)):
        options = ITEMS["Q1"].options | {2: words}
        item = ITEMS["Q1"].model_copy(update={"ask": text, "options": options})
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made) / "task"
            export_harness(folder, [item], ["DEU"])
            common, given = config(folder / "_common_yaml"), documents(folder, "deu")
        for document in given:
            asked = rendered(common["doc_to_text"], document)
            assert asked == render_item(load_voice("en"), item, tuple(document["codes"]))
            assert fold(text) in asked and fold(words) in asked


# Scores.


def asked(human: list[float], points: list[int], **changes) -> dict:
    mode = human.index(max(human))
    return {
        "method": "culture",
        "points": points,
        "positions": [place / (len(human) - 1) for place, _ in enumerate(human)],
        "countries": ["DEU"],
        "targets": [human],
        "modes": [mode],
    } | changes


def logs(*probabilities: float) -> list[tuple[float, bool]]:
    return [(math.log(p) if p else -math.inf, False) for p in probabilities]


def test_scores_of_the_worked_example(folder):
    score = utils(folder).process_results
    document = asked([0.4, 0.3, 0.2, 0.1], [0, 1, 2, 3])
    found = score(document, logs(0.1, 0.1, 0.1, 0, 0.15, 0.05, 0, 0))
    assert found == pytest.approx({"mass": 0.5, "acc": 1, "tv": 0.1, "w1": 0.1})
    reverse = asked([0.4, 0.3, 0.2, 0.1], [3, 2, 1, 0])
    assert score(reverse, logs(0, 0.1, 0.1, 0.1, 0, 0, 0.05, 0.15)) == pytest.approx(found)
    nominal = score(document | {"positions": []}, logs(*[0.1] * 8))
    assert "w1" not in nominal and nominal["tv"] == pytest.approx(0.2)


def test_one_is_counted_without_ten_unless_ten_is_a_token_of_its_own(folder):
    human = [0.3, *[0.5 / 8] * 8, 0.2]
    document = asked(human, [*range(10)])
    results = logs(0.5, *[0.5 / 8] * 8, 0.2, *[0] * 10)
    exact = utils(folder).process_results(document, results)
    assert exact == pytest.approx({"mass": 1, "acc": 1, "tv": 0, "w1": 0}, abs=1e-12)
    whole = utils(folder).process_whole(document, results)
    assert whole["mass"] == pytest.approx(1.2)
    assert whole["tv"] == pytest.approx(0.5 / 1.2 - 0.3)


def test_options_that_share_a_point_are_added(folder):
    document = next(each for each in documents(folder, "deu") if each["id"] == "Q241 forward")
    assert document["points"][:3] == [0, 0, 1] and len(document["targets"][0]) == 10
    found = utils(folder).process_results(document, logs(0.3, 0.3, 0, 0.4, *[0] * 18))
    expected = tv(np.array(document["targets"][0]), np.array([0.6, 0, 0.4, *[0] * 7]))
    assert found["tv"] == pytest.approx(float(expected))


def test_a_model_that_gives_no_probability_gets_no_score(folder):
    document = documents(folder, "deu")[0]
    for value in (-math.inf, math.nan):
        assert utils(folder).process_results(document, [(value, False)] * 8) == {"mass": 0.0}


@given(st.data())
@settings(max_examples=50)
def test_scores_agree_with_our_own_metrics(folder, data):
    document = data.draw(st.sampled_from(documents(folder, "unaware")))
    size = len(document["codes"])
    weights = data.draw(st.lists(st.floats(0.01, 1), min_size=2 * size, max_size=2 * size))
    found = utils(folder).process_whole(document, logs(*weights))
    model = np.zeros(len(document["targets"][0]))
    np.add.at(model, document["points"], np.add(weights[:size], weights[size:]) / sum(weights))
    for country, target in zip(document["countries"], document["targets"], strict=True):
        people = np.array(target)
        assert found[f"tv_{country}"] == pytest.approx(float(tv(people, model)))
        if document["positions"]:
            codes = np.array(ITEMS[document["item"]].points, dtype=float)
            assert found[f"w1_{country}"] == pytest.approx(
                float(w1(people, model, codes)), abs=1e-9
            )
    for name in ("acc", "tv"):
        each = [found[f"{name}_{country}"] for country in document["countries"]]
        assert found[name] == pytest.approx(sum(each) / len(each))


# What is refused.


def refusal(folder: Path, items: list[Item], countries: list[str], **options) -> str:
    with pytest.raises(UserError) as caught:
        export_harness(folder, items, countries, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_bad_input_gives_one_line_and_writes_nothing(tmp_path):
    new, q1 = tmp_path / "new", [ITEMS["Q1"]]
    assert "'FRA'" in refusal(new, q1, ["DEU", "FRA"])
    assert "no items" in refusal(new, [], ["DEU"])
    assert "no countries" in refusal(new, q1, [])
    assert "'CHN'" in refusal(new, [ITEMS["Q82"]], ["DEU", "CHN"])
    assert "'My Task'" in refusal(new, q1, ["DEU"], name="My Task")
    assert "survey language" in refusal(new, q1, ["DEU"], language="tlh")
    assert not new.exists()


def test_a_folder_with_files_is_never_written_to(tmp_path):
    kept = tmp_path / "notes.txt"
    kept.write_text("mine", encoding="utf-8")
    for folder in (tmp_path, kept):
        assert "not an empty folder" in refusal(folder, [ITEMS["Q1"]], ["DEU"])
    assert "cannot be written" in refusal(kept / "below", [ITEMS["Q1"]], ["DEU"])
    assert [*tmp_path.iterdir()] == [kept] and kept.read_text(encoding="utf-8") == "mine"
    (tmp_path / "empty").mkdir()
    assert export_harness(tmp_path / "empty", [ITEMS["Q1"]], ["DEU"])


# The harness itself, where it is installed.


def test_the_harness_loads_and_runs_the_task(tmp_path):
    lm_eval = pytest.importorskip("lm_eval")
    tasks = pytest.importorskip("lm_eval.tasks")
    export_harness(tmp_path / "task", preset("inglehart-welzel-10"), ["DEU", "MEX"])
    manager = tasks.TaskManager(include_path=str(tmp_path / "task"), include_defaults=False)
    found = lm_eval.simple_evaluate(
        model="dummy", tasks=[NAME], task_manager=manager, bootstrap_iters=0, log_samples=True
    )
    for task in ("deu", "mex", "unaware"):
        results = found["results"][f"{NAME}_{task}"]
        assert all(0 <= results[f"{metric},none"] <= 1 for metric in ("acc", "tv", "w1"))
        shown = [sample["doc"] for sample in found["samples"][f"{NAME}_{task}"]]
        assert shown == documents(tmp_path / "task", task)
    assert f"{NAME}_culture" in found["groups"]
