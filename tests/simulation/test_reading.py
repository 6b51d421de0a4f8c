"""Results and the commands `sql` and `schema`: tables, CSV, JSON and the shell."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import signal
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
from sample_store import sample_run

from folkways.cli import main
from folkways.text import unguard
from simulation.store.reader import Result, open_reader, run_query
from simulation.store.result import print_table, write_csv, write_json

SHELL = "import sys; from folkways.cli import main; main(sys.argv[1:])"
VALUES = """
select 'a "b", c' as text, null as nothing, true as yes, 1.5 as number, 0.1::double as tenth,
    ['x', null] as list, map {'k': 1} as map, {'a': [1]} as struct, date '2026-01-02' as day,
    timestamp '2026-01-02 03:04:05.6' as moment, '{"deep": [1, 2]}'::json as json,
    'nan'::double as nan, 123456789012345678901234567890::hugeint as huge, 'speak'::action as act,
    interval 90 minutes as span, 'é你\n' as lines, 1 as twice, 2 as twice
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def con(run: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_reader(run) as con:
        yield con


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
    assert [(unguard(a), unguard(b), json.loads(c)) for a, b, c in read] == [
        (a, b or "", c) for a, b, c in rows
    ]


def test_csv_guards_what_a_spreadsheet_would_compute() -> None:
    rows = [("=1+1", -1, -0.5, ["=1"], "-7"), ("a;=1", 2, 1.0, ["b;=1"], "@x")]
    kinds = ["VARCHAR", "INTEGER", "DOUBLE", "VARCHAR[]", "VARCHAR"]
    stream = io.StringIO(newline="")
    write_csv(Result(["=1+1", "b", "c", "d", "e"], kinds, iter(rows)), stream)
    assert stream.getvalue() == (
        '\'=1+1,b,c,d,e\n\'=1+1,-1,-0.5,"[""=1""]",-7\n"a;\'=1",2,1.0,"[""b\\u003b=1""]",\'@x\n'
    )


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
    assert code == 1 and "'nope'; known: accepted, accepted_episodes, " in errors


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
    with open_reader(run) as con:
        views = len(con.execute("from duckdb_views() where not internal").fetchall())
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

    listener = threading.Thread(target=listen, daemon=True)
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
    ask(".views", f"{views} rows")
    ask(".schema leak_rates", "testable")
    ask(".help", "Ctrl-D")
    with duckdb.connect(str(run / "log.duckdb")):  # nobody holds the store in between
        pass
    os.write(leader, b".quit\n")
    assert process.wait(timeout=30) == 0
    listener.join(timeout=30)
    os.close(leader)
    assert "select count(*) as n" in (tmp_path / "folkways/sql_history").read_text()


ENDLESS = "select count(*) from range(1000000) a, range(1000000) b where a.range > 2 * b.range"
DEAF = "select len(list_transform(range(2000000), lambda x: list_sum(range(x))))"
"""It looks for no interruption before its one row is there."""


def started(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SHELL, *map(str, arguments)], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def child_of(process: subprocess.Popen[str]) -> str:
    """Return the PID of the process in which a query runs, once there is one."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    patience = time.monotonic() + 60
    while not (found := children.read_text().split()):
        assert time.monotonic() < patience and process.poll() is None
        time.sleep(0.05)
    return found[0]


@pytest.mark.parametrize("query", [ENDLESS, DEAF])
def test_ctrl_c_ends_a_query_with_130(run: Path, query: str) -> None:
    process = started("sql", run, query)
    child_of(process)
    time.sleep(1.0)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in errors and output == ""


@pytest.mark.parametrize("query", [ENDLESS, DEAF])
def test_a_query_that_takes_too_long_is_stopped(run: Path, query: str) -> None:
    process = started("sql", run, query, "--timeout", "0.5")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and errors.count("\n") == 1
    assert "stopped after 0.5 s" in errors and "--timeout" in errors


def test_memory_is_bounded_on_request(run: Path) -> None:
    query = "select list(range) from range(100000000)"
    _, errors = started("sql", run, query, "--memory", "50MB").communicate(timeout=60)
    assert "memory" in errors and "Traceback" not in errors
    process = started("sql", run, "select 1", "--memory", "much")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "'much' is no amount of memory" in errors


def test_a_query_may_begin_with_a_dash_or_lie_in_a_file(run: Path, tmp_path: Path) -> None:
    process = started("sql", run, "-- how many\nselect count(*) as n from episodes", "--csv")
    assert process.communicate(timeout=60) == ("n\n10\n", "")
    (tmp_path / "q.sql").write_text("select 2 as two")
    (tmp_path / "my q.sql").write_text("select 2 as two")
    process = started("sql", run, f"--file={tmp_path}/my q.sql", "--csv")
    assert process.communicate(timeout=60) == ("two\n2\n", "")
    process = started("sql", run, "--csv", "--file", tmp_path / "q.sql")
    assert process.communicate(timeout=60) == ("two\n2\n", "")
    for wrong in (["select 1", "--file", tmp_path / "q.sql"], ["--file", tmp_path / "no.sql"]):
        process = started("sql", run, *wrong)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1 and errors.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [("sql", "from range(1000000)", "--csv"), ("schema",), ("view", "--list"), ("review",),
     ("status", "--json")],
)  # fmt: skip
def test_a_reader_that_stops_early_is_no_error(run: Path, command: tuple[str, ...]) -> None:
    name, *rest = command
    process = started(name, run, *rest)
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait(timeout=60) == 0
    process.stderr.close()


def test_no_process_is_left_when_a_command_is_killed(run: Path) -> None:
    process = started("sql", run, ENDLESS)
    child = Path(f"/proc/{child_of(process)}")
    process.kill()
    process.communicate()
    patience = time.monotonic() + 60
    while child.exists() and time.monotonic() < patience:
        time.sleep(0.05)
    assert not child.exists()
