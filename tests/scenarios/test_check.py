"""`check` tells every problem of a scenario file, each at its place."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting_room import SCENE, agree, check, faults

from scenarios.checks.check import check_file
from scenarios.checks.overlap import NEAR_DUPLICATE, shingles, similarity
from scenarios.library import library, load_scenario
from scenarios.parsing.problem import Problem
from scenarios.parsing.yaml_file import load_yaml

FAULTS = faults("scene_faults.yaml")


def errors(problems: list[Problem]) -> list[Problem]:
    """Return the problems that are errors."""
    return [problem for problem in problems if problem.severity == "error"]


def test_a_run_configuration_is_told_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "pilot.yaml"
    path.write_text("name: pilot\nscenarios: [soup-before-dusk]\nmodel: {name: fake}\n")
    (problem,) = check_file(path)
    assert "is the configuration of a run" in problem.render("F") and problem.severity == "error"


def test_the_scene_of_these_tests_is_sound(tmp_path: Path) -> None:
    assert check(SCENE, tmp_path) == []


@pytest.mark.parametrize("name", library())
def test_shipped_scenarios_have_no_errors(name: str) -> None:
    assert errors(check_file(library()[name])) == []


def test_shipped_scenarios_do_not_repeat_each_other() -> None:
    told = [problem.message for path in library().values() for problem in check_file(path)]
    assert not [message for message in told if "nearly repeats" in message]


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_told(name: str, tmp_path: Path) -> None:
    text, told = FAULTS[name]
    lines = [problem.render("F") for problem in check(text, tmp_path)]
    assert agree(lines, told), lines


def test_every_problem_is_told_at_once_in_order(tmp_path: Path) -> None:
    text = (
        SCENE.replace("theme: public-rules", "theme: rules\nthemes: 1")
        .replace("    goal: You want to go home on time.\n", "")
        .replace("[clerk, visitor]", "[clerk, guard]")
        .replace("policy: addressed", "policy: loud\npolicy: louder")
        .replace("Closing time holds for everyone.", "''")
        .replace("A waiting room", "The form you carry was signed by your brother. A waiting room")
    )
    told = check(text, tmp_path)
    assert [(p.line, p.path, p.message.split(",")[0][:20]) for p in told] == [
        (4, ("themes",), "unknown key"),
        (5, ("setting",), "gives away roles.vis"),
        (8, ("roles", "clerk", "goal"), "missing"),
        (15, ("relationships", 0, "between", 1), "no such role"),
        (18, ("policy",), "unknown turn policy"),
        (19, ("policy",), "given twice"),
        (23, ("norms", 0, "text"), "too short"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty, or holds comments alone; fill it in"),
        ("null", "must be a mapping of keys to values; found null"),
        ("[]", "must be a mapping of keys to values; found []"),
        ("roles: 3", "roles: must be a mapping of keys to values; found 3"),
        ("roles: {a: , b: }", "roles.a: must be a mapping of keys to values; found null"),
        ("id: &a [*a]", "contains itself"),
        ("[" * 5000, "nested too deeply"),
        ("a: " + "x" * 300_000, "too large"),
        ("id: [", "not valid YAML"),
        ("id: \x00", "control character U+0000"),
    ],
)
def test_files_that_are_no_scenario_are_told_so(text: str, message: str, tmp_path: Path) -> None:
    problems = check(text, tmp_path)
    assert any(message in problem.render("F") for problem in problems)
    assert errors(problems)


def test_a_misspelt_role_is_told_once(tmp_path: Path) -> None:
    text = SCENE.replace("  clerk:", "  clark:").replace("policy: addressed", "opens: clerk")
    (problem,) = check(text, tmp_path)
    assert "no such role, did you mean 'clark'? (in 2 places)" in problem.render("F")


def test_wrong_encoding_is_told(tmp_path: Path) -> None:
    path = tmp_path / "the-scene.yaml"
    path.write_bytes(SCENE.encode("utf-16"))
    (problem,) = check_file(path)
    assert problem.message == "not UTF-8 (byte 0 is 0xff); save the file as UTF-8"


UNUSUAL = {
    "quotes": 'Ann "Nan" O\'Hara',
    "emoji": "Zo\u00eb \U0001f389\U0001f469\u200d\U0001f680",
    "right to left": "\u05d3\u05d5\u05d3 \u05db\u05d4\u05df",
    "role in braces": "kin of {visitor}",
    "comment": "#a: b",
}


@pytest.mark.parametrize("name", UNUSUAL.values(), ids=UNUSUAL)
def test_unusual_names_and_texts_are_accepted(name: str, tmp_path: Path) -> None:
    brief = json.dumps(f"This is {name}.", ensure_ascii=False)
    text = SCENE.replace("The clerk behind the glass.", brief)
    assert check(text, tmp_path) == []
    assert load_scenario(tmp_path / "the-scene.yaml").roles["clerk"].brief == f"This is {name}."


def test_secrets_are_found_in_scripts_without_spaces(tmp_path: Path) -> None:
    secret = "\u5f1f\u5f1f\u5728\u4f60\u7684\u8868\u683c\u4e0a\u7b7e\u4e86\u4f60\u7684\u540d\u5b57"
    text = SCENE.replace("The form you carry was signed by your brother in your name.", secret)
    leaking = text.replace("A visitor who came late.", f"\u5979{secret}\u3002")
    (problem,) = check(leaking, tmp_path)
    assert problem.path == ("roles", "visitor", "brief")
    assert problem.severity == "error"
    assert check(text.replace("A visitor who came late.", secret[:6]), tmp_path) == []


def test_near_duplicates_of_the_library_are_told(tmp_path: Path) -> None:
    original = library()["soup-before-dusk"]
    data = load_yaml(original).data | {"id": "another-soup"}
    copy = tmp_path / "another-soup.yaml"
    copy.write_text(json.dumps(data), encoding="utf-8")
    (problem,) = check_file(copy)
    assert "nearly repeats 'soup-before-dusk' (100%" in problem.message
    assert problem.severity == "warning"
    data["provenance"]["parent"] = "soup-before-dusk"
    copy.write_text(json.dumps(data), encoding="utf-8")
    assert not any("nearly repeats" in problem.message for problem in check_file(copy))
    assert check_file(original) == []


def test_changed_words_lower_the_similarity_but_not_below_the_threshold() -> None:
    scene = load_scenario("soup-before-dusk")
    words = scene.setting.split()
    changed = [f"word{i}" if i % 12 == 0 else word for i, word in enumerate(words)]
    varied = scene.model_copy(update={"setting": " ".join(changed)})
    alike = similarity(shingles(scene), shingles(varied))
    assert NEAR_DUPLICATE < alike < 1
    assert (
        similarity(shingles(scene), shingles(load_scenario("tanda-with-unmarked-envelopes"))) < 0.03
    )


def test_a_file_full_of_events_is_checked_in_reasonable_time(tmp_path: Path) -> None:
    chain = "".join(
        f"  - {{id: e{n}, when: {{event: e{n + 1}}}, text: Again.}}\n" for n in range(1500)
    )
    turns = "limits: {turns: 10}"
    events = f"{turns}\nevents:\n{chain}  - {{id: e1500, at: 2, text: First.}}"
    text = SCENE.replace(turns, events)
    began = perf_counter()
    assert check(text, tmp_path) == []
    assert perf_counter() - began < 30


@given(st.text(alphabet="rolesmthgai:{}[]-, \n'\"&*!#0123456789", max_size=200))
def test_any_text_can_be_checked(text: str) -> None:
    with TemporaryDirectory() as folder:
        check(text, Path(folder))


MUTATIONS = [None, 3, "x", [], {}, [None], {"a": None}, True, 1.5, "clerk", "anyone", -1]


@given(st.data())
def test_any_change_of_a_scenario_can_be_checked(data: st.DataObject) -> None:
    scene = load_yaml(library()["two-sockets-in-a-blackout"]).data
    for _ in range(data.draw(st.integers(1, 4))):
        here: Any = scene
        while isinstance(here, dict | list) and here:
            key = data.draw(
                st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here)))
            )
            if data.draw(st.booleans()) or not isinstance(here[key], dict | list):
                here[key] = deepcopy(data.draw(st.sampled_from(MUTATIONS)))
                break
            here = here[key]
    with TemporaryDirectory() as folder:
        check(json.dumps(scene), Path(folder), "two-sockets-in-a-blackout")
