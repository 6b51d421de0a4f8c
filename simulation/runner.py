"""The runner: plays those of a plan's episodes that are not stored yet.

Invariant: what is stored is whole episodes, each once; whatever interrupts a run, the same command
continues it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from agents.model import Model
from simulation.budget import Budget
from simulation.caller import CallSettings
from simulation.config import draft_critic
from simulation.crew import Crew, Emit
from simulation.episode import RETRIED, Conditions, Episode, play_episode
from simulation.plan import Plan
from simulation.progress import Progress
from simulation.store import Store


class Runner:
    """One launch of a run: from the first unplayed episode until done, drained or out of budget."""

    def __init__(
        self, plan: Plan, model: Model, run: Path, progress: Progress, utc: Callable[[], datetime],
        budget: Budget | None = None, judge: Model | None = None,
    ) -> None:  # fmt: skip
        """`judge` is the model of the critic in the loop, where it is not the one that plays."""
        self.plan, self.progress, self.utc = plan, progress, utc
        self.store = Store(run)
        config = plan.config
        self.budget = budget or Budget(config.budget, time.monotonic)
        self.conditions = Conditions(
            config.name, model,
            CallSettings(config.model.sampling(), config.model.timeout_s, config.model.repairs),
            plan.form, config.conditioning, plan.personas, plan.cultures, utc,
            draft_critic(config, judge or model),
        )  # fmt: skip
        models = [model, judge] if judge else [model]
        self.crew = Crew(models, self.store, self.budget, progress, config.concurrency)

    async def run(self, limit: int | None = None) -> str:
        """Play what is not stored yet, `limit` episodes at most, and return why the launch ended.

        done, limit, drained, or the budget that ran out. Raises as `Crew.run` does.
        """
        started = self.utc()
        todo, self.progress.total, left_out = self._todo(limit)

        def ended(reason: str) -> None:
            reason = "limit" if reason == "done" and left_out else reason
            name = self.plan.config.name
            row = self.crew.launch_row(name, "run", started, self.utc(), reason)
            self.store.add("launches", row)

        reason = await self.crew.run(todo, self.progress.total, self._play, ended)
        return "limit" if reason == "done" and left_out else reason

    async def _play(self, episode: Episode, emit: Emit) -> None:
        about = (episode.id, episode.scenario.id, episode.culture_id)
        with self.progress.scene(*about) as watch:
            emit(await play_episode(episode, self.conditions, self.budget, watch))

    def _todo(self, limit: int | None) -> tuple[Iterator[Episode], int, bool]:
        """Return the episodes to play, how many they are, and whether the limit left some out."""
        stored: dict[str, tuple[int, str]] = {
            content_hash: (attempt, reason)
            for content_hash, attempt, reason in self.store.episodes()
        }
        todo = []
        for episode in self.plan.episodes():
            attempt, reason = stored.get(episode.content_hash, (0, ""))
            if attempt == 0 or reason in RETRIED:
                todo.append(replace(episode, attempt=attempt + 1))
        self.progress.already = len(self.plan) - len(todo)
        kept = todo if limit is None else todo[:limit]
        return iter(kept), len(kept), len(kept) < len(todo)
