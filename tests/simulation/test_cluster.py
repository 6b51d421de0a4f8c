"""Work on a Ray cluster of real processes comes to what one process comes to, whoever is killed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import duckdb
import pytest
from misbehaving_server import Answer, chat, error, serving
from scenes import json_act
from spa_answers import configure, write
from typer.testing import CliRunner

from folkways.cli.application import application
from folkways.errors import UserError
from simulation.execution.placement import Cluster, cluster_of
from simulation.store.manifest import Manifest
from simulation.store.reader import open_reader
from simulation.store.shards import ShardDirectory

ROOT = Path(__file__).parents[2]
CONFIG = """
name: trial
scenarios: [soup-before-dusk, wording-of-an-apology]
cultures: [MEX, JPN]
replicates: 5
model: {name: MODEL}
"""
SURVEY = """
name: survey
items: clca-44
cultures: [DEU, CHN]
models: [{name: fake}]
methods: [culture]
readouts: [logprobs]
orders: forward
people: synthetic
"""


def command(*words: object) -> tuple[int, str]:
    """Return the exit code of a command, and what it says."""
    done = CliRunner().invoke(application(), [str(word) for word in words])
    if isinstance(done.exception, UserError):
        return 1, str(done.exception)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def written(folder: Path, model: str = "fake") -> Path:
    path = folder / "trial.yaml"
    path.write_text(CONFIG.replace("MODEL", model), encoding="utf-8")
    return path


def content(run: Path) -> dict[str, list[str]]:
    queries = {
        "episodes": "select * exclude (started_at, wall_s) from episodes",
        "calls": "select * exclude (latency_s) from calls",
        "verdicts": "select * exclude (judged_at) from verdicts",
        "intents": "select * exclude (labelled_at) from intents",
        "survey_replies": "select * exclude (latency_s, asked_at) from survey_replies",
    } | {table: f"from {table}" for table in ("roles", "turns", "happenings", "choices")}
    with closing(open_reader(run)) as con:
        return {
            table: sorted(map(repr, con.execute(query).fetchall()))
            for table, query in queries.items()
        }


def test_all_work_comes_out_as_in_one_process(tmp_path: Path) -> None:
    config, survey = written(tmp_path), tmp_path / "survey.yaml"
    survey.write_text(SURVEY, encoding="utf-8")
    for out, where in (("alone", ()), ("cluster", ("--ray", "--workers", 2))):
        folder = tmp_path / out
        questions = configure(folder, name="questions", model={"name": "fake"})
        write(questions, "corruption", (2, 3, 4, 11))
        answers = tmp_path / f"{out}.json"
        answers.write_text(json.dumps(questions.model_dump(mode="json")), encoding="utf-8")
        for words in (
            ("run", config, "-o", f"out={folder}"),
            ("critique", folder / "trial", "--model", "fake"),
            ("label", folder / "trial", "--model", "fake"),
            ("eval", "wvs", "run", survey, "-o", f"out={folder}"),
            ("spa", "collect", answers),
        ):
            code, said = command(*words, "--quiet", *where)
            assert code == 0, said
    for name in ("trial", "survey", "questions"):
        alone, cluster = (content(tmp_path / out / name) for out in ("alone", "cluster"))
        assert alone == cluster
    assert all(content(tmp_path / "cluster" / "trial")[table] for table in ("verdicts", "intents"))
    for name in ("survey", "questions"):
        assert content(tmp_path / "cluster" / name)["survey_replies"]
    assert not (tmp_path / "cluster" / "trial" / "shards").exists(), "all merged, all gone"
    with closing(open_reader(tmp_path / "cluster" / "trial")) as con:
        miscounted = "from turns where words is distinct from spoken_words(action, text)"
        assert con.execute(miscounted).fetchall() == []
        stages = con.execute("select distinct work from merged_shards order by all").fetchall()
    assert stages == [("critique",), ("label",), ("run",)]


def test_a_limit_a_budget_and_kept_shards(tmp_path: Path) -> None:
    config = written(tmp_path)
    base = ("run", config, "-o", f"out={tmp_path}", "--quiet", "--ray", "--workers", 2)
    assert "stopped at --limit" in command(*base, "--limit", 4, "--keep-shards")[1]
    kept = ShardDirectory(str(tmp_path / "trial" / "shards")).manifests()
    assert sum(manifest.records for manifest in kept) == 4
    assert "budget-tokens" in command(*base, "-o", "budget.tokens=40000", "--keep-shards")[1]
    with closing(open_reader(tmp_path / "trial")) as con:
        used = con.execute(
            "select prompt_tokens + completion_tokens from launches order by started_at desc"
        ).fetchall()[0][0]
        assert 0 < used <= 40000
        budget = "select count(*) from episodes where exit_reason = 'budget'"
        assert con.execute(budget).fetchall()[0][0] > 0
    assert "all episodes are stored" in command(*base)[1]
    with closing(open_reader(tmp_path / "trial")) as con:
        assert con.execute("select count(*) from latest_episodes").fetchall() == [(20,)]


def test_a_run_is_not_done_when_one_worker_used_up_its_share(tmp_path: Path) -> None:
    """Of two episodes one takes 4,963 tokens and one 20,728: a share of 10,000 cuts one short."""
    config = written(tmp_path)
    changes = ("scenarios=[soup-before-dusk]", "cultures=[JPN]", "replicates=2",
               "budget.tokens=20000", f"out={tmp_path}")  # fmt: skip
    options = (word for change in changes for word in ("-o", change))
    _, said = command("run", config, *options, "--quiet", "--ray", "--workers", 2)
    assert "budget-tokens" in said, said
    with closing(open_reader(tmp_path / "trial")) as con:
        ended = "select end_reason from launches"
        assert con.execute(ended).fetchall() == [("budget-tokens",)]
        cut = "select count(*) from episodes where exit_reason = 'budget'"
        assert con.execute(cut).fetchall()[0][0] > 0


def test_a_merge_is_not_begun_again_while_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker dies while its last shard is merged: closing it comes across the same shard."""
    from simulation.execution import ray_executor as cluster

    merged: list[str] = []

    def slowly(
        _store: object, _shelf: object, fresh: list[Manifest], *_: object, **__: object
    ) -> None:
        merged.extend(one.shard for one in fresh)
        time.sleep(0.2)

    async def die() -> None:
        executor = object.__new__(cluster.RayExecutor)
        executor.cluster, executor._merging = Cluster(), asyncio.Lock()
        executor._merged, executor._written = set(), set()
        executor.store = executor.directory = None
        executor._count = lambda manifest: None
        shard = Manifest("w-0-000001", "w-0", "run", [1], 1, {}, 1, 0, 0, None, {})
        feed = asyncio.create_task(executor._merge([shard]))
        while not merged:
            await asyncio.sleep(0.01)
        feed.cancel()
        await executor._merge([shard])
        assert executor._written == {1}

    monkeypatch.setattr(cluster, "clear", slowly)
    asyncio.run(die())
    assert merged == ["w-0-000001"]


def stored(run: Path) -> int:
    """Return the number of episodes stored; 0 while there is no store, or its writer has it."""
    with suppress(duckdb.Error), duckdb.connect(str(run / "log.duckdb"), read_only=True) as con:
        return int(con.execute("select count(*) from episodes").fetchall()[0][0])
    return 0


@pytest.mark.slow
def test_signals_end_a_run_that_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    """SIGTERM, which Slurm sends when time is up, then two Ctrl-C one after the other."""
    folders = {name: tmp_path / name for name in ("whole", "parts")}
    for folder in folders.values():
        folder.mkdir()
    config = written(folders["whole"], "fake, options: {latency_s: 0.3}")
    config.write_text(config.read_text(encoding="utf-8") + "concurrency: 2\n", encoding="utf-8")
    line = [sys.executable, "-m", "folkways", "run", str(config), "-o", f"out={folders['parts']}",
            "--quiet", "--ray", "--workers", "1"]  # fmt: skip
    run, before = folders["parts"] / "trial", 0
    for signals in ([signal.SIGTERM], [signal.SIGINT, signal.SIGINT]):
        process = subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        while stored(run) <= before:
            assert process.poll() is None
            time.sleep(0.05)
        for number in signals:
            process.send_signal(number)
            time.sleep(0.5)
        _, said = process.communicate(timeout=120)
        assert process.returncode == 130 and "Traceback" not in said, said
        before = stored(run)
    assert 0 < before < 20, "each was interrupted at work"
    for out in folders.values():
        assert command("run", config, "-o", f"out={out}", "--quiet", "-o", "concurrency=20")[0] == 0
    whole, parts = (content(out / "trial") for out in folders.values())
    assert parts == whole
    with closing(open_reader(run)) as con:
        ends = con.execute("select end_reason from launches order by started_at").fetchall()
    assert ends == [("drained",), ("stopped",), ("done",)]


def test_what_a_worker_cannot_do_ends_the_run_with_one_line(tmp_path: Path) -> None:
    config = written(tmp_path, "'hf:/no/such/model'")
    code, said = command("run", config, "-o", f"out={tmp_path}", "--quiet", "--ray", "--workers", 1)
    assert code == 1 and "/no/such/model" in said


def test_an_endpoint_that_fails_all_workers_ends_the_run_and_nothing_is_its_result(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The same command plays everything, and says what a worker has noticed, once."""
    broken = True

    def reply(body: Any, number: int) -> Answer:
        if broken:
            return error(500, "CUDA error")
        usage = {"prompt_tokens": 512, "completion_tokens": 10, "total_tokens": 522}
        return chat(json_act(f"Let us say {number}, and then {7 * number}."), usage=usage)

    with serving(reply=reply) as server:
        config = written(tmp_path, f"openai:m@{server.url}, options: {{max_retries: 0}}")
        options = ("-o", "replicates=2", "-o", f"out={tmp_path}", "--quiet")
        base = ("run", config, *options, "--ray", "--workers", 1)
        code, said = command(*base)
        assert code == 1 and "CUDA error" in said and "\n" not in said.strip()
        assert len(server.asked) < 100
        with closing(open_reader(tmp_path / "trial")) as con:
            query = "select count(*) from episodes where exit_reason <> 'endpoint-failure'"
            assert con.execute(query).fetchall() == [(0,)]
        broken = False
        code, said = command(*base)
        assert code == 0 and "all episodes are stored" in said
    with closing(open_reader(tmp_path / "trial")) as con:
        query = "select count(*), bool_and(completed) from latest_episodes"
        assert con.execute(query).fetchall() == [(8, True)]
    assert caplog.text.count("it seems to cut them to its context") == 1


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    config = written(tmp_path)
    line = [sys.executable, "-m", "folkways", "run", str(config), "-o", f"out={tmp_path}",
            "--quiet", "--ray", "auto"]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        line, cwd=ROOT, capture_output=True, text=True, timeout=120, env=environment, check=False
    )
    assert done.returncode == 1
    assert "cannot use the Ray cluster 'auto'" in done.stderr and "Traceback" not in done.stderr


def test_nodes_workers_and_drivers_that_are_killed_change_nothing() -> None:
    """The bench kills more of them, and says how many."""
    done = subprocess.run(
        [sys.executable, "bench/kill.py", "4", "2", "40"],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(", 0 differ") == 6


@pytest.mark.parametrize(
    ("words", "cluster"),
    [
        (["--ray", "c.yaml"], Cluster("local")), (["c.yaml", "--ray"], Cluster("local")),
        (["c.yaml", "--ray", "--quiet"], Cluster("local")),
        (["--ray", "auto", "c.yaml"], Cluster("auto")),
        (["c.yaml", "--ray", "ray://head:10001"], Cluster("ray://head:10001")),
        (["c.yaml", "--ray=10.0.0.1:6379", "--workers", "3"], Cluster("10.0.0.1:6379", 3)),
        (["c.yaml", "--ray", "--shards", "s3://b/x", "--keep-shards"],
         Cluster("local", None, "s3://b/x", True)),
        (["c.yaml"], None),
    ],
)  # fmt: skip
def test_an_address_may_follow_ray_or_not(words: list[str], cluster: Cluster | None) -> None:
    import typer

    from folkways.cli.options import KeepShards, OnCluster, Ray, Shards, Workers

    app, found = typer.Typer(), list[Cluster | None]()

    @app.command(cls=OnCluster)
    def run(
        config: str, ray: Ray = None, workers: Workers = None, shards: Shards = None,
        keep_shards: KeepShards = False, quiet: bool = False,
    ) -> None:  # fmt: skip
        assert config == "c.yaml"
        found.append(cluster_of(ray, workers, shards, keep_shards))

    assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0
    assert found == [cluster]


def test_what_means_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="--workers says how --ray does it; add --ray"):
        cluster_of(None, 2, None, False)
    with pytest.raises(UserError, match="'somewhere' is no address"):
        cluster_of("somewhere", None, None, False)


def test_without_the_flag_ray_is_not_imported() -> None:
    code = "import folkways.cli.run, folkways.cli.critique, sys; print('ray' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
