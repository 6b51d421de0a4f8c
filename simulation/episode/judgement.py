"""What a game master finds comes of acts that a scene leaves to its judgement.

Invariant: it chooses among the outcomes that the scene declares, or none; where it cannot be asked
or read, nothing comes of the act and the failure stands in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from agents.answer import TEXT, one_of
from agents.offer import TypedAct
from agents.prose import read_choice
from agents.template import load_template
from agents.typed_act import shown
from scenarios.world.schema import Act
from scenarios.world.scope import NO_OUTCOME
from simulation.episode.budget import BudgetSpent
from simulation.episode.entry import Judgement, MadeAct
from simulation.episode.scene_state import SceneState
from simulation.episode.world_acts import told_of
from simulation.store.record import Row

if TYPE_CHECKING:
    from simulation.episode.agent_calls import Caller

PURPOSE = "game-master"
_LINES = 12
"""Lines that everyone heard, of which the last are shown."""
_TOKENS = 160
"""Completion tokens of a judgement with its reason."""


async def judge(caller: Caller, stage: SceneState, acts: Sequence[Row]) -> str | None:
    """Have the acts of one step judged that are to be, each by itself: put what was found and the
    rows of its calls into them. Return why the budget did not admit a call, if it did not.
    """
    if stage.world is None:
        return None
    rules = stage.rules
    wanted = [
        (done, rules[done["act"]["name"]])
        for done in acts
        if done["act"] and done["act"]["reason"] is None and done["act"]["name"] in rules
    ]
    spent = await asyncio.gather(
        *(_judge(caller, stage, done, rule) for done, rule in wanted if rule.judge)
    )
    return next((one for one in spent if one), None)


async def _judge(caller: Caller, stage: SceneState, done: Row, rule: Act) -> str | None:
    made: MadeAct = done["act"]
    template, rows = load_template("game_master"), list[Row]()
    text = template.ask(
        stage.scenario.setting,
        stage.public_lines(since=len(stage.turns) - _LINES),
        told_of(stage, rule.knows),
        stage.names[done["role"]],
        shown(TypedAct(made["name"] or "", made["args"]), stage.names),
        [{"name": name, "about": one.about} for name, one in rule.outcomes.items()],
    )
    options, spent = (*rule.outcomes, NO_OUTCOME), None
    fields = {"reason": TEXT, "choice": one_of(options)}
    found, failure = None, "budget"
    try:
        found = await caller.question(
            text,
            fields,
            PURPOSE,
            template,
            partial(read_choice, key="choice", options=options),
            max_tokens=_TOKENS,
            role=done["role"],
            rows=rows,
        )
        failure = "" if found else rows[-1]["failure"]
    except BudgetSpent as error:
        spent = str(error)
    made["judged"] = Judgement(
        choice=found and found.choice,
        reason=found and found.reason,
        failure=failure or None,
        call=len(done["rows"]) + len(rows) - 1 if rows else None,
    )
    done["rows"] = [*done["rows"], *rows]
    return spent
