"""Shards: the rows that a worker has finished, as Parquet files in the store's layout.

A shelf is a folder or URL of shards. A shard is a folder NAME of one Parquet file a table and a
`shard.json` that is written last; NAME begins with the worker's name. Once a worker is gone, the
mark WORKER.json lists its shards for good: one that it writes later is nobody's.

Invariant: a shard without `shard.json` does not exist, and a shard is merged whole and once.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import fsspec  # type: ignore[import-untyped]

from scenarios.errors import UserError
from simulation.job import shards_of
from simulation.placement import Cluster
from simulation.record import Record
from simulation.rows import SHARED_KEYS, insert_rows
from simulation.store import STORE_VERSION, Store, schema_sql

MANIFEST = "shard.json"
FACTS = "facts"
"""Stage of a shard that holds what belongs to no episode, such as the run's configuration."""
OF_RUNS = ("runs", "launches")
"""Tables of facts that several runs can have rows in."""
SHARDS_AT = "shards.url"
"""File in a run's folder that names the URL of its shards, where they are elsewhere."""
MERGED_AT_ONCE = 64
"""Shards that one transaction merges."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a shard holds."""

    shard: str
    worker: str
    stage: str
    items: list[int]
    """Numbers of the items of the worker's launch that are whole in it."""
    records: int
    outcomes: dict[str, int]
    turns: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    rows: dict[str, int]
    """Rows by table."""
    store_version: int = STORE_VERSION
    application: str = "folkways"


class Shelf:
    """A folder of shards, on this machine or at a URL that fsspec knows."""

    def __init__(self, place: str) -> None:
        """Raises UserError for a URL whose kind needs a package that is not installed."""
        self.place = place
        try:
            self.fs, self.root = fsspec.core.url_to_fs(place)
        except (ImportError, ValueError) as error:
            raise UserError(f"cannot use shards at '{place}': {error}") from error
        self.local = "file" in self.fs.protocol

    def __reduce__(self) -> tuple[type[Shelf], tuple[str]]:
        return Shelf, (self.place,)

    def connect(self, con: duckdb.DuckDBPyConnection) -> None:
        """Have a connection read and write here."""
        if not self.local:
            con.register_filesystem(self.fs)

    def path(self, shard: str, table: str) -> str:
        """Return where DuckDB finds a table of a shard."""
        file = f"{self.root}/{shard}/{table}.parquet"
        return file if self.local else self.fs.unstrip_protocol(file)

    def write(self, name: str, value: Any) -> None:
        """Write a small file of JSON, whole or not at all."""
        target, data = f"{self.root}/{name}", json.dumps(value).encode()
        if not self.local:  # an object is put whole
            self.fs.pipe_file(target, data)
            return
        part = Path(f"{target}.part")
        part.write_bytes(data)
        part.replace(target)

    def read(self, name: str) -> Any:
        """Return what a file of JSON holds, or None where there is none."""
        try:
            return json.loads(self.fs.cat_file(f"{self.root}/{name}"))
        except FileNotFoundError:
            return None

    def make(self, shard: str = "") -> None:
        """Make the folder of a shard, or of all."""
        self.fs.makedirs(f"{self.root}/{shard}", exist_ok=True)

    def remove(self, name: str) -> None:
        """Remove a shard or a mark."""
        target = f"{self.root}/{name}"
        if self.fs.exists(target):
            self.fs.rm(target, recursive=True)

    def tidy(self) -> None:
        """Remove the shelf if nothing is on it."""
        if self.fs.exists(self.root) and not self.names():
            self.fs.rmdir(self.root)

    def names(self) -> list[str]:
        """Return the names of everything on the shelf, sorted."""
        self.fs.invalidate_cache()
        if not self.fs.exists(self.root):
            return []
        return sorted(str(path).rpartition("/")[2] for path in self.fs.ls(self.root, detail=False))

    def manifests(self, worker: str | None = None) -> list[Manifest]:
        """Return the shards that count, of one worker or of all, in order."""
        names, shards = self.names(), []
        closed: dict[str, set[str]] = {}
        for name in names:
            if name.endswith(".json"):
                closed[name.removesuffix(".json")] = set(self.read(name) or ())
            elif not name.endswith(".part"):
                shards.append(name)
        found = []
        for name in shards:
            writer = name.rpartition("-")[0]
            if not writer or worker not in (None, writer) or name not in closed.get(writer, {name}):
                continue
            if data := self.read(f"{name}/{MANIFEST}"):
                found.append(_manifest(data, f"{self.place}/{name}"))
        return found

    def close(self, worker: str) -> list[Manifest]:
        """Return the shards of a worker, and see to it that these stay all."""
        found = self.manifests(worker)
        self.write(f"{worker}.json", [manifest.shard for manifest in found])
        return found


def _manifest(data: dict[str, Any], where: str) -> Manifest:
    version = data.get("store_version")
    if data.get("application") != "folkways" or not isinstance(version, int):
        raise UserError(f"{where} is no shard of folkways")
    if version != STORE_VERSION:
        raise UserError(
            f"{where} was written by a folkways with store version {version}; this one has "
            f"{STORE_VERSION}: merge it with the version that wrote it"
        )
    return Manifest(**data)


@dataclass(slots=True)
class Finished:
    """An item that is finished."""

    number: int
    records: list[Record]
    turns: int


@dataclass(slots=True)
class ShardWriter:
    """Writes what a worker finishes."""

    shelf: Shelf
    worker: str
    stage: str
    _count: int = 0
    _known: set[str] = field(default_factory=set)
    _con: duckdb.DuckDBPyConnection = field(init=False)

    def __post_init__(self) -> None:
        """Make the store's tables in memory: their columns have the types that shards have."""
        self._con = duckdb.connect()
        self.shelf.connect(self._con)
        self._con.execute(schema_sql())

    def append(
        self, finished: Sequence[Finished], spent: tuple[int, int, float | None]
    ) -> Manifest:
        """Write a shard of finished items; `spent` are the prompt and completion tokens and the US
        dollars since the last one. Raises UserError when it cannot be written."""
        self._count += 1
        shard = f"{self.worker}-{self._count:06d}"
        records = [record for item in finished for record in item.records]
        try:
            rows = self._write(shard, records)
            manifest = Manifest(
                shard, self.worker, self.stage, [item.number for item in finished], len(records),
                dict(Counter(record.outcome for record in records)),
                sum(item.turns for item in finished), *spent, rows,
            )  # fmt: skip
            self.shelf.write(f"{shard}/{MANIFEST}", asdict(manifest))
        except (OSError, duckdb.IOException) as error:
            raise UserError(
                f"cannot write the shard {self.shelf.place}/{shard}: {str(error).splitlines()[0]}. "
                "Nothing that was stored before is lost; see that there is room, and run the same "
                "command again"
            ) from error
        return manifest

    def _write(self, shard: str, records: Sequence[Record]) -> dict[str, int]:
        """Write the rows of records, shared ones that this worker has not written yet included."""
        tables: dict[str, list[dict[str, Any]]] = {}
        fresh: set[str] = set()
        for record in records:
            for table, rows in record.rows.items():
                tables.setdefault(table, []).extend(rows)
            for table, rows in record.shared.items():
                for row in rows:
                    key = f"{table}:{row[SHARED_KEYS[table]]}"
                    if key not in self._known and key not in fresh:
                        fresh.add(key)
                        tables.setdefault(table, []).append(row)
        tables = {table: rows for table, rows in tables.items() if rows}
        self.shelf.make(shard)
        for table, rows in tables.items():
            self._con.execute("begin")
            insert_rows(self._con, table, rows)
            self._con.table(table).write_parquet(self.shelf.path(shard, table), compression="zstd")
            self._con.execute("rollback")
        self._known |= fresh
        return {table: len(rows) for table, rows in tables.items()}


def recover(store: Store, cluster: Cluster | None, now: datetime) -> int:
    """Merge what workers left on the shelf of a run, and return how many shards that were.

    None of them writes any more: whoever is still there after its launch is closed. Raises
    UserError where the shelf cannot be read, or the store not written.
    """
    run = store.path.parent
    note = run / SHARDS_AT
    if cluster and cluster.shards:
        note.write_text(shards_of(run, cluster), encoding="utf-8")
    places = [str(run.resolve() / "shards")] if (run / "shards").is_dir() else []
    if note.exists():
        places.append(note.read_text(encoding="utf-8"))
    merged = 0
    for shelf in map(Shelf, places):
        for worker in sorted({manifest.worker for manifest in shelf.manifests()}):
            shelf.close(worker)
        merged += clear(store, shelf, shelf.manifests(), now, keep=bool(cluster and cluster.keep))
    return merged


def clear(
    store: Store, shelf: Shelf, manifests: Sequence[Manifest], now: datetime, *, keep: bool,
    live: bool = False,
) -> int:  # fmt: skip
    """Merge shards, and take those that were new off their shelf unless they are to be kept."""
    fresh, _ = merge_shards(store, shelf, manifests, now, live=live)
    for manifest in manifests if fresh and not keep else ():
        shelf.remove(manifest.shard)
    return fresh


def merge_shards(
    store: Store, shelf: Shelf, manifests: Iterable[Manifest], now: datetime, *, live: bool = False
) -> tuple[int, int]:
    """Bring shards into a store, each once however often they are given; return how many were new,
    and the rows.

    `now` is the time, naive UTC. An episode that the store has already is left out: somebody else
    may have played it. While somebody holds the store it is waited for; what is `live`, and can be
    nowhere yet, goes into a spill. Raises UserError when the store cannot be written.
    """
    wanted = list(manifests)
    if not wanted:
        return 0, 0
    with store.storing(None if live else math.inf) as (_, con):
        shelf.connect(con)
        stored = {row[0] for row in con.execute("select shard_id from merged_shards").fetchall()}
        fresh = [manifest for manifest in wanted if manifest.shard not in stored]
        rows = 0
        for start in range(0, len(fresh), MERGED_AT_ONCE):
            some = fresh[start : start + MERGED_AT_ONCE]
            con.execute("begin")
            rows += _merge(con, shelf, some)
            con.executemany(
                "insert into merged_shards values (?, ?, ?, ?)",
                [[one.shard, one.stage, one.records, now] for one in some],
            )
            con.execute("commit")
    return len(fresh), rows


def _merge(con: duckdb.DuckDBPyConnection, shelf: Shelf, manifests: Sequence[Manifest]) -> int:
    files: dict[str, list[str]] = {}
    for manifest in manifests:
        for table in manifest.rows:
            many = table in SHARED_KEYS or table in OF_RUNS
            if manifest.stage != FACTS or many or _is_empty(con, table):
                files.setdefault(table, []).append(shelf.path(manifest.shard, table))
    twice = _twice(con, files.get("episodes", []))
    if twice and len(manifests) > 1:  # the same episode may be in two of them
        return sum(_merge(con, shelf, [manifest]) for manifest in manifests)
    rows = 0
    for table, paths in files.items():
        shared = table in SHARED_KEYS or table == "runs"
        columns = [name for _, name, *_ in con.execute(f"pragma table_info('{table}')").fetchall()]
        listed = ", ".join(f'"{name}"' for name in columns)
        kept, values = "", [paths]
        if twice and "episode_id" in columns:
            kept = "where not list_contains(?, episode_id)"
            values.append(twice)
        elif table == "launches":
            kept = f"except select {listed} from launches order by started_at"
        done = con.execute(
            f"insert {'or ignore ' if shared else ''}into {table} ({listed}) "
            f"select {listed} from read_parquet(?) {kept}",
            values,
        ).fetchone()
        rows += done[0] if done else 0
    return rows


def _is_empty(con: duckdb.DuckDBPyConnection, table: str) -> bool:
    return not con.execute(f"select 1 from {table} limit 1").fetchall()


def _twice(con: duckdb.DuckDBPyConnection, files: Sequence[str]) -> list[str]:
    """Return the episodes that are in a store already, or in several of some files."""
    if not files:
        return []
    query = """
        with incoming as (select episode_id from read_parquet(?))
        select episode_id from incoming semi join episodes using (episode_id)
        union select episode_id from incoming group by all having count(*) > 1
    """
    return [row[0] for row in con.execute(query, [list(files)]).fetchall()]
