"""A pack that was killed is known to be no whole run, and resumed by the same command."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sample_store import sample_run
from typer.testing import CliRunner

from folkways.cli.application import application
from folkways.clock import utc_now
from folkways.errors import UserError
from simulation.config import RunConfig
from simulation.plan import make_plan
from simulation.run import launch
from simulation.store.manifest import MANIFEST, lacking
from simulation.store.pack import merge, pack
from simulation.store.reader import open_reader
from simulation.store.shards import ShardDirectory
from simulation.store.writer import Store

ROOT = Path(__file__).parents[2]
KILLED = """
import os, sys
from pathlib import Path
from simulation.store.pack import pack

for number, _ in enumerate(pack(Path(sys.argv[1]), sys.argv[2], 2), start=1):
    if number == int(sys.argv[3]):
        os.kill(os.getpid(), 9)
"""
"""Packs two episodes a shard, and is killed after so many shards."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six episodes: four shards."""
    out = tmp_path_factory.mktemp("runs")
    config = {
        "name": "trial", "scenarios": ["soup-before-dusk"], "cultures": ["MEX", "JPN"],
        "replicates": 3, "model": {"name": "fake"}, "out": str(out),
    }  # fmt: skip
    assert launch(make_plan(RunConfig.model_validate(config)), limit=None, fresh=False,
                  quiet=True) == "done"  # fmt: skip
    return out / "trial"


def killed(run: Path, place: Path, shards: int) -> None:
    line = [sys.executable, "-c", KILLED, str(run), str(place), str(shards)]
    assert subprocess.run(line, cwd=ROOT, check=False).returncode == -signal.SIGKILL


def content(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*.*")}


def asked(*words: object) -> tuple[str, str]:
    """Return what a command prints, on stdout and on stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "folkways", *map(str, words)], cwd=ROOT, capture_output=True,
        text=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return done.stdout, done.stderr


def test_a_killed_pack_is_resumed_to_the_same_shards(run: Path, tmp_path: Path) -> None:
    calm, out = tmp_path / "calm", tmp_path / "out"
    assert len(list(pack(run, str(calm), 2))) == 4
    for shards, stored in ((1, 1), (3, 3)):
        killed(run, out, shards)
        assert len(ShardDirectory(str(out)).manifests()) == stored
    half = next(out.glob("*-000003")) if list(out.glob("*-000003")) else None
    assert half is None, "the fourth was not begun"
    (out / next(calm.glob("*-000003")).name).mkdir()
    (out / next(calm.glob("*-000003")).name / "turns.parquet").write_bytes(b"PAR1 cut")
    assert len(list(pack(run, str(out), 2))) == 4
    assert content(out) == content(calm)


def test_whoever_reads_a_part_is_told_so(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    killed(run, out, 3)
    told, warned = asked("sql", out, "select count(*) as n from episodes", "--csv")
    assert told.split() == ["n", "4"]
    assert warned.count("warning: ") == 1 and "holds 3 of the 4 shards of a run" in warned
    assert "the same `folkways pack` again writes the rest" in warned
    list(pack(run, str(out), 2))
    assert asked("sql", out, "select count(*) as n from episodes", "--csv") == ("n\n6\n", "")


def test_a_part_is_merged_only_if_that_is_wanted(run: Path, tmp_path: Path) -> None:
    out, again = tmp_path / "out", tmp_path / "again"
    killed(run, out, 3)
    with pytest.raises(UserError, match=r"holds 3 of the 4 shards of a run; .*--partial merges"):
        merge(again, str(out), utc_now())
    assert not again.exists()
    words = ["merge", str(again), str(out), "--partial"]
    done = CliRunner().invoke(application(), words, catch_exceptions=False)
    assert done.exit_code == 0 and ": 3 new shards, " in done.output
    list(pack(run, str(out), 2))
    assert merge(again, str(out), utc_now())[0] == 1, "the rest is brought in"


def test_a_merge_that_did_not_end_leaves_a_store_that_says_what_it_lacks(
    run: Path, tmp_path: Path
) -> None:
    out, again = tmp_path / "out", tmp_path / "again"
    list(pack(run, str(out), 2))
    table = next(out.glob("*-000002")) / "turns.parquet"
    whole = table.read_bytes()
    table.write_bytes(whole[:100])
    with pytest.raises(UserError, match="cannot read the shards"):
        merge(again, str(out), utc_now())
    count = ("sql", again, "select count(*) as n from episodes", "--csv")
    told, warned = asked(*count)
    assert told.split() == ["n", "0"] and warned.count("warning: ") == 1
    assert f"'{again}' lacks 4 of the shards that were to be merged into it" in warned
    table.write_bytes(whole)
    for shards in (4, 0):
        assert merge(again, str(out), utc_now())[0] == shards
        assert asked(*count) == ("n\n6\n", "")


def test_a_store_of_a_part_says_what_it_lacks(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, again = tmp_path / "out", tmp_path / "again"
    list(pack(run, str(out), 2))
    last = next(out.glob("*-000003"))
    last.rename(tmp_path / last.name)
    merge(again, str(out), utc_now(), partial=True)
    open_reader(again).close()
    assert "lacks 1 of the shards" in capsys.readouterr().err
    with Store(again).reading() as con:
        assert lacking(con) == [last.name]
    (tmp_path / last.name).rename(last)
    merge(again, str(out), utc_now())
    with Store(again).reading() as con:
        assert lacking(con) == []


@pytest.mark.parametrize("value", ["", "{}", "[1]", "[" * 100_000, "null"])
def test_a_wild_list_of_shards_in_a_store_is_one_line(tmp_path: Path, value: str) -> None:
    run = sample_run(tmp_path)
    with Store(run).writing() as con:
        con.execute("insert into meta values ('expected', ?)", [value])
    with pytest.raises(UserError, match="list of shards in a store is"):
        open_reader(run)


def test_a_part_without_its_first_shard_is_a_part(run: Path, tmp_path: Path) -> None:
    list(pack(run, str(tmp_path), 2))
    shutil.rmtree(next(tmp_path.glob("*-000000")))
    with pytest.raises(UserError, match="holds 3 of the 4 shards"):
        merge(tmp_path / "again", str(tmp_path), utc_now())


def test_shards_of_something_else_are_left_alone(run: Path, tmp_path: Path) -> None:
    list(pack(run, str(tmp_path), 2))
    before = content(tmp_path)
    with pytest.raises(UserError, match=r"holds shards already, .*of another size; choose"):
        list(pack(run, str(tmp_path), 3))
    assert content(tmp_path) == before


def test_workers_shards_and_those_of_before_are_no_part(run: Path, tmp_path: Path) -> None:
    """They do not say how many there are."""
    list(pack(run, str(tmp_path / "out"), 2))
    for file in (tmp_path / "out").glob(f"*/{MANIFEST}"):
        file.write_text(file.read_text().replace('"parts": 4', '"parts": null'))
    shutil.rmtree(next((tmp_path / "out").glob("*-000003")))
    assert merge(tmp_path / "again", str(tmp_path / "out"), utc_now())[0] == 3
