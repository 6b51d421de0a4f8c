"""People of a culture beside the published figures of its country.

Invariant: a row is there only where a figure is published; nothing is compared with a weight.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from scenarios.persona import Gender, Persona
from scenarios.sampling.figures import (
    AGES,
    POPULATION_YEAR,
    SCHOOLED_FROM,
    Figure,
    Figures,
    figures_of,
)
from scenarios.sampling.household import PARTNERED, PARTNERED_UNTIL
from scenarios.sampling.occupation import EDUCATION_LEVELS, state_of_work

_OLD = 65
_AGE_GROUPS = ((AGES[0], 29), (30, 44), (45, _OLD - 1), (_OLD, AGES[1]))
_SEXES = {"woman": "women", "man": "men"}


class Comparison(NamedTuple):
    """One published share and what people show, between 0 and 1."""

    name: str
    figure: str
    """A field of `Figures`; `figures.source_of` names its source."""
    years: str
    """Of the figure, or the first and the last of several."""
    published: float
    drawn: float | None
    """None where there is nobody whom the figure is about."""


class _Breakdown(NamedTuple):
    """Published shares of people who fall into named groups."""

    figure: str
    years: str
    shares: dict[str, float]
    group: Callable[[Persona], str | None]
    """The group of a person, or None for somebody whom the figure is not about."""


def compare(culture_id: str, people: Sequence[Persona]) -> list[Comparison]:
    """Return every figure of the culture's country beside the people; nothing without figures."""
    figures = figures_of(culture_id)
    rows = []
    for figure, years, shares, group in _breakdowns(figures) if figures else ():
        counts = Counter(map(group, people))
        whole = counts.total() - counts[None]
        for name, share in shares.items():
            drawn = counts[name] / whole if whole else None
            rows.append(Comparison(name, figure, years, share, drawn))
    return rows


def _breakdowns(figures: Figures) -> Iterator[_Breakdown]:
    shares, old = _age_shares(figures)
    yield _Breakdown("women", str(POPULATION_YEAR), shares, _age_group)
    over = f"{_OLD} and over"
    yield _Breakdown("women", str(POPULATION_YEAR), {over: old}, _named(over, _old))
    if figures.urban and figures.capital:
        urban, capital = figures.urban.share, figures.capital.share
        shares = {"capital": capital, "other urban": urban - capital, "rural": 1 - urban}
        yield _Breakdown("urban", _years(figures.urban, figures.capital), shares, _place)
    yield from _of_schooling(figures)
    partnered = f"with a partner, of women to {PARTNERED_UNTIL}"
    for field, figure, name, holds in (
        ("partnered", figures.partnered, partnered, _partnered),
        ("employed", figures.employed, "in work", _in_work),
        ("unemployed", figures.unemployed, "seeking work, of the labour force", _seeking),
        ("agriculture", figures.agriculture, "in agriculture, of those in work", _farming),
    ):
        if figure:
            yield _Breakdown(field, _years(figure), {name: figure.share}, _named(name, holds))


def _years(*figures: Figure | None) -> str:
    """Return `2018`, or `2010-2019` for figures of several years."""
    years = sorted({figure.year for figure in figures if figure})
    return "-".join(str(year) for year in dict.fromkeys((years[0], years[-1])))


def _age_shares(figures: Figures) -> tuple[dict[str, float], float]:
    """Return the share of each sex and age group, and that of the old."""
    people = figures.people()
    whole = sum(people.values())
    shares: dict[str, float] = {}
    for (gender, age), number in people.items():
        name = _age_name(gender, age)
        shares[name] = shares.get(name, 0) + number / whole
    return shares, sum(number for (_, age), number in people.items() if age >= _OLD) / whole


def _age_name(gender: Gender, age: int) -> str:
    youngest, oldest = next(group for group in _AGE_GROUPS if group[0] <= age <= group[1])
    return f"{_SEXES[gender]} of {youngest} to {oldest}"


def _age_group(person: Persona) -> str | None:
    return _age_name(person.gender, person.age) if person.gender in _SEXES else None


def _old(person: Persona) -> bool | None:
    return person.age >= _OLD if person.gender in _SEXES else None


def _place(person: Persona) -> str:
    return {"capital": "capital", "village": "rural"}.get(person.settlement, "other urban")


def _of_schooling(figures: Figures) -> Iterator[_Breakdown]:
    names: dict[str, str] = {}
    shares: dict[str, float] = {}
    for levels, share in reversed(list(figures.education_shares().items())):
        name = " or ".join(level for level in EDUCATION_LEVELS if level in levels)
        name += f", of those from {SCHOOLED_FROM}"
        shares[name] = share
        names.update(dict.fromkeys(levels, name))

    def group(person: Persona) -> str | None:
        return names[person.education] if person.age >= SCHOOLED_FROM else None

    if shares:
        cuts = (figures.lower_secondary, figures.upper_secondary, figures.bachelor)
        yield _Breakdown("bachelor", _years(*cuts), shares, group)


def _partnered(person: Persona) -> bool | None:
    meant = person.gender == "woman" and person.age <= PARTNERED_UNTIL
    return person.marital_status in PARTNERED if meant else None


def _named(name: str, holds: Callable[[Persona], bool | None]) -> Callable[[Persona], str | None]:
    """Return a group function: the name where it holds, None where the figure is not about one."""

    def group(person: Persona) -> str | None:
        held = holds(person)
        return None if held is None else name if held else f"not {name}"

    return group


def _in_work(person: Persona) -> bool:
    return state_of_work(person.occupation) in ("agriculture", "other work")


def _seeking(person: Persona) -> bool | None:
    state = state_of_work(person.occupation)
    return None if state == "no work" else state == "seeking"


def _farming(person: Persona) -> bool | None:
    return state_of_work(person.occupation) == "agriculture" if _in_work(person) else None
