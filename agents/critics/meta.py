"""The critic `meta`: weighs the other critics' verdicts against the conversation.

The label follows the meta-evaluation of Liu, Korhonen and Gurevych (2025), CLCA, arXiv 2504.02953:
good or bad as a portrayal of the culture, whatever becomes of goals.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.actor import ReplyForm
from agents.conversation import Conversation
from agents.critics.critic import Judgement, Labels, Question, ask

SCALES = {"meta": Labels(("good", "bad"))}


def questions(
    conversation: Conversation, others: Sequence[Judgement], form: ReplyForm
) -> list[Question]:
    """Ask one question about the whole conversation and the verdicts on it."""
    names = {person.role: person.name for person in conversation.people}
    verdicts = [(names.get(one.role or ""), one) for one in others if not one.failure]
    return [ask("meta", conversation, None, SCALES, form, verdicts=verdicts)]
