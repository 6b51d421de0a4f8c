"""Reasoning in a model's text, told apart from the answer.

Invariant: what is returned as the answer holds no reasoning, and a marker that an answer merely
mentions, within a JSON object or in quotes, separates nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

_WORDS = "think|thinking|thoughts?|reason|reasoning|reflection|analysis|scratchpad|seed:think"
_OPENING = (
    rf"(?i:<(?:{_WORDS})\s*>)|\[THINK\]|◁think▷|<\|begin_of_thought\|>|<\|START_THINKING\|>"
    r"|(?:<\|start\|>assistant)?<\|channel\|?>\s*(?:analysis|commentary|thought)\b"
    r"(?:[^<\n]*(?:<\|constrain\|>[^<]*)?<\|message\|>)?"
)
_CLOSING = (
    rf"(?i:</(?:{_WORDS})\s*>)|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<\|END_THINKING\|>"
    r"|<channel\|>|(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|?>\s*final\b[^<\n]*"
    r"(?:<\|constrain\|>[^<]*)?<\|message\|>"
)
_MARKER = re.compile(rf"(?P<opening>{_OPENING})|(?P<closing>{_CLOSING})")
"""Tags, and the channels of harmony, in which gpt-oss answers."""
_FRAME = re.compile(
    r"(?i:</?(?:answer|response)>)|<\|(?:begin|end)_of_solution\|>|<\|(?:START|END)_RESPONSE\|>"
    r"|<\|(?:end|return|call)\|>|<\|start\|>assistant"
)
"""What stands around an answer that has reasoning before it."""
_BARE_CHANNELS = re.compile(r"\s*analysis(?P<reasoning>.*?)assistantfinal(?P<answer>.*)", re.S)
"""Harmony whose special tokens were left off."""
_QUOTES = "\"'`\u201c\u201d\u2018\u2019\u00ab\u00bb"
_OBJECT = re.compile(r'\{\s*"')


class Parts(NamedTuple):
    """A text, told apart."""

    answer: str
    reasoning: str | None
    """Null: there is none."""
    ended_inside: bool = False
    """Whether the text ends before its reasoning does."""


def separate(text: str) -> Parts:
    """Return the answer in a text and the reasoning: in any number of blocks, in one that is never
    closed, and in one that had begun before the text does.
    """
    if bare := _BARE_CHANNELS.fullmatch(text):
        return Parts(bare["answer"].strip(), bare["reasoning"].strip())
    if not _MARKER.search(text):
        return Parts(text, None)
    markers = _markers(text)
    if not markers:
        return Parts(text, None)
    answers, thoughts, at, inside = list[str](), list[str](), 0, False
    for marker in markers:
        before, at = text[at : marker.start()], marker.end()
        if inside:
            thoughts.append(before)
        elif marker["closing"]:  # it began before the text, or all so far belongs to it
            thoughts, answers = [*thoughts, *answers, before], []
        else:
            answers.append(before)
        inside = marker["opening"] is not None
    (thoughts if inside else answers).append(text[at:])
    return Parts(_joined(answers), _joined(thoughts), inside)


def join(*reasoning: str | None) -> str | None:
    """Return reasoning that came in several places as one text, None where there is none."""
    found = [part for part in reasoning if part is not None]
    return "\n".join(filter(None, found)) if found else None


def cut_at_stop(text: str, stop: Sequence[str]) -> tuple[str, str | None]:
    """Return a text up to the first stop string in its answer; reasoning may hold such strings, and
    is returned beside an answer that was cut.
    """
    if not any(end in text for end in stop):
        return text, None
    answer, thought, _ = separate(text)
    kept = min((answer.partition(end)[0] for end in stop), key=len)
    return (text, None) if kept == answer else (kept, thought)


def _markers(text: str) -> list[re.Match[str]]:
    """Return the markers that separate: not within JSON objects or quotes; one that opens what is
    never closed counts at the beginning of a line only.
    """
    spans, found = _objects(text), list[re.Match[str]]()
    for marker in _MARKER.finditer(text):
        around = text[max(marker.start() - 1, 0) : marker.start()], text[marker.end() :][:1]
        quoted = all(side and side in _QUOTES for side in around)
        if not quoted and not any(start < marker.start() < end for start, end in spans):
            found.append(marker)
    while found and found[-1]["opening"] and not _begins_line(text, found, len(found) - 1):
        found.pop()
    return found


def _begins_line(text: str, markers: Sequence[re.Match[str]], number: int) -> bool:
    begin = markers[number - 1].end() if number else 0
    before = text[begin : markers[number].start()]
    channel = "|" in markers[number][0]
    line = before.rpartition("\n")[2].strip(" \t*_`")
    return channel or not line or line.endswith("}")


def _objects(text: str) -> list[tuple[int, int]]:
    """Return where JSON objects begin and end."""
    decoder, spans, at = json.JSONDecoder(), list[tuple[int, int]](), 0
    while begin := _OBJECT.search(text, at):
        try:
            _, at = decoder.raw_decode(text, begin.start())
            spans.append((begin.start(), at))
        except (ValueError, RecursionError):
            at = begin.end()
    return spans


def _joined(parts: Sequence[str]) -> str:
    plain = (_FRAME.sub("", part).strip() for part in parts)
    return "\n".join(filter(None, plain))
