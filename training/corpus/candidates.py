"""The candidate rows of a corpus while it is made: their texts in a file, in the order in which
they came, and what is decided about them in a DuckDB table.

Invariant: rows are only ever marked, never deleted, so that all of them can be accounted for; no
text is held in memory, however many there are; what a process that was killed has left is whole up
to the last mark it set.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from training.corpus.ledger import Ledger
from training.corpus.row import CorpusRow

FILE, TEXTS = "candidates.duckdb", "texts.jsonl"
_MEMORY = "512MB"
"""What DuckDB may take; more goes to disk."""
_FETCHED = 1000
"""Rows read at a time."""
_TABLES = """
create sequence if not exists numbers;
create or replace table visits (place integer, episode varchar);
create table if not exists candidates (
    number integer default nextval('numbers'), split varchar default 'train', reason varchar,
    id varchar, likeness varchar, draw varchar, task varchar, family varchar, culture varchar,
    focal varchar[], people varchar[], tokens integer, start bigint, size integer);
create or replace table kept (number integer, copy integer, split varchar, task varchar,
    tokens integer, reason varchar, place bigint);
create table if not exists collected (made_of varchar, chunks integer, size bigint, note json);
update candidates set split = 'train', reason = null;
"""
_COLUMNS = {
    "id": "varchar",
    "likeness": "varchar",
    "draw": "varchar",
    "task": "varchar",
    "family": "varchar",
    "culture": "varchar",
    "focal": "varchar[]",
    "people": "varchar[]",
    "tokens": "integer",
    "start": "bigint",
    "size": "integer",
}
_DUPLICATES = """
update candidates set reason = 'duplicate' where number in (
    select number from candidates
    qualify row_number() over (partition by likeness order by number) > 1)
"""
_READ = """
select c.start, c.size from kept k join candidates c using (number)
where k.split = ? and k.reason is null order by k.place
"""
_HASHED = """
select k.split, c.id from kept k join candidates c using (number)
where k.reason is null order by k.split, k.place
"""
_DROPPED = """
select task, coalesce(reason, 'mixture'), count(*) from candidates
where reason is not null or number not in (select number from kept) group by all
union all
select task, reason, count(*) from kept where reason is not null group by all
"""
_KEPT = """
select task, split, count(*) filter (reason is null), count(*) filter (copy > 0),
    coalesce(sum(tokens) filter (reason is null), 0)
from kept group by all
"""


class Candidates:
    """The candidate rows, those kept among them once they are chosen."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        self.con = duckdb.connect(str(folder / FILE))
        self.con.execute("set memory_limit = ?", [_MEMORY])
        self.con.execute(_TABLES)
        self._path = folder / TEXTS
        self._texts = self._path.open("ab")

    def resume(self, made_of: str) -> tuple[int, dict[str, Any]]:
        """Return how many chunks of episodes are collected already, and what was noted with the
        last; what was made of something else is dropped."""
        found = self.con.execute(
            "select chunks, size, note from collected where made_of = ?", [made_of]
        ).fetchall()
        if not found or self._path.stat().st_size < found[0][1]:
            self.con.execute("delete from candidates; delete from collected")
            self.con.execute("insert into collected values (?, 0, 0, '{}')", [made_of])
            found = [(0, 0, "{}")]
        chunks, size, note = found[0]
        self._texts.truncate(size)
        self._texts.seek(size)
        return chunks, json.loads(note)

    @contextmanager
    def chunk(self) -> Iterator[Callable[[Any], None]]:
        """Add the rows of a chunk of episodes, all of them or none; what the block calls is given
        what is to be noted with them."""
        notes: list[Any] = [{}]
        self.con.execute("begin")
        yield notes.append
        self._texts.flush()
        os.fsync(self._texts.fileno())
        self.con.execute(
            "update collected set chunks = chunks + 1, size = ?, note = ?",
            [self._texts.tell(), json.dumps(notes[-1])],
        )
        self.con.execute("commit")

    def visit(self, episodes: Sequence[str]) -> None:
        """Note episodes that rows are to be made of, in this order."""
        if episodes:
            self.con.execute(
                "insert into visits select (select count(*) from visits) + i, e from "
                "(select unnest(range(len(?::varchar[]))) as i, unnest(?::varchar[]) as e)",
                [episodes, episodes],
            )

    def chunks(self, size: int, first: int = 0) -> Iterator[list[str]]:
        """Yield the episodes to be visited, so many at a time, from a chunk on."""
        query = "select episode from visits where place >= ? and place < ? order by place"
        start = first * size
        while found := self.con.execute(query, [start, start + size]).fetchall():
            yield [episode for (episode,) in found]
            start += size

    def add(self, rows: Sequence[CorpusRow], length: Callable[[str], int]) -> None:
        """Add candidate rows; `length` counts the tokens of a text."""
        if not rows:
            return
        stored = [self._stored(row, length) for row in rows]
        values = ", ".join(f"unnest(?::{kind}[])" for kind in _COLUMNS.values())
        self.con.execute(
            f"insert into candidates ({', '.join(_COLUMNS)}) select {values}",
            [[row[name] for row in stored] for name in _COLUMNS],
        )

    def drop_duplicates(self) -> None:
        """Drop rows that are like an earlier one; see Row.likeness."""
        self.con.execute(_DUPLICATES)

    def read(self, split: str) -> Iterator[dict[str, Any]]:
        """Yield the kept rows of a split in order: id, messages, rejected, meta."""
        cursor = self.con.cursor().execute(_READ, [split])
        self._texts.flush()
        with self._path.open("rb") as texts:
            while found := cursor.fetchmany(_FETCHED):
                for start, size in found:
                    texts.seek(start)
                    yield json.loads(texts.read(size))

    def corpus_hash(self) -> str:
        """Return a hash of the kept rows in their order, whatever the format they are written in:
        the first 16 hex digits of SHA-256.
        """
        digest = hashlib.sha256()
        cursor = self.con.cursor().execute(_HASHED)
        while found := cursor.fetchmany(_FETCHED):
            digest.update("".join(f"{split} {id_}\n" for split, id_ in found).encode())
        return digest.hexdigest()[:16]

    def account(self, ledger: Ledger) -> None:
        """Add what became of the candidates to an account."""
        for task, reason, count in self.con.execute(_DROPPED).fetchall():
            ledger.dropped[task, reason] += count
        for task, split, count, repeats, tokens in self.con.execute(_KEPT).fetchall():
            ledger.kept[task, split] += count
            ledger.repeats[task] += repeats
            ledger.tokens[task, split] += int(tokens)

    def close(self) -> None:
        """Close both files."""
        self.con.close()
        self._texts.close()

    def _stored(self, row: CorpusRow, length: Callable[[str], int]) -> dict[str, Any]:
        id_, origin = row.id, row.origin
        texts = [message["content"] for message in row.messages] + [row.rejected or ""]
        kept = {"id": id_, "messages": row.messages, "rejected": row.rejected, "meta": row.meta()}
        line = json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        start = self._texts.tell()
        self._texts.write(line)
        return {
            "id": id_,
            "likeness": row.likeness,
            "draw": draw(self.seed, id_),
            "task": row.task,
            "family": origin.family,
            "culture": origin.culture,
            "focal": [origin.persona] if origin.persona else list(origin.people),
            "people": list(origin.people),
            "tokens": sum(map(length, texts)),
            "start": start,
            "size": len(line),
        }


def draw(seed: int, name: str) -> str:
    """Return a number, as hex digits, that decides a name's place in a random order."""
    return hashlib.md5(f"{seed}:{name}".encode(), usedforsecurity=False).hexdigest()
