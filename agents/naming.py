"""Who is named in a text: by full name, by a part of it that only one bears, or by role.

Invariant: where two names fit, the longer one is meant; a name within a longer word is none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

_CASED = r"A-Za-z\u00aa-\u02af\u0370-\u058f\d"
"""Letters of scripts that put spaces between words, as a set in a pattern."""
_WORD = re.compile(r"\w+")


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
    whole, parts = aliases(names)
    found = {role for alias, role in {**parts, **whole}.items() if alias.casefold() == plain}
    return found.pop() if len(found) == 1 else None


def named(text: str, names: Mapping[str, str]) -> list[str]:
    """Return the roles that a text names, each once. Letter case counts where a name is not whole,
    so that An is not found in "an hour".
    """
    pattern, meant = _mentions(tuple(names.items()))
    found = (meant[match.lastgroup or ""] for match in pattern.finditer(text))
    return list(dict.fromkeys(found))


def aliases(names: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what whole people are called, by name or role, and the parts that only one bears."""
    whole = {name: role for role, name in names.items()}
    whole |= {role: role for role in names} | {role.replace("_", " "): role for role in names}
    return whole, own_parts(names)


def bounded(word: str) -> str:
    """Return a pattern of a word or name that is no part of a longer one."""
    left = rf"(?<![{_CASED}])" if re.match(f"[{_CASED}]", word) else ""
    right = rf"(?![{_CASED}])" if re.search(f"[{_CASED}]$", word) else ""
    return left + re.sub(r"(?:\\ |\s)+", r"\\s+", re.escape(word)) + right


@lru_cache(maxsize=512)
def _mentions(names: tuple[tuple[str, str], ...]) -> tuple[re.Pattern[str], dict[str, str]]:
    """Return a pattern with a group for each alias, the longest first, and whom the groups mean."""
    whole, parts = aliases(dict(names))
    known = [(alias, role, "i") for alias, role in whole.items()]
    known += [(alias, role, "-i") for alias, role in parts.items() if not alias.islower()]
    known.sort(key=lambda one: -len(one[0]))
    meant = {f"n{number}": role for number, (_, role, _) in enumerate(known)}
    groups = (f"(?P<n{n}>(?{case}:{bounded(alias)}))" for n, (alias, _, case) in enumerate(known))
    return re.compile("|".join(groups)), meant
