"""Stop rules of one's own: when they are asked, what they may say, and whose code is run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import command
from scenes import json_act, play, scenario, who_asks

import folkways as fw
from folkways import registry
from folkways.registry import Code, set_code
from scenarios.checks.check import check_file
from scenarios.skeleton import write_skeleton

RULE = """
from pathlib import Path

Path(__file__).with_suffix(".ran").touch()

def late(stage, since, options):
    return "late" if len(stage.turns) >= options["turns"] else None

def short(stage):
    return None
"""


@pytest.fixture(autouse=True)
def nothing_is_known() -> Iterator[None]:
    set_code(Code())
    yield
    registry._own.clear()


def file_with(folder: Path, *rules: dict[str, Any]) -> Path:
    """Write a scenario with stop rules, and code beside it."""
    file = folder / "mine.yaml"
    file.unlink(missing_ok=True)
    write_skeleton(file, 2)
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    file.write_text(yaml.safe_dump(data | {"stop": [*rules]}), encoding="utf-8")
    (folder / "own_rule.py").write_text(RULE, encoding="utf-8")
    return file


def told(file: Path) -> list[str]:
    """Return what the check says of stop rules."""
    return [one.text() for one in check_file(file) if "stop" in one.path]


def ending(**fields: Any) -> tuple[str, str | None]:
    record = play(scenario(**fields), lambda prompt, *_: json_act(f"I am {who_asks(prompt)}."))
    return record.episode["exit_reason"], record.episode["exit_detail"]


def test_a_rule_is_asked_after_every_turn_until_it_is_met() -> None:
    asked: list[tuple[int, int, object]] = []

    @fw.stop_rule("third")
    async def third(stage: Any, since: int, options: Any) -> str | None:
        await asyncio.sleep(0)
        asked.append((len(stage.turns), since, options["turns"]))
        return "the \udc00third" if len(stage.turns) == options["turns"] else None

    stop = [{"rule": "third", "options": {"turns": 3}}]
    assert ending(stop=stop) == ("third", "the \ufffdthird")
    assert asked == [(1, 0, 3), (2, 0, 3), (3, 0, 3)]


def test_a_rule_ends_a_phase_by_what_came_in_it() -> None:
    @fw.stop_rule("two-more")
    def two_more(stage: Any, since: int, options: Any) -> str | None:
        return "two" if len(stage.turns) - since >= 2 else None

    until = {"rule": {"rule": "two-more"}}
    phases = [{"id": "first", "until": {"turns": 1}}, {"id": "second", "until": until}]
    assert ending(phases=phases) == ("phases-over", "second")


def test_a_rule_that_raises_ends_its_episode_as_an_error() -> None:
    @fw.stop_rule("broken")
    def broken(stage: Any, since: int, options: Any) -> str | None:
        raise ZeroDivisionError("nothing to divide by")

    reason, detail = ending(stop=[{"rule": "broken"}])
    assert reason == "error" and "ZeroDivisionError: nothing to divide by" in str(detail)


@pytest.mark.parametrize("value", [True, False, "", 3, ["a"]])
def test_a_rule_that_returns_something_else_is_told_of(value: object) -> None:
    fw.stop_rule("odd")(lambda stage, since, options: value)
    with pytest.raises(fw.UserError, match=r"stop rule 'odd' returned .*, not a text or None"):
        ending(stop=[{"rule": "odd"}])


def test_the_check_knows_names_and_keys(tmp_path: Path) -> None:
    fw.stop_rule("long-talk")(lambda stage, since, options: None)
    (unknown,) = told(file_with(tmp_path, {"rule": "long-tlak"}))
    assert "stop[1].rule: unknown stop rule, did you mean 'long-talk'?" in unknown
    assert "agreement, deal, walk-away, staleness, goal-reached, when, long-talk, or an" in unknown
    assert told(file_with(tmp_path, {"rule": "long-talk", "options": {"a": 1}})) == []
    (idle,) = told(file_with(tmp_path, {"rule": "long-talk", "window": 3}))
    assert "stop[1].window: has no effect on the rule 'long-talk'" in idle
    (option,) = told(file_with(tmp_path, {"rule": "staleness", "options": {"window": 3}}))
    assert "'staleness' has no such option" in option and "no option at all" in option


def test_a_rule_cannot_pass_for_another_ending(tmp_path: Path) -> None:
    fw.stop_rule("error")(lambda stage, since, options: "met")
    assert command("scenario", "play", file_with(tmp_path, {"rule": "error"}), "--model", "fake")
    scene = fw.Scenario.load(tmp_path / "mine.yaml")
    with pytest.raises(fw.UserError, match="stop rule 'error' has the name of another ending"):
        asyncio.run(scene.play(model="fake"))


def test_the_code_of_somebody_elses_scenario_is_not_run_without_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "theirs").mkdir()
    monkeypatch.chdir(tmp_path)
    file = file_with(tmp_path / "theirs", {"rule": "own_rule:late", "options": {"turns": 2}})
    (problem,) = told(file)
    assert "stop[1].rule: is code, which is run only with --allow-code" in problem
    run = tmp_path / "run.yaml"
    run.write_text(f"scenarios: ['{file}']\ncultures: [GBR]\nmodel: {{name: fake}}\n")
    assert command("scenario", "play", file, "--model", "fake") == 1
    assert command("run", run, "--quiet") == 1
    assert "run only with --allow-code" in capsys.readouterr().err
    assert not (tmp_path / "theirs/own_rule.ran").exists()
    assert command("run", run, "--quiet", "--allow-code") == 0
    (tmp_path / "theirs/own_rule.ran").unlink()
    query = "select exit_reason, exit_detail from episodes"
    assert fw.open("runs/run").sql(query)[0] == ("own_rule:late", "late")
    assert command("replay", "runs/run", "--quiet") == 1
    assert not (tmp_path / "theirs/own_rule.ran").exists()


def test_check_tries_the_rule_it_may_run(tmp_path: Path) -> None:
    registry.allow_code()
    (short,) = told(file_with(tmp_path, {"rule": "own_rule:short"}))
    assert "is not a function of stage, since, options" in short
    (absent,) = told(file_with(tmp_path, {"rule": "own_rule:absent"}))
    assert "stop rule 'own_rule:absent' cannot be imported: AttributeError" in absent
    assert told(file_with(tmp_path, {"rule": "own_rule:late", "options": {"turns": 2}})) == []
