"""Numbers as reports print them.

Invariant: what could not be computed is a dash, never 0.
"""

from __future__ import annotations

import math

DASH = "\u2013"


def number(value: float | None, decimals: int = 3) -> str:
    """Return a number with so many decimals; a dash for none."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def interval(value: float | None, low: float | None, high: float | None, decimals: int = 3) -> str:
    """Return an estimate with its interval, `0.312 [0.290, 0.334]`; without one the estimate."""
    estimate = number(value, decimals)
    if DASH in (estimate, number(low), number(high)):
        return estimate
    return f"{estimate} [{number(low, decimals)}, {number(high, decimals)}]"


def chance(p: float | None) -> str:
    """Return a p value."""
    return "< 0.001" if p is not None and p < 0.001 else number(p)


def known(value: float | None) -> bool:
    """Return whether there is a number at all."""
    return value is not None and math.isfinite(value)
