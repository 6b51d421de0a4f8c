"""A run survives whatever interrupts it: resumed by the same command, each episode stored once."""

import contextlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from folkways.errors import UserError
from simulation.config import RunConfig
from simulation.episode.budget import BudgetConfig
from simulation.plan import Plan, make_plan
from simulation.run import launch

ROOT = Path(__file__).parents[2]
CONTENT = {
    "episodes": "* exclude (started_at, wall_s)",
    "roles": "*", "turns": "*", "choices": "*", "happenings": "*",
    "calls": "* exclude (latency_s)",
    "scenarios": "*", "personas": "*", "cultures": "*", "templates": "*",
}  # fmt: skip


def config(out: Path, **fields: object) -> RunConfig:
    data = {
        "name": "trial", "scenarios": ["soup-before-dusk", "wording-of-an-apology"],
        "cultures": ["MEX", "JPN"], "replicates": 3, "model": {"name": "fake"}, "out": str(out),
    }  # fmt: skip
    return RunConfig.model_validate(data | fields)


def play(out: Path, limit: int | None = None, fresh: bool = False, **fields: object) -> str:
    return launch(make_plan(config(out, **fields)), limit=limit, fresh=fresh, quiet=True)


def content(run: Path) -> dict[str, list[tuple[object, ...]]]:
    with duckdb.connect(str(run / "log.duckdb"), read_only=True) as con:
        return {
            table: con.execute(f"select {columns} from {table} order by all").fetchall()
            for table, columns in CONTENT.items()
        }


def count(run: Path, table: str = "episodes") -> int:
    with duckdb.connect(str(run / "log.duckdb"), read_only=True) as con:
        row = con.execute(f"select count(*) from {table}").fetchone()
        assert row is not None
        return int(row[0])


def test_the_same_command_goes_on_and_the_same_seed_gives_the_same_store(tmp_path: Path) -> None:
    assert play(tmp_path / "a", limit=5) == "limit"
    assert count(tmp_path / "a/trial") == 5
    assert play(tmp_path / "a") == "done"
    assert play(tmp_path / "a") == "done"
    assert play(tmp_path / "b", concurrency=1) == "done"
    assert content(tmp_path / "a/trial") == content(tmp_path / "b/trial")
    assert count(tmp_path / "a/trial") == 12
    assert count(tmp_path / "a/trial", "launches") == 3


def test_cultures_are_played_with_the_same_seeds() -> None:
    episodes = list(make_plan(config(Path("unused"))).episodes())
    assert len({e.content_hash for e in episodes}) == len(episodes) == 12
    by_condition = {(e.scenario.id, e.replicate, e.culture_id): e.seed for e in episodes}
    for (scenario, replicate, culture), seed in by_condition.items():
        assert seed == by_condition[scenario, replicate, "MEX" if culture == "JPN" else "JPN"]
    assert len(set(by_condition.values())) == 6


def test_a_changed_configuration_is_refused_by_key(tmp_path: Path) -> None:
    play(tmp_path, limit=2)
    with pytest.raises(UserError) as caught:
        play(tmp_path, seed=9, model={"name": "fake", "temperature": 0.1})
    text = str(caught.value)
    assert "seed: 0 -> 9" in text and "model.temperature: 0.75 -> 0.1" in text
    assert "concurrency" not in text and "--fresh" in text
    assert play(tmp_path, limit=1, concurrency=3) == "limit", "how fast it runs may change"
    assert count(tmp_path / "trial") == 3


def test_fresh_sets_the_old_run_aside(tmp_path: Path) -> None:
    play(tmp_path, limit=4)
    play(tmp_path, limit=2, fresh=True, seed=1)
    assert count(tmp_path / "trial") == 2
    assert count(tmp_path / "trial.old-1") == 4


def test_budgets_hold_across_concurrent_episodes_and_end_the_run(tmp_path: Path) -> None:
    for n, concurrency in enumerate((1, 12)):
        reason = play(tmp_path / str(n), concurrency=concurrency, budget={"tokens": 60_000})
        assert reason == "budget-tokens"
        with duckdb.connect(str(tmp_path / str(n) / "trial/log.duckdb"), read_only=True) as con:
            used, ends = con.execute(
                "select prompt_tokens + completion_tokens, end_reason from launches"
            ).fetchone() or (0, "")
            broken = con.execute(
                "select distinct exit_detail from episodes where exit_reason = 'budget'"
            ).fetchall()
        assert 30_000 < used <= 60_000 and ends == "budget-tokens"
        assert broken == [("budget-tokens",)]
    play(tmp_path / "0", budget={})
    with duckdb.connect(str(tmp_path / "0/trial/log.duckdb"), read_only=True) as con:
        attempts = con.execute(
            "select count(distinct content_hash), count(*), max(attempt) from episodes"
        ).fetchone()
    assert attempts == (12, 13, 2), "what the budget cut short is played again, as a new attempt"


def test_a_cost_budget_needs_no_luck() -> None:
    from simulation.episode.budget import Budget, BudgetSpent

    budget = Budget(BudgetConfig(cost_usd=1.0), time.monotonic)
    for _ in range(10):
        budget.admit(10)
        budget.settle(10, 5, 5, 0.1)
    with pytest.raises(BudgetSpent, match="budget-cost"):
        budget.admit(10)


@pytest.mark.parametrize("cost", [-1.0, float("nan"), float("-inf")])
def test_numbers_that_cannot_be_take_nothing_off_a_budget(cost: float) -> None:
    from simulation.episode.budget import Budget

    budget = Budget(BudgetConfig(tokens=100, cost_usd=1.0), time.monotonic)
    budget.admit(10)
    budget.settle(10, 30, 20, 0.5)
    budget.admit(10)
    budget.settle(10, -(2**40), -5, cost)
    assert budget.use() == {"tokens": (50, 100), "cost_usd": (0.5, 1.0)}


def command(out: Path, path: Path, **fields: object) -> list[str]:
    text = json.dumps(config(out, **fields).model_dump(mode="json", exclude_none=True))
    path.write_text(text, encoding="utf-8")
    return [sys.executable, "-m", "folkways", "run", str(path)]


SLOW: dict[str, object] = {
    "replicates": 40, "concurrency": 16,
    "model": {"name": "fake", "options": {"latency_s": 0.02}},
}  # fmt: skip


@pytest.mark.slow
def test_kill_9_at_random_moments_loses_only_unfinished_episodes(tmp_path: Path) -> None:
    rng = random.Random(20)
    long: dict[str, object] = SLOW | {"replicates": 100}
    start = command(tmp_path / "killed", tmp_path / "run.yaml", **long)
    run = tmp_path / "killed/trial"
    kills, seen = 0, 0
    while kills < 8:
        process = subprocess.Popen(start, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        opened = time.monotonic()
        while not (run / "run.lock").exists() or (run / "run.lock").read_text() != str(process.pid):
            assert time.monotonic() - opened < 60 and process.poll() is None
            time.sleep(0.005)
        time.sleep(rng.uniform(0.0, 1.6))
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        if (run / "log.duckdb").exists() and _has_tables(run):
            now = count(run)
            assert now >= seen, "a stored episode is never lost"
            seen = now
            assert _halves(run) == 0
    assert seen > 0
    assert subprocess.run(start, stderr=subprocess.DEVNULL, check=False).returncode == 0
    play(tmp_path / "undisturbed", **long)
    assert content(run) == content(tmp_path / "undisturbed/trial")


def _has_tables(run: Path) -> bool:
    with duckdb.connect(str(run / "log.duckdb")) as con:
        return bool(con.execute("from duckdb_tables() where table_name = 'episodes'").fetchall())


def _halves(run: Path) -> int:
    """Count episodes whose turns, cast or calls are not all there."""
    with duckdb.connect(str(run / "log.duckdb"), read_only=True) as con:
        row = con.execute(
            "select count(*) from episodes e where turns <> "
            "(select count(*) from turns t where t.episode_id = e.episode_id) or not exists "
            "(from roles r where r.episode_id = e.episode_id)"
        ).fetchone()
        assert row is not None
        return int(row[0])


def test_ctrl_c_drains_and_a_second_one_stops(tmp_path: Path) -> None:
    start = command(tmp_path / "out", tmp_path / "run.yaml", **SLOW)
    run = tmp_path / "out/trial"
    codes = []
    for interrupts in (1, 2):
        process = subprocess.Popen(start, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        before = 0 if interrupts == 1 else count(run)
        while not (run / "log.duckdb").exists() or not _stored_more(run, before):
            assert process.poll() is None, "it ended before it stored anything"
            time.sleep(0.02)
        for _ in range(interrupts):
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        _, errors = process.communicate(timeout=60)
        codes.append(process.returncode)
        assert b"Traceback" not in errors
        assert b"press Ctrl-C again" in errors
    assert codes == [130, 130]
    with duckdb.connect(str(run / "log.duckdb"), read_only=True) as con:
        reasons = con.execute("select end_reason from launches order by started_at").fetchall()
    assert reasons == [("drained",), ("stopped",)]
    assert _halves(run) == 0 and 0 < count(run) < 160


def _stored_more(run: Path, before: int) -> bool:
    try:
        return count(run) > before
    except duckdb.Error:
        return False  # the writer holds the file just now


def test_two_processes_cannot_write_one_run(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(tmp_path / "out", tmp_path / "run.yaml", **SLOW), stderr=subprocess.DEVNULL
    )
    lock = tmp_path / "out/trial/run.lock"
    try:
        while not lock.exists() or lock.read_text() != str(process.pid):
            assert process.poll() is None, "it ended before it took the lock"
            time.sleep(0.02)
        with pytest.raises(UserError, match=f"PID {process.pid}"):
            play(tmp_path / "out", **SLOW)
    finally:
        process.kill()
        process.wait()


def test_a_full_disk_is_one_clear_line_and_keeps_what_was_stored(tmp_path: Path) -> None:
    play(tmp_path / "out", limit=4, replicates=80)
    run = tmp_path / "out/trial"
    before = content(run)
    start = command(tmp_path / "out", tmp_path / "run.yaml", replicates=80)

    def no_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))

    done = subprocess.run(start, capture_output=True, text=True, preexec_fn=no_room, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "cannot write" in done.stderr and "disk" in done.stderr
    after = content(run)
    for table, rows in before.items():
        assert {repr(row) for row in rows} <= {repr(row) for row in after[table]}
    assert _halves(run) == 0 and count(run) < 320
    assert play(tmp_path / "out", replicates=80) == "done" and count(run) == 320


@pytest.mark.parametrize("bytes_", [0, 100, 6000, 20_000])
def test_a_disk_that_is_full_from_the_first_leaves_nothing_in_the_way(
    tmp_path: Path, bytes_: int
) -> None:
    start = command(tmp_path / "out", tmp_path / "run.yaml")

    def no_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_))

    done = subprocess.run(start, capture_output=True, text=True, preexec_fn=no_room, check=False)
    assert done.returncode == 1 and done.stderr.startswith("folkways: cannot ")
    assert len(done.stderr.splitlines()) == 1
    assert play(tmp_path / "out") == "done"


def test_a_foreign_or_newer_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "trial").mkdir()
    store = tmp_path / "trial/log.duckdb"
    with duckdb.connect(str(store)) as con:
        con.execute("create table sheep (name varchar)")
    with pytest.raises(UserError, match="not a folkways store"):
        play(tmp_path)
    with duckdb.connect(str(store)) as con:
        con.execute("create table meta (key varchar primary key, value varchar)")
        con.execute("insert into meta values ('application', 'folkways'), ('store_version', '99')")
    with pytest.raises(UserError, match="newer folkways"):
        play(tmp_path)
    store.write_text("not a database at all, but a shopping list, " * 100)
    with pytest.raises(UserError, match="cannot open"):
        play(tmp_path)


def test_readers_can_look_while_a_run_is_live(tmp_path: Path) -> None:
    process = subprocess.Popen(
        command(tmp_path / "out", tmp_path / "run.yaml", **SLOW), stderr=subprocess.DEVNULL
    )
    run, looks = tmp_path / "out/trial", set()
    while process.poll() is None:
        if (run / "log.duckdb").exists():
            with contextlib.suppress(duckdb.Error):
                looks.add(count(run))
        time.sleep(0.05)
    assert process.returncode == 0
    assert len(looks) > 2, "a reader saw the log grow"
    assert count(run) == 160


def plan_with(**fields: object) -> Plan:
    return make_plan(config(Path("unused"), **fields))


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"scenarios": ["no-such-scene"]}, "no-such-scene"),
        ({"cultures": ["ATL"]}, "ATL"),
        ({"scenarios": ["soup-before-dusk", "soup-before-dusk"]}, "named twice"),
        ({"scenarios": ["soup-before-dusk"], "themes": ["gender-roles"]}, "no scenario is left"),
    ],
)
def test_plans_that_cannot_be_made(fields: dict[str, object], match: str) -> None:
    with pytest.raises(UserError, match=match):
        plan_with(**fields)


def test_a_scenario_file_that_fails_its_check_is_not_played(tmp_path: Path) -> None:
    text = (ROOT / "scenarios/library/soup-before-dusk.yaml").read_text(encoding="utf-8")
    path = tmp_path / "soup-before-dusk.yaml"
    path.write_text(text.replace("at: 4", "at: 400"), encoding="utf-8")
    with pytest.raises(UserError, match=r"soup-before-dusk.yaml:\d+:\d+: .*400"):
        plan_with(scenarios=[str(path)])


def test_a_run_needs_no_home(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "HOME"}
    start = command(tmp_path / "out", tmp_path / "run.yaml")
    assert subprocess.run(start, env=environment, capture_output=True, check=False).returncode == 0
