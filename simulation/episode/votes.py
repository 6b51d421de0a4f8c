"""Counting votes: plurality, majority, unanimity, approval and ranked ballots.

Invariant: only options that were put to the vote can win, and ballots without one count for nobody.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence

from scenarios.world.schema import Vote

Ballots = Mapping[str, Sequence[str]]
"""Voter to what was voted for, the best first."""


def winner(vote: Vote, ballots: Ballots, options: Sequence[str], rng: random.Random) -> str | None:
    """Return the option that has won, or None."""
    cast = [[one for one in ballot if one in options] for ballot in ballots.values()]
    cast = [ballot for ballot in cast if ballot]
    if not cast:
        return None
    if vote.rule == "ranked":
        return _ranked(vote, cast, options, rng)
    if vote.rule == "approval":
        return _most(vote, Counter(one for ballot in cast for one in ballot), options, rng)
    counts = Counter(ballot[0] for ballot in cast)
    best, most = counts.most_common(1)[0]
    if vote.rule == "majority":
        return best if most * 2 > len(ballots) else None
    if vote.rule == "unanimity":
        return best if most == len(ballots) else None
    return _most(vote, counts, options, rng)


def _most(
    vote: Vote, counts: Counter[str], options: Sequence[str], rng: random.Random
) -> str | None:
    top = [one for one in options if counts[one] == max(counts.values())]
    if len(top) == 1 or vote.ties == "first":
        return top[0]
    return rng.choice(top) if vote.ties == "random" else None


def _ranked(
    vote: Vote, cast: list[list[str]], options: Sequence[str], rng: random.Random
) -> str | None:
    """Strike out whoever has fewest first places until one has more than half of the ballots that
    are left (instant run-off); of several with fewest, the last of the options goes.
    """
    left = list(options)
    while True:
        counts = Counter(next((o for o in ballot if o in left), None) for ballot in cast)
        del counts[None]
        total = sum(counts.values())
        over = [one for one in left if counts[one] * 2 > total]
        if over:
            return over[0]
        if len({counts[one] for one in left}) == 1:
            return _most(vote, Counter(dict.fromkeys(left, 1)), left, rng)
        fewest = min(counts[one] for one in left)
        left.remove([one for one in left if counts[one] == fewest][-1])
