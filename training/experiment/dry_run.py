"""What `experiment ... --dry-run` prints: the study's forecast, GPU hours and dollars.

Invariant: where a figure is an assumption, the line says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from training.experiment.config import ClcaExperiment
from training.experiment.experiment import ExperimentSettings
from training.experiment.forecast import (
    WRITTEN,
    StageForecast,
    clca_stages,
    left_out,
    spa_stages,
)
from training.experiment.gpu_time import Gpus, cost, load_gpus
from training.experiment.pilot import clca_pilot, spa_pilot
from training.experiment.spa_config import SpaExperiment

_COLUMNS = (
    "stage",
    "calls",
    "prompt tokens",
    "completion tokens",
    "steps",
    "trained tokens",
    "GiB",
)


def dry_run(
    config: ExperimentSettings, pilot: int | None, gpus: Path | None, shared: bool = False
) -> Iterator[str]:
    """Yield the forecast of a study line by line; `pilot` scenes, or questions on each topic, are
    played first in a folder that is removed. With `shared` scenes
    those are not counted.

    Raises UserError where the pilot has nothing to learn from, and for a file of GPUs that is none.
    """
    classes = load_gpus(gpus)
    if isinstance(config, ClcaExperiment):
        with clca_pilot(config, pilot) as played:
            stages, missing, about = clca_stages(config, played), left_out(played), played.about
    else:
        assert isinstance(config, SpaExperiment)
        with spa_pilot(config, pilot) as asked:
            stages, missing, about = spa_stages(config, asked), left_out(asked), asked.about
    if shared:
        stages = [stage for stage in stages if stage.stage != "simulate"]
    yield from _table(stages)
    yield f"scaled up from {about}; an answer to the survey is taken for {WRITTEN} tokens"
    yield from (f"not counted: {line}" for line in missing)
    yield from _priced(config, stages)
    yield from _on_gpus(config, stages, classes)


def _table(stages: Sequence[StageForecast]) -> Iterator[str]:
    total = (
        "in all",
        *(f"{sum(column):,.0f}" for column in zip(*map(_figures, stages), strict=True)),
    )
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for stage in stages:
        gib = "-" if stage.gib is None else f"{stage.gib:.1f}"
        rows.append((stage.stage, *(f"{figure:,.0f}" for figure in _figures(stage)), gib))
    for name, *figures in [*rows, (*total, "")]:
        yield f"{name:<10}" + "".join(f"{figure:>19}" for figure in figures)


def _figures(stage: StageForecast) -> tuple[float, ...]:
    return (*stage.asked, float(stage.steps), stage.tokens)


def _priced(config: ExperimentSettings, stages: Sequence[StageForecast]) -> Iterator[str]:
    """Yield what calls to a model elsewhere cost, where its options have prices."""
    given = config.run_config().model if isinstance(config, ClcaExperiment) else None
    prices = given.options.get("prices") if given else None
    if given is None or not prices:
        return
    asked = [stage.asked for stage in stages if stage.model == given.name]
    dollars = sum(
        prices["prompt"] * each.prompt_tokens + prices["completion"] * each.completion_tokens
        for each in asked
    )
    yield f"{given.name}: {dollars / 1e6:,.2f} dollars by the prices in its options"


def _on_gpus(
    config: ExperimentSettings, stages: Sequence[StageForecast], gpus: Gpus
) -> Iterator[str]:
    chosen = config.train_config("x", Path("x"), "joint", "").optimisation
    unknown = sorted({stage.model for stage in stages if stage.gib is None})
    for found in cost(gpus, stages, chosen.gradient_checkpointing):
        if found.hours is None:
            yield f"{found.name}: too small: {found.why}"
            continue
        low, middle, high = found.dollars
        yield (
            f"{found.name}: {found.hours:,.2f} hours, {low:,.2f}, {middle:,.2f} or {high:,.2f} "
            f"dollars at {_prices(gpus, found.name)} an hour"
        )
    yield (
        f"assumed, not measured: training reaches {gpus.training:.0%} of a GPU's operations, "
        f"reading prompts {gpus.prompts:.0%}, writing {gpus.writing:.0%} of its bandwidth with "
        f"{gpus.at_once} answers at once; loading is not counted"
    )
    if unknown:
        yield f"no GPU time is counted for {', '.join(unknown)}"


def _prices(gpus: Gpus, name: str) -> str:
    low, middle, high = gpus.classes[name].dollars
    return f"{low:.2f}, {middle:.2f} or {high:.2f}"
