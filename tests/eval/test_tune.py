"""A tournament of play profiles: the score of each, and the winner as a file that a run takes."""

from pathlib import Path

import pytest
from commands import command

from eval.play.tune import CARRIES, FAULTS, rivals, score
from simulation.config import parse_config
from simulation.profile import load_profile, with_profile


def test_a_score_is_what_carries_a_scene_less_its_faults() -> None:
    measures = {name: {"value": 0.5} for name in CARRIES} | {
        name: {"value": 0.1} for name in FAULTS
    }
    assert score(measures) == pytest.approx(0.5 - 0.1 * len(FAULTS))
    assert score(measures | {"follows": None}) == score(measures), "not measured, not counted"
    assert score(measures | {"seconds_a_turn": {"value": 9.0}}) == score(measures)


def test_a_model_is_tried_with_what_suits_it_and_with_others() -> None:
    assert rivals("embedded") == ["tiny", "none", "small", "base"]
    assert rivals("fake") == ["instruct", "none", "small", "base"]


def test_the_winner_is_written_with_its_table_and_a_run_takes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    asked = ["models", "tune", "fake", file, "--profile", "none", "--profile", "base", "--scenes",
             "2", "--turns", "4", "--out", tmp_path / "bench", "--quiet"]  # fmt: skip
    assert command(*asked) == 0
    out = capsys.readouterr().out
    assert out.count("the winner") == 1 and "none " in out and "base " in out
    winner = next(line.split()[0] for line in out.splitlines() if "the winner" in line)
    profile = load_profile(str(file))
    assert f"{winner}, the best of none, base for fake" in profile.about
    given = {"name": "a", "model": {"name": "fake", "profile": str(file)}}
    form = with_profile(parse_config(given, "")).model.reply_form
    assert form == ("script" if winner == "base" else "auto")
    assert "| measure | none | base |" in file.with_suffix(".md").read_text()
    assert command(*asked) == 1, "it is not overwritten"


def test_models_alone_still_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("models") == 0
    assert "What --model takes:" in capsys.readouterr().out
