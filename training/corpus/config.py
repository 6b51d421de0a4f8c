"""What a corpus is to hold, and the presets that name common choices.

Invariant: the same configuration on the same store gives the same corpus, byte for byte.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from folkways.errors import UserError, unknown_name
from folkways.settings import Settings, validated
from training.corpus.formats import load_format
from training.corpus.preference import TASK as PREFERENCE
from training.corpus.task import TASKS

NO_POLICY = "none"
"""The policy that keeps every episode that came to its own end."""
_DEFAULT_PRESET = "clca"


class CorpusConfig(Settings):
    """A corpus."""

    format: str = "messages"
    """How the rows are written: one of FORMATS, or a format of one's own."""
    tasks: dict[str, float | None] = Field(default={"dialogue": None}, min_length=1)
    """Tasks with their weights in the mixture; null: all rows of each task, unmixed."""
    by: Literal["examples", "tokens"] = "examples"
    """What the weights weigh."""
    repeat: bool = False
    """Whether rows of the smaller tasks are repeated until the largest one is used up; otherwise
    the smallest one bounds the mixture."""
    policy: str = "clca"
    """Filter policy, the path of an SQL file, or none."""
    cultures: tuple[str, ...] = ()
    """Cultures of the persons whose acts are learned, ISO 3166 alpha-3; empty: all of the run."""
    min_parties: int = Field(default=2, ge=1)
    """Roles of a scene, at least."""
    max_parties: int | None = Field(default=None, ge=1)
    """Roles of a scene, at most."""
    tokens: int | None = Field(default=None, ge=1)
    """Tokens of the training rows together, for corpora of equal size; null: all there are."""
    validation: float = Field(default=0.0, ge=0, lt=1)
    """Share of the rows whose scenarios are held out; 0: none."""
    hold_out: Literal["people", "scenarios"] = "people"
    """What no training row shares with a validation row: neither scene nor anybody who plays in it,
    or scenes alone, which leaves more rows where one cast plays all of them."""
    thoughts: bool = False
    """Whether acts come with what was thought before them, `[thinks: ...]`, in the rows of whoever
    thought it."""
    seed: int = 0
    """Seed of the held-out scenarios, the sampling and the order."""
    tokenizer: str | None = None
    """Folder of a tokenizer that counts tokens; null: a quarter of the UTF-8 bytes, rounded up."""

    @property
    def weighted(self) -> dict[str, float]:
        """The tasks with their weights; empty where all rows are wanted."""
        return {task: weight for task, weight in self.tasks.items() if weight is not None}

    @property
    def identity(self) -> str:
        """The settings as one text, by which a corpus is found again."""
        later = {"hold_out"} if self.hold_out == "people" else set[str]()
        return self.model_dump_json(exclude=later if self.thoughts else later | {"thoughts"})


@cache
def load_presets() -> dict[str, dict[str, Any]]:
    """Return the shipped presets by name."""
    text = Path(__file__).with_name("presets.yaml").read_text(encoding="utf-8")
    presets: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return presets


def make_config(preset: str | None = None, **given: Any) -> CorpusConfig:
    """Return a configuration: a preset, `clca` by default, and over it what is given and not None.

    Raises UserError for unknown names and for values that are not allowed.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    if preset is not None and preset not in load_presets():
        raise unknown_name("preset", preset, load_presets())
    if preset is not None and "tasks" in chosen:
        raise UserError("a preset names the tasks; give --preset or --tasks, not both")
    format_ = chosen.get("format", "messages")
    if load_format(format_).pairs:
        _refuse_tasks(preset, "tasks" in chosen)
        chosen["tasks"] = {PREFERENCE: None}
    known = load_presets()[preset or _DEFAULT_PRESET]
    config = validated(CorpusConfig, known | chosen)
    _check(config)
    return config


def read_tasks(text: str) -> dict[str, float | None]:
    """Read tasks as a user writes them: `dialogue,intent`, or with weights `dialogue=2,intent=1`.

    Raises UserError for a weight that is no number.
    """
    tasks: dict[str, float | None] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, weight = part.partition("=")
        try:
            tasks[name.strip()] = float(weight) if equals else None
        except ValueError as error:
            raise UserError(f"'{part}': the weight is not a number, as in dialogue=2") from error
    return tasks


def _refuse_tasks(preset: str | None, tasks: bool) -> None:
    if tasks or preset not in (None, "no-filter"):
        raise UserError(
            "the format preference has one task, pairs of drafts; leave out --tasks and presets "
            "other than no-filter"
        )


def _check(config: CorpusConfig) -> None:
    pairs = load_format(config.format).pairs
    if config.thoughts and "dialogue" not in config.tasks:
        raise UserError(
            f"only rows of the task dialogue can hold thoughts (tasks: {', '.join(config.tasks)}); "
            "leave out thoughts"
        )
    for task, weight in config.tasks.items():
        if task == PREFERENCE and not pairs:
            raise UserError("pairs of drafts are a format of their own: --format preference")
        if task not in TASKS and not pairs:
            raise unknown_name("task", task, TASKS)
        if weight is not None and not 0 < weight < float("inf"):
            raise UserError(f"task '{task}': a weight is greater than 0 (given: {weight:g})")
    if 0 < len(config.weighted) < len(config.tasks):
        raise UserError("give every task a weight, as in dialogue=2,intent=1, or none of them")
    if config.max_parties is not None and config.max_parties < config.min_parties:
        raise UserError(
            f"at least {config.min_parties} parties and at most {config.max_parties} is nobody"
        )
