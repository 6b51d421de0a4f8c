"""Published figures of a country's people: age by sex, settlement, schooling, partners and work.

Invariant: a figure has its year and its source; one that a country lacks is None, never a guess.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from scenarios.parsing.yaml_file import load_yaml
from scenarios.persona import Education, Gender, Settlement
from scenarios.sampling.occupation import HIGHER, WorkState

AGES = (18, 99)
"""Youngest and oldest with figures, in years."""
POPULATION_YEAR = 2020
"""Year of the counts of women and men."""
SCHOOLED_FROM = 25
"""Age in years from which schooling has figures."""
_FIRST_GROUP, _GROUP_YEARS, _GROUPS = 15, 5, 17
"""The five-year age groups: 15-19 to 95-99."""
_LEVELS: tuple[frozenset[Education], ...] = (
    frozenset(("none", "primary")),
    frozenset(("lower-secondary",)),
    frozenset(("upper-secondary", "vocational")),
    frozenset(HIGHER),
)
"""The levels that the figures can tell apart, the least first."""

_Thousands = Annotated[tuple[int, ...], Field(min_length=_GROUPS, max_length=_GROUPS)]


class Figure(NamedTuple):
    """One published percentage."""

    percent: float
    year: int

    @property
    def share(self) -> float:
        """The same between 0 and 1."""
        return self.percent / 100


class Source(BaseModel):
    """Where figures come from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    figures: tuple[str, ...] = Field(min_length=1)
    """Fields of `Figures`."""
    title: str
    """Publication and publisher."""
    licence: str
    read_from: str
    """The copy that the figures were read from."""


class Figures(BaseModel):
    """The figures of one country; the head of figures.yaml says what each is a share of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    women: _Thousands
    men: _Thousands
    urban: Figure | None = None
    capital: Figure | None = None
    lower_secondary: Figure | None = None
    upper_secondary: Figure | None = None
    bachelor: Figure | None = None
    partnered: Figure | None = None
    employed: Figure | None = None
    unemployed: Figure | None = None
    agriculture: Figure | None = None

    def people(self) -> dict[tuple[Gender, int], float]:
        """Return thousands of women and men by single year, even within a five-year group."""
        both: dict[Gender, _Thousands] = {"woman": self.women, "man": self.men}
        return {
            (gender, age): groups[(age - _FIRST_GROUP) // _GROUP_YEARS] / _GROUP_YEARS
            for gender, groups in both.items()
            for age in range(AGES[0], AGES[1] + 1)
        }

    def settlement_shares(self) -> dict[frozenset[Settlement], float]:
        """Return the share of each group of settlements that the figures tell apart."""
        if self.urban is None or self.capital is None:
            return {}
        return {
            frozenset(("capital",)): self.capital.share,
            frozenset(("large-city", "small-city", "town")): self.urban.share - self.capital.share,
            frozenset(("village",)): 1 - self.urban.share,
        }

    def education_shares(self) -> dict[frozenset[Education], float]:
        """Return the share, of those schooled long ago, of each group of levels told apart."""
        if self.upper_secondary is None or self.bachelor is None:
            return {}
        at_least = (Figure(100, 0), self.lower_secondary, self.upper_secondary, self.bachelor)
        shares: dict[frozenset[Education], float] = {}
        above, group = 0.0, frozenset[Education]()
        for figure, levels in zip(reversed(at_least), reversed(_LEVELS), strict=True):
            group |= levels
            if figure is not None:
                shares[group] = figure.share - above
                above, group = figure.share, frozenset()
        return shares

    def work_shares(self) -> dict[frozenset[WorkState], float]:
        """Return the share of adults in each state of work."""
        if self.employed is None or self.unemployed is None or self.agriculture is None:
            return {}
        employed, sought = self.employed.share, self.unemployed.share
        seeking = employed * sought / (1 - sought)
        shares: dict[WorkState, float] = {
            "agriculture": employed * self.agriculture.share,
            "other work": employed * (1 - self.agriculture.share),
            "seeking": seeking,
            "no work": 1 - employed - seeking,
        }
        return {frozenset((state,)): share for state, share in shares.items()}


class _FiguresFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sources: dict[str, Source]
    countries: dict[str, Figures]


@cache
def _load() -> _FiguresFile:
    return _FiguresFile.model_validate(load_yaml(Path(__file__).parent / "figures.yaml").data)


def figures_of(culture_id: str) -> Figures | None:
    """Return the figures of a culture's country, or None where there are none."""
    return _load().countries.get(culture_id)


def source_of(figure: str) -> Source:
    """Return the source of a field of `Figures`."""
    return next(source for source in _load().sources.values() if figure in source.figures)


def without_figures(culture_id: str) -> list[str]:
    """Return what the sampler draws of a culture by weights of its own, a phrase each."""
    figures = figures_of(culture_id)
    if figures is None:
        return ["age", "sex", "settlement", "education", "marital status", "work", "households"]
    parts = {
        "settlement": not figures.settlement_shares(),
        "the size of urban places other than the capital": bool(figures.settlement_shares()),
        "education": not figures.education_shares(),
        "education below upper-secondary": figures.lower_secondary is None,
        f"education before the age of {SCHOOLED_FROM}": bool(figures.education_shares()),
        "marital status": figures.partnered is None,
        "marital status but for having a partner, and of men": figures.partnered is not None,
        "work": not figures.work_shares(),
        "work by age, sex and settlement": bool(figures.work_shares()),
        "households": True,
    }
    return [part for part, applies in parts.items() if applies]
