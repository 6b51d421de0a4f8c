"""The tasks a corpus can hold: play a person, tell an intent, tell what it has to do with culture.

Invariant: what has no label has no assistant message; nothing is filled in for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from agents.models.base import Message
from agents.template import Template, load_template
from training.corpus.perspective import perspective, told, user_message
from training.corpus.row import CorpusRow
from training.corpus.scene import Entry, Label, Person, Scene

PROMPTS = Path(__file__).with_name("prompts")
_Reply = Callable[[Label], str | None]
"""What the assistant says of a label; None where it says nothing."""


class _Task(NamedTuple):
    """A task of the corpus."""

    about: str
    by_role: bool
    """Whether an episode gives one row for each role that acted, or one in all."""


TASKS = {
    "dialogue": _Task("what one person perceived, and what that person did", True),
    "intent": _Task("what was done, and the intent behind it", False),
    "relevance": _Task(
        "what was done, and whether a cultural expectation is behind it, and which", False
    ),
}


def _load_prompt(name: str) -> Template:
    """Return the template `prompts/NAME.jinja` of this package."""
    return load_template(name, PROMPTS)


def dialogue_row(scene: Scene, person: Person, thoughts: bool = False) -> CorpusRow | None:
    """Return the scene as a person lived it, on request with what the person thought before each
    act; None where the person did nothing.
    """
    exchanges = perspective(scene.entries, person.role)
    if not exchanges:
        return None
    names = scene.names
    others = [one for one in scene.people if one is not person]
    pairs = [
        (user_message(exchange, names, first=number == 0), _own(exchange.act, thoughts))
        for number, exchange in enumerate(exchanges)
    ]
    system = _load_prompt("dialogue").system(scene.setting, person, others)
    turns = tuple(_turn(exchange.act.turn) for exchange in exchanges)
    return CorpusRow("dialogue", chat(system, pairs), turns, scene.origin(person))


def _own(act: Entry, thoughts: bool) -> str:
    return f"[thinks: {act.thought}] {act.line}" if thoughts and act.thought else act.line


def intent_row(scene: Scene) -> CorpusRow | None:
    """Return the scene line by line with the intent behind each act; None without any label."""
    system = _load_prompt("intent").intent(scene.setting, scene.people)
    return _labelled(scene, "intent", system, lambda label: f"Intent: {label.intent}")


def relevance_row(scene: Scene) -> CorpusRow | None:
    """Return the scene line by line with what each act has to do with culture; None without any
    label.
    """
    system = _load_prompt("intent").relevance(scene.setting, scene.people)
    return _labelled(scene, "relevance", system, _relevance)


SCENE_ROWS: dict[str, Callable[[Scene], CorpusRow | None]] = {
    "intent": intent_row,
    "relevance": relevance_row,
}
"""Tasks with one row an episode."""


def chat(system: str, pairs: Iterable[tuple[str, str]]) -> tuple[Message, ...]:
    """Return a system message and pairs of user and assistant as a chat."""
    messages: list[Message] = [{"role": "system", "content": system}]
    for user, assistant in pairs:
        messages.append({"role": "user", "content": user})
        messages.append({"role": "assistant", "content": assistant})
    return tuple(messages)


def _labelled(scene: Scene, task: str, system: str, reply: _Reply) -> CorpusRow | None:
    """Return a row about everyone; the lines of acts without a label run on into the next user
    message.
    """
    names, lines = scene.names, list[str]()
    pairs, turns = list[tuple[str, str]](), list[int]()
    for entry in scene.entries:
        lines.append(told(entry, names))
        label = scene.labels.get(entry.turn) if entry.turn is not None else None
        answer = reply(label) if label else None
        if entry.turn is not None and answer:
            pairs.append(("\n".join(lines), " ".join(answer.split())))
            turns.append(entry.turn)
            lines = []
    return CorpusRow(task, chat(system, pairs), tuple(turns), scene.origin()) if pairs else None


def _relevance(label: Label) -> str | None:
    if label.relevance == "generic":
        return "generic"
    return f"cultural: {label.expectation}" if label.expectation else None


def _turn(number: int | None) -> int:
    assert number is not None, "an act has a number"
    return number
