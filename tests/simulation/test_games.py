"""Games by their textbook: what scripted players earn in them, worked out by hand."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.models.fake import FakeModel
from scenarios.checks.check import check_file
from scenarios.library import games, load_scenario
from scenarios.world.schema import Vote
from simulation.episode.votes import winner
from simulation.rehearsal import rehearse
from simulation.script_tests import run_tests
from simulation.store.record import Record

Player = Callable[[str, int], str]
"""What a role does, by the prompt's end and the number of its act from 0."""
SCRIPT = {"model": {"name": "fake", "reply_form": "script", "repairs": 0}}


def played(name: str, players: dict[str, Player], seed: int = 0) -> Record:
    """Play a shipped game with a function for each role."""
    scene = rehearse(name, SCRIPT, seed=seed)
    roles = {shown: role for role, shown in scene.stage().names.items()}
    made = dict.fromkeys(players, -1)

    def reply(prompt: object, *_: object) -> str:
        role = roles[str(prompt).rsplit("\n", 1)[-1].partition(":")[0]]
        made[role] += 1
        return players[role](str(prompt), made[role])

    return asyncio.run(scene.play(model=FakeModel(reply=reply)))


def payoffs(record: Record) -> dict[str, float]:
    return {row["role"]: row["payoff"] for row in record.rows["payoffs"]}


def always(line: str) -> Player:
    return lambda prompt, number: line


def tit_for_tat(other: str) -> Player:
    """Keep the price at first, then do what the other has done last."""

    def play(prompt: str, number: int) -> str:
        (told,) = re.findall(r"price of the last day ([^;\n]*)", prompt)[-1:]
        left, right = re.findall(r"(keep|cut)", told)
        return f"[answer {left if other == 'left_stall' else right}]" if number else "[answer keep]"

    return play


@pytest.mark.parametrize("name", games())
def test_games_are_sound_and_their_own_tests_pass(name: str) -> None:
    assert check_file(games()[name]) == []
    results = run_tests(name)
    assert results and [one for one in results if one.faults] == []


@pytest.mark.parametrize(
    ("right", "earned"),
    [("keep", (30, 30)), ("cut", (9, 14)), ("tit-for-tat", (30, 30))],
)
def test_tit_for_tat_earns_what_the_literature_says(right: str, earned: tuple[int, int]) -> None:
    """Ten days, 5, 3, 1 and 0. Against one who always cuts: 0 + 9 x 1 and 5 + 9 x 1."""
    other = tit_for_tat("left_stall") if right == "tit-for-tat" else always(f"[answer {right}]")
    record = played(
        "two-stalls-one-square", {"left_stall": tit_for_tat("right_stall"), "right_stall": other}
    )
    assert payoffs(record) == {"left_stall": earned[0], "right_stall": earned[1]}


@pytest.mark.parametrize("given", [(0, 0, 0, 0), (20, 20, 20, 20), (5, 10, 15, 20), (20, 0, 0, 0)])
def test_public_goods_pay_by_the_formula(given: tuple[int, ...]) -> None:
    """Ten months of 20 - own + 1.6 * sum / 4."""
    roles = ("north", "east", "south", "west")
    players = {r: always(f"[answer {g}]") for r, g in zip(roles, given, strict=True)}
    expected = {r: 10 * (20 - g + 0.4 * sum(given)) for r, g in zip(roles, given, strict=True)}
    assert payoffs(played("coins-for-the-well", players)) == pytest.approx(expected)


def fisher(share: int) -> Player:
    """Take a share in percent of the lake, rounded down; talk in spring."""

    def play(prompt: str, number: int) -> str:
        if "[fish TONS]" not in prompt.rsplit("knows:", 1)[-1]:
            return "[says nothing]"
        tons = int(re.findall(r"tons in the lake (\d+)", prompt)[-1])
        return f"[fish {tons * share // 100}]"

    return play


def test_a_lake_that_is_spared_is_full_every_spring() -> None:
    """Three times 16 of 100 leave 52, which doubles to the cap: twelve times 48."""
    fishers = {f"fisher_{n}": fisher(16) for n in (1, 2, 3)}
    record = played("the-lake-in-spring", fishers)
    assert payoffs(record) == dict.fromkeys(fishers, 192)
    pool = [row["number"] for row in record.rows["world"] if row["cause"] == "before:spring"]
    assert pool == [100] * 12 and record.episode["turns"] == 72


def test_a_lake_that_is_overfished_is_gone() -> None:
    """Three times 25 %: 100, 25 left, 50; 12 each, 14 left, 28; 7 each, 7, 14; 3 each, 5, 10; 2
    each, 4 left: the fish do not come back."""
    fishers = {f"fisher_{n}": fisher(25) for n in (1, 2, 3)}
    record = played("the-lake-in-spring", fishers)
    assert payoffs(record) == dict.fromkeys(fishers, 25 + 12 + 7 + 3 + 2)
    assert record.episode["exit_detail"] == "the-lake-is-empty"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 100), min_size=4, max_size=4))
def test_a_second_price_auction_is_settled_like_any_other(bids: list[int]) -> None:
    roles = ("baker", "nurse", "pilot", "tutor")
    value = dict(zip(roles, (62, 45, 80, 31), strict=True))
    record = played(
        "one-clock-four-letters",
        {role: always(f"[answer {bid}]") for role, bid in zip(roles, bids, strict=True)},
    )
    won = roles[bids.index(max(bids))]
    gain = value[won] - sorted(bids)[-2]
    assert payoffs(record) == {role: gain if role == won else 0 for role in roles}


def test_the_truth_is_the_best_bid_in_a_second_price_auction() -> None:
    """Whatever the others write, no bid of the pilot gains more than the true value."""
    others = {"baker": 62, "nurse": 45, "tutor": 31}

    def gain(bid: int) -> float:
        players = {role: always(f"[answer {one}]") for role, one in others.items()}
        record = played("one-clock-four-letters", players | {"pilot": always(f"[answer {bid}]")})
        return payoffs(record)["pilot"]

    assert gain(80) == 18 == max(gain(bid) for bid in (0, 40, 61, 63, 79, 81, 100))


def ballots(*given: str) -> dict[str, list[str]]:
    return {f"v{n}": list(ballot) for n, ballot in enumerate(given)}


@pytest.mark.parametrize(
    ("rule", "ties", "given", "won"),
    [
        ("plurality", "nobody", ("a", "a", "b"), "a"),
        ("plurality", "nobody", ("a", "b"), None),
        ("plurality", "first", ("b", "a"), "a"),
        ("majority", "nobody", ("a", "a", "b"), "a"),
        ("majority", "nobody", ("a", "a", "b", "c"), None),
        ("unanimity", "nobody", ("a", "a"), "a"),
        ("unanimity", "nobody", ("a", "b"), None),
        ("unanimity", "nobody", ("a", ""), None),
        ("approval", "nobody", ("ab", "b", "c"), "b"),
        # c is struck out and its ballot goes to b: 2 + 1 against 2.
        ("ranked", "nobody", ("ab", "ab", "ba", "ba", "cb"), "b"),
        ("ranked", "nobody", ("a", "b"), None),
        ("plurality", "nobody", ("", ""), None),
    ],
)
def test_votes_are_counted_by_their_rule(
    rule: str, ties: str, given: tuple[str, ...], won: str | None
) -> None:
    vote = Vote.model_validate({"ask": "Who?", "options": ["a", "b", "c"], "rule": rule})
    vote = vote.model_copy(update={"ties": ties})
    assert winner(vote, ballots(*given), ["a", "b", "c"], random.Random(1)) == won


def test_a_tie_by_lot_goes_to_one_of_those_with_most() -> None:
    vote = Vote(ask="Who?", options=("a", "b", "c"), ties="random")
    drawn = {winner(vote, ballots("a", "b"), "abc", random.Random(seed)) for seed in range(20)}
    assert drawn == {"a", "b"}


@pytest.mark.parametrize(("first", "second"), [*product(("barn", "fence"), repeat=2)])
def test_the_stag_hunt_has_two_equilibria(first: str, second: str) -> None:
    table = {"barn": {"barn": 4, "fence": 0}, "fence": {"barn": 3, "fence": 3}}
    players = {
        "upper_yard": always(f"[answer {first}]"),
        "lower_yard": always(f"[answer {second}]"),
    }
    expected = {"upper_yard": table[first][second], "lower_yard": table[second][first]}
    assert payoffs(played("a-beam-for-two", players)) == expected


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", games())
def test_games_come_to_an_end_whatever_is_played(name: str, seed: int) -> None:
    scene = rehearse(name, {"model": {"name": "fake", "reply_form": "json"}}, seed=seed)
    record = asyncio.run(scene.play())
    assert record.episode["exit_reason"] in ("phases-over", "when", "turn-limit", "walk-away")
    told = {row["role"] for row in record.rows["payoffs"] if row["payoff"] is not None}
    assert told == (set(scene.scenario.roles) if scene.scenario.payoff else set())
    for row in record.rows["world"]:
        variable = scene.scenario.world[row["variable"]]
        value = row["value"] if variable.type == "choice" else row["number"]
        value = bool(value) if variable.type == "boolean" else value
        value = int(value) if variable.type == "integer" else value
        assert variable.fits(value)


def _by_turns(*lines: str) -> Player:
    """Say the lines in order, again and again."""
    return lambda prompt, number: lines[number % len(lines)]


ALL = "*"
"""Every role that has no line of its own."""
RATIONAL: dict[str, dict[str, tuple[str, ...]]] = {
    "a-beam-for-two": {ALL: ("[answer fence]",)},
    "as-fast-as-the-slowest": {ALL: ("[answer 1]",)},
    "coins-and-cold-shoulders": {ALL: ("[answer 0]", "[let_be]")},
    "coins-for-a-stranger": {ALL: ("[answer 0]",)},
    "coins-for-the-well": {ALL: ("[answer 0]",)},
    "one-clock-four-letters": {
        "baker": ("[answer 62]",), "nurse": ("[answer 45]",), "pilot": ("[answer 80]",),
        "tutor": ("[answer 31]",),
    },
    "seed-grain-on-credit": {"farmer": ("[send 0]",), "miller": ("[send_back 0]",)},
    "six-sacks-of-saffron": {
        "ana": ("[bid 55]", "[wait]"), "ben": ("[wait]", "[bid 55]", "[wait]"), "dov": ("[sell]",),
        "eli": ("[wait]", "[sell]"), ALL: ("[wait]",),
    },
    "the-envelope-and-the-nod": {"proposer": ("[offer_coins 1]",), "responder": ("[nod]",)},
    "the-lake-in-spring": {ALL: ("[fish 100]",)},
    "the-rug-over-the-chair": {"buyer": ("[name_price 55]",), "seller": ("[agree]",)},
    "two-stalls-one-square": {ALL: ("[answer cut]",)},
}  # fmt: skip
"""What rational players do in each game that has an equilibrium."""
OTHERWISE: dict[str, tuple[str, tuple[tuple[str, ...], ...]]] = {
    "a-beam-for-two": ("upper_yard", (("[answer barn]",),)),
    "as-fast-as-the-slowest": ("tape", (("[answer 2]",), ("[answer 7]",))),
    "coins-and-cold-shoulders": (
        "east", (("[answer 1]", "[let_be]"), ("[answer 0]", "[fine west]")),
    ),
    "coins-for-a-stranger": ("giver", (("[answer 1]",), ("[answer 10]",))),
    "coins-for-the-well": ("south", (("[answer 1]",), ("[answer 20]",))),
    "one-clock-four-letters": ("baker", (("[answer 0]",), ("[answer 79]",), ("[answer 81]",))),
    "seed-grain-on-credit": ("farmer", (("[send 1]",), ("[send 10]",))),
    "the-envelope-and-the-nod": ("responder", (("[shake_head]",),)),
    "the-lake-in-spring": ("fisher_2", (("[fish 0]",), ("[fish 50]",))),
    "two-stalls-one-square": (
        "left_stall", (("[answer keep]",), ("[answer cut]", "[answer keep]")),
    ),
}  # fmt: skip
"""A role, and what it might do instead while the others do not."""


def _earned(name: str, plays: dict[str, tuple[str, ...]]) -> dict[str, float]:
    roles = load_scenario(name).roles
    lines = {role: plays.get(role) or plays[ALL] for role in roles}
    return payoffs(played(name, {role: _by_turns(*its) for role, its in lines.items()}))


def test_every_game_with_an_equilibrium_has_rational_players() -> None:
    known = {
        name for name in games() for one in load_scenario(name).benchmarks
        if one.name == "equilibrium" and one.total is not None
    }  # fmt: skip
    assert known == set(RATIONAL)


@pytest.mark.parametrize("name", RATIONAL)
def test_rational_players_earn_the_equilibrium_payoff(name: str) -> None:
    totals = {one.name: one.total for one in load_scenario(name).benchmarks}
    assert sum(_earned(name, RATIONAL[name]).values()) == pytest.approx(totals["equilibrium"])


@pytest.mark.parametrize("name", OTHERWISE)
def test_nobody_gains_by_leaving_the_equilibrium_alone(name: str) -> None:
    role, instead = OTHERWISE[name]
    earned = _earned(name, RATIONAL[name])[role]
    for lines in instead:
        assert _earned(name, RATIONAL[name] | {role: lines})[role] <= earned
