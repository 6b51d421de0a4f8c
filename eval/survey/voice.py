"""How the survey is put in a language: descriptions of respondents, wording of items, prompts.

Invariant: a prompt is of one language throughout; what is not written in a language is refused, not
filled in from another. A demographic that a respondent did not give is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, ConfigDict, Field, model_validator

from agents.template import fold
from eval.item import Item
from eval.respondents.country import load_countries
from folkways.errors import UserError, unknown_name
from folkways.provenance import short_hash
from scenarios.culture import load_cultures

_VOICES = Path(__file__).parents[1] / "voices"
"""XX.yaml, XX.jinja and, but for English, XX.items.yaml of each language."""
HOME, SEX = "B_COUNTRY", "Q260"
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader

Text = str | dict[int, str]
"""A text, or its forms by the respondent's sex: 1 man, 2 woman, 0 not known."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Place(_Strict):
    """A country's name."""

    name: str
    place: str = ""
    """The form after a preposition, where it differs."""


class _Demographic(_Strict):
    """How one thing is told about a respondent."""

    label: str
    question: str
    """As an interviewer asks it."""
    values: dict[int, Text] = {}
    """By code; empty for the country."""
    highest: int | None = None
    """Codes above this one are told like it."""
    story: str | dict[int, Text]
    """A sentence in which {} stands for the value, or one for each code."""


class Wording(_Strict):
    """An item in a language."""

    ask: str = Field(min_length=1)
    options: dict[int, str]

    @property
    def statement(self) -> bool:
        """Whether it is a statement to be judged rather than a question."""
        return not self.ask.endswith(("?", "？"))  # noqa: RUF001


class _Words(_Strict):
    """The file XX.yaml."""

    language: str
    spoken_in: tuple[str, ...]
    countries: dict[str, _Place]
    fields: dict[str, _Demographic]
    refusals: tuple[str, ...]
    unsure: tuple[str, ...]

    @model_validator(mode="after")
    def _check(self) -> _Words:
        for name, field in self.fields.items():
            told = set(field.story) if isinstance(field.story, dict) else set(field.values)
            if told != set(field.values):
                raise ValueError(f"{name}: story and values differ in their codes")
        return self


class _Items(_Strict):
    """The file XX.items.yaml."""

    language: str
    items: dict[str, Wording]


class Told(NamedTuple):
    """One thing told about a respondent."""

    label: str
    question: str
    value: str
    sentence: str


class Voice:
    """A language in which the survey can be held."""

    def __init__(self, words: _Words, items: Mapping[str, Wording] | None, template: str) -> None:
        self.language, self.words, self._items = words.language, words, items
        self.refusals, self.unsure = words.refusals, words.unsure
        environment = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined, autoescape=False, finalize=fold
        )
        self._template, self._source = environment.from_string(template), template
        self.hash = short_hash(template + words.model_dump_json())

    def __reduce__(self) -> tuple[type[Voice], tuple[Any, ...]]:
        return Voice, (self.words, self._items, self._source)  # a compiled template cannot travel

    def render(self, part: str, **values: Any) -> str:
        """Return the prompt's part `system` or `item`; text enters as values only."""
        return self._template.render(part=part, **values).strip()

    def country(self, country: str) -> str:
        """Return a country's name, in English that of any country and of a culture of the user's
        own. Raises UserError for one that the language's file lacks."""
        return self._place(country).name

    def place(self, country: str) -> str:
        """Return a country's name as it stands after a preposition."""
        place = self._place(country)
        return place.place or place.name

    def knows(self, item: Item) -> bool:
        """Return whether an item is worded in this language."""
        return self._items is None or item.id in self._items

    def wording(self, item: Item) -> Wording:
        """Return an item in this language. Raises UserError where it is not translated."""
        if self._items is None:
            return Wording(ask=item.ask, options=item.options)
        if not self.knows(item):
            raise UserError(
                f"{item.id} has no wording in '{self.language}'; translated are the items of "
                "clca-44 and inglehart-welzel-10"
            )
        return self._items[item.id]

    def tell(self, country: str, demographics: Mapping[str, int | None]) -> list[Told]:
        """Return what is told about a respondent, clause by clause, without what is missing.

        Raises UserError for a code that the language's file does not know.
        """
        sex = demographics.get(SEX) or 0
        told = []
        for name, field in self.words.fields.items():
            if name == HOME:
                sentence = str(field.story).replace("{}", self.place(country))
                told.append(Told(field.label, field.question, self.country(country), sentence))
                continue
            code = demographics.get(name)
            if code is None:
                continue
            if field.highest is not None:
                code = min(code, field.highest)
            if code not in field.values:
                raise UserError(
                    f"{name} is {code}; voices/{self.language}.yaml has no words for it"
                )
            value = _form(field.values[code], sex)
            story = field.story
            sentence = _form(story[code], sex) if isinstance(story, dict) else story
            told.append(Told(field.label, field.question, value, sentence.replace("{}", value)))
        return told

    def _place(self, country: str) -> _Place:
        if country not in self.words.countries:
            if self.language == "en" and country in load_cultures():
                return _Place(name=load_cultures()[country].name)
            if self.language == "en" and country in (known := load_countries()):
                return _Place(name=known[country].name, place=known[country].place)
            raise UserError(
                f"voices/{self.language}.yaml has no name for the country '{country}'; it has "
                f"{', '.join(self.words.countries)}"
            )
        return self.words.countries[country]


def _form(text: Text, sex: int) -> str:
    return text if isinstance(text, str) else text[sex]


def languages() -> tuple[str, ...]:
    """Return the languages in which the survey can be held, English first."""
    return tuple(
        sorted((path.stem for path in _VOICES.glob("*.jinja")), key=lambda n: (n != "en", n))
    )


def native_language(country: str) -> str:
    """Return the language of a country's survey. Raises UserError where none is written."""
    for language in languages():
        if country in load_voice(language).words.spoken_in:
            return language
    known = {home: name for name in languages() for home in load_voice(name).words.spoken_in}
    raise UserError(
        f"there is no native wording for '{country}'; there is for {', '.join(sorted(known))}"
    )


@cache
def load_voice(language: str) -> Voice:
    """Return a language; read once. Raises UserError with the known ones for any other."""
    if language not in languages():
        raise unknown_name("survey language", language, languages())
    words = _Words.model_validate(_read(_VOICES / f"{language}.yaml"))
    items = None
    if language != "en":
        items = _Items.model_validate(_read(_VOICES / f"{language}.items.yaml")).items
    return Voice(words, items, (_VOICES / f"{language}.jinja").read_text(encoding="utf-8"))


def _read(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), _LOADER)
