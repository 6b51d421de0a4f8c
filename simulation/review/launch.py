"""Reviewing a run that has been played: its folder, its lock, its recorded configuration.

Invariant: one process at a time writes a run, and a review never changes its configuration.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from agents.models.base import ENGINES
from folkways.clock import utc_now
from folkways.errors import UserError
from folkways.event_loop import run_to_end
from folkways.files import checked, parse_yaml
from folkways.registry import require_allowed
from simulation.config import ModelConfig
from simulation.episode.budget import Budget, BudgetConfig
from simulation.execution.model_manager import NO_CACHE, CacheConfig, ModelManager
from simulation.execution.placement import Cluster, recover_shards
from simulation.review.stage import ReviewContext, run_critique, run_labels
from simulation.review.task import Bounds, Player
from simulation.review_settings import CritiqueConfig, LabelConfig
from simulation.store.reader import find_store
from simulation.store.run_lock import locked
from simulation.store.writer import FILE, Store


@dataclass(frozen=True, slots=True)
class _Played:
    """What a review needs of the configuration on record."""

    name: str
    model: ModelConfig


def review(
    run: Path,
    settings: CritiqueConfig | LabelConfig,
    bounds: Bounds,
    budget: BudgetConfig,
    quiet: bool = False,
    cache: CacheConfig = NO_CACHE,
    cluster: Cluster | None = None,
) -> str:
    """Critique or label a run and return why the launch ended: done, drained, or a spent budget.

    Raises UserError for a missing run or one that another process writes, for one without episodes,
    and when a model cannot be used; KeyboardInterrupt after a second Ctrl-C.
    """
    path = find_store(run)
    if path.name != FILE:
        raise UserError(f"'{path}' is not the store of a run; give the run's folder, or its {FILE}")
    folder = path.parent
    with locked(folder):
        store = Store(folder)
        store.create()
        stored = store.run()
        if stored is None:
            raise UserError(f"{folder / FILE} holds no run; play one first: folkways run")
        recover_shards(store, cluster, utc_now())
        text = parse_yaml(stored[0], f"the configuration in {folder / FILE}")
        config = checked(text, _Played, f"the configuration in {folder / FILE}")
        if not (settings.models if isinstance(settings, CritiqueConfig) else settings.model):
            require_allowed("model", config.model.name, ENGINES)
        stage = ReviewContext(
            folder,
            config.name,
            Player(config.model.name, config.model.options),
            ModelManager(cache.opened(folder.resolve().parent)),
            bounds,
            Budget(budget, time.monotonic),
            utc_now,
            quiet,
            cluster,
        )
        return run_to_end(_review(stage, settings))


async def _review(stage: ReviewContext, settings: CritiqueConfig | LabelConfig) -> str:
    try:
        if isinstance(settings, CritiqueConfig):
            return await run_critique(stage, settings)
        return await run_labels(stage, settings)
    finally:
        await stage.engines.close()
