"""Files of somebody else: whatever they hold, nothing outside their folder is read, written or
removed, and what is wrong with them is one line."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from sample_store import sample_run
from typer.testing import CliRunner

from agents.models.base import open_model
from agents.models.pool.pool_file import read_pool
from eval.respondents.database import open_respondents
from eval.respondents.dialect import recognise
from folkways.cli.application import application
from folkways.errors import UserError
from folkways.files import (
    inside,
    new_folder,
    parse_yaml,
    read_json,
    remove,
    write_named,
    write_whole,
)
from scenarios.parsing.problem import SourceError
from scenarios.parsing.validation import load_model
from scenarios.pool import read_pool as read_people
from scenarios.scenario import Scenario
from simulation.execution.heartbeat import FOLDER, MAIN, read_beat
from simulation.review.ratings import import_sheet
from simulation.store.pack import merge, pack
from simulation.store.reader import open_reader
from simulation.store.salvage import salvage
from simulation.store.shards import SHARDS_AT, ShardDirectory, recover
from simulation.store.writer import FILE, Store
from training.corpus.card import read_front_matter
from training.culturespa.released import read_sheet
from training.experiment.adapters import _Results
from training.experiment.corpus_folders import _Size, read_corpora
from training.finetune.checkpoint import checkpoints, is_whole, read_record, remove_unfinished, seal
from training.finetune.rows import read_corpus
from training.finetune.watch import read_metrics

NOW = datetime(2026, 3, 2, 8)  # noqa: DTZ001
DEEP = "[" * 100_000
GARBAGE = {
    "empty": b"", "no JSON": b"{", "not UTF-8": b"\xff\xfe{\x00}\x00", "a list": b"[]",
    "a number": b"1", "nothing": b"null", "text": b'"x"', "deep": DEEP.encode(),
    "deep but closed": (DEEP + "]" * 100_000).encode(), "NUL": b"\0" * 100, "NaN": b"NaN",
    "other names": b'{"a": {"b": [1, 2]}}',
}  # fmt: skip
"""What may be in a file of JSON or YAML instead of what belongs there."""
WILD = (
    {"rows": {'turns" as select * from read_text(\'/etc/hostname\') --': 1}},
    {"rows": {"turns; copy (select 1) to 'x'": 1}}, {"rows": {"meta": 1}},
    {"rows": {"merged_shards": 1}}, {"rows": {"../../canary": 1}}, {"rows": {"": 1}},
    {"rows": {"turns": -1}}, {"rows": {"turns": 2**70}}, {"rows": {"turns": "1"}},
    {"rows": {"turns": 1.5}}, {"rows": {"turns": True}}, {"rows": {"turns": None}}, {"rows": []},
    {"rows": None}, {"shard": "../../../victim"}, {"shard": "/etc"}, {"shard": "."},
    {"shard": ""}, {"shard": "a\nb-000001"}, {"shard": None}, {"shard": 7}, {"shard": "x" * 10_000},
    {"worker": "../../.."}, {"worker": "/tmp/x"}, {"worker": ""}, {"worker": "other"},
    {"worker": ["a"]}, {"stage": None}, {"stage": "x" * 10_000}, {"items": "all"},
    {"items": [-1]}, {"items": [10**400]}, {"items": [None]}, {"records": -1}, {"records": "many"},
    {"turns": 2**64}, {"prompt_tokens": -(2**70)}, {"completion_tokens": float("nan")},
    {"cost": float("nan")}, {"cost": float("inf")}, {"cost": -1.0}, {"cost": "free"},
    {"outcomes": {"a": "b"}}, {"outcomes": 1}, {"store_version": "7"}, {"store_version": None},
    {"store_version": 10**30}, {"application": "other"}, {"application": None},
)  # fmt: skip
"""Values of a manifest that no worker writes."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with shards that were not merged, which no test changes."""
    home = tmp_path_factory.mktemp("shelf")
    list(pack(sample_run(home), str(home / "foreign" / "shards"), 5))
    Store(home / "foreign").create()
    return home / "foreign"


@pytest.fixture
def home(tmp_path: Path, directory: Path) -> Path:
    """A folder with shards, and beside it what is none of theirs."""
    shutil.copytree(directory, tmp_path / "foreign")
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "thesis.txt").write_text("years of work")
    return tmp_path


def prints(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip


def shards(home: Path) -> list[Path]:
    return sorted(path.parent for path in (home / "foreign" / "shards").glob("*/shard.json"))


def use_all(home: Path) -> list[Callable[[], object]]:
    """Everything that reads shards: a query, a merge, a resumed run that finds them as its own."""
    run, place = home / "foreign", str(home / "foreign" / "shards")

    def resume() -> None:
        recover(Store(run), NOW)

    return [
        lambda: open_reader(Path(place)).close(),
        lambda: merge(home / "merged", place, NOW),
        resume,
    ]


def refused(home: Path) -> None:
    """All of them refuse in one line, and touch nothing outside."""
    before = prints(home / "victim")
    for use in use_all(home):
        with pytest.raises(UserError) as told:
            use()
        assert "\n" not in str(told.value)
    assert prints(home / "victim") == before
    assert not [path for path in home.iterdir() if path.name not in ("foreign", "victim", "merged")]


@pytest.mark.parametrize("wild", WILD, ids=lambda wild: repr(wild)[:50])
def test_a_manifest_with_wild_values_is_refused(home: Path, wild: dict[str, Any]) -> None:
    manifest = shards(home)[-1] / "shard.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | wild))
    refused(home)


@pytest.mark.parametrize("name", GARBAGE)
def test_a_manifest_of_garbage_is_refused(home: Path, name: str) -> None:
    if name in ("empty",):
        pytest.skip("an empty file is one that is being written")
    (shards(home)[-1] / "shard.json").write_bytes(GARBAGE[name])
    refused(home)


def test_a_manifest_may_say_more_than_is_known(home: Path) -> None:
    manifest = shards(home)[-1] / "shard.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"written_by": "9.9"}))
    assert merge(home / "merged", str(home / "foreign" / "shards"), NOW)[0] == len(shards(home))


def test_a_shard_under_another_name_is_refused(home: Path) -> None:
    shards(home)[-1].rename(home / "foreign" / "shards" / "other-000009")
    refused(home)


@pytest.mark.parametrize("content", [*GARBAGE.values(), b'{"../../victim": 1}', b"[1]"])
def test_a_mark_of_a_closed_worker_that_is_garbage_is_refused(home: Path, content: bytes) -> None:
    if content in (b"", b"[]"):
        return
    (home / "foreign" / "shards" / "gone.json").write_bytes(content)
    refused(home)


def test_links_out_of_a_shelf_are_refused(home: Path) -> None:
    victim, place = home / "victim", home / "foreign" / "shards"
    shutil.copytree(shards(home)[0], victim / "kept-000001")
    table = shards(home)[-1] / "turns.parquet"
    table.replace(victim / "turns.parquet")
    table.symlink_to(victim / "turns.parquet")
    refused(home)
    table.unlink()
    (victim / "turns.parquet").replace(table)
    (place / "kept-000001").symlink_to(victim / "kept-000001")
    refused(home)
    (place / "kept-000001").unlink()
    (victim / "marks.json").write_text("[]")
    (place / "gone.json").symlink_to(victim / "marks.json")
    refused(home)
    (place / "gone.json").unlink()
    manifest = shards(home)[-1] / "shard.json"
    manifest.replace(victim / "shard.json")
    manifest.symlink_to(victim / "shard.json")
    refused(home)


def test_a_pipe_is_no_manifest(home: Path) -> None:
    manifest = shards(home)[-1] / "shard.json"
    manifest.unlink()
    os.mkfifo(manifest)
    refused(home)


@pytest.mark.parametrize(
    "table",
    [b"", b"PAR1", b"PAR1" * 1000, b"not parquet", "other columns", "other types", "a folder"],
)
def test_a_table_that_is_none_is_named(home: Path, table: bytes | str) -> None:
    file = shards(home)[-1] / "turns.parquet"
    file.unlink()
    if isinstance(table, bytes):
        file.write_bytes(table)
    elif table == "a folder":
        file.mkdir()
    else:
        what = "1 as a" if table == "other columns" else "* replace ('x' as turn)"
        whole = shards(home)[-2] / "turns.parquet"
        with duckdb.connect() as con:
            con.execute(f"copy (select {what} from read_parquet('{whole}')) to '{file}'")
    with pytest.raises(UserError):
        merge(home / "merged", str(home / "foreign" / "shards"), NOW)


def test_a_resumed_run_takes_nothing_off_a_shelf_it_was_not_told_of(home: Path) -> None:
    elsewhere = home / "victim" / "shards"
    shutil.copytree(home / "foreign" / "shards", elsewhere)
    shutil.rmtree(home / "foreign" / "shards")
    store = Store(home / "foreign")
    note = home / "foreign" / SHARDS_AT
    note.write_text(str(elsewhere))
    before = prints(home / "victim")
    assert recover(store, NOW) > 0
    assert prints(home / "victim") == before
    for place in ("memory://bucket/x", "http://127.0.0.1:9/x", "s3://bucket/x", "x" * 10_000):
        note.write_text(place)
        with pytest.raises(UserError):
            recover(store, NOW)


@pytest.mark.parametrize("name", ["../victim", "..", ".", "", "a/../../victim", "/etc", "a b"])
def test_a_shelf_removes_only_what_is_named_like_its_own(home: Path, name: str) -> None:
    place = ShardDirectory(str(home / "foreign" / "shards"))
    with pytest.raises(UserError):
        place.remove(name)
    assert prints(home / "victim") and shards(home)


LINKS = ("run.lock", "config.yaml", FILE, f"{FILE}.wal", f"{FILE}.tmp", "status", "shards")


@pytest.mark.parametrize("name", LINKS)
def test_a_run_folder_with_a_link_out_is_written_nowhere_else(tmp_path: Path, name: str) -> None:
    victim, run = tmp_path / "victim", tmp_path / "runs" / "trial"
    victim.mkdir()
    run.mkdir(parents=True)
    (victim / "thesis.txt").write_text("years of work")
    folder = name in ("status", "shards", f"{FILE}.tmp")
    (run / name).symlink_to(victim if folder else victim / "thesis.txt")
    before = prints(victim)
    config = tmp_path / "study.yaml"
    config.write_text(yaml.safe_dump({
        "name": "trial", "scenarios": ["soup-before-dusk"], "cultures": ["MEX"],
        "model": {"name": "fake"}, "out": str(tmp_path / "runs"),
    }))  # fmt: skip
    done = CliRunner().invoke(application(), ["run", str(config)])  # type: ignore[arg-type]
    assert name in ("status", "shards", "config.yaml") or isinstance(done.exception, UserError)
    assert prints(victim) == before


def test_what_is_written_and_removed_stays_inside(tmp_path: Path) -> None:
    root, victim = tmp_path / "root", tmp_path / "victim"
    root.mkdir()
    victim.mkdir()
    (victim / "file").write_text("kept")
    (root / "link").symlink_to(victim)
    (root / "file.part").symlink_to(victim / "file")
    for path in (root, root / "..", root / "link", root / "link" / "file", victim / "file",
                 root / "a" / ".." / ".." / "victim", Path("/etc/hostname")):  # fmt: skip
        with pytest.raises(UserError, match="is not inside"):
            inside(root, path)
    for path in (root / "link" / "file", victim / "file", root / "..", root / "link" / ".."):
        with pytest.raises(UserError):
            remove(root, path)
    write_whole(root, root / "file", "new")
    assert (root / "file").read_text() == "new" and not (root / "file").is_symlink()
    remove(root, root / "link")
    assert not (root / "link").exists() and (victim / "file").read_text() == "kept"
    (root / "away").symlink_to(victim / "file")
    with pytest.raises(UserError):
        write_whole(root, root / "away", "new")
    assert (victim / "file").read_text() == "kept"


def test_files_that_a_user_named_are_whole_or_as_they_were(tmp_path: Path) -> None:
    file, link, pipe = tmp_path / "a.html", tmp_path / "link", tmp_path / "pipe"
    file.write_text("old")
    link.symlink_to(file)
    write_named(link, "new")
    assert file.read_text() == "new" and link.is_symlink()
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_named(pipe, b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    for wrong in (tmp_path, tmp_path / "none" / "a", file / "a"):
        with pytest.raises(UserError, match="cannot write"):
            write_named(wrong, "x")
    assert {path.name for path in tmp_path.iterdir()} == {"a.html", "link", "pipe"}


def test_a_new_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    folder, left = tmp_path / "out", tmp_path / ".out.part"
    left.mkdir()
    (left / "of a killed one").write_text("x")
    with pytest.raises(ZeroDivisionError), new_folder(folder) as part:
        (part / "a").write_text("a")
        assert not folder.exists() and [path.name for path in part.iterdir()] == ["a"]
        1 / 0  # noqa: B018
    assert list(tmp_path.iterdir()) == []
    folder.mkdir()
    with new_folder(folder) as part:
        (part / "a").write_text("a")
    assert [path.name for path in folder.iterdir()] == ["a"] and not left.exists()
    with pytest.raises(OSError, match="not empty"), new_folder(folder) as part:
        (part / "b").write_text("b")
    assert [path.name for path in folder.iterdir()] == ["a"]


def test_a_spill_that_leads_to_another_store_is_not_read(tmp_path: Path) -> None:
    run, other = sample_run(tmp_path / "a"), sample_run(tmp_path / "b")
    before = prints(other)
    for link, target in (("spilled/x", other), ("spilled/x/log.duckdb", other / FILE)):
        (run / link).parent.mkdir(parents=True)
        (run / link).symlink_to(target)
        for use in (lambda: open_reader(run), lambda: list(salvage(run, tmp_path / "new", print))):
            with pytest.raises(UserError, match="is not inside"):
                use()
        shutil.rmtree(run / "spilled")
    assert prints(other) == before


def test_salvage_takes_along_nothing_from_elsewhere(tmp_path: Path) -> None:
    run, secret = sample_run(tmp_path / "a"), tmp_path / "secret.yaml"
    secret.write_text("key: sk-123")
    (run / "config.yaml").unlink(missing_ok=True)
    (run / "config.yaml").symlink_to(secret)
    (run / "set-aside.jsonl").symlink_to(secret)
    list(salvage(run, tmp_path / "new", print))
    assert not {"config.yaml", "set-aside.jsonl"} & {p.name for p in (tmp_path / "new").iterdir()}


def test_files_follow_the_umask_and_private_ones_are_ours_alone(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path, tmp_path / "open", "a")
        write_whole(tmp_path, tmp_path / "key", "a", private=True)
    finally:
        os.umask(before)
    assert (tmp_path / "open").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


BOMB = "a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
CONFIGS = (
    "", "x", "[1]", "1: 2", BOMB, "a: &a [*a]", "{" * 5000, "a: " + "[" * 5000 + "]" * 5000,
    "a: !!python/object/apply:os.system ['touch hacked']", "a: !!python/name:os.system",
    "a: !<tag:yaml.org,2002:python/tuple> [1]", "a: \x00",
)  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_a_stored_configuration_that_is_none_is_one_line(tmp_path: Path, config: str) -> None:
    run = sample_run(tmp_path)
    with duckdb.connect(str(run / FILE)) as con:
        con.execute("update runs set config = ?", [config])
    app = application()
    for words in (["replay", str(run)], ["export", str(run), str(tmp_path / "corpus")],
                  ["branch", str(run), "--at", "1"]):  # fmt: skip
        done = CliRunner().invoke(app, words)  # type: ignore[arg-type]
        assert done.exit_code != 0 and isinstance(done.exception, (UserError, SystemExit)), words
    assert not Path("hacked").exists()


@pytest.mark.parametrize("text", CONFIGS, ids=range(len(CONFIGS)))
def test_yaml_that_is_not_a_plain_mapping_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_yaml(text, "a text")


@pytest.mark.parametrize("version", ["x", "", "-1e9", "9" * 400, "7; drop table meta"])
def test_a_store_with_another_version_text_is_refused(tmp_path: Path, version: str) -> None:
    run = sample_run(tmp_path)
    with duckdb.connect(str(run / FILE)) as con:
        con.execute("update meta set value = ? where key = 'store_version'", [version])
    for use in (lambda: open_reader(run), Store(run).create):
        with pytest.raises(UserError):
            use()


def test_names_in_a_store_are_names_and_nothing_else(tmp_path: Path) -> None:
    run, wild = sample_run(tmp_path), 'x"; drop table meta; --'
    with duckdb.connect(str(run / FILE)) as con:
        name = wild.replace('"', '""')
        con.execute(f'create table "{name}" (episode_id varchar)')
        con.execute(f'alter table turns add column "{name}" varchar')
    with closing(open_reader(run)) as con:
        assert con.execute("select count(*) from meta").fetchone() != (0,)
    list(pack(run, str(tmp_path / "shards"), 5))
    assert {path.stem for path in (tmp_path / "shards").glob("*/*.parquet")} & {"turns"}
    assert wild not in {path.stem for path in (tmp_path / "shards").glob("*/*.parquet")}


@pytest.mark.parametrize("name", GARBAGE)
def test_files_beside_a_run_that_are_garbage(tmp_path: Path, name: str) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / f"{MAIN}.json").write_bytes(GARBAGE[name])
    assert read_beat(tmp_path / FOLDER / f"{MAIN}.json") is None
    (tmp_path / "corpora.json").write_bytes(GARBAGE[name])
    if name != "a list":
        with pytest.raises(UserError):
            read_corpora(tmp_path)
    (tmp_path / "adapter_config.json").write_bytes(GARBAGE[name])
    with pytest.raises(UserError):
        open_model("vllm:any", {"adapter": str(tmp_path)})
    (tmp_path / "README.md").write_bytes(b"---\n" + GARBAGE[name] + b"\n---\n")
    with pytest.raises(UserError):
        read_front_matter(tmp_path)
    (tmp_path / "answers.json").write_bytes(GARBAGE[name])
    with pytest.raises(UserError):
        read_sheet(tmp_path / "answers.json")
    (tmp_path / "record.yaml").write_bytes(GARBAGE[name])
    read_record(tmp_path)
    (tmp_path / "metrics.jsonl").write_bytes(GARBAGE[name].replace(b"\n", b" "))
    if GARBAGE[name]:
        with pytest.raises(UserError):
            read_metrics(tmp_path)


@pytest.mark.parametrize("folder", ["../victim", "/etc", "corpora/../../victim"])
def test_a_list_of_corpora_names_none_elsewhere(tmp_path: Path, folder: str) -> None:
    made = [{"arm": "a", "culture": "MEX", "folder": folder, "rows": 1, "tokens": 1}]
    (tmp_path / "corpora.json").write_text(json.dumps(made))
    with pytest.raises(UserError, match="is not inside"):
        read_corpora(tmp_path)


@pytest.mark.parametrize(
    "content", [*GARBAGE.values(), b'{"../../../etc/hostname": 1}', b'{"weights": "x"}',
                b'{"weights": -1}', b'{"gone": 3}']
)  # fmt: skip
def test_a_checkpoint_with_a_wild_list_is_not_whole(tmp_path: Path, content: bytes) -> None:
    if content in (b"{}",):
        return
    checkpoint = tmp_path / "checkpoints" / "checkpoint-5"
    checkpoint.mkdir(parents=True)
    (checkpoint / "weights").write_bytes(b"abc")
    seal(checkpoint)
    assert is_whole(checkpoint)
    (checkpoint / "whole.json").write_bytes(content)
    assert not is_whole(checkpoint)
    assert len(remove_unfinished(tmp_path)) == 1 and checkpoints(tmp_path) == []


def test_checkpoints_elsewhere_are_not_removed(tmp_path: Path) -> None:
    victim, folder = tmp_path / "victim" / "checkpoint-5", tmp_path / "adapter"
    victim.mkdir(parents=True)
    (victim / "weights").write_bytes(b"abc")
    folder.mkdir()
    (folder / "checkpoints").symlink_to(tmp_path / "victim")
    with pytest.raises(UserError, match="is not inside"):
        remove_unfinished(folder)
    assert (victim / "weights").exists()


def test_json_is_read_up_to_a_bound(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    with file.open("wb") as stream:
        stream.truncate(2**40)
    with pytest.raises(UserError, match="at most"):
        read_json(file, dict[str, Any])
    with pytest.raises(UserError, match="not an ordinary file"):
        read_json(Path("/dev/zero"), dict[str, Any])


@pytest.mark.parametrize("change", [
    "update cultures set culture_hash = 'x' where culture_id = 'MEX'",
    "update scenarios set data = '{}'", "update personas set data = '[]'",
    "update turns set speaker = 'x'", "update cultures set data = 'null'",
])  # fmt: skip
def test_a_store_with_other_things_in_it_is_one_line(home: Path, change: str) -> None:
    run = sample_run(home / "x")
    with duckdb.connect(str(run / FILE)) as con:
        con.execute(change)
    app = application()
    for words in (
        ["export", str(run), str(home / "corpus"), "--preset", "dialogue-only", "--policy", "none"],
        ["critique", str(run), "--model", "fake", "--quiet"], ["view", str(run)],
        ["replay", str(run), "--quiet"], ["review", "export", str(run), str(home / "sheet.csv")],
    ):  # fmt: skip
        done = CliRunner().invoke(app, words)  # type: ignore[arg-type]
        assert isinstance(done.exception, (UserError, SystemExit, type(None))), words
        assert "\n" not in str(done.exception or "")


POOL = b"endpoints: [{name: a, model: fake, %s}]"
HOSTILE: dict[str, tuple[Callable[[Path], object], Sequence[bytes]]] = {
    "pool.yaml": (read_pool, [
        POOL % field for field in (
            b"weight: .nan", b"weight: -1", b"concurrency: 1e400", b"options: [1]", b"model: [a]",
            b"evil: 1", b"options: {api_key: sk-abcdefghijklmnop1234}",
            b"model: 'evil.module:Model'", b"model: '../../x:y'",
        )
    ]),
    "people.duckdb": (open_respondents, []),
    "survey.csv": (recognise, [b"B_COUNTRY_ALPHA\n", b"Q1,Q1,B_COUNTRY_ALPHA\n1,1,DEU\n",
                               b"PK\x03\x04"]),
    "answers.json": (read_sheet, [
        b'[{"Q_id": 1}]', b'[{"Q_id": "Q1"}, {"Q_id": "Q1"}]', b"[" + b"9" * 10_000 + b"]",
        b'[{"Q_id": "../../victim", "option_lst": ["a"], "answer": "1"}]',
        b'[{"Q_id": "Q1", "option_lst": {"a": 1}, "answer": {}}]', b'[{"Q_id": "\\ud800"}]',
    ]),
    "sheet.csv": (lambda path: import_sheet(path.parent / "trial", path, "me"), [
        b"episode_id,role,dimension,rating\n../../victim,a,quality,good\n",
        b"episode_id,role,name,dimension,scale,rating,comment,annotator\n" + b"a," * 50_000,
        b"episode_id,role,name,dimension,scale,rating,comment,annotator\n\xff\xfe,,,,,x,,\n",
        b'episode_id,rating\n"' + b"x" * 200_000,
    ]),
    "train.jsonl": (lambda path: read_corpus(path.parent), [
        b'{"messages": [{"role": {}, "content": "a"}]}', b'{"messages": {"a": 1}}',
        b'{"messages": [[]]}', b'{"messages": [{"role": "user", "content": 7}]}',
        b'{"messages": [{"role": "user", "content": "a"}, '
        b'{"role": "assistant", "content": "\\ud800"}]}',
        b'{"messages": [{"role": "user", "content": "a\\u0000"}, '
        b'{"role": "assistant", "content": "b"}]}',
        b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], '
        b'"culture_id": ["DEU"]}',
    ]),
    "results.json": (lambda path: read_json(path, _Results), [
        b'{"base": {"fingerprint": 1}}', b'{"base": [], "rows": {}}', b'{"rows": null}',
    ]),
    "size.json": (lambda path: read_json(path, _Size), [
        b'{"rows": "many", "tokens": 1}', b'{"rows": 1}', b'{"rows": 1e400, "tokens": 1}',
        b'{"rows": 1.5, "tokens": 1}',
    ]),
    "people.jsonl": (read_people, [b'{"id": "../../x"}', b'{"age": 1e400}']),
    "scene.yaml": (lambda path: load_model(path, Scenario), [
        b"a: " + b"[" * 5000, b"\xef\xbb\xbf\x00", b"- " * 50_000,
    ]),
}  # fmt: skip
"""Readers by the name of a file, and what is wrong with files of that kind in particular."""


def hostile_files() -> list[tuple[str, bytes]]:
    return [
        (name, content)
        for name, (_, own) in HOSTILE.items()
        for content in (*GARBAGE.values(), *own)
    ]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    sample_run(folder)
    (folder / "victim").write_text("years of work")
    return folder


@pytest.mark.parametrize(("name", "content"), hostile_files(), ids=lambda value: repr(value)[:40])
def test_whatever_is_in_a_file_is_one_line(hostile: Path, name: str, content: bytes) -> None:
    reader, _ = HOSTILE[name]
    file = hostile / name
    file.write_bytes(content)
    before = prints(hostile)
    try:
        with pytest.raises(UserError) as told:
            reader(file)
        assert "\n" not in str(told.value).strip() or isinstance(told.value, SourceError)
        assert {path: hash_ for path, hash_ in prints(hostile).items() if "trial" not in path} == {
            path: hash_ for path, hash_ in before.items() if "trial" not in path
        }
    finally:
        file.unlink()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_huge_or_a_folder_is_one_line(tmp_path: Path, name: str) -> None:
    if name != "survey.csv":  # data of millions of people are read as a stream
        with (tmp_path / name).open("wb") as stream:
            stream.truncate(2**40)
        with pytest.raises(UserError):
            HOSTILE[name][0](tmp_path / name)
        (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(UserError):
        HOSTILE[name][0](tmp_path / name)
