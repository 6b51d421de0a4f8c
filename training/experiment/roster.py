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
from training.experiment.arm import BASE, HELD_OUT, JOINT, NULL, SURVEY, shuffled
from training.experiment.experiment import ExperimentSettings

_EXACT = {"hf": {"dtype": "float32"}}
"""Options of engines with which base and adapters are computed alike, and nothing is lost."""


def roster(config: ExperimentSettings, adapters: Adapters) -> list[ModelRef]:
    """Return the models to be asked, the base model first.

    Adapters of all cultures are exchanged for the control `shuffled`; a joint adapter, or for want
    of one the first, answers for the cultures that are held out. All of it once for each seed.
    """
    asked = [_ref(config, BASE)]
    for number in range(max(1, len(config.seeds))):
        asked += _with_seed(config, adapters, number)
    return asked


def _with_seed(config: ExperimentSettings, adapters: Adapters, number: int) -> list[ModelRef]:
    """Return those that were trained with one of the seeds, and their controls."""
    asked: list[ModelRef] = []
    labels = {
        arm: config.labels(arm)[number]
        for arm in config.chosen_arms
        if number < len(config.labels(arm))
    }
    for arm, label in labels.items():
        if config.chosen_arms[arm].joint:
            asked += _everywhere(config, label, adapters.get((label, JOINT)))
        else:
            own = {culture: adapters.get((label, culture)) for culture in config.cultures}
            asked += _in_each(config, label, own)
    first = labels[config.main]
    main = {c: adapters[first, c] for c in config.cultures if (first, c) in adapters}
    trained = [*main.values()]
    for step in range(1, len(trained)):
        exchanged = dict(zip(main, trained[step:] + trained[:step], strict=True))
        asked += _in_each(config, config.labels(shuffled(step))[number], exchanged)
    if config.held_out:
        joint = [
            adapters[label, JOINT]
            for arm, label in labels.items()
            if arm != NULL and arm not in SURVEY and (label, JOINT) in adapters
        ]
        chosen_one = next(iter([*joint, *main.values()]), None)
        held_out = dict.fromkeys(config.held_out, chosen_one)
        asked += _in_each(config, config.labels(HELD_OUT)[number], held_out)
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
