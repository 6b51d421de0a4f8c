"""How episodes are critiqued and labelled.

Invariant: settings never change what was played; they are recorded with each launch of a stage.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from agents.critics.critic import CRITICS
from agents.models.base import Sampling
from folkways.settings import ModelName, Settings


class JudgeSettings(Settings):
    """What critics and labeller have in common."""

    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the engines, where they are not the run's model."""
    max_tokens: int = Field(default=320, ge=16)
    """Completion tokens of one answer."""
    repairs: int = Field(default=1, ge=0, le=5)
    """Further tries after an answer that cannot be used."""
    timeout_s: float = Field(default=300.0, gt=0)
    """Seconds for one call, waiting and the engine's retries included."""


class CritiqueConfig(JudgeSettings):
    """The panel of critics."""

    critics: tuple[str, ...] = tuple(CRITICS)
    """Names or import paths; `meta` goes last, since it reads the others' verdicts."""
    models: tuple[ModelName, ...] = ()
    """Judge models; empty: the model that played."""
    samples: int = Field(default=1, ge=1, le=25)
    """Answers of each judge to each question."""
    temperature: float | None = Field(default=None, ge=0)
    """Null: 0 for one sample, 0.7 for several."""

    def sampling(self) -> Sampling:
        """Return the sampling of verdicts."""
        temperature = self.temperature
        if temperature is None:
            temperature = 0.0 if self.samples == 1 else 0.7
        return Sampling(temperature, 1.0, 0.0, 1.0, self.max_tokens)


class LabelConfig(JudgeSettings):
    """The labeller."""

    max_tokens: int = Field(default=160, ge=16)
    """Completion tokens of one label."""

    model: ModelName | None = None
    """Null: the model that played."""
    temperature: float = Field(default=0.0, ge=0)
    taxonomy: str | None = None
    """Path of a file of categories, to which the intents are mapped."""

    def sampling(self) -> Sampling:
        """Return the sampling of labels."""
        return Sampling(self.temperature, 1.0, 0.0, 1.0, self.max_tokens)
