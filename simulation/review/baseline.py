"""How far the calibration set gives its faults away to who reads nothing: by length, and by words.

Invariant: a conversation is scored by what was learnt from other conversations alone; all that were
made from one are left out together.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import fmean, pstdev
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from scenarios.words import words
from simulation.review.calibration import Case

_FEWEST = 8
"""Pairs of a kind of fault below which nothing is learnt of it."""


class Pair(NamedTuple):
    """A sound conversation, and the same with a fault."""

    sound: Case
    faulty: Case


class Baseline(NamedTuple):
    """Areas under the receiver operating characteristic for one kind of fault: 0.5 is chance."""

    fault: str
    pairs: int
    length: float
    """Of naive Bayes over lengths: words, and those of a turn on average, at least and at most."""
    words: float
    """Of naive Bayes over the words themselves, wherever they stand."""


Score = Callable[[Case], float]
"""How likely it is that a conversation is faulty, as log odds."""


def baselines(cases: Sequence[Case]) -> list[Baseline]:
    """Return what the baselines get for each kind of fault with eight pairs or more, and for all
    kinds together."""
    known = {case.id: case for case in cases}
    pairs = [Pair(known[case.original], case) for case in cases if case.fault]
    kinds = Counter(pair.faulty.fault or "" for pair in pairs)
    chosen = {
        kind: [pair for pair in pairs if pair.faulty.fault == kind]
        for kind, number in kinds.items()
        if number >= _FEWEST
    }
    return [
        Baseline(kind, len(some), _left_out(some, _by_length), _left_out(some, _by_words))
        for kind, some in (*chosen.items(), ("all", pairs))
        if some
    ]


def _left_out(pairs: Sequence[Pair], learn: Callable[[Sequence[Pair]], Score]) -> float:
    """Return the area for scores each of which is learnt from the pairs of other conversations."""
    origins = [(pair.faulty.culture, pair.faulty.scenario) for pair in pairs]
    sound, faulty = [], []
    for origin in dict.fromkeys(origins):
        others = [pair for pair, one in zip(pairs, origins, strict=True) if one != origin]
        score = learn(others) if others else lambda case: 0.0
        mine = [pair for pair, one in zip(pairs, origins, strict=True) if one == origin]
        sound += [score(pair.sound) for pair in mine]
        faulty += [score(pair.faulty) for pair in mine]
    return area(sound, faulty)


def area(sound: Sequence[float], faulty: Sequence[float]) -> float:
    """Return the share of couples of a sound and a faulty one in which the faulty scores higher;
    equal scores count half (Mann and Whitney 1947)."""
    wins = sum((two > one) + (two == one) / 2 for one in sound for two in faulty)
    return wins / (len(sound) * len(faulty))


def _lengths(case: Case) -> tuple[float, ...]:
    turns = [len(words(text)) for _, text in case.turns]
    return float(sum(turns)), fmean(turns), float(min(turns)), float(max(turns))


def _by_length(pairs: Sequence[Pair]) -> Score:
    """Gaussian naive Bayes; a length that does not vary says nothing."""
    columns = [
        [[values[n] for values in map(_lengths, side)] for side in zip(*pairs, strict=True)]
        for n in range(4)
    ]
    fits = [[(fmean(side), pstdev(side)) for side in column] for column in columns]

    def score(case: Case) -> float:
        return sum(
            _log_density(value, *faulty) - _log_density(value, *sound)
            for value, (sound, faulty) in zip(_lengths(case), fits, strict=True)
            if sound[1] and faulty[1]
        )

    return score


def _log_density(value: float, mean: float, deviation: float) -> float:
    return -math.log(deviation) - ((value - mean) / deviation) ** 2 / 2


def _by_words(pairs: Sequence[Pair]) -> Score:
    """Multinomial naive Bayes with one added to every count."""
    sound, faulty = (
        Counter(word for case in side for _, text in case.turns for word in words(text))
        for side in zip(*pairs, strict=True)
    )
    vocabulary = len(sound | faulty)

    def odds(word: str) -> float:
        two = (faulty[word] + 1) / (faulty.total() + vocabulary)
        return math.log(two / ((sound[word] + 1) / (sound.total() + vocabulary)))

    return lambda case: sum(odds(word) for _, text in case.turns for word in words(text))


def print_baselines(cases: Sequence[Case], console: Console) -> None:
    """Print how far length and words alone get on the set."""
    from rich import box
    from rich.table import Table

    console.print(
        Text("What gives faults away unread: area under the curve, 0.5 is chance", "bold")
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("fault")
    for name in ("pairs", "length", "bag of words"):
        table.add_column(name, justify="right")
    for one in baselines(cases):
        table.add_row(one.fault, str(one.pairs), f"{one.length:.2f}", f"{one.words:.2f}")
    console.print(table)
