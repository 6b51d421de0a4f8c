"""What only the report of a CultureSPA experiment says: from how many answers was selected, and
what else the model still can.

Invariant: every figure is a query on the store's public views, or was measured by the harness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb

from eval.report.number import DASH, chance, interval, number
from eval.report.results import Results
from eval.report.table import Section, Table, TableRow, new_table
from folkways.files import read_json
from simulation.store.reader import read_rows
from training.experiment.adapters import trained
from training.experiment.arm import JOINT
from training.experiment.corpus_folders import read_corpora
from training.experiment.experiment import SPA_SHOWN
from training.experiment.paper_table import spa_paper
from training.experiment.report import shared_sections, titled
from training.experiment.spa_config import SpaExperiment

_ABILITIES = "abilities.json"
"""File of what the harness measured, in the folder of the experiment."""
_WRITTEN = """
select topic, sum(tries)::bigint as tries,
    (sum(tries) filter (outcome = 'accepted'))::bigint as kept
from spa_outcomes group by topic order by topic
"""
_FUNNEL = """
select country, reading, sum(asked)::bigint as asked, sum(answered)::bigint as answered,
    sum(different)::bigint as different
from (select distinct topic, country, reading, asked, answered, different from spa_funnel)
group by all order by reading, country
"""


_PAIRS = (("rds", "cds"), ("clca", "answers"), ("both", "answers"), ("both", "clca"))
"""Arms that are compared beside the main one."""


def sections(
    con: duckdb.DuckDBPyConnection, config: SpaExperiment, results: Results
) -> Iterator[Section]:
    """Yield the parts that come before those of the evaluation."""
    yield from titled("asked-itself", [*_written(con), *_funnel(con)])
    yield from shared_sections(con, config, results, _PAIRS, SPA_SHOWN)
    yield from titled("papers", spa_paper(results, config.cultures))
    yield from titled("abilities", _abilities(config))


def measure(config: SpaExperiment, say: Callable[[str], None]) -> None:
    """Measure the abilities of the base model and of the main arm's adapters, if any are asked
    for."""
    from eval.abilities import Setting, measure_abilities
    from folkways.clock import utc_now

    part = config.abilities
    if not part.tasks:
        return
    adapters = trained(config, read_corpora(config.folder))
    names = [config.model]
    names += [
        f"{config.model}+{folder}" for (_, culture), folder in adapters.items() if culture == JOINT
    ]
    include = None if part.include is None else Path(part.include)
    setting = Setting(part.tasks, include, part.limit)
    for line in measure_abilities(names, setting, config.folder / _ABILITIES, utc_now, say=say):
        say(line)


def _written(con: duckdb.DuckDBPyConnection) -> list[Table]:
    rows = [
        TableRow((row["topic"], f"{row['tries']:,}", f"{row['kept'] or 0:,}"))
        for row in read_rows(con, _WRITTEN)
    ]
    return new_table("Questions", ("topic", "tries", "accepted"), rows)


def _funnel(con: duckdb.DuckDBPyConnection) -> list[Table]:
    """Return how many answers there are, and how many a culture changes."""
    names = ("asked", "answered", "different")
    rows = [
        TableRow(
            (
                row["country"],
                row["reading"],
                *(f"{row[name]:,}" for name in names),
                number(row["different"] / row["answered"] if row["answered"] else None),
            )
        )
        for row in read_rows(con, _FUNNEL)
    ]
    head = ("culture", "read as", "pairs", "answered on both sides", "different", "share")
    return new_table("Answers", head, rows, words=2)


def _abilities(config: SpaExperiment) -> list[Table]:
    """Return what the harness measured, each adapter beside the base model."""
    try:
        found = read_json(config.folder / _ABILITIES, dict[str, Any])
    except FileNotFoundError:
        return []
    called = {config.model: "base"} | {
        f"{config.model}+{folder}": arm
        for (arm, _), folder in trained(config, read_corpora(config.folder)).items()
    }
    moved = {(each["model"], each["task"], each["metric"]): each for each in found["changes"]}
    rows = []
    for model in found["models"]:
        for figure in model["figures"]:
            change = moved.get((model["model"], figure["task"], figure["metric"]))
            rows.append(TableRow((
                called.get(model["model"], model["model"]), figure["task"], figure["metric"],
                number(figure["value"]), number(figure["stderr"]),
                interval(change["value"], change["low"], change["high"]) if change else DASH,
                chance(change["p"]) if change else DASH, f"{figure['questions']:,}",
            )))  # fmt: skip
    head = ("arm", "task", "metric", "score", "standard error", "less base", "p", "questions")
    return new_table("", head, rows, words=3)
