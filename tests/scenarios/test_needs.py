"""How capable a model a scenario needs, and the scenes for the smallest."""

from pathlib import Path

import pytest
import yaml
from commands import command
from scenes import scenario

from scenarios.checks.check import check_file
from scenarios.library import library, load_scenario, tiny
from scenarios.needs import NEEDS, needs_of


def test_a_scene_needs_what_its_file_says_or_what_its_size_asks_for() -> None:
    assert needs_of(scenario(2)) == "tiny"
    assert needs_of(scenario(3)) == "small"
    assert needs_of(scenario(4)) == "medium"
    assert needs_of(scenario({"ada": {"secret": "You sold the shop."}, "bela": {}})) == "small"
    assert needs_of(scenario({"ada": {"knows": ["word " * 90]}, "bela": {}})) == "small"
    assert needs_of(scenario(2, phases=[{"id": "one"}])) == "medium"
    assert needs_of(scenario(4, needs="tiny")) == "tiny"


def test_what_was_stored_before_the_field_keeps_its_hash() -> None:
    assert "needs" not in scenario(2).model_dump(mode="json")
    assert scenario(2, needs="small").model_dump(mode="json")["needs"] == "small"


def test_fifteen_scenes_are_for_the_smallest_models_and_sound() -> None:
    assert len(tiny()) >= 15 and not tiny().keys() & library().keys()
    for name, path in tiny().items():
        scene = load_scenario(name)
        assert check_file(path) == [] and needs_of(scene) == "tiny"
        assert len(scene.roles) == 2 and scene.culture is None and "tiny" in scene.tags


def test_the_library_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("scenario", "list") == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["id", "roles", "needs"]
    assert {row.split()[2] for row in rows} <= {*NEEDS}
    assert command("scenario", "list", "--tiny") == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(tiny())


def test_a_run_warns_of_scenes_beyond_its_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(model: str, scenarios: object) -> str:
        file = tmp_path / "trial.yaml"
        data = {"scenarios": scenarios, "cultures": ["GBR"], "model": {"name": model}}
        file.write_text(yaml.safe_dump(data), encoding="utf-8")
        assert command("run", file, "--dry-run") == 0
        return capsys.readouterr().err

    assert "soup-before-dusk: this needs a larger model" in told("embedded", ["soup-before-dusk"])
    assert "llama:embedded, which is tiny" in told("embedded", "all")
    assert told("embedded", "tiny") == ""
    assert told("fake", "all") == "", "its size is not known"
    assert "needs a larger" not in told("openai:a-3b@http://127.0.0.1:1/v1", ["soup-before-dusk"])
