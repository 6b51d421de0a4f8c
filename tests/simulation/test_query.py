"""Reading a store: what opens, and what a query may do."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import duckdb
import pytest
from sample_store import DINNER, sample_run

from folkways.errors import UserError
from simulation.store.reader import find_episode, open_reader, run_query, write_parquet

HOLD = "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print(flush=1); time.sleep({})"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def con(run: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_reader(run) as con:
        yield con


def holder(path: Path, seconds: float) -> subprocess.Popen[str]:
    """Start a process that holds a store open for writing, and return once it does."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(seconds), str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    process.stdout.readline()
    return process


def test_a_run_opens_by_its_folder_or_its_file(run: Path) -> None:
    for path in (run, run / "log.duckdb"):
        with open_reader(path) as con:
            assert con.execute("select count(*) from episodes").fetchone() == (10,)


def test_a_missing_run_is_named_with_its_neighbours(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no run '.*trail'; did you mean .*/trial\?"):
        open_reader(run.with_name("trail"))
    with pytest.raises(UserError, match=r"runs found: .*/trial"):
        open_reader(run.with_name("xyz"))
    with pytest.raises(UserError, match=r"no store \(log.duckdb\) in .* that folder: .*trial"):
        open_reader(run.parent)
    with contextlib.chdir(tmp_path), pytest.raises(UserError, match="runs found: none"):
        open_reader(tmp_path / "empty" / "nothing")


def test_foreign_and_damaged_files_are_refused(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    foreign = ["create table t (a int)", "create table meta (a int)",
               "create table meta (key varchar, value varchar)"]  # fmt: skip
    for statement in foreign:
        path.unlink(missing_ok=True)
        with duckdb.connect(str(path)) as con:
            con.execute(statement)
        with pytest.raises(UserError, match="is a DuckDB file, but not a folkways store"):
            open_reader(tmp_path)
    path.write_text("not a database at all, whatever its name says" * 100)
    with pytest.raises(UserError, match="not a valid DuckDB database file"):
        open_reader(tmp_path)
    path.write_bytes((run / "log.duckdb").read_bytes()[:13_000])
    with pytest.raises(UserError, match="cannot open"):
        open_reader(tmp_path)


@pytest.mark.parametrize(("version", "words"), [(99, "newer folkways"), (0, "older folkways")])
def test_another_store_version_is_refused(tmp_path: Path, version: int, words: str) -> None:
    run = sample_run(
        tmp_path, f"update meta set value = '{version}' where key = 'store_version'"
    )  # fmt: skip
    with pytest.raises(UserError, match=f"store version {version}, made by an? {words}"):
        open_reader(run)


def test_a_store_that_is_open_for_writing_is_read_from_a_snapshot(tmp_path: Path) -> None:
    run = sample_run(tmp_path)
    process = holder(run / "log.duckdb", 60)
    try:
        with open_reader(run, wait_s=0.2) as con:
            assert con.execute("select count(*) from episodes").fetchone() == (10,)
    finally:
        process.kill()
        process.wait()


def test_a_store_whose_writer_was_killed_can_be_read(tmp_path: Path) -> None:
    run = sample_run(tmp_path)
    kill = (
        "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]);"
        "c.execute('delete from intents'); c.execute('begin'); c.execute('delete from episodes');"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", kill, str(run / "log.duckdb")], check=False)
    with open_reader(run) as con:
        counts = "select (select count(*) from intents), (select count(*) from episodes)"
        assert con.execute(counts).fetchone() == (0, 10)


@pytest.mark.parametrize(
    "sql",
    [
        "select 1", "from episodes", "values (1)", "table episodes", "describe episodes",
        "summarize episodes", "show tables", "explain select 1", "explain analyze select 1",
        "with x as (select 1 as a) from x", "pivot episodes on exit_reason group by model",
        "select 1; -- the end", "/* first */ select 1",
    ],
)  # fmt: skip
def test_reading_statements_run(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    assert list(run_query(con, sql).rows)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("insert into meta values ('a', 'b')", "found insert"),
        ("update meta set value = '1'", "found update"),
        ("delete from episodes", "found delete"),
        ("drop table episodes", "found drop"),
        ("create table t as select 1", "found create"),
        ("create temp table t as select 1", "found create"),
        ("copy episodes to 'out.csv'", "found copy"),
        ("export database 'out'", "found export"),
        ("attach 'other.duckdb'", "found attach"),
        ("install httpfs", "found load"),
        ("load httpfs", "found load"),
        ("set threads = 1", "found set"),
        ("pragma threads = 1", "found set"),
        ("reset threads", "found"),
        ("set variable x = 1", "found set"),
        ("call pragma_version()", "found call"),
        ("checkpoint", "found"),
        ("begin", "found transaction"),
        ("prepare p as select 1", "found prepare"),
        ("select 1; select 2", "found 2"),
        ("select 1; drop table episodes", "found 2"),
        ("", "found none"),
        (" -- nothing", "found none"),
    ],
)
def test_other_statements_are_refused(
    con: duckdb.DuckDBPyConnection, sql: str, reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        run_query(con, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "from read_text('/etc/hostname')", "from read_csv('/etc/hostname')", "from glob('/*')",
        "from '/etc/hostname'", "from read_blob('*')", "from sniff_csv('/etc/hostname')",
        "from read_csv('https://example.com/x.csv')", "from parquet_metadata('/tmp/x.parquet')",
        "from query('from read_text(''/etc/hostname'')')", "explain analyze copy meta to 'x.csv'",
        "from enable_logging(storage = 'file', storage_path = '/tmp/x')",
        "from enable_profiling(save_location = '/tmp/x')", "from duckdb_extensions()",
        "from which_secret('s3://x', 's3')", "select getenv('HOME')", "from secret_of_this_test",
    ],
)  # fmt: skip
def test_no_query_reaches_files_the_network_settings_or_python(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, sql: str
) -> None:
    secret_of_this_test = [1]  # a table to a careless connection
    assert secret_of_this_test
    with pytest.raises(UserError):
        list(run_query(con, sql).rows)
    assert not Path("/tmp/x").exists() and not Path("x.csv").exists()


def test_reading_changes_no_byte_of_the_store(run: Path) -> None:
    path = run / "log.duckdb"
    before = hashlib.sha256(path.read_bytes()).digest()
    with open_reader(run) as con:
        list(run_query(con, "from repetition").rows)
    assert hashlib.sha256(path.read_bytes()).digest() == before
    assert [file.name for file in run.iterdir()] == ["log.duckdb"]


@pytest.mark.parametrize(
    "sql", ["selec 1", "select nope from episodes", "from nope", "select nope(1)", "select 'a"]
)
def test_faulty_sql_points_to_the_schema(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    with pytest.raises(UserError, match=r"Error: .*\n(.|\n)*folkways schema RUN"):
        run_query(con, sql)


def test_a_query_that_fails_on_the_way_is_the_users_error(con: duckdb.DuckDBPyConnection) -> None:
    sql = "select if(i = 90000, error('boom'), i) from range(100000) t(i)"
    with pytest.raises(UserError, match="boom"):
        list(run_query(con, sql).rows)
    if find_spec("pytz") is None:  # DuckDB wants it for times with a zone
        with pytest.raises(UserError, match="cast it"):
            list(run_query(con, "select now()").rows)


def test_an_episode_is_found_by_its_beginning(con: duckdb.DuckDBPyConnection) -> None:
    assert find_episode(con) == DINNER
    assert find_episode(con, "bbbb") == "bbbb000000000002-2"
    with pytest.raises(UserError, match=r"^several episodes begin with 'cccc': cccc0+3, cccc0+4;"):
        find_episode(con, "cccc")
    with pytest.raises(UserError, match=r"^no episode begins with 'zz'; folkways view RUN --list"):
        find_episode(con, "zz")


def test_a_parquet_file_holds_the_rows(run: Path, tmp_path: Path) -> None:
    target = tmp_path / "turns.parquet"
    sql = "from turns_readable order by episode_id, turn -- all of them"
    assert write_parquet(run, sql, target) == 28
    refused = {
        "from nope": "does not exist", "insert into meta values ('a', 'b')": "found insert",
        "select error('late') from turns": "late", "explain select 1": "no table",
        "from read_text('/etc/hostname')": "the function read_text is not for",
    }  # fmt: skip
    for query, words in refused.items():
        with pytest.raises(UserError, match=words):
            write_parquet(run, query, target)
    with pytest.raises(UserError, match=r"nowhere"):
        write_parquet(run, "select 1", tmp_path / "nowhere" / "x.parquet")
    with duckdb.connect() as con:
        sql = "select line, audience, whisper from read_parquet(?) where turn = 4"
        found = con.execute(sql, [str(target)]).fetchall()
    assert found[0] == (
        "(whispering) I sold father's boat to pay the bank in March.", ["mother"], True
    )  # fmt: skip
    assert [file.name for file in tmp_path.iterdir()] == ["turns.parquet"]
