"""The episode graph: cue, act, settle, in as few LangGraph nodes as a scene needs.

A node costs LangGraph more than all our own work in a turn. So the node `turns` runs the three
functions in order for several turns in a row, as long as one role acts at a time; a step with
several speakers fans out through `Send` and meets again in `settle`:

    turns -> turns -> ... -> end
    turns -> act, act, act -> settle -> turns -> ...

Invariant: the state is plain JSON and the log in it is the whole truth about the episode; the
scene, the model, the budget and the clock come in through the runtime context.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, TypedDict, cast

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, Send

from agents.models.health import NO_RESULT
from agents.reply import Act, NotAllowed
from scenarios.world.expression import WorldFault
from simulation.episode.agent_calls import Acted, Caller
from simulation.episode.budget import BudgetSpent
from simulation.episode.call import derived_seed
from simulation.episode.entry import Entry, Judgement, MadeAct
from simulation.episode.events import due
from simulation.episode.judgement import judge
from simulation.episode.scene_state import SceneState
from simulation.episode.stop_rules import Exit, ended, phase_rule_met
from simulation.episode.turn_policies import Choice, choose
from simulation.episode.world_rules import Resolved, close, follow, resolve
from simulation.store.record import Row

_MAX_FAILURES = 3
"""Failed acts in a row that end a scene."""
_TURNS_PER_NODE = 8
"""Turns that one node plays in a row: enough for LangGraph's cost per node to fade."""


def extend(old: list[Any], new: list[Any]) -> list[Any]:
    """Append in place: the log may grow long, and nothing else holds on to its earlier states."""
    old.extend(new)
    return old


def collect(old: list[Any], new: list[Any] | None) -> list[Any]:
    """Gather the acts of one step; None clears them."""
    return [] if new is None else old + new


class EpisodeState(TypedDict):
    """What an episode has come to, as plain JSON."""

    log: Annotated[list[Entry], extend]
    calls: Annotated[list[Row], extend]
    choices: Annotated[list[Row], extend]
    drafts: Annotated[list[Row], extend]
    acts: Annotated[list[Row], collect]
    """Acts of a step with several speakers, until they are settled."""
    step: int
    exit: list[str | None] | None
    """Reason and detail, once the episode has ended."""


LISTS = ("log", "calls", "choices", "drafts")
"""Parts of the state that only grow."""
EMPTY: dict[str, Any] = {name: [] for name in (*LISTS, "acts")} | {"step": 0, "exit": None}
"""The state before anything has happened."""

Update = dict[str, Any]
"""New entries of the log, rows of calls, choices and drafts, and the exit, from a node."""


class _ActInput(TypedDict):
    """What `Send` hands to one of several simultaneous speakers."""

    role: str
    order: int


@dataclass(slots=True)
class EpisodeContext:
    """What an episode needs and its state cannot hold."""

    stage: SceneState
    caller: Caller
    watch: Callable[[SceneState, Sequence[Entry]], None] | None
    began: float
    """Reading of the clock when the episode began, seconds."""
    clock: Callable[[], float] = time.monotonic
    failed_as: str | None = None
    """In a replay, the recorded reason of an exit after failures in a row."""
    last: EpisodeState | None = None
    """The state at the start of the latest node, for the record of an episode that breaks off."""
    since: Update = field(default_factory=dict)
    """What has happened since then."""
    lengths: dict[str, int] = field(default_factory=dict)
    """How long the lists of `last` were then; the reducers append to them in place."""


Step = Command[str]
Chooser = Callable[[SceneState, Caller, random.Random], Awaitable[Choice]]


async def turns(state: EpisodeState, runtime: Runtime[EpisodeContext]) -> Step:
    """Play turns in a row: cue, act, settle while one role acts at a time, or send several off."""
    context = runtime.context
    update = begin(context, state)
    for step in range(state["step"] + 1, state["step"] + 1 + _TURNS_PER_NODE):
        context.caller.step = update["step"] = step
        roles = await cue(context, update)
        if len(roles) > 1:
            goto = [Send("act", {"role": role, "order": n}) for n, role in enumerate(roles)]
            return Command(update=update, goto=goto)
        if roles:
            try:
                acts = [await _act(context, roles[0])]
            except BudgetSpent as spent:
                update["exit"] = ["budget", str(spent)]
            else:
                await settle(context, state, update, acts)
        if update["exit"]:
            update["calls"] += take(context)
            return Command(update=update, goto=END)
    return Command(update=update, goto="turns")


def begin(context: EpisodeContext, state: EpisodeState) -> Update:
    """Return an empty update for a node, which the context keeps sight of."""
    context.stage.catch_up(state["log"])
    context.last = state
    context.lengths = {name: len(state[name]) for name in LISTS}  # type: ignore[literal-required]
    context.since = {name: list[Row]() for name in LISTS} | {"exit": None}
    return context.since


async def cue(context: EpisodeContext, update: Update, choose: Chooser = choose) -> list[str]:
    """Let events happen and ask the policy who acts next; no roles where the scene has ended."""
    stage, caller = context.stage, context.caller
    entries: list[Entry] = []
    try:
        ending = await due(stage, caller, caller.step, entries, caller.seed)
    except BudgetSpent as spent:
        ending, update["exit"] = None, ["budget", str(spent)]
    except WorldFault as fault:
        ending = Exit("world-error", str(fault))
    update["log"] += entries
    _show(context, entries)
    candidates, policy = stage.candidates(), stage.policy.name
    if ending:
        update["exit"] = list(ending)
    elif not candidates and not update["exit"]:
        update["exit"] = ["empty-stage", "nobody who is there may act"]
    if update["exit"]:
        return []
    try:
        rng = random.Random(derived_seed(caller.seed, caller.step, "policy"))
        choice = await choose(stage, caller, rng)
    except BudgetSpent as spent:
        update["exit"] = ["budget", str(spent)]
        return []
    row = {
        "step": caller.step,
        "policy": policy,
        "candidates": candidates,
        "chosen": choice.roles,
        "bids": choice.bids,
        "why": choice.why,
        "fallback": choice.fallback,
    }
    update["choices"].append(row)
    return choice.roles


async def _act(context: EpisodeContext, role: str) -> Row:
    """Call the model for one role; the act with the rows of its calls, as plain JSON."""
    return act_row(role, await context.caller.act(role))


def act_row(role: str, acted: Acted) -> Row:
    """Return an act with the rows of its calls as plain JSON."""
    done, failure, rows, made_by, drafts, refused, thought = acted
    return {
        "role": role,
        "failure": failure,
        "rows": rows,
        "action": done.action if done else None,
        "text": done.text if done else None,
        "to": list(done.to) if done else [],
        "whisper": bool(done and done.whisper),
        "cut": done.cut if done else None,
        "made_by": made_by,
        "drafts": list(drafts),
        "act": _made(done, refused),
        "thought": thought,
    }


def _made(done: Act | None, refused: NotAllowed | None) -> Row | None:
    """Return an act of the world, made or refused, as plain JSON; None where it is none."""
    typed = done.typed if done else refused and refused.typed
    if typed is None and refused is None:
        return None
    given = typed.args.items() if typed else ()
    args = {name: list(value) if isinstance(value, tuple) else value for name, value in given}
    reason = str(refused) if refused else None
    return {
        "name": typed and typed.name,
        "args": args,
        "granted": None,
        "reason": reason,
        "cooperation": None,
    }


async def _act_beside_others(state: _ActInput, runtime: Runtime[EpisodeContext]) -> Update:
    """Run `_act` for one of several simultaneous speakers."""
    try:
        done = await _act(runtime.context, state["role"])
    except BudgetSpent as spent:
        return {"acts": [{"order": state["order"], "spent": str(spent)}]}
    return {"acts": [done | {"order": state["order"]}]}


async def _settle_together(state: EpisodeState, runtime: Runtime[EpisodeContext]) -> Step:
    """Settle the acts of a step with several speakers, in the order they were chosen."""
    context = runtime.context
    update = begin(context, state) | {"acts": None}
    acts = sorted(state["acts"], key=lambda one: one["order"])
    await settle(context, state, update, [one for one in acts if "spent" not in one])
    spent = next((one["spent"] for one in acts if "spent" in one), None)
    if spent is not None:
        update["exit"] = ["budget", spent]
    return Command(update=update, goto=END if update["exit"] else "turns")


async def settle(
    context: EpisodeContext, state: EpisodeState, update: Update, acts: Sequence[Row]
) -> None:
    """Apply the acts, decide who perceived what, and check whether the scene has ended."""
    stage = context.stage
    update["calls"] += take(context)
    entries: list[Entry] = []
    spent, resolved = await judge(context.caller, stage, acts), None
    if stage.world:
        tried = [(done["role"], done["act"]) for done in acts]
        resolved = resolve(stage, tried, context.caller.step, context.caller.seed)
    for number, done in enumerate(acts, start=len(stage.turns) + 1):
        first = len(state["calls"]) + len(update["calls"]) + 1
        update["calls"] += done["rows"]
        update["drafts"] += [_numbered(draft, number, first) for draft in done["drafts"]]
        call = first + done["made_by"] if done["rows"] else 0
        made = resolved.acts[number - len(stage.turns) - 1] if resolved else None
        if made and "judged" in made:
            made["judged"] = _with_call(made["judged"], first)
        entries.append(_entry(stage, context.caller.step, number, done, call, made))
    stage.absorb(entries)
    update["log"] += entries
    try:
        if resolved:
            update["log"] += (more := await _effects(context, resolved, entries))
            entries += more
        _show(context, entries)
        over = Exit("budget", spent) if spent else _limit_reached(context)
        over = over or await ended(stage, context.caller)
    except BudgetSpent as spent:
        over = Exit("budget", str(spent))
    except WorldFault as fault:
        over = Exit("world-error", str(fault))
    update["calls"] += take(context)
    update["exit"] = list(over) if over else None


def _show(context: EpisodeContext, entries: Sequence[Entry]) -> None:
    """Show what somebody may perceive to whoever watches."""
    shown = [entry for entry in entries if entry["kind"] != "world"]
    if shown and context.watch:
        context.watch(context.stage, shown)


async def _effects(context: EpisodeContext, resolved: Resolved, turns: list[Entry]) -> list[Entry]:
    """Return what the acts of a step do to the world, and what a phase that is over by them ends
    with."""
    stage, caller = context.stage, context.caller
    entries = follow(stage, resolved, turns, caller.step)
    after = stage.phase and stage.phase.after
    if stage.phase_over() or (after and await phase_rule_met(stage, caller)):
        entries += close(stage, caller.step, caller.seed)
    return entries


def _with_call(judged: Judgement, first: int) -> Judgement:
    """Return a judgement with its call numbered as in the episode."""
    place = judged["call"]
    return {**judged, "call": None if place is None else first + place}


def _numbered(draft: Row, turn: int, first: int) -> Row:
    """Return a draft with its turn, and its calls numbered as in the episode."""
    judged = draft["critic_call"]
    return draft | {
        "turn": turn,
        "call": first + draft["call"],
        "critic_call": None if judged is None else first + judged,
    }


def _entry(
    stage: SceneState, step: int, number: int, done: Row, call: int, made: MadeAct | None
) -> Entry:
    refused, phase = done["action"] is None or bool(made and made["reason"]), stage.phase
    heard = [] if refused else stage.audience(done["role"], done["to"], done["whisper"])
    rule = stage.rules.get(made["name"] or "") if made and not refused else None
    if rule and rule.hears:
        heard = stage.hearers(done["role"], rule.hears)
    entry: Entry = {
        "kind": "turn",
        "step": step,
        "turn": number,
        "phase": phase.id if phase else None,
        "speaker": done["role"],
        "action": done["action"],
        "text": done["text"],
        "addressees": [role for role in done["to"] if role in stage.present],
        "audience": heard,
        "whisper": done["whisper"],
        "failure": done["failure"],
        "call": call,
        "cut": done["cut"],
    }
    if made:
        entry["act"] = made
    if done["thought"]:
        entry["thought"] = done["thought"]
    return entry


def _limit_reached(context: EpisodeContext) -> Exit | None:
    limits = context.stage.scenario.limits
    if limits.tokens is not None and context.caller.tokens >= limits.tokens:
        return Exit("token-limit", str(limits.tokens))
    if limits.wall_s is not None and context.clock() - context.began >= limits.wall_s:
        return Exit("wall-limit", f"{limits.wall_s:g} s")
    turns = context.stage.turns[-_MAX_FAILURES:]  # what a world does not allow is no failure of it
    last = ["" if "act" in turn else turn["failure"] or "" for turn in turns]
    return _failed(context, last) if len(last) == _MAX_FAILURES and all(last) else None


def _failed(context: EpisodeContext, last: list[str]) -> Exit:
    """Return whose failures in a row end the scene: a model's only where it is known to work."""
    faults = [failure for failure in last if failure in NO_RESULT]
    endpoints = bool(faults) or not context.caller.model_works
    reason = context.failed_as or ("endpoint-failure" if endpoints else "model-failure")
    return Exit(reason, (faults or last)[-1] if reason == "endpoint-failure" else last[-1])


def take(context: EpisodeContext) -> list[Row]:
    """Return the calls that made no act, once."""
    rows, context.caller.side_rows = context.caller.side_rows, []
    return rows


@cache
def episode_graph() -> Any:
    """Return the compiled graph, shared by all episodes."""
    graph = StateGraph(EpisodeState, context_schema=EpisodeContext)
    graph.add_node("turns", turns, destinations=("turns", "act", END))
    graph.add_node("act", _act_beside_others, input_schema=_ActInput)
    graph.add_node("settle", _settle_together, destinations=("turns", END))
    graph.add_edge(START, "turns")
    graph.add_edge("act", "settle")
    return graph.compile()


async def play(context: EpisodeContext, start: EpisodeState | None = None) -> EpisodeState:
    """Play an episode to its end, from the beginning or from a state; return the last state."""
    bound = 4 * context.stage.scenario.limits.turns + 100
    state: EpisodeState = await episode_graph().ainvoke(
        start or at_first(), {"recursion_limit": bound}, context=context
    )
    return state


def at_first() -> EpisodeState:
    """Return the state before anything has happened, with lists of its own."""
    return cast(EpisodeState, EMPTY | {name: list[Row]() for name in (*LISTS, "acts")})


def broken_off(context: EpisodeContext, reason: str, detail: str) -> EpisodeState:
    """Return the state of an episode that an exception ended, with all that had happened."""
    last: Any = context.last or EMPTY
    since, kept = context.since, context.lengths
    state: Any = {name: [*last[name][: kept.get(name)], *since.get(name, ())] for name in LISTS}
    state["calls"] += take(context)
    state |= {"acts": [], "step": last["step"], "exit": [reason, detail]}
    return cast(EpisodeState, state)
