"""The page on games is true: its scenario is sound, its tests pass, and its queries answer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from scenarios.checks.check import check_file
from scenarios.library import games, load_scenario
from simulation.config import RunConfig
from simulation.plan import make_plan
from simulation.run import launch
from simulation.script_tests import run_tests
from simulation.store.reader import open_reader, run_query

PAGE = (Path(__file__).parents[2] / "docs/games.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("games")
    data = {"name": "games", "scenarios": "games", "cultures": ["JPN"], "replicates": 3}
    data |= {"model": {"name": "fake"}, "out": str(folder)}
    config = RunConfig.model_validate(data)
    assert launch(make_plan(config), limit=None, fresh=False, quiet=True) == "done"
    return folder / "games"


def test_the_lake_of_the_page_is_sound_and_its_test_passes(tmp_path: Path) -> None:
    text, seats = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert RunConfig.model_validate({"name": "x"} | yaml.safe_load(seats)).rotate
    path = tmp_path / "two-families.yaml"
    path.write_text(text, encoding="utf-8")
    assert check_file(path) == []
    assert [result.faults for result in run_tests(str(path))] == [[]]


@pytest.mark.parametrize("number", range(11))
def test_the_judgements_and_the_ten_questions_are_answered(run: Path, number: int) -> None:
    assert len(QUERIES) == 11
    with open_reader(run) as con:
        found = list(run_query(con, QUERIES[number]).rows)
        nothing_refused = con.execute("from decisions where not allowed").fetchall() == []
    assert found or (number == 8 and nothing_refused)


def test_the_table_of_games_is_that_of_the_files() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| [^|]+ \| ([\d.-]+) \| ([\d.-]+) \|$", PAGE, re.MULTILINE)
    assert [row[0] for row in rows] == list(games())
    for name, *told in rows:
        totals = {one.name: one.total for one in load_scenario(name).benchmarks}
        known = [totals.get("equilibrium"), totals.get("optimum")]
        assert told == ["-" if total is None else f"{total:g}" for total in known]


def test_games_that_are_stored_are_replayed(run: Path) -> None:
    from folkways.cli import main

    with pytest.raises(SystemExit) as done:
        main(["replay", str(run), "--quiet"])
    assert not done.value.code
