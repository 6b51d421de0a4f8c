"""Answered questions to show before a question: few-shot self-alignment in context.

Invariant: a question is never its own example, and every example's code is one of its options.

After Choenni & Shutova 2024 (arXiv 2408.16482) as CultureSPA uses it. Whether examples leak is the
caller's choice of the pool: the evaluated items themselves, as published, or `disjoint_pool`, whose
items can still be siblings of evaluated ones in a battery.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from eval.item import Item, load_items
from folkways.errors import UserError

if TYPE_CHECKING:
    from sacrebleu.metrics.chrf import CHRF


class Example(NamedTuple):
    """An item with the answer that most people gave."""

    item: Item
    code: int
    """As in the survey's file."""


def choose_examples(
    target: Item, pool: Sequence[Item], answers: Mapping[str, int], n: int = 5
) -> list[Example]:
    """Return the n answered items of a pool most like the target, best first.

    `answers` holds a country's modal code, as in the file, by item; items that are not in it were
    not asked there. Raises UserError with fewer than n of them, and for a code that is no option.
    """
    answered = [item for item in pool if item.id in answers and item.id != target.id]
    if len(answered) < n:
        raise UserError(
            f"{target.id} needs {n} answered items as examples and has {len(answered)} to choose "
            "from; evaluate fewer items or take a method without examples"
        )
    chosen = rank_alike(target, answered)[:n]
    for item in chosen:
        if not item.valid(answers[item.id]):
            raise UserError(
                f"{item.id} is answered with code {answers[item.id]}; its options have "
                f"{', '.join(map(str, item.scale_codes))}"
            )
    return [Example(item, answers[item.id]) for item in chosen]


def rank_alike(target: Item, pool: Sequence[Item]) -> list[Item]:
    """Return the pool without the target, by chrF++ of the English question texts, best first.

    Equally alike ones stand in the order of the questionnaire. The texts are folkways' own, so the
    ranks are not those of CultureSPA's release, which compared the survey's.
    """
    places = {item_id: place for place, item_id in enumerate(load_items())}
    others = [item for item in pool if item.id != target.id]
    return sorted(others, key=lambda item: (-chrf(target.ask, item.ask), places[item.id]))


def disjoint_pool(evaluated: Sequence[Item]) -> list[Item]:
    """Return the registry's items that are not evaluated; raise UserError when none is left."""
    taken = {item.id for item in evaluated}
    pool = [item for item in load_items().values() if item.id not in taken]
    if not pool:
        raise UserError(
            f"all {len(taken)} items are evaluated, which leaves none to take examples from; "
            "evaluate fewer, or take a method whose examples are evaluated items (they leak)"
        )
    return pool


@cache
def chrf(hypothesis: str, reference: str) -> float:
    """Return chrF++ of two texts, 0 to 100: characters to order 6, words to order 2, beta 2.

    Popović 2017, doi:10.18653/v1/W17-4770, as sacrebleu computes it. Not symmetric: how much of the
    reference is found again counts twice as much as how much of the hypothesis is.
    """
    return float(_metric(reference).corpus_score([hypothesis], None).score)


@cache
def _metric(reference: str) -> CHRF:
    """Return the metric with a reference's n-grams, which are counted once: all pairs of the
    registry take seconds."""
    try:
        from sacrebleu.metrics.chrf import CHRF
    except ImportError as error:
        raise UserError(
            "choosing examples takes sacrebleu; install it with: pip install 'folkways[eval]'"
        ) from error
    return CHRF(char_order=6, word_order=2, beta=2, references=[[reference]])
