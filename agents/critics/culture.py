"""The critic `culture`: does it keep to the named culture?

The label follows Liu, Korhonen and Gurevych (2025), CLCA, arXiv 2504.02953, whose casts are of one
culture; in a mixed cast each role is judged by its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.actor import ReplyForm
from agents.conversation import Conversation
from agents.critics.critic import Judgement, Labels, Question, ask

SCALES = {"culture": Labels(("aligned", "not-aligned"))}


def questions(
    conversation: Conversation, others: Sequence[Judgement], form: ReplyForm
) -> list[Question]:
    """Ask one question, or one for every role that acted in a mixed cast."""
    about = [person.role for person in conversation.speakers] if conversation.mixed else [None]
    return [ask("culture", conversation, role, SCALES, form) for role in about]
