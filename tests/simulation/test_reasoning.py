"""Reasoning in a run: stored beside the reply, never acted, given more tokens where it is cut."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cached_models import cached
from scenes import json_act, play, scenario

from agents.models.base import Completion, Prompt, Sampling
from agents.models.fake import FakeModel
from agents.models.response_store import TABLES

LEAVE = json_act(action="leave", text="")
CHAT: Prompt = [{"role": "user", "content": "Tea?"}]


class Thinker(FakeModel):
    """Needs so many tokens before it answers, and stops within its thought at a stop string."""

    def __init__(self, needs: int, answer: str = "", apart: bool = False) -> None:
        super().__init__("thinker")
        self.needs, self.answer, self.apart = needs, answer, apart

    async def complete(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        if "\n" in sampling.stop:
            return Completion("<think>", "stop", 9, 1)
        cut = sampling.max_tokens < self.needs
        if self.apart:
            text = "" if cut else self.answer
            return Completion(text, "length" if cut else "stop", 9, None, reasoning="Hm.")
        text = "<think>\nHm." if cut else f"<think>\nHm.\n</think>\n{self.answer}"
        return Completion(text, "length" if cut else "stop", 9, min(sampling.max_tokens, 300))


def test_a_draft_in_reasoning_is_not_acted_and_the_reasoning_is_stored() -> None:
    record = play(scenario(), f"<think>Maybe {LEAVE}? No.</think>{json_act('Sit.')}")
    assert {turn["text"] for turn in record.rows["turns"]} == {"Sit."}
    calls = record.rows["calls"]
    assert {call["reasoning"] for call in calls} == {f"Maybe {LEAVE}? No."}
    assert {call["reply"] for call in calls} == {json_act("Sit.")}


def test_script_lines_may_begin_with_reasoning_that_has_line_breaks() -> None:
    record = play(scenario(), "<think>\nMaybe [leaves]?\nNo.\n</think>\n\nSit down.", form="script")
    assert {(t["action"], t["text"]) for t in record.rows["turns"]} == {("speak", "Sit down.")}


@pytest.mark.parametrize("apart", [False, True])
def test_an_act_that_is_cut_in_its_reasoning_is_asked_again_with_more_tokens(apart: bool) -> None:
    record = play(scenario(), model=Thinker(300, json_act("Sit."), apart))
    assert {turn["text"] for turn in record.rows["turns"]} == {"Sit."}
    made = [(c["purpose"], c["failure"], c["reply"]) for c in record.rows["calls"][:2]]
    assert made == [("act", "cut-in-reasoning", ""), ("repair", None, json_act("Sit."))]
    assert {call["reasoning"] for call in record.rows["calls"]} == {"Hm."}


def test_a_thought_that_a_stop_string_ends_is_asked_again_without_stop_strings() -> None:
    record = play(scenario(), model=Thinker(1, "Sit.\nBela: No."), form="script")
    assert {turn["text"] for turn in record.rows["turns"]} == {"Sit."}


def test_an_act_that_never_comes_out_of_its_reasoning_is_a_failure_of_that_name() -> None:
    record = play(scenario(), model=Thinker(10**6))
    assert {(t["action"], t["failure"]) for t in record.rows["turns"]} == {
        (None, "cut-in-reasoning")
    }
    episode = record.rows["episodes"][0]
    assert (episode["exit_reason"], episode["exit_detail"]) == ("model-failure", "cut-in-reasoning")


def test_the_cache_gives_reasoning_again_and_takes_over_files_made_before(tmp_path: Path) -> None:
    file = tmp_path / "responses.sqlite"
    older = TABLES.read_text(encoding="utf-8").splitlines()
    with closing(sqlite3.connect(file)) as con:
        con.executescript("\n".join(line for line in older if not line.startswith("    reasoning")))

    async def ask(model: FakeModel | None) -> Completion:
        async with cached(file, model, "thinker") as one:
            return await one.complete(CHAT, Sampling(max_tokens=500))

    first = asyncio.run(ask(Thinker(300, "Yes.")))
    again = asyncio.run(ask(None))
    assert (first.text, first.reasoning) == (again.text, again.reasoning) == ("Yes.", "Hm.")


def test_an_old_cache_is_read_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "responses.sqlite"

    async def ask(model: FakeModel | None) -> Completion:
        async with cached(file, model, "thinker") as one:
            return await one.complete(CHAT, Sampling(max_tokens=500))

    asyncio.run(ask(Thinker(300, "Yes.")))
    with closing(sqlite3.connect(file)) as con:
        con.execute("alter table responses drop column reasoning")
        con.execute("alter table responses drop column reasoning_tokens")
        con.execute("update responses set reply = '<think>Hm.</think>Yes.'")
        con.commit()
    before = file.read_bytes()
    kept = asyncio.run(ask(None))
    assert (kept.text, kept.reasoning) == ("Yes.", "Hm.")
    assert file.read_bytes() == before
