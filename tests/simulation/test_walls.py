"""Walls of a query: none reads a file, calls a port, runs text as SQL, or changes anything."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sample_store import sample_run

from folkways.errors import UserError
from simulation.review.funnel import choose_policy
from simulation.store.pack import pack
from simulation.store.reader import open_reader, run_query, write_parquet

ATTACKS = Path(__file__).with_name("attack_statements.txt")
TOKEN = "canary-7f3a91"
ESCAPE = re.compile(r"\\(n|0|u[0-9a-f]{4})")
HARMLESS = (
    "select 1", "from episodes", "(select 1)", "values (1)", "table episodes", "describe episodes",
    "describe select 1", "summarize episodes", "show tables", "show all tables", "show databases",
    "explain select 1", "explain analyze select 1", "EXPLAIN ANALYZE FROM episodes",
    "explain (analyze, format json) select 1", "-- why\nexplain from episodes",
    "/* why */ explain analyze (select 1)", "explain pivot episodes on model",
    "with x as (select 1 as a) from x", "with recursive x as (select 1 as a union all "
    "select a + 1 from x where a < 5) from x",
    "pivot episodes on exit_reason group by model", "pivot episodes on model in ('a', 'b')",
    "from (pivot episodes on exit_reason using count(*) group by model)",
    "pivot (select 1 as \"copy\", 'update' as b) on \"copy\"",
    "unpivot (select 1 as a, 2 as b) on a, b", "select 'copy (select 1) to ''x''' as \"delete\"",
    "select 1 as copy, 2 as attach", "from range(3)", "from generate_series(1, 3)",
    "select unnest([1, 2])", "from unnest([1])", "from json_each('{\"a\": 1}')",
    "from duckdb_columns()", "from duckdb_views", "from information_schema.tables",
    "from pragma_table_info('turns')", "from duckdb_settings()", "from pg_catalog.pg_settings",
    "select current_setting('memory_limit')", "select version()", "from fates('lenient')",
    "from repetition", "select regexp_extract('a', 'a'), histogram(turn) from turns",
    "select list_transform([1], lambda x: x + 1)", "select 1; -- the end", "select 1 /* ; */ ;",
    "select columns(lambda c: c like 't%') from turns", "from turns tablesample 10%",
    "from turns asof join episodes on turns.turn >= episodes.turns", "select now()::timestamp",
    "select try(1 // 0)", "select distinct on (model) model from episodes order by all",
)  # fmt: skip


@pytest.fixture(scope="module")
def listener() -> Iterator[tuple[int, list[Any]]]:
    """A port that answers nobody, and who called it."""
    calls: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        over = threading.Event()

        def listen() -> None:
            while not over.is_set():
                try:
                    peer, address = server.accept()
                except TimeoutError:
                    continue
                calls.append(address)
                peer.close()

        thread = threading.Thread(target=listen)
        thread.start()
        yield server.getsockname()[1], calls
        over.set()
        thread.join()


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run and its shards, with a file beside each that nobody may read."""
    home = tmp_path_factory.mktemp("walls")
    run = sample_run(home)
    shards = home / "shards"
    list(pack(run, str(shards), 5))
    for name in ("canary.txt", "canary.csv", "canary.json"):
        (home / name).write_text(f"{TOKEN}\n")
    return {"store": run, "shards": shards}


def attacks(places: dict[str, Path], target: str, port: int) -> list[str]:
    """The statements of the corpus, told where things are."""
    shard = sorted(places["shards"].glob("*/turns.parquet"))[0]
    folder = places[target]
    names = {
        "canary": folder.parent / "canary.txt", "out": folder.parent / "out.csv",
        "store": places["store"] / "log.duckdb", "shard": shard, "folder": folder, "port": port,
    }  # fmt: skip
    found = []
    for line in ATTACKS.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            for name, value in names.items():
                line = line.replace(f"{{{name}}}", str(value))
            found.append(ESCAPE.sub(lambda m: f'"\\{m[1]}"'.encode().decode("unicode_escape")[1:-1],
                                    line))  # fmt: skip
    return found


def prints(folder: Path) -> dict[str, str]:
    """The hash of every file below a folder."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip


def tried(run: Callable[[str], Any], statements: list[str]) -> tuple[list[str], str]:
    """Run statements; return those that were not refused, and all that was said."""
    passed, said = [], []
    for statement in statements:
        try:
            said.append(str(run(statement)))
            passed.append(statement)
        except UserError as error:
            said.append(str(error))
    return passed, "\n".join(said)


@pytest.mark.parametrize("target", ["store", "shards"])
def test_every_attack_is_refused_and_leaves_nothing(
    places: dict[str, Path], target: str, listener: tuple[int, list[Any]],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("FOLKWAYS_CANARY", TOKEN)
    monkeypatch.chdir(tmp_path)
    port, calls = listener
    statements = attacks(places, target, port)
    assert len(statements) >= 300
    before, secret_of_this_test = prints(places[target].parent), [TOKEN]
    assert secret_of_this_test
    with closing(open_reader(places[target])) as con:
        passed, said = tried(lambda sql: list(run_query(con, sql).rows), statements)
        assert list(run_query(con, "select count(*) from episodes").rows) == [(10,)]
    assert passed == []
    assert TOKEN not in said and calls == []
    assert prints(places[target].parent) == before and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["store", "shards"])
def test_a_filter_rule_passes_the_same_gate(
    places: dict[str, Path], target: str, listener: tuple[int, list[Any]], tmp_path: Path
) -> None:
    port, calls = listener
    before, rule = prints(places[target].parent), tmp_path / "rule.sql"
    with closing(open_reader(places[target])) as con:

        def choose(sql: str) -> str:
            rule.write_text(sql, encoding="utf-8")
            return choose_policy(con, str(rule))

        passed, said = tried(choose, attacks(places, target, port))
        rule.write_text(
            "select episode_id, 'dropped' as outcome, 'mine' as source, 'short' as reason, "
            "null as role, null as turns from episodes where turns < 2; -- my own"
        )
        assert choose_policy(con, str(rule)) == "own"
    assert passed == [] and TOKEN not in said and calls == []
    assert prints(places[target].parent) == before
    assert [path.name for path in tmp_path.iterdir()] == ["rule.sql"]


def test_an_attack_writes_nothing_as_parquet_either(
    places: dict[str, Path], listener: tuple[int, list[Any]], tmp_path: Path
) -> None:
    target = tmp_path / "rows.parquet"
    statements = attacks(places, "shards", listener[0])[::41]
    before = prints(places["shards"].parent)
    passed, _ = tried(lambda sql: write_parquet(places["shards"], sql, target), statements)
    assert passed == [] and list(tmp_path.iterdir()) == []
    assert prints(places["shards"].parent) == before


@pytest.mark.parametrize("target", ["store", "shards"])
def test_what_only_reads_runs(places: dict[str, Path], target: str) -> None:
    with closing(open_reader(places[target])) as con:
        for sql in HARMLESS:
            list(run_query(con, sql).rows)


def test_no_setting_tells_of_the_environment(
    places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN"):
        monkeypatch.setenv(name, f"http://me:{TOKEN}@127.0.0.1:9")
    with closing(open_reader(places["store"])) as con:
        for sql in ("from duckdb_settings()", "from pg_catalog.pg_settings", "show http_proxy",
                    "select current_setting('http_proxy')"):  # fmt: skip
            assert TOKEN not in str(list(run_query(con, sql).rows))


@pytest.mark.parametrize("deep", [("(", "1", ")"), ("(select ", "1", ")"), ("[", "1", "]")])
def test_a_statement_that_is_nested_too_deeply_is_the_users_error(
    places: dict[str, Path], deep: tuple[str, str, str]
) -> None:
    with closing(open_reader(places["store"])) as con:
        for depth in (900, 5_000, 200_000):
            sql = f"select {deep[0] * depth}{deep[1]}{deep[2] * depth}"
            tried(lambda text: list(run_query(con, text).rows), [sql])
            assert list(run_query(con, "select 1").rows) == [(1,)]


def test_a_store_of_somebody_elses_reaches_nothing_by_its_views(tmp_path: Path) -> None:
    run = sample_run(tmp_path)
    (tmp_path / "canary.txt").write_text(TOKEN)
    canary = f"(select content from read_text('{tmp_path}/canary.txt'))"
    with duckdb.connect(str(run / "log.duckdb")) as con:
        con.execute(f"create or replace view conversations as select {canary} as episode_id")
        con.execute(f"create or replace macro spoken_words(a, b) as len({canary})")
        con.execute(f"create or replace macro transcript(e) as table select {canary}")
        con.execute(f"drop table turns; create view turns as select {canary} as text")
    with closing(open_reader(run)) as con:
        passed, said = tried(
            lambda sql: list(run_query(con, sql).rows),
            ["from conversations", "from transcript('a')", "select spoken_words('a', 'b')",
             "from turns"],
        )  # fmt: skip
    assert passed == [] and TOKEN not in said
    list(pack(run, str(tmp_path / "shards"), 5))
    assert not any(TOKEN.encode() in path.read_bytes() for path in tmp_path.rglob("*.parquet"))
