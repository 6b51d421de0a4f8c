"""Scenes in miniature for tests: five villagers, a scenario in one call, a play in another."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from agents.models.base import Prompt, Sampling
from agents.models.fake import FakeModel, Reply
from scenarios.culture import load_cultures
from scenarios.persona import Persona
from scenarios.scenario import Scenario
from simulation.episode.budget import Budget, BudgetConfig
from simulation.episode.episode import Conditions, Episode, Record, play_episode
from simulation.episode.play_settings import PLAIN
from simulation.episode.seats import CallSettings

ROLES = ("ada", "bela", "cleo", "dora", "emil")


def persona(role: str, culture: str = "GBR") -> Persona:
    """Return a villager named after the role."""
    return Persona(
        id=f"test-{role}", name=role.title(), age=40, gender="woman", pronouns="she/her",
        occupation="baker", education="vocational", settlement="village", place="Nether Wallop",
        marital_status="single", household="alone", background="She has always lived here.",
        traits=("calm", "curious"), culture=culture, languages=("en",),
    )  # fmt: skip


def scenario(roles: int | Mapping[str, Mapping[str, Any]] = 2, **fields: Any) -> Scenario:
    """Return a scenario whose roles are played by the villagers of the same name."""
    given = {r: {} for r in ROLES[:roles]} if isinstance(roles, int) else roles
    parts = {
        role: {"persona": f"test-{role}", "brief": f"{role} of the village.",
               "goal": f"You want the {role}-goal."} | dict(part)
        for role, part in given.items()
    }  # fmt: skip
    data = {
        "id": "test-scene", "title": "A test", "theme": "family-duty",
        "setting": "A bakery in the early morning, before the shop opens.", "roles": parts,
        "norms": [{"id": "be-kind", "text": "One is kind."}], "limits": {"turns": 6},
        "policy": "round-robin", "provenance": {"author": "tests", "made": "written by hand"},
    }  # fmt: skip
    return Scenario.model_validate(data | fields)


def json_act(text: str = "Good morning.", **fields: Any) -> str:
    """Return a reply in the form `json`."""
    value = {"action": "speak", "to": [], "whisper": False, "text": text} | fields
    return json.dumps(value)


def who_asks(prompt: Prompt) -> str:
    """Return the role that a prompt of the form `json` or `script` is for."""
    if isinstance(prompt, str):
        return prompt.rsplit("\n", 1)[-1].partition(":")[0].lower()
    return prompt[0]["content"].split("You are ", 1)[1].split(",", 1)[0].lower()


def play(
    scene: Scenario,
    reply: Reply | str | None = None,
    *,
    form: str = "json",
    seed: int = 1,
    budget: Budget | None = None,
    names: Mapping[str, str] | None = None,
    **settings: Any,
) -> Record:
    """Play a scenario with the villagers and return its record; `reply` scripts the fake model."""
    function = (lambda *_: reply) if isinstance(reply, str) else reply
    renamed = names or {}
    people = [
        persona(role).model_copy(update={"name": renamed.get(role, role.title())}) for role in ROLES
    ]
    conditions = Conditions(
        "test", settings.pop("model", None) or FakeModel(reply=function),
        CallSettings(Sampling(), settings.pop("timeout_s", 60), settings.pop("repairs", 1)),
        form, settings.pop("conditioning", "dimensions"), {p.id: p for p in people},
        load_cultures(), lambda: datetime(2026, 1, 1),  # noqa: DTZ001
        play=settings.pop("play", PLAIN),
    )  # fmt: skip
    assert not settings
    episode = Episode("0" * 16, scene, "GBR", scene.language, 0, seed)
    spending = budget or Budget(BudgetConfig(), time.monotonic)
    return asyncio.run(play_episode(episode, conditions, spending))


class Recorder:
    """A reply function that keeps the prompts it was given, by role."""

    def __init__(self, reply: Callable[[Prompt, Sampling, Any], str]) -> None:
        self.reply = reply
        self.prompts: dict[str, list[Prompt]] = {}

    def __call__(self, prompt: Prompt, sampling: Sampling, schema: Any) -> str:
        self.prompts.setdefault(who_asks(prompt), []).append(prompt)
        return self.reply(prompt, sampling, schema)


def text_of(prompt: Prompt) -> str:
    """Return a prompt as one text."""
    return prompt if isinstance(prompt, str) else "\n".join(m["content"] for m in prompt)
