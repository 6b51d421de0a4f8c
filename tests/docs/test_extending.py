"""Every example of docs/extending.md runs as it stands, with the fake model."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import command

import folkways as fw
from folkways import registry

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"^(?:# |\{#- )([\w-]+\.\w+)(?: -#\})?\n")
SECTIONS = dict(
    part.split("\n", 1) for part in re.split(r"^## (?=.*\n\n)", PAGE, flags=re.MULTILINE)[1:]
)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run in a folder with the page's scene, and forget what an example registers."""
    monkeypatch.chdir(tmp_path)
    _write("yaml", BLOCK.findall(PAGE)[0][1])
    yield
    registry._own.clear()


def ran(section: str) -> dict[str, Any]:
    """Run the examples of a section in order; return the names that its Python code binds."""
    known: dict[str, Any] = {}
    for language, text in BLOCK.findall(SECTIONS[section]):
        if language == "python":
            exec(compile(text, section, "exec"), known)
        elif language == "sh":
            assert [command(*line.split()[1:]) for line in text.splitlines()] == [0, 0]
        else:
            _write(language, text)
    return known


def _write(language: str, text: str) -> None:
    """Write a file that names itself; what does not is a part of the scene."""
    if named := NAMED.match(text):
        content = text if language in ("yaml", "jinja") else text[named.end() :]
        Path(named[1]).write_text(content, encoding="utf-8")
        return
    scene = yaml.safe_load(Path("talk.yaml").read_text(encoding="utf-8"))
    Path("talk.yaml").write_text(json.dumps(scene | yaml.safe_load(text)), encoding="utf-8")


def test_a_turn_policy() -> None:
    run = ran("Turn policy")["run"]
    choices = run.sql("select speaker, why, policy from turn_choices order by step")
    assert choices[0] == ("tired", "opens the scene", "shy")
    assert choices[1] == ("older", "silent for longest", "shy") and len(choices) > 2


def test_a_stop_rule() -> None:
    run = ran("Stop rule")["run"]
    assert [*run.sql("select exit_reason, exit_detail from episodes")] == [
        ("all-spoke", "everyone has spoken 2 times")
    ]
    spoken = run.sql("select count(*) from turns where action = 'speak' group by speaker")
    assert min(count for (count,) in spoken) == 2


def test_a_critic() -> None:
    ((critic, score),) = ran("Critic")["run"].sql("select critic, score from last_verdicts")
    assert critic == "warmth" and 1 <= score <= 5


def test_an_engine() -> None:
    run = ran("Model engine")["run"]
    assert run.sql("select distinct model from calls")[0] == ("terse:fake",)
    assert run.sql("select count(*) from turns where failure is null")[0][0] > 0


def test_a_culture() -> None:
    ran("Culture")
    people = fw.open("runs/aran").sql(
        "select distinct culture_id, persona_id from roles order by all"
    )
    assert [*people] == [("XAA", "xaa-1"), ("XAA", "xaa-2")]


def test_a_format() -> None:
    corpus = ran("Export format")["corpus"]
    rows = [json.loads(line) for line in (corpus / "train.jsonl").read_text().splitlines()]
    assert rows and all({*row} == {"text", "id", "culture"} for row in rows)
    card = (corpus / "README.md").read_text(encoding="utf-8")
    assert "Format: plain, one text for each conversation, for continued pretraining." in card
    assert "--format plain" in card


def test_a_metric() -> None:
    ran("Metric")
    folder = Path("runs/wvs")
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    own = [score for score in results["scores"] if score["metric"] == "same_favourite"]
    assert {score["country"] for score in own} == {"all", "DEU", "MEX"}
    assert all(0 <= score["value"] <= 1 and score["items"] == 3 for score in own)
    mode = {"who": "national-mode", "metric": "same_favourite", "country": "all"}
    assert [one["value"] for one in results["baselines"] if mode.items() <= one.items()] == [1.0]
    assert "| Same favourite ↑ |" in (folder / "results.md").read_text(encoding="utf-8")


def test_what_an_installed_package_offers_is_used(tmp_path: Path) -> None:
    """A package is what lies on the path with its metadata beside it."""
    (text,) = [text for language, text in BLOCK.findall(PAGE) if language == "toml"]
    tree = ast.parse(
        "\n".join(text for language, text in BLOCK.findall(PAGE) if language == "python")
    )
    parts = [one for one in tree.body if not isinstance(one, ast.Assign | ast.Expr)]
    site, facts = tmp_path / "site", tmp_path / "site/own-1.0.dist-info"
    facts.mkdir(parents=True)
    (site / "own.py").write_text(ast.unparse(ast.Module(parts, [])), encoding="utf-8")
    groups = tomllib.loads(text)["project"]["entry-points"]
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {path}\n" for name, path in names.items())
            for group, names in groups.items()
        )
    )
    for section in ("Turn policy", "Stop rule", "Critic"):
        _write(*next(part for part in BLOCK.findall(SECTIONS[section]) if part[0] != "python"))
    model = {"name": "terse:fake"}
    settings = {"name": "offered", "scenarios": ["talk.yaml"], "cultures": ["JPN"], "model": model}
    Path("offered.yaml").write_text(json.dumps(settings))
    env = os.environ | {"PYTHONPATH": f"{site}{os.pathsep}{ROOT}"}
    for words in (
        ["run", "offered.yaml", "--quiet"],
        ["critique", "runs/offered", "--model", "fake", "-o", "critics=[warmth]", "--quiet"],
        [
            "export",
            "runs/offered",
            "corpus",
            "--format",
            "plain",
            "--preset",
            "dialogue-only",
            "--policy",
            "none",
        ],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "folkways", *words], env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    run = fw.open("runs/offered")
    assert {*run.sql("select distinct policy from turn_choices")} == {("shy",)}
    assert [*run.sql("select exit_reason, model from episodes")] == [("all-spoke", "terse:fake")]
    assert [*run.sql("select distinct critic from verdicts")] == [("warmth",)]
    assert json.loads(Path("corpus/train.jsonl").read_text().splitlines()[0])["text"]


def test_every_group_of_entry_points_is_shown() -> None:
    (text,) = [text for language, text in BLOCK.findall(PAGE) if language == "toml"]
    shown = tomllib.loads(text)["project"]["entry-points"]
    assert {*shown} == {*registry.GROUPS.values()}
    code = "\n".join(text for language, text in BLOCK.findall(PAGE) if language == "python")
    for names in shown.values():
        for name, path in names.items():
            assert f'("{name}"' in code and f" {path.partition(':')[2]}" in code
