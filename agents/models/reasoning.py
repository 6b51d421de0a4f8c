"""Reasoning in a model's text, told apart from the answer.

Invariant: what is returned as the answer holds no reasoning, and a marker that an answer merely
mentions, within a JSON object or in quotes, separates nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

_NAMES = (
    r"[\w:-]{0,20}(?:think|thought|reason|reflect|deliberat|scratchpad|monologue|analysis)"
    r"[\w:-]{0,20}|cot|planning"
)
"""Of tags around reasoning."""
_ATTRIBUTES = r"""(?:\s+[\w-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s<>"']+))*\s*"""
_TOKEN = r"(?:think|thinking|thoughts?|reason|reasoning|cot)[|\uff5c]>"
_OPENING = (
    rf"(?i:<(?:{_NAMES}){_ATTRIBUTES}>)|\[THINK\]|◁think▷|<\|inner_prefix\|>"
    rf"|(?i:<[|\uff5c](?:(?:begin|start)[_\u2581](?:of[_\u2581])?)?{_TOKEN})"
    r"|(?:<\|start\|>assistant)?<\|channel\|?>\s*(?:analysis|commentary|thought)\b"
    r"(?:[^<\n]*(?:<\|constrain\|>[^<]*)?<\|message\|>)?"
)
_CLOSING = (
    rf"(?i:</(?:{_NAMES})\s*>)|\[/THINK\]|◁/think▷|<\|inner_suffix\|>"
    rf"|(?i:<[|\uff5c](?:/|end[_\u2581](?:of[_\u2581])?){_TOKEN})"
    r"|<channel\|>|(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|?>\s*final\b[^<\n]*"
    r"(?:<\|constrain\|>[^<]*)?<\|message\|>"
)
_MARKER = re.compile(rf"(?P<opening>{_OPENING})|(?P<closing>{_CLOSING})")
"""Tags, special tokens, and the channels of harmony, in which gpt-oss answers."""
_FRAME = re.compile(
    r"(?i:</?(?:answer|response|output|result|final(?:_answer|_response)?)>)"
    r"|<\|(?:begin|end)_of_solution\|>|<\|(?:START|END)_(?:RESPONSE|TEXT|ACTION)\|>"
    r"|<\|(?:end|return|call)\|>|<\|start\|>assistant"
)
"""What stands around an answer that has reasoning before it."""
_MY = r"(?i:\s*Here(?:['\u2019]|\s+i)s my "
_HEADINGS = (
    (r"\s*analysis", r"assistantfinal", r"\s*analysis(?=[A-Z])"),
    (rf"{_MY}thought process:)", rf"{_MY}response:)", rf"{_MY}thought process:)"),
)
"""What begins reasoning, what begins the answer after it, and what begins reasoning even where none
follows: harmony whose special tokens were left off, and Granite's words."""
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
    if (parts := _under_headings(text)) is not None:
        return parts
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


def _under_headings(text: str) -> Parts | None:
    for opening, closing, alone in _HEADINGS:
        if not (begin := re.match(opening, text)):
            continue
        thought = text[begin.end() :]
        if end := re.search(closing, thought):
            answer, thought = separate(thought[end.end() :]), thought[: end.start()]
            return answer._replace(
                answer=answer.answer.strip(), reasoning=join(thought.strip(), answer.reasoning)
            )
        if re.match(alone, text):
            return Parts("", thought.strip(), ended_inside=True)
    return None


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
    never closed counts at the beginning or the end of a line only.
    """
    spans, found = _objects(text), list[re.Match[str]]()
    for marker in _MARKER.finditer(text):
        around = text[max(marker.start() - 1, 0) : marker.start()], text[marker.end() :][:1]
        quoted = all(side and side in _QUOTES for side in around)
        if not quoted and not any(start < marker.start() < end for start, end in spans):
            found.append(marker)
    while found and found[-1]["opening"] and not _is_apart(text, found, len(found) - 1):
        found.pop()
    return found


def _is_apart(text: str, markers: Sequence[re.Match[str]], number: int) -> bool:
    begin = markers[number - 1].end() if number else 0
    before = text[begin : markers[number].start()]
    channel = "|" in markers[number][0]
    ends_line = text[markers[number].end() :][:1] == "\n"
    line = before.rpartition("\n")[2].strip(" \t*_`")
    return channel or ends_line or not line or line.endswith("}")


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
