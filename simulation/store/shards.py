"""Shards: the rows that a worker has finished, as Parquet files in the store's layout.

A shard directory is a folder or URL of shards. A shard is a folder NAME of one Parquet file a table
and a `shard.json` that is written last; NAME begins with the worker's name. Once a worker is gone,
the mark WORKER.json lists its shards for good: one that it writes later does not count.

Invariant: a shard without `shard.json` does not exist, and a shard is merged whole and once.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from folkways.errors import UserError
from folkways.files import LARGEST, inside, parse_json, read_bytes, remove, write_whole
from simulation.store.locked import connect, quoted
from simulation.store.manifest import MANIFEST, Manifest, read_manifest
from simulation.store.part import make_tables, shared_keys
from simulation.store.record import Record
from simulation.store.rows import insert_rows
from simulation.store.writer import UNSTORABLE, WRITE_FAULTS, Store, reason_of

FACTS = "facts"
"""Stage of a shard that holds what belongs to no episode, such as the run's configuration."""
_OF_RUNS = ("runs", "launches")
"""Tables of facts that several runs can have rows in."""
SHARDS_AT = "shards.url"
"""File in a run's folder that names the URL of its shards, where they are elsewhere."""
_MERGED_AT_ONCE = 64
"""Shards that one transaction merges."""


class ShardDirectory:
    """A folder of shards, on this machine or at a URL that fsspec knows."""

    def __init__(self, place: str) -> None:
        """Raises UserError for a URL whose kind needs a package that is not installed."""
        import fsspec  # type: ignore[import-untyped]

        self.place = place
        try:
            self.fs, self.root = fsspec.core.url_to_fs(place)
        except (ImportError, ValueError) as error:
            raise UserError(f"cannot use shards at '{place}': {error}") from error
        self.local = "file" in self.fs.protocol

    def __reduce__(self) -> tuple[type[ShardDirectory], tuple[str]]:
        return ShardDirectory, (self.place,)

    def reach(self) -> dict[str, Any]:
        """Return what a connection of `wall.connect` needs to read and write here."""
        if self.local:
            return {"folders": [str(Path(self.root).resolve())]}
        return {"folders": [self.fs.unstrip_protocol(self.root)], "filesystem": self.fs}

    def path(self, shard: str, table: str) -> str:
        """Return where DuckDB finds a table of a shard."""
        file = f"{self.root}/{shard}/{table}.parquet"
        return file if self.local else self.fs.unstrip_protocol(file)

    def write(self, name: str, value: Any) -> None:
        """Write a small file of JSON, whole or not at all."""
        target, data = f"{self.root}/{name}", json.dumps(value).encode()
        if self.local:
            write_whole(Path(self.root), Path(target), data)
        else:  # an object is put whole
            self.fs.pipe_file(target, data)

    def read(self, name: str) -> bytes | None:
        """Return what a small file holds, or None where there is none."""
        target = f"{self.root}/{name}"
        try:
            if self.local:
                return read_bytes(inside(Path(self.root), Path(target)))
            data: bytes = self.fs.cat_file(target, end=LARGEST)
        except FileNotFoundError:  # or another worker's dismissal has just removed it
            return None
        return data

    def make(self, shard: str = "") -> None:
        """Make the folder of a shard, or of all."""
        if self.local and shard:
            inside(Path(self.root), Path(self.root) / shard)
        self.fs.makedirs(f"{self.root}/{shard}", exist_ok=True)

    def settle(self, shard: str) -> None:
        """See to it that the tables of a shard are on disk, before its manifest says that they
        are."""
        for entry in os.scandir(f"{self.root}/{shard}") if self.local else ():
            with open(entry.path, "rb") as file:
                os.fsync(file.fileno())

    def remove(self, name: str) -> None:
        """Remove a shard or a mark."""
        target = f"{self.root}/{name}"
        if not re.fullmatch(r"[A-Za-z0-9-]+(\.json)?", name):
            raise UserError(f"'{name}' is not the name of a shard; nothing is removed")
        if self.local:
            remove(Path(self.root), Path(target))
        elif self.fs.exists(target):
            self.fs.rm(target, recursive=True)

    def tidy(self) -> None:
        """Remove the folder if nothing is in it."""
        if self.fs.exists(self.root) and not self.names():
            self.fs.rmdir(self.root)

    def names(self) -> list[str]:
        """Return the names of everything in the folder, sorted."""
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
                mark = self.read(name)
                listed = parse_json(mark or b"[]", list[str], f"{self.place}/{name}")
                closed[name.removesuffix(".json")] = set(listed)
            elif not name.endswith(".part"):
                shards.append(name)
        found = []
        for name in shards:
            writer = name.rpartition("-")[0]
            if not writer or worker not in (None, writer) or name not in closed.get(writer, {name}):
                continue
            if data := self.read(f"{name}/{MANIFEST}"):
                found.append(read_manifest(data, name, f"{self.place}/{name}/{MANIFEST}"))
                self._check_links(name)
        return found

    def _check_links(self, shard: str) -> None:
        """Raise UserError where a table of a shard is a link to a file elsewhere."""
        for entry in os.scandir(f"{self.root}/{shard}") if self.local else ():
            if entry.is_symlink():
                inside(Path(self.root), Path(entry.path))

    def close(self, worker: str) -> list[Manifest]:
        """Return the shards of a worker, and see to it that these stay all."""
        found = self.manifests(worker)
        self.write(f"{worker}.json", [manifest.shard for manifest in found])
        return found


@dataclass(slots=True)
class Finished:
    """An item that is finished."""

    number: int
    records: list[Record]
    turns: int


@dataclass(slots=True)
class ShardWriter:
    """Writes what a worker finishes."""

    directory: ShardDirectory
    worker: str
    stage: str
    set_aside: list[tuple[Record, str]] = field(default_factory=list)
    """Records that no table can hold, each with the reason."""
    _count: int = 0
    _known: set[str] = field(default_factory=set)
    _con: duckdb.DuckDBPyConnection = field(init=False)

    def __post_init__(self) -> None:
        """Make the store's tables in memory: their columns have the types that shards have."""
        self._con = connect(**self.directory.reach())
        make_tables(self._con)

    def append(
        self, finished: Sequence[Finished], spent: tuple[int, int, float | None]
    ) -> Manifest:
        """Write a shard of finished items; `spent` are the prompt and completion tokens and the US
        dollars since the last one. What no table can hold is set aside, and an error takes the
        place of an episode. Raises UserError when it cannot be written."""
        self._count += 1
        shard = f"{self.worker}-{self._count:06d}"
        records = [record for item in finished for record in item.records]
        try:
            try:
                rows = self._write(shard, records)
            except UNSTORABLE:
                records = list(self._storable(records))
                rows = self._write(shard, records)
            manifest = Manifest(
                shard,
                self.worker,
                self.stage,
                [item.number for item in finished],
                len(records),
                dict(Counter(record.outcome for record in records)),
                sum(item.turns for item in finished),
                *spent,
                rows,
            )
            self.directory.write(f"{shard}/{MANIFEST}", asdict(manifest))
        except (OSError, duckdb.IOException) as error:
            raise UserError(
                f"cannot write the shard {self.directory.place}/{shard}: "
                f"{str(error).splitlines()[0]}. "
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
                    key = f"{table}:{row[shared_keys()[table]]}"
                    if key not in self._known and key not in fresh:
                        fresh.add(key)
                        tables.setdefault(table, []).append(row)
        tables = {table: rows for table, rows in tables.items() if rows}
        self.directory.make(shard)
        for table, rows in tables.items():
            with self._inserted({table: rows}):
                path = self.directory.path(shard, table)
                self._con.table(table).write_parquet(path, compression="zstd")
        self._known |= fresh
        return {table: len(rows) for table, rows in tables.items()}

    def _storable(self, records: Sequence[Record]) -> Iterator[Record]:
        """Yield the records that tables can hold, and what takes the place of the others."""
        for record in records:
            try:
                with self._inserted(record.shared | record.rows):
                    pass
            except UNSTORABLE as error:
                reason = reason_of(error)
                self.set_aside.append((record, reason))
                if instead := record.replaced(reason):
                    yield instead
            else:
                yield record

    @contextmanager
    def _inserted(self, tables: Mapping[str, Sequence[dict[str, Any]]]) -> Iterator[None]:
        """Have rows in the tables in memory for the time of a block."""
        self._con.execute("begin")
        try:
            for table, rows in tables.items():
                insert_rows(self._con, table, rows)
            yield
        finally:
            self._con.execute("rollback")


def shards_of(run: Path, elsewhere: str | None) -> str:
    """Return where the shards of a run are written: beside its store, or in a folder or URL
    `elsewhere`."""
    if elsewhere:
        return f"{elsewhere.rstrip('/')}/{run.name}"
    return str(run.resolve() / "shards")


def recover(
    store: Store, now: datetime, *, elsewhere: str | None = None, keep: bool = False
) -> int:
    """Merge what workers left among the shards of a run, and return how many shards that were.

    None of them writes any more: whoever is still there after its launch is closed. Shards outside
    the run's folder are removed only if this launch names it. Raises UserError where
    shards cannot be read, or the store not written.
    """
    run = store.path.parent
    places = {str(run.resolve() / "shards"): keep} if (run / "shards").is_dir() else {}
    if noted := _noted(run, elsewhere):
        places[noted] = True
    if elsewhere:
        named = shards_of(run, elsewhere)
        write_whole(run, run / SHARDS_AT, named, private=True)  # a URL may hold a key
        places[named] = keep
    merged = 0
    for place, kept in places.items():
        directory = ShardDirectory(place)
        for worker in () if kept else sorted({one.worker for one in directory.manifests()}):
            directory.close(worker)
        merged += clear(store, directory, directory.manifests(), now, keep=kept)
    return merged


def _noted(run: Path, elsewhere: str | None) -> str | None:
    """Return where an earlier launch that was cut short left shards, if this one does not say so.

    Raises UserError for a place on another machine: a file in a folder decides on no connection.
    """
    note = run / SHARDS_AT
    if not note.exists():
        return None
    place = read_bytes(inside(run, note)).decode(errors="replace").strip()
    if elsewhere and place == shards_of(run, elsewhere):
        return None
    if len(place) > 4096 or not ShardDirectory(place).local:
        raise UserError(
            f"{note} says that shards of this run are at '{place[:200]}'; add --ray --shards with "
            f"that place, or bring them in with `folkways merge {run} URL` and remove {SHARDS_AT}"
        )
    return place


def clear(
    store: Store,
    directory: ShardDirectory,
    manifests: Sequence[Manifest],
    now: datetime,
    *,
    keep: bool,
    live: bool = False,
) -> int:
    """Merge shards, and remove those that were new unless they are to be kept."""
    fresh, _ = merge_shards(store, directory, manifests, now, live=live)
    for manifest in manifests if fresh and not keep else ():
        directory.remove(manifest.shard)
    return fresh


def merge_shards(
    store: Store,
    directory: ShardDirectory,
    manifests: Iterable[Manifest],
    now: datetime,
    *,
    live: bool = False,
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
    waiting = store.storing(None if live else math.inf, **directory.reach())
    with waiting as (_, con), readable(directory, WRITE_FAULTS):
        stored = {row[0] for row in con.execute("select shard_id from merged_shards").fetchall()}
        fresh = [manifest for manifest in wanted if manifest.shard not in stored]
        rows = 0
        for start in range(0, len(fresh), _MERGED_AT_ONCE):
            some = fresh[start : start + _MERGED_AT_ONCE]
            con.execute("begin")
            rows += _merge(con, directory, some)
            con.executemany(
                "insert into merged_shards values (?, ?, ?, ?)",
                [[one.shard, one.stage, one.records, now] for one in some],
            )
            con.execute("commit")
    return len(fresh), rows


@contextmanager
def readable(directory: ShardDirectory, others: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn what DuckDB says of files that are not what their manifest says into UserError; `others`
    are errors that somebody else sees to."""
    try:
        yield
    except others:
        raise
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"cannot read the shards in '{directory.place}': {reason}") from error


def _merge(
    con: duckdb.DuckDBPyConnection, directory: ShardDirectory, manifests: Sequence[Manifest]
) -> int:
    files = files_of(directory, manifests, lambda table: not _is_empty(con, table))
    twice = _twice(con, files.get("episodes", []))
    if twice and len(manifests) > 1:  # the same episode may be in two of them
        return sum(_merge(con, directory, [manifest]) for manifest in manifests)
    rows = 0
    for table, paths in files.items():
        shared = table in shared_keys() or table == "runs"
        described = con.execute("select name from pragma_table_info(?)", [table]).fetchall()
        columns = [name for (name,) in described]
        listed = ", ".join(map(quoted, columns))
        kept, values = "", [paths]
        if twice and "episode_id" in columns:
            kept = "where not list_contains(?, episode_id)"
            values.append(twice)
        elif table == "launches":
            kept = f"except select {listed} from launches order by started_at"
        done = con.execute(
            f"insert {'or ignore ' if shared else ''}into {quoted(table)} ({listed}) "
            f"select {listed} from read_parquet(?) {kept}",
            values,
        ).fetchone()
        rows += done[0] if done else 0
    return rows


def files_of(
    directory: ShardDirectory,
    manifests: Iterable[Manifest],
    has_rows: Callable[[str], bool] = lambda _: False,
) -> dict[str, list[str]]:
    """Return the files of each table, in the order in which they count. Facts are taken once, from
    the first shard that has them, unless a table that several runs can share `has_rows`."""
    files: dict[str, list[str]] = {}
    facts: set[str] = set()
    for manifest in manifests:
        for table in manifest.rows:
            if manifest.stage == FACTS and table not in (*shared_keys(), *_OF_RUNS):
                if table in facts or has_rows(table):
                    continue
                facts.add(table)
            files.setdefault(table, []).append(directory.path(manifest.shard, table))
    return files


def _is_empty(con: duckdb.DuckDBPyConnection, table: str) -> bool:
    return not con.execute(f"select 1 from {quoted(table)} limit 1").fetchall()


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
