"""A run's store filled from simulation_store.sql, for tests of whatever reads one."""

import re
from pathlib import Path

import duckdb

from simulation.store.writer import FILE, Store

ROWS = Path(__file__).with_name("simulation_store.sql")
OLDER = Path(__file__).with_name("store_v7.sql")
BRANCHES = Path(__file__).with_name("simulation_branches.sql")
COOKBOOK = Path(__file__).parents[2] / "docs" / "sql.md"
DINNER = "aaaa000000000001"
"""The episode that started last and has one of everything."""


def sample_run(folder: Path, *statements: str) -> Path:
    """Make a run `trial` inside `folder`, change it by SQL statements, return its folder."""
    run = folder / "trial"
    run.mkdir(parents=True)
    store = Store(run)
    store.create()
    with duckdb.connect(str(store.path)) as con:
        con.execute(ROWS.read_text(encoding="utf-8"))
        for statement in statements:
            con.execute(statement)
    return run


def branched_run(folder: Path) -> Path:
    """Make the same run with branches of DINNER."""
    return sample_run(folder, BRANCHES.read_text(encoding="utf-8"))


def older_run(folder: Path, *statements: str) -> Path:
    """Make a run `older` inside `folder` whose store is of version 7; return its folder."""
    run = folder / "older"
    run.mkdir(parents=True)
    with duckdb.connect(str(run / FILE)) as con:
        for statement in (OLDER.read_text(encoding="utf-8"), *statements):
            con.execute(statement)
    return run


def cookbook() -> list[tuple[str, str]]:
    """Return the questions and queries of the cookbook, in order."""
    pattern = r"^### ([^\n]+)\n.*?^```sql\n(.*?)^```"
    return re.findall(pattern, COOKBOOK.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
