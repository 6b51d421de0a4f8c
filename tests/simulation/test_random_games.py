"""Properties that hold in any game: random worlds, played by players who try anything."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from scenes import ROLES, persona, scenario, who_asks

from agents.models.base import Sampling
from agents.models.fake import FakeModel
from scenarios.culture import load_cultures
from scenarios.scenario import Scenario
from scenarios.world.check import world_faults
from simulation.episode.agent_calls import Caller
from simulation.episode.budget import Budget, BudgetConfig
from simulation.episode.entry import Entry
from simulation.episode.graph import EpisodeContext, play
from simulation.episode.scene_state import SceneState
from simulation.episode.seats import CallSettings

_AMOUNT = {"type": "integer", "min": 0}
_MOVES: dict[str, dict[str, Any]] = {
    "give": {
        "args": {"whom": {"type": "role"}, "coins": _AMOUNT | {"max": "purse[self]"}},
        "effects": {"purse[self]": "purse[self] - coins", "purse[whom]": "purse[whom] + coins"},
    },
    "rob": {
        "args": {"whom": {"type": "role"}, "coins": _AMOUNT},
        "effects": {"purse[self]": "purse[self] + coins", "purse[whom]": "purse[whom] - coins"},
    },
    "fund": {
        "args": {"coins": _AMOUNT | {"max": "purse[self]"}},
        "effects": {"pool": "pool + coins", "purse[self]": "purse[self] - coins"},
    },
    "draw": {
        "args": {"coins": _AMOUNT | {"max": "pool", "shares": "pool"}},
        "effects": {"pool": "pool - coins", "purse[self]": "purse[self] + coins"},
    },
}
"""Acts that move coins and make none."""
_OTHERS: dict[str, dict[str, Any]] = {
    "stir": {"effects": {"pool": "3 * pool - 40"}},
    "split": {"args": {"by": {"type": "integer"}}, "effects": {"pool": "pool / by"}},
    "oust": {
        "args": {"whom": {"type": "role"}},
        "removes": "whom",
        "requires": "count(present) > 2",
    },
    "boast": {"args": {"how": {"type": "text"}}, "says": "{self} boasts: {how}"},
}
_RESOLVE = (None, "random", "purse[self]", "0.0 - double(purse[self])")


@st.composite
def games(draw: st.DrawFn) -> Scenario:
    """Return a small game: bounds, acts, order of acts, votes and rounds by chance."""
    count = draw(st.integers(2, 4))
    moves = draw(st.lists(st.sampled_from(sorted(_MOVES)), min_size=1, unique=True))
    others = draw(st.lists(st.sampled_from(sorted(_OTHERS)), unique=True))
    most = draw(st.integers(5, 30))
    acts = {name: (_MOVES | _OTHERS)[name] for name in moves + others}
    trade: dict[str, Any] = {
        "id": "trade",
        "acts": [*acts, *draw(st.sampled_from([(), ("speak", "leave", "none")]))],
        "policy": draw(st.sampled_from(["simultaneous", "round-robin", "random"])),
        "until": {draw(st.sampled_from(["rounds", "turns"])): draw(st.integers(1, 3))},
    }
    if order := draw(st.sampled_from(_RESOLVE)):
        trade["resolve"] = order
    vote = {"ask": "Who goes?", "options": "present", "then": {"removes": "winner"}}
    vote |= {"rule": draw(st.sampled_from(["plurality", "majority", "approval", "ranked"]))}
    phases = [trade]
    if draw(st.booleans()):
        phases.append({"id": "ballot", "vote": vote | {"ties": "random"}})
    if draw(st.booleans()):
        phases.append({"id": "home", "acts": [], "returns": "roles.filter(r, purse[r] > 5)"})
    return scenario(
        count,
        world={
            "pool": {"type": "integer", "start": draw(st.integers(0, 20)), "min": 0,
                     "max": most * 4},
            "purse": {
                "type": "integer", "each": "role", "start": draw(st.integers(0, 5)), "min": 0,
                "max": most, "visible": "owner",
            },
        },
        acts=acts,
        phases=phases,
        repeat={"phases": [one["id"] for one in phases], "times": draw(st.integers(1, 4))},
        payoff="purse[self]",
        limits={"turns": 40},
    )  # fmt: skip


def _anything(scene: Scenario, seed: int) -> Any:
    """Return replies of players who try whatever has a name, within its bounds or not."""
    rng = random.Random(seed)

    def reply(prompt: Any, *_: object) -> str:
        name = rng.choice([*scene.acts, "vote", "speak", "leave", "none", "fly"])
        others = [role.title() for role in scene.roles if role != who_asks(prompt)]
        many = [*others, rng.choice(others)][: rng.randint(1, 3)]
        args = {
            "whom": rng.choice([*others, "Nobody"]), "coins": rng.randint(-1, 9),
            "by": rng.randint(-1, 2), "how": rng.choice(["", "loudly"]),
            "choice": rng.choice([others[0], many]), "to": [], "whisper": False, "text": "Well.",
        }  # fmt: skip
        return (
            rng.choice(["no", "{"]) if rng.random() < 0.05 else json.dumps({"action": name} | args)
        )

    return reply


def _stage(scene: Scenario) -> SceneState:
    cast = {role: persona(role) for role in ROLES if role in scene.roles}
    return SceneState(scene, cast, load_cultures(), "en", "json", "none")


def _played(scene: Scenario, seed: int) -> tuple[SceneState, list[Entry], list[str | None]]:
    """Return the stage at the end, the log, and why the scene ended."""
    stage, budget = _stage(scene), Budget(BudgetConfig(), time.monotonic)
    model = FakeModel(reply=_anything(scene, seed))
    caller = Caller(model, CallSettings(Sampling(), 60, 0), stage, seed, budget)
    state = asyncio.run(play(EpisodeContext(stage, caller, None, 0.0, lambda: 0.0)))
    assert state["exit"]
    return stage, state["log"], state["exit"]


def _values_over_time(scene: Scenario, log: list[Entry]) -> list[dict[str, Any]]:
    """Return the values after every entry, folded by hand."""
    values: dict[str, Any] = {
        name: {role: variable.start for role in scene.roles} if variable.each else variable.start
        for name, variable in scene.world.items()
    }
    found = [json.loads(json.dumps(values))]
    for entry in log:
        for name, role, value in entry.get("changes", ()):
            if role is None:
                values[name] = value
            else:
                values[name][role] = value
        found.append(json.loads(json.dumps(values)))
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(games(), st.integers(0, 10**6))
def test_what_holds_in_any_game(scene: Scenario, seed: int) -> None:
    assert list(world_faults(scene)) == []
    stage, log, ending = _played(scene, seed)
    event(str(ending[0]))
    over_time = _values_over_time(scene, log)
    pool, purse = scene.world["pool"], scene.world["purse"]
    for values in over_time:  # no value leaves its bounds
        assert 0 <= values["pool"] <= pool.max
        assert all(0 <= one <= purse.max for one in values["purse"].values())
    if not {"stir", "split"} & set(scene.acts):  # coins are moved, never made
        assert len({one["pool"] + sum(one["purse"].values()) for one in over_time}) == 1
    assert stage.world and stage.world.values == over_time[-1]
    _nobody_acts_who_is_out(log)
    _whatever_is_refused_says_why(log)
    again = _stage(scene)  # the state is a fold of the log
    again.absorb(log)
    assert again.world and again.world.values == stage.world.values
    assert (again.here(), again.rounds, again.phase_index, again.world.round) == (
        stage.here(), stage.rounds, stage.phase_index, stage.world.round,
    )  # fmt: skip
    for role in scene.roles:
        assert again.ask(role).prompt_hash == stage.ask(role).prompt_hash
    assert _played(scene, seed)[1] == log  # and the same seed plays the same game


def _nobody_acts_who_is_out(log: list[Entry]) -> None:
    out, leaving = set[str](), set[tuple[int, str]]()
    for entry in log:
        out |= {role for step, role in leaving if step < entry["step"]}
        if entry["kind"] == "removal":
            out.add(entry["name"])
        elif entry["kind"] == "return":
            out.discard(entry["name"])
            leaving = {one for one in leaving if one[1] != entry["name"]}
        elif entry["kind"] == "turn":
            assert entry["speaker"] not in out
            assert not out & set(entry["audience"])
            if entry["action"] == "leave":  # what is done at the same time is still perceived
                leaving.add((entry["step"], entry["speaker"]))


def _whatever_is_refused_says_why(log: list[Entry]) -> None:
    for entry in (one for one in log if one["kind"] == "turn"):
        made = entry.get("act")
        if entry["failure"] == "not-allowed":
            assert made and made["reason"] and made["granted"] is None
        elif made and made["reason"]:
            assert entry["action"] == "non-verbal" and made["granted"] is None
        elif made and made["name"] in _MOVES:
            assert made["granted"] is not None
            assert 0 <= made["granted"]["coins"] <= made["args"]["coins"]
