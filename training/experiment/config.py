"""The configuration of a CLCA experiment: one file for the simulation, the corpora, the training
and the evaluation.

Invariant: each part is validated by the configuration it becomes, before anything is spent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from folkways.errors import UserError
from folkways.settings import Settings
from simulation.config import RunConfig, parse_config
from training.experiment.arm import ARMS, Arm
from training.experiment.experiment import ExperimentSettings, load_study
from training.experiment.scenes import finished_run


class CorpusPart(Settings):
    """What all corpora have in common."""

    policy: str = "clca"
    """Filter policy; the arm no-filter has none."""
    tokens: int | None = Field(default=None, ge=1)
    """Tokens for training of every arm; null: what there is, which differs from arm to arm."""
    validation: float = Field(default=0.0, ge=0, lt=1)
    """Share of the rows whose scenarios are held out, to score adapters on; of plain texts none."""
    hold_out: Literal["people", "scenarios"] = "scenarios"
    """As in an export; one cast plays all scenes of the library, hence scenarios alone."""
    seed: int = 0


class PlainTexts(Settings):
    """The texts of the arm plain-text."""

    max_tokens: int = Field(default=160, ge=16)
    """Completion tokens of a text."""
    temperature: float = Field(default=0.75, ge=0)
    min_p: float = Field(default=0.05, ge=0, lt=1)
    repetition_penalty: float = Field(default=1.1, gt=0)
    concurrency: int = Field(default=64, ge=1)
    """Texts in progress at once."""


class ClcaExperiment(ExperimentSettings):
    """A CLCA experiment: do adapters trained on simulated scenes answer more like people do?

    Each of its cultures gets adapters of its own; with two or more, each is also asked with the
    adapter of another.
    """

    known_arms: ClassVar[Mapping[str, Arm]] = ARMS
    corpus_seed_key: ClassVar[str] = "corpus.seed"
    own: ClassVar[Mapping[str, Sequence[str]]] = {
        **ExperimentSettings.own,
        "simulation": ("name", "cultures", "out"),
    }

    simulation: dict[str, Any] = Field(default_factory=dict)
    """As in the configuration of a run, with `critique` and `label`; or {from: RUN}, the folder of
    a finished run, whose scenes are taken as they are."""
    corpus: CorpusPart = CorpusPart()
    texts: PlainTexts = PlainTexts()

    @property
    def scenes(self) -> Path:
        """The folder whose store holds the scenes."""
        return Path(self.simulation["from"]) if "from" in self.simulation else self.folder

    def run_config(self) -> RunConfig:
        """Return the configuration of the simulation and its review. Raises UserError where the
        scenes are those of a run that is not finished."""
        if "from" in self.simulation:
            return finished_run(self.scenes)
        given: dict[str, Any] = {"critique": {}, "label": {}} | self.simulation
        given |= {"name": self.name, "cultures": list(self.cultures), "out": self.out}
        return parse_config(given, f"{self.name}: simulation")

    def require_sound(self, where: str) -> None:
        """Raise UserError for a part that is no configuration, the simulation included."""
        super().require_sound(where)
        if self.corpus_seeds and self.corpus.tokens is None:
            raise UserError(f"{where}: corpus_seeds draw nothing without corpus.tokens")
        if "from" in self.simulation and len(self.simulation) > 1:
            others = ", ".join(name for name in self.simulation if name != "from")
            raise UserError(
                f"{where}: simulation.from takes scenes as they are; leave out {others}"
            )
        self.run_config()


def load_clca(path: Path, overrides: Sequence[str] = ()) -> ClcaExperiment:
    """Read the configuration of a CLCA experiment; see `load_study`."""
    return load_study(ClcaExperiment, path, overrides)
