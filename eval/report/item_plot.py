"""How a model answers single items in one country, beside people.

Invariant: an item that people were not asked is left out; one without a valid answer of the model
keeps people's bar and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from eval.report.figure import (
    INK,
    SMALL,
    SOFT,
    TEXT,
    WIDTH,
    Canvas,
    drawn,
    folded,
    new_sheet,
    shortened,
    text_width,
)
from eval.report.item_row import ItemRow, ItemShares, farthest_first
from eval.report.name import country_name, who_name
from eval.report.number import number
from eval.report.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ALL_SHOWN, FARTHEST = 44, 20
"""Items up to which all are drawn, and how many of a larger set."""
LEFT, RIGHT, WHO = 336, 56, 44
"""Pixels for the items' text, for the distance, and of the first for who it is that answers."""
STEP, BAR, GAP, SIZE = 46, 16, 2, 10.5
"""Pixels for an item, for one bar and between its two bars, and the size of the items' text."""
_NOMINAL = ("#77aadd", "#ee8866", "#eedd88", "#ffaabb", "#44bb99", "#bbcc33", "#99ddff", "#aaaa00")
"""Paul Tol's light colours, for options without an order."""


@drawn
def draw_items(results: Results, who: str, country: str, rows: Sequence[ItemRow]) -> Canvas | None:
    """Draw the distributions of a series' answers below people's, the farthest items first.

    Of more than 44 items the 20 farthest. None where no item can be compared.
    """
    items = farthest_first(rows)
    shown = items if len(items) <= ALL_SHOWN else items[:FARTHEST]
    if not any(item.answered for item in shown):
        return None
    cut = f"the {len(shown)} farthest of {len(items)}" if len(shown) < len(items) else "all"
    sheet, top = new_sheet(
        f"{country_name(country)}: people and {who_name(results, who)}",
        "Share of each answer: people above, model below; items farthest apart first "
        f"({cut}), with their total variation distance",
        "Scales run from dark (first option) to light (last), pastel colours have no order; a "
        "number is the code of an option too narrow for its words. "
        f"People: {results.people}.",
        STEP * len(shown) + 34,
    )
    axes = sheet.panel(LEFT, top + 6, WIDTH - LEFT - RIGHT, STEP * len(shown))
    axes.set(xlim=(0, 1), ylim=(STEP * len(shown), 0))
    axes.set_yticks([])
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.tick_params(length=0)
    axes.spines["bottom"].set_visible(False)
    for place, item in enumerate(shown):
        _draw_item(sheet, axes, item, top + 6, STEP * place + 6)
    return sheet


def _draw_item(sheet: Canvas, axes: Axes, item: ItemShares, top: float, y: float) -> None:
    lines = folded(f"{item.item_id}  {item.ask}", LEFT - WHO - 24, SIZE, lines=3)
    for place, line in enumerate(lines):
        sheet.write(
            10, top + y + BAR + 4 + 13 * (place - (len(lines) - 1) / 2), line, fontsize=SIZE
        )
    for who, under in (("people", 0), ("model", BAR + GAP)):
        sheet.write(LEFT - 6, top + y + under + 12, who, fontsize=SMALL - 1, color=SOFT, ha="right")
    _draw_bar(axes, item.options, [row.people or 0 for row in item.options], y)
    below = y + BAR + GAP
    if item.answered:
        _draw_bar(axes, item.options, [row.share or 0 for row in item.options], below)
    else:
        axes.text(
            0.004, below + BAR / 2, "no valid answer", va="center", fontsize=SMALL, color=SOFT
        )
    sheet.write(
        WIDTH - RIGHT + 8, top + y + BAR + 5, number(item.distance), color=INK, fontsize=TEXT
    )


def _draw_bar(axes: Axes, options: Sequence[ItemRow], shares: Sequence[float], y: float) -> None:
    colours = _colours(options)
    starts = [sum(shares[:place]) for place in range(len(shares))]
    axes.broken_barh(
        list(zip(starts, shares, strict=True)),
        (y, BAR),
        facecolors=colours,
        edgecolor="white",
        linewidth=0.8,
    )
    for row, start, share, colour in zip(options, starts, shares, colours, strict=True):
        room = share * (WIDTH - LEFT - RIGHT) - 6
        text = shortened(row.label, room, SMALL - 1)
        if text != row.label and len(text) < 9:
            text = str(row.point) if text_width(str(row.point), SMALL - 1) <= room else ""
        axes.text(
            start + share / 2,
            y + BAR / 2 + 0.5,
            text,
            ha="center",
            va="center",
            fontsize=SMALL - 1,
            color=_ink_on(colour),
        )


def _colours(options: Sequence[ItemRow]) -> list[Any]:
    if any(row.position is None for row in options):
        return [_NOMINAL[place % len(_NOMINAL)] for place in range(len(options))]
    from matplotlib import colormaps

    return [colormaps["cividis"](0.06 + 0.9 * (row.position or 0)) for row in options]


def _ink_on(colour: Any) -> str:
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(colour)
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.45 else "white"
