"""Ways of asking a model the survey: as nobody in particular, as a culture, or as a respondent.

Invariant: a method that shows a model people's answers to the evaluation's own items says so
(`leaks`), and everything it produces carries that mark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from folkways.errors import unknown_name

Who = Literal["unaware", "culture", "average", "respondent"]


@dataclass(frozen=True, slots=True)
class Method:
    """What a model is told besides the item."""

    about: str
    """In a few words."""
    who: Who
    """Nobody in particular, somebody of a culture, its average person, or a described respondent.
    """
    guidance: bool = False
    """Whether it is led to think of the person's life first."""
    neighbours: Literal["dimensions", "answers"] | None = None
    """What the culture is compared with, and what likeness is taken from."""
    examples: Literal["disjoint", "evaluated"] | None = None
    """Answered items shown before the question, and where they are from."""

    @property
    def leaks(self) -> bool:
        """Whether it draws on people's answers to the items that are evaluated."""
        return self.neighbours == "answers" or self.examples == "evaluated"

    @property
    def by_respondent(self) -> bool:
        """Whether each respondent is asked, rather than each culture once."""
        return self.who == "respondent"

    @property
    def by_culture(self) -> bool:
        """Whether the prompt differs from culture to culture."""
        return self.who != "unaware" or self.examples is not None


METHODS = {
    "unaware": Method("a person with own values (CultureSPA's P0)", "unaware"),
    "culture": Method("a person of the culture (CultureSPA's P1)", "culture"),
    "average": Method("the culture's average person (CLCA's cultural prompting)", "average"),
    "respondent": Method("a described respondent (CLCA's persona prompting)", "respondent"),
    "anthropological": Method(
        "a respondent whose life is thought of first", "respondent", guidance=True
    ),
    "cross-culture": Method(
        "a culture among others, by published dimensions", "culture", neighbours="dimensions"
    ),
    "cross-culture-gold": Method(
        "a culture among others, by people's answers (CultureSPA's P2)",
        "culture",
        neighbours="answers",
    ),
    "self-alignment": Method(
        "five answered items from outside the evaluation", "unaware", examples="disjoint"
    ),
    "self-alignment-gold": Method(
        "five answered items of the evaluation (CultureSPA's P3)", "unaware", examples="evaluated"
    ),
    "culture+self-alignment": Method("P1 and P3 without leak", "culture", examples="disjoint"),
    "culture+self-alignment-gold": Method("CultureSPA's P1+P3", "culture", examples="evaluated"),
    "cross-culture+self-alignment": Method(
        "P2 and P3 without leak", "culture", neighbours="dimensions", examples="disjoint"
    ),
    "cross-culture+self-alignment-gold": Method(
        "CultureSPA's P2+P3", "culture", neighbours="answers", examples="evaluated"
    ),
}
"""Every method by name. Sources: Liu et al. 2025 (CLCA), Xu et al. 2025 (CultureSPA), AlKhamissi et
al. 2024 (anthropological prompting), Choenni & Shutova 2024 (self-alignment)."""


def method(name: str) -> Method:
    """Return a method; raise UserError with the known names for any other."""
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS[name]
