"""The tables of the papers: model by culture, and country by method."""

from __future__ import annotations

from report_results import made

from eval.report.number import DASH
from eval.report.results import Individual, Score
from training.experiment.paper_table import clca_paper, spa_paper


def test_models_stand_by_culture_with_the_mean_of_those_that_are_learned() -> None:
    results = made(["base", "clca", "held out"], ("CHN", "DEU", "MEX"))
    results.scores = [
        Score(series.id, country, "clca_compat_kl", value, value - 0.1, value + 0.1, 44)
        for series, start in zip(results.series, (0.5, 0.4, 0.3), strict=True)
        for country, value in (("CHN", start), ("DEU", start + 0.1), ("MEX", 0.9))
        if not (series.model == "clca" and country == "DEU")
    ]
    results.individuals = [Individual("s0", "CHN", "accuracy_clca", 0.4, 0.3, 0.5, 44)]
    distance, accuracy = clca_paper(results, ("CHN", "DEU"))
    assert distance.title == "CLCA's KL ↓: logprobs"
    assert distance.head == ("model", "asked as", "China", "Germany", "mean")
    assert [row.cells for row in distance.rows] == [
        ("base", "culture", "0.500 [0.400, 0.600]", "0.600 [0.500, 0.700]", "0.550"),
        ("clca", "culture", "0.400 [0.300, 0.500]", DASH, DASH),  # no mean of half
    ]
    (row,) = accuracy.rows
    assert row.cells == ("base", "culture", "0.400 [0.300, 0.500]", DASH, DASH)


def test_countries_stand_by_method_for_culturespa() -> None:
    results = made(["base", "crqpc"], ("CHN", "DEU"))
    (table,) = spa_paper(results, ("CHN", "DEU"))
    assert table.head == ("", "base, culture", "crqpc, culture")
    assert [row.cells[0] for row in table.rows] == ["China", "Germany", "mean"]
    assert table.rows[0].cells[1].startswith("70.0 [")
    assert table.rows[-1].cells[1:] == ("70.0", "63.6")
    assert spa_paper(made([], ()), ("CHN",)) == []
