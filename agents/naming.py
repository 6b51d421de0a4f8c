"""Who is named in a text: by full name, by a part of it that only one bears, or by role.

Invariant: where two names fit, the longer one is meant; a name within a longer word is none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

_CASED = r"A-Za-z\u00aa-\u02af\u0370-\u058f\d"
"""Letters of scripts that put spaces between words, as a set in a pattern."""
_WORD = re.compile(r"\w+")
_ENDS = "[.!?\u2026\u3002\uff01\uff1f\u00bb\u201d\u2019\"')\\]\u3011\uff09*\u2014|]"
"""What may end a sentence before a new speaker."""
_MARKS = r"(?:\*{1,3}|_{1,2})?"
_OPENS = r"[\s>#\-\"\u201c\[]{0,8}(?:<\w{1,9}>)?"
_CLOSES = r"(?:</\w{1,9}>)?[\"\u201d\]\u200b-\u200f\u2060\ufeff]{0,8}"
"""What may stand around the name of a speaker: list signs, quotes, brackets, tags, nothing seen."""
_COLON = r"[:\uff1a\ufe13\ufe30\ufe55\u2236\ua789]"
_ASIDE = (
    r"(?:[(\[\uff08\u3010](?P<aside>[^()\[\]\uff08\uff09\u3010\u3011\n]{1,80})[)\]\uff09\u3011])?"
)


class Label(NamedTuple):
    """A place in a line where somebody is marked as its speaker."""

    role: str
    start: int
    end: int
    """Where the words begin."""
    aside: str | None
    """A direction between the name and the colon."""


def words_of(name: str) -> list[str]:
    """Return the words of a name."""
    return _WORD.findall(name)


def own_parts(names: Mapping[str, str]) -> dict[str, str]:
    """Return the words that stand in one name only, with the role that bears it."""
    bearers = Counter(part for name in names.values() for part in set(words_of(name)))
    return {
        part: role
        for role, name in names.items()
        for part in words_of(name)
        if bearers[part] == 1 and len(part) > 1
    }


def sole(text: str, names: Mapping[str, str]) -> str | None:
    """Return the role that a text is the name of and nothing else, letter case left aside."""
    plain = " ".join(text.casefold().split())
    whole, parts = _aliases(names)
    found = {role for alias, role in {**parts, **whole}.items() if alias.casefold() == plain}
    return found.pop() if len(found) == 1 else None


def named(text: str, names: Mapping[str, str]) -> list[str]:
    """Return the roles that a text names, each once. Letter case counts where a name is not whole,
    so that An is not found in "an hour".
    """
    pattern, meant = _mentions(tuple(names.items()))
    found = (meant[match.lastgroup or ""] for match in pattern.finditer(text))
    return list(dict.fromkeys(found))


def speakers(line: str, names: Mapping[str, str]) -> list[Label]:
    """Return where a line of a play passes to a speaker: a name or role at the beginning or after
    the end of a sentence, with a colon; in bold, or with a direction before the colon, too.
    """
    pattern, meant = _labels(tuple(names.items()))
    return [
        Label(
            next(role for group, role in meant.items() if match[group]),
            match.end("end") if match["end"] else 0, match.end(), match["aside"],
        )
        for match in pattern.finditer(line)
    ]  # fmt: skip


@lru_cache(maxsize=512)
def _mentions(names: tuple[tuple[str, str], ...]) -> tuple[re.Pattern[str], dict[str, str]]:
    whole, parts = _aliases(dict(names))
    known = [(alias, role, True) for alias, role in whole.items()]
    known += [(alias, role, False) for alias, role in parts.items() if not alias.islower()]
    return _compiled(known, "", "")


@lru_cache(maxsize=512)
def _labels(names: tuple[tuple[str, str], ...]) -> tuple[re.Pattern[str], dict[str, str]]:
    whole, parts = _aliases(dict(names))
    known = [(alias, role, True) for alias, role in {**parts, **whole}.items()]
    return _compiled(
        known, rf"(?:^|(?P<end>{_ENDS}\s*)){_OPENS}{_MARKS}(?i:the\s+)?",
        rf"{_MARKS}{_CLOSES}\s*{_ASIDE}\s*{_MARKS}\s*{_COLON}{_MARKS}\s*",
    )  # fmt: skip


def _aliases(names: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what whole people are called, by name or role, and the parts that only one bears."""
    whole = {name: role for role, name in names.items()}
    whole |= {role: role for role in names} | {role.replace("_", " "): role for role in names}
    return whole, own_parts(names)


def _compiled(
    known: list[tuple[str, str, bool]], before: str, after: str
) -> tuple[re.Pattern[str], dict[str, str]]:
    """Return a pattern with a group for each alias, the longest first, and whom the groups mean."""
    meant, parts = dict[str, str](), list[str]()
    for number, (alias, role, folded) in enumerate(sorted(known, key=lambda one: -len(one[0]))):
        left = rf"(?<![{_CASED}])" if re.match(f"[{_CASED}]", alias) else ""
        right = rf"(?![{_CASED}])" if re.search(f"[{_CASED}]$", alias) else ""
        written = re.sub(r"(?:\\ |\s)+", r"\\s+", re.escape(alias))
        meant[f"n{number}"] = role
        parts.append(f"(?P<n{number}>{left}(?{'i' if folded else ''}:{written}){right})")
    return re.compile(f"{before}(?:{'|'.join(parts)}){after}"), meant
