"""`scenario check`, `show` and `play`, and `run --dry-run`: what they say and what they refuse."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from typer.main import get_command
from waiting_room import SCENE, person

from agents.models.base import open_model, shaping_options
from agents.models.context import context_length
from folkways.cli.application import application
from folkways.errors import UserError

LATE = SCENE.replace(
    "    goal: You need the stamp today.", "    goal: You need the stamp today.\n    enters: bell"
)
LATE += "opens: visitor\nevents: [{id: bell, at: 3, text: A bell rings.}]\n"
LONG = SCENE.replace("{turns: 10}", "{turns: 400}")


def folkways(*words: object) -> Result:
    return CliRunner().invoke(get_command(application()), [str(word) for word in words])


def scene_file(folder: Path, text: str = SCENE) -> Path:
    path = folder / "the-scene.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def config_file(folder: Path, **model: object) -> Path:
    path = folder / "run.yaml"
    data = {"name": "trial", "scenarios": [str(folder / "the-scene.yaml")], "cultures": ["GBR"],
            "model": model, "out": str(folder / "runs")}  # fmt: skip
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


def pool_file(folder: Path) -> Path:
    people = [
        person(number, occupation="lighthouse keeper").model_dump(mode="json") for number in (1, 2)
    ]
    path = folder / "pool.yaml"
    path.write_text(yaml.safe_dump({"provenance": "tests", "personas": people}), encoding="utf-8")
    return path


def test_check_play_show_and_run_agree_about_what_is_sound(tmp_path: Path) -> None:
    path, config = scene_file(tmp_path, LATE), config_file(tmp_path, name="fake")
    told = "opens: this role is not there when the scene begins: it enters with 'bell'"
    for words in (("scenario", "play", path, "--model", "fake"), ("scenario", "show", path),
                  ("run", config), ("run", config, "--dry-run")):  # fmt: skip
        result = folkways(*words)
        assert isinstance(result.exception, UserError) and told in str(result.exception), words
    checked = folkways("scenario", "check", path)
    assert checked.exit_code == 1 and told in checked.stdout
    scene_file(tmp_path)
    assert folkways("scenario", "check", path).exit_code == 0
    assert folkways("scenario", "play", path, "--model", "fake", "--turns", 2).exit_code == 0
    assert folkways("run", config, "--quiet").exit_code == 0


def test_pools_and_sampled_casts_for_check_show_and_play(tmp_path: Path) -> None:
    picky = "    select: {occupation: lighthouse}\n"
    text = SCENE.replace("  clerk:\n", f"  clerk:\n{picky}").replace(
        "theme:", "culture: GBR\ntheme:"
    )
    path, pool = scene_file(tmp_path, text), pool_file(tmp_path)
    for words in (("check", path), ("show", path), ("play", path, "--model", "fake")):
        alone = folkways("scenario", *words)
        assert alone.exit_code == 1 and "cannot be cast" in f"{alone.stdout}{alone.exception}"
        assert folkways("scenario", *words, "--pools", pool).exit_code == 0
    assert "lighthouse keeper" in folkways("scenario", "show", path, "--pools", pool).stdout
    scene_file(tmp_path)
    shown = [
        folkways("scenario", "show", path, *more).stdout for more in ((), ("--cast", "sampled"))
    ]
    assert shown[0] != shown[1]
    refused = folkways("scenario", "play", path, "--model", "fake", "--cast", "everybody")
    assert isinstance(refused.exception, UserError) and "authored" in str(refused.exception)


def test_a_scene_longer_than_the_models_context_is_told_before_it_is_played(tmp_path: Path) -> None:
    path = scene_file(tmp_path, LONG)
    told = "a prompt is expected to need"
    assert told not in folkways("scenario", "check", path).stdout
    for more in (("--model", "embedded"), ("--context", 4096)):
        checked = folkways("scenario", "check", path, *more)
        assert checked.exit_code == 0 and told in checked.stdout
        assert f"the-scene.yaml:19:9: warning: limits: {told}" in checked.stdout
    assert told not in folkways("scenario", "check", path, "--context", 100_000).stdout
    for model, long in (
        ({"name": "embedded"}, True),
        ({"name": "fake"}, False),
        ({"name": "openai:m@http://127.0.0.1:1/v1", "options": {"context": 8192}}, True),
        ({"name": "fake", "options": {"context": 100_000}}, False),
    ):
        result = folkways("run", config_file(tmp_path, **model), "--dry-run")
        assert result.exit_code == 0
        assert (told in result.stderr) == long, model
        assert ("lower limits.turns to about" in result.stderr) == long


def test_how_many_tokens_a_context_holds(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(
        json.dumps({"text_config": {"max_position_embeddings": 3000}})
    )
    assert context_length(f"hf:{model}", {}) == 3000
    assert context_length(f"vllm:{model}", {}) == 3000
    assert context_length(f"vllm:{model}", {"max_model_len": 1000}) == 1000
    assert context_length("hf:embedded", {}) == 8192
    assert context_length("embedded", {}) == context_length("llama:embedded", {}) == 4096
    assert context_length("embedded", {"context": 8000}) == 8000
    assert context_length("vllm:embedded", {}) == 4096, "vllm's own default"
    assert context_length("vllm:embedded", {"context": 512}) == 512
    assert context_length("openai:any@http://127.0.0.1:1/v1", {}) is None
    assert context_length("hf:no/such-model", {}) is None
    for wrong in (0, "many", True):
        with pytest.raises(UserError, match="model option context"):
            context_length("fake", {"context": wrong})
    (model / "config.json").write_text("[]")
    assert context_length(f"hf:{model}", {}) is None
    assert open_model("fake", {"context": 512}).name == "fake"
    assert shaping_options("fake", {"context": 512}) == {}


def test_a_dry_run_names_the_profile_and_the_price_of_its_drafts(tmp_path: Path) -> None:
    def told(**play: object) -> list[str]:
        scene_file(tmp_path)
        file = config_file(tmp_path, name="fake", max_tokens=100)
        asked = ("run", file, "-o", f"play={json.dumps(play)}", "--dry-run")
        return folkways(*asked).stdout.splitlines()

    plain, first, best = told(), told(drafts={"n": 3, "keep": "first"}), told(drafts={"n": 3})
    assert "play profile       instruct" in plain
    assert not any("drafts" in line for line in plain)
    assert "drafts of an act   3 at most, until one has no fault" in first
    assert "drafts of an act   3 at most, all of them" in best
    assert "calls              10 at most" in plain
    assert "calls              30 at most" in first and "calls              30 at most" in best
    assert "completion tokens  3,000 at most" in first
    tokens = [
        next(line for line in one if line.startswith("prompt")) for one in (plain, first, best)
    ]
    assert tokens[0] == tokens[1] != tokens[2]
