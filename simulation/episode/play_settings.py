"""How acts are asked for and chosen: what stands last in a prompt, which acts are held back, and
how many drafts are drawn.

Invariant: with the defaults nothing is added to a prompt, no act is held back and no further call
is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import Field

from agents.thought import Thoughts
from folkways.settings import Settings


class DraftsConfig(Settings):
    """Several drafts of an act, of which detectors keep one."""

    n: int = Field(default=3, ge=2, le=8)
    """Drafts of an act at most."""
    keep: Literal["best", "first"] = "best"
    """best: all are drawn at once and the best is kept; first: one after the other, until one has
    no fault, which costs about as many calls as there are faults."""

    def batches(self) -> Iterator[range]:
        """Yield the numbers of the drafts that are drawn at once."""
        if self.keep == "best":
            yield range(self.n)
        else:
            yield from (range(number, number + 1) for number in range(self.n))


class PlaySettings(Settings):
    """How acts are asked for and chosen."""

    cue: Literal["plain", "full"] = "plain"
    """What stands last in the prompt: whose turn it is, or with it the own goal, what was just
    said, who waits for an answer, what has happened since, and one's own last words."""
    directions: int | None = Field(default=None, ge=0)
    """Stage directions in a row after which a role may not give another; null: no limit."""
    silences: int | None = Field(default=None, ge=0)
    """Silent acts in a row after which a role may not be silent; null: no limit."""
    leave_after: int = Field(default=0, ge=0)
    """Acts that a role has to make before it may leave."""
    drafts: DraftsConfig | None = None
    """Drafts of an act; null: one."""
    thoughts: Thoughts = False
    """Whether every act comes with a thought that nobody else is told: true asks for a line of it
    before the act; reasoning asks for nothing, and a model's own reasoning is the thought."""


PLAIN = PlaySettings()


def allowed(
    acts: tuple[str, ...], settings: PlaySettings, made: Sequence[str | None]
) -> tuple[str, ...]:
    """Return the acts that are left to a role that has made others, oldest first; where nobody may
    speak, all are.
    """
    if settings is PLAIN or "speak" not in acts:
        return acts
    held = {"leave"} if len(made) < settings.leave_after else set[str]()
    for action, limit in (("non-verbal", settings.directions), ("none", settings.silences)):
        if limit is not None and len(made) >= limit:
            latest = made[len(made) - limit :]
            held |= {action} if all(one == action for one in latest) else set()
    return tuple(action for action in acts if action not in held)
