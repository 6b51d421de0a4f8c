"""How a run stands: what its processes tell in their heartbeats, and what the store holds.

Invariant: asking changes nothing in the run, and keeps its store open no longer than a few short
queries take.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import duckdb
from pydantic import BaseModel

from simulation.execution.heartbeat import (
    FOLDER,
    MAIN,
    SLOWEST,
    Beat,
    Rates,
    StageBeat,
    Used,
    ended_by_kill,
    read_beat,
)
from simulation.store.locked import quoted
from simulation.store.part import counted_tables
from simulation.store.reader import find_store, open_reader, read_rows
from simulation.store.record import LATENCY
from simulation.store.run_lock import FILE as LOCK
from simulation.store.run_lock import holder
from simulation.store.writer import FILE

_SILENT_S = 15.0
"""Seconds without a heartbeat after which a process shows no sign of life."""
_STORE_WAIT_S = 2.0
"""Seconds to wait for the writer to let go of the store."""
_LAUNCHES_SHOWN = 5
_CALLS = "select table_name from duckdb_columns() where column_name = ? and not internal"
_SPENT = """
select columns(lambda name: name in (
    'failure', 'copied', 'prompt_tokens', 'cached_tokens', 'completion_tokens', 'cost'
)) from {table}
"""
_SUMS = """
select
    (select count(distinct episode_id) from verdicts) as critiqued,
    (select count(distinct episode_id) from intents) as labelled, {counted},
    count(*) as calls, count(failure) as failed_calls,
    coalesce(sum(prompt_tokens), 0)::bigint as prompt_tokens,
    coalesce(sum(cached_tokens), 0)::bigint as cached_tokens,
    coalesce(sum(completion_tokens), 0)::bigint as completion_tokens, sum(cost) as cost
from ({spent}) where copied is distinct from true
"""
_EXITS = """
select exit_reason, count(*) as n, sum(turns)::bigint from latest_episodes group by exit_reason
order by n desc, exit_reason
"""
_SERVED = """
select endpoint, count(*) as n from calls where endpoint is not null group by endpoint
order by n desc, endpoint
"""
_LAUNCHES = """
select stage, started_at, ended_at, episodes, prompt_tokens, completion_tokens, cost, end_reason
from launches order by ended_at desc, started_at desc limit ?
"""


class Launch(BaseModel):
    """A row of the table launches: a launch that came to an orderly end."""

    stage: str
    started_at: datetime
    ended_at: datetime
    episodes: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    end_reason: str


class Stored(BaseModel, extra="allow"):
    """What the store holds, all launches together; a field more for each table whose rows a part of
    the store has counted."""

    episodes: int
    """Latest attempts, as are turns and exit reasons."""
    turns: int
    exit_reasons: dict[str, int]
    critiqued: int
    """Episodes with a verdict."""
    labelled: int
    """Episodes with an intent."""
    calls: int
    failed_calls: int
    """Of the calls of scenes, critics and labellers."""
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    cost: float | None
    """US dollars; null where no price is known."""
    endpoints: dict[str, int]
    """Calls that each endpoint of a pool served."""
    launches: list[Launch]
    """The last ones, latest first."""


class Process(BaseModel):
    """A process that works on the run, or did."""

    name: str
    """main: it holds the run's lock; others are workers."""
    pid: int
    host: str
    alive: bool
    beat_at: datetime
    silent_s: float
    """Seconds since its last heartbeat."""


class StageStatus(StageBeat):
    """How far a stage is, all processes together."""

    seconds_left: float | None
    """By the rate of the last minute, or since the start where nothing was finished in that."""


class Status(BaseModel):
    """How a run stands."""

    run: str
    state: Literal["live", "silent", "busy", "killed", "idle"]
    """live: a process works; silent: one holds the run and shows no sign of life; busy: one holds
    it and tells no progress, as between two stages; killed: the last one ended without notice."""
    read_at: datetime
    writer: int | None
    """PID of the process that holds the run's lock."""
    processes: list[Process]
    stages: list[StageStatus]
    """In the order in which they began."""
    budget: dict[str, Used]
    """Of the launch in progress or the last one, by limit."""
    stored: Stored | None
    """Null where the store could not be read, for the reason in `note`."""
    note: str | None


def read_status(
    run: Path, now: datetime, wait_s: float = _STORE_WAIT_S, stored: Stored | None = None
) -> Status:
    """Return how a run stands; `stored` is what of the store is known already.

    Raises UserError where there is no run, and for a store that cannot be read.
    """
    folder, note = run_folder(run), None
    if stored is None:
        stored, note = read_stored(run, wait_s)
    beats = [beat for file in sorted((folder / FOLDER).glob("*.json")) if (beat := read_beat(file))]
    pid = holder(folder)
    processes = [_process(beat, pid, now) for beat in beats]
    alive = {process.name for process in processes if process.alive}
    main = next((beat for beat in beats if beat.name == MAIN), None)
    return Status(
        run=str(run),
        state=_state(pid, main, processes),
        read_at=now,
        writer=int(pid) if pid and pid.isdigit() else None,
        processes=processes,
        stages=_stages(main, [beat for beat in beats if beat is not main], alive),
        budget=main.budget if main else {},
        stored=stored,
        note=note,
    )


def run_folder(run: Path) -> Path:
    """Return the folder of a run, given that or its store. Raises UserError where there is none."""
    if _begun(run):
        return run
    path = find_store(run)
    return path if path.is_dir() else path.parent


def _begun(run: Path) -> bool:
    return run.is_dir() and any((run / name).exists() for name in (FOLDER, LOCK))


def read_stored(run: Path, wait_s: float = _STORE_WAIT_S) -> tuple[Stored | None, str | None]:
    """Return what the store holds, or None and why it could not be read just now."""
    if _begun(run) and not (run / FILE).exists():
        return None, f"there is no store ({FILE}) yet"
    with closing(open_reader(run, wait_s=wait_s)) as con:
        return _stored(con), None


def _stored(con: duckdb.DuckDBPyConnection) -> Stored:
    calls = con.execute(_CALLS, [LATENCY]).fetchall()
    spent = " union all by name ".join(_SPENT.format(table=quoted(table)) for (table,) in calls)
    counted = (f"(select count(*) from {table}) as {table}" for table in counted_tables())
    query = _SUMS.format(counted=", ".join(counted), spent=spent)
    sums: dict[str, Any] = read_rows(con, query)[0]
    exits = con.execute(_EXITS).fetchall()
    return Stored(
        **sums,
        episodes=sum(count for _, count, _ in exits),
        turns=sum(turns for _, _, turns in exits),
        exit_reasons={reason: count for reason, count, _ in exits},
        endpoints=dict(con.execute(_SERVED).fetchall()),
        launches=[Launch(**row) for row in read_rows(con, _LAUNCHES, _LAUNCHES_SHOWN)],
    )


def _process(beat: Beat, pid: str | None, now: datetime) -> Process:
    """Return whether the process of a heartbeat is alive: by the lock where it holds that on this
    machine, else by the time of its last beat."""
    silent_s = max((now - beat.beat_at).total_seconds(), 0.0)
    if beat.name == MAIN and beat.host == socket.gethostname():
        alive = pid == str(beat.pid)
    else:
        alive = silent_s <= _SILENT_S and any(stage.state != "ended" for stage in beat.stages)
    return Process(
        name=beat.name,
        pid=beat.pid,
        host=beat.host,
        alive=alive,
        beat_at=beat.beat_at,
        silent_s=silent_s,
    )


def _state(
    pid: str | None, main: Beat | None, processes: Sequence[Process]
) -> Literal["live", "silent", "busy", "killed", "idle"]:
    ended = main is None or all(stage.state in ("ended", "killed") for stage in main.stages)
    told = next((process for process in processes if process.name == MAIN), None)
    if told is None or not told.alive:
        return "busy" if pid else "idle" if ended else "killed"
    if ended:
        return "busy"
    return "live" if told.silent_s <= _SILENT_S else "silent"


def _stages(main: Beat | None, others: Sequence[Beat], alive: set[str]) -> list[StageStatus]:
    """Return the stages, the numbers of processes that worked on the same launch added up."""
    if main is None:
        return []
    found = []
    for own in main.stages:
        parts = [own if main.name in alive else ended_by_kill(own)]
        for beat in others:
            parts += [
                part if beat.name in alive else ended_by_kill(part)
                for part in beat.stages
                if part.stage == own.stage and part.began_at >= own.began_at
            ]
        found.append(_together(parts))
    return found


def _together(parts: Sequence[StageBeat]) -> StageStatus:
    first = parts[0]
    sums = {
        name: sum(getattr(part, name) for part in parts)
        for name in (
            "total",
            "already",
            "done",
            "live",
            "turns",
            "prompt_tokens",
            "completion_tokens",
        )
    }
    outcomes: Counter[str] = sum((Counter(part.outcomes) for part in parts), Counter())
    costs = [part.cost for part in parts if part.cost is not None]
    slow = sorted((one for part in parts for one in part.slow), key=lambda one: -one.seconds)
    lately = _added([part.last_minute for part in parts])
    since = _added([part.since_start for part in parts])
    left, rate = sums["total"] - sums["done"], (lately and lately.items) or (since and since.items)
    working = first.state in ("starting", "working") and rate
    return StageStatus(
        **first.model_dump(exclude={*sums, "outcomes", "cost", "slow", "endpoints", "last_minute",
                                    "since_start", "models"}),
        **sums, outcomes=dict(outcomes.most_common()), cost=sum(costs) if costs else None,
        models=list(dict.fromkeys(name for part in parts for name in part.models)),
        last_minute=lately, since_start=since, slow=slow[:SLOWEST],
        endpoints=[one for part in parts for one in part.endpoints],
        seconds_left=left / rate if working and rate else None,
    )  # fmt: skip


def _added(rates: Sequence[Rates | None]) -> Rates | None:
    known = [one for one in rates if one]
    if not known:
        return None
    names = ("items", "turns", "tokens")
    return Rates(**{name: sum(getattr(one, name) for one in known) for name in names})
