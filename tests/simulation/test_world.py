"""Scenes that keep count: acts with effects, what is told of the world, and what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import Recorder, scenario, text_of
from world_scenes import LAKE, act, decided, lake, payoffs, played, series

from folkways.cli import main
from simulation.store.reader import open_reader

FISH = {role: [act("fish", tons=tons)] for role, tons in (("ada", 10), ("bela", 20), ("cleo", 30))}


def test_acts_change_the_world_by_their_effects() -> None:
    record = played(lake(repeat={"phases": ["harvest", "spring"], "times": 1}), FISH)
    assert series(record, "pool") == [100, 90, 70, 40, 80]
    assert series(record, "wealth", "bela") == [0, 20]
    assert payoffs(record) == {"ada": 10, "bela": 20, "cleo": 30}
    assert record.episode["exit_reason"] == "phases-over"
    told = [(h["kind"], h["text"], h["audience"]) for h in record.rows["happenings"]]
    assert ("report", "The lake now holds 80 tons.", ["ada", "bela", "cleo"]) in told
    assert ("report", "Ada comes back from the lake.", ["bela", "cleo"]) in told
    turns = [(t["action"], t["text"], t["audience"]) for t in record.rows["turns"]]
    assert turns[0] == ("non-verbal", "fish 10", [])


def test_a_pool_that_is_overdrawn_is_shared_in_proportion() -> None:
    """49, 96 and 97 of 100: 20.2, 39.7 and 40.1; the ton left over goes to the largest fraction."""
    asked = {"ada": [act("fish", tons=49)], "bela": [act("fish", tons=96)]}
    record = played(lake(), asked | {"cleo": [act("fish", tons=97)]})
    got = [json.loads(row["granted"])["tons"] for row in record.rows["decisions"]]
    assert got == [20, 40, 40] and series(record, "pool")[-1] == 0
    assert record.episode["exit_reason"] == "phases-over" and record.episode["turns"] == 3


@pytest.mark.parametrize(
    ("order", "granted"), [("file", ["ada"]), ("0.0 - double(wealth[self])", ["bela"])]
)
def test_acts_at_once_take_effect_in_the_order_that_is_stated(
    order: str, granted: list[str]
) -> None:
    one = {"args": {"tons": {"type": "integer", "min": 0, "max": 100}}, **_effects()}
    phases = [LAKE["phases"][0] | {"resolve": order}]
    world = LAKE["world"] | {"wealth": {"type": "integer", "each": "role", "start": {"ada": 1}}}
    scene = scenario(2, world=world, acts={"fish": one}, phases=phases)
    record = played(scene, {role: [act("fish", tons=60)] for role in ("ada", "bela")})
    assert [role for role, ok in decided(record, "role", "allowed") if ok] == granted
    (reason,) = [why for _, why in decided(record, "role", "reason") if why]
    assert reason == "'pool' cannot be -20; it is integer of at least 0"


def _effects() -> dict[str, dict[str, str]]:
    return {"effects": LAKE["acts"]["fish"]["effects"]}


def test_a_random_order_depends_on_the_seed_alone() -> None:
    phases = [LAKE["phases"][0] | {"resolve": "random"}]
    fish = {"args": {"tons": {"type": "integer", "min": 0, "max": 100}}, **_effects()}
    scene = scenario(2, world=LAKE["world"], acts={"fish": fish}, phases=phases)
    lines = {role: [act("fish", tons=60)] for role in ("ada", "bela")}
    first = [decided(played(scene, lines, seed=s), "role", "allowed") for s in range(12)]
    assert first == [decided(played(scene, lines, seed=s), "role", "allowed") for s in range(12)]
    assert len({tuple(one) for one in first}) == 2


@pytest.mark.parametrize("form", ["json", "script"])
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"tons": 101}, "'tons' must be a whole number from 0 to 100."),
        ({"tons": -1}, "'tons' must be a whole number from 0 to 100."),
        ({"tons": "many"}, "'tons' must be a whole number from 0 to 100."),
        ({"tons": 2.5}, "'tons' must be a whole number from 0 to 100."),
    ],
)
def test_what_is_out_of_bounds_is_recorded_and_changes_nothing(
    form: str, given: dict[str, object], reason: str
) -> None:
    reply = act("fish", **given) if form == "json" else f"[fish {given['tons']}]"
    record = played(lake(), {role: [reply] for role in FISH}, form=form)
    assert {row["reason"] for row in record.rows["decisions"]} == {reason}
    assert {turn["failure"] for turn in record.rows["turns"]} == {"not-allowed"}
    assert set(series(record, "pool")) == {100}


def test_an_act_that_is_not_allowed_is_asked_for_once_more() -> None:
    lines = {role: [act("fish", tons=500), act("fish", tons=5)] for role in FISH}
    record = played(lake(), lines, repairs=1)
    assert decided(record, "allowed")[0] == (True,) and series(record, "pool")[1] == 95
    assert [call["purpose"] for call in record.rows["calls"]][:2] == ["act", "repair"]


@pytest.mark.parametrize("line", ["[fish 12]", "[Fish 12 tons]", "[fish tons: 12]", "(fish 12)"])
def test_a_bracketed_line_of_a_play_is_an_act(line: str) -> None:
    record = played(lake(), {role: [line] for role in FISH}, form="script")
    assert decided(record, "act", "args")[0] == ("fish", '{"tons": 12}')
    assert series(record, "pool")[1] == 88


@pytest.mark.parametrize(("reply", "cut"), [(" 12] and rows home", "and rows home"), (" 12", None)])
def test_a_prompt_opens_the_bracket_where_only_an_act_can_follow(
    reply: str, cut: str | None
) -> None:
    recorder = Recorder(lambda *_: reply)
    record = played(lake(), recorder, form="script")
    assert text_of(recorder.prompts["ada"][0]).endswith("\nAda: [fish")
    assert decided(record, "act", "args")[0] == ("fish", '{"tons": 12}')
    assert record.rows["turns"][0]["cut"] == cut


def test_words_and_an_act_on_one_line_are_neither() -> None:
    record = played(lake(), {role: ["Off I go. [fish 12]"] for role in FISH}, form="script")
    assert decided(record, "reason")[0] == ("an act stands alone on its line, without words.",)


def test_the_schema_of_a_reply_grows_by_the_acts_that_are_allowed() -> None:
    seen: list[dict[str, object]] = []
    talk = scenario(2, world=LAKE["world"], acts=LAKE["acts"])
    for scene in (lake(), talk):
        played(scene, lambda p, s, schema: seen.append(schema) or act("fish", tons=1))  # type: ignore[func-returns-value]
    first, last = seen[0]["properties"], seen[-1]["properties"]
    assert first == {
        "action": {"type": "string", "enum": ["fish"]},
        "tons": {"type": "integer", "minimum": 0, "maximum": 100},
    }
    assert isinstance(last, dict)
    assert last["action"]["enum"] == ["fish", "speak", "non-verbal", "leave", "none"]
    assert list(last) == ["action", "to", "whisper", "text", "tons"]


@pytest.mark.parametrize("form", ["json", "script"])
def test_hidden_variables_reach_only_those_who_may_see_them(form: str) -> None:
    hidden = {
        "mine": {"type": "integer", "each": "role", "visible": "owner"},
        "ours": {"type": "integer", "each": "role", "visible": "team"},
        "some": {"type": "integer", "start": 7007, "visible": ["cleo"]},
        "none": {"type": "integer", "start": 8008, "visible": "nobody"},
    }
    roles = ("ada", "bela", "cleo")
    for base, name in ((1101, "mine"), (2201, "ours")):
        hidden[name]["start"] = {role: base + n for n, role in enumerate(roles)}
    teams = {"wolves": {"roles": ["ada", "bela"]}}
    scene = lake(world=LAKE["world"] | hidden, teams=teams)
    reply = act("fish", tons=3) if form == "json" else "[fish 3]"
    recorder = Recorder(lambda *_: reply)
    played(scene, recorder, form=form)
    sees = {
        "ada": {1101, 2201, 2202},
        "bela": {1102, 2201, 2202},
        "cleo": {1103, 2203, 7007},
    }
    every = {1101, 1102, 1103, 2201, 2202, 2203, 7007, 8008}
    for role in roles:
        text = " ".join(text_of(prompt) for prompt in recorder.prompts[role])
        assert {number for number in every if str(number) in text} == sees[role]


def test_a_world_that_cannot_be_worked_out_ends_the_scene_as_such() -> None:
    phases = [LAKE["phases"][0], LAKE["phases"][1] | {"before": {"pool": "100 / (pool - 40)"}}]
    record = played(lake(phases=phases), FISH)
    assert record.episode["exit_reason"] == "world-error"
    assert record.episode["exit_detail"] == "'100 / (pool - 40)' divides by zero"
    phases[1] = phases[1] | {"before": {"pool": "pool * 9000000000000000 * 9000000000000000"}}
    assert "too large" in played(lake(phases=phases), FISH).episode["exit_detail"]
    phases[1] = phases[1] | {"before": {"pool": "pool - 1000"}}
    record = played(lake(phases=phases), FISH)
    assert record.episode["exit_detail"] == "'pool' cannot be -960; it is integer of at least 0"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 130), min_size=3, max_size=30), st.integers(0, 5))
def test_nothing_is_lost_and_nothing_leaves_its_bounds(wanted: list[int], seed: int) -> None:
    at = iter(wanted * 12)
    record = played(
        lake(phases=[LAKE["phases"][0], {"id": "spring", "acts": []}]),
        lambda *_: act("fish", tons=next(at)),
        seed=seed,
    )
    assert all(value >= 0 for value in series(record, "pool"))
    assert sum(v or 0 for v in payoffs(record).values()) == 100 - series(record, "pool")[-1]


def _file(folder: Path) -> Path:
    import yaml

    data = lake().model_dump(mode="json", exclude_none=True, exclude_unset=True)
    for role in data["roles"].values():
        del role["persona"]
    path = folder / "test-scene.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return path


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as done:
        main(list(arguments))
    return int(str(done.value.code or 0))


def test_a_stored_world_is_replayed_branched_and_queried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(
        f"name: lake\nscenarios: ['{_file(tmp_path)}']\ncultures: [GBR]\nmodel: {{name: fake}}\n"
        f"out: '{tmp_path}'\n"
    )
    assert _run("run", str(config), "--quiet") == 0
    run = str(tmp_path / "lake")
    with open_reader(tmp_path / "lake") as con:
        ((id_,),) = con.execute("select episode_id from episodes").fetchall()
    assert _run("branch", run, id_, "--at", "0", "--set", "world.pool=40", "--quiet") == 0
    with open_reader(tmp_path / "lake") as con:
        query = "select value from world join branches using (episode_id) where cause = 'branch'"
        assert con.execute(query).fetchall() == [("40",)]
    capsys.readouterr()
    assert _run("replay", run, "--quiet") == 0
    for wrong, told in (
        ("world.pool=-1", "it is integer of at least 0"),
        ("world.lake=1", "unknown variable 'lake'"),
        ("world.wealth=1", "each role has one"),
        ("world.pool.ada=1", "there is one for all"),
    ):
        assert _run("branch", run, id_, "--at", "0", "--set", wrong) == 1
        assert told in capsys.readouterr().err


def _phases(*phases: dict[str, object]) -> list[dict[str, object]]:
    return [{"acts": ["speak"], "until": {"rounds": 1}} | phase for phase in phases]


def test_phases_branch_by_what_the_world_has_come_to() -> None:
    count = {"n": {"type": "integer"}}
    phases = _phases(
        {"id": "a", "after": {"n": "n + 1"}, "next": [{"phase": "c", "when": "n == 2"}]},
        {"id": "b", "next": "a"},
        {"id": "c", "next": "end"},
        {"id": "d"},
    )
    record = played(
        scenario(2, world=count, phases=phases, limits={"turns": 40}),
        lambda *_: json.dumps({"action": "speak", "to": [], "whisper": False, "text": "Well."}),
    )
    began = [h["name"] for h in record.rows["happenings"] if h["kind"] == "phase"]
    assert began == ["a", "b", "a", "c"] and series(record, "n") == [0, 1, 2]
    assert record.episode["exit_detail"] == "c"


def test_roles_are_removed_and_return_and_only_those_who_are_there_perceive() -> None:
    phases = _phases(
        {"id": "a"},
        {"id": "b", "removes": "cleo", "briefs": {"pair": "You two are left."}},
        {"id": "c", "returns": "cleo"},
    )
    record = played(
        scenario(3, world={"n": {"type": "integer"}}, phases=phases, limits={"turns": 40},
                 teams={"pair": {"roles": ["ada", "bela"]}}),
        lambda *_: json.dumps({"action": "speak", "to": [], "whisper": False, "text": "Well."}),
    )  # fmt: skip
    speakers = [(t["phase"], t["speaker"], t["audience"]) for t in record.rows["turns"]]
    assert speakers == [
        ("a", "ada", ["bela", "cleo"]), ("a", "bela", ["ada", "cleo"]),
        ("a", "cleo", ["ada", "bela"]),
        ("b", "ada", ["bela"]), ("b", "bela", ["ada"]),
        ("c", "cleo", ["ada", "bela"]), ("c", "ada", ["bela", "cleo"]),
        ("c", "bela", ["ada", "cleo"]),
    ]  # fmt: skip
    told = {h["kind"]: (h["text"], h["audience"]) for h in record.rows["happenings"]}
    assert told["removal"] == ("Cleo is out.", ["ada", "bela", "cleo"])
    assert told["report"] == ("You two are left.", ["ada", "bela"])
    assert told["return"] == ("Cleo is back.", ["ada", "bela", "cleo"])


@pytest.mark.parametrize(("secret", "hearers"), [(True, []), (False, ["bela", "cleo"])])
def test_ballots_are_heard_where_the_vote_is_open(secret: bool, hearers: list[str]) -> None:
    vote = {"ask": "Who?", "options": "roles", "secret": secret, "own": False, "then": {
        "effects": {"chosen": "winner == bela ? 1 : 2"}, "report": "{winner} it is."}}  # fmt: skip
    scene = scenario(
        3, world={"chosen": {"type": "integer"}}, phases=[{"id": "poll", "vote": vote}]
    )
    names = {"ada": "Bela", "bela": "Cleo", "cleo": "Bela"}
    record = played(scene, {role: [act("vote", choice=name)] for role, name in names.items()})
    assert record.rows["turns"][0]["audience"] == hearers
    assert [(v["role"], v["choice"], v["won"]) for v in record.rows["votes"]] == [
        ("ada", "bela", True), ("bela", "cleo", False), ("cleo", "bela", True)]  # fmt: skip
    assert series(record, "chosen") == [0, 1]
    assert record.rows["happenings"][-1]["text"] == "Bela it is."
    own = played(scene, {role: [act("vote", choice=role.title())] for role in names})
    assert {row["allowed"] for row in own.rows["decisions"]} == {False} and not own.rows["votes"]


def test_a_vote_without_options_is_passed_over() -> None:
    vote = {"ask": "Who?", "options": "roles.filter(r, n > 0)", "otherwise": {"report": "Nobody."}}
    phases = [{"id": "poll", "vote": vote}, *_phases({"id": "talk"})]
    record = played(
        scenario(2, world={"n": {"type": "integer"}}, phases=phases),
        lambda *_: json.dumps({"action": "speak", "to": [], "whisper": False, "text": "Well."}),
    )
    assert [h["text"] for h in record.rows["happenings"]] == [None, "Nobody.", None]
    assert record.episode["turns"] == 2


def test_talk_and_acts_go_together_without_phases() -> None:
    scene = scenario(2, world=LAKE["world"], acts=LAKE["acts"], limits={"turns": 4})
    lines = {"ada": ["The nets are wet.", "[fish 5]"], "bela": ["[fish 7]", "So they are."]}
    record = played(scene, lines, form="script")
    assert [(t["action"], t["text"]) for t in record.rows["turns"]] == [
        ("speak", "The nets are wet."), ("non-verbal", "fish 7"), ("non-verbal", "fish 5"),
        ("speak", "So they are."),
    ]  # fmt: skip
    assert series(record, "pool") == [100, 93, 88]
