"""With the cache CultureSPA's questions are written and answered once."""

from __future__ import annotations

from pathlib import Path

from cached_models import COUNTS
from spa_answers import configure, rows

from training.culturespa.collect import collect
from training.culturespa.generate import generate


def test_questions_are_written_and_answered_once(tmp_path: Path) -> None:
    model = {"name": "cached_models:counted"}
    cache = {"mode": "read-write", "path": str(tmp_path / "shared.sqlite")}
    a, b = (
        configure(tmp_path / name, model=model, per_topic=3, cache=cache, cultures=["DEU"])
        for name in "ab"
    )
    COUNTS.clear()
    assert (generate(a, quiet=True), collect(a, quiet=True)) == ("done", "done")
    assert COUNTS["complete"] >= 6 and COUNTS["score"] > 6
    COUNTS.clear()
    assert (generate(b, quiet=True), collect(b, quiet=True)) == ("done", "done")
    assert COUNTS == {}
    for query in (
        "select topic, number, reply, outcome, prompt_tokens from spa_attempts order by all",
        "select * exclude (created_at) from spa_questions order by all",
        "select * exclude (latency_s, asked_at) from survey_replies order by all",
    ):
        assert rows(a, query) == rows(b, query) != []
    assert rows(b, "select sum(prompt_tokens), sum(cost) from launches") == [(0, None)]
