"""How a scene unfolds: who hears an act, what counts as said, when phases and scenes are over."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import ROLES, Recorder, json_act, play, scenario, text_of, who_asks

from simulation.episode.episode import Record

FORMS = ("json", "script")
EXITS = {
    "turn-limit", "token-limit", "wall-limit", "agreement", "deal", "walk-away", "staleness",
    "goal-reached", "phases-over", "event", "empty-stage", "model-failure", "budget",
}  # fmt: skip


def ending(record: Record) -> tuple[str, str | None]:
    return record.episode["exit_reason"], record.episode["exit_detail"]


def speakers(record: Record) -> list[str]:
    assert record.episode["exit_reason"] != "error", record.episode["exit_detail"]
    return [turn["speaker"] for turn in record.rows["turns"]]


def saying(*lines: str, **fields: Any) -> Any:
    """Return a reply function that gives one line after the other, and the last one for ever."""
    left = iter([*lines[:-1], *itertools.repeat(lines[-1], 500)])
    return lambda *_: json_act(next(left), **fields)


# Who hears ----------------------------------------------------------------------------------------

HEARS: list[tuple[Any, list[str], list[str]]] = [
    ("addressees", [], []),
    ("addressees", ["Cleo"], ["cleo"]),
    ("nobody", [], []),
    ("nobody", ["Cleo"], []),
    ("cleo", [], ["cleo"]),
    (["bela", "cleo"], [], ["bela", "cleo"]),
    (["cleo"], ["Bela"], []),
    ("actors", [], ["bela"]),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("hears", "to", "audience"), HEARS)
def test_who_hears_an_act(hears: Any, to: list[str], audience: list[str], form: str) -> None:
    def reply(prompt: Any, sampling: Any, schema: Any) -> str:
        if "the clock is mine" in text_of(prompt) or who_asks(prompt) != "ada":
            return json_act("Good morning.") if form == "json" else "Good morning."
        whisper = hears == ["cleo"]
        if form == "json":
            return json_act("the clock is mine", to=to, whisper=whisper)
        aside = f"({'whispering ' if whisper else ''}to {to[0]}) " if to else ""
        return f"{aside}the clock is mine"

    phases = [{"id": "sealed", "who": ["ada", "bela"], "hears": hears, "until": {"turns": 1}},
              {"id": "after", "hears": "all"}]  # fmt: skip
    hearing = Recorder(reply)
    record = play(scenario(4, phases=phases, limits={"turns": 9}), hearing, form=form)
    first = record.rows["turns"][0]
    assert (first["speaker"], first["text"]) == ("ada", "the clock is mine"), "the log keeps it"
    assert first["audience"] == audience
    for role in ("bela", "cleo", "dora"):
        heard = ["the clock is mine" in text_of(prompt) for prompt in hearing.prompts[role]]
        assert len(heard) >= 2 and all(heard) == any(heard) == (role in audience), role


@pytest.mark.parametrize(
    ("hears", "told", "offered"),
    [("all", None, ["Bela", "Cleo"]),
     ("nobody", "Nobody hears you now.", None),
     ("cleo", "Only Cleo hears you now.", ["Cleo"]),
     ("addressees", 'Only those you name in "to" hear you now', ["Bela", "Cleo"])],
)  # fmt: skip
def test_an_agent_is_told_who_hears_and_can_address_nobody_else(
    hears: str, told: str | None, offered: list[str] | None
) -> None:
    asked = []

    def reply(prompt: Any, sampling: Any, schema: Any) -> str:
        asked.append((text_of(prompt), schema["properties"]["to"]))
        return json_act()

    play(scenario(3, phases=[{"id": "only", "hears": hears}], limits={"turns": 1}), reply)
    (text, to), *_ = asked
    assert (told in text) if told else ("you now" not in text)
    if offered is None:
        assert to == {"type": "array", "items": {"type": "string"}, "maxItems": 0}
    else:
        assert to["items"]["enum"] == offered


def test_a_play_tells_who_hears_the_next_line() -> None:
    prompts = []

    def reply(prompt: Any, *_: Any) -> str:
        prompts.append(prompt)
        return "Good morning."

    phases = [{"id": "a", "hears": ["cleo"], "until": {"turns": 1}},
              {"id": "b", "hears": "nobody", "until": {"turns": 1}},
              {"id": "c", "hears": "addressees"}]  # fmt: skip
    play(scenario(3, phases=phases, limits={"turns": 3}), reply, form="script")
    assert "[Only Cleo hears the next line.]\nAda:" in prompts[0]
    assert "[Nobody hears the next line.]\nBela:" in prompts[1]
    assert "[Only those who are called by name hear the next line.]\nCleo:" in prompts[2]


def test_a_moderator_is_shown_only_what_its_role_heard() -> None:
    asked = []

    def reply(prompt: Any, sampling: Any, schema: Any) -> str:
        if "next" in schema["properties"]:
            asked.append(text_of(prompt))
            return '{"next": "Bela"}'
        return json_act(f"word of {who_asks(prompt)}")

    phases = [
        {"id": "sealed", "who": ["ada", "bela"], "hears": ["bela"], "until": {"rounds": 1}},
        {"id": "open", "policy": {"name": "moderator", "options": {"moderator": "cleo"}}},
    ]
    roles = {"ada": {}, "bela": {}, "cleo": {"enters": "door"}}
    events = [{"id": "door", "at": 3, "text": "The door opens."}]
    play(scenario(roles, phases=phases, events=events, limits={"turns": 5}), reply)
    assert "word of cleo" in asked[0]
    assert "word of ada" not in asked[0] and "word of bela" not in asked[0]


def test_whoever_did_not_hear_is_not_called_on_as_spoken_to() -> None:
    phases = [{"id": "only", "hears": ["cleo"]}]
    scene = scenario(3, policy="addressed", phases=phases, limits={"turns": 3})
    record = play(
        scene, lambda prompt, *_: json_act(to=["Cleo"] if who_asks(prompt) == "ada" else ["Ada"])
    )
    assert speakers(record) == ["ada", "cleo", "bela"]
    assert record.rows["choices"][2]["why"] == "has not acted yet", "ada did not hear cleo"


# What counts as said ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "lines", "expected"),
    [
        ({"rule": "deal", "offers": "dollars", "phrases": "deal"},
         ("I ask 6,000 dollars.", "No deal."), ("turn-limit", "6")),
        ({"rule": "deal", "offers": "dollars", "phrases": "deal"},
         ("How about 500 dollars?", "It's a deal."), ("deal", "ada, bela")),
        ({"rule": "deal", "offers": "offer", "phrases": "deal"},
         ("I have no offer for you.", "Deal."), ("turn-limit", "6")),
        ({"rule": "agreement", "phrases": "guilty"},
         ("Not guilty, I say.", "I will never say guilty."), ("turn-limit", "6")),
        ({"rule": "agreement", "phrases": "guilty"},
         ("Guilty.", "Who says guilty here?"), ("turn-limit", "6")),
        ({"rule": "agreement", "phrases": "guilty", "not": "innocent"},
         ("Guilty.", "Hm.", "Innocent.", "Guilty."), ("turn-limit", "6")),
        ({"rule": "agreement", "phrases": "agreed"},
         ("Agreed.", "Let me think.", "I changed my mind.", "Agreed."), ("turn-limit", "6")),
        ({"rule": "agreement", "phrases": "aye", "whole_line": True},
         ("Aye to that.", "Aye."), ("turn-limit", "6")),
        ({"rule": "agreement", "phrases": "aye", "whole_line": True},
         ("Aye!", "aye"), ("agreement", "ada, bela")),
        ({"rule": "goal-reached", "phrases": "the key is yours"},
         ("The key is not yet mine to give.", "The key is yours? No."), ("turn-limit", "6")),
    ],
)  # fmt: skip
def test_stop_rules_hear_what_is_meant(
    rule: dict[str, Any], lines: tuple[str, ...], expected: tuple[str, str]
) -> None:
    filler = ("Hm.",) if len(lines) > 2 else ()
    reply = saying(*lines, *filler) if filler else (
        lambda prompt, *_: json_act(lines[who_asks(prompt) == "bela"])
    )  # fmt: skip
    assert ending(play(scenario(stop=[rule]), reply)) == expected


def test_the_language_a_role_speaks_decides_which_words_negate() -> None:
    roles = {"ada": {"language": "de"}, "bela": {}}
    rule = {"rule": "agreement", "phrases": ["einverstanden", "agreed"]}
    lines = {"ada": "Einverstanden bin ich nicht.", "bela": "Agreed."}
    scene = scenario(roles, stop=[rule])
    assert ending(play(scene, lambda p, *_: json_act(lines[who_asks(p)])))[0] == "turn-limit"
    lines["ada"] = "Einverstanden!"
    assert ending(play(scene, lambda p, *_: json_act(lines[who_asks(p)])))[0] == "agreement"


# Phases -------------------------------------------------------------------------------------------


def test_a_rule_in_a_phase_looks_at_the_phase_alone_and_the_last_phase_ends_the_scene() -> None:
    vote = {"rule": {"rule": "agreement", "phrases": ["aye"]}}
    phases = [{"id": "bridge", "until": vote}, {"id": "school", "until": vote},
              {"id": "drinks", "until": {"turns": 2}}]  # fmt: skip
    lines = (
        "Aye.",
        "Aye to that.",
        "Aye too.",
        "No, never.",
        "Aye.",
        "Aye.",
        "Aye now.",
        "Cheers.",
    )
    record = play(scenario(3, phases=phases, limits={"turns": 20}), saying(*lines))
    assert ending(record) == ("phases-over", "drinks")
    assert [turn["phase"] for turn in record.rows["turns"]] == [
        *["bridge"] * 3, *["school"] * 4, *["drinks"] * 2,
    ]  # fmt: skip


@pytest.mark.parametrize("rule", [{"rule": "walk-away"}, {"rule": "staleness", "window": 2}])
def test_what_ended_one_phase_does_not_end_the_next_one_at_once(rule: dict[str, Any]) -> None:
    def reply(prompt: Any, *_: Any) -> str:
        leaves = who_asks(prompt) == "bela" and rule["rule"] == "walk-away"
        return json_act(action="leave") if leaves else json_act("Same old.")

    phases = [{"id": "one", "until": {"rule": rule}}, {"id": "two", "until": {"rule": rule}}]
    record = play(scenario(3, phases=phases, limits={"turns": 9}), reply)
    second = [turn for turn in record.rows["turns"] if turn["phase"] == "two"]
    assert len(second) >= 2


def test_a_rule_that_asks_a_referee_asks_about_its_phase() -> None:
    asked = []

    def reply(prompt: Any, sampling: Any, schema: Any) -> str:
        if "answer" in schema["properties"]:
            asked.append(text_of(prompt))
            return '{"answer": "no"}'
        return json_act(f"Line {sampling.seed}.")

    phases = [{"id": "talk", "until": {"turns": 3}},
              {"id": "vote", "until": {"rule": {"rule": "agreement", "every": 2}}}]  # fmt: skip
    record = play(scenario(phases=phases, limits={"turns": 5}), reply)
    texts = [turn["text"] for turn in record.rows["turns"]]
    assert len(asked) == 1
    assert all(text in asked[0] for text in texts[3:])
    assert not any(text in asked[0] for text in texts[:3])


def test_an_event_ends_the_last_phase_and_with_it_the_scene() -> None:
    events = [{"id": "bell", "at": 3, "text": "The bell rings."}]
    phases = [{"id": "only", "until": {"event": "bell"}}]
    record = play(scenario(events=events, phases=phases), json_act())
    assert ending(record) == ("phases-over", "only") and len(record.rows["turns"]) == 2


@pytest.mark.parametrize("policy", ["simultaneous", "round-robin", "addressed", "random"])
def test_a_round_is_one_act_of_everyone_who_is_there(policy: str) -> None:
    def reply(prompt: Any, *_: Any) -> str:
        leaves = who_asks(prompt) == "cleo" and "Turns left in the scene: 10" in text_of(prompt)
        return json_act(action="leave") if leaves else json_act("My score is seven.")

    phases = [{"id": "talk", "policy": "round-robin", "until": {"rounds": 1}},
              {"id": "score", "policy": policy, "until": {"rounds": 2}},
              {"id": "report", "who": ["ada"], "until": {"turns": 1}}]  # fmt: skip
    record = play(scenario(3, phases=phases, limits={"turns": 12}), reply)
    acted = [turn["speaker"] for turn in record.rows["turns"] if turn["phase"] == "score"]
    assert "cleo" not in acted and {"ada", "bela"} <= set(acted)
    if policy != "random":
        assert acted == ["ada", "bela"] * 2
    assert ending(record) == ("phases-over", "report")


def test_opens_and_the_moderator_begin_each_phase_that_lets_them() -> None:
    phases = [
        {"id": "a", "until": {"turns": 2}},
        {"id": "b", "who": ["ada", "bela"], "until": {"turns": 1}},
        {"id": "c", "policy": "addressed", "until": {"turns": 1}},
    ]
    record = play(scenario(3, opens="cleo", phases=phases), json_act())
    assert speakers(record) == ["cleo", "ada", "bela", "cleo"]
    assert record.rows["choices"][3]["why"] == "opens the phase"
    led = {"name": "moderator", "options": {"moderator": "cleo"}}
    phases = [
        {"id": "harvest", "who": ["ada", "bela"], "policy": "simultaneous", "until": {"rounds": 1}},
        {"id": "meeting", "policy": led, "until": {"turns": 2}},
        {"id": "end", "policy": led, "until": {"turns": 1}},
    ]
    record = play(scenario(3, phases=phases), json_act())
    assert speakers(record)[2] == speakers(record)[4] == "cleo"


def test_a_moderator_who_has_left_calls_on_nobody() -> None:
    def reply(prompt: Any, sampling: Any, schema: Any) -> str:
        if "next" in schema["properties"]:
            assert "leads this conversation" not in text_of(prompt)
            return '{"next": "Bela"}'
        return json_act(action="leave") if who_asks(prompt) == "cleo" else json_act()

    led = {"name": "moderator", "options": {"moderator": "cleo"}}
    record = play(scenario(4, policy=led, limits={"turns": 4}), reply)
    assert record.rows["choices"][1]["why"] == "called on by the moderator"


def test_an_event_may_repeat_whenever_it_is_quiet() -> None:
    events = [{"id": "bell", "when": {"quiet": 2}, "every": True, "text": "The bell rings."}]
    quiet = play(scenario(events=events, limits={"turns": 7}), json_act("", action="none"))
    assert [h["after_turn"] for h in quiet.rows["happenings"]] == [2, 4, 6]
    acts = iter(["none", "none", "none", "speak", "none", "none", "none"])
    record = play(scenario(events=events, limits={"turns": 7}),
                  lambda *_: json_act("Well.", action=next(acts)))  # fmt: skip
    assert [h["after_turn"] for h in record.rows["happenings"]] == [2, 6]
    del events[0]["every"]
    once = play(scenario(events=events, limits={"turns": 7}), json_act("", action="none"))
    assert [h["after_turn"] for h in once.rows["happenings"]] == [2]


def test_an_event_carries_on_a_scene_that_stands_still() -> None:
    events = [{"id": "knock", "when": {"still": 2}, "every": True, "text": "Somebody knocks."}]
    stale = [{"rule": "staleness", "window": 5}]
    same = play(scenario(events=events, stop=stale, limits={"turns": 9}), json_act("Well then."))
    assert [h["after_turn"] for h in same.rows["happenings"]] == [3, 5]
    assert ending(same)[0] == "staleness"
    lines = iter(["One two.", "One two.", "One two.", "Three four.", "Five six.", "Five six."])
    carried = play(scenario(events=events, stop=stale, limits={"turns": 6}),
                   lambda *_: json_act(next(lines)))  # fmt: skip
    assert [h["after_turn"] for h in carried.rows["happenings"]] == [3]
    assert ending(carried)[0] == "turn-limit"


@pytest.mark.parametrize("rule", ["goal-reached", "agreement", "deal"])
def test_nobody_is_asked_about_a_scene_that_everyone_has_left(rule: str) -> None:
    def reply(prompt: Any, sampling: Any, schema: Any) -> str:
        assert "answer" not in schema["properties"]
        return json_act(action="leave")

    scene = scenario(3, policy="simultaneous", stop=[{"rule": rule, "every": 1}])
    assert ending(play(scene, reply)) == ("empty-stage", "ada, bela, cleo")


# Names in texts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_a_role_in_braces_is_its_name_in_every_text(form: str) -> None:
    roles = {
        "ada": {"brief": "Kin of {bela}.", "goal": "Ask {bela}.", "secret": "{bela} owes you.",
                "knows": ["{bela} is here."]},
        "bela": {},
    }  # fmt: skip
    phases = [{"id": "one", "brief": "{ada} begins."}]
    events = [{"id": "cough", "when": {"says": "{bela}"}, "text": "{bela} coughs."}]
    hearing = Recorder(lambda *_: json_act("Well, Bela.") if form == "json" else "Well, Bela.")
    scene = scenario(roles, title="Of {ada}", phases=phases, events=events,
                     setting="The house of {ada}, {{ada}} and {nobody}.")  # fmt: skip
    record = play(scene, hearing, form=form)
    text = text_of(hearing.prompts["ada"][-1])
    for told in ("Of Ada", "The house of Ada, {{ada}} and {nobody}.", "Kin of Bela.", "Ask Bela.",
                 "Bela owes you.", "Bela is here.", "Ada begins.", "Bela coughs."):  # fmt: skip
        assert told in text or (told == "Kin of Bela." and form == "script"), told
    assert record.rows["roles"][0]["goal"] == "Ask Bela."
    assert [h["text"] for h in record.rows["happenings"]] == ["Ada begins.", "Bela coughs."]


# Any scene ----------------------------------------------------------------------------------------

PHRASES = st.sampled_from([["agreed"], ["deal"], ["I am grateful"], []])
RULES = st.fixed_dictionaries(
    {"rule": st.sampled_from(["agreement", "deal", "walk-away", "staleness", "goal-reached"]),
     "phrases": PHRASES, "offers": st.just(["truth"]), "every": st.integers(1, 3)},
    optional={"not": st.just(["no deal"]), "whole_line": st.booleans()},
)  # fmt: skip
POLICIES = st.sampled_from(
    ["round-robin", "random", "addressed", "bidding", "network", "simultaneous", "moderator",
     {"name": "moderator", "options": {"moderator": "bela"}}]
)  # fmt: skip


@st.composite
def scenes(draw: st.DrawFn) -> dict[str, Any]:
    count = draw(st.integers(2, 4))
    some = st.lists(st.sampled_from(ROLES[:count]), min_size=1, unique=True)
    until = st.fixed_dictionaries(
        {},
        optional={"turns": st.integers(1, 4), "rounds": st.integers(1, 2), "event": st.just("bell"),
                  "rule": RULES},
    )  # fmt: skip
    hears = st.one_of(st.sampled_from(["all", "actors", "addressees", "nobody"]), some)
    phase = st.fixed_dictionaries(
        {"hears": hears}, optional={"who": some, "policy": POLICIES, "until": until}
    )
    phases = draw(st.lists(phase, max_size=3))
    roles: dict[str, dict[str, Any]] = {role: {} for role in ROLES[:count]}
    if count > 2 and draw(st.booleans()):
        roles[ROLES[count - 1]] = {"enters": "bell"}
    tie = {"between": ["ada", "bela"], "type": "kin", "closeness": 3}
    return {
        "roles": roles, "policy": draw(POLICIES), "stop": draw(st.lists(RULES, max_size=2)),
        "phases": [{"id": f"p{n}", **one} for n, one in enumerate(phases)],
        "opens": draw(st.sampled_from([None, *ROLES[:count]])), "relationships": [tie],
        "limits": {"turns": draw(st.integers(1, 12))},
        "events": [{"id": "bell", "when": {"quiet": draw(st.integers(1, 2))}, "text": "A bell.",
                    "every": draw(st.booleans())}],
    }  # fmt: skip


@given(scenes(), st.integers(0, 2**32), st.sampled_from(FORMS), st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_scene_ends_properly_and_keeps_what_is_sealed(
    fields: dict[str, Any], seed: int, form: str, whispering: bool
) -> None:
    from agents.models.fake import FakeModel

    fake, said = FakeModel(), itertools.count()
    prompts: list[tuple[str | None, str]] = []

    def reply(prompt: Any, sampling: Any, schema: Any) -> str:
        text = text_of(prompt)
        mine = schema is None or "text" in schema["properties"]
        prompts.append((who_asks(prompt) if mine else None, text))
        made = fake._scripted(prompt, sampling, schema)
        if not mine:
            return made
        mark = f"mark{next(said)}end"
        if form == "script":
            return made.replace(".", f" {mark}.") if "[" not in made else made
        return made.replace('"text": "', f'"text": "{mark} ')

    scene = scenario(fields.pop("roles"), **fields)
    record = play(scene, reply, form=form, seed=seed)
    assert record.episode["exit_reason"] in EXITS, record.episode["exit_detail"]
    present = {role for role, part in scene.roles.items() if not part.enters}
    entered = {
        h["after_turn"]: h["name"] for h in record.rows["happenings"] if h["kind"] == "entrance"
    }
    by_step: dict[int, set[str]] = {}
    for turn in record.rows["turns"]:
        present |= {role for after, role in entered.items() if after < turn["turn"]}
        there = by_step.setdefault(turn["step"], set(present))
        assert turn["speaker"] in there
        assert set(turn["audience"]) <= there - {turn["speaker"]}
        if turn["action"] == "leave":
            present.discard(turn["speaker"])
            entered = {after: role for after, role in entered.items() if role != turn["speaker"]}
        for mark in [word for word in (turn["text"] or "").split() if word.startswith("mark")]:
            knows = {turn["speaker"], *turn["audience"], None}
            assert {role for role, text in prompts if mark.strip(".") in text} <= knows
