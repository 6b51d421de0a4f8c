"""Extensions of one's own, under a name: turn policies, critics, engines.

A decorator registers one for this process. Others find one by its import path `module:function`, or
by an entry point of an installed package in the group `folkways.turn_policies`, `folkways.critics`
or `folkways.models`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from folkways.registry import register

Extension = TypeVar("Extension", bound=Callable[..., Any])


def turn_policy(name: str) -> Callable[[Extension], Extension]:
    """Register who acts next: `async def policy(stage, ask, rng, options) -> Choice`.

    ```python
    @fw.turn_policy("shy")
    async def shy(stage, ask, rng, options):
        return Choice([min(stage.candidates(), key=lambda role: stage.last_act[role])], "is shy")
    ```
    """
    return _registered("turn policy", name)


def critic(name: str) -> Callable[[Extension], Extension]:
    """Register a critic: from a conversation, and the others' judgements, to its questions."""
    return _registered("critic", name)


def model(name: str) -> Callable[[Extension], Extension]:
    """Register an engine: a function of what follows `NAME:` in `--model`, and of its options,
    that returns a `Model`."""
    return _registered("model", name)


def _registered(kind: str, name: str) -> Callable[[Extension], Extension]:
    def keep(found: Extension) -> Extension:
        register(kind, name, found)
        return found

    return keep
