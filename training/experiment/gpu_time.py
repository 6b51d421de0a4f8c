"""Hours and dollars of a study on GPUs, from stated assumptions or from figures of one's own.

Invariant: every assumption is in the file of GPU classes and printed beside what follows from it.

With P parameters of w bytes, a GPU of F operations and B bytes a second, of which the shares t, r
and s are reached:

    training    4 P tokens / (t F)              forward, and backward through frozen weights; 6 P
                                                with gradient checkpointing
    prompts     2 P tokens / (r F)
    writing     w P tokens / (s B at_once)      weights are read once for each token
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from folkways.settings import Settings, validated
from scenarios.parsing.yaml_file import load_yaml
from training.experiment.forecast import StageForecast, parameters

_CLASSES = Path(__file__).with_name("gpus.yaml")
_TERA = 1e12
_HOUR = 3600.0


class _Gpu(Settings):
    """A class of GPUs."""

    gib: float = Field(gt=0)
    """Memory."""
    tflops: float = Field(gt=0)
    """Operations in bfloat16, dense, 1e12 a second."""
    bandwidth: float = Field(gt=0)
    """Bytes read from memory, 1e12 a second."""
    dollars: tuple[float, float, float]
    """For an hour: low, middle, high."""


class Gpus(Settings):
    """What is taken for granted."""

    classes: dict[str, _Gpu] = Field(min_length=1)
    training: float = Field(gt=0, le=1)
    """Share of the operations that training reaches."""
    prompts: float = Field(gt=0, le=1)
    """Share that reading prompts reaches."""
    writing: float = Field(gt=0, le=1)
    """Share of the bandwidth that writing reaches."""
    at_once: int = Field(ge=1)
    """Answers written at the same time."""


class GpuCost(NamedTuple):
    """What a study takes on one class of GPUs."""

    name: str
    hours: float | None
    """Null where something does not fit."""
    dollars: Sequence[float]
    why: str


def load_gpus(path: Path | None) -> Gpus:
    """Read a file of GPU classes, or the one that is shipped."""
    file = path or _CLASSES
    return validated(Gpus, load_yaml(file).data, str(file))


def cost(gpus: Gpus, stages: Sequence[StageForecast], checkpointing: bool) -> list[GpuCost]:
    """Return what the stages take on each class; those of models whose size is not known, or that
    are asked elsewhere, count nothing."""
    found = []
    for name, gpu in gpus.classes.items():
        large = [stage for stage in stages if (stage.gib or 0) > gpu.gib]
        if large:
            why = ", ".join(f"{stage.stage} takes {stage.gib:.0f} GiB" for stage in large)
            found.append(GpuCost(name, None, (), why))
            continue
        seconds = sum(_seconds(gpus, gpu, stage, checkpointing) for stage in stages)
        hours = seconds / _HOUR
        found.append(GpuCost(name, hours, [hours * price for price in gpu.dollars], ""))
    return found


def _seconds(gpus: Gpus, gpu: _Gpu, stage: StageForecast, checkpointing: bool) -> float:
    size = parameters(stage.model) if stage.gib is not None else None
    if size is None:
        return 0.0
    learned = (6 if checkpointing else 4) * size * stage.tokens / (gpus.training * gpu.tflops)
    read = 2 * size * stage.asked.prompt_tokens / (gpus.prompts * gpu.tflops)
    pace = gpus.writing * gpu.bandwidth * gpus.at_once
    written = 2 * size * stage.asked.completion_tokens / pace
    return (learned + read + written) / _TERA
