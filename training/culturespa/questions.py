"""The questions of a run, kept in its store and read back as survey items.

Invariant: what is accepted is never changed or taken away; which questions are used is decided when
they are read.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from eval.item import Item, load_items
from scenarios.words import words
from simulation.run import settle_configuration
from simulation.store.writer import Store
from training.culturespa.config import SpaConfig, protocol, protocol_hash

_STORED = "select question_id, topic, ask, options, paraphrases from spa_questions"


def settle_questions(config: SpaConfig) -> None:
    """Record what all questions of a run have in common; refuse another protocol."""
    settle_configuration(
        config.run,
        config.name,
        protocol(config),
        protocol_hash(config),
        "spa",
        ("spa_attempts", "spa_questions"),
    )


def question_id(topic: str, number: int) -> str:
    """Return the id of a topic's question with this number, from 1."""
    return f"{topic}:{number:04d}"


def question_number(id_: str) -> int:
    """Return the number of a question."""
    return int(id_.rpartition(":")[2])


def as_item(id_: str, topic: str, ask: str, options: dict[int, str]) -> Item:
    """Return a question as an item: nothing is claimed about an order of its options."""
    return Item(id=id_, topic=topic, ask=ask, scale="nominal", options=options)


def question_row(
    item: Item, paraphrases: str | None, likeness: float, created_at: datetime
) -> dict[str, Any]:
    """Return the row of the table `spa_questions`."""
    return {
        "question_id": item.id,
        "topic": item.topic,
        "ask": item.ask,
        "options": json.dumps(item.options),
        "paraphrases": paraphrases,
        "likeness": likeness,
        "created_at": created_at,
    }


def load_questions(store: Store, *, hold_out: bool = False) -> tuple[Item, ...]:
    """Return the questions by topic, in the order of the questionnaire, then by number.

    Of questions with the same words in several topics only the first is there. `hold_out` leaves
    out what paraphrases a survey item. Raises ValueError for a row that is no question.
    """
    with store.reading() as con:
        rows = con.execute(_STORED).fetchall()
    topics = {item.topic: place for place, item in enumerate(load_items().values())}
    rows.sort(key=lambda row: (topics.get(row[1], len(topics)), row[1], question_number(row[0])))
    found: dict[tuple[str, ...], Item] = {}
    for id_, topic, ask, options, paraphrases in rows:
        if not (hold_out and paraphrases):
            found.setdefault(words(ask), as_item(id_, topic, ask, options))
    return tuple(found.values())
