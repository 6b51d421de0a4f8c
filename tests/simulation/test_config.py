"""Configurations: read, overridden, refused by field."""

from pathlib import Path

import pytest

from folkways.errors import UserError
from simulation.config import config_hash, differences, load_config, parse_config, resolve, shaping


def write(folder: Path, text: str) -> Path:
    path = folder / "pilot.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_overrides_are_yaml_and_reach_any_depth(tmp_path: Path) -> None:
    path = write(tmp_path, "cultures: [MEX]\n")
    config = load_config(path, ["model.name=fake", "budget.tokens=500", "cultures=[JPN, DEU]"])
    assert config.name == "pilot", "a run is named after its file"
    assert (config.model.name, config.budget.tokens) == ("fake", 500)
    assert config.cultures == ("JPN", "DEU")


@pytest.mark.parametrize(
    ("text", "overrides", "match"),
    [
        ("replicates: 0", [], "yaml:1:13: error: replicates: too small; found 0"),
        ("colour: red", [], "colour"),
        ("name: ../escape", [], "name"),
        ("- a list", [], "mapping"),
        ("modle: {name: fake}", [], "yaml:1:1: error: modle: unknown key, did you mean 'model'"),
        ("model:\n\tname: fake", [], "yaml:2:1: error: not valid YAML: indented"),
        ("", [], "pilot.yaml:1:1: error: the file is empty"),
        ("seed: 1", ["replicates=0"], r"pilot.yaml: replicates: too small; found 0"),
        ("seed: 1", ["seed"], "key.sub=value"),
        ("seed: 1", ["seed.deep=1"], "'seed' has no parts"),
        ("seed: 1", ["seed=[1"], "not YAML"),
        ("model: {temperature: -1}", [], "model.temperature"),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, overrides: list[str], match: str) -> None:
    with pytest.raises(UserError, match=match):
        load_config(write(tmp_path, text), overrides)


def test_what_does_not_shape_episodes_does_not_change_the_hash() -> None:
    one = parse_config({"name": "a", "concurrency": 1, "budget": {"tokens": 9}}, "")
    model = {"timeout_s": 9, "options": {"max_retries": 1, "prices": {}, "latency_s": 2}}
    two = parse_config({"name": "a", "concurrency": 9, "model": model}, "")
    other = parse_config({"name": "a", "seed": 1}, "")
    hashes = [config_hash(shaping(resolve(config, {}))) for config in (one, two, other)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_differences_are_dotted() -> None:
    old = {"model": {"name": "a", "top_p": 1.0}, "seed": 1}
    new = {"model": {"name": "b", "top_p": 1.0}, "themes": []}
    assert differences(old, new) == [
        "model.name: 'a' -> 'b'",
        "seed: 1 -> None",
        "themes: None -> []",
    ]


def test_the_short_name_of_a_model_is_recorded_whole() -> None:
    data = {
        "name": "a", "critique": {"models": ["embedded"]}, "label": {"model": "embedded"},
        "in_loop": {"model": "embedded"},
    }  # fmt: skip
    config = parse_config(data, "")
    assert config.model.name == config.label.model == config.in_loop.model == "llama:embedded"
    assert config.critique.models == ("llama:embedded",)
    assert parse_config({"name": "a", "model": {"name": "hf:embedded"}}, "").model.name[:3] == "hf:"


def test_a_run_of_the_engine_that_embedded_stood_for_before_is_not_continued() -> None:
    now = resolve(parse_config({"name": "a"}, ""), {})
    before = now | {"model": now["model"] | {"name": "embedded"}}
    assert config_hash(shaping(before)) != config_hash(shaping(now))
    told = "model.name: 'embedded', then on transformers, -> 'llama:embedded'"
    assert differences(before, now) == [told]
