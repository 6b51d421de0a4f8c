"""How a run stands, live, ended or killed, and the metrics that are served meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from agents.models.fake import FakeModel
from agents.models.pool.endpoint import EndpointState
from folkways.cli import main
from folkways.errors import UserError
from simulation.config import RunConfig
from simulation.episode.budget import Budget, BudgetConfig
from simulation.execution.executor import Executor, Opened
from simulation.execution.heartbeat import FOLDER, Beat, Heartbeat, endpoints_of, read_beat
from simulation.execution.metrics import served, serving
from simulation.execution.model_manager import SharedModel
from simulation.execution.progress import Progress
from simulation.execution.status import Status, read_status
from simulation.plan import make_plan
from simulation.run import launch
from simulation.store.run_lock import holder, locked
from simulation.store.writer import Store

ROOT = Path(__file__).parents[2]
FOLKWAYS = [sys.executable, "-m", "folkways"]
PATIENCE_S = 60.0
Command = Callable[..., tuple[int, str, str]]
WITHOUT_PROMETHEUS = (
    "import sys; sys.modules['prometheus_client'] = None\n"
    "from folkways.cli import main; main(sys.argv[1:])"
)


def config(out: Path, **fields: object) -> dict[str, Any]:
    data = {
        "name": "trial", "scenarios": ["soup-before-dusk"], "cultures": ["MEX", "JPN"],
        "replicates": 3, "model": {"name": "fake"}, "out": str(out),
        "budget": {"tokens": 9_000_000},
    }  # fmt: skip
    return data | fields


def slow(out: Path, **fields: object) -> dict[str, Any]:
    """A configuration that takes far longer than any test looks at it."""
    model = {"name": "fake", "options": {"latency_s": 0.05}}
    return config(out, replicates=400, concurrency=4, model=model, **fields)


@contextlib.contextmanager
def started(data: dict[str, Any], *options: str) -> Iterator[subprocess.Popen[str]]:
    """A live `folkways run`, which is killed at the end of the block."""
    file = Path(data["out"]).with_suffix(".yaml")
    file.write_text(json.dumps(data), encoding="utf-8")
    process = subprocess.Popen(
        [*FOLKWAYS, "run", str(file), *options], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def look(run: Path) -> Status:
    return read_status(run, datetime.now(UTC))


def wait_for(run: Path, process: subprocess.Popen[str], done: int = 1) -> Beat:
    """Wait until the heartbeat of a process tells that so much is done, and return it."""
    patience = time.monotonic() + PATIENCE_S
    while time.monotonic() < patience:
        assert process.poll() is None, process.communicate()[1]
        beat = read_beat(run / FOLDER / "main.json")
        if beat and beat.pid == process.pid and beat.stages[-1].done >= done:
            return beat
        time.sleep(0.05)
    raise AssertionError("no heartbeat told of progress")


@pytest.fixture
def folkways(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in this process; returns exit code, output and errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as done:
            main([str(argument) for argument in arguments])
        return int(done.value.code or 0), *capsys.readouterr()

    return run


def play(out: Path, **fields: object) -> Path:
    plan = make_plan(RunConfig.model_validate(config(out, **fields)))
    assert launch(plan, limit=None, fresh=False, quiet=True) == "done"
    return out / "trial"


def test_a_live_run_is_told_of_then_killed_then_continued(
    tmp_path: Path, folkways: Command
) -> None:
    run = tmp_path / "out/trial"
    with started(slow(tmp_path / "out")) as process:
        wait_for(run, process)
        live = look(run)
        printed = subprocess.run(
            [*FOLKWAYS, "status", str(run)], capture_output=True, text=True, check=True
        ).stdout
        assert process.poll() is None, "looking does not disturb it"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (live.state, live.writer) == ("live", process.pid)
    stage = live.stages[0]
    assert (stage.stage, stage.state, stage.total) == ("run", "working", 800)
    assert 0 < stage.done < 800 and 0 < stage.live <= 4
    assert sum(stage.outcomes.values()) == stage.done
    assert stage.turns > stage.done and stage.prompt_tokens > 0 and stage.cost is None
    assert stage.last_minute and stage.last_minute.turns > 0
    assert stage.seconds_left and stage.seconds_left > 0
    assert stage.slow and stage.slow[0].scenario == "soup-before-dusk"
    assert stage.slow[0].culture in ("MEX", "JPN")
    assert [one.seconds for one in stage.slow] == sorted(o.seconds for o in stage.slow)[::-1]
    assert live.budget["tokens"].limit == 9_000_000 and live.budget["tokens"].used > 0
    assert f"live, process {process.pid}" in printed
    assert "of 800 episodes" in printed and "longest in progress" in printed

    killed = look(run)
    assert (killed.state, killed.writer) == ("killed", None)
    stage = killed.stages[0]
    assert (stage.state, stage.live, stage.slow, stage.seconds_left) == ("killed", 0, [], None)
    assert not killed.processes[0].alive
    assert killed.stored and killed.stored.launches == [], "no launch came to an orderly end"
    assert "ended without notice" in folkways("status", run)[1]

    plan = make_plan(RunConfig.model_validate(slow(tmp_path / "out")))
    assert launch(plan, limit=1, fresh=False, quiet=True) == "limit"
    again = look(run)
    assert again.state == "idle" and again.stages[0].already == killed.stored.episodes


def test_a_finished_run_tells_its_stages_and_what_is_stored(
    tmp_path: Path, folkways: Command
) -> None:
    run = play(tmp_path, critique={"critics": ["quality"]}, label={})
    found = look(run)
    assert (found.state, found.writer, found.note) == ("idle", None, None)
    assert [(one.stage, one.state, one.end_reason) for one in found.stages] == [
        ("run", "ended", "done"), ("critique", "ended", "done"), ("label", "ended", "done"),
    ]  # fmt: skip
    assert [one.done for one in found.stages] == [6, 6, 6]
    assert found.stored is not None
    with duckdb.connect(str(run / "log.duckdb"), read_only=True) as con:
        calls, tokens = con.execute("select count(*), sum(prompt_tokens) from calls").fetchall()[0]
        turns = con.execute("select count(*) from turns").fetchall()[0][0]
    assert (found.stored.episodes, found.stored.turns) == (6, turns)
    assert (found.stored.critiqued, found.stored.labelled) == (6, 6)
    assert (found.stored.calls, found.stored.prompt_tokens) == (calls, tokens)
    assert sum(one.prompt_tokens for one in found.stages) == tokens
    assert found.stages[0].outcomes == found.stored.exit_reasons
    assert [one.stage for one in found.stored.launches] == ["label", "critique", "run"]
    printed = folkways("status", run)[1]
    assert "nobody is at work" in printed and "last launches" in printed
    steps = printed.rstrip().splitlines()[-5:]
    assert steps[0].startswith(f"made:  {found.stored.episodes} scenes, ")
    assert str(run / "log.duckdb") in steps[1]
    assert [step.split()[:3] for step in steps[2:]] == [
        ["next:", "folkways", command] for command in ("view", "sql", "schema")
    ]


def test_json_is_one_object_with_the_documented_fields(tmp_path: Path, folkways: Command) -> None:
    run = play(tmp_path)
    told = json.loads(folkways("status", run / "log.duckdb", "--json")[1])
    assert Status.model_validate(told) and told["state"] == "idle"
    page = (ROOT / "docs/status.md").read_text(encoding="utf-8")
    fields = {*told, *told["stages"][0], *told["stored"], *told["processes"][0]}
    assert [name for name in sorted(fields) if f"`{name}`" not in page] == []
    assert "leave it out" in folkways("status", run, "--watch")[2]


def test_watching_looks_again_until_ctrl_c(tmp_path: Path) -> None:
    run = play(tmp_path)
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [*FOLKWAYS, "status", str(run), "--watch"], stdin=child, stdout=child,
        stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    os.close(child)
    seen = b""
    while seen.count(b"stored:") < 2:
        seen += os.read(parent, 65_536)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=PATIENCE_S)[1] == b"" and process.returncode == 0
    os.close(parent)


def test_a_run_that_never_started(tmp_path: Path, folkways: Command) -> None:
    with pytest.raises(UserError, match="there is no run"):
        look(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no store \(log.duckdb\)"):
        look(tmp_path / "empty")
    with locked(tmp_path / "empty"):
        begun = look(tmp_path / "empty")
        assert (begun.state, begun.stages, begun.stored) == ("busy", [], None)
        assert "there is no store" in (begun.note or "")
    assert look(tmp_path / "empty").state == "idle"
    code, _, errors = folkways("status", tmp_path / "nowhere")
    assert code == 1 and errors.count("\n") == 1


def test_a_store_that_another_program_writes_is_read_all_the_same(tmp_path: Path) -> None:
    run = play(tmp_path)
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held'); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-uc", hold, str(run / "log.duckdb")], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    ) as writer:  # fmt: skip
        assert writer.stdout and writer.stdout.readline() == "held\n"
        found = read_status(run, datetime.now(UTC), wait_s=0.1)
        assert writer.stdin
        writer.stdin.close()
    assert found.stored is not None and found.stored.episodes == 6
    assert found.stages[0].done == 6


def test_a_process_that_holds_the_run_in_silence_is_told_apart(tmp_path: Path) -> None:
    run = play(tmp_path)
    file = run / FOLDER / "main.json"
    beat = read_beat(file)
    assert beat
    working = beat.stages[0].model_copy(update={"state": "working", "end_reason": None})
    file.write_text(beat.model_copy(update={"stages": [working]}).model_dump_json())
    later = beat.beat_at.replace(year=beat.beat_at.year + 1)
    assert read_status(run, later).state == "killed", "nobody holds the lock"
    with locked(run):
        assert read_status(run, beat.beat_at).state == "live"
        silent = read_status(run, later)
        assert silent.state == "silent" and silent.processes[0].alive
        assert silent.processes[0].silent_s > 300 * 86_400


def test_asking_for_the_holder_keeps_no_writer_out(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    asks = "import sys\nfrom pathlib import Path\nfrom simulation.store.run_lock import holder\n"
    asks += "print('on')\nwhile True: holder(Path(sys.argv[1]))"
    (tmp_path / "run.lock").touch()
    with subprocess.Popen(
        [sys.executable, "-uc", asks, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout and process.stdout.readline() == "on\n"
        for _ in range(200):
            with locked(tmp_path):
                pass
        process.kill()


class Pool(FakeModel):
    """A model that tells of its endpoints, hostile text among it."""

    def endpoints(self) -> list[EndpointState]:
        return [
            EndpointState("a\x1b[31m", "openai:m@http://a", "ok", None, 2, 7, 1, 900),
            EndpointState("b", "openai:m@http://b", "sick", "HTTP 401\x1b[2J", 0, 0, 9, 0),
        ]


async def work_together(run: Path, title: str) -> tuple[Status, Status]:
    """Return the status while two processes tell of the same stage, and when both have ended."""
    beats = []
    for name, done in (("main", 3), ("worker-1", 4)):
        progress = Progress(quiet=True)
        progress.total, progress.done, progress.live, progress.state = 10, done, 1, "working"
        progress.outcomes["turn-limit"] = done
        budget = Budget(BudgetConfig(), time.monotonic)
        beat = Heartbeat(run, progress, budget, [SharedModel(Pool(name=title))], name)
        beat.start()
        beats.append((beat, progress))
    with beats[0][1].scene("e1", title, "MEX"), beats[1][1].scene("e2", title, "JPN"):
        for beat, _ in beats:
            beat.write(beat.beat())
        live = look(run)
        with pytest.raises(SystemExit):
            main(["status", str(run)])
    for beat, progress in beats:
        progress.live = 0
        await beat.stop("done")
    return live, look(run)


def test_the_rate_is_that_of_the_calls_that_have_ended_in_this_piece_of_work(
    tmp_path: Path,
) -> None:
    budget = Budget(BudgetConfig(), time.monotonic)
    budget.add(5, 1000, None)  # before
    began = time.monotonic()
    progress = Progress(quiet=True)
    Executor(Opened((), lambda item, emit: asyncio.sleep(0)), Store(tmp_path), budget, progress, 1)
    assert "tokens/s" not in progress.line(), "nothing is known before the first call has ended"
    budget.add(90, 3000, None)
    time.sleep(0.1)
    told = re.search(r"^0/0 episodes .* ([\d.]+) tokens/s", progress.line())
    assert told and 3000 / (time.monotonic() - began) - 1 < float(told[1]) <= 30_000


def test_processes_are_added_up_and_nothing_hostile_reaches_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = play(tmp_path)
    hostile = "A title\x1b[2J\x9b31m\u202e and\nmore"
    with locked(run):
        live, ended = asyncio.run(work_together(run, hostile))
    assert live.state == "live" and {one.name for one in live.processes} == {"main", "worker-1"}
    stage = live.stages[0]
    assert (stage.done, stage.total, stage.live) == (7, 20, 2)
    assert stage.outcomes == {"turn-limit": 7}
    assert {one.episode_id for one in stage.slow} == {"e1", "e2"}
    assert [one["served"] for one in stage.endpoints] == [7, 0, 7, 0]
    assert stage.endpoints[1]["state"] == "sick"
    printed = capsys.readouterr().out
    assert not set("\x1b\x9b\u202e") & set(printed)
    assert r"A title\x1b[2J\x9b31m\u202e and more" in printed and r"a\x1b[31m" in printed
    assert "worker-1" in printed
    assert ended.stages[0].live == 0 and ended.stages[0].end_reason == "done"


def test_an_engine_without_endpoints_has_none_to_tell_of() -> None:
    assert endpoints_of([FakeModel(), SharedModel(FakeModel())]) == []


def test_a_heartbeat_that_cannot_be_written_or_read_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "trial").mkdir()
    (tmp_path / "trial" / FOLDER).write_text("in the way")
    run = play(tmp_path)
    assert look(run).stages == [] and look(run).stored is not None
    (run / FOLDER).unlink()
    (run / FOLDER).mkdir()
    for text in ("", "{", "[]", '{"name": "main", "pid": "many"}'):
        (run / FOLDER / "main.json").write_text(text)
        assert look(run).stages == []


def scraped(address: str) -> dict[str, float]:
    """Return the metrics that are served, by name and labels."""
    with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_metrics_are_served_while_a_run_is_live(tmp_path: Path) -> None:
    run = tmp_path / "out/trial"
    with started(slow(tmp_path / "out"), "--metrics", "0") as process:
        assert process.stderr
        address = process.stderr.readline().removeprefix("metrics at ").strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/metrics", address)
        beat = wait_for(run, process)
        told = scraped(address)
        port = int(address.split(":")[2].removesuffix("/metrics"))
        with pytest.raises(UserError, match=f"{port}: Address already in use"), serving(port):
            pass
    episodes = {name: n for name, n in told.items() if name.startswith("folkways_episodes_total")}
    assert sum(episodes.values()) >= beat.stages[0].done
    assert set(episodes) >= {
        f'folkways_episodes_total{{exit_reason="{reason}"}}' for reason in beat.stages[0].outcomes
    }
    calls = told['folkways_calls_total{endpoint="",failure=""}']
    assert calls == told["folkways_call_seconds_count"] > told["folkways_turns_total"] / 2 > 0
    assert told["folkways_call_seconds_sum"] >= 0.05 * calls
    for kind in ("prompt", "completion"):
        assert told[f'folkways_tokens_total{{kind="{kind}"}}'] > 0
    assert 0 < told['folkways_live{stage="run"}'] <= 4
    assert told["folkways_cost_dollars_total"] == 0
    page = (ROOT / "docs/status.md").read_text(encoding="utf-8")
    for name in told:
        assert f"`{re.sub('_(bucket|count|sum)$', '', name.split('{')[0])}`" in page, name


def test_metrics_count_what_the_store_is_given(tmp_path: Path) -> None:
    run = tmp_path / "trial"
    data = config(tmp_path, critique={"critics": ["quality"]})
    with serving(0, quiet=True):
        exporter = served(Progress(quiet=True))
        assert exporter
        plan = make_plan(RunConfig.model_validate(data))
        launch(plan, limit=None, fresh=False, quiet=True)
        value = exporter.registry.get_sample_value
        stored = look(run).stored
        assert stored
        for kind in ("prompt", "cached", "completion"):
            told = value("folkways_tokens_total", {"kind": kind})
            assert told == getattr(stored, f"{kind}_tokens")
        assert value("folkways_turns_total") == stored.turns
        assert value("folkways_call_seconds_count") == stored.calls
        assert value("folkways_live", {"stage": "critique"}) == 0
        reviewed = {"stage": "critique", "outcome": "detected"}
        assert value("folkways_records_total", reviewed) == stored.episodes
    assert served(Progress(quiet=True)) is None


def test_metrics_without_the_package_are_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(json.dumps(config(tmp_path)), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PROMETHEUS, "run", str(file), "--metrics", "0"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "prometheus_client" in done.stderr and "[metrics]" in done.stderr
    assert not (tmp_path / "trial").exists(), "nothing was begun"


@pytest.mark.parametrize(
    "command",
    ["run", "critique", "label", "eval wvs run", "spa generate", "spa collect"],
)
def test_metrics_can_be_had_of_every_command_that_calls_models(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    assert "--metrics" in capsys.readouterr().out
