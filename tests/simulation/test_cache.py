"""With the cache a run is played again without its model, and costs nothing twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from cached_models import COUNTS

from agents.models.base import ModelUnavailable
from folkways.cli import main
from simulation.config import RunConfig, load_config
from simulation.plan import make_plan
from simulation.run import launch

CONTENT = {
    "episodes": "* exclude (started_at, wall_s)", "roles": "*", "turns": "*", "choices": "*",
    "happenings": "*", "calls": "* exclude (latency_s, cost, endpoint)",
}  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_asked_yet() -> None:
    COUNTS.clear()


def settings(out: Path, mode: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": "trial", "scenarios": ["soup-before-dusk", "wording-of-an-apology"],
        "cultures": ["MEX", "JPN"], "model": {"name": "cached_models:counted"}, "out": str(out),
        "cache": {"mode": mode, "path": str(out.parent / "shared.sqlite")},
    } | fields  # fmt: skip


def play(out: Path, mode: str, limit: int | None = None, **fields: Any) -> str:
    config = RunConfig.model_validate(settings(out, mode, **fields))
    return launch(make_plan(config), limit=limit, fresh=False, quiet=True)


def rows(out: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(out / "trial/log.duckdb"), read_only=True) as con:
        return con.execute(query).fetchall()


def content(out: Path) -> list[list[tuple[Any, ...]]]:
    return [
        rows(out, f"select {cols} from {table} order by all") for table, cols in CONTENT.items()
    ]


@pytest.mark.parametrize("mode", ["read-write", "replay-strict"])
def test_a_run_played_twice_asks_the_model_once(tmp_path: Path, mode: str) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    assert play(a, "read-write") == "done"
    calls = rows(a, "select count(*) from calls")[0][0]
    assert dict(COUNTS) == {"start": 1, "close": 1, "complete": calls}
    COUNTS.clear()
    assert play(b, mode, concurrency=1) == "done"
    assert COUNTS == {}, "the engine is not even started"
    assert content(b) == content(a)
    costs = "select endpoint, sum(cost) from calls group by all"
    assert (rows(a, costs), rows(b, costs)) == ([("far", calls / 2)], [("response-cache", 0.0)])
    spent = "select prompt_tokens, completion_tokens, cost from launches"
    assert rows(b, spent) == [(0, 0, None)] and rows(a, spent)[0][2] == calls / 2


def test_what_is_kept_is_within_any_budget_but_that_of_time(tmp_path: Path) -> None:
    play(tmp_path / "a", "read-write")
    small = {"tokens": 1, "cost_usd": 0.01}
    assert play(tmp_path / "b", "read-write", budget=small) == "done"
    assert content(tmp_path / "b") == content(tmp_path / "a")
    late = play(tmp_path / "c", "read-write", budget={"wall_s": 1e-9})
    assert late == "budget-wall" and COUNTS["start"] == 1
    assert play(tmp_path / "d", "read-write", budget=small, seed=1) == "budget-tokens"
    assert rows(tmp_path / "d", "select count(*) from calls") == [(0,)]


def test_strictly_replayed_what_is_not_kept_ends_the_run_and_nothing_is_made_up(
    tmp_path: Path,
) -> None:
    assert play(tmp_path / "a", "read-write", limit=2) == "limit"
    COUNTS.clear()
    with pytest.raises(ModelUnavailable, match=r"^act: .*keeps no answer of cached_models:counted"):
        play(tmp_path / "b", "replay-strict", concurrency=1)
    assert COUNTS == {}
    assert content(tmp_path / "b") == content(tmp_path / "a")
    assert rows(tmp_path / "b", "select end_reason from launches") == [("model-unavailable",)]
    assert play(tmp_path / "b", "read-write") == "done", "the mode may change between launches"
    assert rows(tmp_path / "b", "select count(*) from episodes") == [(4,)]


def test_another_sampling_or_engine_asks_anew_and_a_faster_one_does_not(tmp_path: Path) -> None:
    play(tmp_path / "a", "read-write")
    fake = {"name": "fake", "options": {"latency_s": 0.0}}
    for number, (model, asks) in enumerate(
        ((fake, True), (fake | {"options": {"latency_s": 0.001}}, False),
         (fake | {"temperature": 0.1}, True))
    ):  # fmt: skip
        out = tmp_path / str(number)
        play(out, "read-write", limit=1, model=model)
        found = {row[0] for row in rows(out, "select endpoint from calls where purpose = 'act'")}
        assert found == ({None} if asks else {"response-cache"})


def test_critics_and_labels_are_asked_for_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the commands, with the file beside the runs."""
    stages = [
        ["critique", "--model", "cached_models:counted", "-o", "critics=[quality, meta]"],
        ["label", "--model", "cached_models:counted"],
    ]
    for out in (tmp_path / "a", tmp_path / "b"):
        play(out, "off", limit=1)
        COUNTS.clear()
        for stage, *options in stages:
            cache = ["-o", "cache.mode=read-write"]
            if out.name == "b":
                cache = ["-o", "cache.mode=replay-strict",
                         "-o", f"cache.path={tmp_path / 'a/responses.sqlite'}"]  # fmt: skip
            with pytest.raises(SystemExit) as ended:
                main([stage, str(out / "trial"), "--quiet", *options, *cache])
            assert not ended.value.code, capsys.readouterr().err
        assert (COUNTS["complete"] > 3) == (out.name == "a")
    kept = "select * exclude (latency_s, cost, endpoint) from calls order by call"
    assert rows(tmp_path / "a", kept) == rows(tmp_path / "b", kept)
    assert rows(tmp_path / "b", "select count(*) from intents where failure is null")[0][0] > 0


def test_the_word_off_is_no_truth_value(tmp_path: Path) -> None:
    path = tmp_path / "pilot.yaml"
    path.write_text(yaml.safe_dump({"cache": {"mode": "read-write"}}), encoding="utf-8")
    cache = load_config(path, ["cache.mode=off"]).cache
    assert cache.mode == "off" and cache.opened(tmp_path) is None
    beside = load_config(path).cache.opened(tmp_path)
    assert beside and beside.path == tmp_path / "responses.sqlite"
