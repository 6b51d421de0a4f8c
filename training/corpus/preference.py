"""Preference pairs: an act that the critic in the loop let pass, against a draft it sent back.

Invariant: both sides were judged, by the same critic, on the same prompt; a pair without a better
side is no pair.
"""

from __future__ import annotations

from collections.abc import Iterator

from training.corpus.row import CorpusRow
from training.corpus.scene import Draft, Person, Scene
from training.corpus.task import dialogue_row

TASK = "preference"
UNREADABLE, UNJUDGED, NO_BETTER, SAME, NO_ACT = (
    "draft-unreadable",
    "draft-unjudged",
    "draft-no-worse",
    "draft-same-words",
    "draft-no-act",
)


def preference_rows(scene: Scene, person: Person) -> Iterator[CorpusRow | str]:
    """Yield for every draft of a person that did not become the act a pair, or the reason why
    there is none.
    """
    row = dialogue_row(scene, person)
    numbers = {turn: number for number, turn in enumerate(row.turns if row else ())}
    for turn, drafts in scene.drafts.items():
        kept = next((draft for draft in drafts if draft.kept), None)
        for draft in drafts:
            if draft.role != person.role or draft.kept:
                continue
            if row is None or turn not in numbers:
                yield NO_ACT
                continue
            messages = row.messages[: 3 + 2 * numbers[turn]]
            yield objection(kept, draft, messages[-1]["content"]) or CorpusRow(
                TASK, messages, (turn,), row.origin, draft.line
            )


def objection(kept: Draft | None, draft: Draft, line: str) -> str | None:
    """Return why an act and a draft of it are no pair, if they are none.

    The draft is worse if the critic sent it back and not the act, or if its score is lower.
    """
    if draft.line is None:
        return UNREADABLE
    if kept is None or not kept.judged or not draft.judged:
        return UNJUDGED
    if draft.line == line:
        return SAME
    sent_back = draft.label == "revise" and kept.label != "revise"
    scored = draft.score is not None and kept.score is not None
    lower = scored and (draft.score or 0) < (kept.score or 0)
    return None if sent_back or lower else NO_BETTER
