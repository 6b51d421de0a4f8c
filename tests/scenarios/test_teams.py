"""Public goals, teams with a common secret, themes of one's own, and scenes without norms."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from waiting_room import SCENE

from scenarios.casting import cast_scenario
from scenarios.checks.check import check_file
from scenarios.culture import load_cultures
from scenarios.parsing.problem import Problem
from scenarios.parsing.validation import parse
from scenarios.parsing.yaml_file import load_yaml
from scenarios.sampling.population import populated
from scenarios.scenario import Scenario
from simulation.episode.episode import content_of
from simulation.episode.scene_state import SceneState

WOLVES = """
id: the-scene
title: Wolves in the village
theme: hidden roles
setting: A village by night. Everyone has come to the square, and somebody is missing.
roles:
  ann: {brief: A villager., goal: You want the village to name nobody tonight.}
  bob:
    brief: A villager.
    goal: You hope that the miller is blamed for it.
    secret: The axe is yours.
  cleo:
    brief: A villager.
    goal: You want to find out who did it before the morning comes.
    public_goal: true
teams:
  wolves: {roles: [ann, bob], secret: You two took the shepherd after the second bell rang tonight.}
provenance: {author: a test, made: written by hand}
"""


def check(text: str, folder: Path) -> list[Problem]:
    """Return the problems of a text saved as a file, the shipped people being at hand."""
    path = folder / "the-scene.yaml"
    path.write_text(text, encoding="utf-8")
    return check_file(path)


def stage(form: str) -> SceneState:
    scene, findings = parse(load_yaml(WOLVES).data, Scenario)
    assert scene and not findings
    people = populated({}, {"GBR"})
    cast = cast_scenario(scene, "GBR", people, Random(1))
    return SceneState(scene, cast, load_cultures(), "en", form, "none")  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["json", "script"])
def test_members_are_told_of_their_team_and_nobody_else_is(form: str) -> None:
    scene = stage(form)
    told = {role: str(one.ask(scene.cue(role)).prompt) for role, one in scene.actors.items()}
    secret = "took the shepherd after the second bell"
    assert [secret in told[role] for role in ("ann", "bob", "cleo")] == [True, True, False]
    assert f"team with {scene.names['bob']}" in told["ann"]
    assert f"team with {scene.names['ann']}" in told["bob"]
    assert "team" not in told["cleo"]
    goal = "find out who did it before the morning comes"
    assert all(goal in text for text in told.values()), "everyone knows a public goal"
    assert "the miller is blamed" in told["bob"] and "the miller is blamed" not in told["ann"]


def test_a_scene_with_a_theme_of_its_own_and_no_norms_is_sound(tmp_path: Path) -> None:
    assert check(WOLVES, tmp_path) == []


def test_what_a_team_shares_is_no_leak_among_its_members(tmp_path: Path) -> None:
    fact = "You two took the shepherd after the second bell rang tonight."
    inside = WOLVES.replace("secret: The axe is yours.", f"knows: ['{fact}']")
    assert check(inside, tmp_path) == []
    outside = WOLVES.replace("    public_goal: true", f"    knows: ['{fact}']")
    (problem,) = check(outside, tmp_path)
    assert "gives away teams.wolves.secret, which another role is told" in problem.message
    assert problem.severity == "warning"
    (problem,) = check(WOLVES.replace("A village by night.", fact), tmp_path)
    assert (problem.severity, problem.path) == ("error", ("setting",))


def test_a_goal_that_all_are_told_of_never_stops_a_run(tmp_path: Path) -> None:
    goal = "You want the village to name nobody tonight."
    known = WOLVES.replace("A village by night.", f"The rule is known. {goal}")
    (problem,) = check(known, tmp_path)
    assert problem.severity == "warning" and "public_goal: true says" in problem.message
    public = known.replace(f"{{brief: A villager., goal: {goal}}}", json.dumps(
        {"brief": "A villager.", "goal": goal, "public_goal": True}
    ))  # fmt: skip
    assert check(public, tmp_path) == []


def test_a_goal_that_everyone_has_gives_nothing_away(tmp_path: Path) -> None:
    goal = "Earn as many tokens as you can."
    text = SCENE.replace("You want to go home on time.", goal)
    begin = text.index("    goal: ", text.index("visitor:"))
    line = text[begin : text.index("\n", begin)]
    text = text.replace(line, f"    goal: {goal}").replace(
        "A waiting room", f"{goal} A waiting room"
    )
    assert check(text, tmp_path) == []


def test_texts_that_say_too_little_are_not_searched_for(tmp_path: Path) -> None:
    assert check(WOLVES.replace("The axe is yours.", "A villager."), tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[ann, bob]", "[ann, bop]", "teams.wolves.roles[2]: no such role, did you mean 'bob'?"),
        ("[ann, bob]", "[ann, ann]", "teams.wolves.roles: a role is named twice"),
        ("[ann, bob]", "[ann]", "teams.wolves.roles: too few entries"),
        ("theme: hidden roles", "theme: gender-role", "warning: theme: nearly the shipped theme"),
        ("theme: hidden roles", "theme: ''", "theme: too short"),
    ],
)
def test_faults_of_teams_and_themes(old: str, new: str, told: str, tmp_path: Path) -> None:
    (problem,) = check(WOLVES.replace(old, new), tmp_path)
    assert told in problem.render("F")


def test_scenes_without_the_new_keys_keep_their_content(tmp_path: Path) -> None:
    scene, _ = parse(load_yaml(SCENE).data, Scenario)
    assert scene
    data = content_of(scene)[1]
    assert "public_goal" not in data and "teams" not in data
    wolves, _ = parse(load_yaml(WOLVES).data, Scenario)
    assert wolves and '"public_goal":true' in content_of(wolves)[1]
    assert '"secret":"You two took' in content_of(wolves)[1]
    assert Scenario.model_validate_json(content_of(wolves)[1]) == wolves
