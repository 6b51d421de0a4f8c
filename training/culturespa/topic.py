"""A topic while questions on it are written: what is shown, what is accepted, what is left to do.

Invariant: the examples of a try, and what becomes of a reply to it, depend on the seed, its number
and the questions accepted before alone: not on how many topics are worked on at once, nor on how
often the work was interrupted.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

import yaml

from agents.models.health import DOUBTFUL, FAULTS
from eval.item import Item, load_items, preset
from simulation.store.writer import Store
from training.culturespa.config import SpaConfig
from training.culturespa.likeness import Nearest, Wordings
from training.culturespa.question import Draft
from training.culturespa.questions import as_item, question_id, question_number

_ACCEPTED = """
select q.question_id, q.ask, q.options, q.paraphrases, coalesce(a.number, 0) as number
from spa_questions q left join spa_attempts a using (question_id)
where q.topic = ? order by number, q.question_id
"""
AGAIN = FAULTS
"""Outcomes that count only in the launch in which the call failed."""
_TRIES = """
with working as (
    select min(asked_at) as since from spa_attempts where not list_contains($1 || $2, outcome)
)
select coalesce(max(number), 0), count(*) filter (not list_contains($1, outcome)
    and (not list_contains($2, outcome) or coalesce(asked_at >= since, false)))
from spa_attempts, working where topic = $3
"""
FAILED = """
with working as (
    select min(asked_at) as since from spa_attempts where not list_contains($1 || $2, outcome)
)
select outcome, count(*) from spa_attempts, working
where list_contains($3, topic) and asked_at >= $4 and (list_contains($1, outcome)
    or list_contains($2, outcome) and coalesce(asked_at < since, true))
group by all order by 2 desc, 1
"""
"""Tries of a launch that are no result: of a model that had answered nothing by then, all with
which a call can end."""


class Verdict(NamedTuple):
    """What becomes of a draft."""

    outcome: str
    """accepted, copy, duplicate or near-duplicate."""
    survey: Nearest
    """The survey item that is most alike."""
    question: Item | None = None
    paraphrases: str | None = None
    """The survey item that an accepted question is another wording of."""
    repeats: Nearest | None = None
    """What a draft repeats that is not accepted."""


class Topic:
    """One topic: its items, its accepted questions, its tries."""

    def __init__(self, name: str, config: SpaConfig) -> None:
        self.name, self._config = name, config
        self.items = preset(name)
        self._questions: list[tuple[int, Item]] = []
        """With the number of the try."""
        self._wordings = Wordings()
        self.tries = 0
        """Number of the last try."""
        self._counted = 0
        """Tries that count against the bound."""
        self._last = 0
        """Highest number of a question."""
        self.usable = 0
        """Questions that count as wanted."""

    def restore(self, store: Store) -> None:
        """Take up what the store holds. Calls that failed in earlier launches count no more."""
        with store.reading() as con:
            accepted = con.execute(_ACCEPTED, [self.name]).fetchall()
            tries = con.execute(_TRIES, [list(AGAIN), list(DOUBTFUL), self.name]).fetchall()
        self.tries, self._counted = tries[0]
        for id_, ask, options, paraphrases, number in accepted:
            self._add(number, as_item(id_, self.name, ask, options), paraphrases)

    @property
    def missing(self) -> int:
        """Questions that are still wanted."""
        return max(0, self._config.per_topic - self.usable)

    @property
    def left(self) -> int:
        """Tries that may still be made."""
        return max(0, self._config.generation.attempts * self._config.per_topic - self._counted)

    def next_tries(self) -> range:
        """Return the numbers of the tries to make now, at the same time; empty: there are none."""
        wave = self._wave(self.tries + 1) + self._config.generation.at_once
        count = min(wave - self.tries, self.missing, self.left)
        return range(self.tries + 1, self.tries + 1 + count)

    def examples(self, number: int) -> list[Item]:
        """Return the examples of a try in the order in which they are shown: items, and questions
        that were accepted before the tries made at the same time; items stand in for questions.
        """
        made, rng = self._config.generation, Random(f"{self._config.seed} {self.name} {number}")
        start = self._wave(number)
        before = [question for at, question in self._questions if at <= start]
        shown = rng.sample(before, min(made.generated, len(before)))
        wanted = min(made.seeds + made.generated - len(shown), len(self.items))
        shown += rng.sample(self.items, wanted)
        rng.shuffle(shown)
        return shown

    def failed(self, number: int) -> None:
        """Count a try that gave no draft."""
        self.tries, self._counted = number, self._counted + 1

    def judge(self, number: int, draft: Draft) -> Verdict:
        """Return what becomes of a draft, and count the try; a question that is accepted joins the
        topic's.
        """
        self.failed(number)
        made = self._config.generation
        survey, nearest = _survey().nearest(draft.ask), self._wordings.nearest(draft.ask)
        if survey.same:
            return Verdict("copy", survey, repeats=survey)
        if nearest.likeness >= made.duplicate:
            outcome = "duplicate" if nearest.same else "near-duplicate"
            return Verdict(outcome, survey, repeats=nearest)
        id_ = question_id(self.name, self._last + 1)
        question = as_item(id_, self.name, draft.ask, dict(enumerate(draft.options, 1)))
        paraphrases = survey.id if survey.likeness >= made.paraphrase else None
        self._add(number, question, paraphrases)
        return Verdict("accepted", survey, question, paraphrases)

    def _add(self, number: int, question: Item, paraphrases: str | None) -> None:
        self._questions.append((number, question))
        self._wordings.add(question.id, question.ask)
        self._last = max(self._last, question_number(question.id))
        self.usable += not (paraphrases and self._config.hold_out_paraphrases)

    def _wave(self, number: int) -> int:
        """Return the number of the last try before those made at the same time as this one."""
        return number - 1 - (number - 1) % self._config.generation.at_once


@cache
def _survey() -> Wordings:
    """Return the wordings of all survey items, read once."""
    known = Wordings()
    for item in load_items().values():
        known.add(item.id, item.ask)
    return known


@cache
def topic_abouts() -> dict[str, str]:
    """Return what each topic is about, as the model is told."""
    text = Path(__file__).with_name("topics.yaml").read_text(encoding="utf-8")
    abouts: dict[str, str] = yaml.safe_load(text)
    return abouts
