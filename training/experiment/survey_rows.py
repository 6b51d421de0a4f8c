"""Rows of what people answered: to items that are not evaluated, the upper bound of what can be
learned of a culture; to the very items that are, an effect that is planted and must come out.

Invariant: of each item as many rows name an option as the share of people who chose it, to the
nearest row; the prompt is the one that the evaluation asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle

from eval.config import EvalConfig, ModelRef
from eval.item import Item, load_items
from eval.metrics.grid import Floats
from eval.respondents.source import gather_people
from eval.survey.method import METHODS
from eval.survey.order import option_orders
from eval.survey.prompt import chat, render_item, render_system
from eval.survey.voice import load_voice, native_language
from folkways.errors import UserError
from training.corpus.candidates import draw
from training.experiment.arm import EVALUATED, JOINT
from training.experiment.corpus_folders import CorpusFolders, Made, Row, chat_row, write_rows
from training.experiment.experiment import ExperimentSettings

_EACH = 20
"""Rows of an item."""
_TASK = "survey"
"""What these rows are called in a corpus."""


def survey_corpus(
    config: ExperimentSettings, folders: CorpusFolders, name: str, culture: str, tokens: int
) -> Made:
    """Make the corpus of an arm of people's answers, of at most so many tokens.

    Raises UserError where there are no items or no answers.
    """
    cultures = config.cultures if culture == JOINT else (culture,)
    items = str(config.known_arms[name].corpus["items"])
    rows = folders.cut(survey_rows(config, items, cultures), tokens, fewer=True)
    made_of = [[row["id"] for row in rows], folders.tokenizer]
    return folders.keep(name, culture, made_of, lambda folder: write_rows(folder, rows))


def survey_rows(config: ExperimentSettings, items: str, cultures: Sequence[str]) -> list[Row]:
    """Return rows of some cultures in an order of their own, so that any first part of them is
    spread over items and cultures alike.

    Raises UserError where there are no items, or no answers of these people to them.
    """
    asked = config.eval_config([ModelRef(name="embedded")])
    chosen = _items(asked, items)
    people = gather_people(
        asked.people,
        chosen,
        cultures,
        config.folder,
        count=None,
        weights=asked.weights,
        seed=asked.seed,
    )
    if people.without:
        raise UserError(f"there are no answers of people for {', '.join(people.without)}")
    grid = people.grid
    rows = [
        row
        for place, country in enumerate(grid.countries)
        for column, item in enumerate(chosen)
        if grid.asked[place, column]
        for row in _of_item(asked, country, item, grid.shares[place, column])
    ]
    return sorted(rows, key=lambda row: draw(asked.seed, f"{row['number']} {row['id']}"))


def _items(asked: EvalConfig, items: str) -> tuple[Item, ...]:
    """Return the items of the evaluation, or those of the same survey that are not among them."""
    evaluated = asked.chosen_items()
    if items == EVALUATED:
        return evaluated
    named, survey = {item.id for item in evaluated}, load_items()
    others = tuple(item for item in survey.values() if item.id not in named)
    if not named <= survey.keys():
        raise UserError("of a survey of one's own no items are known but those that are evaluated")
    if not others:
        raise UserError("every item of the survey is evaluated, so that none is left to learn from")
    voices = [load_voice(name) for name in asked.languages if name != "native"]
    return tuple(item for item in others if all(voice.knows(item) for voice in voices))


def _of_item(asked: EvalConfig, country: str, item: Item, shares: Floats) -> Iterator[Row]:
    """Yield the rows of one culture's answers to an item, its option orders in turn."""
    language = asked.languages[0]
    voice = load_voice(native_language(country) if language == "native" else language)
    if not voice.knows(item):
        return
    system = render_system(voice, METHODS["culture"], country)
    orders = cycle(option_orders(item, asked.orders, asked.seed))
    answers = [
        point
        for point, count in zip(item.points, _allotted(shares[: len(item.points)]), strict=True)
        for _ in range(count)
    ]
    for number, (point, order) in enumerate(zip(answers, orders, strict=False)):
        shown = next(at for at, code in enumerate(order, 1) if item.point(code) == point)
        messages = chat(system, render_item(voice, item, order))
        messages.append({"role": "assistant", "content": str(shown)})
        yield chat_row(_TASK, country, number, messages)


def _allotted(shares: Floats) -> list[int]:
    """Return how many of the rows each point gets: the largest remainders are rounded up."""
    exact = [float(share) * _EACH / float(shares.sum()) for share in shares]
    counts = [int(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda at: counts[at] - exact[at])
    for at in by_remainder[: _EACH - sum(counts)]:
        counts[at] += 1
    return counts
