"""A store as shards, and shards as a store.

Invariant: packing and merging again gives the same rows.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import duckdb

from scenarios.errors import UserError
from simulation.lock import locked
from simulation.manifest import MANIFEST, Manifest, shard_tables
from simulation.query import find_store, open_store
from simulation.shard import FACTS, Shelf, merge_shards, readable
from simulation.store import FILE, Store
from simulation.wall import connect, quoted

TABLES = """
select table_name, list_contains(list(column_name), 'episode_id') as by_episode
from duckdb_columns() join duckdb_tables() using (table_name) group by table_name order by all
"""
SUMS = """
select count(*), coalesce(sum(turns), 0), coalesce(sum(prompt_tokens), 0),
    coalesce(sum(completion_tokens), 0), sum(cost)
from chosen join episodes using (episode_id) left join (
    select episode_id, sum(prompt_tokens) as prompt_tokens,
        sum(completion_tokens) as completion_tokens, sum(cost) as cost
    from calls semi join chosen using (episode_id) group by all
) using (episode_id)
"""


def pack(run: Path, place: str, per_shard: int) -> Iterator[Manifest]:
    """Write a run as shards of so many episodes each, the first one of what belongs to no episode,
    and yield them as they are written.

    Raises UserError where there are shards already, where another process writes the run, and where
    a shard cannot be written.
    """
    shelf, path = Shelf(place), find_store(run)
    if shelf.manifests():
        raise UserError(f"'{place}' holds shards already; choose a folder that is empty or missing")
    name = secrets.token_hex(4)
    if path.is_dir():
        raise UserError(f"'{path}' is a folder of shards already; give a run")
    shelf.make()
    with locked(path.parent), open_store(path, ours=True, **shelf.reach()) as con:
        tables = [row for row in con.execute(TABLES).fetchall() if row[0] in shard_tables()]
        try:
            queries = {
                table: f"from {quoted(table)}" for table, by_episode in tables if not by_episode
            }
            yield _write(con, shelf, f"{name}-000000", FACTS, queries, (0, 0, 0, 0, None))
            count = con.execute("select count(*) from episodes").fetchall()[0][0]
            for number, start in enumerate(range(0, count, per_shard), start=1):
                con.execute(
                    "create or replace temp table chosen as "
                    "select episode_id from episodes order by rowid limit ? offset ?",
                    [per_shard, start],
                )
                queries = {
                    table: f"select * from {quoted(table)} semi join chosen using (episode_id) "
                    f"order by {quoted(table)}.rowid"
                    for table, by_episode in tables
                    if by_episode
                }
                sums = con.execute(SUMS).fetchall()[0]
                yield _write(con, shelf, f"{name}-{number:06d}", "pack", queries, sums)
        except (OSError, duckdb.IOException) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"cannot write shards to '{place}': {reason}") from error


def _write(
    con: duckdb.DuckDBPyConnection, shelf: Shelf, shard: str, stage: str, queries: dict[str, str],
    sums: tuple[int, int, int, int, float | None],
) -> Manifest:  # fmt: skip
    """Write what queries return as a shard; `sums` are episodes, turns, tokens and cost."""
    shelf.make(shard)
    rows: dict[str, int] = {}
    for table, query in queries.items():
        if count := con.sql(f"select count(*) from ({query})").fetchall()[0][0]:
            con.sql(query).write_parquet(shelf.path(shard, table), compression="zstd")
            rows[table] = count
    worker = shard.rpartition("-")[0]
    outcomes: dict[str, int] = {}
    if "episodes" in queries:
        outcomes = dict(
            con.execute(
                "select exit_reason, count(*) from episodes semi join chosen using (episode_id) "
                "group by all"
            ).fetchall()
        )
    manifest = Manifest(shard, worker, stage, [], sums[0], outcomes, *sums[1:], rows)
    shelf.write(f"{shard}/{MANIFEST}", asdict(manifest))
    return manifest


def merge(run: Path, place: str, now: datetime) -> tuple[int, int]:
    """Bring the shards of a folder or URL into the store of a run, which is made where there is
    none; return how many were new, and their rows.

    Configurations come along: afterwards every episode's run is in the table `runs`. Raises
    UserError where there are no shards or one lacks its run's configuration, where two runs do not
    go together, and where another process writes the run.
    """
    shelf = Shelf(place)
    manifests = shelf.manifests()
    if not manifests:
        raise UserError(f"there are no shards in '{place}'")
    if not (run / FILE).exists():
        _require_configurations(shelf, manifests, {}, run)
    run.mkdir(parents=True, exist_ok=True)
    with locked(run):
        store = Store(run)
        store.create()
        with store.reading() as con:
            runs = con.execute("select run_id, config_hash, kind from runs").fetchall()
        _require_configurations(shelf, manifests, {run_id: rest for run_id, *rest in runs}, run)
        return merge_shards(store, shelf, manifests, now)


def _require_configurations(
    shelf: Shelf, manifests: Sequence[Manifest], known: dict[str, list[str]], run: Path
) -> None:
    """Raise UserError for shards of a run that cannot be told apart from what a store holds.

    `known` are the runs in the store by id, each with the hash of its configuration and its kind.
    """
    with connect(**shelf.reach()) as con, readable(shelf):
        files = {
            table: [shelf.path(one.shard, table) for one in manifests if table in one.rows]
            for table in ("runs", "episodes")
        }
        query = "select distinct run_id, config_hash, kind from read_parquet(?) order by all"
        given = con.execute(query, [files["runs"]]).fetchall() if files["runs"] else []
        query = "select distinct run_id from read_parquet(?) order by all"
        played = con.execute(query, [files["episodes"]]).fetchall() if files["episodes"] else []
    for run_id, config_hash, kind in given:
        stored = known.setdefault(run_id, [config_hash, kind])
        if stored[0] != config_hash:
            raise UserError(
                f"the shards in '{shelf.place}' hold a run '{run_id}', and so does {run}, with "
                "another configuration: merge them into a folder of their own"
            )
    kinds: dict[str, str] = {}
    for run_id, (_, kind) in known.items():
        other = kinds.setdefault(kind, run_id)
        if kind != "run" and other != run_id:
            raise UserError(
                f"'{shelf.place}' cannot be merged into {run}: a store holds one {kind}, not "
                f"'{other}' and '{run_id}'; choose a folder of its own"
            )
    if lost := sorted({str(run_id) for (run_id,) in played} - known.keys()):
        raise UserError(
            f"the shards in '{shelf.place}' lack the configuration of their run "
            f"'{lost[0]}', and {run} does not hold it: merge them into that run, or merge what "
            "`folkways pack` makes of it"
        )
