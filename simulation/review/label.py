"""The labelling of one episode: a LangGraph graph that asks for the intent behind each act.

    acts -> label, label, label ... -> end

Invariant: an act that has its label is never asked about again; each label is made from the
conversation up to its act.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, Send

from agents.conversation import Conversation
from agents.critics.labeller import (
    Intent,
    Taxonomy,
    ask_category,
    ask_intent,
    has_purpose,
    read_category,
    read_intent,
)
from agents.template import load_template, used
from simulation.execution.executor import Emit
from simulation.review.asking import Asking, Judge
from simulation.store.record import Record, Row


@dataclass(slots=True)
class LabelContext:
    """What labelling needs and its state cannot hold."""

    conversation: Conversation
    judge: Judge
    asking: Asking
    emit: Emit
    utc: Callable[[], datetime]
    taxonomy: Taxonomy | None
    intents: Mapping[int, Intent | None]
    """What is stored: turn to intent, None where labelling failed for good."""
    mapped: frozenset[int]
    """Turns whose category is stored."""


class _LabelState(TypedDict):
    """Nothing: every label is stored as it comes."""


class LabelInput(TypedDict):
    """What `Send` hands to one label."""

    turn: int


async def _acts(state: _LabelState, runtime: Runtime[LabelContext]) -> Command[str]:
    """Send off every act that lacks its label or its category."""
    turns = _unlabelled(runtime.context)
    return Command(goto=[Send("label", {"turn": turn}) for turn in turns] or END)


def _unlabelled(context: LabelContext) -> list[int]:
    """Return the acts that are still to be labelled or mapped."""
    turns = [n.turn for n in context.conversation.lines if n.turn is not None and has_purpose(n)]
    return [turn for turn in turns if turn not in context.intents or _unmapped(context, turn)]


def _unmapped(context: LabelContext, turn: int) -> bool:
    known = context.intents.get(turn) is not None and turn not in context.mapped
    return known and context.taxonomy is not None


async def label(state: LabelInput, runtime: Runtime[LabelContext]) -> dict[str, Any]:
    """Label one act and, with a taxonomy, map its intent to a category."""
    context, turn = runtime.context, state["turn"]
    intent = context.intents.get(turn)
    if turn not in context.intents:
        intent = await _label(context, turn)
    if intent and context.taxonomy and turn not in context.mapped:
        await _map(context, turn, intent, context.taxonomy)
    return {}


async def _label(context: LabelContext, turn: int) -> Intent | None:
    past, template = context.conversation.until(turn), load_template("intent")
    answer = await context.asking.ask(
        context.judge,
        ask_intent(context.conversation, turn, context.judge.form),
        lambda reply: read_intent(reply, past),
        template,
        purpose="label",
        role=past.lines[-1].role,
        seen=turn,
        key=(turn,),
    )
    if answer is None:
        return None
    intent = answer.value
    row: Row = _row(context, turn, answer.call) | {
        "intent": intent and intent.intent,
        "relevance": intent and intent.relevance,
        "expectation": intent and intent.expectation,
        "failure": answer.failure,
    }
    templates = used((load_template("review"), template))
    outcome = intent.relevance if intent else "no-label"
    context.emit(
        Record({"calls": answer.calls, "intents": [row]}, outcome, {"templates": templates})
    )
    return intent


async def _map(context: LabelContext, turn: int, intent: Intent, taxonomy: Taxonomy) -> None:
    template = load_template("category")
    answer = await context.asking.ask(
        context.judge,
        ask_category(intent, taxonomy, context.judge.form),
        lambda reply: read_category(reply, context.conversation, taxonomy),
        template,
        purpose="categorise",
        role=None,
        seen=turn,
        key=(turn, taxonomy.key),
    )
    if answer is None:
        return
    row: Row = _row(context, turn, answer.call) | {
        "taxonomy": taxonomy.key,
        "category": answer.value,
        "failure": answer.failure,
    }
    rows = {"calls": answer.calls, "categories": [row]}
    outcome = answer.value or "no-category"
    context.emit(Record(rows, outcome, {"templates": used((template,))}))


def _row(context: LabelContext, turn: int, call: int) -> Row:
    return {
        "episode_id": context.conversation.episode_id,
        "turn": turn,
        "model": context.judge.model.name,
        "call": call,
        "labelled_at": context.utc(),
    }


@cache
def label_graph() -> Any:
    """Return the compiled graph, shared by all episodes."""
    graph = StateGraph(_LabelState, context_schema=LabelContext)
    graph.add_node("acts", _acts, destinations=("label", END))
    graph.add_node("label", label, input_schema=LabelInput)
    graph.add_edge(START, "acts")
    graph.add_edge("label", END)
    return graph.compile()


async def label_turns(context: LabelContext) -> None:
    """Label one episode; everything that comes of it goes through `emit`."""
    await label_graph().ainvoke({}, context=context)
