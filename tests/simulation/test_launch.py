"""A run's folder is written once its model can be used, and work runs inside a notebook too."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pytest
import yaml

from agents.models.base import ModelUnavailable
from eval.config import parse_eval_config
from eval.evaluate import evaluate
from folkways.errors import UserError
from folkways.event_loop import heed_interrupts, ignore_interrupts, run_to_end
from simulation.config import parse_config
from simulation.plan import make_plan
from simulation.run import launch

ROOT = Path(__file__).parents[2]


def play(out: Path, *, limit: int | None = 1, fresh: bool = False, **fields: object) -> str:
    data = {"name": "trial", "scenarios": ["soup-before-dusk"], "cultures": ["MEX"], "seed": 3}
    config = parse_config(data | {"out": str(out), "model": {"name": "fake"}} | fields, "run.yaml")
    return launch(make_plan(config), limit=limit, fresh=fresh, quiet=True)


def stored(run: Path) -> tuple[int, str]:
    with duckdb.connect(str(run / "log.duckdb"), read_only=True) as con:
        row = con.execute(
            "select (select count(*) from episodes), (select config from runs)"
        ).fetchone()
        assert row is not None
        return row


@pytest.mark.parametrize(
    "model", ["embeded", "hf:/no/such/folder", "openai:toy@http://127.0.0.1:9/v1", "openai:m@h"]
)
def test_a_model_that_cannot_be_used_writes_nothing(tmp_path, model):
    with pytest.raises(UserError):
        play(tmp_path / "runs", model={"name": model})
    assert not (tmp_path / "runs" / "trial").exists()


def test_a_judge_that_is_misspelt_writes_nothing(tmp_path):
    with pytest.raises(UserError, match="embeded"):
        play(tmp_path / "runs", critique={"models": ["embeded"]})
    assert not (tmp_path / "runs" / "trial").exists()


def test_starting_over_with_a_wrong_model_leaves_the_old_run_where_it_is(tmp_path):
    play(tmp_path)
    with pytest.raises(UserError):
        play(tmp_path, fresh=True, model={"name": "hf:/no/such/folder"})
    assert [path.name for path in tmp_path.iterdir()] == ["trial"]
    assert stored(tmp_path / "trial")[0] == 1


def test_a_configuration_may_change_while_nothing_is_stored(tmp_path):
    play(tmp_path, limit=None, budget={"tokens": 1})
    run = tmp_path / "trial"
    with duckdb.connect(str(run / "log.duckdb")) as con:
        con.execute("delete from episodes")
    play(tmp_path, model={"name": "fake", "temperature": 0.1})
    episodes, config = stored(run)
    assert episodes == 1
    assert yaml.safe_load(config)["model"]["temperature"] == 0.1
    assert yaml.safe_load((run / "config.yaml").read_text())["model"]["temperature"] == 0.1
    with pytest.raises(UserError, match=r"model.temperature: 0.1 -> 0.75"):
        play(tmp_path)


def test_operational_options_never_block_a_resume(tmp_path):
    play(tmp_path)
    model = {"name": "fake", "timeout_s": 50, "options": {"latency_s": 0.001}}
    assert play(tmp_path, limit=None, model=model) == "done"


def test_an_evaluation_with_a_misspelt_model_writes_nothing(tmp_path):
    data = {"name": "e", "items": ["Q1"], "methods": ["culture"], "cultures": ["DEU"]}
    config = parse_eval_config(data | {"models": [{"name": "fak"}], "out": str(tmp_path)}, "e.yaml")
    with pytest.raises(UserError, match="fak"):
        evaluate(config, quiet=True)
    assert not any(tmp_path.iterdir())


def test_a_run_plays_inside_a_running_event_loop(tmp_path):
    async def cell() -> str:
        return play(tmp_path, limit=None)

    assert asyncio.run(cell()) == "done"
    assert stored(tmp_path / "trial")[0] == 1


def test_what_the_work_raises_inside_a_running_loop_arrives(tmp_path):
    async def cell() -> None:
        play(tmp_path, model={"name": "openai:toy@http://127.0.0.1:9/v1"})

    with pytest.raises(ModelUnavailable):
        asyncio.run(cell())


def test_an_interrupt_in_a_notebook_reaches_the_work():
    async def work() -> str:
        drained = asyncio.Event()
        heed_interrupts(drained.set)
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        await asyncio.wait_for(drained.wait(), 20)
        ignore_interrupts()
        return "drained"

    async def cell() -> str:
        return run_to_end(work())

    signal.signal(signal.SIGINT, signal.default_int_handler)
    loop = asyncio.new_event_loop()  # as a notebook has one: without asyncio.run's own handler
    try:
        assert loop.run_until_complete(cell()) == "drained"
    finally:
        loop.close()


def test_work_that_heeds_no_interrupt_is_cancelled_by_one():
    async def cell() -> None:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        run_to_end(asyncio.sleep(20))

    signal.signal(signal.SIGINT, signal.default_int_handler)
    loop, began = asyncio.new_event_loop(), time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(cell())
    finally:
        loop.close()
    assert time.monotonic() - began < 15


def test_a_key_in_an_override_is_neither_stored_nor_shown(tmp_path):
    (tmp_path / "run.yaml").write_text("scenarios: [soup-before-dusk]\nmodel: {name: fake}\n")
    command = [sys.executable, "-m", "folkways", "run", "run.yaml"]
    command += ["-o", "model.options.api_key=sk-9d8c7b6a5f4e3d2c1b0a"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 1
    assert "model.options.api_key" in done.stderr and "sk-9d8" not in done.stderr + done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["run.yaml"]


def test_a_folder_stands_for_the_scenario_files_in_it(tmp_path: Path) -> None:
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    fields = {"name": "trial", "cultures": ["MEX"], "model": {"name": "fake"}}
    config = parse_config(fields | {"scenarios": [str(scenes)]}, "run.yaml")
    with pytest.raises(UserError, match=r"the folder '.*scenes' holds no scenario"):
        make_plan(config)
    for name in ("cold-soup.yaml", "the-wrong-bus.yaml"):
        shutil.copy(ROOT / "examples/scenes" / name, scenes)
    assert [scene.id for scene in make_plan(config).scenarios] == ["cold-soup", "the-wrong-bus"]
