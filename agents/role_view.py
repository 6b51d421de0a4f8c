"""What one role may know: the whole of what its prompt is made from, and nothing else.

Invariant: another role's goal, secret or private facts cannot reach a prompt, because a view does
not hold them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import yaml

from scenarios.culture import Culture
from scenarios.descriptors import describe
from scenarios.persona import Persona
from scenarios.scenario import Scenario

Conditioning = Literal["none", "name", "dimensions", "norms"]
"""How an agent is told of its culture: not at all, by name, with computed descriptors, and with
norms as well, one of each domain.
"""


@dataclass(frozen=True, slots=True)
class OtherView:
    """What a role knows of another: the public brief and how the two stand to each other."""

    name: str
    brief: str
    relationship: str | None
    closeness: int | None
    status: int | None
    """How far the other stands above (positive) or below the role; null where they have no
    relationship.
    """
    goal: str | None = None
    """What the other wants, where everyone is told."""


@dataclass(frozen=True, slots=True)
class TeamView:
    """What a role shares with some of the others."""

    members: tuple[str, ...]
    """Names of the others in it."""
    secret: str | None


@dataclass(frozen=True, slots=True)
class RoleView:
    """Everything one role is told before the scene begins."""

    name: str
    persona: Persona
    culture: Culture
    cultural_notes: tuple[str, ...]
    """Sentences about the culture; empty when the agent is not conditioned on one."""
    by_culture: bool
    """Whether the role is told to act as a member of its culture."""
    title: str
    setting: str
    brief: str
    goal: str
    secret: str | None
    teams: tuple[TeamView, ...]
    knows: tuple[str, ...]
    others: tuple[OtherView, ...]
    language: str
    """English name of the language the role speaks."""
    foreign: bool
    """Whether that is another language than English."""


@cache
def _language_names() -> dict[str, str]:
    text = Path(__file__).with_name("languages.yaml").read_text(encoding="utf-8")
    names: dict[str, str] = yaml.safe_load(text)
    return names


def language_name(tag: str) -> str:
    """Return the English name of a BCP 47 tag, or the tag itself where we know none."""
    names = _language_names()
    return names.get(tag, names.get(tag.split("-")[0], tag))


def display_names(cast: Mapping[str, Persona]) -> dict[str, str]:
    """Return the name each role goes by; people of the same name are told apart by their role."""
    names = {role: " ".join(persona.name.split()) for role, persona in cast.items()}
    taken = list(names.values())
    return {
        role: name if taken.count(name) == 1 else f"{name} ({role.replace('_', ' ')})"
        for role, name in names.items()
    }


def cultural_notes(culture: Culture, conditioning: Conditioning) -> tuple[str, ...]:
    """Return what an agent is told about its culture at a level of conditioning."""
    if conditioning in ("none", "name"):
        return ()
    notes = tuple(describe(culture))
    if conditioning == "norms":
        notes += tuple(norm.text for norm in culture.told_norms())
    return notes


def role_view(
    scenario: Scenario,
    cast: Mapping[str, Persona],
    cultures: Mapping[str, Culture],
    role: str,
    language: str,
    conditioning: Conditioning = "dimensions",
) -> RoleView:
    """Return what `role` may know of a scenario with this cast.

    `language` is the BCP 47 tag of the scene, which the role's own overrides.
    """
    part, persona = scenario.roles[role], cast[role]
    names, graph = display_names(cast), scenario.graph()
    others = []
    for other, its_part in scenario.roles.items():
        if other == role:
            continue
        tie = graph.get_edge_data(other, role) or {}
        others.append(
            OtherView(
                names[other],
                its_part.brief,
                tie.get("type"),
                tie.get("closeness"),
                tie.get("status"),
                its_part.goal if its_part.public_goal else None,
            )
        )
    tag = part.language or language
    culture = cultures[persona.culture]
    return RoleView(
        name=names[role],
        persona=persona,
        culture=culture,
        cultural_notes=cultural_notes(culture, conditioning),
        by_culture=conditioning != "none",
        title=scenario.title,
        setting=scenario.setting,
        brief=part.brief,
        goal=part.goal,
        secret=part.secret,
        teams=tuple(
            TeamView(tuple(names[other] for other in team.roles if other != role), team.secret)
            for team in scenario.teams_of(role).values()
        ),
        knows=part.knows,
        others=tuple(others),
        language=language_name(tag),
        foreign=tag.split("-")[0] != "en",
    )
