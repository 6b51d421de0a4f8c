"""Conversations in miniature for tests of what reads them: detectors, critics, the labeller."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agents.conversation import Conversation, Line, Person
from agents.models.base import Prompt
from scenarios.culture import load_cultures

SETTING = "A bakery in the early morning, before the shop opens."
SENTENCES = (
    "The oven took an hour to warm up today.", "Has anyone seen my blue apron?",
    "I left the ladder behind the shed.", "Your sister wrote to us from the coast.",
    "We could paint this wall in spring.", "Nobody told me about the new bell.",
    "Rain is expected before noon, they say.", "Those loaves go to the school kitchen.",
    "My knees hurt when it gets so cold.", "Did the miller send his bill already?",
    "Let us open the shutters together.", "She baked a cake with plums for him.",
)  # fmt: skip
"""Sound English turns that share no three words in a row."""


def person(role: str, name: str | None = None, culture: str = "GBR", **fields: Any) -> Person:
    """Return a villager named after the role."""
    known = {"language": "en", "goal": f"You want the {role}-goal.", "secret": None}
    brief = f"The {role}-brief of the village."
    return Person(
        role, name or role.title(), 40, "baker", "Nether Wallop", load_cultures()[culture],
        brief=brief, background="Born here.", **(known | fields),
    )  # fmt: skip


def act(turn: int | None, role: str | None, text: str | None, action: str | None = "speak",
        **fields: Any) -> Line:  # fmt: skip
    """Return one line of a conversation."""
    return Line(turn, role, role and role.title(), action, text, **fields)


def talk(*lines: Line | str, people: tuple[Person, ...] = (), **fields: Any) -> Conversation:
    """Return a conversation; texts are spoken by Ada and Bela in turns."""
    cast = people or (person("ada"), person("bela"))
    spoken = [
        line if isinstance(line, Line) else act(number, ("ada", "bela")[(number + 1) % 2], line)
        for number, line in enumerate(lines, start=1)
    ]
    names = {one.role: one.name for one in cast}
    named = (replace(line, name=names.get(line.role or "")) for line in spoken)
    made = Conversation(
        "e" * 16, "A test", SETTING, load_cultures()["GBR"], (SETTING,), cast, tuple(named)
    )
    return replace(made, **fields)


def content(prompt: Prompt) -> str:
    """Return what a prompt asks, in either form."""
    return prompt if isinstance(prompt, str) else prompt[0]["content"]
