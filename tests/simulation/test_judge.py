"""Free-form acts: a game master chooses among the declared outcomes, and nothing else counts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import command
from scenes import scenario
from world_scenes import Players, act, decided, played, series

from agents.models.base import CallFailed
from folkways.errors import UserError
from scenarios.scenario import Scenario
from simulation.config import RunConfig
from simulation.episode.budget import Budget, BudgetConfig
from simulation.plan import make_plan
from simulation.run import launch
from simulation.store.reader import open_reader

GOAT: dict[str, Any] = {
    "world": {
        "steps": {"type": "integer", "start": 3, "min": 0, "max": 4},
        "craving": {"type": "choice", "options": ["salt", "apples"], "visible": "nobody"},
        "price": {"type": "integer", "start": 7007, "visible": "nobody"},
        "led": {"type": "integer", "each": "role", "start": 0, "visible": "owner"},
    },
    "acts": {
        "lure": {
            "args": {"how": {"type": "text"}},
            "effects": {"led[self]": "led[self] + 10"},
            "judge": "model",
            "knows": ["craving"],
            "outcomes": {
                "nearer": {
                    "about": "It comes a step towards the edge.",
                    "effects": {"steps": "steps - 1", "led[self]": "led[self] + 1"},
                    "report": "{self} has it come: {how}.",
                },
                "higher": {"about": "It takes fright.", "effects": {"steps": "steps + 1"}},
                "throws": {"about": "It throws one off the roof.", "removes": "self"},
            },
        }
    },
    "phases": [{"id": "all", "acts": ["lure"], "until": {"rounds": 1}}],
    "payoff": "led[self]",
}
"""Two people and a goat, each with one try."""
LURE = act("lure", how="I hold out a handful of salt")


def goat(**fields: Any) -> Scenario:
    return scenario(2, **{**GOAT, **fields})


def says(choice: str, reason: str = "Goats like it.") -> Callable[[], str]:
    return lambda: json.dumps({"reason": reason, "choice": choice})


@pytest.mark.parametrize("form", ["json", "script"])
def test_the_outcome_that_is_chosen_and_no_other_changes_the_world(form: str) -> None:
    line = LURE if form == "json" else "[lure I hold out a handful of salt]"
    record = played(goat(), Players(says("nearer"), line), form=form)
    assert series(record, "steps") == [3, 2, 1]
    assert series(record, "led", "ada")[-1] == 1  # the outcome's goes before the act's
    assert (
        decided(record, "act", "outcome", "outcome_reason", "judge_failure")
        == [("lure", "nearer", "Goats like it.", None)] * 2
    )
    assert json.loads(record.rows["decisions"][0]["args"]) == {
        "how": "I hold out a handful of salt"
    }
    calls = {row["call"]: row for row in record.rows["calls"]}
    judged = [calls[call] for (call,) in decided(record, "judge_call")]
    assert [(c["purpose"], c["role"]) for c in judged] == [
        ("game-master", r) for r in ("ada", "bela")
    ]
    told = [h["text"] for h in record.rows["happenings"] if h["kind"] == "report"]
    assert told == [
        f"{name} has it come: I hold out a handful of salt." for name in ("Ada", "Bela")
    ]


def test_where_no_outcome_holds_the_act_has_its_own_effects_alone() -> None:
    record = played(goat(), Players(says("none"), LURE))
    assert series(record, "steps") == [3] and series(record, "led", "ada") == [0, 10]


def test_an_outcome_may_remove_whoever_acts() -> None:
    record = played(goat(), Players(says("throws"), LURE))
    gone = [h["name"] for h in record.rows["happenings"] if h["kind"] == "removal"]
    assert gone == ["ada"] and record.episode["exit_reason"] == "empty-stage"


@pytest.mark.parametrize("form", ["json", "script"])
def test_the_game_master_is_told_what_the_scene_says_and_agents_nothing_of_it(form: str) -> None:
    line = LURE if form == "json" else "[lure I hold out a hand]"
    players = Players(says("higher", "It craves salt, and 7007."), line)
    played(goat(), players, form=form)
    assert all("craving salt" in text and "7007" not in text for text in players.judge)
    assert all("ada-goal" not in text and "led" not in text for text in players.judge)
    assert "I hold out a hand" in players.judge[0] and "steps 3" in players.judge[0]
    for text in players.agents:
        assert not any(word in text for word in ("craving", "7007", "throws", "takes fright"))
        assert "Goats" not in text and "It craves" not in text


def _times_out() -> str:
    raise CallFailed("timeout", "no reply within 60 s")


@pytest.mark.parametrize(
    ("judged", "failure"),
    [
        (says("the-goat-flies"), "parse-failure"),
        (lambda: "Let me think about the goat.", "parse-failure"),
        (lambda: '{"reason": "so", "choice": "near', "parse-failure"),
        (_times_out, "timeout"),
    ],
)
def test_a_game_master_without_an_answer_is_a_failure_and_nothing_comes_of_the_act(
    judged: Callable[[], str], failure: str
) -> None:
    record = played(goat(), Players(judged, LURE), repairs=1)
    assert series(record, "steps") == [3] and series(record, "led", "ada") == [0]
    columns = ("outcome", "judge_failure", "granted", "reason", "cooperation")
    assert decided(record, *columns) == [(None, failure, None, None, None)] * 2
    asked = [row for row in record.rows["calls"] if row["purpose"] == "game-master"]
    assert len(asked) == (2 if failure == "timeout" else 4)
    ended = "endpoint-failure" if failure == "timeout" else "phases-over"
    assert record.episode["exit_reason"] == ended


def test_plain_words_are_read_where_they_begin_with_the_choice() -> None:
    record = played(goat(), Players(lambda: "Higher: the rope frightens it.", LURE))
    assert decided(record, "outcome", "outcome_reason")[0] == ("higher", "the rope frightens it.")


def test_a_budget_that_is_spent_before_the_judgement_is_told_so() -> None:
    budgets = (Budget(BudgetConfig(tokens=n), time.monotonic) for n in range(500, 5000, 100))
    lure = GOAT["acts"]["lure"]
    long = {f"way_{n}": {"about": "It climbs down some way. " * 11} for n in range(9)}
    scene = goat(acts={"lure": lure | {"outcomes": lure["outcomes"] | long}})
    plays = (played(scene, Players(says("nearer"), LURE), budget=one) for one in budgets)
    record = next(one for one in plays if ("budget",) in decided(one, "judge_failure"))
    assert record.episode["exit_reason"] == "budget"
    last = decided(record, "outcome", "judge_failure", "judge_call", "granted")[-1]
    assert last == (None, "budget", None, None)
    made = len(record.rows["decisions"])
    assert series(record, "steps") == [3, 2][:made] and record.episode["turns"] == made


def test_acts_at_once_are_judged_each_by_itself() -> None:
    phases = [GOAT["phases"][0] | {"policy": "simultaneous"}]
    record = played(goat(phases=phases), Players(says("nearer"), LURE))
    assert series(record, "steps") == [3, 2, 1]
    assert decided(record, "judge_call") == [(2,), (4,)]
    assert [row["purpose"] for row in record.rows["calls"]] == ["act", "game-master"] * 2


def test_an_outcome_beyond_a_bound_changes_nothing_and_says_why() -> None:
    world = GOAT["world"] | {"steps": {"type": "integer", "start": 4, "min": 0, "max": 4}}
    record = played(goat(world=world), Players(says("higher"), LURE))
    (first, _) = decided(record, "outcome", "allowed", "reason")
    assert first == (
        "higher",
        False,
        "'steps' cannot be 5; it is integer of at least 0 of at most 4",
    )


@pytest.mark.parametrize("reply", ["[lure ]", "[lure ...]", act("lure"), act("lure", how=7)])
def test_an_act_without_words_is_not_allowed(reply: str) -> None:
    form = "json" if reply.startswith("{") else "script"
    record = played(goat(), Players(says("nearer"), reply), form=form)
    assert decided(record, "reason")[0] == ("'how' must be words of your own.",)
    assert not [row for row in record.rows["calls"] if row["purpose"] == "game-master"]


@pytest.mark.parametrize("form", ["json", "script"])
def test_a_judged_game_is_stored_replayed_branched_and_cached(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "run.yaml"
    text = (
        "name: goat\ncache: {mode: read-write}\nscenarios: [the-goat-on-the-roof]\n"
        "cultures: [GBR]\nreplicates: 2\n"
        f"model: {{name: fake, reply_form: {form}}}\nout: '{tmp_path}'\n"
    )
    config.write_text(text)
    assert command("run", config, "--quiet") == 0
    query = (
        "select count(*) from decisions d join calls c on c.episode_id = d.episode_id "
        "and c.call = d.judge_call and c.purpose = 'game-master' and contains(c.reply, d.outcome)"
    )
    with open_reader(tmp_path / "goat") as con:
        ((id_, *_), *_) = con.execute("select episode_id from episodes").fetchall()
        ((judged,),) = con.execute(query).fetchall()
        assert (
            judged
            == con.execute("select count(*) from decisions where act = 'try'").fetchall()[0][0]
        )
    assert (
        command("branch", str(tmp_path / "goat"), id_, "--at", "1", "--set", "world.steps=5") == 0
    )
    assert command("replay", str(tmp_path / "goat"), "--quiet") == 0
    config.write_text(text.replace("name: goat", "name: again"))
    assert command("run", config, "--quiet", "-o", "cache.mode=replay-strict") == 0
    with open_reader(tmp_path / "again") as con:
        assert con.execute(query).fetchall()[0][0] > 0
    capsys.readouterr()
    assert command("run", config, "--dry-run") == 0
    assert (
        "96 at most" in capsys.readouterr().out
    )  # two episodes of 24 turns, each with a judgement


def test_a_player_that_only_acts_cannot_judge(tmp_path: Path) -> None:
    """In a seat it plays, and the run's model judges."""
    script = tmp_path / "plays.yaml"
    script.write_text('plays: {"*": ["[try I hold out salt]", "Well."]}')
    data: dict[str, Any] = {"name": "x", "scenarios": ["the-goat-on-the-roof"]}
    data |= {"cultures": ["GBR"], "out": str(tmp_path)}
    player = {"name": f"script:{script}"}
    with pytest.raises(UserError, match="answers nothing but acts; give it a seat"):
        make_plan(RunConfig.model_validate(data | {"model": player}))
    data |= {"model": {"name": "fake"}, "models": {"player": player}, "seats": {"*": "player"}}
    plan = make_plan(RunConfig.model_validate(data))
    assert launch(plan, limit=None, fresh=False, quiet=True) == "done"
    with open_reader(tmp_path / "x") as con:
        query = "select distinct purpose, model like 'script:%' from calls order by 1"
        assert con.execute(query).fetchall() == [("act", True), ("game-master", False)]
