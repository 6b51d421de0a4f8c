"""Plays with given lines, as a scenario file has them under `tests`, and what must come of them.

Invariant: no model is asked; the scene unfolds as it would under any model that gave these lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from agents.models.base import Prompt, Sampling
from agents.models.fake import FakeModel, Reply
from folkways.event_loop import run_to_end
from scenarios.world.schema import ScriptedTest
from scenarios.world.scope import NO_OUTCOME
from simulation.rehearsal import Rehearsal, rehearse
from simulation.store.record import Record

_FORM = {"model": {"name": "fake", "reply_form": "script", "repairs": 0}}


class TestResult(NamedTuple):
    """What came of one play."""

    name: str
    faults: list[str]
    """What is not as it must be, in words; nothing where the test passes."""


def run_tests(scenario: str, culture: str | None = None) -> list[TestResult]:
    """Play the tests of a scenario file, or of a shipped id.

    Raises UserError for a file with errors, and where nobody can be cast.
    """
    scene = rehearse(scenario, _FORM, culture)
    return [TestResult(test.name, list(_faults(scene, test))) for test in scene.scenario.tests]


def _faults(scene: Rehearsal, test: ScriptedTest) -> Iterator[str]:
    """Yield what a play came to where that is not what is expected."""
    names = {name: role for role, name in scene.stage().names.items()}
    record = run_to_end(scene.play(model=FakeModel(reply=_replies(test, names))))
    expected, ending, rows = test.expect, record.episode, record.rows
    if expected.exit not in (None, ending["exit_reason"], ending["exit_detail"]):
        yield f"exit is {ending['exit_reason']} ({ending['exit_detail']}), not {expected.exit}"
    if expected.turns not in (None, ending["turns"]):
        yield f"{ending['turns']} acts are made, not {expected.turns}"
    refused = sum(turn["failure"] == "not-allowed" for turn in rows["turns"])
    refused += sum(not d["allowed"] for d in rows.get("decisions", ()) if _made(record, d["turn"]))
    if expected.not_allowed not in (None, refused):
        yield f"{refused} acts are not allowed, not {expected.not_allowed}"
    payoffs = {row["role"]: row["payoff"] for row in rows.get("payoffs", ())}
    for role, payoff in expected.payoffs.items():
        if payoffs.get(role) is None or abs(payoffs[role] - payoff) > 1e-9:
            yield f"the payoff of {role} is {payoffs.get(role)}, not {payoff:g}"
    yield from _world_faults(record, expected.world)
    gone = _gone(record)
    if expected.gone is not None and set(expected.gone) != gone:
        yield f"out of the scene are {sorted(gone)}, not {sorted(expected.gone)}"
    for number, hearers in expected.hears.items():
        heard = rows["turns"][number - 1]["audience"] if 0 < number <= len(rows["turns"]) else None
        if heard != list(hearers):
            yield f"act {number} is perceived by {heard}, not {list(hearers)}"


def _made(record: Record, turn: int) -> bool:
    return record.rows["turns"][turn - 1]["failure"] is None


def _world_faults(record: Record, expected: Mapping[str, Any]) -> Iterator[str]:
    last = {(row["variable"], row["role"]): row for row in record.rows.get("world", ())}
    for name, value in expected.items():
        wanted = value if isinstance(value, dict) else {None: value}
        for role, its in wanted.items():
            row = last.get((name, role))
            text = str(its).lower() if isinstance(its, bool) else str(its)
            if row is None or row["number"] is None or isinstance(its, str):
                same = row is not None and row["value"] == text
            else:
                same = abs(row["number"] - float(its)) < 1e-9
            if not same:
                where = f"{name} of {role}" if role else name
                yield f"{where} is {row and row['value']}, not {text}"


def _gone(record: Record) -> set[str]:
    gone = set[str]()
    for row in record.rows["happenings"]:
        if row["kind"] == "removal":
            gone.add(row["name"])
        elif row["kind"] == "return":
            gone.discard(row["name"])
    return gone


def _replies(test: ScriptedTest, names: Mapping[str, str]) -> Reply:
    """Return a reply function that gives each role its lines in order, and what is judged."""
    plays, used, judged = test.plays, dict.fromkeys(test.plays, 0), list(test.judged)

    def reply(prompt: Prompt, sampling: Sampling, schema: Mapping[str, Any] | None) -> str:
        if schema and "choice" in schema["properties"]:
            return (judged.pop(0) if len(judged) > 1 else judged[0]) if judged else NO_OUTCOME
        last = str(prompt).rsplit("\n", 1)[-1].partition(":")[0]
        role = names.get(last)
        lines = plays.get(role or "", ())
        if role is None or not lines:
            return "no" if role is None else "[says nothing]"
        used[role] += 1
        return lines[min(used[role], len(lines)) - 1]

    return reply
