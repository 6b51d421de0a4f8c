"""The commands that bench/kill_commands.py kills, with what each of them is given.

Invariant: inputs are made once, by the commands themselves with the fake model, and copied for
every try; paths in them are relative, so that results can be compared byte by byte.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FAKE = {"name": "fake", "options": {"latency_s": 0.05}}
RUN = {
    "name": "trial", "scenarios": ["soup-before-dusk", "who-takes-father-in"],
    "cultures": ["CHN", "DEU"], "replicates": 4, "concurrency": 8, "model": FAKE,
}  # fmt: skip
SURVEY = {
    "name": "survey", "items": "clca-44", "cultures": ["DEU", "CHN"], "models": [FAKE],
    "methods": ["culture"], "readouts": ["logprobs"], "orders": "forward", "people": "synthetic",
}  # fmt: skip
SPA = {
    "name": "spa", "topics": ["corruption", "security"], "per_topic": 12, "model": FAKE,
    "cultures": ["DEU", "CHN"],
}  # fmt: skip
TRAIN: dict[str, Any] = {
    "name": "trained", "model": "tiny", "corpus": "lessons", "out": "adapters",
    "cultures": ["DEU"], "save_every": 1,
    "optimisation": {"max_steps": 4, "batch": 2, "max_length": 256},
}  # fmt: skip
STUDY: dict[str, Any] = {
    "name": "study", "model": "tiny", "cultures": ["DEU"], "held_out": [], "engine": "hf",
    "arms": ["clca"],
    "simulation": {"themes": ["family-duty"], "model": {"name": "fake"}, "seed": 3},
    "training": {"optimisation": {"max_steps": 2, "max_length": 1024, "batch": 1}},
    "evaluation": {"items": ["Q1", "Q7"], "readouts": ["logprobs"]},
}  # fmt: skip
NORM = "Nobody asks a guest how long the visit will last."
HEAVY = ("train", "train --merge", "experiment clca")


@dataclass(frozen=True, slots=True)
class Case:
    """A command and what is compared."""

    name: str
    words: tuple[str, ...]
    after: str
    """Name of the inputs: what earlier commands have left."""
    store: str = ""
    """Run folder whose store is compared row by row."""
    folder: str = ""
    """Folder whose files are compared byte by byte."""


TRIAL, QUIET = "runs/trial", ("--model", "fake", "--quiet")
CASES = (
    Case("run", ("run", "trial.yaml", "--quiet"), "fresh", store=TRIAL),
    Case("critique", ("critique", TRIAL, *QUIET), "run", store=TRIAL),
    Case("label", ("label", TRIAL, *QUIET), "run", store=TRIAL),
    Case("export", ("export", TRIAL, "corpus", "--preset", "dialogue-only", "--policy", "none"),
         "run", folder="corpus"),
    Case("pack", ("pack", TRIAL, "packed", "--episodes", "2"), "run", folder="packed"),
    Case("merge", ("merge", "again", "packed"), "pack", store="again"),
    Case("eval wvs run", ("eval", "wvs", "run", "survey.yaml", "--quiet"), "fresh",
         store="runs/survey"),
    Case("eval wvs report", ("eval", "wvs", "report", "runs/survey", "--draws", "100"),
         "eval wvs run", folder="runs/survey/plots"),
    Case("spa generate", ("spa", "generate", "spa.yaml", "--quiet"), "fresh", store="runs/spa"),
    Case("spa collect", ("spa", "collect", "spa.yaml", "--quiet"), "spa generate",
         store="runs/spa"),
    Case("spa select", ("spa", "select", "spa.yaml", "selected"), "spa collect", "runs/spa",
         "selected"),
    Case("scenario adapt", ("scenario", "adapt", "soup-in-town.yaml", "--culture", "MEX,JPN",
                            "--model", "fake:script.yml", "--out", "adapted"), "fresh",
         folder="adapted"),
    Case("scenario generate", ("scenario", "generate", "--norm", NORM, "--culture", "CHN", "--n",
                               "3", "--model", "fake:writer.yml", "--out", "written"), "fresh",
         folder="written"),
    Case("train", ("train", "train.yaml", "--quiet"), "fresh", folder="adapters/trained/DEU"),
    Case("train --merge", ("train", "--merge", "adapters/trained/DEU", "merged"), "train",
         folder="merged"),
    Case("experiment clca", ("experiment", "clca", "study.yaml", "--quiet"), "fresh",
         store="runs/study"),
)  # fmt: skip


def make_inputs(
    ground: Path,
    wanted: Collection[str],
    start: Callable[[Case, Path], subprocess.Popen[bytes]],
    *,
    heavy: bool,
) -> Path:
    """Make what is there after the wanted commands (or `fresh`), a folder each under `ground`, and
    return that; a model and a corpus to train on if `heavy`."""
    _make_fresh(ground / "fresh", heavy)
    by_name = {case.name: case for case in CASES}

    def make(name: str) -> None:
        if (ground / name).exists():
            return
        case = by_name[name]
        make(case.after)
        shutil.copytree(ground / case.after, ground / name)
        process = start(case, ground / name)
        errors = process.communicate()[1]
        if process.returncode:
            raise SystemExit(f"{name}: {errors.decode(errors='replace')}")

    for name in wanted:
        make(name)
    return ground


def _make_fresh(folder: Path, heavy: bool) -> None:
    """Write the configurations."""
    folder.mkdir(parents=True)
    for name, data in (("trial", RUN), ("survey", SURVEY), ("spa", SPA), ("train", TRAIN),
                       ("study", STUDY)):  # fmt: skip
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    _make_script(folder)
    if heavy:
        from chats import row, tiny_model, write_corpus

        tiny_model(folder / "tiny", max_position_embeddings=2048)
        write_corpus(folder / "lessons", [row(number, "DEU", 2) for number in range(8)], [])


def _make_script(folder: Path) -> None:
    """Write a scenario, a model that adapts it as the shipped adaptations do, and one that writes
    one of three others."""
    from author_answers import SOUP, answer_like, plan

    from scenarios.layout import lay_out
    from scenarios.library import library
    from scenarios.parsing.yaml_file import load_yaml

    data = load_yaml(library()[SOUP]).data | {"id": "soup-in-town"}
    (folder / "soup-in-town.yaml").write_text(lay_out(data), encoding="utf-8")
    rules = [
        {"when": place, "replies": [json.dumps(answer_like(f"{SOUP}-{culture}"))]}
        for place, culture in (("Mexic", "mex"), ("Japan", "jpn"))
    ]
    (folder / "script.yml").write_text(yaml.safe_dump({"rules": rules}), encoding="utf-8")
    replies = [json.dumps(plan(number)) for number in (1, 2, 3)]
    (folder / "writer.yml").write_text(
        yaml.safe_dump({"rules": [{"when": "", "replies": replies}]}), encoding="utf-8"
    )
