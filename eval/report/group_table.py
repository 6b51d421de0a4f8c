"""The scores of groups of respondents, as a table in a file and as lines of text."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO

from eval.report.groups import GroupScore


def as_csv(scores: Sequence[GroupScore]) -> str:
    """Return the scores as a table with a header."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(GroupScore._fields)
    writer.writerows(scores)
    return text.getvalue()


def lines(scores: Sequence[GroupScore]) -> list[str]:
    """Return the scores as text, a line a group."""
    header = (
        f"{'group':<44} {'people':>6} {'items':>5} {'valid':>6} {'W1':>6} {'95 %':>14} "
        f"{'<0.2':>6}   {'redrawn':>14} {'uniform':>14}"
    )
    told: list[str] = []
    before: tuple[str, ...] = ()
    for score in scores:
        series = (score.model, score.method, score.reading)
        if series != before:
            told += ["", ", ".join(series), header]
            before = series
        told.append(
            f"{score.group:<44} {score.respondents:>6} {score.items:>5} {score.valid:>6.3f} "
            f"{score.w1:>6.3f}  {score.low:.3f}, {score.high:.3f} {score.near:>6.3f}   "
            f"{score.resampled_w1:>6.3f} {score.resampled_near:>7.3f} "
            f"{score.uniform_w1:>6.3f} {score.uniform_near:>7.3f}"
        )
    return [
        *told[1:],
        "W1: distance from the same people's answers, 0 to 1, the mean over items; 95 %: its "
        "interval, over respondents and items; <0.2: share of items below it; redrawn: the people "
        "drawn anew from themselves; uniform: a guesser",
    ]
