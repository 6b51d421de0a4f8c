"""Chats arranged for models that take less than a system message and any order of roles.

Invariant: no content is lost and none is added; the same chat is arranged in the same way for
playing and for training.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.models.base import Message

_SEAM = "\n\n"
"""What stands between two contents that become one."""


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
