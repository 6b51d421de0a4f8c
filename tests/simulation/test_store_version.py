"""What a store is made of: version 7 is read and brought up to date, older ones are refused."""

import re
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from sample_store import older_run, sample_run

from folkways.cli import main
from folkways.clock import utc_now
from folkways.errors import UserError
from simulation.store.pack import merge, pack
from simulation.store.part import PART, STORE_VERSION, parts
from simulation.store.reader import open_reader
from simulation.store.schema import load_schema
from simulation.store.several_runs import open_several
from simulation.store.writer import FILE, Store

TOLD = (
    "select conditioning, (select list(words order by turn) from turns), "
    "(select list(fallback order by step) from choices), "
    "(select reasoning from survey_replies), (select count(*) from spa_outcomes) from conversations"
)
"""What version 8 knows of an episode, of which version 7 does not know the first three."""
KNOWN = ("name", [3, 0, 10], [False, True, False], None, 1)


def test_an_older_store_is_read_from_a_copy_and_stays_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = older_run(tmp_path)
    before = (run / FILE).read_bytes()
    with closing(open_reader(run)) as con:
        assert con.execute(TOLD).fetchall() == [KNOWN]
        weights = con.execute("select reading, weight from survey_answers order by all").fetchall()
        assert weights == [("text-lenient", 1.0), ("text-strict", 1.0)]
    with pytest.raises(SystemExit) as done:
        main(["sql", str(run), "select title, turns from conversations"])
    assert done.value.code == 0 and "Scene 2" in capsys.readouterr().out
    assert (run / FILE).read_bytes() == before
    assert [path.name for path in run.iterdir()] == [FILE]


def test_an_older_store_is_brought_up_to_date_by_what_writes_it(tmp_path: Path) -> None:
    run, new = older_run(tmp_path), tmp_path / "new"
    new.mkdir()
    for folder in (run, run, new):
        Store(folder).create()
    with duckdb.connect(str(run / FILE), read_only=True) as con:
        assert con.execute(TOLD).fetchall() == [KNOWN]
        version = con.execute("select value from meta where key = 'store_version'").fetchall()
        assert version == [(str(STORE_VERSION),)]
        upgraded = {one.name: one for one in load_schema(con)}
    with duckdb.connect(str(new / FILE), read_only=True) as con:
        assert upgraded == {one.name: one for one in load_schema(con)}


def test_a_store_of_an_earlier_state_of_its_version_gets_what_it_lacks(tmp_path: Path) -> None:
    run, new = sample_run(tmp_path), tmp_path / "new"
    earlier = "drop table payoffs cascade; alter table turns drop column thought"
    with duckdb.connect(str(run / FILE)) as con:
        views = con.execute("select view_name from duckdb_views() where not internal").fetchall()
        con.execute("".join(f'drop view if exists "{view}" cascade;' for (view,) in views))
        con.execute(f"{earlier}; update meta set value = 'earlier' where key = 'views'")
    before = (run / FILE).read_bytes()
    with closing(open_reader(run)) as con:
        assert con.execute("select count(*), count(thought) from turns_readable").fetchall()[0][0]
        assert con.execute("from payoffs").fetchall() == []
    assert (run / FILE).read_bytes() == before, "reading leaves it as it is"
    new.mkdir()
    for folder in (run, new):
        Store(folder).create()
    found = []
    for folder in (run, new):
        with duckdb.connect(str(folder / FILE), read_only=True) as con:
            found.append({one.name: one for one in load_schema(con)})
    assert found[0] == found[1]


def test_an_older_store_goes_with_others_and_into_shards(tmp_path: Path) -> None:
    run, other = older_run(tmp_path), sample_run(tmp_path)
    with closing(open_several([run, other])) as con:
        counts = "select run_id, count(*) from conversations group by all order by all"
        assert [row[0] for row in con.execute(counts).fetchall()] == ["older", "trial"]
        older = "select conditioning from episodes where run_id = 'older'"
        assert con.execute(older).fetchall() == [("name",)]
    parts = list(pack(run, str(tmp_path / "shards"), 5))
    assert {part.store_version for part in parts} == {STORE_VERSION}
    merge(tmp_path / "again", str(tmp_path / "shards"), utc_now())
    with closing(open_reader(tmp_path / "again")) as con:
        assert con.execute(TOLD).fetchall() == [KNOWN]


@pytest.mark.parametrize("version", [1, 6])
def test_a_store_from_before_the_first_release_is_refused(tmp_path: Path, version: int) -> None:
    change = f"update meta set value = '{version}' where key = 'store_version'"
    run = older_run(tmp_path, change)
    said = (
        f"{run / FILE} has store version {version}, made by an older folkways before its first "
        "release; this one reads 7 and 8. Read it with the folkways that made it: the table runs "
        "names its commit"
    )
    for use in (lambda: open_reader(run), Store(run).create, lambda: open_several([run])):
        with pytest.raises(UserError) as refused:
            use()
        assert str(refused.value) == said


def test_columns_of_views_mean_what_the_columns_that_they_read_mean(tmp_path: Path) -> None:
    with closing(open_reader(sample_run(tmp_path))) as con:
        said = {
            f"{one.name}.{column}": meaning
            for one in load_schema(con)
            for column, _, meaning in one.columns
        }
    assert said["conversations.seed"] == said["episodes.seed"] != ""
    assert said["accepted_episodes.roles"] == said["conversations.roles"], "through a macro"
    assert said["turn_intents.words"] == said["turns.words"]
    assert said["survey_distances.method"] == said["survey_conditions.method"]
    assert said["branch_pairs.model"] == "The model that played the branch.", "said of its own"


def test_simulation_does_not_name_the_tables_that_other_packages_keep() -> None:
    others = "".join((part.folder / "tables.sql").read_text() for part in parts() if part != PART)
    tables = {name for name in re.findall(r"^create table (\w+)", others, re.M) if "_" in name}
    assert {"survey_replies", "spa_questions", "control_texts"} <= tables
    for path in PART.folder.parents[1].rglob("*"):
        if path.suffix in (".py", ".sql"):
            assert not tables & set(re.findall(r"\w+", path.read_text(encoding="utf-8"))), path
