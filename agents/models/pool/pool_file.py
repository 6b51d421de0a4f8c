"""The file behind `pool:FILE.yaml`: endpoints that serve the same model, and how they are used.

Invariant: a fault is told with its file, line, field and what is allowed, before anything is sent.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from agents.models.base import CACHED, ENGINES, Model, open_model
from folkways.errors import UserError
from folkways.registry import require_allowed
from folkways.secrets import refuse_secrets
from scenarios.parsing.problem import Finding, SourceError
from scenarios.parsing.validation import load_model
from scenarios.parsing.yaml_file import Source

_RESERVED = (CACHED, "parent")
"""What the log calls replies that came from no endpoint: from the cache, and from the episode that
a branch left."""
_RETRIES = 2
"""Retries of the client within an endpoint where its options do not say; fewer than outside a pool,
because another endpoint may do better."""
_LOADING_S = 30.0
"""Seconds that an endpoint which is loading is waited for, where its options do not say; fewer than
outside a pool, because the others can begin without it."""
KEY = "OPENAI_API_KEY"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class EndpointConfig(_Part):
    """One endpoint."""

    name: str = Field(min_length=1, max_length=60)
    """How the log and the status call it."""
    model: str = Field(min_length=1)
    """openai:NAME@BASE_URL, or any other model's name but a pool's."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of its engine, such as `prices` or `timeout_s`."""
    api_key_env: str = Field(default=KEY, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Environment variable that holds its key."""
    weight: float = Field(default=1.0, gt=0)
    """Its share of the calls, relative to the others'."""
    concurrency: int = Field(default=64, ge=1)
    """Calls in flight at most."""
    requests_per_minute: float | None = Field(default=None, gt=0)
    """Requests in any minute; null bounds nothing."""
    tokens_per_minute: float | None = Field(default=None, gt=0)
    """Prompt and completion tokens in any minute; null bounds nothing."""


class HealthConfig(_Part):
    """When an endpoint gets no more calls, and when it is looked at again."""

    failures: int = Field(default=5, ge=1)
    """Calls that fail in a row before it gets no more."""
    pause_s: float = Field(default=1.0, gt=0)
    """Seconds until it is looked at for the first time; doubled each time it is still sick."""
    longest_pause_s: float = Field(default=60.0, gt=0)
    """Seconds between two looks at most."""


class PoolConfig(_Part):
    """The whole file."""

    endpoints: tuple[EndpointConfig, ...] = Field(min_length=1)
    health: HealthConfig = HealthConfig()
    moves: int = Field(default=4, ge=0)
    """How often one call may move on after an endpoint failed it."""
    wait_s: float = Field(default=240.0, gt=0)
    """Seconds until a call that no endpoint takes fails."""


def read_pool(
    path: Path, environ: Mapping[str, str] = os.environ
) -> tuple[PoolConfig, list[Model]]:
    """Return a pool's settings and its models, opened with the keys in `environ` and not started.

    Raises UserError with line and column for whatever is malformed, for a name given twice, and for
    a model that cannot be opened.
    """
    config, source = load_model(path, PoolConfig)
    refuse_secrets(source.data, source.name)
    names = [endpoint.name for endpoint in config.endpoints]
    taken = [
        Finding(("endpoints", at, "name"), "this name is taken; choose another", repr(name))
        for at, name in enumerate(names)
        if name in names[:at] or name in _RESERVED
    ]
    if taken:
        raise SourceError(source.name, map(source.place, taken))
    return config, [_opened(source, at, environ) for at in enumerate(config.endpoints)]


def _opened(source: Source, one: tuple[int, EndpointConfig], environ: Mapping[str, str]) -> Model:
    at, config = one
    try:
        return _open(config, environ)
    except UserError as error:
        fault = Finding(("endpoints", at, "model"), str(error))
        raise SourceError(source.name, [source.place(fault)]) from error


def _open(config: EndpointConfig, environ: Mapping[str, str]) -> Model:
    engine = config.model.partition(":")[0]
    if engine == "pool":
        raise UserError("a pool holds no pools; list the endpoints here")
    if engine != "openai":
        if config.api_key_env != KEY:
            raise UserError(f"api_key_env is for openai models alone, not for '{config.model}'")
        require_allowed("model", config.model, ENGINES)
        return open_model(config.model, config.options)
    keys = {KEY: environ.get(config.api_key_env, "")}
    if config.api_key_env != KEY and not keys[KEY]:
        raise UserError(f"its key is not set: there is no {config.api_key_env} in the environment")
    options = {
        "max_retries": _RETRIES,
        "concurrency": config.concurrency,
        "loading_s": _LOADING_S,
    } | config.options
    return open_model(config.model, options | {"environ": {**environ, **keys}})
