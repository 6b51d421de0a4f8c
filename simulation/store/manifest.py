"""The manifest of a shard: what a worker, this machine's or somebody else's, says is in it.

Invariant: nothing of a manifest is used before it is checked; its names are plain words, its tables
are the store's own, its counts are bounded.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import duckdb
from pydantic import Field

from folkways.errors import UserError
from folkways.files import parse_json
from simulation.store.part import STORE_VERSION, tables

MANIFEST = "shard.json"
_BOOKKEEPING = ("meta", "merged_shards")
"""Tables that describe a store rather than what is in it: no shard has them."""
RESUME = "the same `folkways pack` again writes the rest"
"""What can be done about a run of which shards are missing."""
_EXPECTED = "expected"
"""In `meta`: shards that a merge has begun to bring in."""
_MOST = 1_000_000
"""Shards of a packed run whose names are counted out."""
NAME = r"^[A-Za-z0-9-]+$"
Name = Annotated[str, Field(pattern=NAME, max_length=100)]
Count = Annotated[int, Field(strict=True, ge=0, le=2**53)]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a shard holds."""

    shard: Name
    worker: Name
    stage: Annotated[str, Field(max_length=100)]
    items: list[Count]
    """Numbers of the items of the worker's launch that are whole in it."""
    records: Count
    outcomes: dict[str, Count]
    turns: Count
    prompt_tokens: Count
    completion_tokens: Count
    cost: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    rows: dict[str, Count]
    """Rows by table."""
    parts: Count | None = None
    """Shards of the whole that `pack` makes of a run, this one counted; null for a worker's."""
    store_version: Count = STORE_VERSION
    application: str = "folkways"


def missing(manifests: Iterable[Manifest]) -> str:
    """Return what a pack that did not end has left out, empty where every run is whole."""
    packs: dict[str, list[Manifest]] = {}
    for one in manifests:
        if one.parts is not None:
            packs.setdefault(one.worker, []).append(one)
    short = [found for found in packs.values() if len(found) < (found[0].parts or 0)]
    return " and ".join(f"{len(found)} of the {found[0].parts} shards of a run" for found in short)


def all_of(manifests: Iterable[Manifest]) -> set[str]:
    """Return the names of shards, and of those that were packed with them and are missing."""
    names = set()
    for one in manifests:
        names.add(one.shard)
        names |= {f"{one.worker}-{number:06d}" for number in range(min(one.parts or 0, _MOST))}
    return names


def lacking(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the shards that a merge was to bring into a store and has not."""
    found = con.execute("select value from meta where key = ?", [_EXPECTED]).fetchall()
    if not found:
        return []
    listed = parse_json(str(found[0][0]), list[str], "the list of shards in a store")
    merged = con.execute("select shard_id from merged_shards").fetchall()
    return sorted(set(listed) - {shard for (shard,) in merged})


def expect(con: duckdb.DuckDBPyConnection, shards: Collection[str]) -> None:
    """Note in a store which shards it is to hold; what it holds by now is taken off that note."""
    con.execute("begin")
    value = json.dumps([*shards, *lacking(con)])
    con.execute("insert or replace into meta values (?, ?)", [_EXPECTED, value])
    if left := lacking(con):
        con.execute("update meta set value = ? where key = ?", [json.dumps(left), _EXPECTED])
    else:
        con.execute("delete from meta where key = ?", [_EXPECTED])
    con.execute("commit")


@lru_cache(maxsize=1)
def shard_tables() -> frozenset[str]:
    """Return the tables that a shard may have."""
    return frozenset(tables()) - frozenset(_BOOKKEEPING)


def read_manifest(data: bytes, shard: str, where: str) -> Manifest:
    """Return the manifest that a shard's file holds.

    Raises UserError for a foreign or malformed one, for another version's, and for one that names
    another shard, another worker or an unknown table.
    """
    head = parse_json(data, dict[str, Any], where)
    version = head.get("store_version")
    if head.get("application") != "folkways" or not isinstance(version, int):
        raise UserError(f"{where} is no shard of folkways")
    if version != STORE_VERSION:
        raise UserError(
            f"{where} was written by a folkways with store version {version}; this one has "
            f"{STORE_VERSION}: merge it with the version that wrote it"
        )
    found = parse_json(data, Manifest, where)
    if found.shard != shard or found.worker != shard.rpartition("-")[0]:
        raise UserError(
            f"{where} says that it is the shard '{found.shard}' of the worker '{found.worker}', "
            f"which a folder '{shard}' is not; a shard keeps the name under which it was written"
        )
    if unknown := sorted(found.rows.keys() - shard_tables()):
        raise UserError(f"{where} has rows for '{unknown[0]}', which is not a table of a shard")
    return found
