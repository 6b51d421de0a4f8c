r"""Text that is safe to print or to open in a spreadsheet, whoever wrote it.

Invariant: what is printed cannot move the cursor, change colours, turn the direction of writing,
hide text or pile marks upon other lines; such characters become visible escapes such as `\x1b`, or
are left out where they show nothing. A guarded cell is shown by a spreadsheet, never computed.
"""

from __future__ import annotations

import re
import unicodedata

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 controls except tab and newline
    "\u202a-\u202e\u2066-\u2069"  # bidirectional embeddings, overrides and isolates
    "\u2028\u2029\ud800-\udfff]"  # line and paragraph separators, halves of surrogate pairs
)
_UNSEEN = re.compile(
    "[\u061c\u200e\u200f"  # marks of direction
    "\u206a-\u206f\ufff9-\ufffb"  # deprecated format characters, annotations
    "\U000e0000-\U000e00ff]"  # tags, which can spell hidden text
)
_RUN = re.compile(r"[^\w\s\x00-\x7f]{9,}")
"""Where more than MARKS combining marks can be: none of them is a word character."""
_MARKS = 8
"""Combining marks in a row that stay."""
_FORMULA = re.compile(
    r"[\s'\x00-\x1f\x7f\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    r"\U000e0000-\U000e01ef]*[=+\-@\u2212\ufe62\ufe63\ufe66\ufe6b\uff0b\uff0d\uff1d\uff20]"
)
"""Text that a spreadsheet would take for a formula, or for one behind the guard, whatever unseen
characters it begins with."""
_ENDED = re.compile(r"'*[\t\r\n]")
"""Text that begins by ending a cell."""
_SEPARATOR = re.compile(r"(?<=[;\t\r\n])")
"""Where a spreadsheet may begin another cell: in many countries it does at a semicolon, and then
quotes around a cell that another separator ends keep nothing together."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def printable(text: str) -> str:
    """Return the text with control and direction-changing characters replaced by escapes, and
    without marks of direction, tags and more than MARKS combining marks in a row.

    Newlines and tabs stay, and so do emoji and right-to-left letters.
    """
    if not text.isascii():
        text = _RUN.sub(lambda match: _unpiled(match[0]), _UNSEEN.sub("", text))
    return _UNSAFE.sub(lambda match: _escape(ord(match[0])), text)


def guard(text: str) -> str:
    """Return a cell of a CSV file that a spreadsheet shows and does not compute: an apostrophe goes
    before what it would take for a formula, at the beginning and behind every semicolon, tab and
    line end. Numbers stay numbers."""
    first, *others = _SEPARATOR.split(text)
    inner = "".join([first, *(f"'{part}" if _computed(part) else part for part in others)])
    return f"'{inner}" if _computed(text) or _ENDED.match(text) else inner


def unguard(cell: str) -> str:
    """Return the text of a cell that `guard` made."""
    first, *others = _SEPARATOR.split(cell)
    text = "".join([first, *map(_bare, others)])
    return text[1:] if text.startswith("'") and _ENDED.match(text[1:]) else _bare(text)


def _bare(part: str) -> str:
    return part[1:] if part.startswith("'") and _computed(part[1:]) else part


def _computed(part: str) -> bool:
    return bool(_FORMULA.match(part)) and not _NUMBER.fullmatch(part.rstrip(";\t\r\n"))


def _unpiled(run: str) -> str:
    """Return text without the combining marks that follow MARKS others."""
    kept, marks = [], 0
    for character in run:
        kind = unicodedata.category(character)
        if kind != "Cf":  # a joiner begins no new letter
            marks = marks + 1 if kind[0] == "M" else 0
        if marks <= _MARKS:
            kept.append(character)
    return "".join(kept)


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def sound(text: str) -> str:
    """Return text that can be stored: half surrogate pairs become U+FFFD, NUL characters go."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "")
