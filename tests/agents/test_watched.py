"""Writing scenarios: refused at once where it is in vain, and told of while it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from commands import command

from agents.models.base import CallFailed, Completion, ModelUnavailable, Prompt, Sampling
from agents.models.fake import FakeModel
from agents.models.watched import Watched


@pytest.mark.parametrize("model", [[], ["--model", "embedded"], ["--model", "hf:embedded"]])
def test_a_model_that_is_always_refused_is_refused_at_once(
    model: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began = perf_counter()
    adapt = ["scenario", "adapt", "soup-before-dusk", "--culture", "JPN", "--out", tmp_path / "a"]
    assert command(*adapt, *model) == 1
    generate = ["scenario", "generate", "--norm", "Guests eat first.", "--culture", "CHN"]
    assert command(*generate, "--out", tmp_path / "g", *model) == 1
    assert perf_counter() - began < 5
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and all("too small to write a scenario" in line for line in told)
    assert not (tmp_path / "a").exists() and not (tmp_path / "g").exists()


class Dead(FakeModel):
    """A model behind an endpoint that is gone."""

    asked = 0

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        """Fail as a client does that nobody answers."""
        self.asked += 1
        raise CallFailed("timeout", "no answer in 5 s")


def test_when_nothing_answers_the_work_ends_with_one_line() -> None:
    model = Dead()
    model.name = "openai:m@http://127.0.0.1:1/v1"
    watched = Watched(model)

    async def ask() -> None:
        for _ in range(9):
            try:
                await watched.complete("Hello", Sampling())
            except CallFailed:
                continue

    with pytest.raises(ModelUnavailable, match=r"gave no answer 3 times in a row .timeout: no"):
        asyncio.run(ask())
    assert model.asked == 3


def test_calls_tokens_and_seconds_are_told_of() -> None:
    model = FakeModel()
    model.name = "fake"
    watched = Watched(model)
    asyncio.run(watched.complete("Ann: Good evening.\nBob:", Sampling()))
    assert watched.line() == f"1 of 1 calls answered | {watched.tokens:,} tokens | 0 s"
    assert watched.tokens > 0
