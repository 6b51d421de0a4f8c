"""Models that answer a survey as a test says, given by import path, and what they were asked."""

from __future__ import annotations

import asyncio
import math
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.models.base import (
    CallFailed,
    Completion,
    ModelUnavailable,
    Prompt,
    Sampling,
    ScoresUnavailable,
    prompt_hash,
)
from folkways.cli import main

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07'); drop table survey_replies; -- {{ self }} <script>\x00\ud800 "
    "\u202e [bold]x[/bold] $$ ? :x"
)
"""A reply that is terminal control, SQL, template and markup at once."""
LATENCY = "SURVEY_LATENCY_S"
"""Environment variable: seconds before each answer. An option would make another condition."""
ASKED: list[tuple[str, str, int | None]] = []
"""System prompt, question and seed of every call; no seed where options were scored."""
TRIES: Counter[str] = Counter()
"""Calls by prompt, and "answered" in all."""

Likes = Callable[[Sequence[str], Prompt], Sequence[float]]
"""From the words of the options as shown, and the prompt, to their probabilities."""
Says = Callable[[Sequence[str], Prompt], str]


def run_command(errors: Path, *words: str) -> None:
    """Run a command with models that take their time; what it says goes into a file."""
    os.environ[LATENCY] = "1.0"
    with errors.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 2)
        os.dup2(file.fileno(), 1)
    main(list(words))


def options_of(prompt: Prompt) -> list[str]:
    """Return the words of the options of the question asked, as shown."""
    assert not isinstance(prompt, str)
    lines = prompt[-1]["content"].rpartition("\n\n")[2].split("\n")[1:-1]
    found = [re.fullmatch(r"(\d+)(?:\. (.+))?", line) for line in lines]
    assert [one and int(one[1]) for one in found] == list(range(1, len(lines) + 1))
    return [one[2] or "" for one in found if one]


class Answerer:
    """A model made of two functions."""

    def __init__(self, likes: Likes, says: Says) -> None:
        self.name, self.likes, self.says = "", likes, says

    async def start(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        await self._asked(prompt, sampling.seed)
        text = self.says(options_of(prompt), prompt)
        return Completion(text, "stop", prompt_tokens=100, completion_tokens=3)

    async def score(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float]:
        if len(prompt) == 1:  # whether scores can be had
            return [math.log(0.4)] * len(options)
        await self._asked(prompt, None)
        chances = self.likes(options_of(prompt), prompt)
        assert list(options) == [f"{s}{n}" for n in range(1, len(chances) + 1) for s in ("", " ")]
        parts = [part for chance in chances for part in (chance * 0.7, chance * 0.3)]
        return [-math.inf if part == 0 else math.log(part) for part in parts]

    async def _asked(self, prompt: Prompt, seed: int | None) -> None:
        assert not isinstance(prompt, str)
        assert [message["role"] for message in prompt] == ["system", "user"]
        ASKED.append((prompt[0]["content"], prompt[1]["content"], seed))
        await asyncio.sleep(float(os.environ.get(LATENCY, "0")))


def careful(name: str) -> Answerer:
    """Return a model whose answers depend on every letter of the prompt; some are of no use."""

    def likes(options: Sequence[str], prompt: Prompt) -> list[float]:
        rng = random.Random(prompt_hash(prompt))
        if rng.random() < 0.1:
            return [0.0] * len(options)
        weights = [rng.random() ** 3 for _ in options]
        return [0.9 * weight / sum(weights) for weight in weights]

    def says(options: Sequence[str], prompt: Prompt) -> str:
        rng = random.Random(prompt_hash(prompt))
        number = str(rng.randint(1, len(options)))
        useless = ("1 or 2", "I'm sorry.", "", "0")
        return rng.choice((number, number, number, f"I would say {number}.", *useless))

    return Answerer(likes, says)


def _sure(options: Sequence[str], place: int) -> list[float]:
    return [0.9 * (at == place) for at in range(len(options))]


def first(name: str) -> Answerer:
    """Return a model that takes the option shown first."""
    return Answerer(lambda options, _: _sure(options, 0), lambda *_: "1")


def partial(name: str) -> Answerer:
    """Return a model that has a favourite label, wherever it stands."""

    def place(options: Sequence[str]) -> int:
        return options.index(min(options))

    return Answerer(
        lambda options, _: _sure(options, place(options)),
        lambda options, _: f"{place(options) + 1}. {min(options)}",
    )


def refusing(name: str) -> Answerer:
    """Return a model that does not answer."""
    return Answerer(lambda options, _: [0.0] * len(options), lambda *_: "I'm sorry, I cannot.")


def hostile(name: str) -> Answerer:
    """Return a model that means harm."""
    return Answerer(lambda options, _: _sure(options, 0), lambda *_: HOSTILE)


def nonsense(name: str) -> Answerer:
    """Return a model whose arithmetic has overflowed."""
    return Answerer(lambda options, _: [math.nan] * len(options), lambda *_: "1")


class Scoreless(Answerer):
    """An engine without log-probabilities."""

    async def score(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float]:
        raise ScoresUnavailable("no log-probabilities here")


def scoreless(name: str) -> Scoreless:
    """Return one that answers text."""
    return Scoreless(lambda *_: [], lambda *_: "2")


class Flaky(Answerer):
    """An engine that fails the first time with a question in three, by silence or by an error, and
    when it is asked whether it gives scores."""

    async def score(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float]:
        if len(prompt) == 1:
            raise CallFailed("server-error", "just starting")
        await self._fail(prompt, "scores")
        return await super().score(prompt, options)

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        await self._fail(prompt, "text")
        return await super().complete(prompt, sampling, schema)

    async def _fail(self, prompt: Prompt, what: str) -> None:
        key = f"{what} {prompt_hash(prompt)}"
        TRIES[key] += 1
        fate = random.Random(key).randrange(6)
        if TRIES[key] == 1 and fate == 0:
            await asyncio.sleep(600)
        if TRIES[key] == 1 and fate == 1:
            raise CallFailed("server-error", f"HTTP 500 {HOSTILE}")


def flaky(name: str) -> Flaky:
    """Return one that else answers carefully."""
    model = careful(name)
    return Flaky(model.likes, model.says)


class Dying(Answerer):
    """An engine that is gone at the fifth question; calls under way take their time."""

    async def score(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float]:
        if len(prompt) > 1:
            TRIES["dying"] += 1
            if TRIES["dying"] == 5:
                raise ModelUnavailable("the engine has died")
            if TRIES["dying"] > 5:
                await asyncio.sleep(0.05 * (TRIES["dying"] - 5))
        found = await super().score(prompt, options)
        TRIES["answered"] += len(prompt) > 1
        return found


def dying(name: str) -> Dying:
    """Return one."""
    model = first(name)
    return Dying(model.likes, model.says)


class Thinking(Answerer):
    """A model that thinks of every option and answers with the second, or is cut before it does."""

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        thought = "<think>\nIt may be 1. Or 1?"
        if prompt_hash(prompt) < "8":
            return Completion(thought, "length", prompt_tokens=100, completion_tokens=12)
        return Completion(f"{thought}\n</think>\n\n2", "stop", 100, 15, reasoning_tokens=12)


def thinking(name: str) -> Thinking:
    """Return a model that thinks before it answers."""
    return Thinking(lambda options, _: _sure(options, 0), lambda *_: "")
