"""The orders in which an item's options are shown.

Invariant: orders depend on item and seed alone, so that all models and respondents see the same;
options are always numbered 1 to K as shown, and an order maps the numbers back to codes.
"""

from __future__ import annotations

from random import Random
from typing import Literal

from eval.item import Item

Order = tuple[int, ...]
"""Codes, as in the file, in the order in which they are shown."""
Orders = Literal["balanced", "forward"]
_PERMUTATIONS = 4
"""Orders of a nominal item."""


def option_orders(item: Item, orders: Orders, seed: int) -> list[Order]:
    """Return the orders in which an item is asked.

    forward: the questionnaire's, once, as the published systems do. balanced: an ordinal or binary
    scale forward and reversed; the options of a nominal item shuffled and then rotated, up to four
    times, so that no option keeps its place. Options that are no point of the scale are not shown.
    """
    forward = item.scale_codes
    if orders == "forward":
        return [forward]
    if item.scale != "nominal":
        return [forward, forward[::-1]]
    shuffled = list(forward)
    Random(f"{seed} {item.id}").shuffle(shuffled)
    count = min(_PERMUTATIONS, len(shuffled))
    steps = [round(turn * len(shuffled) / count) for turn in range(count)]
    return [tuple(shuffled[step:] + shuffled[:step]) for step in steps]
