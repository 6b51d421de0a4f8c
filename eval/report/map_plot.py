"""The Inglehart-Welzel map: where the world's people are, and where a model is in their place.

Invariant: a line joins people and model of the same country only where both were placed from
answers in the same way, else the model's point carries the country's code; the small dots are the
published centroids and carry no line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from eval.metrics.inglehart_welzel import Centroid, load_centroids
from eval.report.figure import (
    INK,
    SMALL,
    SOFT,
    TEXT,
    WIDTH,
    Canvas,
    drawn,
    folded,
    look,
    new_sheet,
    shortened,
    text_width,
)
from eval.report.label import Labels
from eval.report.name import PEOPLE, country_name, names
from eval.report.number import known
from eval.report.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_REGIONS = {
    "African-Islamic": "#44aa99",
    "Catholic Europe": "#ddaa33",
    "Confucian": "#cc6677",
    "English-Speaking": "#88ccee",
    "Latin America": "#999933",
    "Orthodox Europe": "#aa4499",
    "Protestant Europe": "#6699cc",
    "West & South Asia": "#bbbbbb",
}
"""Colours of the map's cultural regions, muted (Paul Tol)."""
_TOGETHER = 6
"""Series up to which all are drawn on one map; more have a small map each."""
_LABELLED = 16
"""Countries outside the evaluation that get a label, where there is room."""
LEFT, BOTTOM = 58, 46
"""Pixels for the axes."""


class _Place(NamedTuple):
    """A country on the map, from answers."""

    country: str
    x: float
    y: float


class _Trail(NamedTuple):
    """A series on the map."""

    name: str
    colour: str
    marker: str
    places: list[_Place]


@drawn
def draw_map(results: Results) -> Canvas | None:
    """Draw people and series on the map: one map for all series, or a small one for each of many.

    None where no series could be placed.
    """
    people, trails = list(_places(results, PEOPLE)), list(_trails(results))
    if not trails:
        return None
    together = len(trails) <= _TOGETHER
    across, height = (1, 600) if together else (2, 330)
    head = 4 if together else 40
    panels = [trails] if together else [[trail] for trail in trails]
    pitch = head + height + BOTTOM
    rows = -(-len(panels) // across)
    columns = 2 if all(text_width(trail.name) < WIDTH / 2 - 70 for trail in trails) else 1
    legend = 58 + (20 * -(-(len(trails) + 1) // columns) + 8) * together
    sheet, top = new_sheet(
        "On the Inglehart-Welzel map",
        "People and models, by country; a line leads from people to the model in their place",
        "Small dots: 107 countries, surveys of 2005 to 2022. Large dots: people of this "
        f"evaluation, placed from the same items as the models. People: {results.people}.",
        pitch * rows + legend,
    )
    limits = _limits(people, trails)
    width = (WIDTH - LEFT - 10 - (LEFT * (across - 1))) / across
    for place, panel in enumerate(panels):
        x = LEFT + (place % across) * (width + LEFT)
        y = top + pitch * (place // across) + head
        if not together:
            for n, line in enumerate(folded(panel[0].name, width, TEXT, lines=2)):
                sheet.write(x, y - 22 + 14 * n, line, weight="bold")
        axes = sheet.panel(x, y, width, height)
        _draw_panel(axes, limits, people, panel, named=together)
    _draw_legend(sheet, top + pitch * rows, trails if together else [], columns)
    return sheet


def _trails(results: Results) -> Iterator[_Trail]:
    called = names(results)
    for number, series in enumerate(results.series):
        if places := list(_places(results, series.id)):
            yield _Trail(called[series.id], *look(number), places)


def _places(results: Results, who: str) -> Iterator[_Place]:
    for point in results.points:
        x, y = point.survival_self_expression, point.traditional_secular
        if point.who == who and x is not None and y is not None and known(x) and known(y):
            yield _Place(point.country, x, y)


def _limits(people: Sequence[_Place], trails: Sequence[_Trail]) -> tuple[float, ...]:
    """Return the least and greatest x and y with a margin."""
    placed = [*people, *(place for trail in trails for place in trail.places)]
    xs = [place.x for place in placed] + [c.survival_self_expression for c in load_centroids()]
    ys = [place.y for place in placed] + [c.traditional_secular for c in load_centroids()]
    return min(xs) - 0.2, max(xs) + 0.3, min(ys) - 0.2, max(ys) + 0.2


def _draw_panel(
    axes: Axes,
    limits: tuple[float, ...],
    people: Sequence[_Place],
    trails: Sequence[_Trail],
    named: bool,
) -> None:
    """Draw one map with the people and some series; `named` spells out countries."""
    axes.set(xlim=limits[:2], ylim=limits[2:])
    axes.grid(True)
    axes.spines["left"].set_visible(True)
    axes.tick_params(length=0)
    axes.set_xlabel("survival to self-expression →")
    axes.set_ylabel("traditional to secular-rational →")
    _draw_world(axes)
    home = {place.country: place for place in people}
    labels = Labels(axes)
    labels.avoid([(c.survival_self_expression, c.traditional_secular) for c in load_centroids()], 3)
    labels.avoid([place[1:] for place in people], 6)
    labels.avoid([place[1:] for trail in trails for place in trail.places], 5)
    for trail in trails:
        _draw_trail(axes, trail, home)
    region = {centroid.country: centroid.region for centroid in load_centroids()}
    for place in people:
        axes.plot(
            place.x,
            place.y,
            "o",
            markersize=10,
            markeredgecolor=INK,
            markeredgewidth=1.4,
            color=_REGIONS.get(region.get(place.country, ""), "white"),
            zorder=5,
        )
        name = country_name(place.country) if named else place.country
        size = TEXT if named else SMALL
        labels.put(name, (place.x, place.y), size=size, colour=INK, weight="bold", needed=True)
    for trail in trails:
        for place in trail.places:
            if place.country not in home:
                at = (place.x, place.y)
                labels.put(place.country, at, size=SMALL, colour=trail.colour, needed=True)
    if named:
        _name_others(labels, set(home))


def _draw_world(axes: Axes) -> None:
    """Draw the centroids of the world's countries."""
    for region in dict.fromkeys(centroid.region for centroid in load_centroids()):
        chosen = [centroid for centroid in load_centroids() if centroid.region == region]
        axes.plot(
            [centroid.survival_self_expression for centroid in chosen],
            [centroid.traditional_secular for centroid in chosen],
            "o",
            zorder=2,
            markersize=4.5,
            color=_REGIONS.get(region, SOFT),
            alpha=0.65,
            markeredgewidth=0,
        )


def _draw_trail(axes: Axes, trail: _Trail, home: dict[str, _Place]) -> None:
    from matplotlib.collections import LineCollection

    ways = [(home[place.country][1:], place[1:]) for place in trail.places if place.country in home]
    lines = LineCollection(ways, colors=trail.colour, linewidths=0.9, alpha=0.6, zorder=3)
    axes.add_collection(lines, autolim=False)
    axes.plot(
        [place.x for place in trail.places],
        [place.y for place in trail.places],
        trail.marker,
        color=trail.colour,
        markersize=7.5,
        zorder=4,
        markeredgecolor="white",
        markeredgewidth=0.7,
    )


def _name_others(labels: Labels, homes: set[str]) -> None:
    """Name some countries of the background, far from each other, where there is room."""
    for centroid in _spread(load_centroids(), _LABELLED):
        if centroid.country not in homes:
            at = (centroid.survival_self_expression, centroid.traditional_secular)
            labels.put(centroid.name, at, size=SMALL - 1, colour=SOFT)


def _spread(centroids: Sequence[Centroid], number: int) -> list[Centroid]:
    """Return countries such that each is as far as can be from those before it."""
    rest = sorted(centroids, key=lambda c: c.survival_self_expression + c.traditional_secular)
    chosen = [rest.pop()]
    while rest and len(chosen) < number:
        rest.sort(key=lambda each: min(_apart(each, other) for other in chosen))
        chosen.append(rest.pop())
    return chosen


def _apart(one: Centroid, two: Centroid) -> float:
    across = one.survival_self_expression - two.survival_self_expression
    return across**2 + (one.traditional_secular - two.traditional_secular) ** 2


def _draw_legend(sheet: Canvas, top: float, trails: Sequence[_Trail], columns: int) -> None:
    """Draw what colours and markers mean, below the map."""
    axes = sheet.panel(0, top, WIDTH, sheet.height - top)
    axes.set(xlim=(0, WIDTH), ylim=(sheet.height - top, 0))
    axes.set_axis_off()
    y = 10.0
    entries = [("people of the evaluation's countries", "o", "white", INK)] if trails else []
    entries += [(trail.name, trail.marker, trail.colour, "white") for trail in trails]
    for place, (name, marker, colour, edge) in enumerate(entries):
        x = LEFT + (place % columns) * (WIDTH - LEFT) / columns
        at = y + 20 * (place // columns)
        axes.plot(x, at, marker, color=colour, markeredgecolor=edge, markersize=8)
        axes.text(x + 12, at, shortened(name, (WIDTH - LEFT) / columns - 30), va="center")
    y += 20 * -(-len(entries) // columns) + 8 * bool(trails)
    for place, (name, colour) in enumerate(_REGIONS.items()):
        x, at = LEFT + (place % 4) * (WIDTH - LEFT) / 4, y + 20 * (place // 4)
        axes.plot(x, at, "o", color=colour, markersize=6, markeredgewidth=0)
        axes.text(x + 12, at, name, va="center", fontsize=SMALL, color=SOFT)
