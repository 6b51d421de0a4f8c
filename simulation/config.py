"""The configuration of a run: what is played, by which model, how often, and within which bounds.

Invariant: a resolved configuration holds every value that shapes an episode, defaults and content
hashes included, so that it reproduces the run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, model_validator

from agents.actor import ReplyForm
from agents.models.base import (
    Model,
    Sampling,
    default_reply_form,
    shaping_options,
    whole_name,
)
from agents.role_view import Conditioning
from folkways.secrets import redacted
from folkways.settings import Configuration, ModelName, Settings, read_settings, validated
from scenarios.stopping import Limits
from simulation.episode.budget import BudgetConfig
from simulation.episode.draft_critic import DraftCritic, InLoopConfig
from simulation.episode.play_settings import PLAIN, PlaySettings
from simulation.episode.seats import CallSettings, Seat, Seats, SeatsConfig, seat_rules
from simulation.execution.model_manager import CacheConfig
from simulation.review_settings import CritiqueConfig, LabelConfig


class ModelConfig(Settings):
    """The model and how its tokens are drawn."""

    name: ModelName = Field(default="embedded", validate_default=True)
    """embedded, vllm:PATH_OR_ID, hf:PATH_OR_ID, openai:NAME@BASE_URL, pool:FILE.yaml, fake, or an
    import path."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of the engine, such as `prices` or `max_batch`."""
    profile: str = "auto"
    """Play profile: auto (by the model's size, chat template and reasoning), tiny, small, base,
    instruct, thinking, a YAML file, or none. Where the configuration gives a value of its own, that
    one holds."""
    reply_form: Literal["auto", "json", "script"] = "auto"
    """auto: `script` for the embedded model and for GGUF files without a chat template, `json` for
    others."""
    temperature: float = Field(default=0.75, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    min_p: float = Field(default=0.05, ge=0, lt=1)
    repetition_penalty: float = Field(default=1.1, gt=0)
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    dry: float = Field(default=0.0, ge=0)
    """Multiplier of DRY, which keeps sequences of tokens from being said again; llama only."""
    max_tokens: int = Field(default=160, ge=1)
    """Completion tokens of one act."""
    timeout_s: float = Field(default=300.0, gt=0)
    """Seconds for one call, waiting and the engine's retries included."""
    repairs: int = Field(default=1, ge=0, le=5)
    """Further tries after a reply that cannot be read."""

    def sampling(self) -> Sampling:
        """Return the sampling of acts."""
        return Sampling(
            self.temperature,
            self.top_p,
            self.min_p,
            self.repetition_penalty,
            self.max_tokens,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            dry=self.dry,
        )

    def call_settings(self) -> CallSettings:
        """Return how calls of it are made."""
        return CallSettings(self.sampling(), self.timeout_s, self.repairs)

    def settled_form(self) -> ReplyForm:
        """Return its reply form, the one that suits it where that is left open."""
        return default_reply_form(self.name) if self.reply_form == "auto" else self.reply_form


class CastConfig(Settings):
    """Who may be cast."""

    source: Literal["authored", "sampled"] = "authored"
    """authored: the shipped personas and those in `pools`, and for a culture that has none of them
    a sampled population; sampled: a population per culture."""
    pools: tuple[str, ...] = ()
    """Paths of further persona files: YAML, or, read as a stream of which 2,000 people of each
    culture are drawn at most, JSONL, CSV and Parquet."""
    population: int = Field(default=200, ge=10)
    """Sampled personas per culture."""


class RunConfig(Configuration):
    """A run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)
    """Name of the run and of its folder."""
    scenarios: tuple[str, ...] | Literal["all", "adapted", "tiny", "games"] = "all"
    """Ids of shipped scenarios, paths of scenario files, and folders of them; all: the library;
    adapted: the shipped adaptations of it to cultures; tiny: those written for the smallest models;
    games: the shipped games."""
    themes: tuple[str, ...] = ()
    """Keep scenarios of these themes only; empty keeps all."""
    cultures: tuple[str, ...] = ("CHN", "DEU", "GBR", "JPN", "MEX")
    """Cultures in which a scenario without a culture of its own is played; those of your own are
    read from the paths in `culture_files`, which any configuration may have."""
    language: str | None = None
    """BCP 47 tag that replaces the scenarios' own language."""
    conditioning: Conditioning = "dimensions"
    """How agents are told of their culture: none, name, dimensions, norms."""
    replicates: int = Field(default=1, ge=1)
    """Episodes per scenario and culture, each with a seed of its own."""
    seed: int = 0
    """The seed of everything; replicates of one scenario have the same seeds in all cultures."""
    limits: Limits | None = None
    """Replaces the scenarios' own limits."""
    cast: CastConfig = CastConfig()
    model: ModelConfig = ModelConfig()
    models: dict[str, ModelConfig] = Field(default_factory=dict)
    """Further models by a name of your own, each with its reply form and sampling."""
    seats: SeatsConfig = Field(default_factory=dict)
    """Who is played by which of `models`: a role, a team, or `*` for all other roles; or a list,
    which may also select roles by their personas. Roles without a seat are played by `model`."""
    rotate: bool = False
    """Whether the models move on by one role, in the order of the file, with every replicate."""
    play: PlaySettings = PLAIN
    """How acts are asked for and chosen; the play profile gives what is not given here."""
    in_loop: InLoopConfig | None = None
    """A critic that may send an act back before the others perceive it; null: none."""
    concurrency: int = Field(default=64, ge=1)
    """Episodes in progress at once."""
    budget: BudgetConfig = BudgetConfig()
    cache: CacheConfig = CacheConfig()
    """Whether answers are kept and given again."""
    critique: CritiqueConfig | None = None
    """Critics that judge the episodes once they are played; null: none, or later by command."""
    label: LabelConfig | None = None
    """The labeller of intents, after the critics; null: none, or later by command."""
    out: str = "runs"
    """Folder in which the run's folder is made."""

    @model_validator(mode="after")
    def _known_seats(self) -> RunConfig:
        for number, rule in enumerate(seat_rules(self.seats)):
            if rule.model not in self.models:
                known = ", ".join(self.models) or "none is given"
                place = rule.seat or number
                raise ValueError(f"seats.{place}: '{rule.model}' is not one of models: {known}")
        return self

    @model_validator(mode="after")
    def _one_chooser(self) -> RunConfig:
        if self.in_loop and self.play.drafts:
            raise ValueError(
                "in_loop and play.drafts both choose among drafts; set one of them to null"
            )
        return self


_OPERATIONAL = ("concurrency", "budget", "cache", "out", "critique", "label")
"""Fields that may change between launches of a run, as the model's `timeout_s` and the operational
options of engines may: they do not shape any episode."""


def draft_critic(config: RunConfig, judge: Model) -> DraftCritic | None:
    """Return the critic in the loop that a configuration asks for, with the model that judges."""
    if config.in_loop is None:
        return None
    form = default_reply_form(config.in_loop.model or config.model.name)
    return DraftCritic(config.in_loop, judge, form)


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a configuration and apply overrides `key.sub=value`, whose values are YAML.

    Raises UserError naming the file, the field, the value and what is allowed.
    """
    about = "a run configuration is a mapping, such as `name: pilot`"
    return parse_config(read_settings(path, overrides, about), str(path))


def parse_config(data: Mapping[str, Any], where: str) -> RunConfig:
    """Return the configuration. Raises UserError listing every fault."""
    return validated(RunConfig, data, where)


def resolve(config: RunConfig, contents: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration with the hashes of its contents as plain data, which is what the
    store keeps of it.
    """
    unused = set() if config.seats else {"models", "seats", "rotate"}
    kept = config.model_dump(mode="json", exclude=unused.union(_OPERATIONAL))
    if not config.play.thoughts:  # as before there were any
        del kept["play"]["thoughts"]
    return kept | {"contents": contents}


def seats_of(config: RunConfig, lend: Callable[[str, Mapping[str, Any]], Model]) -> Seats:
    """Return what plays roles in place of the run's model; `lend` gives a model by its name and its
    options. Their reply forms are settled.
    """
    rules = seat_rules(config.seats)
    models = {
        name: Seat(lend(one.name, one.options), one.call_settings(), one.settled_form())
        for name, one in config.models.items()
        if name in {rule.model for rule in rules}
    }
    return Seats(rules, config.rotate, models)


def shaping(resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Return what shapes the episodes: a resolved configuration without time limits and the
    operational options of engines.
    """
    shaped = dict(resolved)
    for part in ("model", "in_loop"):
        if isinstance(settings := resolved.get(part), Mapping):
            shaped[part] = _shaping_model(settings)
    if models := resolved.get("models"):
        shaped["models"] = {name: _shaping_model(settings) for name, settings in models.items()}
    return shaped


def _shaping_model(settings: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in settings.items() if name != "timeout_s"}
    options = shaping_options(str(settings.get("name")), settings.get("options", {}))
    return kept | {"options": options}


def config_hash(resolved: Mapping[str, Any]) -> str:
    """Return the hash of a resolved configuration."""
    text = yaml.safe_dump(dict(resolved), sort_keys=True, allow_unicode=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the dotted keys in which two resolved configurations differ, with both values."""
    found = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            then = ", then on transformers," if _meant_other(before, after) else ""
            found.append(redacted(f"{prefix}{key}: {before!r:.60}{then} -> {after!r:.60}"))
    return found


def _meant_other(before: Any, after: Any) -> bool:
    """Return whether a run was begun on a short name that stood for another engine then."""
    return isinstance(before, str) and before != after == whole_name(before)
