"""Launching a run: its folder, its lock, its configuration on record, and the runner.

Invariant: one process at a time writes a run; a run's configuration never changes under its
episodes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from folkways.clock import utc_now
from folkways.errors import UserError
from folkways.event_loop import run_to_end
from folkways.files import parse_yaml, write_whole
from folkways.provenance import commit, versions
from simulation.config import differences, shaping
from simulation.episode.budget import Budget
from simulation.execution.executor import Incomplete
from simulation.execution.model_manager import ModelManager
from simulation.execution.placement import Cluster, recover_shards
from simulation.execution.progress import Progress
from simulation.execution.task import Tools
from simulation.plan import Plan
from simulation.review.stage import (
    ReviewContext,
    has_candidates,
    prepare,
    run_critique,
    run_labels,
)
from simulation.review.task import Bounds, Player
from simulation.runner import Playing, Runner
from simulation.store.run_lock import locked
from simulation.store.writer import FILE, Store


def launch(
    plan: Plan,
    *,
    limit: int | None,
    fresh: bool,
    quiet: bool = False,
    cluster: Cluster | None = None,
    retry: bool = False,
) -> str:
    """Play a plan in its run folder, here or on a cluster, and return why the launch ended.

    `retry` also plays episodes that failed too often to be tried again by themselves. Raises
    Incomplete when some are to be played again, UserError when another process writes the run, when
    the stored configuration differs, when the model cannot be used and when the store cannot be
    written; KeyboardInterrupt after a second Ctrl-C.
    """
    return run_to_end(
        alaunch(plan, limit=limit, fresh=fresh, quiet=quiet, cluster=cluster, retry=retry)
    )


async def alaunch(
    plan: Plan,
    *,
    limit: int | None,
    fresh: bool,
    quiet: bool = False,
    cluster: Cluster | None = None,
    retry: bool = False,
) -> str:
    """Do what `launch` does in a running event loop."""
    config = plan.config
    run = Path(config.out) / config.name
    engines = ModelManager(config.cache.opened(Path(config.out)))
    budget, progress = Budget(config.budget, time.monotonic), Progress(quiet)
    review = ReviewContext(
        run,
        config.name,
        Player(config.model.name, config.model.options),
        engines,
        Bounds(config.concurrency),
        budget,
        utc_now,
        quiet,
        cluster,
    )
    try:
        for part in (config.critique, config.label):
            if part:
                prepare(review, part)
        playing = Playing(plan).open(Tools(engines, budget, utc_now, progress))
        if cluster is None and (fresh or not (run / FILE).exists()):
            for model in playing.models:
                await model.start()
        if fresh and run.exists():
            set_aside(run)
        run.mkdir(parents=True, exist_ok=True)
        with locked(run):
            settle_configuration(run, config.name, plan.resolved, plan.hash, "run", ("episodes",))
            recover_shards(Store(run), cluster, utc_now())
            return await _stages(plan, review, progress, limit, retry)
    finally:
        await engines.close()


async def _stages(
    plan: Plan, review: ReviewContext, progress: Progress, limit: int | None, retry: bool
) -> str:
    """Play, then critique and label if the configuration says so; return why it ended."""
    unfinished: Incomplete | None = None
    config, run, engines = plan.config, review.run, review.engines
    runner = Runner(plan, engines, run, progress, utc_now, review.budget, review.cluster)
    try:
        reason = played = await runner.run(limit, retry)
    except Incomplete as error:
        unfinished, reason, played = error, "done", "done"
    some = has_candidates(Store(run))
    if config.critique and some and reason in ("done", "limit"):
        reason = await run_critique(review, config.critique)
    if config.label and some and reason in ("done", "limit"):
        reason = await run_labels(review, config.label)
    if unfinished:
        raise unfinished
    return played if reason == "done" else reason


def set_aside(run: Path) -> Path:
    """Rename a run folder to the first free `NAME.old-N`, losing nothing, and return it."""
    number = 1
    while (old := run.with_name(f"{run.name}.old-{number}")).exists():
        number += 1
    with locked(run):
        run.rename(old)
    return old


def settle_configuration(
    run: Path,
    name: str,
    resolved: Mapping[str, Any],
    resolved_hash: str,
    kind: str,
    records: Sequence[str],
) -> None:
    """Record the configuration of work of a kind, whose results are rows of the tables `records`.

    Another configuration is refused once there are such rows.
    """
    store = Store(run)
    store.create()
    stored = store.run(kind)
    if stored and stored[1] == resolved_hash:
        return
    with store.reading() as con:
        empty = not any(con.execute(f"from {table} limit 1").fetchone() for table in records)
        alone = not con.execute("from runs where kind <> ? limit 1", [kind]).fetchone()
    if stored and not empty:
        before = parse_yaml(stored[0], f"the configuration in {run / FILE}")
        changed = differences(shaping(before), shaping(resolved))
        raise UserError(
            f"{run / FILE} was made with another configuration:\n  "
            + "\n  ".join(changed)
            + "\nUndo the change, choose another name, or start over with --fresh (the old folder "
            "is kept under another name)"
        )
    text = yaml.safe_dump(dict(resolved), sort_keys=False, allow_unicode=True)
    file, main = run / f"config-{kind}.yaml", run / "config.yaml"
    if not file.exists() and (stored or alone or not main.exists()):
        file = main  # otherwise that of other work in the same store
    try:
        write_whole(run, file, text)
    except OSError as error:
        raise UserError(
            f"cannot write {file}: {error.strerror}; run the same command again once there is room"
        ) from error
    if stored:
        with store.writing() as con:
            con.execute("delete from runs where kind = ?", [kind])
    store.add(
        "runs",
        {
            "run_id": name,
            "kind": kind,
            "config": text,
            "config_hash": resolved_hash,
            "versions": json.dumps(versions()),
            "git_commit": commit(),
            "created_at": utc_now(),
        },
    )
