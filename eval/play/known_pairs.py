"""Pairs with a known better side: conversations of the calibration set, sound and with a fault.

Invariant: they are read like any other pairs, and right is who prefers the sound one; a tie is half
right, and both orders of a pair count as one reading.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from agents.conversation import Conversation
from eval.play.pairs import Choice, Side, write_pairs_of
from eval.play.preference import read_by_pair
from folkways.clock import utc_now
from simulation.review.calibration import fill_store, load_cases
from simulation.review.conversations import load_conversations
from simulation.store.reader import open_reader
from simulation.store.writer import Store

SOUND, FAULTY = "sound", "faulty"
_UNSEEN = ("secret-leaked",)
"""Faults that readers of a sheet cannot see: no secret stands in it."""
_Z = 1.959964
"""Of the normal distribution, for 95 %."""


class Accuracy(NamedTuple):
    """How often the sound one was preferred."""

    kind: str
    pairs: int
    share: float
    low: float
    high: float
    """Wilson's interval."""


def write_known_pairs(file: Path, n: int | None, seed: int) -> int:
    """Write a sheet of them with its key, and return how many pairs it has."""
    talks = _conversations()
    found = [
        ((case.fault, case.culture, 0), {SOUND: talks[case.original], FAULTY: talks[case.id]})
        for case in load_cases()
        if case.fault and case.fault not in _UNSEEN
    ]
    return write_pairs_of(found, file, n, seed)


def _conversations() -> Mapping[str, Conversation]:
    """Return the conversations of the set by the ids of their cases."""
    with TemporaryDirectory(prefix="folkways-") as folder:
        store = Store(Path(folder))
        store.create()
        fill_store(store, utc_now(), load_cases())
        with closing(open_reader(Path(folder))) as con:
            ids = dict(con.execute("select episode_id, case_id from cases").fetchall())
            talks = load_conversations(con, list(ids))
    return {ids[id_]: talk for id_, talk in talks.items()}


def accuracy(choices: Sequence[Choice], key: Mapping[str, Side]) -> list[Accuracy]:
    """Return how often readers preferred the sound one, by kind of fault and of all; the key's
    scenario is the kind."""
    right: defaultdict[str, list[float]] = defaultdict(list)
    for (pair, _), won in read_by_pair(choices, key, SOUND).items():
        right[key[pair].scenario].append(won)
    every = [won for some in right.values() for won in some]
    rows = [*sorted(right.items()), ("all", every)]
    return [Accuracy(kind, len(some), *_wilson(some)) for kind, some in rows if some]


def _wilson(right: Sequence[float]) -> tuple[float, float, float]:
    """Return a share with its 95 % interval (Wilson 1927)."""
    n, share = len(right), sum(right) / len(right)
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * (share * (1 - share) / n + _Z**2 / (4 * n**2)) ** 0.5
    return share, max(middle - half, 0.0), min(middle + half, 1.0)
