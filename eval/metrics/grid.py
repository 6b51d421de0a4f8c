"""Countries by items by codes, as padded arrays that every metric works on at once.

Invariant: a cell that was not asked is NaN in every array, never zero; the padding of an item with
a shorter scale is zero in `shares` and repeats the last code in `codes`, so that it adds nothing to
a sum or to a distance along the scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def as_floats(values: ArrayLike) -> Floats:
    """Return an array of floats; None among the values becomes NaN."""
    return np.asarray(values, dtype=np.float64)


def known_mean(values: Floats, axis: int = -1) -> Floats:
    """Return means over an axis of what is not NaN; NaN without anything."""
    known = (~np.isnan(values)).sum(axis=axis)
    with np.errstate(invalid="ignore"):
        return as_floats(np.nansum(values, axis=axis) / known)


@dataclass(frozen=True, slots=True, eq=False)
class Scales:
    """The scales of I items, padded to the longest of K codes."""

    items: tuple[str, ...]
    codes: Floats
    """(I, K), ascending; beyond an item's end its last code again."""
    on: Bools
    """(I, K): which entries are points of the scale."""
    ordinal: Bools
    """(I,): whether distances along the scale mean anything."""

    @classmethod
    def padded(cls, codes_by_item: Mapping[str, Sequence[int]], ordinal: Sequence[bool]) -> Scales:
        """Return the scales of items with these codes, ascending, padded to the longest."""
        longest = max(map(len, codes_by_item.values()))
        codes = [
            [*scale, *[scale[-1]] * (longest - len(scale))] for scale in codes_by_item.values()
        ]
        on = [np.arange(longest) < len(scale) for scale in codes_by_item.values()]
        return cls(tuple(codes_by_item), as_floats(codes), np.array(on), np.array(ordinal))

    @property
    def lengths(self) -> Floats:
        """(I,): the number of options of each item."""
        return as_floats(self.on.sum(axis=1))

    @property
    def span(self) -> Floats:
        """(I,): last code minus first."""
        return as_floats(self.codes[:, -1] - self.codes[:, 0])

    def pick(self, rows: Bools) -> Scales:
        """Return the scales of some items (I,), padded no further than the longest of them."""
        longest = int(self.on[rows].sum(axis=1).max())
        return Scales(
            tuple(item for item, wanted in zip(self.items, rows, strict=True) if wanted),
            self.codes[rows, :longest],
            self.on[rows, :longest],
            self.ordinal[rows],
        )

    def one_hot(self, answers: Floats) -> Floats:
        """Return (..., I, K) with 1 at each answered code; zeros where an answer is NaN."""
        return as_floats((self.codes == answers[..., None]) & self.on)


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """National answers of C countries to I items."""

    countries: tuple[str, ...]
    scales: Scales
    shares: Floats
    """(C, I, K): shares of valid answers; they sum to 1 in every cell that was asked."""
    valid: Floats
    """(C, I): the number of valid answers."""
    missing: Floats
    """(C, I): share of the national sample without a valid answer."""
    mode: Floats
    """(C, I): the most frequent code."""
    independent: Floats | None = None
    """(C, I): answers of a simple random sample whose shares would vary as much, fewer than `valid`
    where people are weighted or come from few sampling points; None or NaN where that is not
    known."""
    clusters: Floats | None = None
    """(C, I): sampling points of people; None or NaN where they are not known."""

    @property
    def sampled(self) -> Floats:
        """(C, I): as how many people who were drawn singly they vary."""
        if self.independent is None:
            return self.valid
        return np.where(np.isnan(self.independent), self.valid, self.independent)

    @property
    def asked(self) -> Bools:
        """(C, I): whether there are answers."""
        return ~np.isnan(self.mode)

    @property
    def mean(self) -> Floats:
        """(C, I): mean code."""
        return as_floats(np.einsum("cik,ik->ci", self.shares, self.scales.codes))

    @property
    def median(self) -> Floats:
        """(C, I): the lower median, the least code that at least half of the answers do not
        exceed."""
        reached = np.cumsum(self.shares, axis=2) >= 0.5 - 1e-9
        codes = np.broadcast_to(self.scales.codes, self.shares.shape)
        first = np.argmax(reached, axis=2)[..., None]
        return np.where(self.asked, np.take_along_axis(codes, first, axis=2)[..., 0], np.nan)
