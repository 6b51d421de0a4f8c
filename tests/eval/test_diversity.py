"""How many different answers a series gives, beside as many of people's."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eval.config import EvalConfig, ModelRef
from eval.evaluate import evaluate
from eval.metrics.diversity import distinct, entropy, variance
from eval.metrics.grid import Scales
from eval.report.diversity_plot import draw_diversity
from eval.report.diversity_table import diversity_line
from eval.report.markdown import render_markdown
from eval.report.results import ALL, Diversity, Results
from eval.report.write import load_results
from folkways.clock import utc_now
from simulation.store.reader import open_reader, read_rows

ITEMS = ("Q1", "Q45", "Q57", "Q182")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """An evaluation of two controls for cultures and respondents."""
    out = tmp_path_factory.mktemp("diversity")
    config = EvalConfig(
        name="trial", items=ITEMS, cultures=("DEU", "MEX"), out=str(out), people="synthetic",
        models=(ModelRef(name="control:people"), ModelRef(name="control:first-option")),
        methods=("culture", "respondent"), respondents=12, samples=8, temperature=1.0,
        orders="forward",
    )  # fmt: skip
    evaluate(config, quiet=True)
    return out / "trial"


@pytest.fixture(scope="module")
def results(run) -> Results:
    with open_reader(run) as con:
        return load_results(con, run, utc_now(), 100)


@pytest.fixture(scope="module")
def found(results) -> dict[tuple[str, ...], Diversity]:
    series = {each.id: (each.model, each.method, each.reading) for each in results.series}
    return {(*series[row.who], row.country, row.measure): row for row in results.diversity}


def test_entropy_variance_and_profiles_of_worked_examples():
    scales = Scales.padded({"Q1": (1, 2, 3, 4), "Q2": (1, 2)}, [True, False])
    shares = np.array([[0.5, 0.5, 0, 0], [1, 0, 0, 0]])
    assert entropy(shares, scales) == pytest.approx([0.5, 0])
    assert entropy(np.array([[0.25] * 4, [0.5, 0.5, 0, 0]]), scales) == pytest.approx([1, 1])
    ends = np.array([[0.5, 0, 0, 0.5], [0.5, 0.5, 0, 0]])
    assert variance(ends, scales)[0] == pytest.approx(0.25)
    assert np.isnan(variance(ends, scales)[1])
    assert distinct(np.array([[1, 2], [1, 2], [1, np.nan], [1, np.nan], [2, 1]])) == 3


def test_whoever_is_the_people_is_as_diverse_and_one_answer_is_not(found):
    for reading in ("logprobs", "text-strict"):
        people = found["control:people", "culture", reading, ALL, "entropy"]
        assert people.ratio == pytest.approx(1, abs=1e-9 if reading == "logprobs" else 0.25)
        first = found["control:first-option", "culture", reading, ALL, "entropy"]
        assert first.value == first.ratio == first.high == 0 < first.people
        spread = found["control:first-option", "culture", reading, ALL, "variance"]
        assert spread.ratio == 0 and spread.answers == people.answers


def test_samples_are_compared_with_as_many_answers_of_people(found):
    """Eight answers have less entropy than the probabilities that they are drawn from."""
    exact, drawn = (
        found["control:people", "culture", reading, "DEU", "entropy"].people
        for reading in ("logprobs", "text-strict")
    )
    assert 0.7 * exact < drawn < exact


def test_respondents_are_compared_with_their_own_answers(found, run):
    key = ("control:first-option", "respondent", "text-strict", ALL)
    profiles = found[*key, "profiles"]
    assert profiles.value == 2 and profiles.low is None  # one in each of two countries
    with open_reader(run) as con:
        own = read_rows(
            con,
            "select country, count(distinct profile) as n from ("
            "select country, list((item_id, point) order by item_id) as profile "
            "from survey_truths join survey_respondents using (respondent_id) "
            "group by country, respondent_id) group by country",
        )
    assert profiles.people == sum(row["n"] for row in own) > 12
    assert found[*key, "entropy"].ratio == 0 and found[*key, "entropy"].answers == 12


def test_the_view_has_entropy_variance_and_profiles(found, run):
    with open_reader(run) as con:
        rows = read_rows(con, "from survey_diversity")
    for row in rows:
        key = (row["model"], row["method"], row["reading"], row["country"])
        assert row["items"] == len(ITEMS)
        if row["method"] == "culture":
            assert row["entropy"] == pytest.approx(found[*key, "entropy"].value)
            assert row["variance"] == pytest.approx(found[*key, "variance"].value)
            assert row["profiles"] is None
        else:
            assert row["profiles"] == found[*key, "profiles"].value
            assert row["respondents"] == 12
    assert len(rows) == 2 * 2 * 3 * 2


def test_the_report_has_a_table_and_a_plot_of_both_axes(results):
    assert "## How many different answers" in render_markdown(results)
    svg = draw_diversity(results)
    assert svg and "Alignment against diversity" in svg and "diversity, people = 1" in svg
    (line,) = [
        diversity_line(results, [series])
        for series in results.series
        if series.label == "control:first-option, culture, logprobs"
    ]
    assert line.endswith("people's (1 is as diverse): control:first-option 0.000 [0.000, 0.000].")
    assert draw_diversity(replace(results, diversity=[])) is None
