"""Writing what an evaluation found into its folder: results.json, results.md, report.html, plots.

Invariant: the files say nothing that the store does not hold; writing them again from the same
store gives the same figures.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import duckdb

from eval.own_items import QUESTION_FILES
from eval.report.compute import compute
from eval.report.results import Results
from eval.report.table import Section
from eval.respondents.source import MARGINALS, SYNTHETIC
from folkways.errors import UserError
from folkways.files import parse_yaml, write_whole
from simulation.store.reader import open_reader, read_rows

_PLOTTED = ("js_distance", "w1", "culturespa")
"""Metrics with a plot of all series."""
_SAMPLING = """
with countries as (
    select country, max(clusters) as clusters, median(independent / valid) as ratio
    from survey_people where clusters is not null and valid > 0 group by country
)
select sum(clusters), avg(ratio) from countries
"""
_PEOPLE = {
    MARGINALS: "national shares of WVS-7, unweighted",
    SYNTHETIC: "national shares of WVS-7, unweighted; respondents are SYNTHETIC, drawn from them",
}


def write_report(run: Path, made_at: datetime, draws: int) -> list[Path]:
    """Score an evaluation and return the files written. Raises UserError where nothing was
    answered."""
    with contextlib.closing(open_reader(run)) as con:
        results = load_results(con, run, made_at, draws)
        return write_files(con, results, run if run.is_dir() else run.parent)


def write_files(
    con: duckdb.DuckDBPyConnection,
    results: Results,
    folder: Path,
    first: Sequence[Section] = (),
    figures: Mapping[str, str] = MappingProxyType({}),
) -> list[Path]:
    """Write what an evaluation found into a folder, other parts with their figures before it, and
    return the files."""
    from eval.report.item_row import item_rows
    from eval.report.markdown import render_markdown
    from eval.report.page import render_page

    paths = [folder / name for name in ("results.json", "results.md", "report.html")]
    results.write(paths[0])
    write_whole(folder, paths[1], render_markdown(results, first))
    page = render_page(results, item_rows(con, results), first, figures)
    write_whole(folder, paths[2], page)
    return paths + _write_plots(results, folder / "plots", figures)


def _write_plots(results: Results, folder: Path, figures: Mapping[str, str]) -> list[Path]:
    """Write the plots that are not of single items, as SVG; those with nothing to show are left
    out."""
    from eval.report import plots

    made = {
        **figures,
        "map": plots.draw_map(results),
        "matrices": plots.draw_matrices(results),
        "gaps": plots.draw_gaps(results),
        "diversity": plots.draw_diversity(results),
        **{f"scores_{name}": plots.draw_scores(results, name) for name in _PLOTTED},
    }
    folder.mkdir(exist_ok=True)
    paths = []
    for name, svg in made.items():
        if svg is not None:
            paths.append(folder / f"{name}.svg")
            write_whole(folder, paths[-1], svg)
    return paths


def load_results(
    con: duckdb.DuckDBPyConnection,
    run: Path,
    made_at: datetime,
    draws: int,
    only: Collection[str] | None = None,
) -> Results:
    """Return everything that a store of answers says, in all conditions or `only` in some."""
    found = read_rows(con, "select run_id, config, versions from runs where kind = 'survey'")
    answered = con.execute("select count(*) from survey_replies").fetchone()
    if not found or not answered or not answered[0]:
        raise UserError(f"{run} holds no answers to a survey; ask some: folkways eval wvs run")
    protocol = parse_yaml(found[0]["config"], f"the configuration of the evaluation in {run}")
    count = con.execute("select count(*) from survey_items").fetchone()
    assert count is not None
    people = {row[0] for row in con.execute("select country from survey_people").fetchall()}
    made_up = con.execute("from survey_respondents where synthetic limit 1").fetchall()
    asked = con.execute(
        "select distinct country from survey_replies where country <> '*' order by country"
    ).fetchall()
    results = Results(
        name=found[0]["run_id"],
        made_at=made_at.isoformat(timespec="seconds"),
        protocol=protocol,
        items=count[0],
        people=_people(protocol) + _sampling(con),
        synthetic=protocol["people"] == SYNTHETIC or bool(made_up),
        countries=tuple(sorted(people)),
        without=tuple(row[0] for row in asked if row[0] not in people),
        versions=parse_yaml(found[0]["versions"], f"versions in {run}"),
        draws=draws,
    )
    compute(con, results, protocol.get("seed", 0), only)
    return results


def _sampling(con: duckdb.DuckDBPyConnection) -> str:
    """Return how people were drawn, where it is known that they come from sampling points."""
    found = con.execute(_SAMPLING).fetchone()
    if not found or not found[0]:
        return ""
    return (
        f", from {found[0]:,.0f} sampling points (I_PSU), of whom {found[1]:.0%} as many, drawn "
        "singly, would vary as much"
    )


def _people(protocol: Mapping[str, Any]) -> str:
    """Return what people of an evaluation are called."""
    told, weights = protocol["people"], protocol.get("weights")
    if isinstance(told, Mapping):
        return f"respondents of {told['file']}, weights {weights}"
    if told in _PEOPLE:
        return _PEOPLE[told]
    return told if Path(told).suffix in QUESTION_FILES else f"{told}, weights {weights}"
