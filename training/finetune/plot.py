"""The loss of a training as a figure.

Invariant: the same numbers give the same file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

INK, SOFT, LINE = "#22201c", "#6d675e", "#d9d4ca"
LOSS, VALIDATION = "#0072b2", "#d55e00"
"""Of Okabe and Ito's colours, which the colour-blind can tell apart."""
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "folkways",
    "text.parse_math": False,
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
}


def plot_loss(rows: Sequence[Mapping[str, Any]], title: str, file: Path) -> None:
    """Write the loss of every step, its running mean and the validation loss as SVG.

    `rows` are the lines of metrics.jsonl.
    """
    import matplotlib
    from matplotlib.figure import Figure

    loss = [(row["step"], row["loss"]) for row in rows if "loss" in row]
    validation = [(row["step"], row["validation_loss"]) for row in rows if "validation_loss" in row]
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=(9, 4.5), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(title, loc="left", fontweight="bold")
        axes.plot(*zip(*loss, strict=True), color=LOSS, alpha=0.3, linewidth=1)
        axes.plot(*zip(*_running(loss), strict=True), color=LOSS, linewidth=2, label="rows learned")
        if validation:
            axes.plot(
                *zip(*validation, strict=True),
                color=VALIDATION,
                marker="o",
                linewidth=1.5,
                label="validation rows",
            )
        axes.set_xlabel("optimiser steps")
        axes.set_ylabel("loss (nats per token)")
        axes.legend(frameon=False)
        figure.savefig(file, format="svg", metadata={"Date": None})


def _running(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return a running mean over a tenth of the steps."""
    width = max(1, len(points) // 10)
    means = []
    for place in range(len(points)):
        part = points[max(0, place + 1 - width) : place + 1]
        means.append((points[place][0], sum(value for _, value in part) / len(part)))
    return means
