"""What is left to ask: sheets that have no answer yet to some of their questions.

Invariant: an answer that stands is never asked for again; a call that failed in a way that may pass
is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from agents.models.health import DOUBTFUL
from eval.survey.ask import AGAIN, TRIES, Asked, Todo
from eval.survey.condition import Condition, Planner, Questionnaire
from eval.survey.seat import Seat
from simulation.store.writer import Store

_LAST = """
with replies as (
    select *, coalesce(list_contains($doubtful, problem)
        and (problem <> 'refusal' or completion_tokens is null), false) as doubtful
    from survey_replies where list_contains($conditions, condition_id)
), last as (
    select condition_id, country, respondent_id, item_id, arrangement, sample,
        max(attempt) as tries, max(asked_at) as told_at, arg_max(doubtful, attempt) as doubtful,
        coalesce(arg_max(coalesce(problem, ''), attempt), '') as problem
    from replies group by all
), answered as (
    select condition_id, min(asked_at) as since from replies
    where problem is null or not list_contains($again, problem) and not doubtful
    group by condition_id
), judged as (
    select *, case when problem = 'bad-response' then tries >= $most
        when doubtful then coalesce(told_at >= since, false)
        else not list_contains($again, problem) end as stands
    from last left join answered using (condition_id)
)
"""
"""The latest answer to each question, and whether it stands: what is doubtful does where
the model had answered another question of the condition by then. A refusal in the model's own words
is an answer; one of the endpoint's has no tokens."""
_DONE = f"""{_LAST}
select item_id, arrangement, sample, tries, stands from judged
where country = $country and respondent_id is not distinct from $respondent
"""
_COUNTS = f"""{_LAST}
select country, respondent_id, count(*) from judged
where stands and sample < $samples and item_id in (select unnest($items::varchar[]))
group by all
"""
_LEFT = f"""{_LAST}
select problem, count(*) from judged where not stands group by all order by 2 desc, 1
"""


def open_sheets(
    store: Store, planner: Planner, seats: Sequence[Seat], chosen: Sequence[Sequence[Condition]]
) -> tuple[list[tuple[int, Questionnaire]], int]:
    """Return the sheets with something left to ask, each with the number of its seat, and how many
    have nothing; `chosen` are the conditions of each seat.

    Read-outs of the same questions follow each other sheet by sheet: the second finds its prompts
    in the engine's cache.
    """
    todo: list[tuple[int, Questionnaire]] = []
    complete = 0
    for number, (seat, some) in enumerate(zip(seats, chosen, strict=True)):
        sheets, rest = _open(store, planner, some, seat.cultures)
        todo += [(number, sheet) for sheet in sheets]
        complete += rest
    return todo, complete


def _open(
    store: Store, planner: Planner, chosen: Sequence[Condition], cultures: tuple[str, ...]
) -> tuple[list[Questionnaire], int]:
    """Return the sheets for some cultures, none meaning all, with something left to ask, and how
    many have nothing."""
    places: dict[tuple[str | None, ...], int] = {}
    items = [item.id for item in planner.items]
    found: list[tuple[tuple[int, int], Questionnaire]] = []
    complete = 0
    with store.reading() as con:
        for condition in chosen:
            alike = (condition.method_name, condition.style, condition.language)
            place = places.setdefault(alike, len(places))
            told = {"samples": planner.samples(condition), "items": items}
            rows = con.execute(_COUNTS, _about(condition.id) | told).fetchall()
            answered = {(country, respondent): n for country, respondent, n in rows}
            for number, sheet in enumerate(planner.sheets(condition)):
                if cultures and sheet.country not in cultures:
                    continue
                if answered.get(sheet.key[1:], 0) < len(sheet.questions):
                    found.append(((place, number), sheet))
                else:
                    complete += 1
    found.sort(key=lambda each: each[0])
    return [sheet for _, sheet in found], complete


def with_tries(
    store: Store, sheets: Sequence[tuple[int, Questionnaire]]
) -> Iterator[tuple[int, Todo]]:
    """Yield sheets with what was answered before, read as they are needed."""
    for number, sheet in sheets:
        with store.reading() as con:
            condition, country, respondent = sheet.key
            told = _about(condition) | {"country": country, "respondent": respondent}
            rows = con.execute(_DONE, told).fetchall()
        tries: dict[Asked, tuple[int, bool]] = {
            (item, arrangement, sample): (count, stands)
            for item, arrangement, sample, count, stands in rows
        }
        yield number, Todo(sheet, tries)


def unanswered_questions(store: Store, chosen: Sequence[Condition]) -> dict[str, int]:
    """Return how many questions the same command asks again, by what has failed them."""
    with store.reading() as con:
        told = _about(*(condition.id for condition in chosen))
        return dict(con.execute(_LEFT, told).fetchall())


def _about(*conditions: str) -> dict[str, Any]:
    return {
        "conditions": list(conditions),
        "again": list(AGAIN),
        "most": TRIES,
        "doubtful": list(DOUBTFUL),
    }
