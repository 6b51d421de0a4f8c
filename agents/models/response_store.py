"""The file that responses of models are kept in: SQLite, shared by any number of processes.

Invariant: responses are added and never changed; one that was kept is there whole, whatever kills
the process afterwards.
"""

from __future__ import annotations

import asyncio
import heapq
import sqlite3
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import StrictFloat, StrictInt, TypeAdapter, ValidationError

from agents.models.base import ModelUnavailable

TABLES = Path(__file__).with_suffix(".sql")
APPLICATION, VERSION = 1718578283, 1
"""What the file says of itself; as in the SQL."""
_KEPT_OF_KEY = 8
"""Bytes of a key that stand for a request while its like are counted."""
_BUSY_S = 60.0
"""How long to wait for other processes that write."""
_FIND = """
select reply, finish_reason, prompt_tokens, completion_tokens, cached_tokens, cost, reasoning,
    reasoning_tokens
from responses where request = ? and replicate = ?
"""
_KEEP_MODEL = "insert or ignore into models (model, name, options) values (?, ?, ?)"
_KEEP = """
insert into responses (
    request, replicate, verb, model, prompt_hash, seed,
    reply, finish_reason, prompt_tokens, completion_tokens, cached_tokens, cost, reasoning,
    reasoning_tokens, endpoint
) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
on conflict do nothing
"""
_DROP_BLANK = """
delete from responses
where request = ? and replicate = ? and trim(reply, ' ' || char(9, 10, 11, 12, 13)) = ''
"""


_ADDED = """
begin immediate;
alter table responses add column reasoning text;
alter table responses add column reasoning_tokens integer;
commit;
"""
"""Columns that files made before lack."""
_VIEWED = """
create temp view responses as
select *, null as reasoning, null as reasoning_tokens from main.responses
"""
"""The same for a file that stays as it is."""


class Asking(NamedTuple):
    """Who answers: a model with the options that shape its answers."""

    id: str
    name: str
    options: str
    """JSON."""


class Request(NamedTuple):
    """What a model is asked."""

    key: bytes
    """SHA-256 of everything that shapes the answer."""
    verb: str
    model: Asking
    prompt_hash: str
    seed: int | None


class Response(NamedTuple):
    """What is kept of an answer."""

    reply: str
    finish_reason: Literal["stop", "length"] | None = None
    prompt_tokens: StrictInt | None = None
    completion_tokens: StrictInt | None = None
    cached_tokens: StrictInt | None = None
    cost: StrictFloat | None = None
    reasoning: str | None = None
    reasoning_tokens: StrictInt | None = None


_KEPT = TypeAdapter(Response)


class _Job(NamedTuple):
    """What the thread that owns the connection is to do."""

    statements: Sequence[tuple[str, Sequence[Any]]]
    """Of the last one a row is returned."""
    writes: bool
    done: asyncio.Future[Any]


class ResponseStore:
    """The responses in one file, and how often each request was made in this launch."""

    def __init__(self, path: Path, strict: bool = False) -> None:
        """Nothing is opened yet. With `strict` the file must be there, and stays as it is."""
        self.path, self.strict = path, strict
        self._next: dict[bytes, int] = {}
        self._returned: dict[bytes, list[int]] = {}
        self._waiting: deque[_Job] = deque()
        self._called = False
        """Whether the thread has been told of what waits."""
        self._thread: ThreadPoolExecutor | None = None
        self._con: sqlite3.Connection | None = None

    def __reduce__(self) -> tuple[type[ResponseStore], tuple[Path, bool]]:
        return ResponseStore, (
            self.path.resolve(),
            self.strict,
        )  # another process opens it for itself

    def take(self, key: bytes) -> int:
        """Return the number of a request among those like it in this launch, from 0."""
        key = key[:_KEPT_OF_KEY]
        if returned := self._returned.get(key):
            return heapq.heappop(returned)
        number = self._next.get(key, 0)
        self._next[key] = number + 1
        return number

    def give_back(self, key: bytes, number: int) -> None:
        """Have the next such request take a number that no response came of."""
        key = key[:_KEPT_OF_KEY]
        if number == self._next[key] - 1:
            self._next[key] = number
        else:
            heapq.heappush(self._returned.setdefault(key, []), number)

    async def open(self) -> None:
        """Open the file, and make it if need be. Raises ModelUnavailable where that cannot be."""
        await self._do([("select 1", ())], False)

    async def find(self, key: bytes, number: int) -> Response | None:
        """Return what is kept for a request, a reply without text only where the model must not be
        asked again. Raises as `open` does."""
        row = await self._do([(_FIND, (key, number))], False)
        kept = None if row is None else self._read(row)
        blank = kept and kept.finish_reason and not kept.reply.strip()
        return None if blank and not self.strict else kept

    async def keep(
        self, request: Request, number: int, response: Response, endpoint: str | None = None
    ) -> Response:
        """Keep a response, and return what is kept: another process may have been first. It takes
        the place of a reply without text.

        It is in the file when this returns, and will be if this is cancelled. Raises as `open`.
        """
        key, verb, model, prompt_hash, seed = request
        values = (key, number, verb, model.id, prompt_hash, seed, *response, endpoint)
        statements = [(_KEEP_MODEL, model), (_DROP_BLANK, (key, number)), (_KEEP, values)]
        row = await self._do([*statements, (_FIND, (key, number))], True)
        return self._read(row)

    def _read(self, row: Sequence[Any]) -> Response:
        """Return a row of the file. Raises ModelUnavailable where no folkways wrote it."""
        try:
            return _KEPT.validate_python(tuple(row))
        except ValidationError:
            raise self.foreign() from None

    def foreign(self) -> ModelUnavailable:
        """Return what to say of an answer in the file that no folkways has kept there."""
        return ModelUnavailable(
            f"the response cache {self.path} holds an answer that is not as folkways keeps one; "
            "choose another cache.path, or set cache.mode=off"
        )

    async def close(self) -> None:
        """Close the file once everything is kept; a later call opens it again."""
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        thread.submit(self._disconnect)
        await asyncio.to_thread(thread.shutdown)

    async def _do(self, statements: Sequence[tuple[str, Sequence[Any]]], writes: bool) -> Any:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "responses")
        loop = asyncio.get_running_loop()
        job = _Job(statements, writes, loop.create_future())
        self._waiting.append(job)
        if not self._called:
            self._called = True
            self._thread.submit(self._serve, loop)
        return await job.done

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Do all that waits, in one transaction; runs in the thread that owns the connection."""
        self._called = False
        jobs = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            results: Sequence[Any] = self._transact(jobs)
        except Exception as error:  # whoever waits is told, whatever it is
            results = [self._fault(error) for _ in jobs]
        loop.call_soon_threadsafe(_settle, jobs, results)

    def _transact(self, jobs: Sequence[_Job]) -> list[Any]:
        con = self._con = self._con or _connect(self.path, self.strict)
        writes, found = any(job.writes for job in jobs), []
        try:
            if writes:
                con.execute("begin immediate")
            for job in jobs:
                rows = [con.execute(sql, values).fetchone() for sql, values in job.statements]
                found.append(rows[-1])
            if writes:
                con.execute("commit")
        finally:
            if con.in_transaction:
                con.execute("rollback")
        return found

    def _disconnect(self) -> None:
        if self._con is not None:
            self._con.close()
            self._con = None

    def _fault(self, error: Exception) -> Exception:
        if not isinstance(error, (sqlite3.Error, OSError)):
            return error
        return ModelUnavailable(
            f"the response cache {self.path} cannot be used: {error}; see that it can be written "
            "and its disk has room, choose another cache.path, or set cache.mode=off"
        )


def _settle(jobs: Sequence[_Job], results: Sequence[Any]) -> None:
    """Hand over what came of jobs, an exception or a row; nobody may be waiting any more."""
    for job, result in zip(jobs, results, strict=True):
        if job.done.done():
            continue
        if isinstance(result, Exception):
            job.done.set_exception(result)
        else:
            job.done.set_result(result)


def _connect(path: Path, strict: bool) -> sqlite3.Connection:
    """Return a connection to the file, made if need be; wait for others that make it now."""
    if strict and not path.exists():
        raise ModelUnavailable(
            f"there is no response cache {path} to replay from; name the file with cache.path, or "
            "fill it first with cache.mode=read-write"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    patience = time.monotonic() + _BUSY_S
    while True:
        con = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        try:
            _prepare(con, path, strict)
            return con
        except BaseException as error:
            con.close()
            # SQLite does not wait by itself for others that turn the file's journal to WAL
            locked = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
            if not locked or time.monotonic() > patience:
                raise
            time.sleep(0.02)


def _prepare(con: sqlite3.Connection, path: Path, strict: bool) -> None:
    """Make the tables of a new file. Raises ModelUnavailable for a file that is something else."""
    con.execute("pragma trusted_schema = off")
    if not strict and not con.execute("select 1 from sqlite_master").fetchone():
        con.execute("pragma journal_mode = wal")
        con.executescript(TABLES.read_text(encoding="utf-8"))
    con.execute("pragma synchronous = normal")
    application, version = (
        con.execute(f"pragma {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    if (application, version) != (APPLICATION, VERSION):
        raise ModelUnavailable(
            f"{path} is no response cache that this folkways can use; choose another cache.path"
        )
    made_otherwise = "select 1 from sqlite_master where type not in ('table', 'index')"
    if con.execute(made_otherwise).fetchone():  # a view or a trigger would run somebody's SQL
        raise ModelUnavailable(f"{path} is not as folkways makes it; choose another cache.path")
    columns = [row[1] for row in con.execute("pragma table_info(responses)").fetchall()]
    if "reasoning" not in columns:
        con.executescript(_VIEWED if strict else _ADDED)
    if strict:
        con.execute("pragma query_only = on")
