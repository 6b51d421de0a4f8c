"""What `scenario check` says of a world: each fault once, at its place, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios.checks.check import check_file
from scenarios.world.expression import WorldFault, compiled
from scenarios.world.expression_type import type_of
from scenarios.world.schema import MAX_EXPRESSION

LAKE = """\
id: the-lake
title: The lake
theme: public-rules
setting: Three people fish the same lake, which feeds their village and fills up again.
roles:
  ann: {brief: A fisher., goal: You want fish for the whole of the winter.}
  bob: {brief: A fisher., goal: You hope to sell a boat next year.}
  cleo: {brief: A fisher., goal: You would like the lake to live.}
teams: {crew: {roles: [ann, bob]}}
world:
  pool: {type: integer, start: 100, min: 0}
  wealth: {type: integer, each: role, visible: owner}
  alive: {type: boolean, each: role, start: true}
  hoard: {type: integer, visible: nobody}
acts:
  fish:
    args: {tons: {type: integer, min: 0, max: pool}}
    requires: alive[self]
    effects: {pool: pool - tons, "wealth[self]": "wealth[self] + tons"}
    says: "{self} comes back."
  haggle:
    args: {whom: {type: role}, words: {type: text}}
    judge: model
    knows: hoard
    outcomes:
      sells: {about: They part with fish., effects: {"wealth[whom]": "wealth[whom] + 1"},
              report: "{whom} sells: {words}"}
phases:
  - {id: harvest, policy: simultaneous, acts: [fish, haggle], until: {rounds: 1}}
  - {id: spring, acts: [], before: {pool: "min(100, 2 * pool)"}, report: "{pool} tons."}
  - {id: ballot, vote: {ask: Who goes?, options: alive, then: {removes: winner}}}
repeat: {phases: [harvest, spring, ballot], times: 12, until: pool < 5}
stop: [{rule: when, expr: "count(alive, crew) == 0", outcome: the-crew-is-gone}]
payoff: wealth[self]
limits: {turns: 90}
tests: [{name: a bargain, plays: {ann: "[fish 1]"}, judged: [sells], expect: {turns: 90}}]
provenance: {author: a test, made: written by hand}
"""
FAULTS = {
    "division by zero": ("2 * pool", "pool / 0", "divides by zero (character 15)"),
    "a name that shadows a role": ("  pool: {type: integer, start", "  ann: {type: integer, start",
                                   "'ann' is the name of a role; rename the variable"),
    "an argument named like a variable": ("tons: {type", "pool: {type",
                                          "is the name of a variable"),
    "an act named like a built-in one": ("  fish:\n", "  leave:\n", "an act that every scene has"),
    "an unknown variable": ("pool: pool - tons", "pols: pool - tons",
                            "no such variable, did you mean 'pool'?"),
    "an unknown name": ("pool < 5", "pols < 5", "there is no 'pols' here, did you mean 'pool'?"),
    "a type that does not fit": ("pool: pool - tons", "pool: tons > 3",
                                 "must be integer, and is boolean"),
    "mixed numbers": ("2 * pool", "1.5 * pool", "write 2.0 for 2, double(x) for x"),
    "an index that is missing": ("payoff: wealth[self]", "payoff: wealth",
                                 "must be number, and is each:integer"),
    "an effect on all": ('"wealth[self]":', "wealth:", "write wealth[self]"),
    "a syntax error": ("pool < 5", "pool <", "a value is missing before the end (character 7)"),
    "a start beyond the bounds": ("start: 100", "start: -4", "not a value it can have; found -4"),
    "bounds the wrong way round": ("min: 0}\n", "min: 0, max: -1}\n", "less than min"),
    "an argument that fits nothing": ("max: pool}", "max: -1}", "less than min"),
    "a bound that gives a secret away": ("max: pool}", "max: hoard}",
                                         "tells whoever acts of 'hoard', which is not visible"),
    "a report that gives a secret away": ('"{pool} tons."', '"{wealth} tons."',
                                          "'{wealth}' is not known there"),
    "an act that is not there": ("acts: [fish, haggle]", "acts: [dive]",
                                 "unknown value; found 'dive'"),
    "a vote without options": ("options: alive", "options: []", "a vote needs options"),
    "a vote about numbers": ("options: alive", "options: wealth",
                             "must be a role or a list of roles, and is each:integer"),
    "a phase that is not there": ("[harvest, spring, ballot]", "[harvest, sprint, ballot]",
                                  "no such phase, did you mean 'spring'?"),
    "phases out of order": ("[harvest, spring, ballot]", "[spring, harvest, ballot]",
                            "must be phases that follow one another"),
    "a loop without end": ("- {id: spring, acts: [],", "- {id: spring, next: spring, acts: [],",
                           "follow one another for ever: spring -> spring"),
    "a removed role that is needed": (
        "- {id: ballot,", "- {id: ballot, who: [bob], removes: bob,",
        "nobody can act: bob have been removed by then"),
    "removed roles that are needed": (
        "- {id: ballot,", "- {id: ballot, who: [bob], removes: '[ann, bob]',",
        "nobody can act: bob have been removed by then"),
    "a phase that nothing leads to": ("- {id: spring,", "- {id: spring, next: [{phase: end}, "
                                      "{phase: ballot}],", "never reached: no phase leads to it"),
    "a function that is a name as well": ("pool < 5", "round(1.5) + round < 5",
                                          "'round' is a function and a name"),
    "a test with a role that is not there": ("plays: {ann:", "plays: {anne:",
                                             "no such role, did you mean 'ann'?"),
    "a test of a variable that is not there": ("expect: {turns: 90}", "expect: {world: {pol: 1}}",
                                               "no such variable, did you mean 'pool'?"),
    "a test of a value that cannot be": ("expect: {turns: 90}", "expect: {world: {pool: many}}",
                                         "not a value it can have"),
    "a stop rule that waits for nothing": ('expr: "count(alive, crew) == 0", ', "", "needs expr"),
    "a role named like a word": ("  bob: {brief", "  self: {brief",
                                 "'self' is the name of a word of expressions; rename the role"),
    "a team named like a role": ("teams: {crew:", "teams: {ann:",
                                 "'ann' is the name of a role; rename the team"),
    "a variable named like a reserved word": ("  hoard: {", "  for: {",
                                              "'for' is the name of a word of expressions"),
    "a bound that gives away what others own": ("max: pool}", "max: sum(wealth)}",
                                                "of others' 'wealth'; only wealth[self]"),
    "options that give away what others own": ("options: alive",
                                               "options: 'roles.filter(r, wealth[r] > 3)'",
                                               "tells whoever acts of others' 'wealth'"),
    "a constant beyond the bounds": ('"min(100, 2 * pool)"', "-3", "not a value it can have"),
    "a number that cannot be kept": ("2 * pool", "99999999999999999999", "(character 10)"),
    "a digit of another script": ("pool < 5", "pool < \uff15", "'\uff15' cannot stand"),
    "macros that go through all roles too often": (
        "pool < 5", "'roles.all(a, roles.all(b, roles.all(c, pool > 3)))'",
        "more than 2 of filter, exists, all, exists_one within one another (character 33)"),
    "a long expression": ("pool < 5", f"'{'pool + ' * 20_000}1 < 5'", "too long"),
    "deep brackets": ("pool < 5", f'"{"(" * 60}pool{")" * 60} < 5"', "more than 20 brackets"),
    "a game master without a choice": (
        LAKE[LAKE.index("    knows: hoard") : LAKE.index("phases:")], "",
        "it has nothing to choose from"),
    "an outcome that nobody judges": ("    judge: model\n    knows: hoard\n", "",
                                      "only an act with judge: model has it"),
    "a game master told of what is not there": ("knows: hoard", "knows: hord",
                                                "no such variable, did you mean 'hoard'"),
    "an outcome of an unknown variable": ('"wealth[whom]":', '"health[whom]":',
                                          "no such variable, did you mean 'wealth'"),
    "an outcome that reads words": ('"wealth[whom] + 1"', '"words == \'fish\' ? 1 : 0"',
                                    "there is no 'words' here"),
    "an outcome that tells a secret": ("sells: {words}", "sells: {hoard}",
                                       "tells everyone of 'hoard', which is not visible to all"),
    "an outcome named like no outcome": ("      sells:", "      none:", "rename it"),
    "words before another argument": ("{whom: {type: role}, words", "{say: {type: text}, words",
                                      "words of one's own are the last argument"),
    "a test that judges what is not there": ("judged: [sells]", "judged: [gives]",
                                             "no such outcome; found gives; allowed: sells, none"),
    "code": ("pool < 5", "\"__import__('os').system('x') == 1\"", "no function __import__"),
}  # fmt: skip


def check(text: str, folder: Path) -> list[str]:
    path = folder / "the-lake.yaml"
    path.write_text(text, encoding="utf-8")
    return [one.render("F") for one in check_file(path) if one.severity == "error"]


def test_a_sound_world_passes(tmp_path: Path) -> None:
    assert check(LAKE, tmp_path) == []


@pytest.mark.parametrize("name", FAULTS)
def test_faults_of_a_world_are_told_at_their_place(name: str, tmp_path: Path) -> None:
    old, new, told = FAULTS[name]
    assert old in LAKE
    lines = check(LAKE.replace(old, new, 1), tmp_path)
    assert any(told in line for line in lines), lines
    first = next(line for line in lines if told in line)
    at = LAKE[: LAKE.index(old)].count("\n") + 1
    assert abs(int(first.split(":")[1]) - at) <= 1 and len(first.splitlines()) == 1, first


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("judge: model", "judge: dice", "judge: unknown value; found 'dice'; allowed: model"),
        (
            "wealth: {type: integer, each: role",
            "wealth: {type: integer, each: actor",
            "found 'actor'",
        ),
        ("{about: They part with fish., ", "{", "sells.about: missing"),
    ],
)
def test_one_wrong_value_is_one_error(old: str, new: str, told: str, tmp_path: Path) -> None:
    (line,) = check(LAKE.replace(old, new, 1), tmp_path)
    assert told in line


def test_a_type_alone_may_stand_for_an_argument(tmp_path: Path) -> None:
    assert check(LAKE.replace("{whom: {type: role},", "{whom: role,"), tmp_path) == []


def test_an_owner_may_be_told_of_its_own(tmp_path: Path) -> None:
    assert check(LAKE.replace("max: pool}", 'max: "wealth[ self ]"}'), tmp_path) == []


def test_types_are_those_of_the_language() -> None:
    names = {"pool": "integer", "rate": "number", "alive": "each:boolean", "self": "role"}
    names |= {"wealth": "each:integer", "crew": "roles", "mood": "text"}
    for text, kind in {
        "pool + 2 * 3": "integer",
        "double(pool) * rate": "number",
        "alive[self] && pool > 3 || self in crew": "boolean",
        "alive.filter(r, r != self && alive[r])": "roles",
        "crew.exists(r, wealth[r] > 3) ? 1 : 2": "integer",
        "best(wealth)": "roles",
        "nth(wealth, 2) + sum(wealth) - max(wealth)": "integer",
        "mood == 'glad' ? rate : 0.0": "number",
        "[self]": "roles",
        "floor(rate) + count(alive, crew)": "integer",
    }.items():
        assert type_of(text, names) == kind, text


def test_values_are_those_of_the_language() -> None:
    known = {"pool": 7, "alive": {"a": True, "b": False}, "wealth": {"a": 3, "b": 9}, "crew": ["a"]}
    for text, value in {
        "pool / 2": 3,
        "-7 / 2": -3,
        "7 % 4": 3,
        "count(alive)": 1,
        "count(alive, crew)": 1,
        "best(wealth)": ["b"],
        "nth(wealth, 2)": 3,
        "min(wealth) + max(wealth) + sum(wealth)": 24,
        "round(2.5)": 3,
        "alive.filter(r, !alive[r])": ["b"],
        "false && 1 / (pool - 7) > 0": False,
    }.items():
        assert compiled(text)(known) == value, text
    for text in ("1 / (pool - 7)", "wealth['z']", "pool * 4611686018427387904", "nth(wealth, 3)"):
        with pytest.raises(WorldFault):
            compiled(text)(known)


def test_an_expression_has_a_bound() -> None:
    assert type_of("+".join(["1"] * (MAX_EXPRESSION // 2)), {}) == "integer"
    for text in ("!" * 500 + "true", "-" * 500 + "1", "(" * 500, "[" * 500, "a?" * 300):
        with pytest.raises(WorldFault):
            type_of(text, {"a": "boolean"})
