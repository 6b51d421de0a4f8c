"""The runner: plays those of a plan's episodes that are not stored yet.

Invariant: what is stored is whole episodes, each once; whatever interrupts a run, the same command
continues it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from simulation.config import draft_critic, seats_of
from simulation.episode.budget import Budget
from simulation.episode.episode import Conditions, Episode, play_episode
from simulation.episode.seats import seat_rules
from simulation.execution.executor import Emit, Opened, make_executor
from simulation.execution.model_manager import ModelManager
from simulation.execution.placement import Cluster
from simulation.execution.progress import Progress
from simulation.execution.retry import endings, unfinished
from simulation.execution.task import Tools
from simulation.plan import Plan
from simulation.store.writer import Store


@dataclass(frozen=True, slots=True)
class Playing:
    """The task of playing a plan's episodes."""

    plan: Plan
    stage: str = "run"

    @property
    def models(self) -> Sequence[str]:
        """The model that plays, and the judge in the loop where it is another one."""
        config = self.plan.config
        judge = config.in_loop.model if config.in_loop else None
        seats = (config.models[rule.model].name for rule in seat_rules(config.seats))
        return list(dict.fromkeys([config.model.name, judge or config.model.name, *seats]))

    def open(self, tools: Tools) -> Opened[Episode]:
        """Return what plays an episode."""
        plan, config = self.plan, self.plan.config
        model = judge = tools.engines.lend(config.model.name, config.model.options)
        loop = config.in_loop
        if loop and loop.model and loop.model != config.model.name:
            judge = tools.engines.lend(loop.model, loop.options)
        seats = seats_of(config, tools.engines.lend)
        conditions = Conditions(
            config.name,
            model,
            config.model.call_settings(),
            plan.form,
            config.conditioning,
            plan.personas,
            plan.cultures,
            tools.utc,
            draft_critic(config, judge),
            config.play,
            seats,
        )

        async def work(episode: Episode, emit: Emit) -> None:
            about = (episode.id, episode.scenario.id, episode.culture_id)
            with tools.progress.scene(*about) as watch:
                emit(await play_episode(episode, conditions, tools.budget, watch))

        others = [judge, *(seat.model for seat in seats.models.values())]
        return Opened(list({id(one): one for one in [model, *others]}.values()), work)


class Runner:
    """One launch of a run: from the first unplayed episode until done, drained or out of budget."""

    def __init__(
        self,
        plan: Plan,
        engines: ModelManager,
        run: Path,
        progress: Progress,
        utc: Callable[[], datetime],
        budget: Budget,
        cluster: Cluster | None = None,
    ) -> None:
        self.plan, self.progress, self.utc = plan, progress, utc
        self.store = Store(run)
        tools = Tools(engines, budget, utc, progress)
        concurrency = plan.config.concurrency
        self.executor = make_executor(
            Playing(plan), tools, self.store, progress, concurrency, cluster
        )

    async def run(self, limit: int | None = None, retry: bool = False) -> str:
        """Play what is not done yet, `limit` episodes at most, and return why the launch ended.

        done, limit, drained, or the budget that ran out. `retry` also plays what has failed too
        often. Raises as `Executor.run` does.
        """
        started = self.utc()
        todo, self.progress.total, left_out = self._todo(limit, retry)
        hashes = [episode.content_hash for episode in (todo if left_out else self.plan.episodes())]

        def ended(reason: str) -> None:
            reason = "limit" if reason == "done" and left_out else reason
            name = self.plan.config.name
            row = self.executor.launch_row(name, "run", started, self.utc(), reason)
            self.store.add("launches", row)

        reason = await self.executor.run(
            iter(todo), len(todo), ended, lambda: unfinished(self.store, hashes)
        )
        return "limit" if reason == "done" and left_out else reason

    def _todo(self, limit: int | None, retry: bool) -> tuple[list[Episode], int, bool]:
        """Return the episodes to play, how many they are, and whether the limit left some out."""
        stored, todo = endings(self.store), list[Episode]()
        for episode in self.plan.episodes():
            last = stored.get(episode.content_hash)
            if last is None or last.is_open(retry):
                todo.append(replace(episode, attempt=last.attempt + 1 if last else 1))
        self.progress.already = len(self.plan) - len(todo)
        kept = todo if limit is None else todo[:limit]
        return kept, len(kept), len(kept) < len(todo)
