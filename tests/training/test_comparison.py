"""Comparisons of arms: corrected for their number, and the one that was declared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from report_results import series

from eval.report.results import ALL, PairedDifference, Results
from folkways.errors import UserError
from training.experiment.comparison import Comparisons, primary_table
from training.experiment.config import ClcaExperiment, load_clca
from training.experiment.correction import holm


def test_holm_multiplies_by_what_is_left_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.03, None, 0.02]) == pytest.approx([0.04, None, 0.04])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == [] and holm([None]) == [None]


def study(folder: Path, **fields: Any) -> ClcaExperiment:
    given = {"name": "small", "cultures": ["CHN", "DEU"], "engine": "hf",
             "simulation": {"model": {"name": "fake"}}}  # fmt: skip
    path = folder / "small.yaml"
    path.write_text(json.dumps(given | fields), encoding="utf-8")
    return load_clca(path)


def comparisons(config: ClcaExperiment, chances: dict[str, float]) -> Comparisons:
    """Make the results of a base model and arms that are 0.1 nearer to people."""
    names = ["base", *chances]
    listed = [series(place, name) for place, name in enumerate(names)]
    results = Results(
        name="trial", made_at="2026-01-02T03:04:05", protocol={}, items=44, people="",
        synthetic=True, countries=("CHN", "DEU"), without=(), versions={}, draws=100,
    )  # fmt: skip
    results.series = listed
    results.gaps = [
        PairedDifference("s0", one.id, metric, ALL, 0.1, 0.05, 0.15, chances[one.model], 44)
        for one in listed[1:]
        for metric in ("js_distance", "tv")
    ]
    return Comparisons(config, results, listed[0])


def test_a_table_says_which_comparisons_hold_after_correction(tmp_path: Path) -> None:
    asked = comparisons(study(tmp_path), {"clca": 0.01, "joint": 0.03, "people": 0.04})
    (table,) = asked.table("Less", asked.with_base({}), ("js_distance", "tv"))
    assert table.head[-3:] == ("p", "p, Holm", "items")
    assert [row.cells[0] for row in table.rows] == ["clca", "joint", "people"]
    assert [row.cells[-3:-1] for row in table.rows] == [
        ("0.010", "0.030"), ("0.030", "0.060"), ("0.040", "0.060"),
    ]  # fmt: skip
    assert table.rows[0].cells[2] == "-0.100 [-0.150, -0.050]"
    assert "over the 3 comparisons of this table clca holds at 0.05" in table.note


def test_the_declared_comparison_stands_alone_and_is_not_corrected(tmp_path: Path) -> None:
    config = study(tmp_path, primary={"arm": "joint", "metric": "tv"})
    (table,) = primary_table(config, [comparisons(config, {"clca": 0.01, "joint": 0.03})])
    (row,) = table.rows
    assert row.cells == ("joint less base", "culture, logprobs", "-0.100 [-0.150, -0.050]",
                         "0.030", "yes")  # fmt: skip
    config = study(tmp_path, primary={"arm": "clca", "against": "shuffled"})
    (table,) = primary_table(config, [comparisons(config, {"clca": 0.01})])
    assert table.rows[0].cells == ("clca less shuffled", "not asked")
    assert primary_table(study(tmp_path), []) == []


@pytest.mark.parametrize(
    ("primary", "told"),
    [({"arm": "sonnets"}, "unknown arm in"), ({"arm": "clca", "metric": "warmth"}, "warmth")],
)
def test_what_cannot_be_compared_is_told_at_once(
    tmp_path: Path, primary: dict[str, str], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        study(tmp_path, primary=primary)
