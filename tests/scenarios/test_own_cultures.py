"""Cultures of the user's own: written, checked, played, and told what they lack."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from commands import command
from people import PERSON

from eval.survey.neighbour import similarity_graph
from eval.survey.voice import load_voice
from folkways.errors import UserError
from scenarios.culture import (
    add_cultures,
    culture_meant,
    forget_cultures,
    load_culture,
    own_cultures,
)
from scenarios.sampling.population import sample_personas
from simulation.config import RunConfig, parse_config
from simulation.episode.budget import BudgetConfig
from simulation.execution.ray_worker import Worker
from simulation.plan import make_plan
from simulation.store.shards import ShardDirectory


@pytest.fixture(autouse=True)
def only_shipped_ones() -> None:
    forget_cultures()


def breton(folder: Path) -> Path:
    """Write a culture by the commented file."""
    file = folder / "XBZ.yaml"
    assert command("culture", "new", file) == 0
    text = file.read_text(encoding="utf-8")
    text = text.replace("name: XBZ", "name: Brittany").replace("demonym: XBZ", "demonym: Breton")
    text = text.replace("pdi: null", "pdi: 20").replace("source: none yet", "source: a test")
    norm = "- {id: one-norm, text: Guests are fed first., domain: hospitality, source: a test}"
    file.write_text(text.replace("norms: []", f"norms:\n  {norm}"), encoding="utf-8")
    return file


def pool(folder: Path) -> Path:
    people = [PERSON | {"id": f"xbz-{n}", "name": f"Yann Le Goff {n}"} for n in range(6)]
    file = folder / "people.yaml"
    file.write_text(json.dumps({"provenance": "a test", "personas": people}), encoding="utf-8")
    return file


def test_the_commented_file_passes_and_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "XBZ.yaml"
    assert command("culture", "new", file) == 0
    assert command("culture", "check", file) == 0
    told = capsys.readouterr()
    assert "no score for pdi, idv, mas, uai, lto, ivr" in told.out
    assert "no norms" in told.out and "fill in both" in told.out
    assert "no names are known for XBZ" in told.err
    assert command("culture", "new", file) == 1


def test_a_culture_with_norms_in_few_domains_is_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("culture", "check", breton(tmp_path)) == 0
    told = capsys.readouterr().out
    assert "no norm for family, work, conflict, money, religion, migration, gender" in told
    assert "agents are told one of each domain, here 1, of a shipped culture 10" in told


@pytest.mark.parametrize(
    ("name", "told"),
    [("brittany.yaml", "three capital letters"), ("JPN.yaml", "'JPN' is shipped"), ("XBZ", "XAA")],
)
def test_a_name_that_is_no_id_is_refused(
    name: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("culture", "new", tmp_path / name) == 1
    assert told in capsys.readouterr().err


def test_no_file_stands_for_a_shipped_culture(tmp_path: Path) -> None:
    file = tmp_path / "JPN.yaml"
    text = breton(tmp_path).read_text(encoding="utf-8")
    file.write_text(text.replace("id: XBZ", "id: JPN"), encoding="utf-8")
    with pytest.raises(UserError, match="'JPN' is shipped, and no file may stand for it"):
        add_cultures([file])
    assert load_culture("JPN").name == "Japan"


def test_a_culture_of_ones_own_is_played_stored_and_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    breton(tmp_path), pool(tmp_path)
    assert command("scenario", "new", tmp_path / "ladder.yaml") == 0
    text = "scenarios: [ladder.yaml]\ncultures: [XBZ]\nculture_files: [XBZ.yaml]\n"
    text += "conditioning: norms\nmodel: {name: fake, reply_form: json}\n"
    (tmp_path / "trial.yaml").write_text(text + "cast: {pools: [people.yaml]}\n", encoding="utf-8")
    assert command("run", "trial.yaml", "--quiet") == 0
    assert command("critique", "runs/trial", "--quiet") == 0
    assert command("label", "runs/trial", "--quiet") == 0
    assert command("replay", "runs/trial", "--quiet") == 0
    capsys.readouterr()
    assert command("sql", "runs/trial", "select name from cultures", "--csv") == 0
    assert "Brittany" in capsys.readouterr().out
    assert command("scenario", "show", "ladder.yaml", "--culture", "XBZ.yaml") == 1
    assert "cannot be cast in XBZ" in capsys.readouterr().err
    (tmp_path / "trial.yaml").write_text(text + "name: nobody\n", encoding="utf-8")
    assert command("run", "trial.yaml", "--quiet") == 1
    assert "give people of it in cast.pools" in capsys.readouterr().err
    assert command("culture", "list", "XBZ.yaml") == 0
    assert "Brittany" in capsys.readouterr().out
    assert command("culture", "list") == 0
    assert "Brittany" not in capsys.readouterr().out, "another command knows nothing of it"


def test_a_culture_of_ones_own_goes_into_corpora_shards_and_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    breton(tmp_path), pool(tmp_path)
    assert command("scenario", "new", tmp_path / "ladder.yaml") == 0
    own = "cultures: [XBZ]\nculture_files: [XBZ.yaml]\nmodel: {name: fake}\n"
    text = f"scenarios: [ladder.yaml]\n{own}cast: {{pools: [people.yaml]}}\n"
    (tmp_path / "trial.yaml").write_text(text, encoding="utf-8")
    for words in (
        ("run", "trial.yaml", "--quiet"), ("pack", "runs/trial", "shards"),
        ("merge", "again/trial", "shards"),
        ("export", "again/trial", "corpus", "--preset", "dialogue-only",
         "--policy", "none", "--cultures", "XBZ"),
    ):  # fmt: skip
        assert command(*words) == 0, capsys.readouterr().err
    (rows,) = (tmp_path / "corpus").glob("train*.jsonl")
    assert '"XBZ"' in rows.read_text(encoding="utf-8")
    text = f"name: asked\ntopics: [corruption]\nper_topic: 2\n{own}"
    (tmp_path / "spa.yaml").write_text(text, encoding="utf-8")
    assert command("spa", "generate", "spa.yaml", "--quiet") == 0
    assert command("spa", "collect", "spa.yaml", "--quiet") == 0, capsys.readouterr().err
    capsys.readouterr()
    query = "select distinct country from survey_replies join survey_conditions using "
    assert command("sql", "runs/asked", f"{query}(condition_id) order by all", "--csv") == 0
    assert capsys.readouterr().out.split() == ["country", "*", "XBZ"]
    with pytest.raises(UserError, match="has no name for the country 'XBZ'"):
        load_voice("en").place("XBZ")


def test_a_culture_makes_a_run_another_one_only_where_somebody_is_of_it(tmp_path: Path) -> None:
    """In a notebook each culture that was ever read is known to all later runs."""
    scene = tmp_path / "ladder.yaml"
    assert command("scenario", "new", scene) == 0
    fields = {"name": "a", "scenarios": [str(scene)], "cultures": ["MEX"]}
    fields["model"] = {"name": "fake"}
    before = make_plan(RunConfig.model_validate(fields))
    file, people = breton(tmp_path), pool(tmp_path)
    assert add_cultures([file])
    assert make_plan(RunConfig.model_validate(fields)).hash == before.hash
    theirs = fields | {"cultures": ["XBZ"], "cast": {"pools": [str(people)]}}
    one = make_plan(RunConfig.model_validate(theirs))
    text = file.read_text(encoding="utf-8").replace("fed first", "fed last")
    file.write_text(text, encoding="utf-8")
    add_cultures([file])
    assert make_plan(RunConfig.model_validate(theirs)).hash != one.hash and "XBZ" in one.cultures


def test_a_culture_of_ones_own_is_placed_among_the_others_and_moves_none(tmp_path: Path) -> None:
    before = similarity_graph(["GBR", "CHN"])["GBR"]["CHN"]
    add_cultures([breton(tmp_path)])
    after = similarity_graph(["GBR", "CHN", "XBZ"])
    assert after["GBR"]["CHN"] == before and after["GBR"]["XBZ"]["distance"] > 0


def test_every_configuration_names_the_key_for_cultures_among_those_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    breton(tmp_path)
    (tmp_path / "c.yaml").write_text("culture_file: [XBZ.yaml]\n", encoding="utf-8")
    for words in (("run",), ("train",), ("eval", "wvs", "run"), ("spa", "generate")):
        assert command(*words, "c.yaml") == 1
        assert "did you mean 'culture_files'?" in capsys.readouterr().err
    config = parse_config({"name": "t", "culture_files": ["XBZ.yaml"]}, "the configuration")
    assert "culture_files" not in config.model_dump()
    assert load_culture("XBZ").name == "Brittany"


def test_a_worker_elsewhere_knows_the_users_cultures(tmp_path: Path) -> None:
    add_cultures([breton(tmp_path)])
    known = own_cultures()
    assert load_voice("en").place("XBZ") == "Brittany"
    forget_cultures()
    job: Any = SimpleNamespace(stage="run")
    Worker(job, ShardDirectory(str(tmp_path)), "w-0", 1, BudgetConfig(), None, None, known)
    assert load_culture("XBZ").name == "Brittany"


def test_what_the_sampler_lacks_is_said(tmp_path: Path) -> None:
    add_cultures([breton(tmp_path)])
    with pytest.raises(UserError, match="no names are known for the culture 'XBZ'"):
        sample_personas("XBZ", 1, 0)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Japan", "JPN"), ("japanese", "JPN"), ("JP", "JPN"), ("jpn", "JPN"), ("UK", "GBR"),
        ("Germany", "DEU"), ("de", "DEU"), ("Holland", "NLD"), ("Untied States", "USA"),
        ("Atlantis", None), ("XX", None),
    ],
)  # fmt: skip
def test_other_names_of_a_culture_are_known(said: str, meant: str | None) -> None:
    assert culture_meant(said) == meant


def test_a_scenario_that_names_a_country_is_told_the_id(tmp_path: Path) -> None:
    from scenarios.checks.check import check_file
    from scenarios.skeleton import write_skeleton

    file = tmp_path / "ladder.yaml"
    write_skeleton(file, 2)
    text = file.read_text(encoding="utf-8")
    for written, told in (("Japan", "JPN"), ("JP", "JPN"), ("GER", "DEU"), ("FRA", None)):
        file.write_text(text.replace("#culture: JPN", f"culture: {written}"), encoding="utf-8")
        (problem,) = check_file(file)
        line = problem.render("F")
        assert (f"did you mean {told}" in line.replace("'", "")) == bool(told), line
