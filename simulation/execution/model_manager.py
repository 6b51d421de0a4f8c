"""The engines of one command, opened once however many stages use them, with or without a cache.

Invariant: each model is loaded at most once, when it is first needed, and given back at the end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator

from agents.models.base import Completion, Model, Prompt, Sampling, open_model
from agents.models.cache import CachedModel, recall, recall_scores
from agents.models.health import Guarded
from agents.models.response_store import ResponseStore
from folkways.settings import Settings

_CACHE_FILE = "responses.sqlite"
"""Name of the response cache in the folder of the runs."""


class CacheConfig(Settings):
    """The response cache: answers are kept, and given again instead of asking the model."""

    mode: Literal["off", "read-write", "replay-strict"] = "off"
    """read-write: ask for what is not kept, and keep it; replay-strict: what is not kept is an
    error, and no model is ever started."""
    path: str | None = None
    """The file; null: responses.sqlite in the folder of the runs, so that all share it."""

    @field_validator("mode", mode="before")
    @classmethod
    def _off_is_no_truth_value(cls, mode: Any) -> Any:
        return "off" if mode is False else mode  # YAML takes the word for one

    def opened(self, runs: Path) -> ResponseStore | None:
        """Return the responses for runs in a folder, None where none are kept."""
        if self.mode == "off":
            return None
        path = Path(self.path).expanduser() if self.path else runs / _CACHE_FILE
        return ResponseStore(path, strict=self.mode == "replay-strict")


NO_CACHE = CacheConfig()


class SharedModel(Guarded):
    """A model that several stages share: it starts once, and closing it does
    nothing.
    """

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.started = False

    @property
    def engine(self) -> Model | None:
        """The engine itself, which a cache may stand before; None where it is not to be asked."""
        return self.model.model if isinstance(self.model, CachedModel) else self.model

    async def start(self) -> None:
        """Start the model, unless it has been."""
        if not self.started:
            await super().start()
            self.started = True

    async def recall(
        self, prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion | None:
        """Pass the question on."""
        kept = await recall(self.model, prompt, sampling, schema)
        self.works |= kept is not None and bool(kept.text.strip())
        return kept

    async def recall_scores(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float] | None:
        """Pass the question on."""
        return await recall_scores(self.model, prompt, options, floor)

    async def close(self) -> None:
        """Do nothing: others may still use the model."""


class ModelManager:
    """Models by name, each with the cache before it if there is one."""

    def __init__(self, responses: ResponseStore | None = None) -> None:
        self._shared: dict[str, SharedModel] = {}
        self.responses = responses

    def lend(self, name: str, options: Mapping[str, Any]) -> SharedModel:
        """Return a model, opened with the options the first time its name is asked for."""
        if name not in self._shared:
            self._shared[name] = SharedModel(self._opened(name, options))
        return self._shared[name]

    def lend_as(self, name: str, model: Model) -> None:
        """Have a name stand for a model that somebody else has opened."""
        self._shared[name] = SharedModel(model)

    async def close(self) -> None:
        """Close every model that was started, and the cache."""
        for shared in self._shared.values():
            if shared.started:
                await shared.model.close()
        if self.responses:
            await self.responses.close()

    def _opened(self, name: str, options: Mapping[str, Any]) -> Model:
        if self.responses is None:
            return open_model(name, options)
        model = None if self.responses.strict else open_model(name, options)
        return CachedModel(name, options, self.responses, model)
