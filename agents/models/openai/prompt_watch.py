"""Notices an endpoint that cuts prompts without a word: they grow, its count of tokens does not.

Invariant: only prompts that begin alike are compared, so that languages and forms of prompts with
other numbers of characters to a token raise no alarm.
"""

from __future__ import annotations

from collections import OrderedDict

from agents.models.base import Prompt, prompt_length

_ALARM = 3
"""Prompts that were longer, but not in tokens, until it is said."""
_GROWTH = 80
"""Characters by which a prompt has to grow before its tokens are looked at."""
_CHARACTERS_PER_TOKEN = 40
"""More characters to a token than any language has."""
_NEAR = 0.75
"""Share of the most tokens ever counted: what is counted as less was found in a cache and is not
counted by this endpoint, or is of another prompt."""
_LEAST = 128
"""Tokens below which no server cuts."""
_REMEMBERED = 4096
"""Beginnings of prompts."""


class PromptWatch:
    """What one endpoint counted for prompts, by how they begin."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[int, int]] = OrderedDict()
        """For each beginning the characters and tokens of a prompt that was counted whole."""
        self._most = self._standing = 0
        self._told = False

    def is_cut(self, prompt: Prompt, tokens: int | None, cached: int | None) -> bool:
        """Take note of what was counted for a prompt; return whether it is time to say that prompts
        are cut, which it is once."""
        if tokens is None or tokens < _LEAST or self._told:
            return False
        length = prompt_length(prompt)
        begins = hash(prompt[:1000] if isinstance(prompt, str) else prompt[0]["content"])
        if tokens > self._most:
            self._most, self._standing = tokens, 0
        before = self._known.pop(begins, None)
        self._known[begins] = (length, tokens)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        if before is None or length - before[0] < _GROWTH:
            if before is not None and length > before[0] and tokens <= before[1]:
                self._known[begins] = before  # it grew too little to tell
            return False
        plausible = before[1] + (length - before[0]) / _CHARACTERS_PER_TOKEN
        if tokens >= plausible:
            return False
        self._known[begins] = before
        self._standing += tokens >= _NEAR * self._most and not (cached or 0) > tokens
        self._told = self._standing >= _ALARM
        return self._told
