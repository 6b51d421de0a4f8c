"""The labeller: the intent behind each turn, and its place in a user's taxonomy.

Invariant: the prompt for a turn is made from the conversation up to that turn and from nothing
after it; a label that cannot be read is absent, never filled in.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from pydantic import BaseModel, ConfigDict, Field

from agents.actor import Asked, ReplyForm
from agents.conversation import Conversation, Line
from agents.critics.critic import UnusableVerdict, answer_of, asked_as, require_own_words
from agents.template import load_template
from folkways.provenance import short_hash
from scenarios.parsing.problem import Finding, SourceError
from scenarios.parsing.validation import load_model
from scenarios.words import words

RELEVANCE = ("generic", "cultural")
_LABELLED = ("speak", "non-verbal", "leave")
"""Acts that have a purpose to be labelled."""
_NO_ANSWERS = ("unknown", "unclear", "none", "null", "n/a")
"""What models write where they have nothing to say."""
_INTENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "intent": {"type": "string"},
        "relevance": {"type": "string", "enum": list(RELEVANCE)},
        "expectation": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["intent", "relevance", "expectation"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Intent:
    """The purpose of one turn."""

    intent: str
    """One sentence: what the speaker is after."""
    relevance: str
    """generic or cultural."""
    expectation: str | None
    """The expectation that a cultural intent answers; null for a generic one."""


def has_purpose(line: Line) -> bool:
    """Return whether a line is an act that can be labelled."""
    return line.turn is not None and line.action in _LABELLED


def ask_intent(conversation: Conversation, turn: int, form: ReplyForm) -> Asked:
    """Return the question for the intent of a turn, made from what had happened by then.

    Goals and secrets are not shown: as in CLCA (arXiv 2504.02953) the labeller reads an intent from
    the conversation. The task and the scene come first and the line in question last: all turns of
    a conversation share the beginning of their prompts.
    """
    past = conversation.until(turn)
    line = past.lines[-1]
    person = next(p for p in past.people if p.role == line.role)
    template, review = load_template("intent"), load_template("review")
    parts = [template.task(), review.scene(past, False), template.ask(person, line)]
    if form == "script":
        parts.insert(1, template.worked())
        parts.append(template.again(review.said(line)))
    text = "\n\n".join(parts)
    return asked_as(text, _INTENT_SCHEMA, form)


def read_intent(reply: str, conversation: Conversation) -> Intent:
    """Read an intent. Raises UnusableVerdict."""
    value = answer_of(reply, conversation, ("intent", "relevance"))
    intent, expectation = value.get("intent"), value.get("expectation")
    relevance = value.get("relevance")
    if not _says_something(intent):
        raise UnusableVerdict("parse-failure", '"intent" must be one sentence.')
    if relevance not in RELEVANCE:
        raise UnusableVerdict("out-of-scale", '"relevance" must be "generic" or "cultural".')
    require_own_words(intent, conversation)
    _require_no_example(intent)
    intent = " ".join(intent.split())
    if relevance == "generic":
        return Intent(intent, relevance, None)
    if not _says_something(expectation):
        raise UnusableVerdict(
            "parse-failure", 'a "cultural" intent names the "expectation" it answers.'
        )
    require_own_words(expectation, conversation)
    _require_no_example(expectation)
    return Intent(intent, relevance, " ".join(expectation.split()))


class Category(BaseModel):
    """One category of a taxonomy."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)
    description: str = Field(min_length=1, max_length=400)


class Taxonomy(BaseModel):
    """A user's categories of intents."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)
    categories: tuple[Category, ...] = Field(min_length=2)

    @property
    def key(self) -> str:
        """The name with a hash of the categories."""
        return f"{self.name}@{short_hash(self.model_dump_json())[:8]}"


def load_taxonomy(path: Path) -> Taxonomy:
    """Read a taxonomy. Raises UserError, a line for each fault: what is malformed or missing, fewer
    than two categories, an id given twice.
    """
    taxonomy, source = load_model(path, Taxonomy)
    ids = _ids(taxonomy)
    faults = [
        Finding(("categories", number, "id"), "this category is given twice; keep one", name)
        for number, name in enumerate(ids)
        if name in ids[:number]
    ]
    if faults:
        raise SourceError(source.name, map(source.place, faults))
    return taxonomy


def ask_category(intent: Intent, taxonomy: Taxonomy, form: ReplyForm) -> Asked:
    """Return the question for the category of an intent."""
    text = load_template("category").ask(taxonomy.categories, intent)
    schema = {
        "type": "object",
        "properties": {"category": {"type": "string", "enum": _ids(taxonomy)}},
        "required": ["category"],
        "additionalProperties": False,
    }
    return asked_as(text, schema, form)


def read_category(reply: str, conversation: Conversation, taxonomy: Taxonomy) -> str:
    """Read a category. Raises UnusableVerdict."""
    found = answer_of(reply, conversation, ("category",)).get("category")
    if found not in _ids(taxonomy):
        allowed = ", ".join(_ids(taxonomy))
        raise UnusableVerdict("out-of-scale", f'"category" must be one of {allowed}.')
    return str(found)


def _ids(taxonomy: Taxonomy) -> list[str]:
    return [category.id for category in taxonomy.categories]


def _require_no_example(text: str) -> None:
    """Raise UnusableVerdict for a text that stands in the worked answers of the prompt."""
    shown = " ".join(words(load_template("intent").worked()))
    if f" {' '.join(words(text))} " in f" {shown} ":
        raise UnusableVerdict("copied", "it repeats an example.")


def _says_something(text: Any) -> TypeGuard[str]:
    if not isinstance(text, str) or text.strip(" .").casefold() in _NO_ANSWERS:
        return False
    return sum(character.isalpha() for character in text) > 1
