"""Each turn policy chooses whom it says it chooses, and the log says why."""

import itertools
import json

import pytest
from scenes import ROLES, json_act, play, scenario, text_of, who_asks

from folkways.errors import UserError
from simulation.episode.episode import Record


def speakers(record: Record) -> list[str]:
    assert record.episode["exit_reason"] != "error", record.episode["exit_detail"]
    return [turn["speaker"] for turn in record.rows["turns"]]


def test_round_robin_begins_with_the_opener() -> None:
    record = play(scenario(3, opens="bela"), json_act())
    assert speakers(record) == ["bela", "cleo", "ada"] * 2
    assert record.rows["choices"][0]["why"] == "opens the scene"


def test_round_robin_passes_over_those_who_left() -> None:
    def reply(prompt, sampling, schema):
        return json_act(action="leave") if who_asks(prompt) == "bela" else json_act()

    assert speakers(play(scenario(3), reply)) == ["ada", "bela", "cleo", "ada", "cleo", "ada"]


def test_random_never_repeats_and_depends_on_the_seed() -> None:
    scene = scenario(4, policy="random", limits={"turns": 30})
    one, same, other = (speakers(play(scene, json_act(), seed=seed)) for seed in (1, 1, 2))
    assert one == same != other
    assert all(a != b for a, b in itertools.pairwise(one))
    assert set(one) == set(ROLES[:4])


def test_addressed_answers_first() -> None:
    def reply(prompt, sampling, schema):
        return json_act(to=["Cleo"] if who_asks(prompt) == "ada" else [])

    record = play(scenario(3, policy="addressed"), reply)
    assert speakers(record) == ["ada", "cleo", "bela", "ada", "cleo", "bela"]
    assert record.rows["choices"][1]["why"] == "spoken to by Ada"
    assert record.rows["choices"][2]["why"] == "has not acted yet"


def test_bidding_lets_the_highest_speak_and_keeps_the_bids() -> None:
    bids = {"ada": "3", "bela": "9", "cleo": '"much"'}

    def reply(prompt, sampling, schema):
        if "bid" in schema["properties"]:
            return f'{{"bid": {bids[who_asks(prompt)]}}}'
        return json_act()

    record = play(scenario(3, policy="bidding", limits={"turns": 2}), reply)
    assert speakers(record) == ["bela", "bela"]
    assert record.rows["choices"][0]["bids"] == {"ada": 3, "bela": 9}, (
        "an unreadable bid is missing"
    )
    made = [(call["purpose"], call["role"], call["failure"]) for call in record.rows["calls"]]
    failed = ("bid", "cleo", "parse-failure")
    assert made == [("bid", "ada", None), ("bid", "bela", None), failed, failed,
                    ("act", "bela", None)] * 2  # fmt: skip
    assert [choice["fallback"] for choice in record.rows["choices"]] == [False, False]


def test_moderator_calls_on_a_name() -> None:
    def reply(prompt, sampling, schema):
        if "next" in schema["properties"]:
            assert "secret" not in text_of(prompt)
            return json.dumps({"next": "Cleo"})
        return json_act()

    scene = scenario(3, policy={"name": "moderator", "options": {"moderator": "ada"}},
                     limits={"turns": 3})  # fmt: skip
    record = play(scene, reply)
    assert speakers(record) == ["ada", "cleo", "bela"], "an impossible answer falls to the silent"
    whys = [choice["why"] for choice in record.rows["choices"]]
    assert whys[1:] == ["called on by Ada", "the moderator's answer could not be read"]


@pytest.mark.parametrize("form", ["json", "script"])
@pytest.mark.parametrize("said", ["Cleo", "**Cleo**", "I choose Cleo.", "cleo", '["Cleo"]'])
def test_a_moderator_that_answers_in_plain_words_is_heard(said: str, form: str) -> None:
    asked = 0

    def reply(prompt, sampling, schema):
        nonlocal asked
        if "next" in (schema or {}).get("properties", {}):
            asked += 1
            return said if asked == 1 else '{"next": "Bela"}'
        return "Good morning." if form == "script" else json_act()

    moderated = {"name": "moderator", "options": {"moderator": "ada"}}
    record = play(scenario(3, policy=moderated, limits={"turns": 2}), reply, form=form)
    assert speakers(record) == ["ada", "cleo"] and asked == 1
    assert [call["failure"] for call in record.rows["calls"]] == [None, None, None]
    assert [choice["fallback"] for choice in record.rows["choices"]] == [False, False]


@pytest.mark.parametrize("said", ["Bela or Cleo", "Dora", "Ada", "", "<think>Cleo?</think>"])
def test_a_moderator_that_names_nobody_is_asked_again_and_then_a_fallback(said: str) -> None:
    repairs = []

    def reply(prompt, sampling, schema):
        if "next" in schema["properties"]:
            repairs.append(prompt[-1]["content"])
            return said
        return json_act()

    moderated = {"name": "moderator", "options": {"moderator": "ada"}}
    record = play(scenario(3, policy=moderated, limits={"turns": 2}), reply)
    calls = [call for call in record.rows["calls"] if call["purpose"] == "moderate"]
    assert [call["failure"] for call in calls] == ["parse-failure"] * 2
    assert "could not be used" in repairs[1] or "think" in said
    assert [choice["fallback"] for choice in record.rows["choices"]] == [False, True]
    assert speakers(record) == ["ada", "bela"]


def test_network_hears_and_answers_along_ties() -> None:
    ties = [
        {"between": ["ada", "bela"], "type": "sisters", "closeness": 4},
        {"between": ["bela", "cleo"], "type": "neighbours", "closeness": 2},
    ]
    record = play(scenario(3, policy="network", relationships=ties), json_act())
    assert speakers(record) == ["ada", "bela", "cleo", "bela", "ada", "bela"]
    heard = {turn["speaker"]: turn["audience"] for turn in record.rows["turns"]}
    assert heard == {"ada": ["bela"], "bela": ["ada", "cleo"], "cleo": ["bela"]}


def test_simultaneous_acts_do_not_hear_each_other_within_a_step() -> None:
    prompts = []

    def reply(prompt, sampling, schema):
        prompts.append((who_asks(prompt), text_of(prompt)))
        return json_act(f"word-of-{who_asks(prompt)}")

    record = play(scenario(3, policy="simultaneous", limits={"turns": 5}), reply)
    turns = [(turn["step"], turn["speaker"]) for turn in record.rows["turns"]]
    assert turns == [(1, "ada"), (1, "bela"), (1, "cleo"), (2, "ada"), (2, "bela")]
    for role, text in prompts[:3]:
        assert "word-of-" not in text, role
    for role, text in prompts[3:]:
        for other in ROLES[:3]:
            assert f"word-of-{other}" in text, (role, other)


def test_a_policy_of_the_users_own() -> None:
    scene = scenario(2, policy="simulation.episode.turn_policies:simultaneous", limits={"turns": 2})
    assert speakers(play(scene, json_act())) == ["ada", "bela"]


@pytest.mark.parametrize("name", ["loudest", "no.such.module:policy"])
def test_unknown_policies_are_named(name: str) -> None:
    with pytest.raises(UserError, match=name):
        play(scenario(policy=name), json_act())
