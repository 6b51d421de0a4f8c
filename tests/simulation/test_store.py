"""The store while others have it open: nothing is lost, whoever holds it and whoever is killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from held_store import held, played
from review_runs import played as play_scenes
from review_runs import scene_file

from folkways.errors import UserError
from simulation.store.connection import FOLDER
from simulation.store.pack import pack
from simulation.store.reader import open_reader
from simulation.store.record import Record
from simulation.store.run_lock import locked
from simulation.store.spill import spills_of
from simulation.store.writer import FILE, SET_ASIDE, Store

ROOT = Path(__file__).parents[2]
EPISODES = "select list(episode_id order by episode_id) from episodes"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "run").mkdir()
    made = Store(tmp_path / "run")
    made.create()
    return made


def listened(store: Store) -> list[str]:
    """Return the list of what a store says from now on."""
    said: list[str] = []
    store.say = said.append
    return said


def stored(run: Path, query: str = EPISODES) -> object:
    with closing(open_reader(run)) as con:
        return con.execute(query).fetchall()[0][0]


def test_a_log_of_a_store_that_is_gone_is_not_taken_into_a_new_one(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for run in (old, new):
        run.mkdir()
    Store(old).create()
    with duckdb.connect(str(old / FILE)) as con:
        con.execute("insert or replace into meta values ('note', 'of the old one')")
        (new / f"{FILE}.wal").write_bytes((old / f"{FILE}.wal").read_bytes())
    with pytest.raises(UserError, match=r"log\.duckdb\.wal' is left of a store that is gone"):
        Store(new).create()
    assert not (new / FILE).exists() and (new / f"{FILE}.wal").stat().st_size > 0


@pytest.mark.parametrize("how", ["reads", "writes"])
def test_what_is_finished_while_somebody_holds_the_store_is_kept(store: Store, how: str) -> None:
    said, run = listened(store), store.path.parent
    store.append([played(1)])
    with held(store.path, how) as other:
        store.append([played(2)])
        store.append([played(3), played(4)])
        store.add("merged_shards", {"shard_id": "x", "work": "run", "records": 1,
                                    "merged_at": "2026-01-01"})  # fmt: skip
        assert len(said) == 1 and f"process {other.pid} (" in said[0]
        with store.reading() as con:
            assert con.execute(EPISODES).fetchall() == [(["e1", "e2", "e3", "e4"],)]
        with store.reading() as con:
            assert con.execute("select count(*) from episodes").fetchone() == (4,)
        assert stored(run) == ["e1", "e2", "e3", "e4"], "a command that reads sees it too"
        assert len(spills_of(store.path)) == 1
        store.settle(0.1)
        assert "safe in" in said[1] and len(said) == 2
    store.append([played(5)])
    assert "can be written again" in said[2] and not (run / FOLDER).exists()
    assert stored(run) == ["e1", "e2", "e3", "e4", "e5"]
    assert stored(run, "select count(*) from turns") == 5
    assert stored(run, "select count(*) from templates") == 1
    assert stored(run, "select count(*) from merged_shards where shard_id = 'x'") == 1


def test_the_next_command_brings_in_what_waits(store: Store) -> None:
    with held(store.path):
        store.append([played(1)])
    assert spills_of(store.path)
    assert stored(store.path.parent) == ["e1"]
    assert not spills_of(store.path), "a command that reads brings it in when nobody writes"


def test_a_spill_is_brought_in_once_even_if_it_could_not_be_removed(store: Store) -> None:
    with held(store.path):
        store.append([played(1)])
    (spill,) = spills_of(store.path)
    kept = spill.read_bytes()
    store.append([played(2)])
    spill.parent.mkdir(parents=True)
    spill.write_bytes(kept)
    store.append([played(3)])
    assert stored(store.path.parent) == ["e1", "e2", "e3"] and not spills_of(store.path)


def test_a_reader_in_the_same_process_is_in_nobodys_way(store: Store) -> None:
    said = listened(store)
    with duckdb.connect(str(store.path), read_only=True) as con:
        store.append([played(1)])
        assert con.execute(EPISODES).fetchall() == [(None,)]
        assert stored(store.path.parent) == ["e1"]
    assert "another connection of this process" in said[0]
    store.append([played(2)])
    assert stored(store.path.parent) == ["e1", "e2"]


def test_a_store_that_is_up_to_date_is_not_waited_for(store: Store) -> None:
    with held(store.path, "writes"):
        began = time.monotonic()
        Store(store.path.parent).create()
        assert time.monotonic() - began < 10
    with duckdb.connect(str(store.path)) as con:
        con.execute("update meta set value = 'old' where key = 'views'")
        con.execute("drop view conversations")
    said = listened(store)
    with held(store.path) as other, ThreadPoolExecutor() as pool:
        made = pool.submit(store.create)
        until(lambda: said)
        assert not made.done(), "an older one is waited for, and that is said"
        other.kill()
        made.result(timeout=60)
    assert len(said) == 1
    assert stored(store.path.parent, "select count(*) from conversations") == 0


def test_a_run_can_be_packed_while_somebody_reads_it(store: Store, tmp_path: Path) -> None:
    store.append([played(1)])
    for how in ("reads", "writes"):
        with held(store.path, how):
            shards = list(pack(store.path.parent, str(tmp_path / how), 10))
        assert sum(shard.records for shard in shards) == 1


def test_a_record_that_no_table_holds_costs_itself_alone(store: Store) -> None:
    bad = [played(2, turn=2**40), played(4, text="\ud800"), played(6, action="sings")]
    store.keep([played(1), bad[0], played(3), bad[1], played(5), bad[2]])
    assert len(store.set_aside) == 3
    run = store.path.parent
    good = "select list(episode_id order by all) from episodes where exit_reason <> 'error'"
    assert stored(run, good) == ["e1", "e3", "e5"]
    failed = (
        "select list(exit_detail order by episode_id) from episodes where exit_reason = 'error'"
    )
    details = stored(run, failed)
    assert isinstance(details, list) and len(details) == 3
    assert all(detail.startswith("not stored: ") for detail in details)
    assert stored(run, "select count(*) from turns") == 3
    lines = [json.loads(line) for line in (run / SET_ASIDE).read_text().splitlines()]
    assert [line["rows"]["turns"][0]["turn"] for line in lines] == [2**40, 1, 1]
    assert lines[1]["rows"]["turns"][0]["text"] == "\ud800"


def test_a_bad_record_costs_itself_alone_while_the_store_is_held(store: Store) -> None:
    with held(store.path):
        store.keep([played(1), played(2, turn=2**40)])
    assert stored(store.path.parent) == ["e1", "e2"] and len(store.set_aside) == 1


def test_a_bad_row_of_a_command_is_an_error(store: Store) -> None:
    with pytest.raises(duckdb.Error):
        store.append([Record({"turns": [{"episode_id": "e", "turn": 2**40}]}, "")])


def test_a_folder_that_cannot_take_a_spill_is_one_line(store: Store) -> None:
    (store.path.parent / FOLDER).write_text("not a folder")
    with held(store.path), pytest.raises(UserError, match=r"cannot write .*Nothing that was"):
        store.append([played(1)])


def start(tmp_path: Path, latency_s: float, replicates: int) -> subprocess.Popen[str]:
    """Start a run of slow scenes as a process of its own."""
    config = tmp_path / "run.yaml"
    config.write_text(
        "{name: trial, scenarios: [soup-before-dusk], cultures: [MEX], concurrency: 2, "
        f"replicates: {replicates}, out: '{tmp_path}', "
        f"model: {{name: fake, options: {{latency_s: {latency_s}}}}}}}"
    )
    return subprocess.Popen(
        [sys.executable, "-m", "folkways", "run", str(config)], cwd=ROOT, text=True,
        stderr=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip


def until(true: Callable[[], object], seconds: float = 60.0) -> None:
    patience = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < patience, "it did not come to pass"
        time.sleep(0.02)


def test_a_writer_that_is_killed_while_somebody_reads_loses_next_to_nothing(tmp_path: Path) -> None:
    run = tmp_path / "trial"
    process = start(tmp_path, 0.02, 80)
    until((run / FILE).exists)
    with held(run / FILE) as reader:
        until(lambda: stored(run, "select count(*) from episodes"))
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
        assert errors.count(f"is held by process {reader.pid} ") == 1
        before = stored(run, "select count(*) from episodes")
        assert isinstance(before, int) and before > 0
    again = start(tmp_path, 0.02, 80)
    output, errors = again.communicate(timeout=120)
    assert again.returncode == 0 and "all episodes are stored" in output
    assert f"{before} stored before" in errors
    assert stored(run, "select count(distinct content_hash) from episodes") == 80
    assert stored(run, "select count(*) from episodes") == 80
    assert not (run / FOLDER).exists()


def test_a_reader_at_the_very_start_and_until_near_the_end_costs_nothing(tmp_path: Path) -> None:
    run = tmp_path / "trial"
    process = start(tmp_path, 0.01, 60)
    with held(run / FILE):  # it tries from before the store is made
        until(lambda: spills_of(run / FILE))
        time.sleep(3.0)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and "all episodes are stored" in output
    assert stored(run, "select count(*) from episodes") == 60
    assert stored(run, "select count(*) from launches") == 1
    assert not (run / FOLDER).exists()


def test_critics_store_what_they_say_while_somebody_reads(tmp_path: Path) -> None:
    run = play_scenes(tmp_path, scene_file(tmp_path, 2))
    command = [sys.executable, "-m", "folkways", "critique", str(run), "--model", "fake"]
    with held(run / FILE) as reader:
        process = subprocess.Popen(
            command, cwd=ROOT, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        until(lambda: spills_of(run / FILE) or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        reader.kill()
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert stored(run, "select count(*) from launches where stage = 'critique'") == 1
    assert stored(run, "select count(distinct episode_id) from detections") == stored(
        run, "select count(*) from episodes"
    )


def test_readers_hold_no_live_run(store: Store) -> None:
    with locked(store.path.parent):
        store.append([played(1)])
        with closing(open_reader(store.path.parent)) as con:
            store.append([played(2)])
            assert not spills_of(store.path), "the reader is in nobody's way"
            assert con.execute(EPISODES).fetchall() == [(["e1"],)]
        assert stored(store.path.parent) == ["e1", "e2"]
        assert not list(store.path.parent.glob(".snapshot-*")), "and leaves nothing behind"


def test_threads_open_one_store_at_the_same_time(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.create()

    def read(_: int) -> int:
        with store.reading() as con:
            return len(con.execute("from episodes").fetchall())

    for _ in range(20):
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(read, range(8))) == [0] * 8
