"""Scenes and norms that others published: taken over as data, or told of in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from agents.authoring.norm_table import read_norm_table, read_norms
from folkways.cli.application import application
from folkways.errors import UserError
from scenarios.checks.check import check_file
from scenarios.library import load_scenario
from scenarios.pool import read_pool

LOAN = {
    "pk": "01H7",
    "codename": "borrow_money",
    "source": "hand-craft",
    "scenario": "Conversation between two friends at a trivia night",
    "agent_goals": [
        "Borrow $3000 for the rent (<extra_info>You never paid back the last loan.</extra_info>)",
        "Keep the friendship. <clarification_hint>You are broke.</clarification_hint>",
    ],
    "relationship": 3,
    "age_constraint": "[(18, 30), (40, 70)]",
    "occupation_constraint": None,
}
SAMANTHA = {
    "pk": "A1", "first_name": "Samantha", "last_name": "Ray", "age": 33, "gender": "Woman",
    "gender_pronoun": "She/her", "occupation": "Chef", "public_info": "Samantha has two cats.",
    "big_five": "Openness to Experience - High; Extraversion - Low",
    "personality_and_values": "Samantha values care.", "decision_making_style": "Hesitant",
    "secret": "She lost her sense of taste.",
}  # fmt: skip
LEO = SAMANTHA | {"pk": "A2", "first_name": "Leo", "age": 61, "gender": "Man", "secret": ""}
PAIR = {"pk": "P1", "env_id": "01H7", "agent_ids": ["A1", "A2"]}


def command(*arguments: Any) -> Result:
    return CliRunner().invoke(application(), ["scenario", *map(str, arguments)])  # type: ignore[arg-type]


def mistake(*arguments: Any) -> str:
    error = command(*arguments).exception
    assert isinstance(error, UserError) and "\n" not in str(error)
    return str(error)


def file(folder: Path, *records: Any, form: str = "lines") -> Path:
    path = folder / "sotopia.json"
    whole = {str(one["pk"]): one for one in records} if form == "object" else list(records)
    lines = "".join(json.dumps(one) + "\n" for one in records)
    texts = {"lines": lines, "one": json.dumps(records[0], indent=1)}
    path.write_text(texts.get(form, json.dumps(whole, indent=1)), encoding="utf-8")
    return path


def imported(folder: Path, *records: Any, culture: str | None = None) -> tuple[Result, list[str]]:
    more = ("--culture", culture) if culture else ()
    done = command("import", "sotopia", file(folder, *records), "--out", folder / "out", *more)
    return done, sorted(path.name for path in (folder / "out").glob("*.yaml"))


@pytest.mark.parametrize("form", ["lines", "list", "object", "one"])
def test_an_environment_is_a_sound_scene(tmp_path: Path, form: str) -> None:
    path = file(tmp_path, LOAN, form=form)
    done = command("import", "sotopia", path, "--out", tmp_path / "out")
    assert done.output == "read environments: 1; wrote scenes: 1, people: 0; left out: 0\n"
    scene = tmp_path / "out" / "borrow-money.yaml"
    assert check_file(scene) == []
    found = load_scenario(scene)
    first, second = found.roles.values()
    assert (first.goal, first.knows) == (
        "Borrow $3000 for the rent", ("You never paid back the last loan.",)
    )  # fmt: skip
    assert (second.goal, second.knows) == ("Keep the friendship.", ("You are broke.",))
    assert first.select and second.select and (first.select.age, second.select.age) == (
        (18, 30), (40, 70)
    )  # fmt: skip
    assert (found.relationships[0].type, found.relationships[0].closeness) == ("friends", 3)
    assert found.culture is None and found.provenance.note == "01H7 hand-craft"


def test_occupations_choose_who_plays(tmp_path: Path) -> None:
    wanted = "[['Teacher', 'nurse'], []]"
    _, files = imported(tmp_path, LOAN | {"occupation_constraint": wanted})
    first, second = load_scenario(tmp_path / "out" / files[0]).roles.values()
    assert first.select and first.select.occupation == ("teacher", "nurse")
    assert second.select and second.select.occupation is None
    nobody = LOAN | {"occupation_constraint": "[['beekeeper on Mars'], ['x']]"}
    done = command("import", "sotopia", file(tmp_path, nobody), "--out", tmp_path / "none")
    assert "sotopia.json:1: left out: roles.first.select: the scene cannot be cast" in done.output


def test_a_pair_is_played_by_its_people_with_their_secrets(tmp_path: Path) -> None:
    done, files = imported(tmp_path, LOAN, SAMANTHA, LEO, PAIR, culture="USA")
    assert files == ["borrow-money-samantha-ray-leo-ray.yaml"], done.output
    scene = tmp_path / "out" / files[0]
    assert check_file(scene) == []
    found = load_scenario(scene)
    assert found.culture == "USA"
    assert [person.name for person in found.personas] == ["Samantha Ray", "Leo Ray"]
    assert [role.secret for role in found.roles.values()] == ["She lost her sense of taste.", None]
    pool = read_pool(tmp_path / "out" / "personas" / "sotopia-usa.yaml")
    assert [(one.name, one.age, one.occupation) for one in pool] == [
        ("Samantha Ray", 33, "chef"), ("Leo Ray", 61, "chef"),
    ]  # fmt: skip
    assert "a person, of a culture that Sotopia does not say" in mistake(
        "import", "sotopia", file(tmp_path, SAMANTHA), "--out", tmp_path / "other"
    )


def test_foreign_text_is_data_only(tmp_path: Path) -> None:
    text = "{{ cycler.__init__.__globals__ }} {% raw %} !!python/object/apply:os.system ['id']"
    odd = LOAN | {"codename": "../../{{ 7*7 }}/etc", "scenario": f"A quiet room. {text}"}
    done, files = imported(tmp_path, odd)
    scene = tmp_path / "out" / "7-7-etc.yaml"
    assert files == [scene.name] and done.exit_code == 0
    assert text in load_scenario(scene).setting
    shown = command("show", scene, "--culture", "USA")
    assert text in " ".join(shown.output.split())
    seen = LOAN | {
        "scenario": "A red \u001b[31m room in the evening",
        "codename": "\u001b]0;x\u0007",
    }
    other = tmp_path / "other"
    other.mkdir()
    done, files = imported(other, seen)
    assert files == [] and done.exit_code == 1
    assert "\u001b" not in done.output and "control character U+001B" in done.output


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"scenario": "A room. " * 400}, "setting: too long"),
        ({"agent_goals": ["Win " * 300, "Lose"]}, "roles.first.goal: too long"),
        ({"agent_goals": ["a", "b", "c"]}, "agent_goals: List should have at most 2 items"),
        ({"agent_goals": "win"}, "agent_goals: Input should be a valid list"),
        ({"relationship": 9}, "relationship: Input should be less than or equal to 5"),
        ({"scenario": "x" * 30_000}, "scenario: String should have at most 20000 characters"),
        ({"scenario": ""}, "setting:"),
        ({"pk": "01H7"}, "pk: '01H7' is in another record, too"),
    ],
)
def test_a_record_that_makes_no_scene_is_left_out_with_its_place(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    done, files = imported(tmp_path, LOAN, LOAN | {"pk": "2"} | change)
    assert files == ["borrow-money.yaml"] and done.exit_code == 0
    assert f"sotopia.json:2: left out: {told}" in done.output


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no records"),
        ("{", ":1: not a JSON object"),
        ('{"pk": "1"}\n[1]\n', ":2: not a JSON object"),
        ("[1, 2]", ", record 1: not a JSON object"),
        ("[" * 100_000, ":1: not a JSON object"),
        ('{"a": "b"}\n', ":1: no record of Sotopia's: none of agent_goals, env_id, first_name"),
    ],
)
def test_an_odd_file_is_one_line_with_the_place(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "odd.json"
    path.write_text(text, encoding="utf-8")
    assert told in mistake("import", "sotopia", path, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_odd_bytes_and_no_file_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    path.write_bytes(b"\xff\xfe\x00")
    assert "is not UTF-8" in mistake("import", "sotopia", path, "--out", tmp_path)
    assert "there is no file" in mistake("import", "sotopia", tmp_path / "no", "--out", tmp_path)
    assert "not an ordinary file" in mistake("import", "sotopia", tmp_path, "--out", tmp_path)


def test_files_that_are_there_are_kept(tmp_path: Path) -> None:
    imported(tmp_path, LOAN)
    again = ("import", "sotopia", file(tmp_path, LOAN), "--out", tmp_path / "out")
    assert "exists already; add --force" in mistake(*again)
    assert command(*again, "--force").exit_code == 0


CHEMISTRY = (
    "area\trot-agree\trot-bad\trot\tsituation\n"
    "amitheasshole\t4\t0\tYou should bring a gift to a host.\tbeing a guest\n"
    "amitheasshole\t4.0\t1\tsome nonsense to leave out\tx\n"
    "confessions\t1\t0\tYou should never sleep before noon.\tx\n"
    "confessions\t\t0\tYou should bring a gift to a host.\tx\n"
    "confessions\t3\t0\tNo\tx\n"
    f"confessions\t3\t0\t{'You should. ' * 40}\tx\n"
)
BANK = (
    "setting,behavior,constraints,norm\n"
    "cinema,talk aloud,,taboo\n"
    "cinema,buy a ticket,,expected\n"
    "cinema,eat,,normal\n"
)


def table(folder: Path, text: str) -> Path:
    path = folder / "norms.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_social_chemistry_is_read_by_its_columns(tmp_path: Path) -> None:
    found = read_norm_table(table(tmp_path, CHEMISTRY))
    assert [norm.text for norm in found.norms] == ["You should bring a gift to a host."]
    assert found.norms[0].source.endswith("norms.csv:2")
    assert found.left_out == {
        "marked as bad": 1, "held by few": 1, "repeated": 1, "too short": 1, "too long": 1,
    }  # fmt: skip


def test_normbank_becomes_sentences(tmp_path: Path) -> None:
    found = read_norm_table(table(tmp_path, BANK))
    assert [norm.text for norm in found.norms] == [
        "In this place, cinema, it is taboo to talk aloud.",
        "In this place, cinema, it is expected to buy a ticket.",
    ]
    assert found.left_out == {"neither expected nor taboo": 1}


def test_norms_are_written_for_generate(tmp_path: Path) -> None:
    path, out = table(tmp_path, BANK), tmp_path / "norms.jsonl"
    done = command("import", "norms", path, "--out", out, "--n", 1)
    assert done.output == f"3 rows: 1 neither expected nor taboo\nwrote 1 of 2 norms to {out}\n"
    assert len(read_norms(out)) == 1
    assert "exists already" in mistake("import", "norms", path, "--out", out)
    other = table(tmp_path, "rule;who\nNever come late {{ 7*7 }} {x};all\n")
    command("import", "norms", other, "--out", out, "--column", "rule", "--force")
    assert [norm.text for norm in read_norms(out)] == ["Never come late {{ 7*7 }} {x}"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "norms.csv:1: no head with the names of columns"),
        ("a,b\n1,2\n", "has no column of norms; it has: a, b; name one: --column"),
        ("norm\n", "holds no norm"),
        ("norm\nshort\n", "holds no norm: 1 too short"),
        (f"norm\n{'x' * 200_000}\n", "norms.csv:2: not a row of a table: field larger"),
        ("norm\n\u001b[31m Nobody comes late here.\n", "holds no norm: 1 unprintable"),
    ],
)
def test_an_odd_table_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    assert told in mistake("import", "norms", table(tmp_path, text), "--out", tmp_path / "out")


@pytest.mark.parametrize(
    "line", ['{"norm": 3}', '{"norm": ""}', "[]", '{"norm": "' + "x" * 401 + '"}']
)
def test_an_odd_file_of_norms_is_one_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "norms.jsonl"
    path.write_text(f'{{"norm": "Nobody comes late."}}\n{line}\n', encoding="utf-8")
    asked = ("generate", "--norms", path, "--culture", "CHN", "--model", "fake")
    assert "norms.jsonl:2: " in mistake(*asked)
    both = mistake(*asked, "--norm", "x")
    assert both == "give one norm with --norm, or a file of them with --norms"
