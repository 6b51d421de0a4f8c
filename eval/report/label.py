"""Labels of points that keep out of each other's way.

Invariant: a label that is not needed is left out rather than laid over anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from eval.report.figure import SOFT, plain, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class _Box(NamedTuple):
    """A rectangle in pixels."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: _Box) -> float:
        """Return the area that two rectangles share."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(width, 0) * max(height, 0)

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.top - self.bottom)


class Labels:
    """Places labels on axes whose limits are set, one after the other."""

    def __init__(self, axes: Axes) -> None:
        self._axes = axes
        box = axes.get_window_extent()
        self._frame = _Box(box.x0 + 2, box.y0 + 2, box.x1 - 2, box.y1 - 2)
        self._taken: list[_Box] = []

    def avoid(self, points: Iterable[tuple[float, ...]], radius: float) -> None:
        """Keep labels off points."""
        for point in points:
            x, y = self._axes.transData.transform(point)
            self._taken.append(_Box(x - radius, y - radius, x + radius, y + radius))

    def put(
        self,
        text: str,
        point: tuple[float, float],
        *,
        size: float,
        colour: str,
        weight: str = "normal",
        needed: bool = False,
    ) -> bool:
        """Write a label beside a point, with a thin line where it is far; return whether it is."""
        text = plain(text)
        x, y = self._axes.transData.transform(point)
        width, height = text_width(text, size, weight), size
        best, cost = None, float("inf")
        for box in _around(x, y, width, height):
            paid = sum(box.overlap(other) for other in self._taken)
            paid += 10 * (box.area - box.overlap(self._frame))
            if paid < cost - 1e-9:
                best, cost = box, paid
            if cost <= 0:
                break
        if best is None or (cost > 0 and not needed):
            return False
        self._taken.append(best)
        self._write(text, best, (x, y), size=size, colour=colour, weight=weight)
        return True

    def _write(
        self,
        text: str,
        box: _Box,
        point: tuple[float, float],
        *,
        size: float,
        colour: str,
        weight: str,
    ) -> None:
        back = self._axes.transData.inverted()
        near = (min(max(point[0], box.left), box.right), min(max(point[1], box.bottom), box.top))
        if abs(near[0] - point[0]) + abs(near[1] - point[1]) > 16:
            ends = back.transform([point, near])
            self._axes.plot(ends[:, 0], ends[:, 1], color=SOFT, linewidth=0.6, zorder=5)
        right = box.left > point[0]
        at = back.transform((box.left if right else box.right, (box.bottom + box.top) / 2))
        self._axes.text(
            at[0],
            at[1],
            text,
            fontsize=size,
            color=colour,
            weight=weight,
            va="center_baseline",
            ha="left" if right else "right",
            zorder=6,
            gid="halo",
        )


def _around(x: float, y: float, width: float, height: float) -> Iterable[_Box]:
    """Yield places for a label of some size around a point, the best first."""
    for away in (9, 16, 28, 44):
        for side, up in ((1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1), (0, -1)):
            slant = 0.75 if side and up else 1
            left = x + side * away * slant - (0 if side > 0 else width if side < 0 else width / 2)
            middle = y + up * (away * slant + (0 if side else height / 2))
            yield _Box(left, middle - height / 2, left + width, middle + height / 2)
