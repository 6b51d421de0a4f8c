"""Scenes that keep count at their limits: shares, rounding, refusals, failed ballots, faults."""

from __future__ import annotations

import json

import pytest
from scenes import Recorder, json_act, scenario, text_of
from world_scenes import LAKE, act, decided, lake, payoffs, played, series

EFFECTS = {"effects": LAKE["acts"]["fish"]["effects"]}
COUNT = {"n": {"type": "integer"}}


def test_shares_of_numbers_never_come_to_more_than_there_is() -> None:
    """Thirds of 1.49 in floating point add up to more than it, and the last was refused."""
    world = {"pool": {"type": "number", "start": 1.49, "min": 0}, "n": {"type": "integer"}}
    share = {"args": {"tons": {"type": "number", "min": 0, "shares": "pool"}}}
    fish = share | {"effects": {"pool": "pool - tons"}}
    for asked in ((4.02, 5.77, 4.94), (1.1, 1.7, 2.9), (5.1, 3.3, 9.7), (2.0, 7.1, 1.3)):
        roles = ("ada", "bela", "cleo")
        lines = {q: [act("fish", tons=one)] for q, one in zip(roles, asked, strict=True)}
        record = played(lake(world=world, acts={"fish": fish}, payoff=None), lines)
        assert {ok for (ok,) in decided(record, "allowed")} == {True}
        assert 0 <= series(record, "pool")[3] < 1e-14


def test_acts_that_share_a_pool_share_it_with_one_another() -> None:
    """80 and 80 of 100 by two different acts; of a pool that is below nothing, all get nothing."""
    kinds = {}
    for name, arg in (("fish", "tons"), ("trawl", "nets")):
        argument = {"type": "integer", "min": 0, "shares": "pool"}
        kinds[name] = {"args": {arg: argument}, "effects": {"pool": f"pool - {arg}"}}
    phases = [LAKE["phases"][0] | {"acts": ["fish", "trawl"]}]
    lines = {"ada": [act("fish", tons=80)], "bela": [act("trawl", nets=80)]}
    for start, got in ((100, 50), (-5, 0)):
        world = {"pool": {"type": "integer", "start": start}}
        record = played(scenario(2, world=world, acts=kinds, phases=phases), lines)
        granted = [json.loads(one) for (one,) in decided(record, "granted")]
        assert granted == [{"tons": got}, {"nets": got}]


@pytest.mark.parametrize(("requires", "shots"), [("self in present", 1), ("true", 2)])
def test_who_is_out_by_an_act_at_once_acts_only_where_nothing_forbids_it(
    requires: str, shots: int
) -> None:
    shoot = {"args": {"whom": "role"}, "requires": requires, "removes": "whom"}
    phase = LAKE["phases"][0] | {"acts": ["shoot"], "resolve": "self == bela ? 1 : 0"}
    scene = scenario(2, world=COUNT, acts={"shoot": shoot}, phases=[phase])
    lines = {"ada": [act("shoot", whom="Bela")], "bela": [act("shoot", whom="Ada")]}
    found = decided(played(scene, lines), "role", "reason")
    assert found[1] == ("bela", None) and len([why for _, why in found if why is None]) == shots
    assert found[0] == ("ada", None if shots == 2 else "'shoot' is not allowed any more")


def test_what_is_refused_is_heard_by_nobody() -> None:
    fish = {"args": {"tons": {"type": "integer", "max": "pool"}}, **EFFECTS}
    scene = scenario(2, world=LAKE["world"], acts={"fish": fish}, phases=LAKE["phases"][:1])
    record = played(scene, {role: [act("fish", tons=80)] for role in ("ada", "bela")})
    heard = [(turn["text"], turn["audience"]) for turn in record.rows["turns"]]
    assert heard == [("fish 80", ["bela"]), ("fish 80", [])]


def test_bounds_are_as_they_are_told() -> None:
    """A bound is told with ten digits; the number that was told is the bound."""
    pool = {"type": "number", "start": 200 / 3, "min": 0}
    take = {"args": {"some": {"type": "number", "max": "pool"}}, "effects": {"pool": "pool - some"}}
    phases = [{"id": "h", "acts": ["take"], "until": {"rounds": 1}}]
    scene = scenario(2, world={"pool": pool}, acts={"take": take}, phases=phases)
    recorder = Recorder(lambda *_: act("take", some=66.66666667))
    record = played(scene, recorder)
    assert "(a number of at most 66.66666667)" in text_of(recorder.prompts["ada"][0])
    assert decided(record, "granted")[0] == (json.dumps({"some": 200 / 3}),)
    assert series(record, "pool") == [200 / 3, 0]
    take["args"]["some"] = {"type": "integer", "max": "1234567"}  # type: ignore[index]
    whole = {"pool": {"type": "integer"}}
    played(scenario(2, world=whole, acts={"take": take}, phases=phases), recorder)
    assert "(a whole number of at most 1234567)" in text_of(recorder.prompts["ada"][-1])


@pytest.mark.parametrize(("kind", "given"), [("number", "9" * 400), ("integer", "9" * 300)])
def test_a_number_that_cannot_be_kept_is_not_allowed(kind: str, given: str) -> None:
    say = {"args": {"size": {"type": kind}}}
    phases = [{"id": "h", "acts": ["say"], "until": {"rounds": 1}}]
    scene = scenario(2, world=COUNT, acts={"say": say}, phases=phases)
    for form, line in (
        ("json", act("say", size=given)),
        ("script", f"[say {given}]"),
    ):
        record = played(scene, {role: [line] for role in ("ada", "bela")}, form=form)
        assert decided(record, "args", "allowed") == [('{"size": null}', False)] * 2


@pytest.mark.parametrize("where", ["shares", "resolve", "options", "next"])
def test_a_division_by_zero_anywhere_is_recorded_as_what_it_is(where: str) -> None:
    fish: dict[str, object] = {"args": {"tons": {"type": "integer", "min": 0}}}
    phase: dict[str, object] = {**LAKE["phases"][0], "after": {"n": "n"}}
    vote = {"ask": "Who?", "options": "roles.filter(r, 1 / n > 0)"}
    if where == "shares":
        fish["args"] = {"tons": {"type": "integer", "shares": "1 / n"}}
    elif where == "resolve":
        phase["resolve"] = "1 / n"
    elif where == "next":
        phase["next"] = [{"phase": "end", "when": "1 / n > 0"}]
    phases = [
        phase,
        {"id": "poll", "vote": vote} if where == "options" else {"id": "z", "acts": []},
    ]
    scene = scenario(2, world=COUNT, acts={"fish": fish}, phases=phases)
    record = played(scene, {role: [act("fish", tons=3)] for role in ("ada", "bela")})
    told = [why for (why,) in decided(record, "reason")] + [record.episode["exit_detail"]]
    assert any("divides by zero" in str(one) for one in told) and record.episode["turns"] == 2
    ends = "world-error" if where in ("options", "next") else "phases-over"
    assert record.episode["exit_reason"] == ends


def test_what_follows_a_phase_goes_by_what_the_phase_made_of_the_world() -> None:
    """Before `after` has set n, `10 / n` has no value; that is no fault."""
    ends = [{"phase": "end", "when": "10 / n > 1"}]
    first = {"id": "a", "acts": ["speak"], "until": {"rounds": 1}, "after": {"n": "5"}}
    phases = [first | {"next": ends}, {"id": "b"}]
    scene = scenario(2, world=COUNT, phases=phases, payoff="n")
    record = played(scene, lambda *_: json_act("Well."))
    assert (record.episode["exit_reason"], record.episode["exit_detail"]) == ("phases-over", "a")
    assert payoffs(record) == {"ada": 5, "bela": 5}


def test_a_phase_that_is_passed_by_has_not_begun() -> None:
    talk = {"acts": ["speak"], "until": {"turns": 1}}
    phases = [talk | {"id": "a", "next": "c"}, talk | {"id": "b"}, talk | {"id": "c"}]
    events = [{"id": name, "when": {"phase": name}, "text": "Now."} for name in ("b", "c")]
    scene = scenario(2, world=COUNT, phases=phases, events=events)
    record = played(scene, lambda *_: json_act("Well."))
    assert [one["name"] for one in record.rows["happenings"] if one["kind"] == "event"] == ["c"]


def test_a_last_phase_that_a_rule_ends_has_its_effects() -> None:
    until = {"rule": {"rule": "goal-reached", "phrases": ["all done"]}}
    phases = [{"id": "a", "acts": ["speak"], "until": until, "after": {"n": "n + 5"}}]
    scene = scenario(2, world=COUNT, phases=phases, payoff="n")
    record = played(scene, lambda *_: json_act("We are all done."))
    assert (record.episode["exit_reason"], record.episode["turns"]) == ("phases-over", 1)
    assert payoffs(record) == {"ada": 5, "bela": 5}


@pytest.mark.parametrize("rule", ["majority", "unanimity"])
def test_a_ballot_that_is_no_vote_is_for_nobody(rule: str) -> None:
    """One of three votes; that is neither more than half of those who are asked, nor all."""
    vote = {"ask": "Who?", "options": "roles", "rule": rule, "otherwise": {"report": "Nobody."}}
    scene = scenario(3, world=COUNT, phases=[{"id": "poll", "vote": vote}])
    record = played(scene, {"ada": [act("vote", choice="Bela")], "bela": ["?"], "cleo": ["?"]})
    assert [row["won"] for row in record.rows["votes"]] == [False]
    assert record.rows["happenings"][-1]["text"] == "Nobody."


@pytest.mark.parametrize(
    ("order", "line", "args"),
    [
        (("some", "whom"), "3 Bela Kun", {"some": 3, "whom": "bela"}),
        (("some", "whom"), "some 3 whom: Bela Kun", {"some": 3, "whom": "bela"}),
        (
            ("whom", "how", "some"),
            "Bela very hard 3",
            {"whom": "bela", "how": "very hard", "some": 3},
        ),
        (
            ("whom", "how", "some"),
            "Bela Kun very hard 3",
            {"whom": "bela", "how": "very hard", "some": 3},
        ),
        (
            ("whom", "words"),
            "Bela Kun with both hands",
            {"whom": "bela", "words": "with both hands"},
        ),
        (("whom", "words"), "Bela with both hands", {"whom": "bela", "words": "with both hands"}),
    ],
)
def test_names_and_options_of_several_words_are_read_as_the_prompt_writes_them(
    order: tuple[str, ...], line: str, args: dict[str, object]
) -> None:
    hard = {"type": "choice", "options": ["very hard", "soft"]}
    kinds = {"some": "integer", "whom": "role", "how": hard, "words": "text"}
    give = {"args": {name: kinds[name] for name in order}}
    phases = [{"id": "h", "acts": ["give"], "until": {"rounds": 1}}]
    scene = scenario(2, world=COUNT, acts={"give": give}, phases=phases)
    names = {"ada": "Ada Lovelace", "bela": "Bela Kun"}
    record = played(scene, lambda *_: f"[give {line}]", form="script", names=names)
    assert json.loads(decided(record, "args")[0][0]) == args


@pytest.mark.parametrize("form", ["json", "script"])
def test_options_that_read_like_several_are_one(form: str) -> None:
    options = ["salt and pepper", "bread", "bread and butter"]
    vote = {"ask": "What?", "options": options, "rule": "approval"}
    scene = scenario(2, world=COUNT, phases=[{"id": "poll", "vote": vote}])
    lines = {"ada": "salt and pepper, bread", "bela": "Bread and butter and bread"}
    given = {
        role: [f"[vote {line}]" if form == "script" else act("vote", choice=line)]
        for role, line in lines.items()
    }
    record = played(scene, given, form=form)
    cast = [(row["role"], row["choice"]) for row in record.rows["votes"]]
    assert cast[:2] == [("ada", "salt and pepper"), ("ada", "bread")]
    assert cast[2:] == [("bela", "bread and butter"), ("bela", "bread")]
