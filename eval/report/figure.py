"""Figures of one width, one hand of type and one palette, as SVG that is safe inside a page.

Invariant: text is drawn as it is, never read as mathematics or markup; the SVG has no script, no
link, no style sheet and no style attribute, so that a page may forbid them all.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, ParamSpec
from xml.etree import ElementTree

from folkways.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 900
"""Of every figure. One unit is a pixel where the figure is shown 900 pixels wide."""
INK, SOFT, LINE, FAINT = "#22201c", "#6d675e", "#d9d4ca", "#f3f1ec"
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, which the colour-blind can tell apart, without yellow and black."""
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
TITLE, TEXT, SMALL = 15.0, 11.5, 10.0
"""Sizes of type."""
_FONTS = "'Helvetica Neue', Helvetica, Arial, 'Noto Sans', 'DejaVu Sans', sans-serif"
"""None is wider than the one that text is measured with (DejaVu Sans)."""
_STYLE: dict[Any, Any] = {
    "figure.dpi": 72, "savefig.dpi": 72, "svg.fonttype": "none", "svg.hashsalt": "folkways",
    "text.parse_math": False, "font.family": "DejaVu Sans", "font.size": TEXT, "text.color": INK,
    "axes.edgecolor": LINE, "axes.labelcolor": SOFT, "axes.labelsize": TEXT,
    "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
    "xtick.color": LINE, "xtick.labelcolor": SOFT, "xtick.labelsize": SMALL,
    "ytick.color": LINE, "ytick.labelcolor": SOFT, "ytick.labelsize": SMALL,
    "axes.grid": False, "grid.color": LINE, "grid.linewidth": 0.6, "axes.axisbelow": True,
}  # fmt: skip
_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_ATTRIBUTES = frozenset(
    [
        "fill",
        "fill-opacity",
        "fill-rule",
        "font-size",
        "font-style",
        "font-weight",
        "opacity",
        "stroke",
        "stroke-dasharray",
        "stroke-dashoffset",
        "stroke-linecap",
        "stroke-linejoin",
        "stroke-miterlimit",
        "stroke-opacity",
        "stroke-width",
        "text-anchor",
    ]
)
P = ParamSpec("P")


def look(place: int) -> tuple[str, str]:
    """Return colour and marker of a series by its place; 42 differ."""
    return _COLOURS[place % len(_COLOURS)], _MARKERS[place % len(_MARKERS)]


@dataclass(frozen=True, slots=True)
class Canvas:
    """An empty figure that is laid out in pixels from its top left corner."""

    figure: Figure
    title: str
    height: float

    def panel(self, x: float, y: float, width: float, height: float) -> Axes:
        """Return axes in a rectangle."""
        bottom = 1 - (y + height) / self.height
        return self.figure.add_axes(
            (x / WIDTH, bottom, width / WIDTH, height / self.height), facecolor="none"
        )

    def write(self, x: float, y: float, text: str, **style: Any) -> None:
        """Write a line of text whose baseline starts at a point."""
        style = {"va": "baseline", "ha": "left", "fontsize": TEXT, **style}
        self.figure.text(x / WIDTH, 1 - y / self.height, plain(text), **style)

    def svg(self) -> str:
        """Return the figure as SVG."""
        file = io.StringIO()
        self.figure.savefig(file, format="svg", metadata={"Date": None})
        return _tidy(file.getvalue(), self.title)


def new_sheet(title: str, subtitle: str, caption: str, height: float) -> tuple[Canvas, float]:
    """Return a figure with `height` pixels between head and caption, and where they begin."""
    from matplotlib.figure import Figure

    heads, subs = folded(title, WIDTH - 20, TITLE), folded(subtitle, WIDTH - 20, TEXT)
    feet = folded(caption, WIDTH - 20, SMALL)
    top = 12 + 20 * len(heads) + 16 * len(subs)
    total = top + height + 14 * len(feet) + 12
    sheet = Canvas(Figure(figsize=(WIDTH / 72, total / 72), facecolor="white"), title, total)
    lines = [(line, 20, TITLE, INK) for line in heads] + [(line, 16, TEXT, SOFT) for line in subs]
    y = 6.0
    for line, step, size, colour in lines:
        y += step
        sheet.write(10, y, line, fontsize=size, color=colour, weight="bold" if step > 16 else None)
    for place, line in enumerate(feet):
        sheet.write(10, top + height + 14 * (place + 1), line, fontsize=SMALL, color=SOFT)
    return sheet, top


def drawn(draw: Callable[P, Canvas | None]) -> Callable[P, str | None]:
    """Make a function that lays out a figure return it as SVG text; None is nothing to draw."""

    @wraps(draw)
    def as_svg(*args: P.args, **kwargs: P.kwargs) -> str | None:
        import matplotlib

        with matplotlib.rc_context(), warnings.catch_warnings():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_STYLE)
            warnings.filterwarnings("ignore", message="Glyph")
            sheet = draw(*args, **kwargs)
            return None if sheet is None else sheet.svg()

    return as_svg


def plain(text: str) -> str:
    """Return text on one line, with control characters made visible."""
    return printable(" ".join(text.split()))


@cache
def text_width(text: str, size: float = TEXT, weight: str = "normal") -> float:
    """Return how wide a line is at most, in pixels."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])


def shortened(text: str, width: float, size: float = TEXT) -> str:
    """Return as much of a text as fits, with an ellipsis where it was cut."""
    text = plain(text)
    if text_width(text, size) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        fits = text_width(text[:middle].rstrip() + "…", size) <= width
        low, high = (middle, high) if fits else (low, middle - 1)
    return text[:low].rstrip() + "…"


def folded(text: str, width: float, size: float = TEXT, lines: int = 3) -> list[str]:
    """Return a text on some lines, cut where they are not enough."""
    done: list[str] = []
    words, line = plain(text).split(" "), ""
    for place, word in enumerate(words):
        longer = f"{line} {word}".strip()
        if not line or text_width(longer, size) <= width:
            line = longer
        elif len(done) == lines - 1:
            line = " ".join([line, *words[place:]])
            break
        else:
            done, line = [*done, shortened(line, width, size)], word
    return [each for each in (*done, shortened(line, width, size)) if each]


def _tidy(text: str, title: str) -> str:
    """Return matplotlib's SVG without metadata, style sheet and style attributes, with a name, and
    with ids that no other figure of a page has."""
    mark = "f" + hashlib.sha256(text.encode()).hexdigest()[:8]
    ElementTree.register_namespace("", _SVG[1:-1])
    root = ElementTree.fromstring(re.sub(r"<!DOCTYPE[^>]*>", "", text, count=1))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{_SVG}metadata", f"{_SVG}style"):
                parent.remove(child)
    for element in root.iter():
        _tidy_element(element, mark)
    for group in root.iter(f"{_SVG}g"):
        if group.get("class") == "halo":
            for words in group.iter(f"{_SVG}text"):
                words.attrib.update(
                    {"paint-order": "stroke", "stroke": "#fff", "stroke-width": "3"}
                )
    root.attrib |= {
        "role": "img",
        "aria-label": plain(title),
        "font-family": _FONTS,
        "stroke-linejoin": "round",
        "width": str(WIDTH),
        "height": str(round(float(root.attrib["viewBox"].split()[3]))),
    }
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _tidy_element(element: ElementTree.Element, mark: str) -> None:
    """Turn style into attributes, links into local ones with a marked id, and shorten numbers."""
    attributes = element.attrib
    for declaration in attributes.pop("style", "").split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name in _ATTRIBUTES:
            attributes[name] = value.removesuffix("px") if name == "font-size" else value
    if _LINK in attributes:
        attributes["href"] = f"#{mark}{attributes.pop(_LINK)[1:]}"
    if "clip-path" in attributes:
        attributes["clip-path"] = attributes["clip-path"].replace("url(#", f"url(#{mark}")
    name = attributes.pop("id", "")
    if element.tag != f"{_SVG}g" and name:
        attributes["id"] = mark + name
    elif name.startswith("halo"):
        attributes["class"] = "halo"
    for key in ("d", "x", "y", "transform", "points"):
        if key in attributes:
            attributes[key] = re.sub(r"\s*\n", " ", _rounded(attributes[key])).strip()
    if attributes.get("transform", "").startswith("rotate(-0 "):
        del attributes["transform"]


def _rounded(numbers: str) -> str:
    return re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.2f}", numbers)
