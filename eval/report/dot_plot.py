"""Dots with intervals: one metric of all series beside the baselines, and paired differences.

Invariant: what has no value has no row; what an interval rests on stands in the caption or at its
right.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eval.report.figure import (
    INK,
    LINE,
    SMALL,
    SOFT,
    WIDTH,
    Canvas,
    drawn,
    folded,
    look,
    new_sheet,
    plain,
)
from eval.report.measure import Measure, baseline_name, by_group, measure
from eval.report.name import country_name, names, pair_name, panel_name, sampler_name
from eval.report.number import chance, interval, known
from eval.report.results import ALL, PairedDifference, Panel, Results, Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEFT, RIGHT = 340, 210
"""Pixels for names and for numbers."""
STEP, LOW_STEP, AXIS, NAME = 32, 24, 34, 10.5
"""Pixels for a row, for a row of a baseline and for the axis under the last one, and the size of
names."""
_MOST_PAIRS = 20
"""Pairs of series that are drawn for one metric; of more, those farthest apart."""


@dataclass(frozen=True, slots=True)
class _Dot:
    """One row."""

    name: str
    value: float
    low: float | None
    high: float | None
    colour: str
    marker: str
    beside: str
    """The estimate and its interval, at the right."""
    p: str = ""
    hollow: bool = False
    also: tuple[float, ...] = ()
    """Small dots behind: single countries."""


@drawn
def draw_scores(results: Results, metric: str, country: str = ALL) -> Canvas | None:
    """Draw a metric of every series with its interval, panel by panel, best first, and below each
    panel what costs nothing with as many answers.

    The uniform guesser's value runs through the rows of a panel as a line. None where no series has
    a value.
    """
    about = measure(metric)
    blocks = []
    for panel in results.panels:
        series = _best_first(_series_dots(results, panel, metric, country), about)
        apart = _best_first(_baseline_dots(results, panel, metric, country), about)
        if series:
            blocks.append((panel, series, apart))
    if not blocks:
        return None
    head = 30 * (len(blocks) > 1)
    unit = about.unit + (f"; {about.better} is better" if about.better else "")
    lines = any(_uniform(apart) for _, _, apart in blocks)
    sheet, y = new_sheet(
        f"{about.title}, {_where(results, country)}",
        unit[:1].upper() + unit[1:],
        _score_caption(results, [dot for _, series, _ in blocks for dot in series], lines),
        8 + sum(head + _height(series, apart) + AXIS for _, series, apart in blocks),
    )
    drawn_axes = []
    for panel, series, apart in blocks:
        if head:
            sheet.write(10, y + 20, panel_name(results, panel), weight="bold")
        drawn_axes.append(_draw_panel(sheet, y + 8 + head, series, apart))
        y += head + _height(series, apart) + AXIS
    low, high = zip(*(axes.get_xlim() for axes in drawn_axes), strict=True)
    for axes in drawn_axes:
        axes.set_xlim(min(low), max(high))
    return sheet


def _height(series: Sequence[_Dot], apart: Sequence[_Dot]) -> int:
    return STEP * len(series) + (28 + LOW_STEP * len(apart) if apart else 0)


def _uniform(apart: Sequence[_Dot]) -> list[float]:
    return [dot.value for dot in apart if dot.name == baseline_name("uniform")]


def _draw_panel(sheet: Canvas, top: float, series: Sequence[_Dot], apart: Sequence[_Dot]) -> Axes:
    between = STEP * len(series) + (28 if apart else 0)
    places = [STEP * (place + 0.5) for place in range(len(series))]
    places += [between + LOW_STEP * (place + 0.5) for place in range(len(apart))]
    axes = _rows(sheet, top, [*series, *apart], places, _height(series, apart))
    if apart:
        sheet.write(
            10, top + between - 8, "For comparison", fontsize=SMALL, color=SOFT, style="italic"
        )
    for value in _uniform(apart):
        axes.axvline(value, color=SOFT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    return axes


@drawn
def draw_gaps(
    results: Results, metrics: Sequence[str] | None = None, country: str = ALL
) -> Canvas | None:
    """Draw paired differences with their intervals and p, metric by metric, each on its own scale.

    Of more than 20 pairs those farthest apart. None where there is no difference to draw.
    """
    chosen: list[tuple[Measure, list[_Dot], int]] = []
    present = [
        gap
        for gap in results.gaps
        if gap.country == country
        and known(gap.value)
        and (metrics is None or gap.metric in metrics)
    ]
    for _, group in by_group(gap.metric for gap in present):
        for metric in group:
            dots, number = _gap_dots(results, [gap for gap in present if gap.metric == metric])
            chosen.append((measure(metric), dots, number))
    if not chosen:
        return None
    head = 40
    height = sum(head + STEP * len(dots) + AXIS for _, dots, _ in chosen)
    sheet, y = new_sheet(
        f"Paired differences, {_where(results, country)}",
        "First less second on the same people and items; filled where the interval is off zero",
        _caption(results, "95 % intervals; p from a permutation test that exchanges the two"),
        height,
    )
    for about, dots, number in chosen:
        cut = f"; the {len(dots)} of {number} pairs farthest apart" if number > len(dots) else ""
        sheet.write(10, y + 26, about.title + cut, weight="bold")
        places = [STEP * (place + 0.5) for place in range(len(dots))]
        axes = _rows(sheet, y + head, dots, places, STEP * len(dots))
        axes.axvline(0, color=INK, linewidth=1, zorder=1)
        _say_sides(sheet, axes, about, y + 26)
        y += head + STEP * len(dots) + AXIS
    return sheet


def _series_dots(results: Results, panel: Panel, metric: str, country: str) -> Iterable[_Dot]:
    called = names(results)
    looks = {series.id: look(place) for place, series in enumerate(results.series)}
    for score in _of(results.scores, metric, country):
        if score.who in panel.series:
            also = tuple(
                each.value
                for each in results.scores
                if each.who == score.who
                and each.metric == metric
                and each.country != ALL
                and country == ALL
                and len(panel.countries) > 1
                and each.value is not None
                and known(each.value)
            )
            yield _dot(called[score.who], score, *looks[score.who], also=also)


def _baseline_dots(results: Results, panel: Panel, metric: str, country: str) -> Iterable[_Dot]:
    for score in _of(results.baselines, metric, country):
        if score.panel == panel.id:
            yield _dot(baseline_name(score.who), score, SOFT, "D", hollow=True)
    for floor in results.floors:
        if (floor.panel, floor.metric) == (panel.id, metric) and country == ALL:
            beside = interval(floor.mean, None, None, measure(metric).decimals)
            yield _Dot(sampler_name(panel), floor.mean, None, None, SOFT, "D", beside, hollow=True)


def _of(scores: Iterable[Score], metric: str, country: str) -> Iterable[Score]:
    return (
        score
        for score in scores
        if score.metric == metric and score.country == country and known(score.value)
    )


def _dot(
    name: str,
    score: Score,
    colour: str,
    marker: str,
    *,
    hollow: bool = False,
    also: tuple[float, ...] = (),
) -> _Dot:
    assert score.value is not None
    text = interval(score.value, score.low, score.high, measure(score.metric).decimals)
    return _Dot(
        name, score.value, score.low, score.high, colour, marker, text, hollow=hollow, also=also
    )


def _gap_dots(results: Results, gaps: Sequence[PairedDifference]) -> tuple[list[_Dot], int]:
    """Return the rows of one metric, and of how many they were chosen."""
    sizes = sorted((abs(gap.value or 0) for gap in gaps), reverse=True)
    least = sizes[min(len(sizes), _MOST_PAIRS) - 1]
    dots: list[_Dot] = []
    for gap in gaps:
        if abs(gap.value or 0) < least or len(dots) == _MOST_PAIRS or gap.value is None:
            continue
        sure = known(gap.low) and known(gap.high) and ((gap.low or 0) > 0 or (gap.high or 0) < 0)
        text = interval(gap.value, gap.low, gap.high, measure(gap.metric).decimals)
        name = pair_name(results, gap.one, gap.two)
        colour = INK if sure else SOFT
        p = f"p = {chance(gap.p)}".replace("= <", "<") if known(gap.p) else ""
        dots.append(_Dot(name, gap.value, gap.low, gap.high, colour, "o", text, p, not sure))
    return dots, len(gaps)


def _best_first(dots: Iterable[_Dot], about: Measure) -> list[_Dot]:
    return sorted(dots, key=lambda dot: dot.value, reverse=about.better == "higher")


def _rows(
    sheet: Canvas, top: float, dots: Sequence[_Dot], places: Sequence[float], height: float
) -> Axes:
    """Draw rows at so many pixels below `top` each, and the axis below them."""
    axes = sheet.panel(LEFT, top, WIDTH - LEFT - RIGHT, height)
    axes.set_ylim(height, 0)
    axes.set_yticks([])
    axes.grid(axis="x")
    axes.tick_params(length=0)
    for dot, y in zip(dots, places, strict=True):
        _draw_dot(axes, dot, y)
        lines = folded(dot.name, LEFT - 26, NAME, lines=2)
        for place, line in enumerate(lines):
            down = 4 + 13 * (place - (len(lines) - 1) / 2)
            sheet.write(10, top + y + down, line, fontsize=NAME)
        sheet.write(WIDTH - RIGHT + 14, top + y + 4, dot.beside, fontsize=SMALL, color=INK)
        sheet.write(WIDTH - 10, top + y + 4, dot.p, fontsize=SMALL, color=INK, ha="right")
    axes.margins(x=0.06)
    axes.autoscale(axis="x")
    return axes


def _draw_dot(axes: Axes, dot: _Dot, y: float) -> None:
    axes.axhline(y, color=LINE, linewidth=0.5, zorder=0)
    if dot.also:
        axes.plot(
            dot.also,
            [y + 9] * len(dot.also),
            "|",
            color=dot.colour,
            alpha=0.7,
            markersize=5,
            zorder=2,
        )
    if dot.low is not None and dot.high is not None and known(dot.low) and known(dot.high):
        ends = [dot.low, dot.high]
        axes.plot(ends, [y, y], color=dot.colour, linewidth=2.5, zorder=3, solid_capstyle="butt")
    axes.plot(
        [dot.value],
        [y],
        dot.marker,
        color=dot.colour,
        markersize=6,
        markerfacecolor="white" if dot.hollow else dot.colour,
        zorder=4,
    )


def _say_sides(sheet: Canvas, axes: Axes, about: Measure, y: float) -> None:
    """Write on each side of zero which of the two is better there."""
    if about.better is None:
        return
    left, right = ("first better", "second better")
    if about.better == "higher":
        left, right = right, left
    low, high = axes.get_xlim()
    zero = LEFT + (WIDTH - LEFT - RIGHT) * min(max(-low / (high - low), 0), 1)
    if zero - LEFT > 90:
        sheet.write(zero - 8, y + 8, f"← {left}", fontsize=SMALL, color=SOFT, ha="right")
    if WIDTH - RIGHT - zero > 90:
        sheet.write(zero + 8, y + 8, f"{right} →", fontsize=SMALL, color=SOFT)


def _where(results: Results, country: str) -> str:
    if country == ALL and len(results.countries) == 1:
        country = results.countries[0]
    return "mean over countries" if country == ALL else country_name(country)


def _score_caption(results: Results, series: Sequence[_Dot], uniform: bool) -> str:
    said: list[str] = []
    if any(dot.low is not None for dot in series):
        said.append("bars are 95 % intervals")
    if any(dot.also for dot in series):
        said.append("strokes below them are single countries")
    if uniform:
        said.append("the broken line is the uniform guesser")
    said = said or ["estimates without intervals"]
    return _caption(results, ", ".join(said))


def _caption(results: Results, said: str) -> str:
    return plain(f"{said[:1].upper()}{said[1:]}. People: {results.people}.")
