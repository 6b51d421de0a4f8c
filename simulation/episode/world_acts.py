"""Acts that a world offers a role at its turn, and what the role is told of the world then.

Invariant: nothing that a role may not see is in what it is told or in the bounds that it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from agents.actor import ReplyForm
from agents.offer import Offer, Slot, WorldCue
from agents.reply import Act as Made
from agents.template import load_template
from agents.typed_act import in_digits, in_words, read_typed_json, read_typed_script
from scenarios.world.expression import WorldFault
from scenarios.world.schema import Act, Argument, Vote
from scenarios.world.scope import VOTE
from simulation.episode.world_state import WorldState, allowed

if TYPE_CHECKING:
    from simulation.episode.scene_state import SceneState

CHOICE = "choice"
"""Argument of a vote."""


def options_of(stage: SceneState, vote: Vote, voter: str | None = None) -> list[str]:
    """Return what can be voted for: words, or ids of roles; of a voter, without itself where that
    is the rule."""
    if not isinstance(vote.options, str):
        return list(vote.options)
    found = _world(stage).roles_of(vote.options)
    return [role for role in found if vote.own or role != voter]


def offers(stage: SceneState, role: str) -> tuple[Offer, ...]:
    """Return what a role may do beside speaking now, worked out once for each state."""
    world = _world(stage)
    version, found = world.offered.get(role, (-1, ()))
    if version != world.version:
        found = _offers(stage, role)
        world.offered[role] = world.version, found
    return found


def _offers(stage: SceneState, role: str) -> tuple[Offer, ...]:
    world, phase = _world(stage), stage.phase
    if phase and phase.vote:
        many = phase.vote.rule in ("approval", "ranked")
        try:
            given = options_of(stage, phase.vote, role)
        except WorldFault:  # ends the scene when the phase is closed
            return ()
        kind: Any = "role" if isinstance(phase.vote.options, str) else "choice"
        shown = tuple(stage.names[one] if kind == "role" else one for one in given)
        slot = Slot(CHOICE, kind, options=shown, many=many)
        return (Offer(VOTE, (slot,), phase.vote.ask),) if given else ()
    found = list[Offer]()
    for name, act in stage.rules.items():
        try:
            slots = _slots(stage, world, act, role) if allowed(world, act, role) else None
        except WorldFault:
            continue
        if slots is not None:
            found.append(Offer(name, slots, act.about))
    return tuple(found)


def _slots(stage: SceneState, world: WorldState, act: Act, role: str) -> tuple[Slot, ...] | None:
    """Return what an act needs to be told, or None where no value would do."""
    found = list[Slot]()
    for name, part in act.args.items():
        own = {"self": role}
        low = None if part.min is None else world.evaluate(part.min, own)
        high = None if part.max is None else world.evaluate(part.max, own)
        options = _options(stage, world, part, role)
        if (low is not None and high is not None and low > high) or (
            part.type in ("role", "choice") and not options
        ):
            return None
        found.append(Slot(name, part.type, low, high, options))
    return tuple(found)


def _options(stage: SceneState, world: WorldState, part: Argument, role: str) -> tuple[str, ...]:
    if part.type != "role":
        return part.options
    among = world.roles_of(part.among, {"self": role}) if part.among else stage.here()
    return tuple(stage.names[one] for one in among if part.among or one != role)


def world_cue(stage: SceneState, role: str) -> WorldCue:
    """Return what a role is told of the world at its turn."""
    form, name, found = stage.forms[role], stage.names[role], offers(stage, role)
    seen = _world(stage).visible(role).items()
    known = "; ".join(_told(stage, role, variable, value) for variable, value in seen)
    text = ""
    if known or found:
        shown = [_offered(form, name, offer) for offer in found]
        text = getattr(load_template("world"), form)(name, known, shown)
    return WorldCue(text, found, _opening(stage, role, found))


@lru_cache(maxsize=4096)
def _offered(form: ReplyForm, name: str, offer: Offer) -> str:
    """Return what a role is told of an act; bounds that do not change are written once."""
    slots = [{"name": slot.name, "words": in_words(slot)} for slot in offer.slots]
    return str(getattr(load_template("world"), f"{form}_offer")(name, offer, slots))


def told_of(stage: SceneState, more: Sequence[str]) -> str:
    """Return what is told of the world to somebody who knows what everyone does, and some variables
    more."""
    values, world = _world(stage).values, stage.scenario.world
    seen = [name for name in world if world[name].visible == "all" or name in more]
    return "; ".join(_told(stage, None, name, values[name]) for name in seen)


def _opening(stage: SceneState, role: str, found: Sequence[Offer]) -> str:
    """Return how the line of a play begins where only acts of the world are allowed."""
    if stage.forms[role] != "script" or stage.acts or not found:
        return ""
    return f" [{found[0].name}" if len(found) == 1 and found[0].slots else " ["


def _told(stage: SceneState, role: str | None, name: str, value: Any) -> str:
    """Return a variable with its value, or its values by name."""
    label = stage.scenario.world[name].label or name.replace("_", " ")
    if not isinstance(value, Mapping):
        return f"{label} {_text(value)}"
    if list(value) == [role]:
        return f"{_word('own', label)} {_text(value[role])}"
    return f"{label} {', '.join(f'{stage.names[one]} {_text(its)}' for one, its in value.items())}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return _word("yes", value)
    return in_digits(value)


@lru_cache(maxsize=4096)
def _word(macro: str, value: Any) -> str:
    """Return what the template makes of a value."""
    return str(getattr(load_template("world"), macro)(value))


def read_act(stage: SceneState, role: str, reply: str, form: ReplyForm) -> Made | None:
    """Return the act of the world in a reply of a form, or None where it is none. Raises
    Unreadable."""
    told, known = stage.world_cue(role), _world(stage).acts
    assert told is not None
    if form == "json":
        return read_typed_json(reply, told.offers, known, stage.names)
    opening = told.opening if form == stage.forms[role] else ""
    return read_typed_script(reply, told.offers, known, stage.names, opening)


def _world(stage: SceneState) -> WorldState:
    assert stage.world is not None
    return stage.world
