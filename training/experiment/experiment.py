"""What all experiments have in common: which cultures, which model, how it is trained and asked.

Invariant: each part is validated by the configuration it becomes, before anything is spent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, TypeVar

from pydantic import Field, field_validator

from agents.models.adapter import lora_room
from agents.models.base import open_model
from agents.models.local.loading import require_four_bits
from eval.config import EvalConfig, ModelRef, parse_eval_config
from eval.evaluate import find_people
from folkways.errors import UserError, unknown_name
from folkways.settings import Configuration, Settings, read_settings, validated
from scenarios.culture import load_culture
from training.experiment.arm import BASE, HELD_OUT, NULL, SHUFFLED, Arm
from training.finetune.config import TrainConfig, parse_train_config

CORPORA, ADAPTERS = "corpora", "adapters"
"""Folders in that of the experiment."""
_ENGINES = ("vllm", "hf")


SHOWN = ("js_distance", "tv", "w1", "clca_compat_kl", "clca_compat_js", "accuracy_clca")
"""Measures of the tables of differences; the last one is of respondents alone."""
SPA_SHOWN = (*SHOWN, "culturespa")
"""Those of a CultureSPA experiment."""


class Primary(Settings):
    """The one comparison that a study is made for."""

    arm: str
    """The arm that should be nearer to people."""
    against: str = BASE
    """What it is compared with: another arm, base or shuffled."""
    metric: str = SHOWN[0]
    """The measure, one of the report's tables of differences."""
    method: str | None = None
    """The way of asking; null: the first."""
    reading: str | None = None
    """How answers are read: logprobs, text-strict or text-lenient; null: the first."""

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, name: str) -> str:
        if name not in SPA_SHOWN:
            raise unknown_name("metric", name, SPA_SHOWN)
        return name


class ExperimentSettings(Configuration):
    """An experiment."""

    known_arms: ClassVar[Mapping[str, Arm]] = {}
    corpus_seed_key: ClassVar[str] = ""
    """Path of the setting that `corpus_seeds` stand for."""
    own: ClassVar[Mapping[str, Sequence[str]]] = {
        "training": ("name", "model", "corpus", "adapters", "cultures", "template", "out"),
        "evaluation": ("name", "cultures", "models", "out"),
        "engine_options": ("template", "adapter"),
    }
    """Fields of the parts that the experiment sets itself."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=60)
    """Name of the experiment and of its folder."""
    cultures: tuple[str, ...] = Field(min_length=1)
    """Cultures that are learned, ISO 3166 alpha-3."""
    held_out: tuple[str, ...] = ()
    """Cultures that are asked and never trained on."""
    model: str = "embedded"
    """The model that is adapted: embedded, a folder, or a hub id."""
    models: tuple[str, ...] = ()
    """Several models that are adapted, each in a study of its own beside one report on all; of
    CLCA on the same scenes. Empty: `model` alone."""
    engine: str = "vllm"
    """What asks it: vllm or hf."""
    engine_options: dict[str, Any] = Field(default_factory=dict)
    """Options of that engine."""
    template: dict[str, Any] = Field(default_factory=dict)
    """Variables of the model's chat template where it is trained and asked, such as
    {enable_thinking: false}."""
    arms: tuple[str, ...] = ()
    """What is compared; empty: all of docs/experiments.md. The main arm is always there."""
    seeds: tuple[int, ...] = ()
    """Seeds that each arm is trained with; what differs between them enters the intervals. Empty:
    one training, with `training.seed`."""
    corpus_seeds: tuple[int, ...] = ()
    """Seeds that rows are drawn with, each in a study of its own; what differs between corpora
    enters the intervals of the report on all. Takes a number of rows or tokens to draw."""
    primary: Primary | None = None
    """The comparison that decides, declared beforehand: {arm: clca, against: shuffled}; all others
    are corrected for how many stand in their table. Null: none is singled out."""
    training: dict[str, Any] = Field(default_factory=dict)
    """As in the configuration of a training: preset, lora, optimisation, seed."""
    evaluation: dict[str, Any] = Field(default_factory=dict)
    """As in the configuration of an evaluation: items, methods, people, read-outs and so on."""
    out: str = "runs"
    """Folder in which the experiment's folder is made."""

    @field_validator("cultures", "held_out")
    @classmethod
    def _known_cultures(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            load_culture(name)
        return tuple(dict.fromkeys(names))

    @field_validator("arms", mode="before")
    @classmethod
    def _null_is_a_name(cls, names: Any) -> Any:
        """Return the arms as named: YAML takes the word null for nothing."""
        return [NULL if name is None else name for name in names] if names else names

    @field_validator("arms")
    @classmethod
    def _known_arms(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in cls.known_arms:
                raise unknown_name("arm", name, cls.known_arms)
        return names

    @field_validator("seeds", "corpus_seeds")
    @classmethod
    def _each_seed_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len({*seeds}) < len(seeds) or min(seeds, default=0) < 0:
            raise ValueError("seeds are different numbers from 0")
        return seeds

    @field_validator("engine")
    @classmethod
    def _known_engine(cls, name: str) -> str:
        if name not in _ENGINES:
            raise unknown_name("engine", name, _ENGINES)
        return name

    @property
    def main(self) -> str:
        """The arm that the others are controls of, the first there is."""
        return next(iter(self.known_arms))

    @property
    def chosen_arms(self) -> dict[str, Arm]:
        """The arms to be compared, in their order."""
        return {
            name: arm
            for name, arm in self.known_arms.items()
            if not self.arms or name in self.arms or name == self.main
        }

    def labels(self, name: str) -> list[str]:
        """Return what an arm's trainings are called, one for each seed: the first as the arm."""
        further = self.seeds[1:] if name != NULL else ()
        return [name, *(f"{name}, seed {seed}" for seed in further)]

    @property
    def folder(self) -> Path:
        """The folder of the experiment, which holds its store."""
        return Path(self.out) / self.name

    def train_config(
        self, name: str, corpus: Path, adapters: str, culture: str, number: int = 0
    ) -> TrainConfig:
        """Return the configuration of one adapter's training, with the seed of that number."""
        given = self.training | {
            "name": name,
            "model": self.model,
            "corpus": str(corpus),
            "adapters": adapters,
            "template": self.template,
            "out": str(self.folder / ADAPTERS),
        }
        if adapters != "joint":
            given["cultures"] = [culture]
        if self.seeds:
            given["seed"] = self.seeds[number]
        return parse_train_config(given, f"{self.name}: training")

    def eval_config(self, models: Sequence[ModelRef]) -> EvalConfig:
        """Return the configuration of the evaluation of some models."""
        given: dict[str, Any] = {"methods": ["culture"], "readouts": ["logprobs", "text"]}
        given |= self.evaluation | {
            "name": f"{self.name}-evaluation",
            "cultures": [*self.cultures, *self.held_out],
            "models": [model.model_dump() for model in models],
            "out": self.out,
        }
        return parse_eval_config(given, f"{self.name}: evaluation")

    def require_sound(self, where: str) -> None:
        """Raise UserError for a part that is no configuration, or sets what is not its own."""
        shared = {*self.cultures} & {*self.held_out}
        if shared:
            raise UserError(f"{where}: {', '.join(sorted(shared))} cannot be learned and held out")
        for part, keys in self.own.items():
            for key in keys:
                if key in getattr(self, part):
                    raise UserError(f"{where}: {part}.{key} is the experiment's own; leave it out")
        if self.seeds and "seed" in self.training:
            raise UserError(f"{where}: give seeds or training.seed, not both")
        if self.primary:
            known = (*self.chosen_arms, BASE, SHUFFLED, HELD_OUT)
            for name in (self.primary.arm, self.primary.against):
                if name not in known:
                    raise unknown_name(f"arm in {where}: primary:", name, known)
        lora = self.train_config("x", Path("x"), "joint", "").lora.model_dump()
        if self.engine == "vllm":
            room = self.engine_options.get("max_lora_rank")
            lora_room({f"{where}: training.lora": lora | {"peft_type": "LORA"}}, room)
        self.eval_config([ModelRef(name="embedded")])

    def require_machine(self) -> None:
        """Raise UserError for what training or asking would find missing on this machine."""
        if self.train_config("x", Path("x"), "joint", "").optimisation.load_in_4bit:
            require_four_bits("training.optimisation.load_in_4bit")
        open_model(f"{self.engine}:{self.model}", self.engine_options)
        with TemporaryDirectory() as folder:
            find_people(self.eval_config([ModelRef(name="embedded")]), Path(folder))


S = TypeVar("S", bound=ExperimentSettings)


def load_study(kind: type[S], path: Path, overrides: Sequence[str] = ()) -> S:
    """Read the configuration of an experiment, every part of it checked.

    Raises UserError naming the file, the field, the value and what is allowed.
    """
    about = "an experiment is a mapping, such as `cultures: [DEU, MEX]`"
    config = validated(kind, read_settings(path, overrides, about), str(path))
    config.require_sound(str(path))
    return config
