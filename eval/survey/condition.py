"""A condition: one way in which the survey is put to one model, and the sheets it consists of.

Invariant: a condition's id is a hash of everything that shapes its prompts and read-out; the sheets
of two conditions with the same protocol ask the same people the same items in the same orders.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from agents.models.base import shaping_options
from eval.config import EvalConfig, ModelPart, ModelRef, Readout
from eval.item import Item
from eval.respondents.marginals import load_marginals
from eval.respondents.respondent import Respondent
from eval.respondents.source import People
from eval.survey.example import Example, choose_examples, disjoint_pool
from eval.survey.method import Method, method
from eval.survey.neighbour import neighbours
from eval.survey.order import Order, option_orders
from eval.survey.prompt import render_item, render_system
from eval.survey.voice import Voice, languages, load_voice, native_language
from folkways.errors import UserError
from folkways.provenance import short_hash

_FREE = ("orders",)
"""Terms that log-probabilities depend on as well: nothing of them is drawn."""
NOBODY = "*"
"""Stands for the culture where the prompt names none."""
_NEIGHBOURHOOD: dict[str, Callable[[], Sequence[str]]] = {
    "dimensions": lambda: tuple(load_voice("en").words.countries),
    "answers": lambda: load_marginals().culturespa,
}
"""The countries a culture is compared with, by where likeness is taken from."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One way of asking one model."""

    model: ModelRef
    method_name: str
    style: str | None
    """None where no respondent is described."""
    language: str
    """native: each culture's own."""
    readout: Readout
    terms: tuple[tuple[str, Any], ...] = ()
    """Orders and sampling where a store may hold answers got with others; empty where they are
    those of the whole evaluation."""
    id: str = field(init=False)
    """Hash of everything that shapes the answers."""

    def __post_init__(self) -> None:
        """Compute the id, which every answer carries, once."""
        text = json.dumps(self.row(with_id=False), sort_keys=True)
        object.__setattr__(self, "id", short_hash(text))

    @property
    def method(self) -> Method:
        """What the model is told besides the item."""
        return method(self.method_name)

    def row(self, with_id: bool = True) -> dict[str, Any]:
        """Return the row of the table `survey_conditions`."""
        shaping = shaping_options(self.model.name, self.model.options)
        if self.model.by_culture:
            shaping["by_culture"] = {
                culture: self._told(part) for culture, part in self.model.by_culture.items()
            }
        if self.terms:
            sampled = self.readout == "text"
            shaping["asked"] = {
                name: value for name, value in self.terms if sampled or name in _FREE
            }
        row = {
            "model": self.model.called,
            "engine": self.model.name,
            "method": self.method_name,
            "leaks": self.method.leaks,
            "style": self.style,
            "language": self.language,
            "readout": self.readout,
            "options": json.dumps(shaping, sort_keys=True),
        }
        return {"condition_id": self.id} | row if with_id else row

    def _told(self, part: ModelPart) -> dict[str, Any]:
        """Return what stands for the model in a culture, with what its options imply."""
        given, told = self.model.options | part.options, part.model_dump(mode="json")
        whole = shaping_options(part.name or self.model.name, given)
        return told | {"options": part.options | {k: whole[k] for k in whole if k not in given}}

    def voice(self, country: str | None) -> Voice:
        """Return the language in which a culture is asked."""
        if self.language != "native":
            return load_voice(self.language)
        assert country is not None
        return load_voice(native_language(country))


class Question(NamedTuple):
    """One item in one order, asked once."""

    item: Item
    arrangement: int
    order: Order
    sample: int
    text: str
    """The user's message."""


@dataclass(frozen=True, slots=True)
class Questionnaire:
    """All questions to one respondent, to one culture, or to nobody in particular."""

    condition: Condition
    country: str
    """ISO 3166 alpha-3, or `NOBODY`."""
    respondent: Respondent | None
    voice: Voice
    system: str
    questions: Sequence[Question]

    @property
    def repeats(self) -> bool:
        """Whether the very same prompts may stand on another sheet of the condition."""
        return self.respondent is not None or self.condition.language == "native"

    @property
    def key(self) -> tuple[str, str, str | None]:
        """Condition, country and respondent."""
        respondent = None if self.respondent is None else self.respondent.id
        return self.condition.id, self.country, respondent


def conditions(
    config: EvalConfig, model: ModelRef, terms: tuple[tuple[str, Any], ...] = ()
) -> list[Condition]:
    """Return the conditions in which a model is to be asked: where other models stand for it in
    each culture, those that name a culture."""
    return [
        Condition(model, name, style, language, readout, terms)
        for name, chosen in config.chosen_methods().items()
        if chosen.by_culture or not model.by_culture
        for style in (config.styles if chosen.by_respondent else (None,))
        for language in config.languages
        for readout in config.readouts
    ]


class Planner:
    """Makes the sheets of conditions; the wording of questions is rendered once.

    `items` are those of the configuration unless they are given. With `terms` conditions that
    differ in orders or sampling are told apart.
    """

    def __init__(
        self,
        config: EvalConfig,
        people: People,
        items: Sequence[Item] | None = None,
        terms: tuple[tuple[str, Any], ...] = (),
    ) -> None:
        self.config, self.people, self.terms = config, people, terms
        self.items = config.chosen_items() if items is None else tuple(items)
        self._orders = {
            item.id: option_orders(item, config.orders, config.seed) for item in self.items
        }
        self._texts: dict[tuple[str, str | None], list[Question]] = {}

    def conditions(self, model: ModelRef) -> list[Condition]:
        """Return the conditions in which a model is to be asked."""
        return conditions(self.config, model, self.terms)

    def sheets(self, condition: Condition) -> Iterator[Questionnaire]:
        """Yield the sheets of a condition; respondents take turns by country, so that what is
        answered when the work is interrupted is balanced."""
        chosen, cultures = condition.method, self.cultures(condition)
        if not chosen.by_culture and condition.language != "native":
            yield self._sheet(condition, None, None)
        elif not chosen.by_respondent:
            for country in cultures:
                yield self._sheet(condition, country, None)
        else:
            members = [(country, self.people.respondents[country]) for country in cultures]
            for turn in range(max((len(people) for _, people in members), default=0)):
                for country, people in members:
                    if turn < len(people):
                        yield self._sheet(condition, country, people[turn])

    def count(self, condition: Condition) -> int:
        """Return how many sheets a condition has."""
        chosen = condition.method
        if not chosen.by_culture and condition.language != "native":
            return 1
        if not chosen.by_respondent:
            return len(self.cultures(condition))
        return sum(len(self.people.respondents[country]) for country in self.cultures(condition))

    def cultures(self, condition: Condition) -> tuple[str, ...]:
        """Return the cultures that a condition's model is asked for."""
        only = condition.model.by_culture
        return tuple(c for c in self.config.cultures if not only or c in only)

    def wording(self, condition: Condition) -> str:
        """Return the hash of the prompts and items in a condition's languages.

        Generated questions are left out: the store that holds the answers holds their words too,
        and there may be more of them later.
        """
        native = condition.language == "native"
        voices = [load_voice(name) for name in (languages() if native else (condition.language,))]
        parts = [voice.hash for voice in voices]
        parts += [
            voice.wording(item).model_dump_json()
            for voice in voices
            for item in self.items
            if voice.knows(item) and not item.generated
        ]
        return short_hash("".join(parts))

    def questions(self, condition: Condition) -> int:
        """Return how many questions a sheet has that has all of them."""
        return self.samples(condition) * sum(len(orders) for orders in self._orders.values())

    def samples(self, condition: Condition) -> int:
        """Return how often each question is asked."""
        return self.config.samples if condition.readout == "text" else 1

    def _sheet(
        self, condition: Condition, country: str | None, respondent: Respondent | None
    ) -> Questionnaire:
        voice, chosen = condition.voice(country), condition.method
        similar: tuple[str, ...] = ()
        different: tuple[str, ...] = ()
        if chosen.neighbours:
            assert country is not None
            among = _NEIGHBOURHOOD[chosen.neighbours]()
            similar, different = neighbours(country, among, chosen.neighbours)
        system = render_system(
            voice,
            chosen,
            country,
            style=condition.style or "",
            respondent=respondent,
            similar=similar,
            different=different,
        )
        questions = self._questions(condition, voice, country)
        if respondent is not None and respondent.id in self.people.asked:
            only = self.people.asked[respondent.id]
            questions = [question for question in questions if question.item.id in only]
        return Questionnaire(condition, country or NOBODY, respondent, voice, system, questions)

    def _questions(self, condition: Condition, voice: Voice, country: str | None) -> list[Question]:
        examples = condition.method.examples
        key = (f"{voice.language} {examples} {condition.readout}", country if examples else None)
        if key not in self._texts:
            self._texts[key] = [
                Question(item, number, order, sample, text)
                for item in self.items
                for number, order in enumerate(self._orders[item.id])
                for text in [
                    render_item(voice, item, order, self._examples(condition, item, country))
                ]
                for sample in range(self.samples(condition))
            ]
        return self._texts[key]

    def _examples(
        self, condition: Condition, item: Item, country: str | None
    ) -> tuple[Example, ...]:
        source = condition.method.examples
        if source is None:
            return ()
        assert country is not None
        pool = self.items if source == "evaluated" else disjoint_pool(self.items)
        return tuple(choose_examples(item, pool, _modes(country)))


def _modes(country: str) -> dict[str, int]:
    """Return the modal answers of a country's people, as shipped: codes as in the file, by item."""
    people = load_marginals()
    if country not in people.countries:
        raise UserError(
            f"there are no national answers for '{country}' to show as examples; leave out the "
            f"country, or the methods with self-alignment"
        )
    return {item: cell.mode for (home, item), cell in people.cells.items() if home == country}
