"""A store as shards, and shards as a store.

Invariant: packing and merging again gives the same rows; shards of the same state of a run have the
same names, and a folder that lacks some of them is known to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import duckdb

from folkways.errors import UserError
from simulation.store.locked import connect, quoted
from simulation.store.manifest import (
    MANIFEST,
    RESUME,
    Manifest,
    all_of,
    expect,
    missing,
    shard_tables,
)
from simulation.store.part import STORE_VERSION
from simulation.store.reader import find_store, open_store
from simulation.store.run_lock import locked
from simulation.store.shards import FACTS, ShardDirectory, merge_shards, readable
from simulation.store.writer import FILE, Store

_TABLES = """
select table_name, list_contains(list(column_name), 'episode_id') as by_episode
from duckdb_columns() join duckdb_tables() using (table_name) group by table_name order by all
"""
_CHOSEN = """
create or replace temp table chosen as
select episode_id from episodes order by rowid limit ? offset ?
"""
_OF_CHOSEN = "select * from {table} semi join chosen using (episode_id) order by {table}.rowid"
_OUTCOMES = """
select exit_reason, count(*) from episodes semi join chosen using (episode_id) group by all
"""
_SUMS = """
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
    and yield them as they are written, or found: those that a pack which was killed has written.

    Every manifest tells how many shards there are in all. Raises UserError where there are shards
    of something else, where another process writes the run, and where a shard cannot be written.
    """
    directory, path = ShardDirectory(place), find_store(run)
    if path.is_dir():
        raise UserError(f"'{path}' is a folder of shards already; give a run")
    directory.make()
    with locked(path.parent), open_store(path, ours=True, **directory.reach()) as con:
        tables = [row for row in con.execute(_TABLES).fetchall() if row[0] in shard_tables()]
        name = _name(con, [table for table, _ in tables], per_shard)
        written = {one.shard: one for one in directory.manifests()}
        if any(one.worker != name for one in written.values()):
            raise UserError(
                f"'{place}' holds shards already, of another run, of this one as it was, or of "
                "another size; choose a folder that is empty or missing"
            )
        count = con.execute("select count(*) from episodes").fetchall()[0][0]
        starts = range(0, count, per_shard)
        try:
            for number in range(len(starts) + 1):
                shard = f"{name}-{number:06d}"
                if number:
                    con.execute(_CHOSEN, [per_shard, starts[number - 1]])
                yield written.get(shard) or _write(con, directory, shard, tables, len(starts) + 1)
        except (OSError, duckdb.IOException) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"cannot write shards to '{place}': {reason}") from error


def _name(con: duckdb.DuckDBPyConnection, tables: Sequence[str], per_shard: int) -> str:
    """Return the name of the shards of a run as it is: rows are added to a store, never changed, so
    that their numbers tell one state of it from another."""
    counts = {
        table: con.execute(f"select count(*) from {quoted(table)}").fetchall() for table in tables
    }
    played = con.execute("select md5(string_agg(episode_id order by rowid)) from episodes")
    told = played.fetchall() + con.execute("select run_id, config_hash from runs").fetchall()
    known = [STORE_VERSION, per_shard, counts, sorted(map(repr, told))]
    return hashlib.sha256(repr(known).encode()).hexdigest()[:16]


def _write(
    con: duckdb.DuckDBPyConnection,
    directory: ShardDirectory,
    shard: str,
    tables: Sequence[tuple[str, bool]],
    parts: int,
) -> Manifest:
    """Write the chosen episodes as a shard, or in the first one what belongs to none."""
    worker, _, number = shard.rpartition("-")
    by_episode = bool(int(number))
    directory.make(shard)
    rows: dict[str, int] = {}
    for table in (name for name, of_episodes in tables if of_episodes == by_episode):
        query = _OF_CHOSEN if by_episode else "from {table}"
        found = con.sql(query.format(table=quoted(table)))
        if count := int(found.aggregate("count(*)").fetchall()[0][0]):
            found.write_parquet(directory.path(shard, table), compression="zstd")
            rows[table] = count
    sums, outcomes = (0, 0, 0, 0, None), {}
    if by_episode:
        sums, outcomes = con.execute(_SUMS).fetchall()[0], dict(con.execute(_OUTCOMES).fetchall())
    stage = "pack" if by_episode else FACTS
    manifest = Manifest(shard, worker, stage, [], sums[0], outcomes, *sums[1:], rows, parts)
    directory.settle(shard)
    directory.write(f"{shard}/{MANIFEST}", asdict(manifest))
    return manifest


def merge(run: Path, place: str, now: datetime, partial: bool = False) -> tuple[int, int]:
    """Bring the shards of a folder or URL into the store of a run, which is made where there is
    none; return how many were new, and their rows.

    Until all are in, the store says which it lacks. Configurations come along: afterwards every
    episode's run is in the table `runs`. Raises UserError where there are no shards or one lacks
    its run's configuration, where shards of a packed run are missing unless `partial`, where two
    runs do not go together, and where another process writes the run.
    """
    directory = ShardDirectory(place)
    manifests = directory.manifests()
    if not manifests:
        raise UserError(f"there are no shards in '{place}'")
    if (short := missing(manifests)) and not partial:
        raise UserError(f"'{place}' holds {short}; {RESUME}, and --partial merges what there is")
    if not (run / FILE).exists():
        _require_configurations(directory, manifests, {}, run)
    run.mkdir(parents=True, exist_ok=True)
    with locked(run):
        store = Store(run)
        store.create()
        with store.reading() as con:
            runs = con.execute("select run_id, config_hash, kind from runs").fetchall()
        _require_configurations(directory, manifests, {run_id: rest for run_id, *rest in runs}, run)
        with store.writing() as con:
            expect(con, all_of(manifests))
        merged = merge_shards(store, directory, manifests, now)
        with store.writing() as con:
            expect(con, ())
    return merged


def _require_configurations(
    directory: ShardDirectory, manifests: Sequence[Manifest], known: dict[str, list[str]], run: Path
) -> None:
    """Raise UserError for shards of a run that cannot be told apart from what a store holds.

    `known` are the runs in the store by id, each with the hash of its configuration and its kind.
    """
    with connect(**directory.reach()) as con, readable(directory):
        files = {
            table: [directory.path(one.shard, table) for one in manifests if table in one.rows]
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
                f"the shards in '{directory.place}' hold a run '{run_id}', and so does {run}, with "
                "another configuration: merge them into a folder of their own"
            )
    kinds: dict[str, str] = {}
    for run_id, (_, kind) in known.items():
        other = kinds.setdefault(kind, run_id)
        if kind != "run" and other != run_id:
            raise UserError(
                f"'{directory.place}' cannot be merged into {run}: a store holds one {kind}, not "
                f"'{other}' and '{run_id}'; choose a folder of its own"
            )
    if lost := sorted({str(run_id) for (run_id,) in played} - known.keys()):
        raise UserError(
            f"the shards in '{directory.place}' lack the configuration of their run "
            f"'{lost[0]}', and {run} does not hold it: merge them into that run, or merge what "
            "`folkways pack` makes of it"
        )
