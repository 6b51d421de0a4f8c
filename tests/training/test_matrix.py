"""The matrix of adapters and cultures, and whether its diagonal is the smallest."""

from __future__ import annotations

import json
from math import factorial
from pathlib import Path

import pytest
from report_results import series

from eval.report.results import Results, Score
from training.experiment.comparison import Comparisons
from training.experiment.config import load_clca
from training.experiment.matrix import dominance, matrix_tables
from training.experiment.roster import roster


def test_a_dominant_diagonal_is_one_exchange_in_all() -> None:
    found = dominance([[0.1, 0.3, 0.3], [0.3, 0.1, 0.3], [0.3, 0.3, 0.1]])
    assert found.gain == pytest.approx(0.2) and found.best == 3 and found.p == 1 / 6
    five = [[0.1 if row == column else 0.3 for column in range(5)] for row in range(5)]
    assert dominance(five).p == 1 / factorial(5)


def test_good_adapters_and_easy_cultures_decide_nothing() -> None:
    rows, columns = (0.1, 0.2, 0.4), (0.0, 0.3, 0.1)
    found = dominance([[row + column for column in columns] for row in rows])
    assert found.gain == pytest.approx(0) and found.p == 1
    assert found.best == 1  # the adapter that is the best everywhere


def test_many_cultures_are_drawn_from() -> None:
    ten = [[0.1 if row == column else 0.3 for column in range(10)] for row in range(10)]
    assert dominance(ten).p == pytest.approx(1 / 40_001)
    flat = [[0.2] * 10 for _ in range(10)]
    assert dominance(flat).p == 1


def test_each_adapter_answers_for_each_culture_and_the_report_crosses_them(tmp_path: Path) -> None:
    cultures = ["CHN", "DEU", "MEX"]
    file = tmp_path / "small.yaml"
    file.write_text(json.dumps({"name": "small", "cultures": cultures, "engine": "hf",
                                "arms": ["clca"], "seeds": [1, 2]}))  # fmt: skip
    config = load_clca(file)
    adapters = {
        (label, culture): Path(f"{label}/{culture}")
        for label in config.labels("clca")
        for culture in cultures
    }
    asked = roster(config, adapters)
    assert [one.called for one in asked] == [
        "base", "clca", "shuffled", "shuffled 2",
        "clca, seed 2", "shuffled, seed 2", "shuffled 2, seed 2",
    ]  # fmt: skip
    distance = {"CHN": 0.1, "DEU": 0.2, "MEX": 0.3}  # of any adapter but the own
    results = Results(
        name="trial", made_at="2026-01-02T03:04:05", protocol={}, items=44, people="",
        synthetic=True, countries=tuple(cultures), without=(), versions={}, draws=100,
    )  # fmt: skip
    results.series = [series(place, one.called) for place, one in enumerate(asked)]
    for one, model in zip(results.series, asked, strict=True):
        for culture in model.by_culture:
            adapter = Path(model.by_culture[culture].options["adapter"]).name
            value = distance[culture] - (0.05 if adapter == culture else 0.0)
            results.scores.append(Score(one.id, culture, "js_distance", value, 0, 1, 44))
    comparisons = Comparisons(config, results, results.series[0])
    (table,) = matrix_tables([comparisons])
    assert table.head[1:] == ("asked as China", "asked as Germany", "asked as Mexico")
    assert [row.cells for row in table.rows] == [
        ("China", "0.050", "0.200", "0.300"),
        ("Germany", "0.100", "0.150", "0.300"),
        ("Mexico", "0.100", "0.200", "0.250"),
    ]
    assert "Off the diagonal less on it: 0.050" in table.note
    assert "3 of 3 cultures" in table.note and "p 0.167, at least 0.167" in table.note
    arms = comparisons.arms()
    assert [[one.model for one in found] for found in arms["shuffled"].values()] == [
        ["shuffled", "shuffled 2"], ["shuffled, seed 2", "shuffled 2, seed 2"],
    ]  # fmt: skip
    assert "shuffled 2" not in arms
