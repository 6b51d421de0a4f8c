"""Several runs read as one: the same tables, views and macros, told apart by `run_id`.

Invariant: no run is changed, and none is held while it is read.
"""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from folkways.clock import utc_now
from folkways.errors import UserError
from simulation.store.locked import connect, literal, quoted
from simulation.store.pack import merge
from simulation.store.part import make_tables, make_views, shared_keys, tables
from simulation.store.reader import LOCK_WAIT_S, current_copy, find_store
from simulation.store.shard_reader import stand_in
from simulation.store.writer import FILE


def open_several(runs: Sequence[Path], wait_s: float = LOCK_WAIT_S) -> duckdb.DuckDBPyConnection:
    """Open the stores of several runs, or folders of shards, as one for reading.

    A run that is given twice is read once. Raises UserError where one cannot be read, and where two
    hold the same episode.
    """
    places = list(dict.fromkeys(find_store(run).resolve() for run in runs))
    temporary = TemporaryDirectory(prefix="folkways-")
    atexit.register(temporary.cleanup)
    with ExitStack() as kept:
        copies = [
            _as_store(place, Path(temporary.name) / str(number))
            if place.is_dir()
            else kept.enter_context(current_copy(place, wait_s))
            for number, place in enumerate(places)
        ]
        reach = [str(copy.resolve().parent) for copy in copies]
        con = connect(folders=reach, temp_directory=temporary.name)
        try:
            for number, copy in enumerate(copies):
                con.execute(f"attach {literal(str(copy.resolve()))} as run_{number} (read_only)")
            _join(con, len(places))
            con.execute("set lock_configuration = true")
        except duckdb.Error as error:
            con.close()
            raise UserError(f"these runs cannot be read together: {error}") from error
        except BaseException:
            con.close()
            raise
    return con


def _as_store(shards: Path, run: Path) -> Path:
    """Return a store with what a folder of shards holds."""
    merge(run, str(shards), utc_now(), partial=True)
    return run / FILE


def _join(con: duckdb.DuckDBPyConnection, count: int) -> None:
    """Make tables and views over the attached stores `run_0`, `run_1` and so on."""
    make_tables(con)
    for table in tables():
        sources = [f"run_{number}.{quoted(table)} held" for number in range(count)]
        if table in (*shared_keys(), "runs", "merged_shards"):
            for source in sources:
                con.execute(f"insert or ignore into {quoted(table)} by name from {source}")
        elif table != "meta":
            stand_in(con, table, sources, "rowid")
    make_views(con)
    query = "select episode_id from episodes group by all having count(*) > 1 limit 1"
    if twice := con.execute(query).fetchall():
        raise UserError(f"two of these runs hold the episode {twice[0][0]}; give one of them")
