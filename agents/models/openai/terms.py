"""What one path of an endpoint takes, found out by asking again without what it may have refused.

Invariant: only what then succeeds is remembered as refused; each new try asks for less than the one
before, so that their number is bounded.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from agents.models.chat import alternate, fold_system
from agents.models.openai.error import UNSUPPORTED, Fault

EXTENSIONS = ("min_p", "repetition_penalty", "repeat_penalty", "dry_multiplier")
"""Sampling parameters outside OpenAI's interface."""
_LEVELS = (10, 5, 3, 2, 1)
"""Likeliest tokens to ask for where more are refused."""
_FRUITLESS = 3
"""Requests that failed however little they asked for, after which no more are tried blindly."""
_LONGER = 1.05
"""A prompt that is refused in unknown words is too long where it has so many times the characters
of the longest one that was taken."""
_NAMES = {
    "json_schema": r"response_?format|json.?schema|\bschema|grammar|guided|structured|json.?mode",
    "response_format": r"response_?format|json.?(object|schema|mode)|\bjson\b|grammar|structured",
    "top_logprobs": r"top_?logprobs|logprobs|log.?probabilit",
    "max_tokens": r"\bmax_tokens\b",
    "stop": r"\bstop\b|stop.?(sequence|word|string)",
    "system": (
        r"system\W+(\w+\W+)?(role|message|prompt|instruction)|role\W+(\w+\W+){0,4}system"
        r"|developer instruction|(user|assistant)\W+(\w+\W+){0,3}roles? are"
        r"|(roles?|messages)\b.{0,60}alternat|messages\[0\]\.role|template|jinja|raise_exception|interleave"
    ),
    "alternation": (
        r"alternat|interleave|successive|consecutive|in a row|odd index|must be a user message"
        r"|last message|template|jinja|raise_exception"
    ),
}
"""How errors name what may be refused, where they do not use its very name."""
_TOLD_UNSUPPORTED = ("temperature", "top_p", "max_tokens")
"""Given up only where the endpoint says that it does not take them, for a value can be wrong."""
_SAID = {
    "max_tokens": "takes max_completion_tokens instead of max_tokens",
    "json_schema": "takes no JSON schema; replies are asked for as JSON of any form",
    "system": "takes no system message; it stands in front of the first user message",
    "alternation": "wants user and assistant in turn; messages of one role in a row are joined",
}


@dataclass(slots=True)
class Terms:
    """What is known of a path."""

    changes: set[str] = field(default_factory=set)
    """What is done to each request: names of parameters that are left out, and others below."""
    proven: bool = False
    """Whether the path has ever answered."""
    fruitless: int = 0
    taken: int = 0
    """Prompts that were taken."""
    longest: int = 0
    """Characters of the longest of them."""
    trying: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the request that finds out what is refused."""

    def took(self, length: int) -> None:
        """Take note of a prompt that was taken, by its characters."""
        self.proven = True
        self.taken += 1
        self.longest = max(self.longest, length)

    def may_be_too_long(self, fault: Fault, length: int) -> bool:
        """Return whether a refusal in unknown words is one of the prompt's length, if the endpoint
        still takes short ones."""
        return fault.is_of_request and self.taken >= 2 and length > _LONGER * self.longest


class Trial:
    """One request that is asked again and again, for less and less."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self.changes = set(terms.changes)
        self._named: set[str] = set()
        self._last: set[str] = set()
        self.first: Fault | None = None
        """The refusal that it began with."""

    def goes_on(self, fault: Fault, sent: Mapping[str, Any]) -> bool:
        """Ask for less after a refusal; return whether there is anything to try."""
        if not fault.is_of_request:
            return False
        self.first = self.first or fault
        possible = _possible(sent, fault)
        named = [change for change in possible if _names(fault, change)]
        if named:
            self._named.add(named[0])
            self.changes.add(named[0])
            return True
        blind = [] if self._is_hopeless(fault, sent) else possible
        blind = [change for change in blind if change not in ("temperature", "top_p")]
        if not blind:
            self._terms.fruitless += bool(self._last)
            return False
        self._last = set(EXTENSIONS) & set(blind) or {blind[0]}
        self.changes |= self._last
        return True

    def succeeded(self) -> list[str]:
        """Remember what had to be given up; return a line on each that is new."""
        known, terms = set(self._terms.changes), self._terms
        terms.changes |= self._named | self._last
        if self._last or self._named:
            terms.fruitless = 0
        return [_said(change) for change in _least(terms.changes) if change not in known]

    def _is_hopeless(self, fault: Fault, sent: Mapping[str, Any]) -> bool:
        """Return whether asking for less at random is of no use."""
        terms = self._terms
        unproven = fault.status in (404, 405, 500, 501) and not terms.proven
        broken = fault.status == 500 and terms.taken > 0
        scoreless = "logprobs" in sent and re.search("log.?prob", fault.words, re.IGNORECASE)
        told = terms.fruitless >= _FRUITLESS or fault.param is not None
        return unproven or broken or told or "echo" in sent or bool(scoreless)


def arranged(body: Mapping[str, Any], changes: set[str]) -> dict[str, Any]:
    """Return a request as it is sent to an endpoint that refuses so much."""
    sent = {name: value for name, value in body.items() if name not in changes}
    if "max_tokens" in changes and "max_tokens" in body:
        sent["max_completion_tokens"] = body["max_tokens"]
    if "json_schema" in changes and "response_format" in sent:
        sent["response_format"] = {"type": "json_object"}
    if "system" in changes and "messages" in sent:
        sent["messages"] = fold_system(sent["messages"])
    if "alternation" in changes and "messages" in sent:
        sent["messages"] = alternate(sent["messages"])
    levels = [int(one.partition("=")[2]) for one in changes if one.startswith("top_logprobs=")]
    if levels and "top_logprobs" in sent:
        sent["top_logprobs"] = min(sent["top_logprobs"], *levels)
    return sent


def _possible(sent: Mapping[str, Any], fault: Fault) -> list[str]:
    """Return what a request can do with less of, in the order of suspicion."""
    found = [name for name in EXTENSIONS if name in sent]
    if "response_format" in sent:
        has_schema = sent["response_format"].get("type") == "json_schema"
        found.append("json_schema" if has_schema else "response_format")
    if level := _lower_level(sent, fault):
        found.append(f"top_logprobs={level}")
    found += [
        name for name in ("seed", "stop", "max_tokens", "top_p", "temperature") if name in sent
    ]
    messages = sent.get("messages", ())
    if any(message["role"] == "system" for message in messages):
        found.append("system")
    roles = [message["role"] for message in messages]
    if any(one == next_ for one, next_ in pairwise(roles)):
        found.append("alternation")
    return found


def _lower_level(sent: Mapping[str, Any], fault: Fault) -> int | None:
    """Return for how many likeliest tokens to ask next: as many as the refusal names, if any."""
    now = sent.get("top_logprobs")
    if now is None or fault.param == "logprobs":
        return None
    named = [int(n) for n in re.findall(r"(?<![\d.])\d{1,2}(?![\d.]*\d)", fault.words)]
    below = [number for number in named if 0 < number < now]
    if below:
        return max(below)
    refused = UNSUPPORTED.search(fault.words) and re.search(_NAMES["top_logprobs"], fault.words)
    return None if refused else next((level for level in _LEVELS if level < now), None)


def _names(fault: Fault, change: str) -> bool:
    """Return whether a refusal is about this."""
    name = change.partition("=")[0]
    if name in _TOLD_UNSUPPORTED and not UNSUPPORTED.search(f"{fault.words} {fault.codes}"):
        return False
    pattern = _NAMES.get(name, rf"\b{name}\b")
    if fault.param is not None and re.search(r"\w", fault.param):
        return re.search(pattern, fault.param) is not None or name in fault.param.split(".")
    return re.search(pattern, fault.words, re.IGNORECASE) is not None


def _least(changes: set[str]) -> list[str]:
    """Return the changes without those that others go beyond, in the order of the alphabet."""
    levels = sorted((one for one in changes if "=" in one), key=lambda one: int(one.split("=")[1]))
    beyond = {*levels[1:], *(["json_schema"] if "response_format" in changes else [])}
    return sorted(changes - beyond)


def _said(change: str) -> str:
    name, _, level = change.partition("=")
    if level:
        return f"tells the {level} likeliest tokens at most; read-outs that need more will say so"
    return _SAID.get(name, f"takes no {name}; it is left out from now on")
