"""Play profiles: how a class of models is best asked to play, one YAML file each.

Invariant: a profile fills in what the configuration does not say and changes nothing that it does,
nor what agents are told of their culture; what came of it is stored with the run, so that a stored
run needs no profile.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from agents.models.facts import ModelFacts, model_facts
from folkways.errors import UserError, unknown_name
from folkways.settings import Settings, validated
from scenarios.needs import NEEDS, Needs
from scenarios.parsing.yaml_file import load_yaml
from simulation.config import RunConfig
from simulation.episode.play_settings import PlaySettings

_FOLDER = Path(__file__).with_name("profiles")
PROFILES = ("tiny", "small", "base", "instruct", "thinking")
"""The shipped ones."""
_TINY, _SMALL = 500_000_000, 4_000_000_000
"""Parameters below which a model is tiny, and small."""


class Profile(Settings):
    """How a class of models is asked to play; null leaves a value as it is."""

    about: str = Field(min_length=1)
    """For which models, and what the values rest on."""
    reply_form: Literal["json", "script"] | None = None
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    min_p: float | None = Field(default=None, ge=0, lt=1)
    repetition_penalty: float | None = Field(default=None, gt=0)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    dry: float | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=1)
    repairs: int | None = Field(default=None, ge=0, le=5)
    play: PlaySettings = PlaySettings()


def profile_name(facts: ModelFacts) -> str:
    """Return the profile that suits a model: thinking where it reasons, tiny and small by size,
    base without a chat template, and otherwise, or where nothing is known, instruct.
    """
    size = facts.parameters
    if size is not None and size < _TINY:
        return "tiny"
    if facts.reasons:
        return "thinking"
    if facts.chats is False:
        return "base"
    return "small" if size is not None and size < _SMALL else "instruct"


def model_class(facts: ModelFacts) -> Needs | None:
    """Return which scenes a model can be given, by its size; None where that is not known."""
    if facts.parameters is None:
        return None
    return NEEDS[(facts.parameters >= _TINY) + (facts.parameters >= _SMALL)]


def load_profile(name: str) -> Profile:
    """Return a shipped profile, or that of a file. Raises UserError for what is neither."""
    path = _FOLDER / f"{name}.yaml" if name in PROFILES else Path(name).expanduser()
    if name not in PROFILES and not path.is_file():
        raise unknown_name("play profile", name, ("auto", "none", *PROFILES))
    data = load_yaml(path).data
    if not isinstance(data, dict):
        raise UserError(f"{path}: a play profile is a mapping, such as `temperature: 0.8`")
    return validated(Profile, data, str(path))


def with_profile(config: RunConfig) -> RunConfig:
    """Return a configuration with what its play profile gives, and the name of the profile in place
    of `auto`.
    """
    model, name = config.model, config.model.profile
    if name == "none":
        return config
    if name == "auto":
        name = profile_name(model_facts(model.name))
    profile = load_profile(name)
    own = profile.model_dump(exclude_none=True, exclude={"about", "play"})
    update = _not_given(model, own) | {"profile": name}
    play = {key: getattr(profile.play, key) for key in profile.play.model_fields_set}
    if config.in_loop:
        play.pop("drafts", None)
    changed = _not_given(config.play, play)
    if name == "thinking" and changed.get("thoughts", config.play.thoughts) is True:
        changed["thoughts"] = "reasoning"  # it thinks already
    changes = {
        "model": model.model_copy(update=update),
        "play": config.play.model_copy(update=changed),
    }
    return config.model_copy(update=changes)


def _not_given(settings: Settings, values: dict[str, Any]) -> dict[str, Any]:
    """Return the values that a configuration does not give itself."""
    return {key: value for key, value in values.items() if key not in settings.model_fields_set}
