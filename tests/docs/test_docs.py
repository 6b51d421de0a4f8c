"""The documentation is true: its scenario plays, its queries run, its commands exist."""

import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import typer
import yaml
from scenes import play as play_scene

from eval.config import load_eval_config, parse_eval_config
from eval.evaluate import evaluate
from folkways.cli.application import application
from scenarios.scenario import Scenario
from simulation.config import RunConfig, load_config
from simulation.episode.turn_policies import POLICIES
from simulation.plan import make_plan
from simulation.run import launch
from simulation.store.part import tables_sql
from training.experiment.config import load_clca
from training.experiment.spa_config import load_spa_experiment
from training.finetune.config import parse_train_config

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHORT_FOR = {"models": "list", "review": "show"}
"""Groups whose name alone, with an argument, stands for one of their commands."""
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands() -> dict[str, object]:
    group = typer.main.get_command(application())  # type: ignore[arg-type]

    def walk(command: object, name: str) -> dict[str, object]:
        parts = getattr(command, "commands", None)
        if parts is None:
            return {name: command}
        return {
            found: one
            for sub, part in parts.items()
            for found, one in walk(part, f"{name} {sub}".strip()).items()
        }

    return walk(group, "")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("docs")
    config = load_config(ROOT / "examples/demo.yaml", ["model.name=fake", f"out={out}"])
    assert launch(make_plan(config), limit=None, fresh=False, quiet=True) == "done"
    return out / "demo"


def test_the_readmes_scenario_is_sound_and_plays(tmp_path: Path) -> None:
    from scenarios.checks.check import check_file

    text = blocks(README, "yaml")[0]
    assert len(text.splitlines()) <= 22
    path = tmp_path / "last-seat.yaml"
    path.write_text(text, encoding="utf-8")
    assert [p for p in check_file(path) if p.severity == "error"] == []
    scene = Scenario.model_validate(yaml.safe_load(text))
    cast = {
        role: part.model_copy(update={"persona": f"test-{who}", "select": None})
        for (role, part), who in zip(scene.roles.items(), ("ada", "bela"), strict=True)
    }
    record = play_scene(scene.model_copy(update={"roles": cast}))
    assert record.episode["exit_reason"] != "error"


@pytest.mark.parametrize("number", range(5))
def test_the_first_queries_answer(store: Path, number: int) -> None:
    shown = blocks(README, "sql")
    cookbook = blocks((ROOT / "docs/sql.md").read_text(encoding="utf-8"), "sql")
    assert shown == cookbook[: len(shown)] != [], "the README shows the first of the cookbook"
    with duckdb.connect(str(store / "log.duckdb"), read_only=True) as con:
        assert con.execute(cookbook[number]).fetchall()


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_example_runs_with_the_fake_model(path: Path, tmp_path: Path) -> None:
    config = load_config(path, ["model.name=fake", f"out={tmp_path}"])
    assert launch(make_plan(config), limit=3, fresh=False, quiet=True) in ("done", "limit")


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation by the fake model, under the name of one before and one after training."""
    out = tmp_path_factory.mktemp("survey")
    config = parse_eval_config(
        {
            "name": "survey", "out": str(out), "people": "synthetic", "respondents": 3,
            "methods": ["unaware", "culture", "respondent"],
            "models": [{"name": "fake", "label": "base"}, {"name": "fake", "label": "tuned"}],
        },
        "here",
    )  # fmt: skip
    assert evaluate(config, quiet=True) == "done"
    return out / "survey" / "log.duckdb"


EVALUATION = (ROOT / "docs/evaluation.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("query", blocks(EVALUATION, "sql"))
def test_the_queries_on_an_evaluation_answer(answers: Path, query: str) -> None:
    with duckdb.connect(str(answers), read_only=True) as con:
        assert con.execute(query).fetchall()


WVS = sorted((ROOT / "examples/wvs").glob("*.yaml"))


@pytest.mark.parametrize("path", WVS, ids=lambda p: p.stem)
def test_every_evaluation_runs_with_the_fake_model(path: Path, tmp_path: Path) -> None:
    asked = load_eval_config(
        path, ["models=[{name: fake}]", f"out={tmp_path}", "respondents=2", "cultures=[DEU, JPN]"]
    )
    assert evaluate(asked, quiet=True) == "done"


def test_the_evaluation_in_the_docs_is_valid() -> None:
    for text in blocks(EVALUATION, "yaml"):
        parse_eval_config(yaml.safe_load(text), "docs")


def test_the_training_in_the_docs_is_valid() -> None:
    texts = blocks((ROOT / "docs/training.md").read_text(encoding="utf-8"), "yaml")
    examples = sorted((ROOT / "examples/training").glob("*.yaml"))
    for text in [*texts, *(path.read_text(encoding="utf-8") for path in examples)]:
        parse_train_config(yaml.safe_load(text), "here")


def test_the_experiments_in_the_docs_are_valid(tmp_path: Path) -> None:
    texts = blocks((ROOT / "docs/experiments.md").read_text(encoding="utf-8"), "yaml")
    examples = sorted((ROOT / "examples/experiments").glob("clca*.yaml"))
    assert texts and examples
    for text in [*texts, *(path.read_text(encoding="utf-8") for path in examples)]:
        path = tmp_path / "experiment.yaml"
        path.write_text(text, encoding="utf-8")
        load_clca(path)
    for example in (ROOT / "examples/experiments").glob("culturespa*.yaml"):
        load_spa_experiment(example, ["clca=null"])


def test_the_configuration_in_the_docs_is_valid() -> None:
    for text in blocks((ROOT / "docs/runs.md").read_text(encoding="utf-8"), "yaml"):
        RunConfig.model_validate(yaml.safe_load(text))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_command_a_page_names_exists(page: Path) -> None:
    known = commands()
    text = " ".join(page.read_text(encoding="utf-8").split())
    for words in re.findall(r"folkways ((?:[a-z]+ ?){1,3})", text):
        first, *rest = words.split()
        groups = {name.split()[0] for name in known if " " in name}
        if first in groups:
            named = {" ".join([first, *rest[:count]]) for count in (1, 2)}
            named |= {f"{first} {SHORT_FOR[first]}"} if first in SHORT_FOR else set()
            assert named & known.keys(), f"{page.name}: folkways {words}"
        elif f"`folkways {first}" in text:
            assert first in known, f"{page.name}: folkways {words}"


def test_every_command_is_documented() -> None:
    text = " ".join(" ".join(page.read_text(encoding="utf-8").split()) for page in PAGES)
    for name in commands():
        assert name in text, f"no page mentions `folkways {name}`"


def test_every_policy_and_exit_reason_is_documented() -> None:
    text = (ROOT / "docs/scenarios.md").read_text(encoding="utf-8")
    for name in POLICIES:
        assert f"`{name}`" in text
    reasons = re.findall(r"exit_reason is 'Why it ended: ([^.]*)\.'", tables_sql())
    for reason in re.split("[,;] ", re.sub(r" \([^)]*\)", "", reasons[-1])):
        assert f"`{reason}`" in text, reason


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "--quiet"]
    built = subprocess.run([*command, ROOT / "docs", tmp_path], capture_output=True, text=True)
    assert (built.returncode, built.stderr) == (0, "")
    assert "Play the scenes of a configuration" in (tmp_path / "api.html").read_text()
