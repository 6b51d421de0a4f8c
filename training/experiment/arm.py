"""The arms of experiments: what the adapters that are compared have learned from.

Invariant: arms of one culture differ in their corpus alone; model, training and evaluation are the
same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Source = Literal["run", "texts", "people", "selection", "scenes", "answers", "both", "nothing"]


@dataclass(frozen=True, slots=True)
class Arm:
    """One kind of corpus."""

    about: str
    """What it holds, in a few words."""
    source: Source = "run"
    """Where its rows come from: scenes that were played, plain texts, what people answered in the
    survey, a selection of the model's own answers; or, as many tokens of each, another experiment's
    scenes, answers of the main arm, and both in equal parts; or there are none."""
    preset: str = "clca"
    corpus: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the corpus, over the preset's where it has one."""
    joint: bool = False
    """Whether one adapter learns from all cultures together, rather than one from each."""
    share: float = 1.0
    """Of the main arm's rows."""


JOINT = "joint"
"""Stands for all cultures together."""
NULL = "null"
BASE, SHUFFLED, HELD_OUT = "base", "shuffled", "held out"
"""Who is asked beside the arms: the model as it was, the adapter of another culture, and an adapter
in a culture it has not seen."""


def shuffled(step: int) -> str:
    """Return what the control is called in which each culture has the adapter of the one that many
    places on: with all steps every adapter answers for every culture."""
    return SHUFFLED if step == 1 else f"{SHUFFLED} {step}"


NO_EFFECT = Arm("nothing: an adapter without effect", "nothing", joint=True)
"""What computes as adapters do and must not differ from the base model."""
OTHERS, EVALUATED = "others", "evaluated"
"""Items of the survey that people's answers are learned of."""
SURVEY = {
    "people": Arm("people's answers to other items", "people", corpus={"items": OTHERS}),
    "planted": Arm("people's answers to these very items", "people", corpus={"items": EVALUATED}),
}
"""The upper bound of what can be learned of a culture, and an effect that must come out."""
MAIN, PLAIN, TWO, SEVERAL = "clca", "plain-text", "two-party", "multi-party"
ARMS: dict[str, Arm] = {
    MAIN: Arm("dialogue and intents of accepted scenes"),
    "dialogue-only": Arm("dialogue of accepted scenes", preset="dialogue-only"),
    "intent-only": Arm("intents of accepted scenes", preset="intent-only"),
    "no-filter": Arm("dialogue and intents, whatever the critics say", preset="no-filter"),
    PLAIN: Arm("the same model's plain texts, as many tokens", source="texts"),
    TWO: Arm("scenes of two, as many tokens", corpus={"max_parties": 2}),
    SEVERAL: Arm("scenes of three and more, as many tokens", corpus={"min_parties": 3}),
    JOINT: Arm("all cultures in one adapter", joint=True),
    **SURVEY,
    NULL: NO_EFFECT,
}
"""Every arm of a CLCA experiment by name, the main one first."""
EQUAL = ((TWO, SEVERAL),)
"""Arms that get the tokens of the smaller of them."""

CHANGED = "crqpc"
SPA_ARMS: dict[str, Arm] = {
    CHANGED: Arm("answers that the culture changes", "selection", joint=True),
    "specific": Arm("the same, one adapter per culture", "selection"),
    "rds": Arm("answers drawn at random", "selection", corpus={"method": "rds"}, joint=True),
    "cds": Arm("answers that agree", "selection", corpus={"method": "cds"}, joint=True),
    "divergence": Arm(
        "answers whose distributions are furthest apart",
        "selection",
        corpus={"method": "divergence"},
        joint=True,
    ),
    "half": Arm("half of the rows", "selection", joint=True, share=0.5),
    "quarter": Arm("a quarter of the rows", "selection", joint=True, share=0.25),
    "clca": Arm("simulated scenes, at equal tokens", "scenes", joint=True),
    "answers": Arm("answers that the culture changes, at equal tokens", "answers", joint=True),
    "both": Arm("scenes and answers in equal parts, at equal tokens", "both", joint=True),
    **{name: replace(arm, joint=True) for name, arm in SURVEY.items()},
    NULL: NO_EFFECT,
}
"""Every arm of a CultureSPA experiment by name, the main one first."""
