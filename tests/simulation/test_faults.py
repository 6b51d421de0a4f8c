"""Faults of a whole endpoint: a run ends with the cause, nothing of it is a result, and the same
command plays the rest once the fault is gone."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from misbehaving_server import Answer, chat, error, serving
from review_runs import scene_file
from scenes import json_act

from folkways.cli import main
from folkways.errors import UserError
from folkways.registry import allow_code
from simulation.config import RunConfig
from simulation.execution.retry import RETRIED
from simulation.plan import make_plan
from simulation.review.launch import review
from simulation.review.task import Bounds
from simulation.review_settings import CritiqueConfig, LabelConfig
from simulation.run import launch

Reply = Callable[[Any, int], Answer]
TURNS = 4
ROOT = Path(__file__).parents[2]


def talk(body: Any = None, number: int = 0) -> Answer:
    """Say something that was not said before."""
    return chat(json_act(f"Number {random.random()} it is, and then {random.random()}."))


def cut() -> Answer:
    """Say something new, as a server does that counts what it has kept of the prompt alone."""
    usage = {"prompt_tokens": 512, "completion_tokens": 10, "total_tokens": 522}
    return chat(json_act(f"Number {random.random()}, and then {random.random()}."), usage=usage)


def play(
    folder: Path, url: str, options: dict[str, Any] | None = None, retry: bool = False,
    limit: int | None = None, **fields: Any,
) -> str:  # fmt: skip
    """Play a run of ten episodes and return why it ended, or what was said instead."""
    chosen = {"max_retries": 0, "timeout_s": 5} | (options or {})
    data = {
        "name": "trial", "scenarios": [scene_file(folder, TURNS)], "cultures": ["GBR"],
        "replicates": 10, "out": str(folder), "concurrency": 4,
        "model": {"name": f"openai:m@{url}", "options": chosen},
    } | fields  # fmt: skip
    plan = make_plan(RunConfig.model_validate(data))
    try:
        return launch(plan, limit=limit, fresh=False, quiet=True, retry=retry)
    except UserError as told:
        return f"told: {told}"


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(folder / "trial" / "log.duckdb"), read_only=True) as con:
        return con.execute(query).fetchall()


def results(folder: Path) -> dict[str, int]:
    """Return how the episodes ended, of several attempts the latest."""
    query = "select exit_reason, count(*)::int from latest_episodes group by all"
    return dict(rows(folder, query))


def after(count: int, fault: Answer) -> Reply:
    return lambda body, number: talk() if number <= count else fault


def always(fault: Answer) -> Reply:
    return lambda body, number: fault


THOUGHT = chat("", finish_reason="length")
FOR_ALL: dict[str, tuple[Reply, str]] = {
    "quota spent midway": (
        after(12, error(429, "Rate limit reached on tokens per day", {"Retry-After": "3423"})),
        "0:57:03",
    ),
    "key revoked midway": (after(12, error(401, "no such key")), "OPENAI_API_KEY"),
    "server errors from the first": (always(error(500, "CUDA error")), "CUDA error"),
    "server errors from then on": (after(12, error(500, "CUDA error")), "CUDA error"),
    "no text in any reply": (always(chat("")), "reply form"),
    "tokens used up by reasoning": (always(THOUGHT), "max_tokens"),
    "pages instead of answers": (after(12, Answer(b"<html>Sign in</html>")), "/v1"),
    "a parameter in unknown words": (
        always(error(400, "No thanks to a temperament of 0.75")), "temperament"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOR_ALL)
def test_a_fault_of_the_endpoint_is_told_and_is_no_result(name: str, tmp_path: Path) -> None:
    faulty = FOR_ALL[name]
    broken = True
    with serving(reply=lambda *asked: faulty[0](*asked) if broken else talk()) as server:
        told = play(tmp_path, server.url)
        assert told.startswith("told: ") and faulty[1] in told and "\n" not in told
        if (tmp_path / "trial" / "log.duckdb").exists():
            assert set(results(tmp_path)) <= {"turn-limit", "endpoint-failure"}
        assert len(server.asked) < 60
        broken = False
        assert play(tmp_path, server.url) == "done"
    assert results(tmp_path) == {"turn-limit": 10}


@pytest.mark.parametrize("fault", [error(500, "no"), chat(""), chat("Hm", finish_reason="error")])
def test_one_episode_alone_is_no_result_of_an_endpoint_that_answers_nobody(
    fault: Answer, tmp_path: Path
) -> None:
    broken = True
    with serving(reply=lambda *_: fault if broken else talk()) as server:
        assert play(tmp_path, server.url, limit=1).startswith("told: ")
        broken = False
        assert play(tmp_path, server.url, limit=1) == "limit"
    assert results(tmp_path) == {"turn-limit": 1}


@pytest.mark.parametrize("refusal", [
    chat("", finish_reason="content_filter"),
    error(400, "The response was filtered by the content management policy", code="content_filter"),
])  # fmt: skip
def test_an_endpoint_that_refuses_everything_has_no_result(tmp_path: Path, refusal: Answer) -> None:
    fault: Answer | None = refusal
    with serving(reply=lambda *_: fault or talk()) as server:
        told = play(tmp_path, server.url, replicates=2)
        assert "2 of 2 episodes" in told and "refusal 2" in told and "a filter" in told
        fault = None
        assert play(tmp_path, server.url, replicates=2) == "done"
    assert results(tmp_path) == {"turn-limit": 2}


def test_what_a_working_model_cannot_say_is_a_result(tmp_path: Path) -> None:
    def reply(body: Any, number: int) -> Answer:
        return chat("%$#") if number > 12 else talk()

    with serving(reply=reply) as server:
        assert play(tmp_path, server.url, replicates=4, concurrency=1) == "done"
        assert play(tmp_path, server.url, replicates=4, concurrency=1) == "done"
    ended = results(tmp_path)
    assert set(ended) == {"turn-limit", "model-failure"} and sum(ended.values()) == 4
    assert rows(tmp_path, "select count(*) from episodes") == [(4,)]


def test_half_of_the_requests_may_fail(tmp_path: Path) -> None:
    rng = random.Random(1)
    with serving(reply=lambda *_: error(500, "no") if rng.random() < 0.5 else talk()) as server:
        assert play(tmp_path, server.url, {"max_retries": 8}, replicates=3) == "done"
    assert results(tmp_path) == {"turn-limit": 3}


def test_scenes_that_outgrow_the_servers_context_are_no_result(tmp_path: Path) -> None:
    sizes, room = list[int](), 200

    def reply(body: Any, number: int) -> Answer:
        sizes.append(sum(len(message["content"]) for message in body["messages"]))
        fits = sizes[-1] < sizes[0] + room
        return talk() if fits else error(400, "The input token count is too long.")

    scene = scene_file(tmp_path, 2, limits={"turns": 12})
    with serving(reply=reply) as server:
        told = play(tmp_path, server.url, scenarios=[scene], replicates=1)
        assert "1 of 1 episodes" in told and "prompt-too-long 1" in told
        assert "a larger context" in told and "limits.turns" in told
        assert results(tmp_path) == {"endpoint-failure": 1}
        room = 100_000
        assert play(tmp_path, server.url, scenarios=[scene], replicates=1) == "done"
    assert results(tmp_path) == {"turn-limit": 1}


def test_a_scene_that_an_able_endpoint_fails_each_time_stands_after_some_tries(
    tmp_path: Path,
) -> None:
    def reply(body: Any, number: int) -> Answer:
        return error(500, "bad words") if "zebra" in json.dumps(body) else talk()

    bad = scene_file(tmp_path, TURNS, id="bad", setting="A zebra stands in the hall, and waits.")
    good = scene_file(tmp_path, TURNS)
    with serving(reply=reply) as server:
        scenes = {"scenarios": [good, bad], "replicates": 1}
        for _ in range(int(RETRIED["endpoint-failure"]) - 1):
            told = play(tmp_path, server.url, **scenes)
            assert "1 of 2 episodes" in told and "bad words" in told
        assert play(tmp_path, server.url, **scenes) == "done"
        asked = len(server.asked)
        assert play(tmp_path, server.url, **scenes) == "done"
        assert len(server.asked) <= asked + 1
        assert play(tmp_path, server.url, retry=True, **scenes) == "done"
    assert rows(tmp_path, "select count(*) from episodes where scenario_id = 'bad'") == [(4,)]
    assert results(tmp_path) == {"turn-limit": 1, "endpoint-failure": 1}


def test_a_store_of_an_earlier_version_has_its_lost_episodes_played(tmp_path: Path) -> None:
    with serving(reply=talk) as server:
        assert play(tmp_path, server.url, replicates=2) == "done"
        with duckdb.connect(str(tmp_path / "trial" / "log.duckdb")) as con:
            old = "exit_reason = 'model-failure', exit_detail = 'timeout' where replicate = 1"
            con.execute(f"update episodes set {old}")
        assert play(tmp_path, server.url, replicates=2) == "done"
    assert results(tmp_path) == {"turn-limit": 2}


@pytest.mark.parametrize("status", [429, 503, 500])
def test_a_wall_budget_ends_a_run_whose_calls_wait(tmp_path: Path, status: int) -> None:
    later = error(status, "not now", {"Retry-After": "100"})
    began = time.monotonic()
    with serving(reply=after(6, later)) as server:
        ended = play(tmp_path, server.url, {"max_retries": 3}, budget={"wall_s": 1})
    assert ended == "budget-wall" and time.monotonic() - began < 10
    assert set(results(tmp_path)) <= {"budget", "turn-limit"}


def test_the_pause_that_an_endpoint_asks_for_is_no_part_of_a_calls_time(tmp_path: Path) -> None:
    later = error(429, "not now", {"Retry-After": "2"})
    with serving(reply=lambda body, n: later if n == 2 else talk()) as server:
        model = {"timeout_s": 1, "name": f"openai:m@{server.url}", "options": {"max_retries": 2}}
        assert play(tmp_path, server.url, model=model, replicates=1) == "done"
    assert rows(tmp_path, "select count(*) from calls where failure is not null") == [(0,)]


async def broken(stage: Any, ask: Any, rng: Any, options: Any) -> Any:
    """Break, as a policy that somebody wrote may."""
    raise ZeroDivisionError("nobody is there to divide by")


def test_an_error_that_comes_again_is_tried_once_more_and_then_told_of(tmp_path: Path) -> None:
    policy = f"{__name__}:broken"
    allow_code()
    scene = scene_file(tmp_path, TURNS, id="bad", policy=policy)
    with serving(reply=talk) as server:
        scenes = {"scenarios": [scene_file(tmp_path, TURNS), scene], "replicates": 1}
        first, second, third = (play(tmp_path, server.url, **scenes) for _ in range(3))
        assert "1 of 2 episodes ended in an internal error" in first
        assert "ZeroDivisionError: nobody is there" in first and "once more" in first
        assert "are left" in second and "folkways sql" in second and third == second
        count = "select count(*) from episodes where exit_reason = 'error'"
        assert rows(tmp_path, count) == [(2,)]
        play(tmp_path, server.url, retry=True, **scenes)
        assert rows(tmp_path, count) == [(3,)]


@pytest.mark.parametrize("settings", [CritiqueConfig(critics=("quality",)), LabelConfig()])
@pytest.mark.parametrize(
    "refusal",
    [
        error(500, "out of memory"),
        error(400, "too long", code="context_length_exceeded"),
        error(400, "it was filtered", code="content_filter"),
        chat("", finish_reason="length", reasoning_content="Hm"),
    ],
    ids=["fault", "too long", "filtered", "cut in reasoning"],
)
def test_a_judge_that_fails_is_asked_again(
    settings: CritiqueConfig | LabelConfig, refusal: Answer, tmp_path: Path
) -> None:
    judge = {"options": {"max_retries": 0}}
    verdict = {
        "label": "good", "confidence": 5, "score": 5, "reason": "It is.", "turns": [1],
        "intent": "to agree", "relevance": "generic", "expectation": "One agrees.",
    }  # fmt: skip
    fault: Answer | None = refusal

    def reply(body: Any, number: int) -> Answer:
        return fault or chat(json.dumps(verdict))

    with serving(reply=talk) as server:
        assert play(tmp_path, server.url, replicates=2) == "done"
    with serving(reply=reply) as server:
        name = f"openai:m@{server.url}"
        chosen = {"models": [name]} if isinstance(settings, CritiqueConfig) else {"model": name}
        asked = type(settings).model_validate(settings.model_dump() | chosen | judge)
        run, bounds = tmp_path / "trial", Bounds(concurrency=2)
        with pytest.raises(UserError, match=r"out of memory|no answer|used up"):
            review(run, asked, bounds, RunConfig.model_fields["budget"].default, quiet=True)
        fault, before = None, len(server.asked)
        budget = RunConfig.model_fields["budget"].default
        assert review(run, asked, bounds, budget, quiet=True) == "done"
        assert len(server.asked) > before


def test_of_two_judges_the_sick_one_is_named_and_what_the_other_said_is_kept(
    tmp_path: Path,
) -> None:
    said = json.dumps(
        {"quality": "good", "confidence": "confident", "reason": "It is.", "turns": [1]}
    )
    broken, budget = True, RunConfig.model_fields["budget"].default
    with serving(reply=talk) as server:
        assert play(tmp_path, server.url, replicates=6) == "done"
    with (
        serving(reply=lambda *_: chat(said)) as well,
        serving(reply=lambda *_: error(500, "CUDA error") if broken else chat(said)) as sick,
    ):
        judges = [f"openai:well@{well.url}", f"openai:sick@{sick.url}"]
        asked = CritiqueConfig(
            critics=("quality",), models=tuple(judges), options={"max_retries": 0}
        )

        def judge() -> str:
            try:
                return review(tmp_path / "trial", asked, Bounds(concurrency=2), budget, quiet=True)
            except UserError as told:
                return f"told: {told}"

        assert f"server-error of {judges[1]} 6" in (told := judge()) and "server's own log" in told
        usable = "select model, count(*)::int from last_verdicts where failure is null group by all"
        (kept,) = rows(tmp_path, usable)
        assert kept == (judges[0], 6)
        broken = False
        assert judge() == "done"
        assert sorted(rows(tmp_path, usable)) == [(judges[1], 6), (judges[0], 6)]
        assert len(well.asked) == 6, "nobody is asked twice"


def test_a_scene_whose_critic_in_the_loop_never_answered_is_played_again(tmp_path: Path) -> None:
    said = chat(json.dumps({"feedback": "It is good.", "score": 8, "label": "accept"}))
    broken = True
    with (
        serving(reply=talk) as server,
        serving(reply=lambda *_: error(500, "CUDA error") if broken else said) as judge,
    ):
        loop = {
            "critics": ["model"], "model": f"openai:judge@{judge.url}",
            "options": {"max_retries": 0},
        }  # fmt: skip
        ended = play(tmp_path, server.url, replicates=1, in_loop=loop)
        assert "server-error" in ended and results(tmp_path) == {"endpoint-failure": 1}
        broken = False
        assert play(tmp_path, server.url, replicates=1, in_loop=loop) == "done"
        assert results(tmp_path) == {"turn-limit": 1}


def test_a_pool_of_which_every_endpoint_is_sick_ends_the_run_with_one_line(tmp_path: Path) -> None:
    broken = True

    def reply(body: Any, number: int) -> Answer:
        return error(500, "CUDA error") if broken else talk()

    with serving(reply=reply) as one, serving(reply=reply) as two:
        options = {"max_retries": 0}
        places = [
            {"name": name, "model": f"openai:m@{server.url}", "options": options}
            for name, server in (("one", one), ("two", two))
        ]
        pool = tmp_path / "pool.yaml"
        pool.write_text(json.dumps({
            "endpoints": places, "wait_s": 0.5, "health": {"failures": 2, "pause_s": 0.1}
        }))  # fmt: skip
        model = {"name": f"pool:{pool}"}
        began = time.monotonic()
        told = play(tmp_path, one.url, model=model)
        assert told.startswith("told: ") and "CUDA error" in told and "\n" not in told
        assert time.monotonic() - began < 30 and len(one.asked) + len(two.asked) < 100
        broken = False
        assert play(tmp_path, one.url, model=model) == "done"
    assert results(tmp_path) == {"turn-limit": 10}


@pytest.mark.parametrize("waits", ["for it to load", "in the pause it asks for"])
def test_ctrl_c_while_an_endpoint_is_waited_for_loses_nothing(tmp_path: Path, waits: str) -> None:
    busy = error(429, "slow down", {"Retry-After": "60"})
    loading = error(503, "Loading model", {"Retry-After": "1"}) if "load" in waits else chat()
    stored, broken = (0 if "load" in waits else 2), True

    def reply(body: Any, number: int) -> Answer:
        return busy if broken and number > 14 else talk()

    with serving(reply=reply, probe=iter(lambda: loading if broken else chat(), None)) as server:
        config = tmp_path / "run.yaml"
        config.write_text(json.dumps({
            "name": "trial", "scenarios": [scene_file(tmp_path, TURNS)], "replicates": 3,
            "cultures": ["GBR"], "out": str(tmp_path), "concurrency": 2,
            "model": {"name": f"openai:m@{server.url}"},
        }))  # fmt: skip
        line = [sys.executable, "-m", "folkways", "run", str(config)]
        process = subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        assert process.stderr
        if "load" in waits:
            assert "waiting for up to" in process.stderr.readline()
        while "load" not in waits and len(server.asked) < 15:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        if "load" not in waits:
            assert "press Ctrl-C again" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=60)[1]
        assert process.returncode == 130 and "Traceback" not in told
        if stored:
            assert results(tmp_path) == {"turn-limit": stored}
        broken = False
        with pytest.raises(SystemExit) as ended:
            main(["run", str(config), "--quiet"])
        assert ended.value.code == 0 and results(tmp_path) == {"turn-limit": 3}


def test_prompts_that_a_server_cuts_are_told_of_once(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    with serving(reply=lambda *_: cut()) as server:
        config.write_text(json.dumps({
            "name": "trial", "scenarios": [scene_file(tmp_path, 2, limits={"turns": 12})],
            "cultures": ["GBR"], "out": str(tmp_path), "model": {"name": f"openai:m@{server.url}"},
        }))  # fmt: skip
        line = [sys.executable, "-m", "folkways", "run", str(config), "--quiet"]
        done = subprocess.run(
            line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
        )
    assert done.stderr.count("it seems to cut them to its context without a word") == 1
    assert "counts 512 tokens" in done.stderr and done.stderr.count("\n") == 1


def test_the_command_says_it_in_one_line_and_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(reply=always(error(500, "CUDA error"))) as server:
        config = tmp_path / "run.yaml"
        text = {
            "name": "trial", "scenarios": [scene_file(tmp_path, TURNS)], "replicates": 1,
            "cultures": ["GBR"], "out": str(tmp_path),
            "model": {"name": f"openai:m@{server.url}", "options": {"max_retries": 0}},
        }  # fmt: skip
        config.write_text(json.dumps(text))
        with pytest.raises(SystemExit) as ended:
            main(["run", str(config), "--quiet"])
    assert ended.value.code == 1
    out, told = capsys.readouterr()
    assert out == "" and told.count("\n") == 1 and "CUDA error" in told
