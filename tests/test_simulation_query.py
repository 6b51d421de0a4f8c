"""Reading a store: what opens, what a query may do, and how results are printed and written."""

import csv
import hashlib
import io
import json
import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from sample_store import DINNER, sample_run

from folkways import main
from scenarios.errors import UserError
from simulation.query import Result, find_episode, open_reader, run_query, write_parquet
from simulation.result import print_table, write_csv, write_json

HOLD = "import duckdb, sys, time; c = duckdb.connect(sys.argv[1]); print(flush=1); time.sleep({})"
SHELL = "import sys; from folkways import main; main(sys.argv[1:])"


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


def folkways(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Return exit code, output and errors of a command."""
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    code = done.value.code
    return code if isinstance(code, int) else 0, *capsys.readouterr()


def table(result: Result, width: int, limit: int | None = None) -> str:
    stream = io.StringIO()
    print_table(result, Console(file=stream, width=width, force_terminal=True), limit)
    return stream.getvalue()


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
    with pytest.raises(UserError, match="runs found: none"):
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


def test_a_locked_store_names_the_process(tmp_path: Path) -> None:
    run = sample_run(tmp_path)
    process = holder(run / "log.duckdb", 60)
    try:
        with pytest.raises(UserError, match=rf"is held by process {process.pid}"):
            open_reader(run, wait_s=0.2)
    finally:
        process.kill()
        process.wait()


def test_a_reader_waits_while_a_writer_briefly_holds_the_store(tmp_path: Path) -> None:
    run = sample_run(tmp_path)
    process = holder(run / "log.duckdb", 0.5)
    with open_reader(run) as con:
        assert con.execute("select count(*) from episodes").fetchone() == (10,)
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
        "from read_text('/etc/hostname')": "disabled by configuration",
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


VALUES = """
select 'a "b", c' as text, null as nothing, true as yes, 1.5 as number, 0.1::double as tenth,
    ['x', null] as list, map {'k': 1} as map, {'a': [1]} as struct, date '2026-01-02' as day,
    timestamp '2026-01-02 03:04:05.6' as moment, '{"deep": [1, 2]}'::json as json,
    'nan'::double as nan, 123456789012345678901234567890::hugeint as huge, 'speak'::action as act,
    interval 90 minutes as span, 'é你\n' as lines, 1 as twice, 2 as twice
"""


def test_json_keeps_types_and_nesting(con: duckdb.DuckDBPyConnection) -> None:
    stream = io.StringIO()
    write_json(run_query(con, VALUES), stream)
    assert json.loads(stream.getvalue()) == [
        {
            "text": 'a "b", c', "nothing": None, "yes": True, "number": 1.5, "tenth": 0.1,
            "list": ["x", None], "map": {"k": 1}, "struct": {"a": [1]}, "day": "2026-01-02",
            "moment": "2026-01-02T03:04:05.600000", "json": {"deep": [1, 2]}, "nan": None,
            "huge": 123456789012345678901234567890, "act": "speak", "span": "1:30:00",
            "lines": "é你\n", "twice": 1, "twice_2": 2,
        }
    ]  # fmt: skip
    empty = io.StringIO()
    write_json(run_query(con, "from episodes where false"), empty)
    assert json.loads(empty.getvalue()) == []


def test_csv_has_a_head_and_nested_values_as_json(con: duckdb.DuckDBPyConnection) -> None:
    stream = io.StringIO()
    write_csv(run_query(con, VALUES), stream)
    head, row = csv.reader(io.StringIO(stream.getvalue()))
    assert head[:3] == ["text", "nothing", "yes"]
    assert row == [
        'a "b", c', "", "true", "1.5", "0.1", '["x", null]', '{"k": 1}', '{"a": [1]}', "2026-01-02",
        "2026-01-02T03:04:05.600000", '{"deep": [1, 2]}', "", "123456789012345678901234567890",
        "speak", "1:30:00", "é你\n", "1", "2",
    ]  # fmt: skip


@given(st.lists(st.tuples(st.text(), st.none() | st.text(), st.lists(st.text())), max_size=5))
def test_csv_and_json_bring_back_any_text(rows: list[tuple[Any, ...]]) -> None:
    def result() -> Result:
        return Result(["a", "b", "c"], ["VARCHAR", "VARCHAR", "VARCHAR[]"], iter(rows))

    stream = io.StringIO(newline="")
    write_json(result(), stream)
    assert json.loads(stream.getvalue()) == [dict(zip("abc", row, strict=True)) for row in rows]
    stream = io.StringIO(newline="")
    write_csv(result(), stream)
    read = [*csv.reader(io.StringIO(stream.getvalue(), newline=""))][1:]
    assert [(a, b, json.loads(c)) for a, b, c in read] == [(a, b or "", c) for a, b, c in rows]


def test_a_table_says_how_many_rows_it_shows(con: duckdb.DuckDBPyConnection) -> None:
    sql = "select i from range(1234) t(i)"
    assert "5 of 1,234 rows; --rows 0 shows all of them" in table(run_query(con, sql), 80, 5)
    everything = table(run_query(con, sql), 80)
    assert "\x1b[2m1,234 rows" in everything and " 1233 " in everything
    assert "1 row\x1b" in table(run_query(con, "select 1 as one"), 80)
    assert "0 rows" in table(run_query(con, "from episodes where false"), 200)


@pytest.mark.parametrize("width", [30, 60, 80, 120, 200])
def test_a_table_loses_no_row_and_no_column(con: duckdb.DuckDBPyConnection, width: int) -> None:
    text = table(run_query(con, "from secret_leaks"), width)
    plain = re.sub(r"\x1b\[[\d;]*m", "", text)
    assert all(len(line) <= width for line in plain.splitlines())
    for column in ("episode_id", "most_said", "heard_by"):
        count = plain.count(column)
        assert count == 10 or (count == 1 and plain.count("…") > 5), (column, count)
    assert "10 rows" in plain


def test_tables_show_text_as_text(con: duckdb.DuckDBPyConnection) -> None:
    sql = "select '[bold red]x[/] ' || chr(27) || '[2J' || chr(8238) || chr(10) || 'y' as [red]"
    sql = sql.replace("[red]", '"[red]"')
    for width in (100, 12):
        text = table(run_query(con, sql), width)
        assert "\x1b[2J" not in text and "\u202e" not in text
    text = table(run_query(con, sql), 100)
    assert r"[bold red]x[/] \x1b[2J\u202e y" in text and "[red]" in text


def test_explain_is_printed_as_it_is(con: duckdb.DuckDBPyConnection) -> None:
    text = table(run_query(con, "explain from episodes where turns > 3"), 100)
    assert "episodes" in text and "│" in text and "1 row\x1b" not in text


def test_the_command_prints_tables_csv_and_json(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sql = "select scenario_id, count(*) as n from episodes group by 1 order by 1"
    code, out, _ = folkways(capsys, "sql", run, sql)
    assert code == 0 and re.search(r"dinner +3\s", out) and "3 rows" in out
    assert folkways(capsys, "sql", run, sql, "--csv")[1] == (
        "scenario_id,n\ndinner,3\nshop,1\ntransfer,6\n"
    )
    assert json.loads(folkways(capsys, "sql", run, sql, "--json")[1])[2] == {
        "scenario_id": "transfer", "n": 6
    }  # fmt: skip
    out = folkways(capsys, "sql", run, "from turns", "--rows", "2")[1]
    assert "2 of 29 rows" in out


def test_the_command_writes_parquet_and_does_not_overwrite(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "x.parquet"
    command = ("sql", run, "from episodes", "--parquet", target)
    assert folkways(capsys, *command)[:2] == (0, f"{target}: 10 rows\n")
    code, _, errors = folkways(capsys, *command)
    assert code == 1 and "exists already" in errors and "--force" in errors
    assert folkways(capsys, *command, "--force") == (0, f"{target}: 10 rows\n", "")
    code, _, errors = folkways(capsys, "sql", run, "select 1", "--csv", "--json")
    assert code == 1 and "exclude each other" in errors


def test_errors_are_one_message_without_a_traceback(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, errors = folkways(capsys, "sql", run, "select '\x1b[2J' from nope", "--csv")
    assert code == 1 and out == "" and "Traceback" not in errors and "\x1b[2J" not in errors
    assert errors.startswith("folkways: Catalog Error: Table with name nope does not exist!")


@pytest.mark.parametrize("arguments", [["-"], []])
def test_standard_input_is_read_when_it_is_no_terminal(run: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHELL, "sql", str(run), *arguments, "--csv"],
        input="select count(*) as n\nfrom episodes;\n", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "n\n10\n"


def test_the_schema_prints_every_view_with_its_columns(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = folkways(capsys, "schema", run)[1]
    for name in ("conversations", "leak_rates", "transcript", "episodes", "spoken_words"):
        assert name in text
    assert text.index("Views:") < text.index("Macros:") < text.index("Tables:")
    one = folkways(capsys, "schema", run, "choices")[1]
    assert "Under bidding: each role's bid" in one and "conversations" not in one
    code, _, errors = folkways(capsys, "schema", run, "nope")
    assert code == 1 and "'nope'; known: accepted_episodes" in errors


def test_a_slow_reader_of_the_output_does_not_hold_the_store(run: Path) -> None:
    sql = "select repeat('x', 1000) as x from range(2000)"
    with subprocess.Popen(
        [sys.executable, "-c", SHELL, "sql", str(run), sql, "--csv"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.read(1) == b"x"  # the rest does not fit into the pipe
        with duckdb.connect(str(run / "log.duckdb")) as con:
            assert con.execute("select count(*) from episodes").fetchone() == (10,)
        process.stdout.read()
    assert process.returncode == 0


def test_the_shell_answers_statements_and_commands(run: Path, tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    environment = os.environ | {"COLUMNS": "100", "XDG_CACHE_HOME": str(tmp_path), "TERM": "dumb"}
    process = subprocess.Popen(
        [sys.executable, "-c", SHELL, "sql", str(run)],
        stdin=follower, stdout=follower, stderr=follower, env=environment,
    )  # fmt: skip
    os.close(follower)
    seen: list[bytes] = []

    def listen() -> None:
        try:
            while data := os.read(leader, 4096):
                seen.append(data)
        except OSError:  # the other end has closed
            return

    listener = threading.Thread(target=listen)
    listener.start()

    def until(text: str, since: int = 0) -> str:
        patience = time.monotonic() + 30
        while time.monotonic() < patience:
            output = b"".join(seen).decode()[since:]
            if text in output:
                return output
            time.sleep(0.02)
        raise AssertionError(f"{text!r} did not come: {output}")

    def ask(line: str, answer: str) -> str:
        since = len(b"".join(seen).decode())
        os.write(leader, line.encode() + b"\n")
        return until(answer, since)

    until("folkways> ")
    ask("select count(*) as n", "...> ")
    ask("from episodes;", "1 row")
    ask("from nope;", "does not exist")
    ask("drop table episodes;", "a store can only be read")
    ask(".views", "15 rows")
    ask(".schema leak_rates", "testable")
    ask(".help", "Ctrl-D")
    with duckdb.connect(str(run / "log.duckdb")):  # nobody holds the store in between
        pass
    os.write(leader, b".quit\n")
    assert process.wait(timeout=30) == 0
    listener.join(timeout=30)
    os.close(leader)
    assert "select count(*) as n" in (tmp_path / "folkways/sql_history").read_text()
