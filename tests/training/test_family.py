"""Studies of several models and corpora: what each is, and the report on all."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from report_results import series
from typer.testing import CliRunner

from eval.report.results import ALL, PairedDifference, Results
from folkways.cli.application import application
from folkways.errors import UserError
from simulation.plan import make_plan
from simulation.run import launch
from training.experiment.config import ClcaExperiment, load_clca
from training.experiment.family import members, shared_changes, write_family
from training.experiment.pooled import pooled, pooled_corpora

RUN: dict[str, Any] = {"themes": ["family-duty"], "model": {"name": "fake"}}
FAMILY: dict[str, Any] = {
    "name": "both", "cultures": ["CHN", "DEU"], "engine": "hf", "arms": ["clca"],
    "models": ["embedded", "org/other-1B"], "corpus": {"tokens": 900}, "corpus_seeds": [3, 4],
    "simulation": RUN,
}  # fmt: skip


def written(folder: Path, **fields: Any) -> Path:
    path = folder / "both.yaml"
    given = {name: value for name, value in (FAMILY | fields).items() if value is not None}
    path.write_text(json.dumps({"out": str(folder)} | given), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("runs")
    config = load_clca(written(folder, name="teacher", models=None, corpus_seeds=None))
    assert launch(make_plan(config.run_config()), limit=None, fresh=False, quiet=True) == "done"
    return config.folder


def test_each_model_and_corpus_has_a_study_of_the_same_scenes(played: Path) -> None:
    file = written(played.parent, name="teacher")
    config = load_clca(file)
    assert shared_changes(config) == ["models=[]", "corpus_seeds=[]"]
    found = members(config)
    assert [member.name for member in found] == [
        "teacher-embedded-corpus3", "teacher-embedded-corpus4",
        "teacher-other-1B-corpus3", "teacher-other-1B-corpus4",
    ]  # fmt: skip
    one = load_clca(file, found[-1].overrides())
    assert (one.name, one.model, one.models, one.corpus.seed) == (
        "teacher-other-1B-corpus4", "org/other-1B", (), 4,
    )  # fmt: skip
    assert one.scenes == played and one.folder == played.parent / one.name
    assert one.run_config().model.name == "fake" and not members(one)


def test_scenes_of_a_run_that_is_not_finished_are_one_line(tmp_path: Path, played: Path) -> None:
    whole = load_clca(written(tmp_path, name="begun", models=None, corpus_seeds=None))
    plan = make_plan(whole.run_config())
    assert launch(plan, limit=1, fresh=False, quiet=True) == "limit"
    for source, told in (
        (whole.folder, r"begun' is not finished \(run ended: limit\); the command that began it"),
        (tmp_path / "none", "holds no run"),
    ):
        file = written(tmp_path, simulation={"from": str(source)})
        done = CliRunner().invoke(application(), ["experiment", "clca", str(file)])  # type: ignore[arg-type]
        assert done.exit_code and isinstance(done.exception, UserError)
        assert "\n" not in str(done.exception)
        with pytest.raises(UserError, match=told):
            load_clca(file)
    assert launch(plan, limit=None, fresh=False, quiet=True) == "done"
    load_clca(written(tmp_path, simulation={"from": str(whole.folder)}))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"simulation": {"from": "x", "seed": 3}}, "leave out seed"),
        ({"corpus": {}}, "corpus_seeds draw nothing without corpus.tokens"),
        ({"corpus_seeds": [3, 3]}, "seeds are different numbers"),
    ],
)
def test_mistakes_are_told_before_anything_is_spent(
    tmp_path: Path, fields: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        load_clca(written(tmp_path, **fields))


def test_models_of_one_name_would_share_a_folder(tmp_path: Path) -> None:
    config = load_clca(written(tmp_path, models=["a/same-1B", "b/same-1B"]))
    with pytest.raises(UserError, match="would share a folder"):
        members(config)


def difference(value: float, half: float = 0.1) -> PairedDifference:
    return PairedDifference("s1", "s0", "tv", ALL, value, value - half, value + half, 0.01, 20)


def test_corpora_are_random_beside_the_trainings_on_each() -> None:
    one, two = [difference(-0.3), difference(-0.2)], [difference(-0.1), difference(-0.2)]
    assert pooled_corpora([one]) == pooled(one)
    both = pooled_corpora([one, two])
    # by hand: means -0.25 and -0.15, whose variance of 0.005 over two is 0.0025
    assert both and both.value == pytest.approx(-0.2)
    error = math.sqrt(0.0025 + (0.1 / 1.959964) ** 2)
    freedom = error**4 / 0.0025**2
    assert freedom == pytest.approx(4.16, abs=0.01)
    assert both.high is not None and (both.high + 0.2) / error == pytest.approx(2.7337, rel=2e-3)
    assert pooled_corpora([[], []]) is None


def results(chance: float, value: float) -> Results:
    """Make the results of a base model and an arm that is that much nearer to people."""
    made = Results(
        name="trial", made_at="2026-01-02T03:04:05", protocol={}, items=44, people="",
        synthetic=True, countries=("CHN", "DEU"), without=(), versions={}, draws=100,
    )  # fmt: skip
    made.series = [series(0, "base"), series(1, "clca")]
    made.gaps = [
        PairedDifference(
            "s1", "s0", "js_distance", ALL, value, value - 0.01, value + 0.01, chance, 44
        )
    ]
    return made


def test_one_report_has_all_models_with_what_holds(tmp_path: Path) -> None:
    config: ClcaExperiment = load_clca(written(tmp_path, corpus_seeds=None))
    studies = [member.study(config) for member in members(config)]
    for study, chance, value in zip(studies, (0.01, 0.04), (-0.1, -0.05), strict=True):
        study.folder.mkdir()
        results(chance, value).write(study.folder / "results.json")
    text = write_family(config, studies).read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith(("| embedded", "| org/"))]
    assert [[part.strip() for part in row.split("|")[1:4]] for row in rows] == [
        ["embedded", "clca", "-0.100 [-0.110, -0.090]"],
        ["org/other-1B", "clca", "-0.050 [-0.060, -0.040]"],
    ]
    assert [row.split("|")[-3:-1] for row in rows] == [
        [" 0.010 ", " 0.020 "],
        [" 0.040 ", " 0.040 "],
    ]
    assert "embedded: clca, org/other-1B: clca" in text and "2 models, 2 studies" in text
