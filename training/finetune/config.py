"""The configuration of a training: which model learns from which corpus, and how.

Invariant: a resolved configuration holds every value that shapes an adapter, the preset's and the
defaults included, so that it reproduces the training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from agents.models.chat import template_variables
from folkways.errors import UserError, unknown_name
from folkways.settings import Configuration, PlacedSettings, Settings, read_settings, validated
from scenarios.parsing.yaml_file import load_yaml

Schedule = Literal["linear", "cosine", "constant", "constant_with_warmup"]


class Lora(Settings):
    """The size and place of the adapter."""

    r: int = Field(default=16, ge=1)
    """Rank."""
    alpha: float = Field(default=32.0, gt=0)
    """The adapter's output is scaled by alpha/r; far below 1 it hardly moves a model."""
    dropout: float = Field(default=0.05, ge=0, lt=1)
    """Share of the adapter's inputs dropped while it learns."""
    target_modules: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    """Layers that get an adapter, by name, such as [q_proj, v_proj]; all-linear: all linear layers
    but the output layer. Of a model that sees or hears, those of its language part alone."""
    modules_to_save: tuple[str, ...] = ()
    """Modules trained in full and stored with the adapter, such as [lm_head, embed_tokens]."""

    @field_validator("target_modules", "modules_to_save")
    @classmethod
    def _no_output_adapter(cls, names: Any, info: Any) -> Any:
        if info.field_name == "target_modules" and "lm_head" in names:
            raise ValueError("'lm_head' cannot get an adapter; put it into modules_to_save")
        if info.field_name == "target_modules" and not names:
            raise ValueError("name at least one layer, or all-linear")
        return names

    @property
    def scaling(self) -> float:
        """By how much the adapter's output is scaled."""
        return self.alpha / self.r


class Optimisation(Settings):
    """How the adapter is fitted."""

    learning_rate: float = Field(default=2e-4, gt=0, lt=1)
    """The highest learning rate, after the warm-up."""
    epochs: float = Field(default=3.0, gt=0)
    """Passes over the rows; counts where `max_steps` is null."""
    max_steps: int | None = Field(default=None, ge=1)
    """Optimiser steps; null: as many as the epochs take."""
    batch: int = Field(default=8, ge=1)
    """Rows, or packed sequences, that a device computes at once."""
    accumulation: int = Field(default=1, ge=1)
    """Batches per optimiser step; rows per step are batch x accumulation x processes."""
    schedule: Schedule = "cosine"
    """How the learning rate falls."""
    warm_up: float = Field(default=0.03, ge=0, lt=1)
    """Share of the steps in which the learning rate rises."""
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Longer gradients are cut to this length."""
    max_length: int = Field(default=2048, ge=16)
    """Tokens of a row; longer ones are cut at the end of a turn."""
    packing: bool = False
    """Put several rows into one sequence of max_length tokens, each seeing itself only."""
    gradient_checkpointing: bool = False
    """Compute activations twice rather than keep them: a fifth slower, far less memory."""
    bf16: bool | None = None
    """bfloat16 for the frozen weights and the computation; null: where the GPU can."""
    load_in_4bit: bool = False
    """Frozen weights in 4 bits (NF4, double quantisation); takes bitsandbytes and an NVIDIA GPU."""


class TrainConfig(Configuration):
    """A training: one adapter or several from one corpus."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)
    """Name of the training and of its folder."""
    model: str = "embedded"
    """The model to adapt: embedded, a folder, or a hub id (org/name)."""
    corpus: str
    """Folder that `folkways export` wrote in the format `messages`."""
    adapters: Literal["per-culture", "joint", "both"] = "per-culture"
    """One adapter for each culture, one for all of them together, or both."""
    cultures: tuple[str, ...] = ()
    """Cultures whose rows are used; empty: all in the corpus."""
    preset: str = "default"
    """What `lora` and `optimisation` start from: default, clca-paper, clca-code, culturespa."""
    lora: Lora = Lora()
    optimisation: Optimisation = Optimisation()
    template: dict[str, Any] = Field(default_factory=dict)
    """Variables of the model's chat template, such as {enable_thinking: false}; the date that some
    write is 26 Jul 2024 unless `date_string` says otherwise."""
    seed: int = Field(default=0, ge=0)
    """The seed of initial weights, dropout and the order of rows."""
    save_every: int = Field(default=50, ge=1)
    """Steps between two checkpoints, at each of which the validation rows are scored as well."""
    keep: int = Field(default=2, ge=2)
    """Checkpoints kept; two at least, so that a damaged one costs nothing."""
    validate_rows: bool = True
    """Score the corpus's validation rows before, between and after."""
    checkpoint: Literal["last", "best"] = "last"
    """Which step the adapter is of: the last, or the one with the lowest loss on the validation
    rows, which are scored every `save_every` steps and after the last."""
    out: str = "runs"
    """Folder in which the training's folder is made."""

    @field_validator("template")
    @classmethod
    def _only_variables(cls, given: dict[str, Any]) -> dict[str, Any]:
        try:
            template_variables(given)
        except UserError as error:
            raise ValueError(str(error)) from error
        return given


_OPERATIONAL = (
    "name",
    "preset",
    "corpus",
    "adapters",
    "cultures",
    "save_every",
    "keep",
    "validate_rows",
    "out",
)
"""Fields that shape no adapter: what they stand for is recorded by value or by hash."""


@cache
def load_presets() -> dict[str, dict[str, Any]]:
    """Return the shipped presets by name."""
    presets: dict[str, dict[str, Any]] = load_yaml(Path(__file__).with_name("presets.yaml")).data
    return presets


def preset_note(name: str) -> str:
    """Return what a preset says of itself."""
    return str(load_presets()[name]["note"])


def load_train_config(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a configuration and apply overrides `key.sub=value`, whose values are YAML.

    A corpus given as a relative path is sought from the folder the command runs in. Raises
    UserError naming the file, the field, the value and what is allowed.
    """
    about = "a training configuration is a mapping, such as `name: pilot`"
    return parse_train_config(read_settings(path, overrides, about), str(path))


def parse_train_config(data: Mapping[str, Any], where: str) -> TrainConfig:
    """Return the configuration with its preset applied. Raises UserError listing every fault."""
    return validated(TrainConfig, _with_preset(data, where), where)


def _with_preset(data: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Return the data with `lora` and `optimisation` laid over those of the preset."""
    name = data.get("preset", "default")
    if name not in load_presets():
        raise unknown_name(f"preset in {where}:", str(name), load_presets())
    whole = dict(data)
    for part in ("lora", "optimisation"):
        own = data.get(part) or {}
        if isinstance(own, Mapping):
            whole[part] = load_presets()[name].get(part, {}) | own
    return data.with_values(whole) if isinstance(data, PlacedSettings) else whole


def shaping(config: TrainConfig) -> dict[str, Any]:
    """Return what of a configuration shapes an adapter, as plain data."""
    told = config.model_dump(mode="json", exclude=set(_OPERATIONAL))
    for name, plain in (("template", {}), ("checkpoint", "last")):
        if told[name] == plain:
            del told[name]  # as in folders that were trained before there was any
    return told
