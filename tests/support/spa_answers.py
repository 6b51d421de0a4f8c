"""Runs of CultureSPA with questions made by hand, and a model whose answers a test decides."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
from survey_models import Answerer

from agents.models.base import Prompt
from folkways.clock import utc_now
from simulation.store.record import Record
from simulation.store.writer import Store
from training.culturespa.config import SpaConfig
from training.culturespa.questions import as_item, question_id, question_row, settle_questions

NOW = utc_now()
LIKES: dict[tuple[str, str], Mapping[str, float]] = {}
"""By country ("" where none is named) and question: the probability of each label; of what is not
there the first label has all."""


def configure(out: Path, **fields: Any) -> SpaConfig:
    data: dict[str, Any] = {
        "name": "trial", "out": str(out), "model": {"name": "survey_models:careful"},
        "topics": ["corruption", "security"], "cultures": ["DEU", "CHN", "NZL"],
    }  # fmt: skip
    return SpaConfig.model_validate(data | fields)


def write(config: SpaConfig, topic: str, sizes: Sequence[int], first: int = 1, **row: Any) -> None:
    """Store questions on a topic with so many options each, as if a model had written them."""
    config.run.mkdir(parents=True, exist_ok=True)
    settle_questions(config)
    rows = [
        question_row(
            as_item(
                question_id(topic, number), topic, f"What about {topic} in street {number}?",
                {code: f"{'abcdefghijk'[code - 1]} of {number}" for code in range(1, size + 1)},
            ),
            None, 0.0, NOW,
        ) | row
        for number, size in enumerate(sizes, first)
    ]  # fmt: skip
    Store(config.run).append([Record({"spa_questions": rows}, "written")])


def rows(config: SpaConfig, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(config.run / "log.duckdb"), read_only=True) as con:
        return con.execute(query, values).fetchall()


def told(name: str) -> Answerer:
    """Return a model that answers by LIKES, whatever the order of the options."""

    def likes(options: Sequence[str], prompt: Prompt) -> list[float]:
        assert not isinstance(prompt, str)
        place = re.search(r"from (\w[\w ]*),", prompt[0]["content"])
        ask = prompt[1]["content"].split("\n")[0].removeprefix("Question: ")
        known = LIKES.get((place[1] if place else "", ask), {min(options): 1.0})
        return [0.9 * known.get(option, 0.0) for option in options]

    def says(options: Sequence[str], prompt: Prompt) -> str:
        chances = likes(options, prompt)
        return str(chances.index(max(chances)) + 1)

    return Answerer(likes, says)
