"""What each engine calls the settings of sampling, and what of them it takes.

Invariant: what is recorded as applied comes from the same table as what is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from agents.models.base import Sampling, whole_name

_SAME = ("temperature", "top_p", "min_p", "repetition_penalty")
_COUNTED = ("presence_penalty", "frequency_penalty")
_NAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "llama": {name: (name,) for name in (*_SAME, *_COUNTED)}
    | {"repetition_penalty": ("repeat_penalty",), "dry": ("dry_multiplier",)},
    "vllm": {name: (name,) for name in (*_SAME, *_COUNTED)},
    "hf": {name: (name,) for name in _SAME},
    "openai": {name: (name,) for name in (*_SAME, *_COUNTED)}
    | {
        "repetition_penalty": ("repetition_penalty", "repeat_penalty"),
        "dry": ("dry_multiplier",),
    },
}
"""Engine to field of Sampling to its names there. Servers behind `openai` differ: vLLM and others
know `repetition_penalty`, llama.cpp and LM Studio `repeat_penalty`, and none knows both."""
_ALIKE = {"pool": "openai"}
"""Engines that take what another takes."""
_OFTEN_OFF = (*_COUNTED, "dry")
"""Settings that are sent only where they are not neutral."""


def named(sampling: Sampling, engine: str) -> dict[str, float]:
    """Return the settings that an engine takes, under its names for them."""
    return {
        name: getattr(sampling, field)
        for field, names in _NAMES[engine].items()
        if field not in _OFTEN_OFF or getattr(sampling, field)
        for name in names
    }


def applied(model: str, sampling: Sampling) -> dict[str, Any] | None:
    """Return what is sent to a model's engine, and which settings that are not neutral it does not
    take; null for an engine that is not ours, or that draws no tokens.
    """
    engine = whole_name(model).partition(":")[0]
    engine = _ALIKE.get(engine, engine)
    if engine not in _NAMES:
        return None
    neutral = Sampling(top_p=1.0, min_p=0.0, repetition_penalty=1.0)
    known = {*_NAMES[engine], "max_tokens", "stop", "seed"}
    ignored = [
        field.name
        for field in fields(sampling)
        if field.name not in known and getattr(sampling, field.name) != getattr(neutral, field.name)
    ]
    return {"sent": named(sampling, engine), "not_taken": ignored}
