"""What a run would take: episodes, calls and tokens, before any of it is spent.

Invariant: calls are upper bounds that follow from the scenarios' limits; tokens are estimates and
called so.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from typing import NamedTuple

from agents.models.base import prompt_length
from agents.models.context import context_length
from agents.models.facts import model_facts
from agents.thought import ROOM
from scenarios.casting import cast_scenario
from scenarios.needs import NEEDS, needs_of
from scenarios.part import number_in
from scenarios.scenario import Scenario
from simulation.episode.episode import Episode
from simulation.episode.scene_state import SceneState
from simulation.plan import Plan
from simulation.profile import model_class

_CHARACTERS_PER_TOKEN = 4
"""A rule of thumb for English text."""
_LINE_TOKENS = 30
"""A guess at the mean length of an act, name included."""
_CUE_TOKENS = 70
"""A guess at what an own act takes up beside its words under `json`: the cue, and the keys."""


class Forecast(NamedTuple):
    """Sums over the episodes of a plan."""

    episodes: int
    calls: int
    """At most."""
    prompt_tokens: int
    """Estimate for episodes that use all their turns."""
    completion_tokens: int
    """At most."""


def forecast(plan: Plan, limit: int | None, only: Collection[str] | None = None) -> Forecast:
    """Return what the first `limit` episodes of a plan (all, when null) would take; `only` those
    whose content hashes are given."""
    known: dict[tuple[str, str], Forecast] = {}
    total = Forecast(0, 0, 0, 0)
    for number, episode in enumerate(plan.episodes()):
        if limit is not None and number >= limit:
            break
        if only is not None and episode.content_hash not in only:
            continue
        key = (episode.scenario.id, episode.culture_id)
        if key not in known:
            known[key] = _one(plan, episode)
        total = Forecast(*(a + b for a, b in zip(total, known[key], strict=True)))
    return total


def too_long(plan: Plan) -> Iterator[str]:
    """Yield a line for each scenario whose prompts are expected to outgrow the model's context;
    none where the context is not known.
    """
    model = plan.config.model
    context = context_length(model.name, model.options)
    for scenario in plan.scenarios if context else ():
        episode = next(e for e in plan.episodes() if e.scenario is scenario)
        if found := _overflow(plan, episode, context or 0):
            yield f"{scenario.id}: {found}"


def too_demanding(plan: Plan) -> str | None:
    """Return in one line which scenarios need a larger model than the one that plays; None where
    all suit it, or its size is not known.
    """
    own = model_class(model_facts(plan.config.model.name))
    rank = NEEDS.index
    above = [s.id for s in plan.scenarios if own and rank(needs_of(s)) > rank(own)]
    if not above:
        return None
    some = ", ".join(above[:3]) + (f" and {len(above) - 3} more" if len(above) > 3 else "")
    return (
        f"{some}: {'these need' if len(above) > 1 else 'this needs'} a larger model than "
        f"{plan.config.model.name}, which is {own}; scenarios: tiny has scenes for it"
    )


def _overflow(plan: Plan, episode: Episode, context: int) -> str | None:
    """Return in words how the longest prompt of an episode outgrows a context, or None."""
    turns, answer = episode.scenario.limits.turns, plan.config.model.max_tokens
    header = max(_headers(plan, episode)) / _CHARACTERS_PER_TOKEN
    own = _CUE_TOKENS / len(episode.scenario.roles) if plan.form == "json" else 0
    needed = round(header + (turns - 1) * (_LINE_TOKENS + own) + answer)
    if needed <= context:
        return None
    fits = int((context - answer - header) / (_LINE_TOKENS + own)) + 1
    remedy = f"lower limits.turns to about {fits}" if fits > 1 else "shorten the texts"
    return (
        f"a prompt is expected to need {needed:,} tokens by turn {turns}, and the model's context "
        f"holds {context:,}: {remedy}, or take a model that holds more"
    )


def _headers(plan: Plan, episode: Episode) -> list[int]:
    """Return how many characters each role's first prompt has."""
    rng = random.Random(episode.seed)
    cast = cast_scenario(episode.scenario, episode.culture_id, plan.personas, rng)
    stage = SceneState(
        episode.scenario,
        cast,
        plan.cultures,
        episode.language,
        plan.form,
        plan.config.conditioning,
        play=plan.config.play,
    )
    return [prompt_length(stage.ask(role).prompt) for role in stage.actors]


def _one(plan: Plan, episode: Episode) -> Forecast:
    scenario, lengths = episode.scenario, _headers(plan, episode)
    header = sum(lengths) / len(lengths) / _CHARACTERS_PER_TOKEN
    turns, drafts = scenario.limits.turns, plan.config.play.drafts
    side = round(turns * _side_calls(scenario))
    thinks = plan.config.play.thoughts is True
    parts = 2 if thinks and plan.form == "script" else 1  # the thought, and the line after it
    most = turns * (drafts.n if drafts else 1) * parts
    expected = most if drafts and drafts.keep == "best" else turns * parts
    prompt_tokens = round((expected + side) * (header + _LINE_TOKENS * turns / 2))
    answer = plan.config.model.max_tokens + ROOM * thinks
    return Forecast(1, most + side, prompt_tokens, most * answer)


def _side_calls(scenario: Scenario) -> float:
    """Return how many calls beside the act a turn makes at most: bids, moderator, referee, game
    master."""
    policies = {scenario.policy.name, *(p.policy.name for p in scenario.phases if p.policy)}
    calls = 0.0
    if "bidding" in policies:
        calls += len(scenario.roles)
    if "moderator" in policies:
        calls += 1
    calls += scenario.is_judged
    for rule in scenario.stop:
        if rule.rule in ("agreement", "deal", "goal-reached") and not rule.phrases:
            asked = len(rule.roles or scenario.roles) if rule.rule == "goal-reached" else 1
            calls += asked / number_in(rule.every)
    return calls
