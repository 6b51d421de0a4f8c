"""Starting branches: from a stored episode at a turn, as many as are not stored yet.

Invariant: what a branch shares with its parent is taken from the log, every prompt of it checked,
before any model is called; what is stored is whole episodes, each once.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from agents.models.base import ENGINES, Model, whole_name
from folkways.clock import utc_now
from folkways.errors import UserError
from folkways.event_loop import run_to_end
from folkways.registry import require_allowed
from simulation.config import draft_critic, seats_of
from simulation.episode.agent_calls import Caller
from simulation.episode.budget import Budget, BudgetConfig
from simulation.episode.entry import Entry
from simulation.episode.episode import Conditions, record_of
from simulation.episode.graph import EpisodeContext, broken_off
from simulation.episode.scene_state import SceneState
from simulation.execution.executor import Emit, Executor, Opened
from simulation.execution.model_manager import ModelManager
from simulation.execution.progress import Progress
from simulation.execution.retry import RETRIED, endings, unfinished
from simulation.replay.branch import Branch, Changes, changed, go_on, read_changes, with_model
from simulation.replay.player import Beginning, beginning
from simulation.replay.stored_episode import Premise, StoredEpisode, read_book
from simulation.store.reader import find_episode, find_store
from simulation.store.record import Record
from simulation.store.run_lock import locked
from simulation.store.writer import FILE, Store


class Wanted(NamedTuple):
    """The branches that a user asks for."""

    episode: str
    """Id of the parent, or its beginning."""
    at_turn: int
    sets: Sequence[str] = ()
    """Changes of roles: ROLE.FIELD=VALUE; of the world: world.NAME=VALUE."""
    say: str | None = None
    n: int = 1
    model: str | None = None
    """Null: the model of the run."""


class Branched(NamedTuple):
    """What became of it."""

    reason: str
    """Why the launch ended."""
    parent_id: str
    ids: list[str]
    """The branches that are stored now, whenever they were played."""


@dataclass(frozen=True, slots=True)
class _BranchPoint:
    """A parent at a turn, ready to branch off from."""

    parent: StoredEpisode
    at_turn: int
    start: Beginning
    changes: Changes
    premise: Premise
    """Changes included."""


def branch(
    run: Path, wanted: Wanted, concurrency: int, budget: BudgetConfig, quiet: bool = False
) -> Branched:
    """Play branches of a stored episode and return why the launch ended, and what is stored.

    Raises UserError for a missing run or episode, one that another process writes, a turn or a
    change that cannot be, a prompt of the beginning that cannot be rebuilt, and a model that cannot
    be used; KeyboardInterrupt after a second Ctrl-C.
    """
    if wanted.n < 1:
        raise UserError(f"--n {wanted.n}: give 1 or more")
    path = find_store(run)
    if path.name != FILE:
        raise UserError(f"'{path}' is not the store of a run; give the run's folder, or its {FILE}")
    with locked(path.parent):
        store = Store(path.parent)
        store.create()
        fork = _fork(store, wanted)
        launch = _Launch(
            store, fork, wanted, Budget(budget, time.monotonic), Progress(quiet, stage="branch")
        )
        reason = run_to_end(launch.run(concurrency))
        ids = {branch.content_hash for branch in launch.branches()}
        with store.reading() as con:
            query = "select episode_id from branch_pairs where parent_id = ? order by number"
            found = con.execute(query, [fork.parent.row["episode_id"]]).fetchall()
        stored = [id_ for (id_,) in found if id_.partition("-")[0] in ids]
        return Branched(reason, fork.parent.row["episode_id"], stored)


def _fork(store: Store, wanted: Wanted) -> _BranchPoint:
    """Return the parent at the turn. Raises UserError as `branch` does."""
    with store.reading() as con:
        id_ = find_episode(con, wanted.episode)
        book = read_book(con, [id_])
    parent = book[id_]
    _require_turn(parent, wanted.at_turn)
    before = parent.premise()
    changes = read_changes(wanted.sets, wanted.say, before)
    start = run_to_end(beginning(book, id_, wanted.at_turn))
    premise = changed(before, changes, parent.cultures)
    return _BranchPoint(parent, wanted.at_turn, start, changes, premise)


def _require_turn(parent: StoredEpisode, turn: int) -> None:
    """Raise UserError for a turn after which nothing can follow."""
    row, count = parent.row, len(parent.tables["turns"])
    last = count if row["exit_reason"] in RETRIED else max(count - 1, 0)
    if not 0 <= turn <= last:
        raise UserError(
            f"--at {turn}: episode {row['episode_id']} has {count} turns and ended with "
            f"{row['exit_reason']}; give 0 to {last}"
        )


class _Launch:
    """One launch of branches."""

    def __init__(
        self,
        store: Store,
        fork: _BranchPoint,
        wanted: Wanted,
        budget: Budget,
        progress: Progress,
        utc: Callable[[], datetime] = utc_now,
    ) -> None:
        self.store, self.fork, self.wanted = store, fork, wanted
        self.budget, self.progress, self.utc = budget, progress, utc
        self.model = whole_name(wanted.model or fork.parent.config.model.name)

    def branches(self) -> list[Branch]:
        """Return the branches that are asked for."""
        fork, numbers = self.fork, range(1, self.wanted.n + 1)
        return [Branch(fork.parent, fork.at_turn, n, fork.changes, self.model) for n in numbers]

    async def run(self, concurrency: int) -> str:
        """Play what is not stored yet and return why the launch ended."""
        todo = list(self._todo())
        if not todo:
            return "done"
        engines, config = ModelManager(), with_model(self.fork.parent.config, self.model)
        if not self.wanted.model:
            require_allowed("model", self.model, ENGINES)
        if config.in_loop and config.in_loop.model:
            require_allowed("model", config.in_loop.model, ENGINES)
        try:
            model: Model = engines.lend(self.model, config.model.options)
            judge, loop = model, config.in_loop
            if loop and loop.model and loop.model != self.model:
                judge = engines.lend(loop.model, loop.options)
            conditions = Conditions(
                self.fork.parent.row["run_id"],
                model,
                config.model.call_settings(),
                self.fork.premise.form,
                config.conditioning,
                {},
                self.fork.parent.cultures,
                self.utc,
                draft_critic(config, judge),
                config.play,
                seats := seats_of(config, engines.lend),
            )
            others = [judge, *(seat.model for seat in seats.models.values())]
            models = list({id(one): one for one in [model, *others]}.values())
            return await self._play_all(todo, models, conditions, concurrency)
        finally:
            await engines.close()

    async def _play_all(
        self,
        todo: Sequence[Branch],
        models: Sequence[Model],
        conditions: Conditions,
        concurrency: int,
    ) -> str:
        self.progress.total, started = len(todo), self.utc()
        self.progress.already = self.wanted.n - len(todo)
        told = {
            "parent": self.fork.parent.row["episode_id"],
            "at": self.fork.at_turn,
            "changes": self.fork.changes.as_json(),
            "n": self.wanted.n,
            "model": self.model,
        }

        async def work(branch: Branch, emit: Emit) -> None:
            episode = branch.episode()
            about = (episode.id, episode.scenario.id, episode.culture_id)
            with self.progress.scene(*about) as watch:
                emit(await _play_branch(branch, self.fork, conditions, self.budget, watch))

        opened = Opened(models, work)
        executor = Executor(opened, self.store, self.budget, self.progress, concurrency)

        def ended(reason: str) -> None:
            row = executor.launch_row(
                conditions.run_id, "branch", started, self.utc(), reason, told
            )
            self.store.add("launches", row)

        hashes = [one.content_hash for one in self.branches()]
        return await executor.run(
            iter(todo), len(todo), ended, lambda: unfinished(self.store, hashes)
        )

    def _todo(self) -> Iterator[Branch]:
        stored = endings(self.store)
        for one in self.branches():
            last = stored.get(one.content_hash)
            if last is None or last.is_open():
                yield replace(one, attempt=last.attempt + 1 if last else 1)


async def _play_branch(
    branch: Branch,
    fork: _BranchPoint,
    conditions: Conditions,
    budget: Budget,
    watch: Callable[[SceneState, Sequence[Entry]], None],
) -> Record:
    """Play one branch and return its record; as in `play_episode`, an exception ends it alone."""
    started, began = conditions.utc(), time.perf_counter()
    episode, stage = branch.episode(), fork.premise.stage()
    caller = Caller(
        conditions.model,
        conditions.settings,
        stage,
        episode.seed,
        budget,
        conditions.critic,
        conditions.seats.of(fork.premise.company(episode.culture_id), episode.replicate),
    )
    caller.tokens = fork.start.tokens
    context = EpisodeContext(stage, caller, watch, time.monotonic())
    try:
        state = await go_on(context, fork.start.state, branch.changes)
    except UserError:
        raise
    except Exception:
        state = broken_off(context, "error", traceback.format_exc())
    wall_s = time.perf_counter() - began
    return branch.record(record_of(episode, conditions, stage, state, started, wall_s))
