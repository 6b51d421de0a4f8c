"""What happens in a scene: events, phases, stop rules, limits, and what a bad model does to it."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest
from scenes import Recorder, json_act, play, scenario, text_of, who_asks

from agents.models.base import CallFailed
from simulation.episode.budget import Budget, BudgetConfig
from simulation.store.writer import Store


def ending(record: Any) -> tuple[str, str | None]:
    return record.episode["exit_reason"], record.episode["exit_detail"]


def test_timed_and_conditional_events_happen_once() -> None:
    def reply(prompt, sampling, schema):
        return json_act("It is cold today." if who_asks(prompt) == "ada" else "Good morning.")

    events = [
        {"id": "phone", "at": 3, "text": "The phone rings.", "audience": ["ada"]},
        {"id": "stove", "when": {"says": "cold"}, "text": "The stove crackles."},
        {"id": "echo", "when": {"event": "phone"}, "text": "It stops ringing."},
    ]
    record = play(scenario(events=events), reply)
    happened = [(h["name"], h["after_turn"], h["audience"]) for h in record.rows["happenings"]]
    assert happened == [
        ("stove", 1, ["ada", "bela"]), ("phone", 2, ["ada"]), ("echo", 2, ["ada", "bela"]),
    ]  # fmt: skip


def test_an_event_can_end_the_scene_and_one_can_bring_someone_in() -> None:
    events = [
        {"id": "door", "at": 2, "text": "A knock at the door."},
        {"id": "bell", "when": {"leaves": "bela"}, "text": "The bell rings.", "ends": True},
    ]
    roles = {"ada": {}, "bela": {}, "cleo": {"enters": "door"}}
    hearing = Recorder(
        lambda prompt, *_: (
            json_act(action="leave") if who_asks(prompt) == "bela" else json_act("Aye.")
        )
    )
    record = play(scenario(roles, events=events), hearing)
    assert [t["speaker"] for t in record.rows["turns"]] == ["ada", "bela"]
    assert ending(record) == ("event", "bell")
    kinds = [(h["kind"], h["name"]) for h in record.rows["happenings"]]
    assert kinds == [("entrance", "cleo"), ("event", "door"), ("event", "bell")]
    assert record.rows["turns"][0]["audience"] == ["bela"], "who is not there hears nothing"
    assert "(Cleo comes in.)" in text_of(hearing.prompts["bela"][0])


def test_phases_change_who_acts_how_and_who_hears() -> None:
    phases = [
        {"id": "aside", "who": ["ada", "bela"], "hears": "actors", "until": {"turns": 2},
         "brief": "The two step aside."},
        {"id": "gesture", "acts": ["non-verbal"], "until": {"turns": 1}, "policy": "round-robin"},
        {"id": "all"},
    ]  # fmt: skip

    def reply(prompt, sampling, schema):
        acts = schema["properties"]["action"]["enum"]
        return json_act("nods", action=acts[0])

    record = play(scenario(3, phases=phases), reply)
    rows = [(t["phase"], t["speaker"], t["action"], t["audience"]) for t in record.rows["turns"]]
    assert rows[0] == ("aside", "ada", "speak", ["bela"])
    assert rows[2] == ("gesture", "cleo", "non-verbal", ["ada", "bela"])
    assert rows[3] == ("all", "ada", "speak", ["bela", "cleo"])
    assert [h["name"] for h in record.rows["happenings"]] == ["aside", "gesture", "all"]


def test_an_act_that_is_not_allowed_is_recorded_as_such() -> None:
    phases = [{"id": "mute", "acts": ["none"], "until": {"turns": 1}}, {"id": "all"}]
    record = play(scenario(phases=phases), json_act())
    first = record.rows["turns"][0]
    assert (first["action"], first["text"], first["failure"]) == (None, None, "not-allowed")
    assert [c["purpose"] for c in record.rows["calls"][:2]] == ["act", "repair"]


@pytest.mark.parametrize(
    ("rule", "lines", "expected", "turns"),
    [
        ({"rule": "agreement", "phrases": "agreed"}, {"ada": "Agreed.", "bela": "Well, agreed!"},
         ("agreement", "ada, bela"), 2),
        ({"rule": "agreement", "phrases": "agreed"}, {"ada": "Agreed.", "bela": "Disagreed."},
         ("turn-limit", "6"), 6),
        ({"rule": "deal", "offers": ["i offer"], "phrases": "i take it"},
         {"ada": "I offer ten.", "bela": "I take it."}, ("deal", "ada, bela"), 2),
        ({"rule": "deal", "offers": ["i offer"], "phrases": "i take it"},
         {"ada": "I offer ten. I take it.", "bela": "No."}, ("turn-limit", "6"), 6),
        ({"rule": "goal-reached", "phrases": "the key is yours"},
         {"ada": "Hm.", "bela": "The key is yours, then."}, ("goal-reached", "bela"), 2),
        ({"rule": "staleness", "window": 2}, {"ada": "Same old.", "bela": "Same old."},
         ("staleness", "nothing new in 2 turns"), 3),
    ],
)  # fmt: skip
def test_stop_rules_by_words(rule, lines, expected, turns) -> None:
    record = play(scenario(stop=[rule]), lambda prompt, *_: json_act(lines[who_asks(prompt)]))
    assert ending(record) == expected
    assert len(record.rows["turns"]) == turns


def test_walk_away_ends_only_for_the_roles_it_names() -> None:
    def reply(prompt, sampling, schema):
        return json_act(action="leave") if who_asks(prompt) != "cleo" else json_act()

    rule = {"rule": "walk-away", "roles": ["bela"]}
    record = play(scenario(3, stop=[rule]), reply)
    assert ending(record) == ("walk-away", "bela") and len(record.rows["turns"]) == 2


@pytest.mark.parametrize("rule", ["goal-reached", "agreement", "deal"])
@pytest.mark.parametrize("policy", ["round-robin", "simultaneous"])
def test_no_referee_is_asked_about_a_scene_that_everybody_has_left(rule, policy) -> None:
    def reply(prompt, sampling, schema):
        assert "answer" not in schema["properties"]
        return json_act(action="leave")

    record = play(scenario(stop=[{"rule": rule, "every": 2}], policy=policy), reply)
    assert ending(record)[0] == "empty-stage"


def test_a_referee_decides_rules_without_phrases_and_sees_only_public_words() -> None:
    def reply(prompt, sampling, schema):
        if "answer" in schema["properties"]:
            assert "whispered" not in text_of(prompt) and "hidden" not in text_of(prompt)
            settled = "settled" in text_of(prompt)
            return json.dumps(
                {"answer": "yes" if settled != ("still open" in text_of(prompt)) else "no"}
            )
        if who_asks(prompt) == "bela":
            return json_act("whispered words", to=["Ada"], whisper=True)
        return json_act("It is settled." if len(prompt) > 2 else "Let us see.")

    roles = {"ada": {"secret": "Something hidden."}, "bela": {}, "cleo": {}}
    record = play(scenario(roles, stop=[{"rule": "deal", "every": 2}]), reply)
    assert ending(record) == ("deal", "ada, bela, cleo")
    asked = [c for c in record.rows["calls"] if c["purpose"] == "referee"]
    assert len(record.rows["turns"]) == 4
    assert len(asked) == 3, (
        "once after two turns, twice after four: a yes is asked the other way too"
    )


def test_token_and_wall_limits() -> None:
    assert ending(play(scenario(limits={"turns": 9, "tokens": 10}), json_act()))[0] == "token-limit"
    assert (
        ending(play(scenario(limits={"turns": 9, "wall_s": 1e-9}), json_act()))[0] == "wall-limit"
    )


GARBAGE = ["", "%$#", "x" * 100_000, json_act("So. Ada: Yes. Bela: No."), "[" * 5000, "\x1b[31mred"]


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("form", ["json", "script"])
def test_garbage_is_recorded_and_nothing_stands_in_for_it(garbage: str, form: str) -> None:
    if form == "script" and garbage == "\x1b[31mred":
        return  # in a play, that is a line; printing neutralises it
    if form == "script" and garbage.startswith("{"):
        return  # in a play, it is cut where somebody else speaks
    record = play(scenario(), lambda prompt, *_: garbage, form=form)
    assert ending(record) == ("model-failure", "parse-failure")
    for turn in record.rows["turns"]:
        assert turn["action"] is turn["text"] is None and turn["failure"] == "parse-failure"
        assert turn["audience"] == []
    replies = [call["reply"] for call in record.rows["calls"]]
    assert len(replies) == 6 and all(len(reply) < 20_100 for reply in replies)


def test_a_scene_survives_one_bad_turn() -> None:
    def reply(prompt, sampling, schema):
        if who_asks(prompt) == "bela":
            raise CallFailed("refusal", "I cannot take part in this.", attempts=2)
        return json_act()

    record = play(scenario(), reply)
    assert ending(record) == ("turn-limit", "6")
    failed = [t for t in record.rows["turns"] if t["failure"]]
    assert [t["failure"] for t in failed] == ["refusal"] * 3
    call = record.rows["calls"][failed[0]["call"] - 1]
    assert (call["failure"], call["attempts"], call["reply"]) == (
        "refusal", 2, "I cannot take part in this.",
    )  # fmt: skip


def test_an_exception_ends_one_episode_with_its_traceback() -> None:
    def reply(prompt, sampling, schema):
        if len(prompt) > 2:
            raise ZeroDivisionError("broken engine")
        return json_act()

    record = play(scenario(), reply)
    reason, detail = ending(record)
    assert reason == "error" and detail and "broken engine" in detail
    assert len(record.rows["turns"]) == 2, "what had been played is kept"


def test_a_hanging_model_is_a_timeout() -> None:
    async def hang(*_: Any) -> Any:
        await asyncio.sleep(60)

    from agents.models.fake import FakeModel

    class Hanging(FakeModel):
        complete = hang

    from scenes import persona

    from agents.models.base import Sampling
    from scenarios.culture import load_cultures
    from simulation.episode.agent_calls import Caller
    from simulation.episode.scene_state import SceneState
    from simulation.episode.seats import CallSettings

    scene = scenario()
    cast = {role: persona(role) for role in scene.roles}
    stage = SceneState(scene, cast, load_cultures(), "en", "json", "none")
    caller = Caller(
        Hanging(), CallSettings(Sampling(), 0.01, 1), stage, 0,
        Budget(BudgetConfig(), time.monotonic),
    )  # fmt: skip
    act, failure, rows, *_ = asyncio.run(caller.act("ada"))
    assert act is None and failure == "timeout"
    assert rows[0]["reply"] == "no reply within 0.01 s"


def test_a_spent_budget_ends_the_scene_with_its_name() -> None:
    budget = Budget(BudgetConfig(tokens=3000), time.monotonic)
    record = play(scenario(limits={"turns": 50}), json_act(), budget=budget)
    assert ending(record) == ("budget", "budget-tokens")
    assert budget.prompt_tokens + budget.completion_tokens <= 3000
    assert 0 < len(record.rows["turns"]) < 50


def test_an_exception_among_simultaneous_speakers_doubles_nothing() -> None:
    def reply(prompt, sampling, schema):
        if len(prompt) > 2 and who_asks(prompt) == "cleo":
            raise ZeroDivisionError("broken engine")
        return json_act()

    record = play(scenario(3, policy="simultaneous"), reply)
    assert ending(record)[0] == "error"
    assert [(t["turn"], t["step"]) for t in record.rows["turns"]] == [(1, 1), (2, 1), (3, 1)]
    assert [c["call"] for c in record.rows["calls"]] == [1, 2, 3]


def test_a_referee_can_end_a_phase() -> None:
    def reply(prompt, sampling, schema):
        if "answer" in schema["properties"]:
            agreed = text_of(prompt).count("Good morning.") >= 4
            return json.dumps(
                {"answer": "yes" if agreed != ("still open" in text_of(prompt)) else "no"}
            )
        return json_act()

    rule = {"rule": "agreement", "every": 2}
    phases = [{"id": "talk", "until": {"rule": rule}}, {"id": "after"}]
    record = play(scenario(phases=phases), reply)
    began = [(h["name"], h["after_turn"]) for h in record.rows["happenings"]]
    assert began == [("talk", 0), ("after", 4)]
    assert sum(c["purpose"] == "referee" for c in record.rows["calls"]) == 3


def test_a_referee_that_says_yes_to_everything_ends_nothing() -> None:
    def reply(prompt, sampling, schema):
        return json.dumps({"answer": "yes"}) if "answer" in schema["properties"] else json_act()

    rules = [{"rule": "agreement"}, {"rule": "deal"}, {"rule": "goal-reached"}]
    assert ending(play(scenario(stop=rules), reply)) == ("turn-limit", "6")


@pytest.mark.parametrize("form", ["json", "script"])
@pytest.mark.parametrize(
    "name",
    ['Ana "La" O\'Neill', "\U0001f642 Bo", "\u202eאָלֶף", "Robert'); drop table turns;--", "A: B"],
)
def test_any_name_can_take_part(name: str, form: str, tmp_path: Path) -> None:
    def reply(prompt, sampling, schema):
        return json_act("Good morning.", to=[name]) if form == "json" else f"Good morning, {name}."

    record = play(scenario(), reply, form=form, names={"bela": name})
    first = record.rows["turns"][0]
    assert (first["speaker"], first["addressees"], first["failure"]) == ("ada", ["bela"], None)
    store = Store(tmp_path)
    store.create()
    store.append([record])
    with duckdb.connect(str(store.path), read_only=True) as con:
        stored = con.execute("select name from roles where role = 'bela'").fetchone()
    assert stored == (name,)
