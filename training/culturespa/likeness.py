"""How alike wordings are: the share of words that two of them have in common.

Invariant: the likeness is exact. At a thousand questions a topic an inverted index finds the
nearest in about a millisecond, so that MinHash, which would estimate it and bring numpy and scipy,
saves nothing; meaning is not compared.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

from scenarios.words import words


class Nearest(NamedTuple):
    """The wording that is most alike."""

    id: str | None
    """None where nothing is known or no word is shared."""
    likeness: float
    """Words in common out of the words of both (Jaccard), 0 to 1."""
    same: bool
    """Whether the words are the same in the same order."""


class Wordings:
    """Known wordings by id."""

    def __init__(self) -> None:
        self._known: list[tuple[str, tuple[str, ...], int]] = []
        self._places: dict[str, list[int]] = defaultdict(list)
        self._exact: dict[tuple[str, ...], str] = {}

    def add(self, id_: str, text: str) -> None:
        """Make a wording known."""
        cut = words(text)
        distinct = set(cut)
        for word in distinct:
            self._places[word].append(len(self._known))
        self._known.append((id_, cut, len(distinct)))
        self._exact.setdefault(cut, id_)

    def nearest(self, text: str) -> Nearest:
        """Return the known wording that is most alike; of several the one that was known first."""
        cut = words(text)
        if cut in self._exact:
            return Nearest(self._exact[cut], 1.0, True)
        distinct = set(cut)
        shared = Counter(place for word in distinct for place in self._places.get(word, ()))
        best, at = 0.0, -1
        for place, common in sorted(shared.items()):
            share = common / (len(distinct) + self._known[place][2] - common)
            if share > best:
                best, at = share, place
        return Nearest(None if at < 0 else self._known[at][0], best, False)
