"""A culture: an ISO country id, published numbers, and norms with a source each.

Invariant: descriptor words are computed from the numbers (`scenarios.descriptors`), never stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from folkways.errors import UserError
from scenarios.parsing.problem import Finding, SourceError, nearest, show_value
from scenarios.parsing.validation import load_model
from scenarios.parsing.yaml_file import load_yaml

CULTURE_FOLDER = Path(__file__).with_name("cultures")
"""One YAML file a culture, named by its id."""

_SKELETON = Path(__file__).with_name("culture_skeleton.yaml")
_OTHER_NAMES = Path(__file__).parent / "sampling/names/countries.yaml"

_Domain = Literal[
    "family",
    "work",
    "hospitality",
    "conflict",
    "money",
    "religion",
    "migration",
    "gender",
    "neighbours",
    "public",
]
"""What a norm is about: the list is closed, one domain for each of the ten themes of the shipped
scenarios. A shipped culture has a norm in every one.
"""

HOFSTEDE_DIMENSIONS = ("pdi", "idv", "mas", "uai", "lto", "ivr")
"""Power distance, individualism, motivation to achieve, uncertainty avoidance, long-term
orientation, indulgence."""


class Hofstede(BaseModel):
    """Six dimension scores, 0 to 100; null where none is published."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pdi: float | None = Field(default=None, ge=0, le=100)
    idv: float | None = Field(default=None, ge=0, le=100)
    mas: float | None = Field(default=None, ge=0, le=100)
    uai: float | None = Field(default=None, ge=0, le=100)
    lto: float | None = Field(default=None, ge=0, le=100)
    ivr: float | None = Field(default=None, ge=0, le=100)
    estimate: bool = False
    """True where the source marks the row as an estimate rather than a measurement."""
    source: str = Field(min_length=1)
    """Where the numbers come from and of what date they are."""


class InglehartWelzel(BaseModel):
    """Coordinates on the cultural map, in its units (roughly -2.5 to 2.5)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    survival_self_expression: float
    traditional_secular: float
    source: str = Field(min_length=1)


class Norm(BaseModel):
    """One expectation people in the culture tend to hold of each other."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    text: str = Field(min_length=1, max_length=400)
    """The norm in our own words, as a tendency and not a law."""
    domain: _Domain
    source: str = Field(min_length=1)
    """A publication that documents it: author, year, title."""


class Culture(BaseModel):
    """A culture, addressed by country because the survey data is.

    People within a country differ more than countries do.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[A-Z]{3}$")
    """ISO 3166 alpha-3."""
    name: str
    """Country name in English."""
    demonym: str
    """Adjective, `Mexican`."""
    article: Literal["a", "an"]
    """English article before the demonym."""
    languages: tuple[str, ...] = Field(min_length=1)
    """BCP 47 tags, the most spoken first."""
    hofstede: Hofstede
    inglehart_welzel: InglehartWelzel | None = None
    norms: tuple[Norm, ...] = ()
    """Agents are told the first of each domain, and whoever writes scenarios all of them."""

    def told_norms(self) -> tuple[Norm, ...]:
        """Return the norms that agents are told: the first of each domain, in the file's order.

        So much is told of every culture that has them all, whatever the number of its norms.
        """
        first: dict[_Domain, Norm] = {}
        for norm in self.norms:
            first.setdefault(norm.domain, norm)
        return tuple(first.values())


def read_culture(path: Path) -> Culture:
    """Return the culture written in a YAML file.

    Raises UserError with line and column for whatever is not YAML or not allowed by the schema, and
    for a file whose name is not its id.
    """
    culture, source = load_model(path, Culture)
    if culture.id == path.stem:
        return culture
    message = "the id is not the file's name; change one of them"
    finding = Finding(("id",), message, show_value(culture.id), show_value(path.stem))
    raise SourceError(source.name, [source.place(finding)])


def write_culture(path: Path) -> None:
    """Write a commented culture file to be filled in; its name is the id.

    Raises UserError for a name that can be no id, one that a shipped culture has, and a file that
    is there.
    """
    if not re.fullmatch("[A-Z]{3}", path.stem) or path.suffix != ".yaml":
        raise UserError(
            f"'{path.name}' is not named by an id; allowed: three capital letters, as in XAA.yaml"
        )
    _require_free(path.stem)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(_SKELETON.read_text(encoding="utf-8").replace("$id", path.stem))
    except FileExistsError as error:
        raise UserError(f"'{path}' exists already; choose another name") from error
    except OSError as error:
        raise UserError(f"cannot write '{path}': {error.strerror}") from error


def gaps(culture: Culture) -> Iterator[Finding]:
    """Yield what a culture lacks that agents could be told, as warnings."""
    scores = culture.hofstede.model_dump()
    if missing := [name for name in HOFSTEDE_DIMENSIONS if scores[name] is None]:
        message = f"no score for {', '.join(missing)}: agents are told nothing of it"
        yield Finding(("hofstede",), message, severity="warning")
    told = [norm.domain for norm in culture.told_norms()]
    if not told:
        message = "no norms: the conditioning `norms` tells agents no more than `dimensions`"
        yield Finding(("norms",), message, severity="warning")
    elif missing := [one for one in get_args(_Domain) if one not in told]:
        message = (
            f"no norm for {', '.join(missing)}: agents are told one of each domain, here "
            f"{len(told)}, of a shipped culture {len(get_args(_Domain))}"
        )
        yield Finding(("norms",), message, severity="warning")
    if culture.name == culture.id or culture.demonym == culture.id:
        message = "the id stands for the name or the demonym, which agents are told; fill in both"
        yield Finding(("name",), message, severity="warning")


_own: dict[str, Culture] = {}


def add_cultures(files: Iterable[Path]) -> list[Culture]:
    """Read cultures of the user's own, which count beside the shipped ones from now on.

    Raises UserError for a faulty file and for an id that a shipped culture has.
    """
    added = []
    for path in files:
        culture = read_culture(path)
        _require_free(culture.id, f"{path}: ")
        _own[culture.id] = culture
        added.append(culture)
    return added


def own_cultures() -> tuple[Culture, ...]:
    """Return the cultures that the user has added, for another process to know."""
    return tuple(_own.values())


def know_cultures(cultures: Iterable[Culture]) -> None:
    """Have cultures that another process has read count here as well."""
    _own.update({culture.id: culture for culture in cultures})


def forget_cultures() -> None:
    """Leave the shipped cultures alone."""
    _own.clear()


def _require_free(id_: str, where: str = "") -> None:
    if id_ in shipped_cultures():
        raise UserError(
            f"{where}the culture '{id_}' is shipped, and no file may stand for it; choose another "
            "id and file name: XAA to XZZ are free"
        )


@cache
def shipped_cultures() -> dict[str, Culture]:
    """Return the shipped cultures by id, in alphabetical order; not to be changed."""
    return {path.stem: read_culture(path) for path in sorted(CULTURE_FOLDER.glob("*.yaml"))}


def load_cultures() -> dict[str, Culture]:
    """Return the shipped cultures by id, in alphabetical order, and behind them those that the user
    has added; not to be changed.
    """
    return {**shipped_cultures(), **_own} if _own else shipped_cultures()


def load_culture(culture_id: str) -> Culture:
    """Return the culture with this id, or, for the path of a culture file, the one in it.

    Raises UserError with the known ids otherwise, and the one that a name or another code means.
    """
    if culture_id.endswith((".yaml", ".yml")):
        return add_cultures([Path(culture_id)])[0]
    cultures = load_cultures()
    if culture_id in cultures:
        return cultures[culture_id]
    if meant := culture_meant(culture_id):
        hint = f", did you mean {meant}?"
        raise UserError(f"unknown culture '{culture_id}'{hint}; known: {', '.join(cultures)}")
    raise UserError(
        f"unknown culture '{culture_id}'; known: {', '.join(sorted(cultures))}; for one of your "
        "own give its file (culture_files in a configuration, see: folkways culture new)"
    )


def named_culture(given: str) -> Culture:
    """Return the culture that a user names: by its id in any letter case, or by its file."""
    text = given.strip()
    return load_culture(text if text.endswith((".yaml", ".yml")) else _as_id(text))


def _as_id(text: str) -> str:
    return text.upper() if text.upper() in load_cultures() else text


def culture_meant(text: str) -> str | None:
    """Return the id of the culture that a name, a demonym or another code stands for, or None."""
    known: dict[str, str] = {}
    others = load_yaml(_OTHER_NAMES).data
    for id_, culture in load_cultures().items():
        for name in (id_, culture.name, culture.demonym, *others.get(id_, ())):
            known.setdefault(name.casefold(), id_)
    said = " ".join(text.split()).casefold()
    near = known.get(said) or known.get(nearest(said, [one for one in known if len(one) > 3]) or "")
    return near
