"""What only the report of a CLCA experiment says: what was played.

Invariant: every figure is a query on the store's public views.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import duckdb

from eval.report.results import Results
from eval.report.table import Section, Table, TableRow, new_table
from simulation.review.funnel import BY_CULTURE, fates_of
from simulation.store.reader import open_reader, read_rows
from training.experiment.arm import SEVERAL, TWO
from training.experiment.config import ClcaExperiment
from training.experiment.paper_table import clca_paper
from training.experiment.report import shared_sections, titled


def sections(
    con: duckdb.DuckDBPyConnection, config: ClcaExperiment, results: Results
) -> Iterator[Section]:
    """Yield the parts that come before those of the evaluation."""
    told = config.run_config().conditioning  # before the store of the scenes is opened
    if config.scenes == config.folder:
        yield from titled("played", _played(con, config, told))
    else:
        with closing(open_reader(config.scenes)) as played:
            yield from titled("played", _played(played, config, told))
    yield from shared_sections(con, config, results, [(SEVERAL, TWO)])
    yield from titled("papers", clca_paper(results, config.cultures))


def _played(
    con: duckdb.DuckDBPyConnection, config: ClcaExperiment, conditioning: str
) -> list[Table]:
    """Return how many scenes were played and accepted in each culture."""
    fates_of(con, config.corpus.policy)
    names = (
        "culture_id",
        "model",
        "simulated",
        "cut_short",
        "dropped",
        "unreviewed",
        "needs_review",
        "accepted",
    )
    found = read_rows(con, BY_CULTURE)
    rows = [
        TableRow(tuple(str(row[name]) for name in names))
        for row in found
        if row["culture_id"] in config.cultures
    ]
    head = ("culture", *(name.replace("_", " ") for name in names[1:]))
    others = sum(row["simulated"] for row in found) - sum(int(row.cells[2]) for row in rows)
    note = (
        f"Episodes under the policy {config.corpus.policy}, conditioning "
        f"{conditioning}. {others} further episodes are of scenes with another "
        "culture of their own."
    )
    return new_table("", head, rows, note, words=2)
