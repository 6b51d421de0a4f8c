"""The critique of one episode: a LangGraph graph in which a panel of critics judges it in rounds.

    panel -> judge, judge, judge ... -> panel -> judge (meta) -> panel -> end

The detectors run first; then every critic asks its questions of every judge, all at once; then
those critics judge that read the others' verdicts.

Invariant: a question that has been answered is never asked again, so the same command continues a
critique that was interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from operator import add
from typing import Annotated, Any, NamedTuple, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, Send

from agents.conversation import Conversation
from agents.critics.critic import Judgement, Question, critic, failed, read_verdict
from agents.critics.detector import detect
from agents.models.health import FAULTS
from agents.template import load_template, used
from simulation.execution.executor import Emit
from simulation.review.asking import Asking, Judge
from simulation.store.record import Record, Row

_READS_OTHERS = ("meta",)
"""Critics that judge after the others."""
AGAIN = (*FAULTS, "budget")
"""Failures after which the same command asks again; what a judge said stays said."""


class Key(NamedTuple):
    """What one answer is about."""

    critic: str
    role: str | None
    model: str
    sample: int


@dataclass(frozen=True, slots=True)
class Panel:
    """What all critiques of a run share."""

    critics: Sequence[str]
    judges: Sequence[Judge]
    samples: int
    utc: Callable[[], datetime]


@dataclass(slots=True)
class CritiqueContext:
    """What a critique needs and its state cannot hold."""

    conversation: Conversation
    panel: Panel
    asking: Asking
    emit: Emit
    answered: Mapping[Key, list[Judgement]]
    """What earlier launches stored."""
    detected: bool
    """Whether the detectors have run."""
    questions: dict[tuple[str, int, int], list[Question]] = field(default_factory=dict)


class _CritiqueState(TypedDict):
    """What a critique has come to, as plain JSON."""

    round: int
    given: Annotated[list[dict[str, Any]], add]
    """Judgements of this launch, with judge and sample."""


class _JudgeInput(TypedDict):
    """What `Send` hands to one judge for one question."""

    critic: str
    question: int
    """Which of the critic's questions."""
    judge: int
    sample: int


async def panel(state: _CritiqueState, runtime: Runtime[CritiqueContext]) -> Command[str]:
    """Begin the next round: the detectors and the first critics, then those that read verdicts."""
    context = runtime.context
    if state["round"] == 0 and not context.detected:
        _detect(context)
    for number in range(state["round"], 2):
        if context.asking.spent:
            break
        critics = [n for n in context.panel.critics if (n in _READS_OTHERS) == (number == 1)]
        sends = [Send("judge", task) for name in critics for task in _tasks(context, state, name)]
        if sends:
            return Command(update={"round": number + 1}, goto=sends)
    return Command(update={"round": 2}, goto=END)


async def judge(state: _JudgeInput, runtime: Runtime[CritiqueContext]) -> dict[str, Any]:
    """Ask one judge one question, and hand over the verdicts with the calls they cost."""
    context, panel = runtime.context, runtime.context.panel
    by, conversation = panel.judges[state["judge"]], runtime.context.conversation
    asked = context.questions[state["critic"], state["judge"], state["sample"]]
    question = asked[state["question"]]
    answer = await context.asking.ask(
        by,
        question.asked,
        lambda reply: read_verdict(reply, question, conversation),
        question.template,
        purpose="critique",
        role=question.role,
        seen=len(conversation.turns),
        key=(question.critic, question.role, state["sample"]),
    )
    if answer is None:
        return {}
    given = answer.value or failed(question, answer.failure or "", answer.message)
    rows = [
        {
            "episode_id": conversation.episode_id,
            "critic": question.critic,
            "sample": state["sample"],
            "model": by.model.name,
            "call": answer.call,
            "judged_at": panel.utc(),
            "turns": list(one.turns),
            **{name: getattr(one, name) for name in _COLUMNS},
        }
        for one in given
    ]
    templates = used((load_template("review"), question.template))
    context.emit(
        Record({"calls": answer.calls, "verdicts": rows}, _outcome(given), {"templates": templates})
    )
    return {"given": [dict(row, judged_at=None) for row in rows]}


_COLUMNS = ("role", "dimension", "label", "score", "confidence", "reason", "failure")


def _detect(context: CritiqueContext) -> None:
    id_, now = context.conversation.episode_id, context.panel.utc()
    rows: list[Row] = [
        {"episode_id": id_, "detected_at": now, **found._asdict(), "turns": list(found.turns)}
        for found in detect(context.conversation)
    ]
    context.emit(Record({"detections": rows}, "detected"))


def _tasks(context: CritiqueContext, state: _CritiqueState, name: str) -> list[_JudgeInput]:
    """Return the questions of a critic that no judge has answered yet."""
    tasks: list[_JudgeInput] = []
    for number, by in enumerate(context.panel.judges):
        for sample in range(context.panel.samples):
            others = _others(context, state, by.model.name, sample)
            if name in _READS_OTHERS and any(one.failure in AGAIN for one in others):
                continue  # it would judge without what the same command will ask again
            asked = critic(name)(context.conversation, others, by.form)
            context.questions[name, number, sample] = asked
            tasks += [
                {"critic": name, "question": place, "judge": number, "sample": sample}
                for place, question in enumerate(asked)
                if Key(question.critic, question.role, by.model.name, sample)
                not in context.answered
            ]
    return tasks


def _others(
    context: CritiqueContext, state: _CritiqueState, model: str, sample: int
) -> list[Judgement]:
    """Return what the same judge said before in the same sample, by critic and role: the order
    must not depend on what was stored first.
    """
    said = {
        (key.critic, key.role): judgements
        for key, judgements in context.answered.items()
        if (key.model, key.sample) == (model, sample) and key.critic not in _READS_OTHERS
    }
    for row in state["given"]:
        if (row["model"], row["sample"]) == (model, sample):
            judgement = Judgement(**{n: row[n] for n in _COLUMNS}, turns=tuple(row["turns"]))
            said.setdefault((row["critic"], row["role"]), []).append(judgement)
    places = sorted(said, key=lambda place: (place[0], place[1] or ""))
    return [judgement for place in places for judgement in said[place]]


def _outcome(given: Sequence[Judgement]) -> str:
    if any(judgement.failure for judgement in given):
        return "needs-review"
    return given[0].label or "scored"


@cache
def critique_graph() -> Any:
    """Return the compiled graph, shared by all episodes."""
    graph = StateGraph(_CritiqueState, context_schema=CritiqueContext)
    graph.add_node("panel", panel, destinations=("judge", END))
    graph.add_node("judge", judge, input_schema=_JudgeInput)
    graph.add_edge(START, "panel")
    graph.add_edge("judge", "panel")
    return graph.compile()


async def critique(context: CritiqueContext) -> None:
    """Judge one episode; everything that comes of it goes through `emit`."""
    await critique_graph().ainvoke({"round": 0, "given": []}, context=context)
