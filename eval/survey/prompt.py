"""The prompts of the survey: who answers, then one item.

Invariant: the system prompt is the same for all items of a sheet and comes first, so that a server
computes it once; the item comes last and says nothing about who answers. Only who is told differs
between methods.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.models.base import Message
from eval.item import Item
from eval.respondents.respondent import Respondent
from eval.survey.example import Example
from eval.survey.method import Method
from eval.survey.order import Order
from eval.survey.voice import Voice


def render_system(
    voice: Voice,
    method: Method,
    country: str | None,
    *,
    style: str = "country",
    respondent: Respondent | None = None,
    similar: Sequence[str] = (),
    different: Sequence[str] = (),
) -> str:
    """Return the part of the prompt that all items of a sheet share.

    `country` is None only where the method names none; `similar` and `different` are countries.
    """
    told = []
    if respondent is not None:
        told = voice.tell(respondent.country, respondent.demographics)
    return voice.render(
        "system",
        voice=method.who,
        place="" if country is None else voice.place(country),
        style=style,
        sentences=[one.sentence for one in told],
        fields=told,
        guidance=method.guidance,
        similar=[voice.place(name) for name in similar],
        different=[voice.place(name) for name in different],
    )


def render_item(voice: Voice, item: Item, order: Order, examples: Sequence[Example] = ()) -> str:
    """Return the part that asks an item, its options numbered from 1 in a given order.

    Points of a scale that have no words are numbers only, and examples stand in the
    questionnaire's order.
    """
    asked = voice.wording(item)
    return voice.render(
        "item",
        ask=asked.ask,
        statement=asked.statement,
        options=shown_labels(voice, item, order),
        examples=[_example(voice, shown) for shown in examples],
    )


def shown_labels(voice: Voice, item: Item, order: Order) -> list[str]:
    """Return the words of the options as shown; empty where a point has none but its number."""
    labels = voice.wording(item).options
    return ["" if labels[code] == str(code) else labels[code] for code in order]


def _example(voice: Voice, shown: Example) -> dict[str, object]:
    order = shown.item.scale_codes
    asked = voice.wording(shown.item)
    return {
        "ask": asked.ask,
        "statement": asked.statement,
        "options": shown_labels(voice, shown.item, order),
        "answer": order.index(shown.code) + 1,
    }


def chat(system: str, question: str) -> list[Message]:
    """Return the prompt as messages."""
    return [{"role": "system", "content": system}, {"role": "user", "content": question}]
