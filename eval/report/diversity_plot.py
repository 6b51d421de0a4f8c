"""The two axes of a simulation of people: how far it is from them, and how diverse beside them.

Invariant: a series stands where both are known; distances are without what sampling makes of them,
where that can be told, and as measured elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from eval.report.figure import (
    SOFT,
    TEXT,
    WIDTH,
    Canvas,
    drawn,
    look,
    new_sheet,
    shortened,
)
from eval.report.name import names
from eval.report.number import known
from eval.report.results import ALL, Diversity, Results, Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ALIGNED, _DIVERSE = "js_distance", "entropy"
_LEFT, _HEIGHT, _FOOT, _LINE = 62, 340, 46, 20
"""Pixels: left of the axes, of them, below them, and of a line of the legend."""


class _Spot(NamedTuple):
    """A series on the two axes."""

    name: str
    colour: str
    marker: str
    score: Score
    diversity: Diversity


@drawn
def draw_diversity(results: Results) -> Canvas | None:
    """Draw alignment against diversity over all countries. None where no series has both."""
    spots = _spots(results)
    if not spots:
        return None
    sheet, top = new_sheet(
        "Alignment against diversity",
        "JS distance from people (to the left is nearer), and entropy of answers over that of as "
        "many of people's (1 is as diverse)",
        "Over all countries, with 95 % intervals. Distances are without what sampling adds; with "
        "fewer than 10 answers to an item, where that cannot be told, they are as measured and "
        f"the marker is hollow. People: {results.people}.",
        10 + _HEIGHT + _FOOT + _LINE * len(spots),
    )
    axes = sheet.panel(_LEFT, top + 10, WIDTH - _LEFT - 20, _HEIGHT)
    for spot in spots:
        _draw_spot(axes, spot)
    axes.axhline(1, color=SOFT, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_xlim(left=0)
    axes.set_ylim(0, max(1.1, axes.get_ylim()[1]))
    axes.set_xlabel("JS distance from people")
    axes.set_ylabel("diversity, people = 1")
    axes.grid(True)
    y = top + 10 + _HEIGHT + _FOOT
    key = sheet.panel(0, y, WIDTH, _LINE * len(spots))
    key.set_axis_off()
    key.set_xlim(0, WIDTH)
    key.set_ylim(_LINE * len(spots), 0)
    for place, spot in enumerate(spots):
        middle = _LINE * (place + 0.5)
        key.plot([_LEFT + 6], [middle], spot.marker, color=spot.colour, markersize=7)
        sheet.write(_LEFT + 20, y + middle + 4, shortened(spot.name, WIDTH - _LEFT - 40, TEXT))
    return sheet


def _spots(results: Results) -> list[_Spot]:
    called = names(results)
    scores = {s.who: s for s in results.scores if (s.country, s.metric) == (ALL, _ALIGNED)}
    diverse = {d.who: d for d in results.diversity if (d.country, d.measure) == (ALL, _DIVERSE)}
    return [
        _Spot(called[series.id], *look(place), scores[series.id], diverse[series.id])
        for place, series in enumerate(results.series)
        if series.id in scores
        and series.id in diverse
        and known(scores[series.id].value)
        and known(diverse[series.id].ratio)
    ]


def _draw_spot(axes: Axes, spot: _Spot) -> None:
    score, diversity = spot.score, spot.diversity
    x = score.value if score.corrected is None else score.corrected
    y = diversity.ratio
    assert x is not None
    for ends, horizontal in (
        ((score.low, score.high), True),
        ((diversity.low, diversity.high), False),
    ):
        if known(ends[0]) and known(ends[1]):
            line = (ends, (y, y)) if horizontal else ((x, x), ends)
            axes.plot(*line, color=spot.colour, linewidth=1.2, alpha=0.6)
    face = "white" if score.corrected is None else spot.colour
    axes.plot([x], [y], spot.marker, color=spot.colour, markerfacecolor=face, markersize=8)
