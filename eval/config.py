"""The configuration of an evaluation: who is asked what, how, and compared with whom.

Invariant: the protocol (items, people, orders, sampling, seed) is fixed once something was asked;
models, methods, styles, languages, cultures and read-outs may be added later, and are then compared
on the same respondents, items and orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from agents.models.base import Sampling
from eval.item import Item, load_items, preset_names
from eval.own_items import named_items
from eval.respondents.column_map import RespondentsFile
from eval.survey.method import METHODS, Method, method
from eval.survey.order import Orders
from eval.survey.voice import languages
from folkways.errors import UserError, unknown_name
from folkways.settings import Configuration, ModelName, Settings, read_settings, validated
from simulation.config import config_hash
from simulation.episode.budget import BudgetConfig
from simulation.execution.model_manager import CacheConfig

Style = Literal["country", "story", "bullets", "interview"]
Readout = Literal["logprobs", "text"]


class ModelPart(Settings):
    """What stands for a model in one culture."""

    name: ModelName | None = None
    """As in the model's own `name`; null: that one."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the engine, over those of the model."""


class ModelRef(Settings):
    """A model to be asked."""

    name: ModelName
    """embedded, vllm:PATH_OR_ID, hf:PATH_OR_ID, openai:NAME@BASE_URL, pool:FILE.yaml, fake, or an
    import path."""
    label: str | None = None
    """What reports call it; its name by default."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the engine, such as `adapter` or `prices`."""
    by_culture: dict[str, ModelPart] = Field(default_factory=dict)
    """What stands for it in each culture, such as the culture's own adapter; it is then asked for
    these cultures only, and by methods that name one."""

    @property
    def called(self) -> str:
        """What reports call it."""
        return self.label or self.name

    def parts(self) -> list[tuple[tuple[str, ...], ModelRef]]:
        """Return the models that stand for it, each with the cultures it is asked for; none means
        all of them."""
        if not self.by_culture:
            return [((), self)]
        found: dict[str, tuple[list[str], ModelRef]] = {}
        for culture, part in self.by_culture.items():
            options = self.options | part.options
            one = ModelRef(name=part.name or self.name, label=self.called, options=options)
            found.setdefault(one.model_dump_json(), ([], one))[0].append(culture)
        return [(tuple(cultures), one) for cultures, one in found.values()]


class EvalConfig(Configuration):
    """An evaluation."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)
    """Name of the evaluation and of its folder."""
    models: tuple[ModelRef, ...] = (ModelRef(name="embedded"),)
    items: str | tuple[str, ...] = "clca-44"
    """A preset, a topic, ids of items, or a file of a survey of your own (docs/evaluation.md)."""
    cultures: tuple[str, ...] = ("CHN", "DEU", "GBR", "JPN", "MEX")
    """ISO 3166 alpha-3 codes."""
    methods: tuple[str, ...] = ("unaware", "culture")
    """How models are asked; see `folkways eval wvs methods`."""
    styles: tuple[Style, ...] = ("interview",)
    """How respondents are described: by country alone, in sentences, as a list, or as an interview,
    which evokes fewer stereotypes (Lutz et al. 2025)."""
    languages: tuple[str, ...] = ("en",)
    """Languages of the prompts; native: each culture's own."""
    readouts: tuple[Readout, ...] = ("logprobs", "text")
    """Log-probabilities of the options' numbers, generated text, or both."""
    people: str | RespondentsFile = "marginals"
    """Whom models are compared with: marginals, the shipped national shares; synthetic, the same
    with respondents made up from them; the path of a file that `folkways eval wvs load` made; or of
    a survey of your own a national table (.csv with country, item, code, share and n), a file of
    questions with shares (.json), or a file of respondents with a map of its columns."""
    absent_items: Literal["refuse", "skip"] = "refuse"
    """Items that the people's file lacks: refuse the evaluation, or skip them and say so."""
    respondents: int = Field(default=200, ge=1)
    """Respondents per culture for methods that describe one."""
    participants: str | None = None
    """A file of ids of respondents who are asked instead of a draw, and of the items each of them
    is asked if it says so, such as WorldValuesBench's samples.tsv; cultures are then theirs by
    default."""
    weights: Literal["national", "pooled", "population", "none"] = "national"
    """Weights of people in a file; shipped shares are unweighted."""
    orders: Orders = "balanced"
    """Option orders: forward and reversed, or permutations where there is no order; or forward."""
    temperature: float = Field(default=0.0, ge=0)
    """Of generated text."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    samples: int = Field(default=1, ge=1)
    """Generated answers to each question; more than one needs a temperature above 0."""
    max_tokens: int = Field(default=24, ge=1)
    """Completion tokens of a generated answer."""
    seed: int = 0
    """The seed of respondents, option orders and sampling."""
    timeout_s: float = Field(default=600.0, gt=0)
    """Seconds for one call, waiting and the engine's retries included."""
    concurrency: int = Field(default=4, ge=1)
    """Sheets in progress at once: one respondent's questions, or one culture's."""
    metrics: tuple[str, ...] | None = None
    """Metrics of one's own beside the shipped ones: names or import paths; null: all that were
    registered or that installed packages offer."""
    budget: BudgetConfig = BudgetConfig()
    cache: CacheConfig = CacheConfig()
    """Whether answers are kept and given again."""
    out: str = "runs"
    """Folder in which the evaluation's folder is made."""

    @field_validator("models", "items", "cultures", "methods", "styles", "languages", "readouts")
    @classmethod
    def _each_once(cls, chosen: Any) -> Any:
        if isinstance(chosen, str):
            return chosen
        names = [one.called if isinstance(one, ModelRef) else one for one in chosen]
        if not names:
            raise ValueError("name at least one")
        for name in names:
            if names.count(name) > 1:
                models = isinstance(chosen[0], ModelRef)
                raise ValueError(f"'{name}' is named twice{'; give each a label' * models}")
        return chosen

    @field_validator("methods")
    @classmethod
    def _known_methods(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            method(name)
        return names

    @field_validator("languages")
    @classmethod
    def _known_languages(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in (*languages(), "native"):
                raise unknown_name("survey language", name, (*languages(), "native"))
        return names

    def require_sampling(self, where: str) -> None:
        """Raise UserError where several samples are wanted that would be all alike."""
        if self.samples > 1 and self.temperature == 0:
            raise UserError(
                f"{where}: {self.samples} samples at temperature 0 are all alike; set a temperature"
            )

    def chosen_items(self) -> tuple[Item, ...]:
        """Return the items, without those to be skipped. Raises UserError for an unknown preset or
        item, and where none is left."""
        named, skipped = self._named_items(), self.skipped_items()
        if left := tuple(item for item in named if item.id not in skipped):
            return left
        raise UserError(f"the people's file has none of the {len(named)} items; choose others")

    def skipped_items(self) -> dict[str, str]:
        """Return the items that the people's file lacks and that are skipped, with the reason."""
        if self.absent_items == "refuse":
            return {}
        from eval.respondents.source import absent_from

        return absent_from(self.people, self._named_items())

    def homes(self) -> tuple[str, ...]:
        """Return the countries of the participants, where a file names them. Raises UserError where
        the people's file has none of them."""
        from eval.respondents.participants import read_participants
        from eval.respondents.source import homes_of

        assert self.participants is not None
        if not isinstance(self.people, str) or Path(self.people).suffix != ".duckdb":
            raise UserError(
                "participants are respondents of a file: load the survey's own with `folkways eval "
                "wvs load`, and name the .duckdb file as people"
            )
        homes = homes_of(Path(self.people), read_participants(Path(self.participants)))
        if not homes:
            raise UserError(f"{self.people} has none of the participants in {self.participants}")
        return tuple(homes)

    def _named_items(self) -> tuple[Item, ...]:
        if isinstance(self.items, str):
            return named_items(self.items)
        known = load_items()
        for name in self.items:
            if name not in known:
                raise UserError(
                    f"unknown item '{name}'; items are Q1 to Q259, and the presets "
                    f"{', '.join(preset_names())}"
                )
        return tuple(item for name, item in known.items() if name in self.items)

    def chosen_methods(self) -> dict[str, Method]:
        """Return the methods by name."""
        return {name: METHODS[name] for name in self.methods}

    def sampling(self, seed: int) -> Sampling:
        """Return the sampling of generated answers."""
        return Sampling(self.temperature, self.top_p, 0.0, 1.0, self.max_tokens, seed=seed)


PROTOCOL = (
    "items",
    "people",
    "respondents",
    "weights",
    "orders",
    "temperature",
    "top_p",
    "samples",
    "max_tokens",
    "seed",
)
"""Fields that may not change between launches of an evaluation."""


def protocol(config: EvalConfig) -> dict[str, Any]:
    """Return what all answers of an evaluation have in common, as plain data."""
    told = config.model_dump(mode="json", include=set(PROTOCOL))
    if config.participants is not None:
        told["participants"] = config.participants
    if skipped := config.skipped_items():
        told["skipped_items"] = ", ".join(skipped)
    return told


def described(config: EvalConfig) -> dict[str, Any]:
    """Return what is stored of an evaluation: its protocol, and the metrics it chooses."""
    chosen = {} if config.metrics is None else {"metrics": list(config.metrics)}
    return protocol(config) | chosen


def protocol_hash(config: EvalConfig) -> str:
    """Return its hash."""
    return config_hash(protocol(config))


def load_eval_config(path: Path, overrides: Sequence[str] = ()) -> EvalConfig:
    """Read a configuration and apply overrides `key.sub=value`, whose values are YAML.

    Raises UserError naming the file, the field, the value and what is allowed.
    """
    about = "an evaluation is a mapping, such as `items: clca-44`"
    return parse_eval_config(read_settings(path, overrides, about), str(path))


def parse_eval_config(data: dict[str, Any], where: str) -> EvalConfig:
    """Return the configuration. Raises UserError listing every fault."""
    config = validated(EvalConfig, data, where)
    config.require_sampling(where)
    config.chosen_items()
    if config.participants is not None and "cultures" not in config.model_fields_set:
        config = config.model_copy(update={"cultures": config.homes()})
    if config.metrics:
        from eval.metrics.metric import load_metric

        for name in config.metrics:
            load_metric(name)
    return config
