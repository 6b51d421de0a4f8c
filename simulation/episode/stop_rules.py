"""Stop rules: agreement, deal, walk-away, staleness, goal reached; by words where the scenario
gives phrases, else by asking a referee. And those of one's own, which are functions.

Invariant: a rule that cannot be decided does not end a scene, and nobody is asked about a scene
that everyone has left.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import NamedTuple, Protocol

from folkways.errors import UserError
from folkways.registry import resolve_foreign
from folkways.text import sound
from scenarios.part import number_in
from scenarios.statement import Sought
from scenarios.stopping import RULES, Options, StopRule
from simulation.episode.scene_state import SceneState


class Exit(NamedTuple):
    """Why a scene ends."""

    reason: str
    detail: str | None = None


class Referee(Protocol):
    """The model call a stop rule may make."""

    async def is_met(self, rule: StopRule, roles: list[str], since: int) -> bool:
        """Ask whether the rule is met for these roles by what came after a number of turns; False
        where the answer cannot be read.
        """


_Rule = Callable[[SceneState, int, Options], str | Awaitable[str | None] | None]
"""A rule of one's own: from the stage, the number of turns that do not count, and its options to
what met it, or None."""


async def _met_by_function(rule: StopRule, stage: SceneState, since: int) -> str | None:
    """Return what a rule of one's own says. Raises UserError for one that breaks its word."""
    function: _Rule = resolve_foreign("stop rule", rule.rule, dict.fromkeys(RULES, ""))
    told = function(stage, since, rule.options)
    if isawaitable(told):
        told = await told
    if told is None:
        return None
    if not isinstance(told, str) or not told:
        raise UserError(f"stop rule '{rule.rule}' returned {told!r:.60}, not a text or None")
    return sound(told)


def _sought(rule: StopRule) -> Sought:
    return Sought(rule.phrases, rule.contrary, rule.whole_line)


def _met_by_words(rule: StopRule, stage: SceneState, since: int) -> str | None:
    """Return what met the rule after a number of turns, going by words and acts, or None."""
    if rule.rule == "walk-away":
        gone = [turn["speaker"] for turn in stage.turns[since:] if turn["action"] == "leave"]
        return next((role for role in gone if not rule.roles or role in rule.roles), None)
    if rule.rule == "staleness":
        copies = min(stage.copies, len(stage.turns) - since)
        return f"nothing new in {copies} turns" if copies >= stage.acts_in(rule.window) else None
    if rule.rule == "deal":
        return _dealt(rule, stage, since)
    said = stage.statements(_sought(rule), since)
    if rule.rule == "goal-reached":
        return next((one.turn["speaker"] for one in said if one.yes), None)
    last = {one.turn["speaker"]: one.yes for one in said}
    needed = _parties(rule, stage)
    if not rule.roles and len(needed) < 2:
        return None  # nobody is left to agree with
    return ", ".join(needed) if all(last.get(role) for role in needed) else None


def _parties(rule: StopRule, stage: SceneState) -> list[str]:
    return list(rule.roles) or stage.here()


def _dealt(rule: StopRule, stage: SceneState, since: int) -> str | None:
    """Return who dealt: one offers, and a later turn of another party who heard it accepts."""
    parties = set(_parties(rule, stage))
    offers = stage.statements(Sought(rule.offers, rule.contrary, asking=True), since)
    replies = stage.statements(_sought(rule), since)
    for offer in (one.turn for one in offers if one.yes):
        for reply in (one.turn for one in replies if one.yes):
            between_parties = {offer["speaker"], reply["speaker"]} <= parties
            heard = reply["speaker"] in offer["audience"] and reply["turn"] > offer["turn"]
            if between_parties and heard:
                return f"{offer['speaker']}, {reply['speaker']}"
    return None


async def _met(rule: StopRule, stage: SceneState, referee: Referee, since: int = 0) -> str | None:
    """Return what met the rule after a number of turns, or None; the referee is asked where the
    rule has no phrases to go by and somebody is there.
    """
    if rule.rule == "when":
        return _holds(rule, stage)
    if rule.rule not in RULES:
        return await _met_by_function(rule, stage, since)
    count = len(stage.turns) - since
    if rule.phrases or rule.rule in ("walk-away", "staleness"):
        return _met_by_words(rule, stage, since)
    roles = _parties(rule, stage)
    if count < 2 or not _asks_now(rule, stage, count) or not roles or _is_empty(stage):
        return None  # a scene that is over, or has nobody in it, needs no referee
    asked = [[role] for role in roles] if rule.rule == "goal-reached" else [roles]
    for group in asked:
        if await referee.is_met(rule, group, since):
            return ", ".join(group)
    return None


def _asks_now(rule: StopRule, stage: SceneState, count: int) -> bool:
    """Return whether the referee is asked after so many acts."""
    every = number_in(rule.every)
    if isinstance(rule.every, int):
        return count % every == 0
    return stage.round_is_over and stage.all_rounds % every == 0


def _holds(rule: StopRule, stage: SceneState) -> str | None:
    """Return what the scene has come to where the rule's expression holds in its world."""
    if stage.world is None or rule.expr is None or not stage.world.evaluate(rule.expr):
        return None
    return rule.outcome or rule.expr


def world_exit(stage: SceneState) -> Exit | None:
    """Return why the scene ends by the state of its world alone, or None if it does not."""
    for rule in stage.scenario.stop if stage.world else ():
        if rule.rule == "when" and (detail := _holds(rule, stage)):
            return Exit(rule.rule, detail)
    return None


async def phase_rule_met(stage: SceneState, referee: Referee) -> bool:
    """Tell whether the stop rule that ends the phase is met by what was said and done in it."""
    until = stage.phase.until if stage.phase else None
    if until is None or until.rule is None or len(stage.turns) == stage.phase_began:
        return False
    return await _met(until.rule, stage, referee, stage.phase_began) is not None


async def ended(stage: SceneState, referee: Referee) -> Exit | None:
    """Return why the scene ends after the turns so far, or None if it does not."""
    for rule in stage.scenario.stop:
        detail = await _met(rule, stage, referee)
        if detail is not None:
            return Exit(rule.rule, detail)
    last = stage.phase if stage.in_last_phase else None
    if last and (stage.phase_over() or await phase_rule_met(stage, referee)):
        return Exit("phases-over", last.id)
    limits = stage.scenario.limits
    if limits.rounds is not None and stage.all_rounds >= limits.rounds:
        return Exit("round-limit", str(limits.rounds))
    if stage.turns_left <= 0:
        return Exit("turn-limit", str(limits.turns))
    if _is_empty(stage):
        return Exit("empty-stage", ", ".join(stage.left))
    return None


def _is_empty(stage: SceneState) -> bool:
    """Return whether too few are left for a scene, and nobody may enter."""
    return len(stage.present) < 2 and not any(
        part.enters and part.enters not in stage.happened for part in stage.scenario.roles.values()
    )
