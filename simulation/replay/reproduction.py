"""Reproducing a store without a model: every episode replayed, compared with the log row by row.

Invariant: an episode counts as reproduced only if every prompt has its recorded hash and every
column but the clock's has its recorded value; memory does not grow with the store.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from folkways.errors import UserError
from folkways.event_loop import run_to_end
from folkways.files import new_folder, write_whole
from folkways.registry import CodeNotAllowed
from simulation.episode.episode import Episode, record_of
from simulation.execution.progress import Progress
from simulation.plan import REPLAYED
from simulation.replay.branch import PARENT
from simulation.replay.player import Changed, Replay, branch_of, replay_from
from simulation.replay.stored_episode import PLAYED, Book, StoredEpisode, read_book
from simulation.store.part import shared_keys
from simulation.store.reader import find_episode, open_reader, read_rows
from simulation.store.record import Record, Row
from simulation.store.rows import DERIVED
from simulation.store.writer import Store

_CHUNK = 256
"""Episodes that are read from the store, and written to another, at once."""
_CLOCK = {"episodes": ("started_at", "wall_s"), "calls": ("latency_s",)}
"""Columns that only a clock can tell; they are taken from the log."""
_JSON_COLUMNS = ("changes", "args", "granted")
_SHOWN = 60
"""Characters of a value that a difference is reported with."""
_BEFORE = 10
"""Of these, how many stand before the difference."""
_PAGE = """
select episode_id, rowid from episodes where rowid > ? and rowid <= ? order by rowid limit ?
"""
_MAX_FAULTS = 20
"""Faults that are kept in words."""
_SIDE = "select count(*) from calls where step = 0"


class RowFault(NamedTuple):
    """Why an episode is not reproduced."""

    episode_id: str
    what: str


@dataclass(slots=True)
class Account:
    """What a reproduction came to."""

    episodes: int = 0
    branches: int = 0
    calls: int = 0
    """Calls of the play in the log, those that branches share with parents left out."""
    prompts: int = 0
    """Prompts that were rebuilt and have their recorded hash."""
    left_aside: int = 0
    """Calls of reviews, which are no part of any episode's play."""
    faults: list[RowFault] = field(default_factory=list)
    """The first MAX_FAULTS of them."""
    faulty: int = 0


def reproduce(
    run: Path, episode: str | None = None, out: Path | None = None, quiet: bool = False
) -> Account:
    """Replay every episode of a run, or one, and compare it with the log.

    Reproduced episodes are written to a new store in the folder `out`. The run's store is opened
    for moments only. Raises UserError for a missing run or episode, and for a folder that is not
    empty.
    """
    account = Account()
    progress = _Checked(account, quiet)
    with closing(open_reader(run)) as con:
        count, last = con.execute("select count(*), max(rowid) from episodes").fetchall()[0]
        if not count:
            raise UserError("no episode has been stored in this run yet")
        only = find_episode(con, episode) if episode else None
        progress.total = 1 if only else count
        account.left_aside = 0 if only else con.execute(_SIDE).fetchall()[0][0]
    with ExitStack() as folders, progress.shown():
        target = folders.enter_context(_target(run, out)) if out else None
        for ids, book in _books(run, only, last):
            records = run_to_end(_checked(book, ids, account, progress))
            if target and records:
                target.append(records)
    return account


def _books(run: Path, only: str | None, last: int) -> Iterator[tuple[list[str], Book]]:
    """Yield the episodes up to a row of the store, or one of them, many at a time."""
    place = -1
    while place < last:
        with closing(open_reader(run)) as con:
            page = [place, last, _CHUNK]
            found = [(only, last)] if only else con.execute(_PAGE, page).fetchall()
            ids, place = [id_ for id_, _ in found], found[-1][1]
            book = read_book(con, ids)
        yield ids, book


@contextmanager
def _target(run: Path, out: Path) -> Iterator[Store]:
    """Give a new store with the run's configuration, which is in its place once all is written."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"'{out}' exists already and is not an empty folder; choose another name")
    try:
        with new_folder(out) as part:
            store = Store(part)
            store.create()
            with closing(open_reader(run)) as con:
                for row in read_rows(con, "select * from runs where kind = 'run'"):
                    write_whole(part, part / "config.yaml", row["config"])
                    store.add("runs", row)
            yield store
    except OSError as error:
        raise UserError(f"cannot make '{out}': {error.strerror}") from error


async def _checked(
    book: Book, ids: Sequence[str], account: Account, progress: Progress
) -> list[Record]:
    """Return the records of those episodes whose replay is as the log has it."""
    records = []
    for id_ in ids:
        account.episodes += 1
        try:
            records.append(await _one(book, book[id_], account))
        except CodeNotAllowed:
            raise
        except Exception as error:  # whatever is wrong with one episode, the others are checked
            name = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            account.faulty += 1
            if len(account.faults) < _MAX_FAULTS:
                account.faults.append(RowFault(id_, f"{name}{error}"))
        progress.done += 1
    return records


async def _one(book: Book, recorded: StoredEpisode, account: Account) -> Record:
    """Return the record of an episode as its replay has it. Raises Changed where that differs."""
    account.branches += recorded.branch is not None
    account.calls += sum(call["endpoint"] != PARENT for call in recorded.tables["calls"])
    played = await replay_from(book, recorded.row["episode_id"])
    account.prompts += len(played.calls)
    record = _record_of_replay(book, recorded, played)
    if found := _difference(recorded, record):
        raise Changed(found)
    return record


def _record_of_replay(book: Book, recorded: StoredEpisode, played: Replay) -> Record:
    """Return the record of a replayed episode, with the clock's columns of the log."""
    row, branch = recorded.row, branch_of(book, recorded)
    episode = branch.episode() if branch else Episode(
        row["content_hash"], recorded.scenario, row["culture_id"], row["language"],
        row["replicate"], row["seed"], row["attempt"],
    )  # fmt: skip
    record = record_of(
        episode, played.conditions, played.stage, played.state, row["started_at"], row["wall_s"]
    )
    record = branch.record(record) if branch else record
    record.shared["templates"] = _templates(recorded, record)
    timed = {call["call"]: call["latency_s"] for call in recorded.tables["calls"]}
    for call in record.rows["calls"]:
        call["latency_s"] = timed.get(call["call"], call["latency_s"])
    return record


def _templates(recorded: StoredEpisode, record: Record) -> list[Row]:
    """Return the templates of an episode: those its calls used as they are here, and as the log has
    them those that are stored with every episode."""
    asked = {call["template_hash"] for call in record.rows["calls"]}
    here = [row for row in record.shared["templates"] if row["template_hash"] in asked]
    stored = recorded.sources.tables["templates"].values()
    return here + [
        row for row in stored if row["name"] in REPLAYED and row["template_hash"] not in asked
    ]


def _difference(recorded: StoredEpisode, record: Record) -> str | None:
    """Return the first difference between an episode's rows in the log and in a replay, in words,
    or None where all columns are equal but the clock's, those computed from others, and the order
    of rows in shards."""
    for table in PLAYED:
        left_out = {"rowid", *_CLOCK.get(table, ()), *DERIVED.get(table, ())}
        stored, again = recorded.tables[table], record.rows.get(table, [])
        for number, (old, new) in enumerate(zip(stored, again, strict=False), start=1):
            for name in old:
                if name not in left_out and _value(name, old) != _value(name, new):
                    return f"{table}.{name}, row {number}: {_both(old[name], new.get(name))}"
        if len(stored) != len(again):
            return f"{table}: {_both(f'{len(stored)} rows', f'{len(again)} rows')}"
    for table, rows in record.shared.items():
        for new in rows:
            key = new[shared_keys()[table]]
            old = recorded.sources.tables[table].get(key, {})
            for name in new:
                if old.get(name) != new[name]:
                    return f"{table}.{name} of '{key}': {_both(old.get(name), new[name])}"
    return None


def _value(name: str, row: Mapping[str, Any]) -> Any:
    value = row.get(name)
    return json.loads(value) if name in _JSON_COLUMNS and value else value


def _both(stored: object, again: object) -> str:
    """Tell two values from where they begin to differ."""
    texts = [" ".join(str(value).split()) for value in (stored, again)]
    alike = (place for place, pair in enumerate(zip(*texts, strict=False)) if len({*pair}) > 1)
    same = max(next(alike, min(map(len, texts))) - _BEFORE, 0)
    old, new = (
        f"{'...' * (same > 0)}{text[same : same + _SHOWN]}{'...' * (len(text) > same + _SHOWN)}"
        for text in texts
    )
    return f"the log has '{old}', the replay '{new}'"


class _Checked(Progress):
    """Progress that counts prompts."""

    def __init__(self, account: Account, quiet: bool) -> None:
        super().__init__(quiet)
        self.account = account

    def line(self) -> str:
        """Return the state as one line."""
        account = self.account
        parts = [f"{self.done}/{self.total} episodes", f"{account.prompts:,} prompts rebuilt"]
        return " | ".join(parts + ([f"{account.faulty} differ"] if account.faulty else []))
