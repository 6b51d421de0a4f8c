"""Copies of a store: snapshots of a live one, salvage of a damaged one, older DuckDB."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from held_store import held, played
from sample_store import branched_run

from simulation.store.reader import open_reader
from simulation.store.snapshot import snapshot
from simulation.store.spill import spills_of
from simulation.store.writer import FILE, Store

ROOT = Path(__file__).parents[2]
DUCKDB_1_4 = Path(sys.prefix) / "duckdb-1.4"
OLDER = """
import json, sys
sys.path.insert(0, sys.argv[1])
import duckdb
assert duckdb.__version__.startswith("1.4."), duckdb.__version__
con = duckdb.connect(sys.argv[2], read_only=True)
def rows(query):
    return con.execute(query).fetchall()
names = [name for name, in rows("select view_name from duckdb_views() where not internal") +
         rows("select table_name from duckdb_tables()")]
counts = {name: len(rows(f'from "{name}"')) for name in names}
macros = rows("select function_name from duckdb_functions() where not internal and "
              "function_type like '%macro'")
queries = json.loads(sys.argv[3])
for name, in macros:
    assert name in queries, f"add a query for {name} to CALLS"
    rows(queries[name])
print(json.dumps(counts))
"""
CALLS = {
    "accepted": "from accepted('strict')",
    "fates": "from fates('strict')",
    "funnel": "from funnel('strict')",
    "courtesies": "select courtesies()",
    "find_episode": "select find_episode((select min(episode_id) from episodes))",
    "transcript": "from transcript((select min(episode_id) from episodes))",
    "undecided": "from undecided(['quality'])",
    "hearers_of": "select hearers_of(action, addressees, audience) from turns",
    "is_cut_short": "select is_cut_short(exit_reason) from episodes",
    "names_filled": "select names_filled(text, []) from turns",
    "is_named": "select is_named(action, addressees, audience) from turns",
    "student_95": "select student_95(df) from range(1, 40) t(df)",
    "krippendorff": "from krippendorff('judge_ratings')",
    "folded": "select folded(text) from turns",
    "folded_words": "select folded_words(text) from turns",
    "nearby": "select nearby(stems(text)) from turns",
    "person_words": "select person_words()",
    "readable": "select readable(action, text, whisper, failure) from turns",
    "spoken_words": "select spoken_words(action, text) from turns",
    "stems": "select stems(text) from turns",
    "stage_of": "select stage_of(purpose) from calls",
    "sureness": "select sureness(confidence) from verdicts",
    "three_grams": "select three_grams(text) from turns",
    "turned": "select turned(stems(text)) from turns",
    "unspaced_scripts": "select unspaced_scripts()",
    "wilson_high": "select wilson_high(1, 2)",
    "wilson_low": "select wilson_low(1, 2)",
    "without_courtesies": "select without_courtesies(text) from turns",
    "without_case": "select without_case(text) from turns",
    "word_sequences": "select word_sequences(text, 3) from turns",
    "words": "select words(text) from turns",
}
"""A query for every macro."""
WRITE = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[2], sys.argv[2] + "/tests/support"]
from held_store import played
from simulation.store.run_lock import locked
from simulation.store.writer import Store
store = Store(Path(sys.argv[1]))
with locked(Path(sys.argv[1])):
    for number in range(0, 10**6, 20):
        store.append([played(n) for n in range(number, number + 20)])
        print(number, flush=True)
"""


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return branched_run(tmp_path_factory.mktemp("runs"))


def folkways(*arguments: object) -> tuple[int, str, str]:
    """Run a command as a user does; return its exit code and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "folkways", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Path]:
    """A run to which a process of its own adds episodes all the time."""
    run = tmp_path / "live"
    run.mkdir()
    Store(run).create()
    with subprocess.Popen(
        [sys.executable, "-c", WRITE, str(run), str(ROOT)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout and writer.stdout.readline()
        yield run
        writer.kill()


def test_snapshots_of_a_live_run_are_whole(live: Path) -> None:
    seen = [0]
    for _ in range(20):
        with closing(open_reader(live)) as con:
            query = "select count(*), (select count(*) from turns), (select max(turn) from turns)"
            episodes, turns, _ = con.execute(f"{query} from episodes").fetchall()[0]
        assert episodes == turns and episodes % 20 == 0 and episodes >= seen[-1]
        seen.append(episodes)
    assert seen[-1] > seen[1], "the run went on meanwhile"
    assert not list(live.glob(".snapshot-*")) and not spills_of(live / FILE)


def test_the_command_snapshot_copies_a_live_run_and_overwrites_nothing(
    live: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.duckdb"
    code, output, errors = folkways("snapshot", live, copy)
    assert code == 0 and str(copy) in output, errors
    with duckdb.connect(str(copy), read_only=True) as con:
        assert con.execute("select count(*) > 0 from conversations").fetchall()
    kept = copy.read_bytes()
    code, _, errors = folkways("snapshot", live, copy)
    assert code == 1 and "exists already" in errors and errors.count("\n") == 1
    assert copy.read_bytes() == kept
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    code, _, errors = folkways("snapshot", live, tmp_path / "no" / "where.duckdb")
    assert code == 1 and "cannot write" in errors and errors.count("\n") == 1


def test_a_snapshot_of_a_store_that_is_held_for_writing_is_whole(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.create()
    store.append([played(1)])
    with (
        held(store.path, "writes"),
        snapshot(store.path, 0.1) as copy,
        duckdb.connect(str(copy), read_only=True) as con,
    ):
        assert con.execute("select count(*) from episodes").fetchall() == [(1,)]


def test_what_a_killed_snapshot_left_is_swept_away(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.create()
    old, young = tmp_path / ".snapshot-old", tmp_path / ".snapshot-young"
    for folder in (old, young):
        folder.mkdir()
        (folder / FILE).write_text("half a copy")
    os.utime(old, (time.time() - 7200,) * 2)
    with snapshot(store.path, 0.1):
        assert not old.exists() and young.exists()


def read_by_older(store: Path, work: Path) -> dict[str, int]:
    """Have DuckDB 1.4 read every view, table and macro of a store; return the rows of each."""
    done = subprocess.run(
        [sys.executable, "-c", OLDER, str(DUCKDB_1_4), str(store), json.dumps(CALLS)],
        capture_output=True, text=True, check=False, cwd=work,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.skipif(not DUCKDB_1_4.exists(), reason="DuckDB 1.4 is not installed beside ours")
def test_duckdb_1_4_reads_every_view_and_table(sample: Path, tmp_path: Path) -> None:
    counts = read_by_older(sample / FILE, tmp_path)
    with closing(open_reader(sample)) as con:
        for name, rows in counts.items():
            assert con.execute(f'select count(*) from "{name}"').fetchall() == [(rows,)], name
    assert counts["conversations"] > 0 and counts["turns_readable"] > 0


@pytest.mark.skipif(not DUCKDB_1_4.exists(), reason="DuckDB 1.4 is not installed beside ours")
def test_a_store_of_the_newest_format_is_written_anew_for_duckdb_1_4(
    sample: Path, tmp_path: Path
) -> None:
    newest, copy = tmp_path / "newest", tmp_path / "copy.duckdb"
    newest.mkdir()
    with duckdb.connect() as con:
        con.execute(f"attach '{newest / FILE}' as new (storage_version 'latest')")
        con.execute(f"attach '{sample / FILE}' as old (read_only)")
        con.execute("copy from database old to new")
    with duckdb.connect(str(newest / FILE)) as con:
        con.execute("checkpoint")
    code, _, errors = folkways("snapshot", newest, copy, "--for", "duckdb-1.4")
    assert code == 0, errors
    assert read_by_older(copy, tmp_path) == read_by_older(sample / FILE, tmp_path)


def test_stores_keep_their_format_when_they_are_opened_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.create()
    for number in range(3):
        store.append([played(number)])
        with store.writing() as con:
            tags = "select tags['storage_version'] from duckdb_databases() where not internal"
            assert con.execute(tags).fetchall() == [("v1.4.0+",)]


def damage(data: bytes, rng: random.Random, how: str) -> bytes:
    """Return bytes with one of the faults that disks and transfers make."""
    changed = bytearray(data)
    if how == "cut":
        return bytes(changed[: rng.randrange(len(changed))])
    if how == "foreign":
        return rng.randbytes(len(changed))
    last = 12_288 if how == "header" else len(changed)
    for _ in range(rng.choice([1, 1, 5, 50])):
        changed[rng.randrange(last)] ^= rng.randrange(1, 256)
    return bytes(changed)


def with_log(sample: Path, folder: Path) -> tuple[bytes, bytes]:
    """Return a store and the write-ahead log of a transaction that it lacks."""
    code = (
        "import duckdb, os, sys; con = duckdb.connect(sys.argv[1]);"
        "con.execute('insert into intents select * from intents'); os.kill(os.getpid(), 9)"
    )
    path = folder / FILE
    path.write_bytes((sample / FILE).read_bytes())
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    return path.read_bytes(), path.with_name(f"{FILE}.wal").read_bytes()


def plain(code: int, output: str, errors: str) -> bool:
    """Return whether a command came to an orderly end."""
    return code in (0, 1) and "Traceback" not in errors and (code == 0 or errors.count("\n") <= 2)


@pytest.mark.parametrize("how", ["flip", "header", "cut", "log", "foreign"])
def test_a_damaged_store_is_one_line_whatever_reads_it(
    sample: Path, tmp_path: Path, how: str
) -> None:
    whole, log = with_log(sample, tmp_path)
    rng = random.Random(how)
    for number in range(int(os.environ.get("FOLKWAYS_FUZZ", "2"))):
        run, out = tmp_path / f"run-{number}", tmp_path / f"out-{number}"
        run.mkdir()
        (run / FILE).write_bytes(whole if how == "log" else damage(whole, rng, how))
        (run / f"{FILE}.wal").write_bytes(damage(log, rng, "flip") if how == "log" else log)
        counted = folkways("sql", run, "select count(*), count(text) from turns")
        assert plain(*counted), counted
        if how == "foreign":
            assert counted[0] == 1 and "folkways salvage" in counted[2]
        shown = folkways("view", run)
        assert plain(*shown), shown
        saved = folkways("salvage", run, out)
        assert plain(*saved), saved
        if saved[0] == 0:
            assert "lost" in saved[1]
            assert folkways("sql", out, "select count(*) from conversations")[0] == 0
        else:
            assert not out.exists() and "nothing can be read" in saved[2]


def test_salvage_leaves_out_what_cannot_be_read_and_counts_it(tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    run.mkdir()
    store = Store(run)
    store.create()
    with store.writing() as con:
        con.execute(
            "insert into merged_shards select hash(i)::varchar || hash(-i)::varchar, 'run', 1, "
            "'2026-01-01' from range(400000) t(i)"
        )
        con.execute("checkpoint")
        blocks = con.execute(
            "select distinct block_id from pragma_storage_info('merged_shards') "
            "where column_name = 'shard_id' and segment_type = 'VARCHAR' and persistent order by 1"
        ).fetchall()
    data = bytearray(store.path.read_bytes())
    data[12_288 + blocks[1][0] * 262_144 + 5000] ^= 255
    store.path.write_bytes(data)
    store.append([played(1)])
    code, output, errors = folkways("salvage", run, out)
    assert code == 0, errors
    with closing(open_reader(out)) as con:
        kept = con.execute("select count(*) from merged_shards").fetchall()[0][0]
        assert con.execute("select count(*) from turns").fetchall() == [(1,)]
    assert f"merged_shards: {kept:,} rows, {400_000 - kept:,} lost" in output
    assert 300_000 < kept < 400_000
    assert run.exists() and folkways("salvage", run, out)[0] == 1, "nothing is overwritten"


def test_salvage_of_a_sound_run_is_the_run(sample: Path, tmp_path: Path) -> None:
    code, output, _ = folkways("salvage", sample, tmp_path / "out")
    assert code == 0 and ", 0 lost" in output
    with closing(open_reader(sample)) as con, closing(open_reader(tmp_path / "out")) as again:
        for table in ("episodes", "turns", "calls", "verdicts", "intents", "branches"):
            query = f"from {table} order by all"
            assert con.execute(query).fetchall() == again.execute(query).fetchall()


def test_a_store_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder" / FILE).mkdir(parents=True)
    newer = tmp_path / "newer"
    newer.mkdir()
    header = bytearray(8192 + 4096)
    header[8:12], header[12:20] = b"DUCK", (9999).to_bytes(8, "little")
    (newer / FILE).write_bytes(header)
    for run in (tmp_path / "folder", newer):
        for command in (["sql", run, "select 1"], ["view", run], ["status", run], ["schema", run]):
            code, _, errors = folkways(*command)
            assert code == 1 and "Traceback" not in errors and errors.count("\n") == 1, errors
