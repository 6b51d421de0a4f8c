"""The sub-commands `scenario`, `culture` and `persona`, through their command lines."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import cast

import pytest
import typer
import yaml
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner
from waiting_room import SCENE

from folkways.cli.application import application
from folkways.errors import UserError
from folkways.text import guard, printable, unguard
from scenarios.checks.check import check_file
from scenarios.library import library, shipped
from scenarios.parsing.json_schema import json_schema
from scenarios.parsing.yaml_file import load_yaml
from scenarios.persona import PersonaPool
from scenarios.pool import load_personas, read_pool
from scenarios.skeleton import MAX_ROLES

APP = cast(typer.Typer, application())


def run(*arguments: str | Path) -> Result:
    """Return the result of a command that the user ran without a mistake."""
    result = CliRunner().invoke(APP, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def mistake(*arguments: str | Path) -> str:
    """Return what a user is told of a mistake."""
    result = CliRunner().invoke(APP, [str(argument) for argument in arguments])
    assert isinstance(result.exception, UserError)
    return str(result.exception)


def test_checking_the_whole_library() -> None:
    result = run("scenario", "check")
    assert result.exit_code == 0
    assert f"{len(shipped())} files checked, 0 with errors" in result.stderr


def test_checking_files_and_ids(tmp_path: Path) -> None:
    good, bad = tmp_path / "the-scene.yaml", tmp_path / "worse.yaml"
    good.write_text(SCENE)
    bad.write_text(SCENE.replace("turns: 10", "turns: 0"))
    assert run("scenario", "check", good, "soup-before-dusk").exit_code == 0
    result = run("scenario", "check", good, bad)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{bad}:1:5: error: id: not the file's name; found 'the-scene'; allowed: 'worse'",
        f"{bad}:19:17: error: limits.turns: too small; found 0; allowed: 1 or more",
    ]
    assert "2 files checked, 1 with errors, 0 warnings" in result.stderr


def test_warnings_alone_are_no_failure(tmp_path: Path) -> None:
    path = tmp_path / "the-scene.yaml"
    path.write_text(SCENE.replace("limits: {turns: 10}", "stop: {rule: 1}", 1))
    assert run("scenario", "check", path).exit_code == 1
    stop = "stop: [{rule: staleness, roles: clerk}]"
    path.write_text(SCENE.replace("limits: {turns: 10}", stop))
    result = run("scenario", "check", path)
    assert result.exit_code == 0
    assert ":19:26: warning: stop[1].roles: has no effect on the rule 'staleness'" in result.stdout


def test_hostile_text_cannot_reach_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "the-scene.yaml"
    path.write_text(SCENE.replace("policy: addressed", 'policy: "a\u202eb"'), encoding="utf-8")
    result = run("scenario", "check", path)
    assert "\u202e" not in result.stdout
    assert "found 'a\\u202eb'" in result.stdout
    path.write_bytes(SCENE.replace("The clerk", "\x1b[2JThe clerk").encode())
    result = run("scenario", "check", path)
    assert "\x1b" not in result.stdout
    assert ":8:12: error: the control character U+001B is not allowed" in result.stdout


def test_unknown_files_and_ids_are_named() -> None:
    assert "there is no scenario file 'no/such.yaml'" in mistake(
        "scenario", "check", "no/such.yaml"
    )
    assert "did you mean 'soup-before-dusk'?" in mistake("scenario", "check", "soup-before-dust")


@pytest.mark.parametrize("roles", [2, 3, MAX_ROLES])
@pytest.mark.parametrize("examples", [False, True])
def test_a_new_file_passes_the_check(roles: int, examples: bool, tmp_path: Path) -> None:
    path = tmp_path / "my-scene.yaml"
    assert run("scenario", "new", path, "--roles", str(roles)).exit_code == 0
    text = path.read_text(encoding="utf-8")
    if examples:
        switched_on = re.sub(r"(?m)^#(?=\S|  )", "", text)
        assert len(re.findall("(?m)^ *#", switched_on)) < len(re.findall("(?m)^ *#", text))
        path.write_text(switched_on, encoding="utf-8")
    assert check_file(path) == []
    assert len(load_yaml(path).data["roles"]) == roles
    assert len(re.findall("(?m)^ *# ", text)) > 20, "the file explains itself"


def test_a_new_file_points_editors_at_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "my-scene.yaml"
    run("scenario", "new", path)
    first = path.read_text(encoding="utf-8").splitlines()[0]
    target = first.removeprefix("# yaml-language-server: $schema=")
    found = json.loads((tmp_path / target).read_text(encoding="utf-8"))
    assert found == json_schema()


def test_a_new_file_never_replaces_one(tmp_path: Path) -> None:
    path = tmp_path / "my-scene.yaml"
    path.write_text("precious")
    assert "exists already" in mistake("scenario", "new", path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My Scene.yaml", "'My Scene.yaml' cannot be the name of a scenario file"),
        ("my-scene.txt", "'my-scene.txt' cannot be the name"),
        ("a" * 61 + ".yaml", "cannot be the name"),
        ("nowhere/my-scene.yaml", "cannot write '.*nowhere/my-scene.yaml': No such file"),
    ],
)
def test_a_new_file_needs_a_fitting_place(name: str, message: str, tmp_path: Path) -> None:
    assert re.search(message, mistake("scenario", "new", tmp_path / name))
    assert list(tmp_path.iterdir()) == []


def test_a_new_file_has_a_sensible_number_of_roles(tmp_path: Path) -> None:
    told = mistake("scenario", "new", tmp_path / "one.yaml", "--roles", "1")
    assert told == f"a skeleton cannot have 1 roles; allowed: 2 to {MAX_ROLES}"


def test_the_schema_is_printed() -> None:
    assert json.loads(run("scenario", "schema").stdout) == json_schema()


def test_scenarios_are_listed() -> None:
    lines = run("scenario", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["id", *library()]
    pairs = run("scenario", "list", "--roles", "2").stdout.splitlines()[1:]
    assert {line.split()[1] for line in pairs} == {"2"}
    some = run("scenario", "list", "--theme", "gender-roles").stdout.splitlines()[1:]
    assert 0 < len(some) < len(library())
    assert "unknown theme 'gender'; known: conflict" in mistake(
        "scenario", "list", "--theme", "gender"
    )


def test_cultures_are_shown() -> None:
    assert "\nJPN  Japan" in run("culture", "list").stdout
    shown = yaml.safe_load(run("culture", "show", "jpn").stdout)
    assert shown["hofstede"]["pdi"] == 54
    assert shown["descriptors"]["pdi"] == "moderately hierarchical"
    assert all(norm["source"] for norm in shown["norms"])
    assert "unknown culture 'XXX'; known: AUS" in mistake("culture", "show", "XXX")


def test_personas_are_shown() -> None:
    everyone = run("persona", "list").stdout.splitlines()
    assert len(everyone) == 1 + len(load_personas())
    mexican = run("persona", "list", "--culture", "mex").stdout.splitlines()[1:]
    assert mexican and all(line.startswith("mex-") for line in mexican)
    name, persona = next(iter(load_personas().items()))
    shown = yaml.safe_load(run("persona", "show", name).stdout)
    assert shown == persona.model_dump(mode="json", exclude_none=True)
    assert "no shipped persona has the id 'nobody'" in mistake("persona", "show", "nobody")
    assert "unknown culture with shipped personas 'XXX'" in mistake(
        "persona", "list", "--culture", "XXX"
    )


def test_a_sample_is_a_pool_file(tmp_path: Path) -> None:
    result = run("persona", "sample", "deu", "--count", "5", "--seed", "3")
    pool = PersonaPool.model_validate(load_yaml(result.stdout).data)
    assert len({persona.id for persona in pool.personas}) == 5
    assert {persona.culture for persona in pool.personas} == {"DEU"}
    path = tmp_path / "pool.yaml"
    path.write_text(result.stdout, encoding="utf-8")
    assert read_pool(path) == pool.personas
    assert run("persona", "sample", "DEU", "--count", "5", "--seed", "3").stdout == result.stdout
    assert run("persona", "sample", "DEU", "--count", "5", "--seed", "4").stdout != result.stdout
    assert "not a demographic picture of DEU: " in result.stderr
    assert "households" in result.stderr and "demographic" not in result.stdout


def test_a_sample_is_compared_with_the_figures_of_its_country() -> None:
    lines = run("persona", "sample", "jpn", "--count", "4000", "--report").stdout.splitlines()
    assert lines[0].split() == ["JPN", "years", "published", "4000", "drawn", "points"]
    old = next(line.split() for line in lines if line.startswith("65 and over"))
    assert old[3:5] == ["2020", "34.0%"] and abs(float(old[-1])) < 2
    assert any(line.startswith("source: World Population Prospects 2024") for line in lines)
    assert "not a demographic picture of JPN: " in lines[-1]
    assert "education below upper-secondary" in lines[-1]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n\ttext", "plain\n\ttext"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("bell\a, back\b, return\r, null\0", "bell\\x07, back\\x08, return\\x0d, null\\x00"),
        ("\x9b2J\x7f\x85", "\\x9b2J\\x7f\\x85"),
        ("\u202egnp.exe\u2066", "\\u202egnp.exe\\u2066"),
        ("\ud800", "\\ud800"),
        ("a\u200eb\u200fc\u061cd", "abcd"),
        ("flag" + "".join(chr(0xE0000 + ord(c)) for c in "rm -rf") + "\U000e007f", "flag"),
        ("e" + "\u0301" * 50 + "!", "e" + "\u0301" * 8 + "!"),
        ("e" + "\u0301\u200d" * 20, "e" + "\u0301\u200d" * 8),
        ("\u2764" + "\ufe0f" * 30, "\u2764" + "\ufe0f" * 8),
        ("\u0e1b\u0e34\u0e48\u0e19", "\u0e1b\u0e34\u0e48\u0e19"),
        ("\u3002" * 40 + "\U0001f389" * 40, "\u3002" * 40 + "\U0001f389" * 40),
        ("\x1b]8;;file:///x\x1b\\a\x1b]0;b\x07", "\\x1b]8;;file:///x\\x1b\\a\\x1b]0;b\\x07"),
        ("\ufff9a\ufffab\ufffb", "ab"),
        ("\u05d3\u05d5\u05d3 \U0001f389", "\u05d3\u05d5\u05d3 \U0001f389"),
    ],
)
def test_control_characters_become_visible(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(exclude_categories=[])))
def test_what_is_printable_stays_and_nothing_else_comes_out(text: str) -> None:
    shown = printable(text)
    assert printable(shown) == shown
    shown.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
    if text.isprintable() and not re.search(r"[^\w\s\x00-\x7f]{9}", text):
        assert shown == text


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1+1", "-1+1", "@sum(1)", " =1", "\u00a0=1",
     "\ufeff=1", "\u200b=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20a", "=cmd|' /C calc'!A0",
     "\u200e=1", "\u2060+1-1", "\u00ad@a", "\x00=1", "\u22121+1", "\ufe661", "\U000e0041=1",
     "-", "+", "=", "'=1", "''=1", "=HYPERLINK(1)", "- a list", "-5 o'clock", "\ttext", "+49 30 1"],
)  # fmt: skip
def test_a_cell_that_a_spreadsheet_would_compute_is_guarded(text: str) -> None:
    assert guard(text) == f"'{text}" and unguard(guard(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "a", "a=1", "1", "-1", "+1", "-1.5e-7", ".5", "1.", "'", "'tis", "[1]", "\u00e9", " a"],
)
def test_other_cells_and_numbers_stay(text: str) -> None:
    assert guard(text) == text == unguard(text)


@pytest.mark.parametrize(
    ("text", "guarded"),
    [("\t=1", "'\t'=1"), ("\n=1", "'\n'=1"), ("a;=1", "a;'=1"), ("a; =1", "a;' =1"),
     ("a\n@x", "a\n'@x"), ("a\r\n+cmd", "a\r\n'+cmd"),
     ("a\tb;-x", "a\tb;'-x"), ("a;-3;+4.5\n-1e9", "a;-3;+4.5\n-1e9"), ("a;'=1", "a;''=1"),
     ("=1;=2", "'=1;'=2"), ("a, =1", "a, =1"), ("yes; no = none", "yes; no = none")],
)  # fmt: skip
def test_nor_is_a_cell_computed_that_begins_at_another_separator(text: str, guarded: str) -> None:
    assert guard(text) == guarded and unguard(guarded) == text


@given(st.text() | st.text("a'=-3+;\t\n\r .", max_size=12))
def test_the_guard_can_be_undone(text: str) -> None:
    assert unguard(guard(text)) == text


def test_scenarios_of_ones_own_are_listed_by_file_and_by_folder(tmp_path: Path) -> None:
    for name in ("own-one", "own-two"):
        (tmp_path / f"{name}.yaml").write_text(
            re.sub(r"(?m)^id: .*$", f"id: {name}", SCENE), encoding="utf-8"
        )
    (tmp_path / "notes.txt").write_text("not a scenario", encoding="utf-8")
    cases = ([tmp_path], ["own-one", "own-two"]), ([tmp_path / "own-two.yaml"], ["own-two"])
    for paths, ids in cases:
        lines = run("scenario", "list", *paths).stdout.splitlines()[1:]
        assert [line.split()[0] for line in lines] == ids
    assert "no scenario file" in mistake("scenario", "list", tmp_path / "typo.yaml")
