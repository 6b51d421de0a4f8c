"""Differences of several trainings of the same arm, as one figure.

Invariant: a single training is left as it is; with several, what differs between them widens the
interval and never narrows it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, variance

from eval.report.results import PairedDifference

_NORMAL = 1.959964
"""Standard errors on either side of a 95 % interval."""


def pooled(differences: Sequence[PairedDifference]) -> PairedDifference | None:
    """Return the mean of the differences of S trainings, with an interval of 95 % over people,
    items and trainings; None where there is none, or one of them has no interval.

    Its variance is the mean one of the single intervals, which people and items share, plus that
    between trainings over S; the interval and p are of Student's t, with the degrees of freedom of
    Satterthwaite (1946), of which only the second part has few.
    """
    if len(differences) < 2:
        return next(iter(differences), None)
    from scipy import stats

    known = [
        (one.value, one.low, one.high)
        for one in differences
        if one.value is not None and one.low is not None and one.high is not None
    ]
    if len(known) < len(differences):
        return None
    values = [value for value, _, _ in known]
    shared = fmean(((high - low) / (2 * _NORMAL)) ** 2 for _, low, high in known)
    between = variance(values) / len(values)
    mean, error = fmean(values), math.sqrt(shared + between)
    freedom = math.inf if between == 0 else error**4 / (between**2 / (len(values) - 1))
    half = float(stats.t.ppf(0.975, freedom)) * error
    chance = 1.0 if error == 0 else 2 * float(stats.t.sf(abs(mean) / error, freedom))
    items = min(one.items for one in differences)
    return replace(
        differences[0], value=mean, low=mean - half, high=mean + half, p=chance, items=items
    )


def pooled_corpora(groups: Sequence[Sequence[PairedDifference]]) -> PairedDifference | None:
    """Return the mean over corpora of the mean over each corpus's trainings: both are random.

    With several corpora their means are what is pooled: they differ by what the corpora are and, as
    far as trainings do not average out, by those; with one corpus it is `pooled`.
    """
    known = [group for group in groups if group]
    if len(known) < 2:
        return pooled(known[0]) if known else None
    means = [_mean(group) for group in known]
    return None if None in means else pooled([mean for mean in means if mean])


def _mean(group: Sequence[PairedDifference]) -> PairedDifference | None:
    """Return the mean of trainings with the interval that people and items give it."""
    widths = [one.high - one.low for one in group if one.high is not None and one.low is not None]
    values = [one.value for one in group if one.value is not None]
    if min(len(widths), len(values)) < len(group):
        return None
    mean, half = fmean(values), math.sqrt(fmean(width**2 for width in widths)) / 2
    return replace(group[0], value=mean, low=mean - half, high=mean + half)
