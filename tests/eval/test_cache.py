"""With the cache a survey is asked once, however many evaluations need the same answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
from survey_models import ASKED

from agents.models.base import ModelUnavailable
from eval.config import parse_eval_config
from eval.evaluate import evaluate

REPLIES = "select * exclude (latency_s, asked_at) from survey_replies order by all"


def ask(out: Path, mode: str, **fields: Any) -> str:
    data = {
        "name": "trial", "items": ["Q1", "Q152"], "cultures": ["DEU", "JPN"],
        "methods": ["unaware", "culture"], "models": [{"name": "survey_models:careful"}],
        "out": str(out), "cache": {"mode": mode, "path": str(out.parent / "shared.sqlite")},
    }  # fmt: skip
    return evaluate(parse_eval_config(data | fields, "here"), quiet=True)


def rows(out: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(out / "trial/log.duckdb"), read_only=True) as con:
        return con.execute(query).fetchall()


@pytest.mark.parametrize("mode", ["read-write", "replay-strict"])
def test_the_same_questions_are_asked_once(tmp_path: Path, mode: str) -> None:
    ASKED.clear()
    assert ask(tmp_path / "a", "read-write") == "done"
    count = len(ASKED)
    assert count == rows(tmp_path / "a", "select count(*) from survey_replies")[0][0] > 10
    blanks = rows(tmp_path / "a", "select count(*) from survey_replies where trim(reply) = ''")
    again = blanks[0][0] if mode == "read-write" else 0
    assert ask(tmp_path / "b", mode, budget={} if again else {"tokens": 1}) == "done"
    assert len(ASKED) == count + again
    assert rows(tmp_path / "b", REPLIES) == rows(tmp_path / "a", REPLIES)
    spent = "select sum(prompt_tokens), sum(completion_tokens) from launches"
    assert rows(tmp_path / "b", spent) == [(100 * again, 3 * again)] != rows(tmp_path / "a", spent)


def test_a_question_that_was_not_asked_is_an_error_in_a_strict_replay(tmp_path: Path) -> None:
    assert ask(tmp_path / "a", "read-write", items=["Q1"]) == "done"
    with pytest.raises(ModelUnavailable, match=r"^Q152, .*keeps no answer"):
        ask(tmp_path / "b", "replay-strict", concurrency=1)
    before, found = (rows(tmp_path / name, REPLIES) for name in "ab")
    assert all(row in before for row in found)
