"""What an unquoted YAML word stands for, by the core schema of YAML 1.2 (section 10.3.2).

Invariant: `no`, `on`, `yes` and `12:30` are text, and every number is finite and fits 64 bits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

KINDS = ("null", "bool", "int", "float")
"""The types an unquoted word is tried for before it is text, in this order."""
_MAX_INT = 2**63 - 1

_PATTERNS = {
    "null": re.compile(r"|~|null|Null|NULL"),
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "int": re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    "float": re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"),
}
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def resolve_scalar(text: str, kind: str | None = None) -> str | int | float | bool | None:
    """Return the value of an unquoted scalar; `kind` is the one type that an explicit tag demands.

    Raises ValueError for a number out of range and for a text that its tag does not fit.
    """
    for name in (kind,) if kind else KINDS:
        if _PATTERNS[name].fullmatch(text):
            return _CONVERTERS[name](text)
    if _NOT_FINITE.fullmatch(text):
        raise ValueError("a number must be finite")
    if kind:
        raise ValueError(f"the value does not fit its tag !!{kind}")
    return text


def _int(text: str) -> int:
    if text[:2] in ("0o", "0x"):
        number = int(text, 0)
    else:
        digits = text.lstrip("+-").lstrip("0") or "0"
        number = int(digits) if len(digits) < 20 else _MAX_INT + 1
        number = -number if text[0] == "-" else number
    if abs(number) > _MAX_INT:
        raise ValueError("the number does not fit 64 bits")
    return number


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number must be finite")
    return number


_CONVERTERS: dict[str, Callable[[str], int | float | bool | None]] = {
    "null": lambda text: None,
    "bool": lambda text: text[0] in "tT",
    "int": _int,
    "float": _float,
}
