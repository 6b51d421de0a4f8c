"""Turn policies: who acts next, and why.

Invariant: a policy chooses among the stage's candidates only; its chance draws come from the
generator it is handed, so the same seed gives the same choices.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from folkways.errors import UserError
from folkways.registry import resolve_foreign
from scenarios.stopping import Options
from simulation.episode.scene_state import SceneState


class Choice(NamedTuple):
    """Who acts next."""

    roles: list[str]
    """One role, or several that act at once."""
    why: str
    bids: dict[str, int] | None = None
    """Under bidding, what each role bid; roles whose bid could not be read are missing."""
    fallback: bool = False
    """Whether no answer could be read and the longest silent acts instead."""


class Asking(Protocol):
    """The model calls a policy may make."""

    async def bids(self, roles: Sequence[str]) -> dict[str, int]:
        """Ask all roles at once how much they want to act, 0 to 10."""

    async def next_speaker(self, roles: Sequence[str], moderator: str | None) -> str | None:
        """Ask the model who should act next; None where its answer cannot be read."""


_Policy = Callable[[SceneState, Asking, random.Random, Options], Awaitable[Choice]]


def _longest_silent(stage: SceneState, roles: Sequence[str]) -> str:
    """Return the role whose last act lies furthest back; the opener and file order break ties."""
    return min(roles, key=lambda role: (stage.last_act[role], role != stage.scenario.opens))


def _opens(stage: SceneState, role: str) -> Choice:
    return Choice([role], "opens the phase" if stage.turns else "opens the scene")


async def round_robin(
    stage: SceneState, ask: Asking, rng: random.Random, options: Options
) -> Choice:
    """In the order of the scenario file; the role that opens begins each phase."""
    candidates = stage.candidates()
    if (first := stage.opener()) or not stage.turns:
        return _opens(stage, first or candidates[0])
    order = list(stage.scenario.roles)
    last = order.index(stage.turns[-1]["speaker"])
    following = order[last + 1 :] + order[: last + 1]
    role = next(role for role in following if role in candidates)
    return Choice([role], f"comes after {stage.names[order[last]]}")


async def at_random(stage: SceneState, ask: Asking, rng: random.Random, options: Options) -> Choice:
    """Anyone but the last to act, with equal chances."""
    candidates = stage.candidates()
    last = stage.turns[-1]["speaker"] if stage.turns else None
    others = [role for role in candidates if role != last] or candidates
    return Choice([rng.choice(others)], f"drawn from {len(others)}")


async def addressed(stage: SceneState, ask: Asking, rng: random.Random, options: Options) -> Choice:
    """Whoever was spoken to last, else the longest silent."""
    candidates = stage.candidates()
    if first := stage.opener():
        return _opens(stage, first)
    if stage.turns:
        last = stage.turns[-1]
        heard = {*last["addressees"]} & {*last["audience"]}
        spoken_to = [role for role in candidates if role in heard]
        if spoken_to and last["speaker"] not in spoken_to:
            by = stage.names[last["speaker"]]
            return Choice([_longest_silent(stage, spoken_to)], f"spoken to by {by}")
        candidates = [role for role in candidates if role != last["speaker"]] or candidates
    role = _longest_silent(stage, candidates)
    return Choice([role], "has not acted yet" if not stage.last_act[role] else "longest silent")


async def bidding(stage: SceneState, ask: Asking, rng: random.Random, options: Options) -> Choice:
    """All bid at once, 0 to 10, and the highest acts; ties go to the longest silent."""
    candidates = stage.candidates()
    bids = await ask.bids(candidates)
    if not bids:
        return Choice([_longest_silent(stage, candidates)], "no bid could be read", bids, True)
    highest = max(bids.values())
    top = [role for role in candidates if bids.get(role) == highest]
    why = f"bid {highest}" + (f", tied with {len(top) - 1}" if len(top) > 1 else "")
    return Choice([_longest_silent(stage, top)], why, bids)


async def moderator(stage: SceneState, ask: Asking, rng: random.Random, options: Options) -> Choice:
    """The model picks, on behalf of the role in option `moderator` while it is there; that role
    acts first in each phase that lets it act.
    """
    candidates = stage.candidates()
    last = stage.turns[-1]["speaker"] if stage.turns else None
    others = [role for role in candidates if role != last] or candidates
    leader = str(options["moderator"]) if options.get("moderator") in stage.present else None
    if len(stage.turns) == stage.phase_began and leader in candidates:
        return Choice([str(leader)], "leads the conversation and opens it")
    if leader is None and (first := stage.opener()):
        return _opens(stage, first)
    if len(others) == 1:
        return Choice(others, "the only one who can follow")
    role = await ask.next_speaker(others, leader)
    if role is None:
        why = "the moderator's answer could not be read"
        return Choice([_longest_silent(stage, others)], why, fallback=True)
    return Choice([role], f"called on by {stage.names[leader] if leader else 'the moderator'}")


async def network(stage: SceneState, ask: Asking, rng: random.Random, options: Options) -> Choice:
    """The longest silent neighbour, in the relationship graph, of the last to act."""
    candidates = stage.candidates()
    if first := stage.opener():
        return _opens(stage, first)
    if stage.turns:
        last = stage.turns[-1]["speaker"]
        near = [role for role in candidates if stage.ties.has_edge(last, role)]
        if near:
            spoken_to = [role for role in near if role in stage.turns[-1]["addressees"]]
            role = _longest_silent(stage, spoken_to or near)
            how = "spoken to by" if spoken_to else "tied to"
            return Choice([role], f"{how} {stage.names[last]}")
        candidates = [role for role in candidates if role != last] or candidates
    return Choice([_longest_silent(stage, candidates)], "longest silent")


async def simultaneous(
    stage: SceneState, ask: Asking, rng: random.Random, options: Options
) -> Choice:
    """Everyone at once, as far as turns are left."""
    candidates = stage.candidates()
    chosen = sorted(candidates, key=lambda role: stage.last_act[role])[: stage.turns_left]
    return Choice([role for role in candidates if role in chosen], "all act at once")


POLICIES = {
    "round-robin": "simulation.episode.turn_policies:round_robin",
    "random": "simulation.episode.turn_policies:at_random",
    "addressed": "simulation.episode.turn_policies:addressed",
    "bidding": "simulation.episode.turn_policies:bidding",
    "moderator": "simulation.episode.turn_policies:moderator",
    "network": "simulation.episode.turn_policies:network",
    "simultaneous": "simulation.episode.turn_policies:simultaneous",
}


async def choose(stage: SceneState, ask: Asking, rng: random.Random) -> Choice:
    """Return the choice of the policy in force, nobody where nobody may act.

    Raises UserError for a policy that breaks its word.
    """
    if not stage.candidates():
        return Choice([], "nobody who is there may act")
    name = stage.policy.name
    policy: _Policy = resolve_foreign("turn policy", name, POLICIES)
    choice = await policy(stage, ask, rng, stage.policy.options)
    if not choice.roles or not set(choice.roles) <= set(stage.candidates()):
        raise UserError(f"turn policy '{name}' chose {choice.roles}, of {stage.candidates()}")
    return choice
