"""Metrics of one's own: beside the shipped ones in a report, and never run without leave."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import command

import folkways as fw
from eval.metrics.grid import Scales
from eval.metrics.metric import METRICS, Answers, measure
from folkways import registry
from folkways.registry import Code, set_code

CODE = """
from pathlib import Path
import folkways as fw

Path(__file__).with_suffix(".ran").touch()

@fw.metric("half", title="Half the distance", unit="0 to 0.5", better="lower")
def half_tv(human, answers, scales):
    return abs(human - answers.model).sum(axis=-1) / 4
"""
ASKED = {
    "items": ["Q1", "Q7"], "cultures": ["DEU", "MEX"], "methods": ["unaware", "respondent"],
    "people": "synthetic", "respondents": 12, "readouts": ["logprobs"],
    "models": [{"name": "fake"}],
}  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_is_known() -> Iterator[None]:
    set_code(Code())
    yield
    registry._own.clear()


def evaluation(folder: Path, **fields: Any) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / "wvs.yaml"
    file.write_text(json.dumps(ASKED | fields), encoding="utf-8")
    (folder / "own_metric.py").write_text(CODE, encoding="utf-8")
    return file


def metrics_of(part: str = "scores") -> dict[str, list[float]]:
    """Return values by metric from the results of the evaluation."""
    found: dict[str, list[float]] = {}
    results = json.loads(Path("runs/wvs/results.json").read_text(encoding="utf-8"))
    for one in results[part]:
        found.setdefault(one["metric"], []).append(one.get("value", one.get("mean")))
    return found


def test_a_chosen_metric_stands_wherever_a_shipped_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = evaluation(tmp_path)
    fw.evaluate(file, quiet=True).report(draws=100)
    plain = metrics_of()
    assert {*plain} >= {*METRICS} - {"kl"} and "own_metric:half_tv" not in plain
    evaluation(tmp_path, metrics=["own_metric:half_tv"])
    fw.evaluate(file, quiet=True).report(draws=100)
    for part in ("scores", "baselines", "floors", "gaps"):
        found = metrics_of(part)
        halves = [None if value is None else pytest.approx(value / 2) for value in found["tv"]]
        assert found["own_metric:half_tv"] == halves != []
    assert {name: value for name, value in metrics_of().items() if name in plain} == plain
    page = Path("runs/wvs/results.md").read_text(encoding="utf-8")
    assert "| Half the distance ↓ |" in page and "Half the distance: 0 to 0.5" in page
    evaluation(tmp_path, metrics=[])
    fw.evaluate(file, quiet=True).report(draws=100)
    assert {*metrics_of()} == {*plain}, "what is registered may be left out"


def test_a_metric_that_a_store_names_is_not_run_without_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    file = evaluation(tmp_path / "theirs", metrics=["own_metric:half_tv"])
    assert command("eval", "wvs", "run", file, "--quiet") == 0
    (tmp_path / "theirs/own_metric.ran").unlink()
    assert command("eval", "wvs", "report", "runs/wvs", "--draws", "100") == 1
    assert "metric 'own_metric:half_tv' is code, and is run only with" in capsys.readouterr().err
    assert not (tmp_path / "theirs/own_metric.ran").exists()
    report = ("eval", "wvs", "report", "runs/wvs", "--draws", "100", "--allow-code")
    monkeypatch.syspath_prepend(tmp_path / "theirs")
    assert command(*report) == 0 and "own_metric:half_tv" in metrics_of()


def test_an_unknown_metric_lists_the_known_ones(tmp_path: Path) -> None:
    fw.metric("mine")(lambda human, answers, scales: human)
    with pytest.raises(fw.UserError, match=r"unknown metric 'yours'; known: .*kl, mine, tv"):
        fw.evaluate(evaluation(tmp_path, metrics=["yours"]))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            np.array([0.1, 0.2]),
            r"gave float64 of shape \(2,\); give a number for each of the cells",
        ),
        (np.array([["a", "b"]]), "gave <U1 of shape"),
        (np.array([[0.5, -1.0]]), "gave -1; values are 0 or more, or NaN"),
        (None, "gave object of shape"),
    ],
)
def test_what_is_no_value_for_each_cell_is_told_of(values: Any, told: str) -> None:
    fw.metric("odd")(lambda human, answers, scales: values)
    human, counts = np.array([[[0.5, 0.5], [np.nan, np.nan]]]), np.ones((1, 2, 2))
    given = Answers(counts, np.zeros((1, 2)))
    scales = Scales.padded({"a": (1, 2), "b": (1, 2)}, [True, True])
    with pytest.raises(fw.UserError, match=told):
        measure(human, given, scales, ["odd"])
    fw.metric("odd")(lambda human, answers, scales: np.array([[1, 1]]))
    (cells,) = measure(human, given, scales, ["odd"]).values()
    assert cells[0, 0] == 1 and np.isnan(cells[0, 1]), "nobody was asked there"
