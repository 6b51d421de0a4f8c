"""Why a text is not YAML, told so that whoever wrote it can act on it.

Invariant: the place that a parser could not read decides, with the text around it; how a parser
words its errors never does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from scenarios.parsing.problem import Position

INVISIBLE = re.compile(
    "[\u00a0\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u2000-\u200f\u202a-\u202f"
    "\u205f-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e007f]"
)
"""Characters that nobody sees. Some belong to words and emoji, so a text may hold them; the name of
a key may not."""

SPACE = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
"""Spaces that are none to YAML."""
LINE_BREAK = re.compile(r"\r\n|\r|\n")
_TAB = re.compile(r"^[ ]*(?:-[ ]*)*(\t)")
_STRUCTURAL = re.compile(
    rf"^ *(?:- *)*({INVISIBLE.pattern}|\u3000)|[:-]({INVISIBLE.pattern}|\u3000)"
)
"""An invisible character where the structure of a file is: in the indentation, after a colon or a
hyphen."""
_KEY = re.compile(r"^ *(?:- +)*([^\s:\[\]{}][^:]*?) *:(?= |$)")
_KEY_WITHOUT_SPACE = re.compile(r"^ *(?:- +)*([\w-]+):(\S+)")
_BEFORE = "cannot begin a text; put the text in quotes"


def invisible(text: str) -> str | None:
    """Return the first invisible character of a text in words, or None."""
    found = INVISIBLE.search(text)
    return f"the invisible character U+{ord(found[0]):04X}" if found else None


def explain(text: str, at: Position, start: Position | None) -> tuple[Position, str]:
    """Return where a text is not YAML and what to do about it.

    `at` is where the parser stopped, `start` where what it was reading began, if it told.
    """
    lines = [*LINE_BREAK.split(text), ""]
    place = min(at.line, len(lines)) - 1
    hidden = _hidden(lines, place)
    if hidden:
        return hidden
    opened = _char(lines, start) if start else ""
    if start and opened and opened in "'\"[{*&>|":
        told = _unfinished(lines, at, start, opened)
        if told:
            return told
    line, column = lines[place], at.column - 1
    before, char = line[:column], line[column : column + 1]
    if char == ":":
        return _colon(lines, place, column)
    if char and char in "@`%,]}":
        return at, f"'{char}' {_BEFORE}"
    if before.strip(" -"):
        return at, _within(before, char)
    first = lines[start.line - 1] if start and start.line < at.line else "-"
    if start and not _KEY.match(first) and not first.lstrip().startswith("-"):
        return start, _no_colon(first)
    return at, _indentation(lines, place)


def _char(lines: Sequence[str], at: Position) -> str:
    return lines[at.line - 1][at.column - 1 : at.column] if at.line <= len(lines) else ""


def _hidden(lines: Sequence[str], place: int) -> tuple[Position, str] | None:
    """Return a tab in the indentation or an invisible character in the structure near a line."""
    for number in (place, place - 1):
        line = lines[number] if number >= 0 else ""
        if number == place and (tab := _TAB.match(line)):
            return Position(number + 1, tab.start(1) + 1), "indented with a tab; use spaces"
        if found := _STRUCTURAL.search(line):
            column = found.end()
            name = invisible(line[column - 1]) or f"the character U+{ord(line[column - 1]):04X}"
            return Position(number + 1, column), f"{name} stands here; remove it, or use a space"
    return None


def _unfinished(
    lines: Sequence[str], at: Position, start: Position, opened: str
) -> tuple[Position, str] | None:
    """Return what is wrong with a quotation, a bracket, an alias or a block of text."""
    rest = "\n".join([lines[at.line - 1][at.column - 1 :], *lines[at.line :]])
    if opened in "'\"":
        if rest.strip():
            return at, "a backslash in double quotes begins an escape; use single quotes"
        return start, f"the quotation mark {opened} that opens here is never closed"
    if opened in "[{":
        closing = "]" if opened == "[" else "}"
        if closing not in rest or (_char(lines, at) != ":" and not rest.strip()):
            return start, f"the bracket {opened} that opens here is never closed"
        if _char(lines, at) == ":":
            return at, "a colon within a text; put the text in quotes"
        return None
    if opened in ">|" and at.line == start.line:
        return at, f"the text after {opened} begins on the next line, indented"
    return (start, f"'{opened}' {_BEFORE}") if opened in "*&" else None


def _colon(lines: Sequence[str], place: int, column: int) -> tuple[Position, str]:
    """Return why no key can end at this colon."""
    line, here = lines[place], Position(place + 1, column + 1)
    earlier = _KEY.match(line[:column])
    if earlier:
        message = f"a colon within the text of '{earlier[1]}'; put the text in quotes"
        return here, message
    number = next((n for n in range(place - 1, -1, -1) if _told(lines[n])), None)
    if number is None:
        return here, "a colon that ends no key; put the text in quotes"
    above = lines[number]
    if crowded := _KEY_WITHOUT_SPACE.match(above):
        where = Position(number + 1, crowded.end(1) + 1)
        return where, f"no space after the colon; write {crowded[1]}: {crowded[2]}"
    key = _KEY.match(above)
    if key is None:
        return Position(number + 1, _column(above)), _no_colon(above)
    return Position(place + 1, _column(line)), (
        f"indented deeper than '{key[1]}' on line {number + 1}, which has its value already; begin "
        f"in column {key.start(1) + 1}, or put the whole text in quotes"
    )


def _no_colon(line: str) -> str:
    text = line.strip().removeprefix("- ")
    if wide := re.search("[\uff1a\ufe55\ufe13\ua789]", text):
        return f"'{wide[0]}' (U+{ord(wide[0]):04X}) is not the colon of YAML; write : and a space"
    return f"no colon after '{text:.40}'; write a key as in title: A name"


def _within(before: str, char: str) -> str:
    """Return what is wrong in the middle of a line."""
    last = before.rstrip()[-1:]
    if last and last in "'\"]}":
        other = '"' if last == "'" else "'"
        return f"the text goes on after the closing {last}; put all of it in {other} quotes"
    if char == "-":
        return "a list begins on a line of its own; put the item on the next line"
    return "this cannot stand here; put the text in quotes"


def _indentation(lines: Sequence[str], place: int) -> str:
    """Return what is wrong with a line that cannot begin where it does."""
    line = lines[place]
    if not line.strip():
        return "the file ends too early; close what was opened"
    column = _column(line)
    columns: list[int] = []
    for above in reversed(lines[:place]):
        if _told(above) and (not columns or _column(above) < columns[-1]):
            columns.append(_column(above))
    if column in columns:
        if line.lstrip().startswith("- "):
            return "a list item among keys; indent it under the key it belongs to"
        return "a key among the items of a list; indent it, or begin the line with a hyphen"
    allowed = " or ".join(map(str, columns)) or "1"
    return f"wrong indentation: begins in column {column}; allowed: column {allowed}"


def _told(line: str) -> bool:
    """Return whether a line says anything."""
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _column(line: str) -> int:
    return len(line) - len(line.lstrip(" ")) + 1
