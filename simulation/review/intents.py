"""Testing a labeller on turns whose intent is plain, as critics are tested on faults.

Invariant: a label counts as right only if it is what `intents.yaml` says of that turn; a turn
without a label is wrong in every count and said to have none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import duckdb
from rich.console import Console
from rich.text import Text

from agents.critics.labeller import load_taxonomy
from scenarios.parsing.yaml_file import load_yaml
from simulation.review.calibration import CALIBRATION_FOLDER, Case, load_cases

TAXONOMY = CALIBRATION_FOLDER / "intent_taxonomy.yaml"
_LABELS = """
select case_id, turn, relevance, category from turn_intents join cases using (episode_id)
where intent is not null and (taxonomy is null or taxonomy = ?)
"""
_INTERVAL = "select wilson_low(?, ?), wilson_high(?, ?)"


class Gold(NamedTuple):
    """What is plain about a turn."""

    category: str
    """What it is after: a category of `TAXONOMY`."""
    relevance: str
    """generic or cultural."""


class Measure(NamedTuple):
    """How often a labeller is right in one respect."""

    name: str
    turns: int
    right: int
    baseline: float | None
    """The share that the commonest answer alone gets; null where there is none."""
    kappa: float | None
    """Cohen's kappa with what is plain; null where everything is one answer."""


@cache
def load_plain_turns() -> tuple[tuple[Case, ...], Mapping[tuple[str, int], Gold]]:
    """Return the conversations of the set, and what is plain about each of their turns."""
    scenes = {case.id: case for case in load_cases()}
    cases, gold = [], {}
    for part in load_yaml(CALIBRATION_FOLDER / "intents.yaml").data:
        scene, turns = scenes[part["of"]], []
        name = f"{scene.id}-intents"
        for number, told in enumerate(part["turns"], start=1):
            role = next(role for role in scene.cast if role in told)
            turns.append((role, told[role]))
            gold[name, number] = Gold(told["is"], told["relevance"])
        cases.append(
            Case(
                id=name,
                original=name,
                fault=None,
                note=None,
                culture=scene.culture,
                scenario=scene.scenario,
                cast=scene.cast,
                turns=tuple(turns),
            )
        )
    return tuple(cases), gold


def labeller_measures(con: duckdb.DuckDBPyConnection) -> list[Measure]:
    """Return how often a run's labels are right: cultural or generic, and what they are after."""
    gold = load_plain_turns()[1]
    found: dict[tuple[str, int], tuple[str, str | None]] = {
        (case, turn): (relevance, category)
        for case, turn, relevance, category in con.execute(
            _LABELS, [load_taxonomy(TAXONOMY).key]
        ).fetchall()
    }
    none = ("", None)
    relevance = [(one.relevance, found.get(key, none)[0]) for key, one in gold.items()]
    category = [(one.category, found.get(key, none)[1] or "") for key, one in gold.items()]
    told_cultural = [pair for pair in relevance if pair[1] == "cultural"]
    are_cultural = [pair for pair in relevance if pair[0] == "cultural"]
    return [
        Measure("labelled", len(gold), len(found), None, None),
        _agreed("generic or cultural", relevance),
        Measure("cultural ones found", len(are_cultural), _equal(are_cultural), None, None),
        Measure("called cultural rightly", len(told_cultural), _equal(told_cultural), None, None),
        _agreed("what it is after", category),
    ]


def _equal(pairs: Sequence[tuple[str, str]]) -> int:
    return sum(one == two for one, two in pairs)


def _agreed(name: str, pairs: Sequence[tuple[str, str]]) -> Measure:
    commonest = Counter(one for one, _ in pairs).most_common(1)[0][1]
    baseline = commonest / len(pairs)
    return Measure(name, len(pairs), _equal(pairs), baseline, cohen_kappa(pairs))


def cohen_kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Return Cohen's kappa, (p_o - p_e) / (1 - p_e), of two raters' labels (Cohen 1960); None where
    there are none, or where both give one and the same label always."""
    if not pairs:
        return None
    one, two = (Counter(labels) for labels in zip(*pairs, strict=True))
    chance = sum(one[label] * two[label] for label in one) / len(pairs) ** 2
    return None if chance == 1 else (_equal(pairs) / len(pairs) - chance) / (1 - chance)


def print_labeller(con: duckdb.DuckDBPyConnection, console: Console) -> None:
    """Print how often the labels of the set are right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("of turns whose intent is plain")
    for name in ("turns", "right", "share", "95 % interval", "commonest", "kappa"):
        table.add_column(name, justify="right")
    for one in labeller_measures(con):
        low, high = con.execute(_INTERVAL, [one.right, one.turns] * 2).fetchall()[0]
        share = one.right / one.turns if one.turns else None
        interval = "" if share is None else f"{low:.2f} to {high:.2f}"
        cells = (*map(_number, (share,)), interval, *map(_number, (one.baseline, one.kappa)))
        table.add_row(one.name, str(one.turns), str(one.right), *cells)
    console.print(table)
    console.print(Text("commonest: what the commonest answer gets; kappa: Cohen's", "dim"))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
