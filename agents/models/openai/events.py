"""Answers that come as a stream of events although none was asked for, joined into one.

Invariant: a body that is no such stream is returned as it is.
"""

from __future__ import annotations

import json
import re
from typing import Any

UNFINISHED = "unfinished"
"""Finish reason of a stream that ends without one and without its last line."""
_STREAM = re.compile(rb"\s*(data|event|id|retry)?:")


def joined_events(content: bytes) -> bytes:
    """Return the completion that the `data:` lines of an event stream make up together."""
    if not _STREAM.match(content.removeprefix(b"\xef\xbb\xbf")):
        return content
    whole: dict[str, Any] = {}
    choice: dict[str, Any] = {}
    pending, is_done = "", False
    for line in re.split(r"\r\n?|\n", content.decode("utf-8-sig", errors="replace")):
        name, _, said = line.partition(":")
        is_done |= said.strip() == "[DONE]"
        if name.strip() != "data" or said.strip() in ("", "[DONE]"):
            continue
        pending += said + "\n"
        try:
            event = json.loads(pending)
        except (ValueError, RecursionError):
            continue  # an event may have several lines
        pending = ""
        if isinstance(event, dict):
            _add(event, whole, choice)
    if pending or not (whole or choice):
        return content
    if choice:
        whole["choices"] = [choice if is_done else {"finish_reason": UNFINISHED, **choice}]
    return json.dumps(whole).encode()


def _add(event: dict[str, Any], whole: dict[str, Any], choice: dict[str, Any]) -> None:
    whole |= {key: value for key, value in event.items() if value is not None and key != "choices"}
    choices = event.get("choices")
    for part in choices if isinstance(choices, list) else []:
        if not isinstance(part, dict) or part.get("index", 0) != 0:
            continue
        for key, value in part.items():
            if key in ("delta", "message") and isinstance(value, dict):
                _join(choice.setdefault("message", {}), value)
            elif key == "logprobs" and isinstance(value, dict):
                _join(choice.setdefault("logprobs", {}), value)
            elif key == "text":
                _join(choice, {key: value})
            elif value is not None:
                choice[key] = value


def _join(said: dict[str, Any], more: dict[str, Any]) -> None:
    """Append texts to texts and lists to lists; anything else replaces what was there."""
    for key, value in more.items():
        before = said.get(key)
        if isinstance(value, str) and isinstance(before, str):
            said[key] = value if key in ("role", "type") else before + value
        elif isinstance(value, list) and isinstance(before, list):
            said[key] = [*before, *value]
        elif value is not None:
            said[key] = value
