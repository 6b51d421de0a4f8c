"""Exports survey items as a task of EleutherAI's lm-evaluation-harness (made for lm_eval 0.4.13).

Invariant: the exported folder needs nothing of folkways; its `utils.py` is the source of the four
functions in `EXPORTED`. Prompts are those of `eval.survey.prompt` and reach the harness as values
of documents, never as templates.
"""

from __future__ import annotations

import inspect
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from eval.item import Item
from eval.metrics.grid import Grid
from eval.respondents.marginals import PEOPLE, load_marginals
from eval.survey.method import method
from eval.survey.order import Order
from eval.survey.prompt import render_item, render_system
from eval.survey.voice import Voice, load_voice
from folkways.errors import UserError
from folkways.files import new_folder

Document = dict[str, Any]
UNAWARE = "unaware"
COMMON = "_common_yaml"
"""What all tasks share. The harness takes files ending in .yaml for tasks, so this one does not."""


def load_documents(file: str, **_: object) -> dict[str, Any]:
    """Return the documents of a task, as the harness's `custom_dataset` wants them."""
    with Path(__file__).with_name("data").joinpath(file).open(encoding="utf-8") as lines:
        documents = [json.loads(line) for line in lines]
    return {"test": import_module("datasets").Dataset.from_list(documents)}


def process_results(doc: dict[str, Any], results: list[tuple[float, bool]]) -> dict[str, float]:
    """Score a document for a model that reads "10" as "1" and "0"."""
    return measure(doc, [value for value, _ in results], whole=False)


def process_whole(doc: dict[str, Any], results: list[tuple[float, bool]]) -> dict[str, float]:
    """Score a document for a model that has one token for "10"."""
    return measure(doc, [value for value, _ in results], whole=True)


def measure(doc: dict[str, Any], loglikelihoods: list[float], whole: bool) -> dict[str, float]:
    """Compare option probabilities with each country's distribution, and return the means.

    acc: the likeliest point of the scale is the national mode. tv: half the sum of |h - m|.
    w1: area between the cumulative distributions on a scale stretched over [0, 1]; absent for items
    without an order. mass: probability of all the options' numbers together. `loglikelihoods` are
    of the K numbers bare, then of the K after a space; the two are added. Unless numbers are
    `whole`, "1" also begins "10", whose probability is taken off. No mass, no other measure.
    """
    best = max(loglikelihoods)
    weights = [math.exp(value - best) for value in loglikelihoods]
    half = len(weights) // 2
    for first in () if whole else (0, half):
        longer = math.fsum(weights[first + 9 : first + half])
        weights[first] = max(0.0, weights[first] - longer)
    total = math.fsum(weights)
    if not total > 0:
        return {"mass": 0.0}
    model = [0.0] * len(doc["targets"][0])
    for place, point in enumerate(doc["points"]):
        model[point] += (weights[place] + weights[half + place]) / total
    found: dict[str, float] = {"mass": math.exp(best) * total}
    cells: dict[str, list[float]] = {"acc": [], "tv": [], "w1": []}
    for country, human, mode in zip(doc["countries"], doc["targets"], doc["modes"], strict=True):
        gaps = [h - m for h, m in zip(human, model, strict=True)]
        cell = {"acc": float(model.index(max(model)) == mode), "tv": sum(map(abs, gaps)) / 2}
        if at := doc["positions"]:
            areas = [abs(sum(gaps[:k])) * (at[k] - at[k - 1]) for k in range(1, len(at))]
            cell["w1"] = sum(areas)
        for name, value in cell.items():
            cells[name].append(value)
            if doc["method"] == "unaware":
                found[f"{name}_{country}"] = value
    return found | {name: sum(each) / len(each) for name, each in cells.items() if each}


RISING = ("acc", "mass")
EXPORTED = (load_documents, process_results, process_whole, measure)
"""They use one another and what `HEADER` imports, nothing else."""
FUNCTIONS = """\
custom_dataset: !function utils.load_documents
process_results: !function utils.process_results
"""
HEADER = '''"""Reads the documents and scores them; written by folkways, needs only lm_eval."""

import json
import math
from importlib import import_module
from pathlib import Path
from typing import Any
'''
README = """\
# A values survey for lm-evaluation-harness

{items} items of the World Values Survey, wave 7, in folkways' wording, put to a model as somebody
from each of {countries} countries and as nobody in particular. Made for lm_eval 0.4.13:

    HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 lm_eval --model hf \\
        --model_args pretrained=MODEL_FOLDER --include_path THIS_FOLDER --tasks {name} \\
        --apply_chat_template --log_samples --output_path results

Who answers is the system message: without `--apply_chat_template` the harness runs the two parts
of the prompt together.

| task | documents | items left out, not put to people there |
|---|---|---|
{rows}

`{name}` is all of them, `{name}_culture` the countries. {missing} of {cells} cells of country
and item are left out. Each item stands there with its options forward and again reversed.

* `acc`: the likeliest option is the country's most frequent answer.
* `tv`: total variation between the options' probabilities and people's shares, 0 to 1.
* `w1`: Wasserstein-1 distance on the scale from 0 to 1, only of items whose options have an order.
* `mass`: probability that an answer begins with any of the numbers; if small, the rest says little.

Figures of a task are means over documents, those of `{name}_culture` over countries. The task
without a country is held against each country, as in `tv_{example}`; its `tv` is their mean.
Distances are taken in each order and then averaged; `folkways eval wvs` averages the orders first,
which cannot make them larger. The harness warns where `w1` has fewer documents, and its standard
errors take the two orders of an item for independent.

A number is scored bare and after a space. Most models read "10" as "1" and "0", so "1" counts only
where it does not go on to "10"; for one with a token for "10" write `utils.process_whole` in
`{common}`. Without that line, and with only `acc` in a task's `metric_list`, the harness
computes it by its own code, from single forms.

Shares are national aggregates of valid answers, **unweighted**, to six decimals; for a claim about
a country compute weighted shares from the official file. No respondent's answers and no wording of
the questionnaire are here. The shares were published with CultureSPA (Xu, Leng, Yu & Xiong, NAACL
2025). The survey's terms hold: use that is not for profit, and this citation:

{citation}
"""


def export_harness(
    folder: Path, items: Sequence[Item], countries: Sequence[str], *,
    name: str = "folkways_wvs", language: str = "en",
) -> list[Path]:  # fmt: skip
    """Write a folder that the harness takes with `--include_path`, and return its files.

    One task for each country asks as somebody from there, one more as nobody in particular; `name`
    is the group of all and what their names begin with. Every item that was put to a country stands
    there twice, its options forward and reversed. Raises UserError, before anything is written, for
    no items or countries, a country without data, a missing wording, and a folder that has files.
    """
    items = tuple({item.id: item for item in items}.values())
    countries = tuple(dict.fromkeys(countries))
    _demand(folder, items, countries, name)
    grid, voice = load_marginals().grid(countries, items), load_voice(language)
    tasks = {country: _documents(voice, country, items, grid) for country in countries}
    for country, documents in tasks.items():
        if not documents:
            raise UserError(f"none of the items was put to people in '{country}'; leave it out")
    tasks[UNAWARE] = _documents(voice, UNAWARE, items, grid)
    files = {"README.md": _readme(name, tasks, items, grid), **_configs(name, tasks)}
    files["utils.py"] = "\n\n".join([HEADER, *(inspect.getsource(each) for each in EXPORTED)])
    for task, documents in tasks.items():
        lines = [json.dumps(document, ensure_ascii=False) + "\n" for document in documents]
        files[f"data/{task.lower()}.jsonl"] = "".join(lines)
    return _write(folder, files)


def _demand(folder: Path, items: Sequence[Item], countries: Sequence[str], name: str) -> None:
    if not items:
        raise UserError("there are no items to export; name a preset such as clca-44, or items")
    if not countries:
        raise UserError("there are no countries to export; name them by ISO 3166 alpha-3 code")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UserError(f"'{name}' cannot name a task; use lower-case letters, digits and _")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not an empty folder; name a new one, or empty it first")


def _write(folder: Path, files: Mapping[str, str]) -> list[Path]:
    try:
        with new_folder(folder) as part:
            (part / "data").mkdir()
            for path, text in files.items():
                (part / path).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}; name another") from error
    return [folder / path for path in files]


def _documents(voice: Voice, task: str, items: Sequence[Item], grid: Grid) -> list[Document]:
    """Return the documents of a country's task, or of the one without; two for each item."""
    unaware = task == UNAWARE
    rows = range(len(grid.countries)) if unaware else [grid.countries.index(task)]
    asked_as = UNAWARE if unaware else "culture"
    system = render_system(voice, method(asked_as), None if unaware else task)
    documents = []
    for column, item in enumerate(items):
        people = _people(item, grid, [row for row in rows if grid.asked[row, column]], column)
        for named, order in (("forward", item.scale_codes), ("reversed", item.scale_codes[::-1])):
            if people["countries"]:
                document = {"id": f"{item.id} {named}", "item": item.id, "method": asked_as}
                document |= {"system": system, "question": render_item(voice, item, order)}
                documents.append(document | _options(item, order, people["modes"]) | people)
    return documents


def _people(item: Item, grid: Grid, rows: list[int], column: int) -> Document:
    """Return the answers to an item in some countries, over the points of its scale."""
    return {
        "positions": [] if item.scale == "nominal" else [*item.positions.values()],
        "countries": [grid.countries[row] for row in rows],
        "targets": grid.shares[rows, column, : len(item.points)].round(6).tolist(),
        "modes": [item.points.index(int(grid.mode[row, column])) for row in rows],
    }


def _options(item: Item, order: Order, modes: Sequence[int]) -> Document:
    """Return what an order of the options is scored by.

    `points` says which point of the scale each shown option stands for. `gold` are the choices that
    name the modal answer, of several countries the one most often modal.
    """
    points = [item.points.index(item.recode.get(code, code)) for code in order]
    numbers = [str(place) for place, _ in enumerate(order, start=1)]
    (gold, _), *_ = Counter(sorted(modes)).most_common(1)
    return {
        "codes": list(order), "points": points,
        "choices": [*numbers, *(f" {number}" for number in numbers)],
        "gold": [place for place, point in enumerate(points * 2) if point == gold],
    }  # fmt: skip


def _configs(name: str, tasks: Mapping[str, Sequence[Document]]) -> dict[str, str]:
    """Return the YAML files by name: what tasks share, the two groups, and each task."""
    names = {task: f"{name}_{task.lower()}" for task in tasks}
    culture, version = f"{name}_culture", {"version": 1.0}
    configs: dict[str, Document] = {
        COMMON: {
            "test_split": "test", "output_type": "multiple_choice", "num_fewshot": 0,
            "description": "{{system}}", "doc_to_text": "{{question}}", "doc_to_choice": "choices",
            "doc_to_target": "gold", "target_delimiter": "", "metadata": version,
        },
        f"{name}.yaml": {"group": name, "task": [culture, names[UNAWARE]], "metadata": version},
        f"{culture}.yaml": {
            "group": culture, "task": [names[task] for task in tasks if task != UNAWARE],
            "aggregate_metric_list": [
                {"metric": each, "aggregation": "mean", "weight_by_size": False}
                for each in _measures(tasks[UNAWARE]) if "_" not in each
            ], "metadata": version,
        },
    }  # fmt: skip
    for task, documents in tasks.items():
        configs[f"{names[task]}.yaml"] = {
            "include": COMMON, "task": names[task],
            "dataset_kwargs": {"file": f"{task.lower()}.jsonl"},
            "metric_list": [
                {"metric": each, "aggregation": "mean", "higher_is_better": each.startswith(RISING)}
                for each in _measures(documents)
            ],
        }  # fmt: skip
    texts = {path: yaml.safe_dump(config, sort_keys=False) for path, config in configs.items()}
    return texts | {COMMON: texts[COMMON] + FUNCTIONS}


def _measures(documents: Sequence[Document]) -> list[str]:
    """Return the measures that a task's documents have: those of a model without preferences."""
    found = {n for each in documents for n in measure(each, [0.0] * len(each["choices"]), True)}
    return sorted(found, key=lambda name: ("_" in name, name))


def _readme(
    name: str, tasks: Mapping[str, Sequence[Document]], items: Sequence[Item], grid: Grid
) -> str:
    """Return what the folder is, how it is run, and whose figures it holds."""
    absent = {
        country: ", ".join(items[column].id for column in np.flatnonzero(~asked))
        for country, asked in zip(grid.countries, grid.asked, strict=True)
    }
    rows = [
        f"| `{name}_{task.lower()}` | {len(documents)} | {absent.get(task) or '-'} |"
        for task, documents in tasks.items()
    ]
    source = (PEOPLE / "SOURCE.md").read_text(encoding="utf-8")
    citation = source[source.index("> ") : source.index("\n\n", source.index("> "))]
    return README.format(
        name=name, common=COMMON, citation=citation, rows="\n".join(rows), items=len(items),
        countries=len(grid.countries), example=grid.countries[0], cells=grid.asked.size,
        missing=int((~grid.asked).sum()),
    )  # fmt: skip
