"""An act whose words a person gives in place of a model.

Invariant: no model is asked for the act; its turn has call 0, and everything else about it, who
perceives it and whether it ends the scene, is as for any other turn.
"""

from __future__ import annotations

import random
from typing import NamedTuple, cast

from agents.reply import Unreadable
from folkways.errors import UserError
from simulation.episode.agent_calls import Acted, Caller
from simulation.episode.graph import (
    LISTS,
    Chooser,
    EpisodeContext,
    EpisodeState,
    act_row,
    begin,
    cue,
    settle,
    take,
)
from simulation.episode.scene_state import SceneState
from simulation.episode.turn_policies import Choice, choose
from simulation.store.record import Row


class ScriptedTurn(NamedTuple):
    """What a person has a role do."""

    role: str | None
    """Null: whoever is to act next."""
    text: str
    """A line of a play, as in the reply form `script`."""


async def give_turn(
    context: EpisodeContext, state: EpisodeState, given: ScriptedTurn
) -> EpisodeState:
    """Play one step with the given act and return the new state.

    Raises UserError where the role cannot act then, where several are to act at once and none is
    named, and for words that are no act there.
    """
    update = begin(context, state)
    context.caller.step = update["step"] = state["step"] + 1
    roles = await cue(context, update, _naming(given.role) if given.role else choose)
    if len(roles) > 1:
        raise UserError(
            f"{', '.join(roles)} are to act at once there; name one: --say '{roles[0]}: ...'"
        )
    if roles:
        await settle(context, state, update, [_read_given(given.text, roles[0], context.stage)])
    update["calls"] += take(context)
    later = {name: [*cast(Row, state)[name], *update[name]] for name in LISTS}
    return cast(EpisodeState, state | later | {"step": update["step"], "exit": update["exit"]})


def _read_given(text: str, role: str, stage: SceneState) -> Row:
    """Return the words as an act of a role. Raises UserError where they are none."""
    try:
        act = stage.read(role, text, "script")
    except Unreadable as error:
        raise UserError(f"--say '{text:.60}' cannot be an act of {role}: {error}") from error
    return act_row(role, Acted(act, None, [], 0))


def _naming(role: str) -> Chooser:
    async def named(stage: SceneState, ask: Caller, rng: random.Random) -> Choice:
        if role not in stage.candidates():
            raise UserError(
                f"{role} cannot act there; those who can: {', '.join(stage.candidates())}"
            )
        return Choice([role], "named by the person who gave the words")

    return named
