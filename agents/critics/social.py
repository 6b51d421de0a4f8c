"""The critic `social`: seven dimensions of how each role fared.

Dimensions and ranges are those of Sotopia-Eval (Zhou et al. 2024, SOTOPIA, arXiv 2310.11667).
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.actor import ReplyForm
from agents.conversation import Conversation
from agents.critics.critic import Judgement, Question, Range, ask

SCALES = {
    "believability": Range(0, 10),
    "relationship": Range(-5, 5),
    "knowledge": Range(0, 10),
    "secret": Range(-10, 0),
    "social_rules": Range(-10, 0),
    "material_benefits": Range(-5, 5),
    "goal": Range(0, 10),
}


def questions(
    conversation: Conversation, others: Sequence[Judgement], form: ReplyForm
) -> list[Question]:
    """Ask one question about every role that acted."""
    return [
        ask("social", conversation, person.role, SCALES, form) for person in conversation.speakers
    ]
