"""What readers of blind pairs preferred: shares with intervals, agreement, positions, strengths.

Invariant: a reader who saw both orders of a pair has read it once; whoever chooses by position is
left out and named.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from eval.metrics.bootstrap import interval, tabulate
from eval.play.pairs import Choice, Side

_ONE_SIDED, _FEWEST = 0.9, 10
"""Share of one side from which, of so many choices or more, a reader is taken to choose sides."""
_ROUNDS = 1000
"""Rounds of the Bradley-Terry fit at most."""


def one_sided(choices: Sequence[Choice]) -> list[str]:
    """Return the readers who chose the same side nearly always, whatever stood there."""
    by_reader: defaultdict[str, list[str]] = defaultdict(list)
    for choice in choices:
        if choice.side != "tie":
            by_reader[choice.reader].append(choice.side)
    return [
        reader
        for reader, sides in by_reader.items()
        if len(sides) >= _FEWEST and max(Counter(sides).values()) >= _ONE_SIDED * len(sides)
    ]


def preferences(choices: Sequence[Choice], key: Mapping[str, Side], draws: int = 10_000) -> Any:
    """Return what readers preferred, as plain data: for every two systems the share of the first
    (a tie counts half) with its 95 % interval over scenes, how far readers agree, the share of
    choices of the left side, and Bradley-Terry strengths. Readers who choose by side are left out
    and named.
    """
    out = one_sided(choices)
    kept = [choice for choice in choices if choice.reader not in out]
    rng = np.random.default_rng(0)
    pairs: defaultdict[tuple[str, str], list[tuple[str, float]]] = defaultdict(list)
    read = read_by_pair(kept, key)
    for (pair, _), won in read.items():
        first, second = sorted((key[pair].left, key[pair].right))
        pairs[first, second].append((key[pair].scenario, won))
    sides = Counter(choice.side for choice in kept)
    decided = sides["left"] + sides["right"]
    return {
        "choices": len(kept),
        "left_out": out,
        "left_share": sides["left"] / decided if decided else None,
        "ties": sides["tie"],
        "agreement": _agreement(read),
        "both_orders": both_orders(choices, key),
        "pairs": [
            {"first": a, "second": b, **_share(won, rng, draws)} for (a, b), won in pairs.items()
        ],
        "strengths": strengths({two: [w for _, w in won] for two, won in pairs.items()}),
    }


def read_by_pair(
    choices: Sequence[Choice], key: Mapping[str, Side], system: str | None = None
) -> dict[tuple[str, str], float]:
    """Return by pair and reader how far a system won, by default the first by name: 1, 0, a half
    for a tie, and the mean of both where a reader saw both orders."""
    found: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for choice in choices:
        side = key[choice.pair]
        shown = (side.right, side.left) if choice.swapped else (side.left, side.right)
        chosen = dict(zip(("left", "right"), shown, strict=True)).get(choice.side)
        won = 0.5 if chosen is None else float(chosen == (system or min(shown)))
        found[choice.pair, choice.reader].append(won)
    return {one: sum(won) / len(won) for one, won in found.items()}


def both_orders(choices: Sequence[Choice], key: Mapping[str, Side]) -> dict[str, dict[str, Any]]:
    """Return of every reader who saw pairs in both orders how often the first shown was chosen, of
    choices that are no tie, and how often both orders ended alike."""
    found = {}
    for reader in sorted({choice.reader for choice in choices if choice.swapped}):
        own = [choice for choice in choices if choice.reader == reader]
        decided = [choice.side for choice in own if choice.side != "tie"]
        ends: defaultdict[str, list[float]] = defaultdict(list)
        for choice in own:
            ends[choice.pair] += read_by_pair([choice], key).values()
        alike = [won[0] == won[1] for won in ends.values() if len(won) == 2]
        found[reader] = {
            "pairs": len(ends),
            "first_share": decided.count("left") / len(decided) if decided else None,
            "alike_share": sum(alike) / len(alike) if alike else None,
        }
    return found


def _share(won: Sequence[tuple[str, float]], rng: np.random.Generator, draws: int) -> Any:
    scenes = sorted({scene for scene, _ in won})
    sums = np.array([[sum(w for s, w in won if s == scene)] for scene in scenes])
    sizes = np.array([[float(sum(s == scene for s, _ in won))] for scene in scenes])
    table = tabulate(sums, sizes, group=np.zeros(len(scenes), np.intp))
    found = interval(table, rng, rows=True, items=False, draws=draws)
    value, low, high = (float(part[0]) for part in found)
    return {"n": len(won), "share": value, "low": low, "high": high}


def _agreement(read: Mapping[tuple[str, str], float]) -> dict[str, Any]:
    """Return in how many of all pairs of readers of the same pair both chose the same."""
    by_pair: defaultdict[str, list[float]] = defaultdict(list)
    for (pair, _), won in read.items():
        by_pair[pair].append((won > 0.5) - (won < 0.5))
    same = [a == b for sides in by_pair.values() for a, b in combinations(sides, 2)]
    return {"n": len(same), "share": sum(same) / len(same) if same else None}


def strengths(won: Mapping[tuple[str, str], Sequence[float]]) -> dict[str, float]:
    """Return Bradley-Terry strengths as shares that sum to 1, by Hunter's MM algorithm (2004); a
    tie is half a win each. Half a win and half a loss against each rival keep them finite.
    """
    names = sorted({name for two in won for name in two})
    if not names:
        return {}
    place = {name: n for n, name in enumerate(names)}
    wins = np.zeros((len(names), len(names)))
    for (first, second), each in won.items():
        a, b = place[first], place[second]
        wins[a, b] += sum(each) + 0.5
        wins[b, a] += len(each) - sum(each) + 0.5
    played, strength = wins + wins.T, np.full(len(names), 1 / max(len(names), 1))
    for _ in range(_ROUNDS):
        before = strength
        strength = wins.sum(1) / (played / (strength[:, None] + strength)).sum(1)
        strength = strength / strength.sum()
        if np.abs(strength - before).max() < 1e-10:
            break
    return {name: float(strength[place[name]]) for name in names}
