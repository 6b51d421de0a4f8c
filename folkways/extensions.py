"""Extensions of one's own, under a name: turn policies, stop rules, critics, engines, export
formats, metrics.

A decorator registers one for this process. Others find one by its import path `module:function`, or
by an entry point of an installed package, in one of the groups of `folkways.registry.GROUPS`.
docs/extending.md has an example of each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

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


def stop_rule(name: str) -> Callable[[Extension], Extension]:
    """Register a way for a scene to end: `def rule(stage, since, options) -> str | None`.

    It returns what met it, or None; the first `since` turns do not count. It may be async.

    ```python
    @fw.stop_rule("all-spoke")
    def all_spoke(stage, since, options):
        spoke = {turn["speaker"] for turn in stage.turns[since:]}
        return "everyone has spoken" if spoke >= {*stage.here()} else None
    ```
    """
    return _registered("stop rule", name)


def critic(name: str) -> Callable[[Extension], Extension]:
    """Register a critic: from a conversation, and the others' judgements, to its questions."""
    return _registered("critic", name)


def model(name: str) -> Callable[[Extension], Extension]:
    """Register an engine: a function of what follows `NAME:` in `--model`, and of its options,
    that returns a `Model`."""
    return _registered("model", name)


def export_format(
    name: str, *, about: str = "", ending: Literal["jsonl", "json"] = "jsonl", pairs: bool = False
) -> Callable[[Extension], Extension]:
    r"""Register a format of corpora: a function from a stored row to an object that JSON can hold,
    or several.

    A row has `id`, `messages`, `meta`, and in pairs of drafts, which a format with `pairs` is for,
    `rejected`. The card of a corpus says `about`; files are lines of JSON, or a list with the
    ending `json`.

    ```python
    @fw.export_format("text", about="one text for each conversation")
    def text(row):
        yield {"text": "\n".join(message["content"] for message in row["messages"])}
    ```
    """
    return _registered("export format", name, about=about, ending=ending, pairs=pairs)


def metric(
    name: str, *, title: str = "", unit: str = "", better: Literal["lower", "higher"] | None = None
) -> Callable[[Extension], Extension]:
    """Register a metric of evaluations: a function from people's shares (..., I, K), a model's
    `Answers` and the `Scales` of I items to values (..., I), 0 or more, NaN where there is none.

    Reports show it beside the shipped ones, under its title, with its unit.

    ```python
    @fw.metric("modal", title="Same favourite", unit="share of items", better="higher")
    def modal(human, answers, scales):
        same = human.argmax(axis=-1) == answers.counts.argmax(axis=-1)
        return np.where(answers.valid > 0, same, np.nan)
    ```
    """
    return _registered("metric", name, title=title or name, unit=unit, better=better)


def _registered(kind: str, name: str, **facts: Any) -> Callable[[Extension], Extension]:
    def keep(found: Extension) -> Extension:
        register(kind, name, found, facts)
        return found

    return keep
