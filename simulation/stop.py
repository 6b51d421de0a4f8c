"""Stop rules: agreement, deal, walk-away, staleness, goal reached; by words where the scenario
gives phrases, else by asking a referee.

Invariant: a rule that cannot be decided does not end a scene.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from scenarios.scenario import StopRule
from simulation.stage import Stage


class Exit(NamedTuple):
    """Why a scene ends."""

    reason: str
    detail: str | None = None


class Referee(Protocol):
    """The model call a stop rule may make."""

    async def is_met(self, rule: StopRule, roles: list[str]) -> bool:
        """Ask whether the rule is met for these roles; False where the answer cannot be read."""


def _met_by_words(rule: StopRule, stage: Stage) -> str | None:
    """Return what met the rule, going by words and acts alone, or None."""
    if rule.rule == "walk-away":
        gone = [role for role in stage.left if not rule.roles or role in rule.roles]
        return gone[0] if gone else None
    if rule.rule == "staleness":
        return f"nothing new in {stage.copies} turns" if stage.copies >= rule.window else None
    if rule.rule == "goal-reached":
        shown = stage.turns_saying(rule.phrases)
        return shown[0]["speaker"] if shown else None
    if rule.rule == "agreement":
        agreed = {turn["speaker"] for turn in stage.turns_saying(rule.phrases)}
        needed = _parties(rule, stage)
        return ", ".join(needed) if needed and agreed >= set(needed) else None
    return _dealt(rule, stage)


def _parties(rule: StopRule, stage: Stage) -> list[str]:
    return list(rule.roles) or stage.here()


def _dealt(rule: StopRule, stage: Stage) -> str | None:
    """Return who dealt: one offers, and a later turn of another party who heard it accepts."""
    parties = _parties(rule, stage)
    for offer in stage.turns_saying(rule.offers) if rule.offers else ():
        for reply in stage.turns_saying(rule.phrases):
            between_parties = {offer["speaker"], reply["speaker"]} <= set(parties)
            heard = reply["speaker"] in offer["audience"] and reply["turn"] > offer["turn"]
            if between_parties and heard:
                return f"{offer['speaker']}, {reply['speaker']}"
    return None


async def met(rule: StopRule, stage: Stage, referee: Referee) -> str | None:
    """Return what met the rule, asking the referee where it has no phrases to go by, or None."""
    count = len(stage.turns)
    if rule.phrases or rule.rule in ("walk-away", "staleness"):
        return _met_by_words(rule, stage)
    if count < 2 or count % rule.every:
        return None
    roles = _parties(rule, stage)
    asked = [[role] for role in roles] if rule.rule == "goal-reached" else [roles]
    for group in asked:
        if await referee.is_met(rule, group):
            return ", ".join(group)
    return None


async def ended(stage: Stage, referee: Referee) -> Exit | None:
    """Return why the scene ends after the turns so far, or None if it goes on."""
    for rule in stage.scenario.stop:
        detail = await met(rule, stage, referee)
        if detail is not None:
            return Exit(rule.rule, detail)
    if stage.turns_left <= 0:
        return Exit("turn-limit", str(stage.scenario.limits.turns))
    if len(stage.present) < 2 and not _someone_may_enter(stage):
        return Exit("empty-stage", ", ".join(stage.left))
    return None


def _someone_may_enter(stage: Stage) -> bool:
    return any(
        part.enters and part.enters not in stage.happened for part in stage.scenario.roles.values()
    )
