"""Who is asked in an experiment: the base model, each arm's adapters, and the controls made by
exchanging adapters.

Invariant: whoever stands for an arm in a culture is named in the condition, so that the store says
which adapter gave which answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from eval.config import ModelPart, ModelRef
from training.experiment.adapters import Adapters
from training.experiment.arm import JOINT, NULL
from training.experiment.experiment import ExperimentSettings

BASE, SHUFFLED, HELD_OUT = "base", "shuffled", "held out"
_EXACT = {"hf": {"dtype": "float32"}}
"""Options of engines with which base and adapters are computed alike, and nothing is lost."""


def roster(config: ExperimentSettings, adapters: Adapters) -> list[ModelRef]:
    """Return the models to be asked, the base model first.

    Adapters of one culture are exchanged for the control `shuffled`; a joint adapter, or for want
    of one the first, answers for the cultures that are held out.
    """
    asked = [_ref(config, BASE)]
    for arm, chosen in config.chosen_arms.items():
        if chosen.joint:
            asked += _everywhere(config, arm, adapters.get((arm, JOINT)))
        else:
            own = {culture: adapters.get((arm, culture)) for culture in config.cultures}
            asked += _in_each(config, arm, own)
    main = {c: adapters[config.main, c] for c in config.cultures if (config.main, c) in adapters}
    if len(main) > 1:
        turned = [*main.values()][1:] + [*main.values()][:1]
        asked += _in_each(config, SHUFFLED, dict(zip(main, turned, strict=True)))
    if config.held_out:
        joint = [adapters[key] for key in adapters if key[1] == JOINT and key[0] != NULL]
        chosen_one = next(iter([*joint, *main.values()]), None)
        asked += _in_each(config, HELD_OUT, dict.fromkeys(config.held_out, chosen_one))
    return asked


def _everywhere(config: ExperimentSettings, label: str, folder: Path | None) -> list[ModelRef]:
    """Return one adapter for all cultures that are learned."""
    if config.held_out:
        return _in_each(config, label, dict.fromkeys(config.cultures, folder))
    return [] if folder is None else [_ref(config, label, {"adapter": str(folder)})]


def _in_each(
    config: ExperimentSettings, label: str, folders: Mapping[str, Path | None]
) -> list[ModelRef]:
    """Return a model that is an adapter in each culture, or nothing where there is none."""
    parts = {
        culture: ModelPart(options={"adapter": str(folder)})
        for culture, folder in folders.items()
        if folder is not None
    }
    return [_ref(config, label, by_culture=parts)] if parts else []


def _ref(
    config: ExperimentSettings,
    label: str,
    options: Mapping[str, str] | None = None,
    by_culture: Mapping[str, ModelPart] | None = None,
) -> ModelRef:
    return ModelRef(
        name=f"{config.engine}:{config.model}",
        label=label,
        options=_EXACT.get(config.engine, {})
        | config.engine_options
        | ({"template": config.template} if config.template else {})
        | dict(options or {}),
        by_culture=dict(by_culture or {}),
    )
