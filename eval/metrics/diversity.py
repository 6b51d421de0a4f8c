"""How many different answers a group gives, as pure functions on distributions.

Invariant: the last axis runs over the codes of one item; NaN where nothing was answered. A sample
has less entropy than its population, so compare groups of the same size only.
"""

from __future__ import annotations

import numpy as np

from eval.metrics.grid import Floats, Scales, as_floats


def entropy(shares: Floats, scales: Scales) -> Floats:
    """Return Shannon's entropy of shares (..., I, K) over that of all options alike, 0 to 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(shares == 0, 0.0, shares * np.log(shares))
    return as_floats(-terms.sum(axis=-1) / np.log(scales.lengths))


def variance(shares: Floats, scales: Scales) -> Floats:
    """Return the variance of answers (..., I) along the scale from 0 to 1; NaN for nominal items.

    At most a quarter, where one half stands at either end.
    """
    places = (scales.codes - scales.codes[:, :1]) / scales.span[:, None]
    mean = (shares * places).sum(axis=-1)
    spread = (shares * places**2).sum(axis=-1) - mean**2
    return np.where(scales.ordinal, np.maximum(spread, 0), np.nan)


def distinct(answers: Floats) -> int:
    """Return how many different profiles there are among the places of the codes (R, I) that
    respondents chose, NaN for none."""
    return len(np.unique(np.nan_to_num(answers, nan=-1), axis=0))
