"""The critic `quality`: repetition, fit to the setting, being in character, coherence.

The label good or bad follows Liu, Korhonen and Gurevych (2025), CLCA, arXiv 2504.02953.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.actor import ReplyForm
from agents.conversation import Conversation
from agents.critics.critic import Judgement, Labels, Question, ask

SCALES = {"quality": Labels(("good", "bad"))}


def questions(
    conversation: Conversation, others: Sequence[Judgement], form: ReplyForm
) -> list[Question]:
    """Ask one question about the whole conversation."""
    return [ask("quality", conversation, None, SCALES, form)]
