"""Name books: names, places and languages of a culture; and traits that anybody may have.

Invariant: a book is data; what is drawn from it, and how often, is the sampler's.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from folkways.errors import UserError, unknown_name
from scenarios.culture import load_culture, load_cultures
from scenarios.parsing.yaml_file import load_yaml
from scenarios.persona import Education, Settlement

_NAMES = Path(__file__).parent / "names"


def _as_mapping(value: Any) -> Any:
    """Let a list of names stand for a mapping without native spellings."""
    return dict.fromkeys(value) if isinstance(value, list) else value


Names = Annotated[dict[str, str | None], BeforeValidator(_as_mapping)]
"""Latin spelling to the native one, or to null where the culture writes Latin letters."""


class Community(BaseModel):
    """People of one culture who share names and a first language."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float = Field(gt=0)
    """Weight against the other communities of the book; an editor's choice, not a census figure."""
    languages: tuple[str, ...] = Field(min_length=1)
    """BCP 47 tags that its people speak, the one spoken at home first."""
    surnames: Literal["one", "two", "patronymic"] = "one"
    """one family name; two (one from each parent); or the father's given name in its place."""
    by_generation: bool = False
    """Whether given names run from those usual among the oldest to those among the youngest."""
    women: Names = Field(min_length=1)
    """Given names of women."""
    men: Names = Field(min_length=1)
    """Given names of men."""
    family: Names = Field(default_factory=dict)
    """Family names, in the masculine form where there are two; empty for patronymics."""
    family_women: Names | None = None
    """The feminine forms, in the same order, where family names have them."""
    places: dict[Settlement, tuple[str, ...]] = Field(min_length=1)
    """Places it lives in by kind; each reads well after `in`."""


class NameBook(BaseModel):
    """Names, places and languages of one culture."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    culture: str = Field(pattern=r"^[A-Z]{3}$")
    """ISO 3166 alpha-3; same as the file's name."""
    order: Literal["given-first", "family-first"]
    """Which name is said first."""
    cohabitation: bool
    """Whether unmarried couples who live together are sampled."""
    least_schooling: dict[Education, int]
    """Age from which somebody with no more than this level is sampled. `none` and `primary` that
    are absent are never sampled, higher levels always; a coarse editor's choice."""
    learned: tuple[str, ...] = ()
    """Languages that half of those with a university degree have learned."""
    communities: dict[str, Community] = Field(min_length=1)
    """By a short English label."""


def known_cultures() -> list[str]:
    """Return the ids of the cultures that have a name book."""
    return sorted(path.stem for path in _NAMES.glob("[A-Z][A-Z][A-Z].yaml"))


@cache
def load_name_book(culture_id: str) -> NameBook:
    """Return the name book of a culture; raise UserError, listing the known ones, without one."""
    if culture_id not in known_cultures():
        if culture_id in load_cultures():
            raise UserError(
                f"no names are known for the culture '{culture_id}', so that nobody can be "
                "sampled; give people of it in a pool file (cast.pools in a run)"
            )
        load_culture(culture_id)
        raise unknown_name("culture", culture_id, known_cultures())
    return NameBook.model_validate(load_yaml(_NAMES / f"{culture_id}.yaml").data)


@cache
def load_character() -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """Return the lines of mutually exclusive traits, and the pastimes."""
    data = load_yaml(_NAMES / "character.yaml").data
    return tuple(tuple(line) for line in data["traits"]), tuple(data["pastimes"])
