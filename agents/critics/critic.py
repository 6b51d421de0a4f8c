"""Critics: the questions they ask about a conversation, and the reading of a judge's answers.

Invariant: an answer that cannot be read, or lies outside its scale, is a judgement that failed and
says why; it is never a pass and never a zero.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from agents.actor import Asked, ReplyForm
from agents.conversation import Conversation
from agents.language import speaks
from agents.models.base import Message, Prompt, prompt_hash
from agents.reply import Unreadable, read_object
from agents.template import PROMPTS, Template, load_template
from folkways.registry import resolve
from folkways.text import sound
from scenarios.words import words

CONFIDENCE = ("very confident", "confident", "not sure")
_COPIED_WORDS = 8
"""Words in a row that a text must share with the conversation, being made of nothing else, to be a
copy.
"""

MAX_CITED = 5
"""Turns that a verdict may cite: small models count on without end."""

CRITICS = {
    "quality": "agents.critics.quality:questions",
    "culture": "agents.critics.culture:questions",
    "social": "agents.critics.social:questions",
    "meta": "agents.critics.meta:questions",
}
"""Critics by name, in the order in which they judge; `meta` reads the verdicts of the others."""


class Labels(NamedTuple):
    """A scale of named outcomes."""

    names: tuple[str, ...]


class Range(NamedTuple):
    """A scale of whole numbers, both ends included."""

    low: int
    high: int


Scale = Labels | Range


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one judge said of one dimension."""

    dimension: str
    role: str | None
    """Whom it is about; null for the whole conversation."""
    label: str | None
    score: int | None
    confidence: str | None
    reason: str
    """The judge's reason; of a judgement that failed, what is wrong with the answer."""
    turns: tuple[int, ...] = ()
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One call of a critic."""

    critic: str
    role: str | None
    scales: Mapping[str, Scale]
    """Dimensions that the answer judges."""
    asked: Asked
    template: Template


Questions = Callable[[Conversation, Sequence[Judgement], ReplyForm], list[Question]]
"""What a critic is: from a conversation, and the others' judgements, to its questions."""


class UnusableVerdict(Unreadable):
    """An answer that is no verdict; the message says why, in words a model can act on."""

    def __init__(self, failure: str, message: str) -> None:
        super().__init__(message)
        self.failure = failure


def critic(name: str) -> Questions:
    """Return a critic by name or import path. Raises UserError for an unknown one."""
    found: Questions = resolve("critic", name, CRITICS)
    return found


def ask(
    name: str,
    conversation: Conversation,
    role: str | None,
    scales: Mapping[str, Scale],
    form: ReplyForm,
    folder: Path = PROMPTS,
    **facts: Any,
) -> Question:
    """Return the question of a critic: the conversation first, which all critics' prompts share,
    then what the macro `ask` of the critic's template NAME.jinja in a folder asks.
    """
    template = load_template(name, folder)
    scene = load_template("review").scene(conversation, True)
    person = next((p for p in conversation.people if p.role == role), None)
    warning = load_template("review").warning()
    text = f"{scene}\n\n{warning}\n\n{template.ask(conversation, person, **facts)}"
    schema = verdict_schema(scales, len(conversation.turns))
    return Question(name, role, scales, asked_as(text, schema, form), template)


def asked_as(text: str, schema: dict[str, Any], form: ReplyForm) -> Asked:
    """Return a question as a prompt: text to be continued under `script`, a chat under `json`."""
    messages: list[Message] = [{"role": "user", "content": text}]
    prompt: Prompt = f"{text}\nAnswer: " if form == "script" else messages
    return Asked(prompt, prompt_hash(prompt), schema)


def ask_again(asked: Asked, reply: str, problem: str) -> Asked:
    """Return the prompt for a second try after an answer that cannot be used."""
    note = load_template("review").repair(problem)
    if isinstance(asked.prompt, str):
        prompt: Prompt = f"{asked.prompt}{sound(reply)}\n{note}\nAnswer: "
    else:
        prompt = [
            *asked.prompt,
            {"role": "assistant", "content": sound(reply) or "{}"},
            {"role": "user", "content": note},
        ]
    return Asked(prompt, prompt_hash(prompt), asked.schema)


def verdict_schema(scales: Mapping[str, Scale], turns: int) -> dict[str, Any]:
    """Return the JSON Schema of a verdict on so many turns: reason, turns, one field a dimension,
    confidence.
    """
    cited = {"type": "integer", "minimum": 1, "maximum": max(turns, 1)}
    fields: dict[str, Any] = {
        "reason": {"type": "string"},
        "turns": {"type": "array", "items": cited, "maxItems": MAX_CITED},
    }
    for dimension, scale in scales.items():
        fields[dimension] = (
            {"type": "string", "enum": list(scale.names)}
            if isinstance(scale, Labels)
            else {"type": "integer", "minimum": scale.low, "maximum": scale.high}
        )
    fields["confidence"] = {"type": "string", "enum": list(CONFIDENCE)}
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


def read_verdict(reply: str, question: Question, conversation: Conversation) -> list[Judgement]:
    """Read a judge's answer, one judgement a dimension.

    A dimension outside its scale fails by itself. Raises UnusableVerdict where nothing can be used.
    """
    value = answer_of(reply, conversation, question.scales)
    confidence, reason = value.get("confidence"), value.get("reason")
    if confidence not in CONFIDENCE:
        raise UnusableVerdict("out-of-scale", f'"confidence" must be one of {_listed(CONFIDENCE)}.')
    if not isinstance(reason, str) or not any(character.isalnum() for character in reason):
        raise UnusableVerdict("parse-failure", '"reason" must be one sentence.')
    require_own_words(reason, conversation)
    reason, turns = " ".join(reason.split()), _cited(value.get("turns"), conversation)
    judgements = [
        _judged(dimension, scale, value.get(dimension), question.role, confidence, reason, turns)
        for dimension, scale in question.scales.items()
    ]
    if all(judgement.failure for judgement in judgements):
        raise UnusableVerdict("out-of-scale", judgements[0].reason)
    return judgements


def answer_of(reply: str, conversation: Conversation, wanted: Collection[str]) -> dict[str, Any]:
    """Return the JSON object in an answer, the last that has wanted keys. Raises UnusableVerdict,
    which says so where the answer copies the conversation instead.
    """
    try:
        found = read_object(reply, wanted)
        return {k: sound(v) if isinstance(v, str) else v for k, v in found.items()}
    except Unreadable as error:
        if _copies(reply, conversation):
            raise UnusableVerdict("copied", "it repeats the conversation.") from error
        raise UnusableVerdict("parse-failure", str(error)) from error


def require_own_words(text: str, conversation: Conversation) -> None:
    """Raise UnusableVerdict for a text that copies a line, or is not in English."""
    if _copies(text, conversation):
        raise UnusableVerdict("copied", "it repeats the conversation.")
    if not speaks(text, "en"):
        raise UnusableVerdict("wrong-language", "it is not in English.")


def failed(question: Question, failure: str, message: str) -> list[Judgement]:
    """Return the judgements of a question that came to nothing."""
    return [
        Judgement(dimension, question.role, None, None, None, message, (), failure)
        for dimension in question.scales
    ]


def _judged(
    dimension: str,
    scale: Scale,
    value: Any,
    role: str | None,
    confidence: str,
    reason: str,
    turns: tuple[int, ...],
) -> Judgement:
    if isinstance(scale, Labels):
        if value in scale.names:
            return Judgement(dimension, role, value, None, confidence, reason, turns)
        allowed = f"one of {_listed(scale.names)}"
    else:
        if type(value) is int and scale.low <= value <= scale.high:
            return Judgement(dimension, role, None, value, confidence, reason, turns)
        allowed = f"a whole number from {scale.low} to {scale.high}"
    message = f'"{dimension}" must be {allowed}; found {value!r:.60}.'
    return Judgement(dimension, role, None, None, None, message, (), "out-of-scale")


def _cited(turns: Any, conversation: Conversation) -> tuple[int, ...]:
    """Return those turns of a verdict that there are."""
    known = {line.turn for line in conversation.turns}
    given = turns if isinstance(turns, list) else []
    real = dict.fromkeys(turn for turn in given if type(turn) is int and turn in known)
    return tuple(real)[:MAX_CITED]


def _copies(text: str, conversation: Conversation) -> bool:
    """Tell whether a text is one line, or eight words and more taken from the lines in order, with
    or without their numbers and names; the last word may be cut short.
    """
    said = " ".join(words(text))
    if said.count(" ") + 1 < _COPIED_WORDS:
        lines = (" ".join(words(line.text or "")) for line in conversation.lines)
        return said.count(" ") > 0 and said in lines
    shown = map(load_template("review").said, conversation.lines)
    spoken = (line.text or "" for line in conversation.lines)
    return any(f" {said}" in f" {' '.join(words(' '.join(told)))}" for told in (spoken, shown))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
