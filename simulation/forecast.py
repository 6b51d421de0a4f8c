"""What a run would take: episodes, calls and tokens, before any of it is spent.

Invariant: calls are upper bounds that follow from the scenarios' limits; tokens are estimates and
called so.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from agents.model import prompt_length
from scenarios.casting import cast_scenario
from scenarios.scenario import Scenario
from simulation.episode import Episode
from simulation.plan import Plan
from simulation.stage import Stage

CHARACTERS_PER_TOKEN = 4
"""A rule of thumb for English text."""
LINE_TOKENS = 30
"""A guess at the mean length of an act, name included."""


class Forecast(NamedTuple):
    """Sums over the episodes of a plan."""

    episodes: int
    calls: int
    """At most."""
    prompt_tokens: int
    """Estimate for episodes that use all their turns."""
    completion_tokens: int
    """At most."""


def forecast(plan: Plan, limit: int | None) -> Forecast:
    """Return what the first `limit` episodes of a plan (all, when null) would take."""
    known: dict[tuple[str, str], Forecast] = {}
    total = Forecast(0, 0, 0, 0)
    for number, episode in enumerate(plan.episodes()):
        if limit is not None and number >= limit:
            break
        key = (episode.scenario.id, episode.culture_id)
        if key not in known:
            known[key] = _one(plan, episode)
        total = Forecast(*(a + b for a, b in zip(total, known[key], strict=True)))
    return total


def _one(plan: Plan, episode: Episode) -> Forecast:
    scenario = episode.scenario
    rng = random.Random(episode.seed)
    cast = cast_scenario(scenario, episode.culture_id, plan.personas, rng)
    stage = Stage(
        scenario, cast, plan.cultures, episode.language, plan.form, plan.config.conditioning
    )
    lengths = [prompt_length(actor.ask(stage.cue()).prompt) for actor in stage.actors.values()]
    header = sum(lengths) / len(lengths) / CHARACTERS_PER_TOKEN
    turns = scenario.limits.turns
    side = side_calls(scenario)
    calls = turns + round(turns * side)
    prompt_tokens = round(calls * (header + LINE_TOKENS * turns / 2))
    return Forecast(1, calls, prompt_tokens, turns * plan.config.model.max_tokens)


def side_calls(scenario: Scenario) -> float:
    """Return how many calls beside the act a turn makes at most: bids, moderator, referee."""
    policies = {scenario.policy.name, *(p.policy.name for p in scenario.phases if p.policy)}
    calls = 0.0
    if "bidding" in policies:
        calls += len(scenario.roles)
    if "moderator" in policies:
        calls += 1
    for rule in scenario.stop:
        if rule.rule in ("agreement", "deal", "goal-reached") and not rule.phrases:
            asked = len(rule.roles or scenario.roles) if rule.rule == "goal-reached" else 1
            calls += asked / rule.every
    return calls
