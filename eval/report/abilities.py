"""What lm-evaluation-harness found of several models, and how far each is from the first.

Invariant: two models are compared question by question on the same questions; where these do not
add up to the figures that the harness gives, a difference has no interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from eval.metrics.bootstrap import DRAWS, Table, compare, estimate, tabulate
from eval.metrics.grid import as_floats
from eval.report.number import DASH, chance, known, number

_TOLERANCE = 1e-6
"""How far the mean of single questions may be from the figure they are to explain."""
Answers = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By task, metric and number of the question: its score."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric of a task, or of a group of tasks."""

    task: str
    metric: str
    value: float
    stderr: float | None
    """As the harness computes it; null where it gives none."""
    questions: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found of one model."""

    model: str
    figures: tuple[Figure, ...]
    parts: Mapping[str, Sequence[str]]
    """The tasks of each group."""
    answers: Answers

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    def figure(self, task: str, metric: str) -> Figure | None:
        """Return a figure, or None where there is none."""
        wanted = (one for one in self.figures if (one.task, one.metric) == (task, metric))
        return next(wanted, None)


@dataclass(frozen=True, slots=True)
class Change:
    """How far a model is from the first one."""

    model: str
    reference: str
    task: str
    metric: str
    value: float
    """The model less the reference."""
    low: float | None
    """Lower end of the 95 % interval over questions; null where they do not explain the figures."""
    high: float | None
    p: float | None
    """Exchanging the two at random, question by question."""
    questions: int


def read_measured(data: Mapping[str, Any]) -> Measured:
    """Return what `Measured.plain` was made of."""
    figures = tuple(Figure(**figure) for figure in data["figures"])
    return Measured(data["model"], figures, data["parts"], data["answers"])


def read_results(model: str, results: Mapping[str, Any]) -> Measured:
    """Return what a model's results say, as `lm_eval.simple_evaluate` returns them.

    A metric is named with its filter, `exact_match,strict-match`, unless it has none.
    """
    sizes, figures = results.get("n-samples", {}), []
    parts = {name: _leaves(name, results) for name in results.get("group_subtasks", {})}
    parts = {name: leaves for name, leaves in parts.items() if leaves != (name,)}
    for task, entry in results["results"].items():
        for key, value in entry.items():
            metric, comma, sieve = key.partition(",")
            if not comma or metric.endswith("_stderr") or not _is_number(value):
                continue
            error = entry.get(f"{metric}_stderr,{sieve}")
            count = sum(sizes[leaf]["effective"] for leaf in parts.get(task, (task,)))
            stderr = float(error) if _is_number(error) else None
            figures.append(Figure(task, _named(metric, sieve), float(value), stderr, count))
    return Measured(model, tuple(figures), parts, _answers(results.get("samples") or {}))


def _leaves(name: str, results: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the tasks that a group is made of, those of its groups included."""
    below = results.get("group_subtasks", {}).get(name) or ()
    return tuple(leaf for part in below for leaf in _leaves(part, results)) or (name,)


def _answers(samples: Mapping[str, Sequence[Mapping[str, Any]]]) -> Answers:
    found: dict[str, dict[str, dict[str, float]]] = {}
    for task, each in samples.items():
        for sample in each:
            for metric in sample["metrics"]:
                if _is_number(sample[metric]):
                    name = _named(metric, sample["filter"])
                    scores = found.setdefault(task, {}).setdefault(name, {})
                    scores[str(sample["doc_id"])] = float(sample[metric])
    return found


def _named(metric: str, sieve: str) -> str:
    return metric if sieve == "none" else f"{metric},{sieve}"


def _is_number(value: object) -> bool:
    if isinstance(value, (bool, int, float, np.number, np.bool_)):
        return math.isfinite(value)
    return False


def changes(measured: Sequence[Measured], *, draws: int = DRAWS, seed: int = 0) -> list[Change]:
    """Return for every model but the first how far it is from the first, figure by figure."""
    return [
        _change(measured[0], other, before, after, draws, seed)
        for other in measured[1:]
        for after in other.figures
        for before in [measured[0].figure(after.task, after.metric)]
        if before is not None
    ]


def _change(
    first: Measured, other: Measured, before: Figure, after: Figure, draws: int, seed: int
) -> Change:
    value = after.value - before.value
    low = high = p = None
    paired = _paired(first, other, before, after)
    if paired is not None:
        one, two = paired
        rng = np.random.default_rng(seed)
        found = compare(two, one, rng, rows=True, items=False, draws=draws)
        low, high, p = (float(part[0]) for part in found[1:])
    return Change(
        other.model, first.model, after.task, after.metric, value, low, high, p, after.questions
    )


def _paired(
    first: Measured, other: Measured, before: Figure, after: Figure
) -> tuple[Table, Table] | None:
    """Return tables of both models' scores that explain the figures: each task of a group weighs
    the same, or each question does. None where neither does."""
    tasks = first.parts.get(after.task, (after.task,))
    both: tuple[list[float], list[float]] = ([], [])
    home = []
    for place, task in enumerate(tasks):
        one, two = (model.answers.get(task, {}).get(after.metric) for model in (first, other))
        if not one or not two or one.keys() != two.keys():
            return None
        both[0].extend(one.values())
        both[1].extend(two[question] for question in one)
        home += [place] * len(one)
    for group in (np.array(home), np.zeros(len(home), dtype=np.intp)):
        left, right = (tabulate(as_floats(scores)[:, None], group=group) for scores in both)
        means = [float(estimate(table)[0]) for table in (left, right)]
        if np.allclose(means, [before.value, after.value], rtol=0, atol=_TOLERANCE):
            return left, right
    return None


def table_lines(measured: Sequence[Measured], found: Sequence[Change]) -> list[str]:
    """Return the figures and differences as lines of text, one block a task."""
    keys = dict.fromkeys((one.task, one.metric) for each in measured for one in each.figures)
    by_key = {(change.model, change.task, change.metric): change for change in found}
    width = max(len(each.model) for each in measured)
    lines = []
    for task, metric in keys:
        figures = [(each.model, each.figure(task, metric)) for each in measured]
        questions = {figure.questions for _, figure in figures if figure}
        counts = " or ".join(f"{count:,}" for count in sorted(questions))
        tasks = len(measured[0].parts.get(task, ()))
        of = f"{tasks} tasks, " if tasks else ""
        lines.append(f"{task}, {metric} ({of}{counts} questions)")
        for model, figure in figures:
            change = by_key.get((model, task, metric))
            cells = [f"  {model:<{width}}  {_with_error(figure)}", _moved(change)]
            lines.append("   ".join(cells).rstrip())
    return lines


def _with_error(figure: Figure | None) -> str:
    if figure is None:
        return DASH
    error = f" ± {number(figure.stderr)}" if known(figure.stderr) else ""
    return f"{number(figure.value)}{error}"


def _moved(change: Change | None) -> str:
    if change is None:
        return ""
    moved = f"{'+' if change.value > 0 else ''}{number(change.value)}"
    if change.low is None:
        return moved
    return f"{moved} [{number(change.low)}, {number(change.high)}], p {chance(change.p)}"
