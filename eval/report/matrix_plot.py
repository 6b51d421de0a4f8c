"""Heat maps of how much alike cultures answer: people's, then every series'.

Invariant: all panels share one scale of colours; a culture beside itself is left blank.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from eval.report.figure import (
    FAINT,
    INK,
    SMALL,
    SOFT,
    TEXT,
    WIDTH,
    Canvas,
    drawn,
    folded,
    new_sheet,
)
from eval.report.name import PEOPLE, who_name
from eval.report.number import known, number
from eval.report.results import Matrix, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

_NUMBERED = 10
"""Cultures up to which cells carry numbers."""
HEAD, FOOT, SIDE, SPACE = 56, 42, 38, 26
"""Pixels above a panel for its title, below and left of it for countries, and between panels."""


@drawn
def draw_matrices(results: Results) -> Canvas | None:
    """Draw people's matrix and those of all series side by side. None where there is none."""
    shown = sorted(results.matrices, key=lambda matrix: matrix.who != PEOPLE)
    values = [
        value
        for matrix in shown
        for row, line in enumerate(matrix.scores)
        for column, value in enumerate(line)
        if row != column and value is not None and known(value)
    ]
    if not values:
        return None
    from matplotlib.colors import Normalize

    many = max(len(matrix.countries) for matrix in shown)
    across = min(len(shown), 3 if many <= 6 else 2)
    room = (WIDTH - 20 - SPACE * (across - 1)) / across - SIDE
    side = min(room, 60.0 * many, 400)
    rows = -(-len(shown) // across)
    pitch = HEAD + side + FOOT
    sheet, top = new_sheet(
        "How much alike cultures answer",
        "CultureSPA's score of each country's most frequent answers against each other's, 0 to 100",
        f"r: correlation with people's matrix over the pairs; mean: of the pairs, high where all "
        f"cultures answer alike. People: {results.people}.",
        30 + pitch * rows,
    )
    norm = Normalize(min(values), max(values) if max(values) > min(values) else min(values) + 1)
    _draw_scale(sheet, top + 10, norm)
    for place, matrix in enumerate(shown):
        x = 10 + SIDE + (place % across) * (SIDE + room + SPACE)
        y = top + 30 + pitch * (place // across)
        _draw_matrix(sheet, results, matrix, (x, y + HEAD, side, room), norm)
    return sheet


def _draw_matrix(
    sheet: Canvas,
    results: Results,
    matrix: Matrix,
    box: tuple[float, float, float, float],
    norm: Normalize,
) -> None:
    import numpy as np

    x, y, side, room = box
    n = len(matrix.countries)
    lines = folded(who_name(results, matrix.who), room, TEXT, lines=2)
    for place, line in enumerate(lines):
        sheet.write(x, y - 22 - 14 * (len(lines) - 1 - place), line, weight="bold")
    facts = [f"r {number(matrix.correlation)}"] if known(matrix.correlation) else []
    facts += [f"mean {number(matrix.mean, 1)}"] if known(matrix.mean) else []
    sheet.write(x, y - 7, ", ".join(facts), fontsize=SMALL, color=SOFT)
    cells = np.array([[np.nan if v is None else v for v in row] for row in matrix.scores], float)
    np.fill_diagonal(cells, np.nan)
    axes = sheet.panel(x, y, side, side)
    axes.set_facecolor(FAINT)
    axes.pcolormesh(cells, norm=norm, cmap="cividis", edgecolors="white", linewidth=0.6)
    axes.set_ylim(n, 0)
    _name_countries(axes, matrix.countries, side / n)
    if n <= _NUMBERED:
        _number_cells(axes, cells.tolist(), norm)


def _name_countries(axes: Axes, countries: Sequence[str], cell: float) -> None:
    size = min(SMALL, max(6.5, cell * 0.62))
    middles = [place + 0.5 for place in range(len(countries))]
    axes.set_xticks(middles, countries, fontsize=size, rotation=90 if cell < 27 else 0)
    axes.set_yticks(middles, countries, fontsize=size)
    axes.tick_params(length=0, pad=3)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _number_cells(axes: Axes, cells: Sequence[Sequence[float]], norm: Normalize) -> None:
    for row, line in enumerate(cells):
        for column, value in enumerate(line):
            if known(value):
                colour = INK if norm(value) > 0.5 else "white"
                axes.text(
                    column + 0.5,
                    row + 0.5,
                    number(value, 1),
                    ha="center",
                    va="center",
                    fontsize=SMALL - 0.5,
                    color=colour,
                )


def _draw_scale(sheet: Canvas, y: float, norm: Normalize) -> None:
    """Draw what the colours mean."""
    import numpy as np

    low, high = float(norm.vmin or 0), float(norm.vmax or 0)
    axes = sheet.panel(10 + SIDE + 40, y, 200, 10)
    axes.pcolormesh(
        np.linspace(low, high, 41), [0, 1], [np.linspace(low, high, 40)], cmap="cividis"
    )
    axes.set_axis_off()
    sheet.write(10 + SIDE + 34, y + 9, number(low, 1), fontsize=SMALL, color=SOFT, ha="right")
    sheet.write(10 + SIDE + 246, y + 9, number(high, 1), fontsize=SMALL, color=SOFT)
