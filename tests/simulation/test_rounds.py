"""Rounds as a unit beside acts: in limits, events, stop rules and what stays quiet or still."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import command
from scenes import Recorder, json_act, play, scenario, text_of

from scenarios.checks.check import check_file
from scenarios.scenario import Scenario
from scenarios.stopping import Limits
from simulation.config import RunConfig
from simulation.plan import make_plan
from simulation.store.reader import open_reader
from simulation.store.record import Record


def _lines(*texts: str) -> Any:
    at = iter(range(10_000))
    return lambda *_: json_act(texts[next(at) % len(texts)])


def _happened(record: Record) -> list[tuple[str, int]]:
    return [(h["name"], h["after_turn"]) for h in record.rows["happenings"] if h["kind"] == "event"]


@pytest.mark.parametrize("policy", ["round-robin", "simultaneous", "random"])
def test_a_limit_in_rounds_ends_the_scene_once_everyone_has_acted_so_often(policy: str) -> None:
    scene = scenario(3, limits={"rounds": 4}, policy=policy)
    assert scene.limits.turns == 12
    record = play(scene, _lines("Good morning.", "And to you.", "Cold today."))
    made = [turn["speaker"] for turn in record.rows["turns"]]
    if policy == "random":  # the acts that four rounds take are used up first
        assert record.episode["exit_reason"] in ("round-limit", "turn-limit")
    else:
        assert (record.episode["exit_reason"], record.episode["exit_detail"]) == (
            "round-limit",
            "4",
        )
        assert sorted(made) == ["ada"] * 4 + ["bela"] * 4 + ["cleo"] * 4


def test_agents_are_told_of_the_turns_that_the_rounds_leave() -> None:
    recorder = Recorder(lambda *_: json_act())
    play(scenario(2, limits={"rounds": 2, "turns": 100}), recorder)
    asked = [text_of(prompt) for role in ("ada", "bela") for prompt in recorder.prompts[role]]
    left = [text.rsplit("Turns left in the scene: ", 1)[1].split(".")[0] for text in asked]
    assert left == ["4", "2", "3", "1"]


def test_whoever_leaves_is_waited_for_no_longer() -> None:
    replies = {"ada": json_act(), "bela": json_act(), "cleo": json_act(action="leave")}
    recorder = Recorder(lambda prompt, *_: replies[_role(prompt)])
    record = play(scenario(3, limits={"rounds": 3}), recorder)
    assert record.episode["turns"] == 3 + 2 + 2 and record.episode["exit_reason"] == "round-limit"


def _role(prompt: Any) -> str:
    return str(prompt[0]["content"].split("You are ", 1)[1].split(",", 1)[0].lower())


def test_events_happen_before_a_round_and_after_quiet_or_still_rounds() -> None:
    events = [
        {"id": "bell", "at": "round 3", "text": "A bell rings."},
        {"id": "cough", "when": {"quiet": "1 round"}, "text": "Somebody coughs."},
        {"id": "clock", "when": {"still": "2 rounds"}, "text": "The clock strikes."},
    ]
    scene = scenario(2, events=events, limits={"rounds": 5})
    quiet = play(scene, json_act("", action="none"))
    assert _happened(quiet) == [("cough", 2), ("bell", 4), ("clock", 4)]
    words = iter(f"{word} {word}ing" for word in "abcdefghijklmnop")
    assert _happened(play(scene, lambda *_: json_act(next(words)))) == [("bell", 4)]


def test_stop_rules_look_at_rounds() -> None:
    stale = scenario(3, stop=[{"rule": "staleness", "window": "2 rounds"}], limits={"turns": 30})
    record = play(stale, json_act("Good morning."))
    assert record.episode["exit_reason"] == "staleness"
    assert record.episode["exit_detail"] == "nothing new in 6 turns"
    asked = scenario(3, stop=[{"rule": "agreement", "every": "2 rounds"}], limits={"rounds": 4})
    recorder = Recorder(lambda prompt, *_: json_act())
    recorder.reply = lambda prompt, sampling, schema: (
        '{"answer": "no"}' if "answer" in schema["properties"] else json_act()
    )
    calls = _judged(asked, recorder)
    assert calls == [6, 12]


def _judged(scene: Scenario, recorder: Any) -> list[int]:
    record = play(scene, lambda *given: recorder.reply(*given))
    return [call["seen"] for call in record.rows["calls"] if call["purpose"] == "referee"]


def test_a_run_may_limit_rounds_and_continue(tmp_path: Path) -> None:
    data = {
        "name": "short", "scenarios": ["two-stalls-one-square", "coins-for-the-well"],
        "cultures": ["GBR"], "limits": {"rounds": 2}, "model": {"name": "fake"},
        "out": str(tmp_path),
    }  # fmt: skip
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(data))
    plan = make_plan(RunConfig.model_validate(data))
    assert [scene.limits.turns for scene in plan.scenarios] == [4, 8]
    assert plan.resolved["limits"]["rounds"] == 2 and "turns" not in plan.resolved["limits"]
    assert command("run", path, "--quiet") == 0 and command("run", path, "--quiet") == 0
    with open_reader(tmp_path / "short") as con:
        ended = con.execute("select exit_reason, turns from episodes order by turns").fetchall()
    assert ended == [("round-limit", 4), ("round-limit", 8)]
    assert command("replay", tmp_path / "short", "--quiet") == 0


def test_what_has_no_rounds_keeps_its_data() -> None:
    assert "rounds" not in Limits().model_dump() and Limits().model_dump()["turns"] == 12


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("limits: {rounds: 0}", "too small; found 0"),
        ("limits: {rounds: many}", "must be a whole number"),
        (
            "events: [{id: bell, at: 2 rounds, text: A bell.}]",
            "from 1 to 2000, or rounds as 'round 3'",
        ),
        ("events: [{id: bell, at: round 90, text: A bell.}]", "can never happen"),
        ("events: [{id: bell, when: {quiet: 2 turns}, text: A bell.}]", "rounds as '2 rounds'"),
        ("stop: [{rule: staleness, window: 99 rounds}]", "less than window"),
        ("stop: [{rule: agreement, every: 0}]", "number of acts from 1 to 50"),
    ],
)
def test_spans_that_cannot_be_are_told_at_their_place(line: str, told: str, tmp_path: Path) -> None:
    data = scenario(2).model_dump(mode="json", exclude_unset=True)
    for role in data["roles"].values():
        del role["persona"]
    data.pop("limits")
    text = yaml.safe_dump(data, sort_keys=False) + line + "\n"
    path = tmp_path / "test-scene.yaml"
    path.write_text(text, encoding="utf-8")
    problems = [one for one in check_file(path) if one.severity == "error"]
    assert len(problems) == 1 and told in problems[0].text(), problems
    assert problems[0].line == text.count("\n") and problems[0].column > 1
