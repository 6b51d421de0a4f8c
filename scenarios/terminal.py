r"""Text that is safe to print, whoever wrote it.

Invariant: what is printed cannot move the cursor, change colours or turn the direction of writing;
such characters become visible escapes such as `\x1b`.
"""

from __future__ import annotations

import re

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 controls except tab and newline
    "\u202a-\u202e\u2066-\u2069"  # bidirectional embeddings, overrides and isolates
    "\u2028\u2029\ud800-\udfff]"  # line and paragraph separators, halves of surrogate pairs
)


def printable(text: str) -> str:
    """Return the text with control and direction-changing characters replaced by escapes.

    Newlines and tabs stay, and so do emoji and right-to-left letters.
    """
    return _UNSAFE.sub(lambda match: _escape(ord(match[0])), text)


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
