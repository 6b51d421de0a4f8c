"""Shards hold what workers finished: whole or not at all, merged once, read like a store."""

import asyncio
import json
import logging
import shutil
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import held_store
import pytest
from typer.testing import CliRunner

from folkways.cli.application import application
from folkways.errors import UserError
from simulation.config import RunConfig
from simulation.episode.budget import BudgetConfig
from simulation.execution.executor import Emit, Opened
from simulation.execution.ray_worker import Done, Worker
from simulation.plan import make_plan
from simulation.run import launch
from simulation.store.manifest import Manifest
from simulation.store.pack import merge, pack
from simulation.store.part import STORE_VERSION
from simulation.store.reader import open_reader
from simulation.store.record import Record
from simulation.store.shards import Finished, ShardDirectory, ShardWriter, merge_shards, recover
from simulation.store.writer import FILE, Store

NOW = held_store.NOW
TABLES = ("episodes", "roles", "turns", "happenings", "choices", "calls", "runs", "launches",
          "cultures", "scenarios", "personas", "templates")  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    config = {
        "name": "trial", "scenarios": ["soup-before-dusk", "wording-of-an-apology"],
        "cultures": ["MEX", "JPN"], "replicates": 3, "model": {"name": "fake"}, "out": str(out),
    }  # fmt: skip
    plan = make_plan(RunConfig.model_validate(config))
    assert launch(plan, limit=None, fresh=False, quiet=True) == "done"
    return out / "trial"


@pytest.fixture
def shards(run: Path, tmp_path: Path) -> str:
    list(pack(run, str(tmp_path / "shards"), 5))
    return str(tmp_path / "shards")


def content(run: Path) -> dict[str, list[object]]:
    with closing(open_reader(run)) as con:
        return {
            table: con.execute(f"select columns(lambda c: c <> 'rowid') from {table}").fetchall()
            for table in TABLES
        }


def in_order(content: dict[str, list[object]]) -> dict[str, list[str]]:
    return {table: sorted(map(repr, rows)) for table, rows in content.items()}


def rows(run: Path, query: str) -> list[tuple[object, ...]]:
    with closing(open_reader(run)) as con:
        return con.execute(query).fetchall()


def new_store(folder: Path) -> Store:
    folder.mkdir()
    store = Store(folder)
    store.create()
    return store


def played(number: int, template: str = "t1") -> Record:
    """The record of an episode in which next to nothing happened."""
    return held_store.played(number, template, text='It\'s "so"; drop table turns')


def written(directory: ShardDirectory, worker: str, *numbers: int) -> Manifest:
    items = [Finished(number, [played(number)], 1) for number in numbers]
    return ShardWriter(directory, worker, "run").append(items, (10, 5, None))


def test_packing_and_merging_gives_the_same_rows(run: Path, shards: str, tmp_path: Path) -> None:
    fresh, count = merge(tmp_path / "again", shards, NOW)
    assert fresh == 4 and count == sum(len(rows) for rows in content(run).values())
    assert in_order(content(tmp_path / "again")) == in_order(content(run))
    assert merge(tmp_path / "again", shards, NOW) == (0, 0)


def test_an_episode_keeps_the_order_of_its_rows(run: Path, shards: str, tmp_path: Path) -> None:
    merge(tmp_path / "again", shards, NOW)
    query = "select episode_id, list(role order by rowid) from roles group by all order by all"
    assert rows(tmp_path / "again", query) == rows(run, query) == rows(Path(shards), query)


def test_a_folder_of_shards_is_read_like_a_run(run: Path, shards: str) -> None:
    folder = Path(shards)
    assert in_order(content(folder)) == in_order(content(run))
    for query in ("from conversations order by all", "from turns_readable order by all",
                  "from who_spoke_to_whom order by all", "from token_costs order by all",
                  "from fates('lenient') order by all"):  # fmt: skip
        assert rows(folder, query) == rows(run, query) != []
    about = "select comment from duckdb_columns() where table_name = 'turns' and column_name='text'"
    assert rows(folder, about) == rows(run, about) != [("",)]


def test_what_two_workers_both_hold_is_read_once(tmp_path: Path) -> None:
    directory = ShardDirectory(str(tmp_path / "shards"))
    for worker, numbers in (("w-0", (1, 2)), ("w-1", (2, 3)), ("w-2", (2,))):
        written(directory, worker, *numbers)
    merge_shards(new_store(tmp_path / "run"), directory, directory.manifests(), NOW)
    merged, read = content(tmp_path / "run"), content(tmp_path / "shards")
    assert in_order(read) == in_order(merged)
    assert len(read["episodes"]) == len(read["turns"]) == 3


def test_a_row_that_no_table_can_hold_costs_its_own_record(tmp_path: Path) -> None:
    directory = ShardDirectory(str(tmp_path / "shards"))
    records = [played(1), held_store.played(2, turn=2**40), played(3)]

    async def work(number: int, emit: Emit) -> None:
        logging.getLogger("agents.models").warning("the endpoint cuts %s", "prompts")
        emit(records[number])

    async def done() -> Done:
        job: Any = SimpleNamespace(stage="run", models=[], open=lambda tools: Opened([], work))
        worker = Worker(job, directory, "w-0", 4, BudgetConfig(), None)
        await worker.start()
        try:
            return await worker.do([(number, number) for number in range(3)])
        finally:
            await worker.close()

    made = asyncio.run(done())
    assert made.unfinished == [] and set(made.warnings) == {"the endpoint cuts prompts"}
    ((lost, reason),) = made.set_aside
    assert lost is records[1] and "Conversion" in reason
    merge_shards(new_store(tmp_path / "run"), directory, made.manifests, NOW)
    query = "select episode_id, exit_reason, exit_detail from episodes order by all"
    assert rows(tmp_path / "run", query) == [
        ("e1", "deal", None), ("e2", "error", f"not stored: {reason}"), ("e3", "deal", None),
    ]  # fmt: skip
    assert rows(tmp_path / "run", "select episode_id from turns order by all") == [("e1",), ("e3",)]


def test_two_packs_of_a_run_are_read_and_merged_once(run: Path, tmp_path: Path) -> None:
    for size in (5, 7):
        list(pack(run, str(tmp_path / str(size)), size))
        shutil.copytree(tmp_path / str(size), tmp_path / "both", dirs_exist_ok=True)
    assert in_order(content(tmp_path / "both")) == in_order(content(run))
    merge(tmp_path / "again", str(tmp_path / "both"), NOW)
    assert in_order(content(tmp_path / "again")) == in_order(content(run))


@pytest.mark.parametrize("query", ["from read_csv('/etc/hostname')", "attach '/tmp/x.duckdb'",
                                   "copy turns to '/tmp/x.csv'"])  # fmt: skip
def test_nothing_but_the_shards_can_be_reached(shards: str, query: str) -> None:
    with closing(open_reader(Path(shards))) as con, pytest.raises(duckdb.Error):
        con.execute(query)


def test_the_commands_take_a_folder_of_shards(run: Path, tmp_path: Path) -> None:
    command = application()

    def typed(*words: object) -> str:
        done = CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    folder = tmp_path / "it's shards"
    assert "4 shards" in typed("pack", run, folder, "--episodes", 5)
    assert "12" in typed("sql", folder, "select count(*) from episodes")
    assert "The wording of an apology" in typed("view", folder, "--list")
    assert "4 new shards" in typed("merge", tmp_path / "run", folder)
    assert "0 new shards, 0 rows" in typed("merge", tmp_path / "run", folder)


def test_a_foreign_run_comes_along_with_its_configuration(run: Path, tmp_path: Path) -> None:
    config = RunConfig.model_validate(
        {
            "name": "second", "scenarios": ["soup-before-dusk"], "cultures": ["MEX", "JPN"],
            "conditioning": "none", "model": {"name": "fake"}, "out": str(tmp_path),
        }
    )  # fmt: skip
    assert launch(make_plan(config), limit=None, fresh=False, quiet=True) == "done"
    both = tmp_path / "both"
    for one in (run, tmp_path / "second"):
        place = str(tmp_path / f"{one.name}-shards")
        list(pack(one, place, 5))
        merge(both, place, NOW)
    told = "select run_id, conditioning, count(*) from {} group by all order by all"
    expected = [("second", "none", 2), ("trial", "dimensions", 12)]
    for view in ("conversations", "episode_fates"):
        assert rows(both, told.format(view)) == expected
    assert rows(both, "select run_id, count(*) from launches group by all order by all") == [
        ("second", 1), ("trial", 1)
    ]  # fmt: skip
    assert rows(both, "select distinct run_id from episodes anti join runs using (run_id)") == []
    pairs = (
        "select count(*) from conversations a join conversations b "
        "using (run_id, scenario_hash, language, replicate, model, conditioning) "
        "where a.culture_id < b.culture_id"
    )
    alone = [rows(one, pairs)[0][0] for one in (run, tmp_path / "second")]
    assert rows(both, pairs) == [(sum(alone),)], "no pair is of two runs"
    again = tmp_path / "packed-again"
    list(pack(run, str(again), 7))
    assert merge(both, str(again), NOW)[0] > 0
    assert rows(both, told.format("conversations")) == expected, "packed twice, stored once"
    assert rows(both, "select count(*) from launches") == [(2,)]


def test_shards_whose_run_is_not_told_apart_are_not_merged(run: Path, tmp_path: Path) -> None:
    bare = ShardDirectory(str(tmp_path / "bare"))
    written(bare, "w-0", 1)
    with pytest.raises(UserError, match="lack the configuration of their run 'r'") as caught:
        merge(tmp_path / "new", bare.place, NOW)
    assert "\n" not in str(caught.value) and not (tmp_path / "new").exists()
    namesake = tmp_path / "trial"
    shutil.copytree(run, namesake)
    with duckdb.connect(str(namesake / FILE)) as con:
        con.execute("update runs set config_hash = 'another'")
    list(pack(namesake, str(tmp_path / "shards"), 5))
    with pytest.raises(UserError, match=r"hold a run 'trial', and so does .*another configuration"):
        merge(run, str(tmp_path / "shards"), NOW)


def test_a_worker_writes_what_a_store_would_hold(tmp_path: Path) -> None:
    directory = ShardDirectory(str(tmp_path / "shelf"))
    writer = ShardWriter(directory, "w-0", "run")
    one = writer.append([Finished(7, [played(7)], 1)], (10, 5, 0.5))
    two = writer.append([Finished(8, [played(8)], 1), Finished(9, [played(9)], 1)], (0, 0, None))
    assert directory.manifests() == [one, two]
    assert (one.items, one.turns, one.cost, one.outcomes) == ([7], 1, 0.5, {"deal": 1})
    assert one.rows["templates"] == 1 and "templates" not in two.rows, "once is enough"
    merged, direct = new_store(tmp_path / "merged"), new_store(tmp_path / "direct")
    assert merge_shards(merged, directory, directory.manifests(), NOW) == (2, 7)
    direct.append([played(7), played(8), played(9)])
    assert in_order(content(tmp_path / "merged")) == in_order(content(tmp_path / "direct"))


def test_a_shard_without_its_manifest_does_not_exist(tmp_path: Path) -> None:
    directory = ShardDirectory(str(tmp_path / "shelf"))
    shard = written(directory, "w-0", 1, 2)
    (tmp_path / "shelf" / shard.shard / "shard.json").unlink()
    assert directory.manifests() == []
    assert merge_shards(new_store(tmp_path / "run"), directory, directory.manifests(), NOW) == (
        0,
        0,
    )


def test_what_a_closed_worker_still_writes_is_nobodys(tmp_path: Path) -> None:
    directory = ShardDirectory(str(tmp_path / "shelf"))
    writer = ShardWriter(directory, "w-0", "run")
    first = writer.append([Finished(1, [played(1)], 1)], (0, 0, None))
    assert directory.close("w-0") == [first]
    writer.append([Finished(2, [played(2)], 1)], (0, 0, None))
    assert directory.manifests() == directory.manifests("w-0") == [first]
    assert rows(tmp_path / "shelf", "select episode_id from episodes") == [("e1",)]


def test_a_mark_that_another_worker_takes_away_meanwhile_ends_nothing(tmp_path: Path) -> None:
    directory = ShardDirectory(str(tmp_path / "shelf"))
    first = written(directory, "w-0", 1)
    directory.close("w-1")
    listed = directory.names()
    directory.remove("w-1.json")
    directory.names = lambda: listed  # type: ignore[method-assign]
    assert directory.close("w-0") == [first]


def test_an_episode_that_two_workers_played_is_stored_once(tmp_path: Path) -> None:
    directory, store = ShardDirectory(str(tmp_path / "shelf")), new_store(tmp_path / "run")
    for worker, numbers in (("w-0", (1, 2)), ("w-1", (2, 3)), ("w-2", (3, 4))):
        written(directory, worker, *numbers)
    merge_shards(store, directory, directory.manifests("w-0"), NOW)
    merge_shards(store, directory, directory.manifests(), NOW)
    query = "select episode_id from episodes join turns using (episode_id) order by all"
    assert rows(tmp_path / "run", query) == [("e1",), ("e2",), ("e3",), ("e4",)]


def test_a_launch_merges_what_an_earlier_one_left_on_its_shelf(tmp_path: Path) -> None:
    store = new_store(tmp_path / "run")
    left = ShardDirectory(str(tmp_path / "run" / "shards"))
    written(left, "w-0", 1)
    elsewhere = str(tmp_path / "far")
    recover(store, NOW, elsewhere=elsewhere)  # notes where the shards of this run are
    written(ShardDirectory(str(tmp_path / "far" / "run")), "w-1", 2)
    assert recover(store, NOW) == 1
    assert recover(store, NOW) == 0
    assert rows(tmp_path / "run", "select episode_id from episodes order by all") == [
        ("e1",), ("e2",),
    ]  # fmt: skip
    assert left.manifests() == [], "merged shards are taken off"


def test_kept_shards_are_merged_once_all_the_same(tmp_path: Path) -> None:
    store = new_store(tmp_path / "run")
    directory = ShardDirectory(str(tmp_path / "run" / "shards"))
    written(directory, "w-0", 1)
    for _ in range(2):
        recover(store, NOW, keep=True)
    assert len(directory.manifests()) == 1
    assert rows(tmp_path / "run", "select count(*) from episodes") == [(1,)]


def test_shards_may_be_anywhere_fsspec_reaches(tmp_path: Path) -> None:
    directory, store = ShardDirectory("memory://bucket/run"), new_store(tmp_path / "run")
    written(directory, "w-0", 1, 2)
    written(directory, "w-1", 3)
    assert [one.shard for one in directory.close("w-1")] == ["w-1-000001"]
    assert merge_shards(store, directory, directory.manifests(), NOW)[0] == 2
    assert rows(tmp_path / "run", "select count(*) from turns") == [(3,)]
    directory.remove("w-0-000001")
    assert [one.shard for one in directory.manifests()] == ["w-1-000001"]


def test_what_cannot_be_merged_is_refused(run: Path, shards: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no shards"):
        merge(tmp_path / "run", str(tmp_path), NOW)
    with pytest.raises(UserError, match="holds shards already"):
        list(pack(run, shards, 4))
    with pytest.raises(UserError, match="cannot use shards at 'nowhere://x'"):
        ShardDirectory("nowhere://x")
    manifest = next(Path(shards).glob("*/shard.json"))
    data = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(data | {"store_version": STORE_VERSION + 1}))
    with pytest.raises(UserError, match=f"store version {STORE_VERSION + 1}"):
        open_reader(Path(shards))
    manifest.write_text(json.dumps({"some": "thing"}))
    with pytest.raises(UserError, match="no shard of folkways"):
        merge(tmp_path / "run", shards, NOW)


def test_a_damaged_shard_is_named_and_merges_nothing(shards: str, tmp_path: Path) -> None:
    broken = sorted(Path(shards).glob("*/turns.parquet"))[-1]
    broken.write_bytes(broken.read_bytes()[:100])
    with pytest.raises((UserError, duckdb.Error), match=broken.parent.name):
        merge(tmp_path / "run", shards, NOW)
    assert rows(tmp_path / "run", "select count(*) from episodes") == [(0,)]


def test_a_full_disk_is_said_and_the_shard_is_not_there(tmp_path: Path) -> None:
    directory = ShardDirectory(str(tmp_path / "shelf"))
    writer = ShardWriter(directory, "w-0", "run")
    (tmp_path / "shelf").write_text("a file where the folder would be")
    with pytest.raises(UserError, match="cannot write the shard"):
        writer.append([Finished(1, [played(1)], 1)], (0, 0, None))


def test_the_store_itself_goes_before_shards_beside_it(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "both"
    shutil.copytree(run, folder)
    written(ShardDirectory(str(folder)), "w-0", 1)
    assert (folder / FILE).exists()
    assert rows(folder, "select count(*) from episodes") == [(12,)]
