"""How capable a model a scenario needs: what the file says, or else by what a role is told.

Invariant: the same scenario needs the same, whatever plays it.
"""

from __future__ import annotations

from typing import Literal

from scenarios.scenario import Role, Scenario
from scenarios.words import words

Needs = Literal["tiny", "small", "medium"]
NEEDS: tuple[Needs, ...] = ("tiny", "small", "medium")
"""From the smallest models on: below 0.5B parameters, below 4B, and larger."""
_FEW_WORDS = 90
"""Words that a role of a scene for tiny models is told at most."""
_SMALL_CAST = 3
"""Roles of a scene for small models at most."""


def needs_of(scene: Scenario) -> Needs:
    """Return what a scenario needs. Without a word of its file: tiny for two people who are told
    few words and no secret, small for up to three people without phases, otherwise medium.
    """
    if scene.needs:
        return scene.needs
    if scene.phases or scene.teams or len(scene.roles) > _SMALL_CAST:
        return "medium"
    told = max(_told(scene, part) for part in scene.roles.values())
    plain = len(scene.roles) == 2 and not any(part.secret for part in scene.roles.values())
    return "tiny" if plain and told <= _FEW_WORDS else "small"


def _told(scene: Scenario, part: Role) -> int:
    """Return how many words a role is told of the scene."""
    briefs = (one.brief for one in scene.roles.values())
    return sum(len(words(text)) for text in (scene.setting, *briefs, part.goal, *part.knows))
