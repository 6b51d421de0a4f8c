"""The configuration of CultureSPA, all steps of it: the model, the questions and the answers.

Invariant: what shapes the questions is fixed once a model was asked for one; topics, the number of
questions, cultures and the collection of answers may change between launches.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from agents.actor import ReplyForm
from agents.models.base import Sampling, default_reply_form, shaping_options
from eval.config import ModelRef, Readout
from eval.item import load_items
from eval.survey.order import Orders
from folkways.errors import unknown_name
from folkways.settings import Configuration, Settings, read_settings, validated
from scenarios.culture import load_culture
from simulation.config import config_hash
from simulation.episode.budget import BudgetConfig
from simulation.execution.model_manager import CacheConfig

CULTURES = (
    "USA",
    "CAN",
    "BOL",
    "BRA",
    "GBR",
    "NLD",
    "DEU",
    "UKR",
    "CHN",
    "RUS",
    "IND",
    "THA",
    "KEN",
    "NGA",
    "ETH",
    "ZWE",
    "AUS",
    "NZL",
)
"""The published cultures (Xu, Leng, Yu and Xiong 2025), in their order."""


def all_topics() -> tuple[str, ...]:
    """Return the topics of the survey's items, in the order of the questionnaire."""
    return tuple(dict.fromkeys(item.topic for item in load_items().values()))


class Generation(Settings):
    """How questions are written and which are accepted; sampling and examples as published."""

    seeds: int = Field(default=3, ge=1)
    """Items of the survey shown as examples."""
    generated: int = Field(default=2, ge=0)
    """Accepted questions of the topic shown as examples; items stand in while there are fewer."""
    temperature: float = Field(default=0.9, ge=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    repetition_penalty: float = Field(default=1.0, ge=1)
    """1 is none."""
    max_tokens: int = Field(default=256, ge=1)
    """Completion tokens of a question with its options."""
    form: ReplyForm | None = None
    """json, a chat; script, a text to be continued, for small and for base models; null: whichever
    suits the model."""
    attempts: int = Field(default=5, ge=1)
    """Tries for each question wanted; a topic has them in common."""
    at_once: int = Field(default=8, ge=1)
    """Tries of a topic that are made at the same time and see the same accepted questions. 1 is as
    published; more keep an engine busy."""
    duplicate: float = Field(default=0.8, gt=0, le=1)
    """Share of words in common from which a question repeats an earlier one of its topic."""
    paraphrase: float = Field(default=0.7, gt=0, le=1)
    """Share of words in common from which a question counts as a paraphrase of a survey item."""
    declining: Literal["drop", "keep", "refuse"] = "drop"
    """Options that say don't know or decline to answer: left out and counted, kept as they are, or
    a reason not to accept the question."""


class Collection(Settings):
    """How the questions are answered."""

    readouts: tuple[Readout, ...] = ("logprobs",)
    """Log-probabilities of the options' numbers, generated text, or both."""
    samples: int = Field(default=1, ge=1)
    """Generated answers to each question; published: one."""
    temperature: float = Field(default=0.6, ge=0)
    """Of generated text, as published."""
    top_p: float = Field(default=0.9, gt=0, le=1)
    orders: Orders = "balanced"
    """Option orders: permutations; or forward, as published."""
    max_tokens: int = Field(default=24, ge=1)
    """Completion tokens of a generated answer."""


class SpaConfig(Configuration):
    """A run of CultureSPA."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)
    """Name of the run and of its folder."""
    model: ModelRef = ModelRef(name="embedded")
    """The model that is to be aligned: it writes the questions and answers them."""
    topics: tuple[str, ...] = Field(default_factory=all_topics, min_length=1)
    """Topics of the survey's items."""
    per_topic: int = Field(default=1000, ge=1)
    """Questions wanted for each topic; published: 1,000."""
    cultures: tuple[str, ...] = Field(default=CULTURES, min_length=1)
    """ISO 3166 alpha-3 codes."""
    hold_out_paraphrases: bool = False
    """Whether questions that paraphrase a survey item are left out of what is answered, selected
    and counted as wanted. They are stored in any case."""
    generation: Generation = Generation()
    collection: Collection = Collection()
    seed: int = 0
    """The seed of examples, sampling and option orders."""
    timeout_s: float = Field(default=600.0, gt=0)
    """Seconds for one call, waiting and the engine's retries included."""
    concurrency: int = Field(default=4, ge=1)
    """Topics that are written about at once, or sheets in progress: all questions to one culture.
    """
    budget: BudgetConfig = BudgetConfig()
    cache: CacheConfig = CacheConfig()
    """Whether answers are kept and given again."""
    out: str = "runs"
    """Folder in which the run's folder is made."""

    @field_validator("topics", "cultures")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"'{name}' is named twice")
        return names

    @field_validator("topics")
    @classmethod
    def _known_topics(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in all_topics():
                raise unknown_name("topic", name, all_topics())
        return names

    @field_validator("cultures")
    @classmethod
    def _known_cultures(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            load_culture(name)
        return names

    @property
    def run(self) -> Path:
        """The folder of the run, which holds the store of all steps."""
        return Path(self.out) / self.name

    @property
    def form(self) -> ReplyForm:
        """The form in which the model is asked for questions."""
        return self.generation.form or default_reply_form(self.model.name)

    def sampling(self, seed: int) -> Sampling:
        """Return the sampling of a question."""
        made = self.generation
        return Sampling(
            made.temperature, made.top_p, 0.0, made.repetition_penalty, made.max_tokens, seed=seed
        )


def protocol(config: SpaConfig) -> dict[str, Any]:
    """Return what all questions of a run have in common, as plain data: what every step settles.

    How answers are collected is no part of it; answers carry the hash of their condition.
    """
    shaping = shaping_options(config.model.name, config.model.options)
    made = config.generation.model_dump(mode="json", exclude={"attempts"}) | {"form": config.form}
    return {
        "model": {"name": config.model.name, "options": shaping},
        "generation": made,
        "seed": config.seed,
    }


def protocol_hash(config: SpaConfig) -> str:
    """Return its hash."""
    return config_hash(protocol(config))


def load_spa_config(path: Path, overrides: Sequence[str] = ()) -> SpaConfig:
    """Read a configuration and apply overrides `key.sub=value`, whose values are YAML.

    Raises UserError naming the file, the field, the value and what is allowed.
    """
    about = "a run of CultureSPA is a mapping, such as `per_topic: 20`"
    return validated(SpaConfig, read_settings(path, overrides, about), str(path))
