"""People who come in clusters, the sampling points (I_PSU) of a survey's file."""

from pathlib import Path

import duckdb
import numpy as np
import pytest
from survey_files import write_csv

from eval.config import EvalConfig, ModelRef
from eval.evaluate import evaluate
from eval.item import load_items
from eval.metrics.grid import Scales
from eval.metrics.sampling import compare_distances, resample_distances
from eval.report.answers import load_given, load_grid
from eval.report.results import ALL, Results
from eval.report.write import load_results
from eval.respondents.national import National, national_answers
from eval.respondents.survey import load_survey
from folkways.clock import utc_now
from simulation.store.reader import open_reader

POINTS, EACH = 40, 10
"""Sampling points of a country, and people of each."""
PEOPLE = POINTS * EACH
ASKED = ("Q1", "Q45", "Q57")


def survey(folder: Path, points: list, weights: list) -> Path:
    """Write a file of people who agree within each point, on one answer in two."""
    rng = np.random.default_rng(3)
    place = np.repeat(range(POINTS), EACH)
    cells = {
        "version": ["6-0-0 (made up)"] * PEOPLE,
        "A_WAVE": [7] * PEOPLE,
        "A_YEAR": [2018] * PEOPLE,
        "B_COUNTRY": [276] * PEOPLE,
        "B_COUNTRY_ALPHA": ["DEU"] * PEOPLE,
        "D_INTERVIEW": [*range(PEOPLE)],
        "W_WEIGHT": weights,
        "I_PSU": points,
    }
    for item, length in zip(ASKED, (4, 3, 2), strict=True):
        own, common = rng.integers(1, length + 1, PEOPLE), rng.integers(1, length + 1, POINTS)
        cells[item] = np.where(rng.random(PEOPLE) < 0.5, own, common[place]).tolist()
    database = folder / "people.duckdb"
    items = load_items()
    load_survey(write_csv(folder / "wvs.csv", cells), database, [items[item] for item in ASKED])
    return database


def cell(database: Path, weights: str = "national") -> National:
    return national_answers(database, ["Q1"], weights=weights)["DEU", "Q1"]


def in_points() -> list[int]:
    return [100 + place // EACH for place in range(PEOPLE)]


def unequal() -> list[float]:
    return [0.5, 1.0, 2.0, 1.0] * (PEOPLE // 4)


@pytest.fixture(scope="module")
def clustered(tmp_path_factory) -> Path:
    return survey(tmp_path_factory.mktemp("clustered"), in_points(), unequal())


@pytest.fixture(scope="module")
def scored(clustered, tmp_path_factory) -> tuple[Path, Results]:
    """An evaluation for 40 of the people, and what it found."""
    out = tmp_path_factory.mktemp("scored")
    config = EvalConfig(
        name="trial", items=list(ASKED), cultures=("DEU",), people=str(clustered), out=str(out),
        models=(ModelRef(name="fake"),), methods=("respondent",), readouts=("text",),
        respondents=40,
    )  # fmt: skip
    evaluate(config, quiet=True)
    with open_reader(out / "trial") as con:
        return out / "trial", load_results(con, out / "trial", utc_now(), 100)


def test_shares_of_people_in_sampling_points_vary_as_a_bootstrap_of_points_says(clustered):
    found = cell(clustered)
    assert found.clusters == POINTS
    with duckdb.connect(str(clustered), read_only=True) as con:
        rows = con.execute('select I_PSU, weight, "Q1" from respondents').fetchall()
    place = np.array([row[0] for row in rows]) - 100
    said = np.array([row[1] for row in rows])[:, None] * (
        np.array([row[2] for row in rows])[:, None] == range(1, 5)
    )
    sums = np.zeros((POINTS, 4))
    np.add.at(sums, place, said)
    picked = np.random.default_rng(1).integers(0, POINTS, (20_000, POINTS))
    drawn = sums[picked].sum(axis=1)
    shares = drawn / drawn.sum(axis=1, keepdims=True)
    spread = shares.var(axis=0).sum() * POINTS / (POINTS - 1)
    square = sum(share**2 for share in found.shares)
    assert found.independent == pytest.approx(1 + (1 - square) / spread, rel=0.05)
    assert found.independent < PEOPLE / 2


def test_people_drawn_singly_are_as_many_as_they_are(tmp_path):
    """Where all count the same there are as many as answers; weights make them fewer, to Kish's
    number but for what weights and answers have in common."""
    singly = survey(tmp_path, [""] * PEOPLE, unequal())
    assert cell(singly, "none").independent == pytest.approx(PEOPLE)
    weighted = cell(singly)
    assert weighted.clusters == 0
    assert weighted.independent == pytest.approx(weighted.effective, rel=0.1)
    assert weighted.independent < 0.85 * PEOPLE


def test_points_of_one_person_or_one_point_for_all_are_none(tmp_path):
    (tmp_path / "one").mkdir()
    all_in_one = survey(tmp_path / "one", [7] * PEOPLE, unequal())
    assert cell(all_in_one).clusters == 0
    own = survey(tmp_path, [*range(PEOPLE)], unequal())
    assert cell(own).independent == pytest.approx(cell(all_in_one).independent)


def test_a_report_says_that_people_come_in_sampling_points(scored):
    run, results = scored
    told = f", from {POINTS} sampling points (I_PSU), of whom "
    assert told in results.people and "drawn singly, would vary as much" in results.people
    with open_reader(run) as con:
        grid, items = load_grid(con)
        (given, *_) = load_given(con, grid, items, results.protocol)
        points = con.execute("select count(distinct cluster) from survey_respondents").fetchone()
    assert (grid.sampled < grid.valid).all()
    assert len(np.unique(given.cluster)) == points[0] < len(given.respondents)


def floor(folder: Path, points: list) -> float:
    database = survey(folder, points, [1] * PEOPLE)
    config = EvalConfig(
        name="trial", items=list(ASKED), cultures=("DEU",), people=str(database), out=str(folder),
        models=(ModelRef(name="control:people"),), methods=("culture",), readouts=("logprobs",),
    )  # fmt: skip
    evaluate(config, quiet=True)
    with open_reader(folder / "trial") as con:
        scores = load_results(con, folder / "trial", utc_now(), 100).scores
    return next(s.floor for s in scores if (s.country, s.metric) == (ALL, "tv"))


def test_the_floor_of_people_in_sampling_points_is_higher(tmp_path):
    """What a perfect sampler shows is more where people vary more."""
    for name in ("singly", "points"):
        (tmp_path / name).mkdir()
    assert floor(tmp_path / "points", in_points()) > 1.5 * floor(tmp_path / "singly", [""] * PEOPLE)


def test_respondents_of_one_point_are_drawn_and_exchanged_together():
    """Two points of one opinion each: whole points are drawn, so that a share is 0, half or 1."""
    group, cluster = np.zeros(20, int), np.repeat([0, 1], 10)
    answers = np.eye(2)[cluster][:, None]
    scale = Scales.padded({"Q1": (1, 2)}, [True])
    human = np.array([[[1.0, 0.0]]])
    about = {"rows": True, "items": False, "names": ["tv"], "draws": 400, "cluster": cluster}
    rng = np.random.default_rng(0)
    drawn = resample_distances([answers], human, scale, group, rng, **about)["tv"][:, 0]
    assert set(drawn) == {0, 0.5, 1} and 0.4 < (drawn == 0.5).mean() < 0.6
    other = 1 - answers
    found = compare_distances(answers, other, human, scale, group, rng, **about)["tv"]
    assert found.estimate[0] == 0 and found.p_value[0] == 1
