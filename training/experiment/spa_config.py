"""The configuration of a CultureSPA experiment: questions, answers, selections, training,
evaluation.

Invariant: each part is validated by the configuration it becomes, before anything is spent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, model_validator

from folkways.errors import UserError
from folkways.settings import Settings, validated
from training.culturespa.config import SpaConfig
from training.experiment.arm import SPA_ARMS, Arm
from training.experiment.experiment import ExperimentSettings, load_study


class Selecting(Settings):
    """What all selections have in common."""

    rows: int | None = Field(default=None, ge=1)
    """Rows of each selection; null: as many as change with a culture. A method that finds fewer is
    left out, and says so."""
    reading: str | None = None
    """How answers are read; null: the first read-out there is."""
    paraphrases: bool = False
    """Whether questions that paraphrase a survey item may be learned from; the published system
    does."""
    seed: int = 0


class Abilities(Settings):
    """General abilities, measured before and after with lm-evaluation-harness."""

    tasks: tuple[str, ...] = ()
    """Names of tasks; empty: not measured."""
    include: str | None = None
    """Folder with task files; null: those of the harness."""
    limit: int | None = Field(default=None, ge=1)
    """Questions of each task; null: all."""


class SpaExperiment(ExperimentSettings):
    """A CultureSPA experiment: does a model learn from where a culture changes its own answers?"""

    known_arms: ClassVar[Mapping[str, Arm]] = SPA_ARMS
    corpus_seed_key: ClassVar[str] = "selecting.seed"
    own: ClassVar[Mapping[str, Sequence[str]]] = {
        **ExperimentSettings.own,
        "spa": ("name", "cultures", "out"),
    }

    specific: tuple[str, ...] = ()
    """Cultures that get an adapter of their own; empty: all."""
    spa: dict[str, Any] = Field(default_factory=dict)
    """As in the configuration of a run of CultureSPA: topics, per_topic, generation, collection."""
    selecting: Selecting = Selecting()
    abilities: Abilities = Abilities()
    clca: str | None = None
    """Folder of a CLCA experiment with the arm `joint`, for the arms clca, answers and both, at
    equal tokens; null: without them."""

    @model_validator(mode="after")
    def _specific_ones_are_learned(self) -> SpaExperiment:
        unknown = [name for name in self.specific if name not in self.cultures]
        if unknown:
            raise ValueError(f"specific: {', '.join(unknown)} is not among the cultures")
        return self

    @property
    def chosen_arms(self) -> dict[str, Arm]:
        """The arms to be compared; those of scenes where there is a CLCA experiment."""
        found, own = super().chosen_arms, ("selection", "people", "nothing")
        return {name: arm for name, arm in found.items() if self.clca or arm.source in own}

    def spa_config(self) -> SpaConfig:
        """Return the configuration of questions and answers."""
        options = {"template": self.template} if self.template else {}
        model = {"name": f"{self.engine}:{self.model}", "options": options}
        given: dict[str, Any] = {"model": model} | self.spa
        given |= {"name": self.name, "cultures": list(self.cultures), "out": self.out}
        return validated(SpaConfig, given, f"{self.name}: spa")

    def require_sound(self, where: str) -> None:
        """Raise UserError for a part that is no configuration, questions and answers included, and
        for a CLCA experiment that is not there."""
        super().require_sound(where)
        self.spa_config()
        if self.corpus_seeds and self.selecting.rows is None:
            raise UserError(f"{where}: corpus_seeds draw nothing without selecting.rows")
        if self.clca is not None and not Path(self.clca).is_dir():
            raise UserError(f"{where}: clca: there is no folder '{self.clca}'")


def load_spa_experiment(path: Path, overrides: Sequence[str] = ()) -> SpaExperiment:
    """Read the configuration of a CultureSPA experiment; see `load_study`."""
    return load_study(SpaExperiment, path, overrides)
