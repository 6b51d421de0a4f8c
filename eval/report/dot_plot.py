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
from eval.report.name import country_name, names, pair_name
from eval.report.number import chance, interval, known
from eval.report.results import ALL, PairedDifference, Results, Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEFT, RIGHT = 340, 210
"""Pixels for names and for numbers."""
STEP, LOW_STEP, AXIS, NAME = 32, 24, 34, 10.5
"""Pixels for a row, for a row of a baseline and for the axis under the last one, and the size of
names."""
MOST_PAIRS = 20
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
    """Draw a metric of every series with its interval, best first, and the baselines below.

    The uniform guesser's value runs through all rows as a line. None where no series has a value.
    """
    about = measure(metric)
    series = _best_first(_series_dots(results, metric, country), about)
    apart = _best_first(_baseline_dots(results, metric, country), about)
    uniform = [dot.value for dot in apart if dot.name == baseline_name("uniform")]
    if not series:
        return None
    between = STEP * len(series) + (28 if apart else 0)
    height = between + LOW_STEP * len(apart)
    unit = about.unit + (f"; {about.better} is better" if about.better else "")
    sheet, top = new_sheet(
        f"{about.title}, {_where(results, country)}", unit[:1].upper() + unit[1:],
        _score_caption(results, series, bool(uniform)), 8 + height + AXIS,
    )  # fmt: skip
    places = [STEP * (place + 0.5) for place in range(len(series))]
    places += [between + LOW_STEP * (place + 0.5) for place in range(len(apart))]
    axes = _rows(sheet, top + 8, [*series, *apart], places, height)
    if apart:
        sheet.write(10, top + between, "For comparison", fontsize=SMALL, color=SOFT, style="italic")
    for value in uniform:
        axes.axvline(value, color=SOFT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    return sheet


@drawn
def draw_gaps(
    results: Results, metrics: Sequence[str] | None = None, country: str = ALL
) -> Canvas | None:
    """Draw paired differences with their intervals and p, metric by metric, each on its own scale.

    Of more than 20 pairs those farthest apart. None where there is no difference to draw.
    """
    chosen: list[tuple[Measure, list[_Dot], int]] = []
    present = [
        gap for gap in results.gaps
        if gap.country == country and known(gap.value)
        and (metrics is None or gap.metric in metrics)
    ]  # fmt: skip
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


def _series_dots(results: Results, metric: str, country: str) -> Iterable[_Dot]:
    called = names(results)
    looks = {series.id: look(place) for place, series in enumerate(results.series)}
    for score in _of(results.scores, metric, country):
        if score.who in called:
            also = tuple(
                each.value for each in results.scores
                if each.who == score.who and each.metric == metric and each.country != ALL
                and country == ALL and len(results.countries) > 1
                and each.value is not None and known(each.value)
            )  # fmt: skip
            yield _dot(called[score.who], score, *looks[score.who], also=also)


def _baseline_dots(results: Results, metric: str, country: str) -> Iterable[_Dot]:
    for score in _of(results.baselines, metric, country):
        yield _dot(baseline_name(score.who), score, SOFT, "D", hollow=True)
    if country == ALL:
        decimals = measure(metric).decimals
        for floor in results.floors:
            if floor.metric == metric and floor.answers is not None and known(floor.mean):
                name = f"perfect sampler, {floor.answers} answer{'s' * (floor.answers > 1)}"
                beside = interval(floor.mean, None, None, decimals)
                yield _Dot(name, floor.mean, None, None, SOFT, "D", beside, hollow=True)


def _of(scores: Iterable[Score], metric: str, country: str) -> Iterable[Score]:
    return (
        score for score in scores
        if score.metric == metric and score.country == country and known(score.value)
    )  # fmt: skip


def _dot(
    name: str, score: Score, colour: str, marker: str, *, hollow: bool = False,
    also: tuple[float, ...] = (),
) -> _Dot:  # fmt: skip
    assert score.value is not None
    text = interval(score.value, score.low, score.high, measure(score.metric).decimals)
    return _Dot(
        name, score.value, score.low, score.high, colour, marker, text, hollow=hollow, also=also
    )


def _gap_dots(results: Results, gaps: Sequence[PairedDifference]) -> tuple[list[_Dot], int]:
    """Return the rows of one metric, and of how many they were chosen."""
    sizes = sorted((abs(gap.value or 0) for gap in gaps), reverse=True)
    least = sizes[min(len(sizes), MOST_PAIRS) - 1]
    dots: list[_Dot] = []
    for gap in gaps:
        if abs(gap.value or 0) < least or len(dots) == MOST_PAIRS or gap.value is None:
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
        [dot.value], [y], dot.marker, color=dot.colour, markersize=6,
        markerfacecolor="white" if dot.hollow else dot.colour, zorder=4,
    )  # fmt: skip


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
