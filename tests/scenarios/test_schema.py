"""Schema errors in plain words, the JSON Schema for editors, and loading scenarios."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from waiting_room import SCENE, agree, check, faults

from folkways.errors import UserError
from scenarios.library import library, load_scenario
from scenarios.parsing.json_schema import json_schema
from scenarios.parsing.yaml_file import load_yaml
from scenarios.scenario import POLICIES, Role
from simulation.episode import turn_policies as policy

FAULTS = faults("schema_faults.yaml")
SCHEMA_FILE = Path(__file__).parents[2] / "scenarios" / "scenario.schema.json"


@pytest.mark.parametrize("name", FAULTS)
def test_schema_errors_are_explained(name: str, tmp_path: Path) -> None:
    text, told = FAULTS[name]
    lines = [problem.render("F") for problem in check(text, tmp_path)]
    assert agree(lines, told), lines


def test_the_schema_file_is_true() -> None:
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == json_schema(), (
        "run: folkways scenario schema > scenarios/scenario.schema.json"
    )


@pytest.mark.parametrize("name", library())
def test_editors_accept_shipped_scenarios(name: str) -> None:
    text = library()[name].read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=../scenario.schema.json\n")
    validator = jsonschema.Draft202012Validator(json_schema())
    assert list(validator.iter_errors(load_yaml(text).data)) == []


@pytest.mark.parametrize(
    ("section", "accepted"),
    [
        ("policy: bidding", True),
        ("policy: my.module:choose", True),
        ("policy: {name: bidding, options: {a: 1}}", True),
        ("policy: bidding loudly", False),
        ("stop: [{rule: agreement, roles: clerk}]", True),
        ("stop: [{rule: agreement, roles: [clerk]}]", True),
        ("stop: [{rule: agreement, roles: 3}]", False),
        ("culture: Britain", False),
    ],
)
def test_the_schema_knows_the_shorthands(section: str, accepted: bool) -> None:
    data = load_yaml(SCENE.replace("policy: addressed", section)).data
    validator = jsonschema.Draft202012Validator(json_schema())
    assert validator.is_valid(data) is accepted


def test_the_schema_and_the_check_know_the_policies_that_can_be_played() -> None:
    assert sorted(POLICIES) == sorted(policy.POLICIES)


def test_a_schema_describes_its_keys() -> None:
    role = json_schema()["$defs"]["Role"]["properties"]
    assert role["secret"]["description"] == Role.model_fields["secret"].description
    assert role["secret"]["description"]


def test_loading_by_id_and_by_path(tmp_path: Path) -> None:
    assert load_scenario("soup-before-dusk") == load_scenario(library()["soup-before-dusk"])
    path = tmp_path / "the-scene.yaml"
    path.write_text(SCENE)
    assert load_scenario(str(path)).id == "the-scene"
    with pytest.raises(UserError, match="the id 'soup-befor-dusk', did you mean"):
        load_scenario("soup-befor-dusk")
    with pytest.raises(UserError, match="there is no scenario file"):
        load_scenario(tmp_path / "missing.yaml")


def test_loading_lists_every_schema_error(tmp_path: Path) -> None:
    path = tmp_path / "the-scene.yaml"
    path.write_text(SCENE.replace("turns: 10", "turns: 0").replace("title: The scene", "title: 3"))
    with pytest.raises(UserError) as caught:
        load_scenario(path)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{path}:2:8: error: title: must be text; found 3")
    assert second.startswith(f"{path}:19:17: error: limits.turns: too small")
