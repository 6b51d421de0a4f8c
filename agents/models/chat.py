"""Chats arranged for models that take less than a system message and any order of roles.

Invariant: no content is lost and none is added; the same chat is arranged in the same way for
playing and for training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agents.models.base import Message
from folkways.errors import UserError

_SEAM = "\n\n"
"""What stands between two contents that become one."""
DATE = "26 Jul 2024"
"""Day that templates write which write the date, where the variable `date_string` names no other;
it is the one that Llama's templates fall back on."""
_GIVEN = ("messages", "tools", "documents", "add_generation_prompt", "chat_template", "tokenize")
"""What a template gets from the chat, and no option may set."""


def template_variables(given: object, dated: bool = True) -> dict[str, Any]:
    """Return the option `template` of an engine: variables of the chat template, and unless it is
    for an endpoint, which may know none, the date. Raises UserError for anything else."""
    if not isinstance(given, Mapping | None) or not all(map(_is_name, given or {})):
        raise UserError(
            f"template is {given!r:.80}; it maps variables of the chat template to values, such as "
            "{enable_thinking: false}"
        )
    for name in given or {}:
        if name in _GIVEN:
            raise UserError(f"template.{name} is set by the chat itself; leave it out")
    return {**({"date_string": DATE} if dated else {}), **(given or {})}


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name.isidentifier()


def fold_system(chat: Sequence[Message]) -> list[Message]:
    """Return a chat without system messages: what begins it goes in front of the first user
    message, and a later one is the user's.

    >>> fold_system([{"role": "system", "content": "S"}, {"role": "user", "content": "U"}])
    [{'role': 'user', 'content': 'S\\n\\nU'}]
    """
    begins = next((at for at, one in enumerate(chat) if one["role"] != "system"), len(chat))
    head = _SEAM.join(one["content"] for one in chat[:begins])
    rest: list[Message] = [
        {"role": "user", "content": one["content"]} if one["role"] == "system" else one
        for one in chat[begins:]
    ]
    if not begins:
        return rest
    if rest and rest[0]["role"] == "user":
        head, rest = f"{head}{_SEAM}{rest[0]['content']}", rest[1:]
    return [{"role": "user", "content": head}, *rest]


def alternate(chat: Sequence[Message]) -> list[Message]:
    """Return a chat in which no two messages in a row have the same role: they are one message."""
    joined: list[Message] = []
    for one in chat:
        if joined and joined[-1]["role"] == one["role"]:
            content = f"{joined[-1]['content']}{_SEAM}{one['content']}"
            joined[-1] = {"role": one["role"], "content": content}
        else:
            joined.append(one)
    return joined
