"""The heartbeat of a process that works on a run: a small file that tells others how far it is.

Invariant: the file is whole at any moment, and nothing that keeps it from being written disturbs
the work.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

from pydantic import BaseModel

from folkways.errors import UserError
from folkways.files import read_json, write_whole

if TYPE_CHECKING:
    from agents.models.base import Model
    from agents.models.pool.endpoint import EndpointState
    from simulation.episode.budget import Budget
    from simulation.execution.progress import Progress

FOLDER = "status"
"""Folder of heartbeats in a run's folder, one file NAME.json for each process that works on it."""
MAIN = "main"
"""Name of the process that holds the run's lock."""
_BEAT_S = 1.0
"""Seconds between two beats."""
_WINDOW_S = 60.0
"""Seconds that the rates of the last minute look back."""
SLOWEST = 5
"""Episodes in progress that are told of: those that take longest."""


class Rates(BaseModel):
    """What is finished in a second."""

    items: float
    """Episodes, or whatever the stage counts."""
    turns: float
    """Turns played, in episodes in progress too."""
    tokens: float
    """Prompt and completion tokens."""


class SlowEpisode(BaseModel):
    """An episode in progress."""

    episode_id: str
    scenario: str
    """Id of the scenario; its title where the episode is being reviewed."""
    culture: str
    turns: int
    seconds: float


class StageBeat(BaseModel):
    """How far one stage is."""

    stage: str
    """What the table launches calls the work, such as run or critique."""
    noun: str
    """What it counts, such as episodes."""
    state: Literal["starting", "working", "draining", "ended", "killed"]
    """starting: the model is being loaded; killed: the process is gone without having ended."""
    end_reason: str | None
    """Why it ended, as in the table launches."""
    models: list[str]
    total: int
    """What this launch is to do."""
    already: int
    """What was stored before."""
    done: int
    live: int
    """What is in progress."""
    outcomes: dict[str, int]
    """Finished records by what came of them: exit reasons, labels of verdicts, problems."""
    turns: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    """US dollars; null where no price is known."""
    began_at: datetime
    seconds: float
    """Since this launch began to work on the stage; loading the model is not counted."""
    last_minute: Rates | None
    since_start: Rates | None
    slow: list[SlowEpisode]
    endpoints: list[dict[str, Any]]
    """What a model with several endpoints tells of each."""


class Used(BaseModel):
    """A limit of the budget."""

    used: float
    limit: float


class Beat(BaseModel):
    """The whole file."""

    name: str
    pid: int
    host: str
    beat_at: datetime
    budget: dict[str, Used]
    """By limit: tokens, cost_usd, wall_s; those without a limit are missing."""
    stages: list[StageBeat]
    """The stages of this and of earlier launches, each as it was last; the latest stands last."""


@runtime_checkable
class _Pooled(Protocol):
    """A model that has several endpoints to send calls to."""

    def endpoints(self) -> Sequence[EndpointState]:
        """Return what is known of each endpoint now."""


class _Sample(NamedTuple):
    at: float
    items: int
    turns: int
    tokens: int

    def rates(self, earlier: _Sample) -> Rates | None:
        """Return the rates since an earlier sample."""
        seconds = self.at - earlier.at
        if seconds < _BEAT_S / 2:
            return None
        sums = zip(self[1:], earlier[1:], strict=True)
        items, turns, tokens = ((now - then) / seconds for now, then in sums)
        return Rates(items=items, turns=turns, tokens=tokens)


class Heartbeat:
    """Writes the heartbeat of one stage of a launch, from its start to its stop."""

    def __init__(
        self,
        run: Path,
        progress: Progress,
        budget: Budget,
        models: Sequence[Model],
        name: str = MAIN,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.run, self.file, self.name = run, run / FOLDER / f"{name}.json", name
        self.progress, self.budget, self.models = progress, budget, models
        self._clock, self._wall = clock, wall
        self._before = (budget.prompt_tokens, budget.completion_tokens, budget.cost)
        self._earlier: list[StageBeat] = []
        self._samples: deque[_Sample] = deque()
        self._writing, self._over = threading.Lock(), False

    def start(self) -> None:
        """Beat from now on, beside the work of this event loop."""
        old = read_beat(self.file)
        if old:
            self._earlier = [ended_by_kill(s) for s in old.stages if s.stage != self.progress.stage]
        self._began_at = self._now()
        self._first = self._sample()
        with suppress(OSError, UserError):
            self.file.parent.mkdir(exist_ok=True)
        self.write(self.beat())
        self._task = asyncio.create_task(self._go_on())

    async def stop(self, reason: str) -> None:
        """Say that the stage has ended, and why."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.write(self.beat(reason), last=True)

    def beat(self, end_reason: str | None = None) -> Beat:
        """Return how far the work is now."""
        used = self.budget.use().items()
        return Beat(
            name=self.name,
            pid=os.getpid(),
            host=socket.gethostname(),
            beat_at=self._now(),
            budget={name: Used(used=part, limit=whole) for name, (part, whole) in used},
            stages=[*self._earlier, self._stage(end_reason)],
        )

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_S)
            await asyncio.to_thread(self.write, self.beat())

    def write(self, beat: Beat, last: bool = False) -> None:
        """Replace the file; after the last beat a belated one is dropped."""
        with self._writing, suppress(OSError, UserError):
            if not self._over:
                write_whole(self.run, self.file, beat.model_dump_json())
            self._over |= last

    def _stage(self, end_reason: str | None) -> StageBeat:
        progress, budget, sample = self.progress, self.budget, self._sample()
        prompt, completion, cost = self._before
        if progress.state == "starting":
            self._first = sample
            self._samples.clear()
        while len(self._samples) > 1 and self._samples[1].at <= sample.at - _WINDOW_S:
            self._samples.popleft()
        self._samples.append(sample)
        scenes = [] if end_reason else list(islice(progress.scenes.values(), SLOWEST))
        return StageBeat(
            stage=progress.stage, noun=progress.noun,
            state="ended" if end_reason else progress.state, end_reason=end_reason,
            models=[model.name for model in self.models],
            total=progress.total, already=progress.already, done=progress.done,
            live=progress.live, outcomes=dict(progress.outcomes), turns=progress.turns,
            prompt_tokens=budget.prompt_tokens - prompt,
            completion_tokens=budget.completion_tokens - completion,
            cost=None if budget.cost is None else budget.cost - (cost or 0.0),
            began_at=self._began_at, seconds=sample.at - self._first.at,
            last_minute=None if end_reason else sample.rates(self._samples[0]),
            since_start=sample.rates(self._first),
            slow=[
                SlowEpisode(
                    episode_id=scene.episode_id, scenario=scene.scenario, culture=scene.culture,
                    turns=scene.turns, seconds=sample.at - scene.began,
                )
                for scene in scenes
            ],
            endpoints=endpoints_of(self.models),
        )  # fmt: skip

    def _sample(self) -> _Sample:
        tokens = self.budget.prompt_tokens + self.budget.completion_tokens
        return _Sample(self._clock(), self.progress.done, self.progress.turns, tokens)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._wall(), UTC)


def endpoints_of(models: Sequence[Any]) -> list[dict[str, Any]]:
    """Return what models tell of their endpoints, also those that another one passes calls to."""
    found = []
    for outer in models:
        model = outer
        while model is not None and not isinstance(model, _Pooled):
            model = getattr(model, "model", None)
        found += [asdict(one) for one in model.endpoints()] if model is not None else []
    return found


def ended_by_kill(stage: StageBeat) -> StageBeat:
    """Return a stage whose process is gone: whatever had not ended was killed."""
    if stage.state == "ended":
        return stage
    update = {"state": "killed", "live": 0, "last_minute": None, "slow": []}
    return stage.model_copy(update=update)


def read_beat(file: Path) -> Beat | None:
    """Return a heartbeat, or None where there is none that can be read."""
    try:
        return read_json(file, Beat)
    except (FileNotFoundError, UserError):
        return None
