"""The bench of play: counts with hand-computed values, next-line ranking, and the command."""

import asyncio
import json
import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from commands import command
from review_runs import played, scene_file
from scenes import json_act, scenario
from scenes import play as play_scene
from talks import SENTENCES, act, person, talk

from agents.conversation import Conversation
from agents.models.base import CallFailed, Prompt
from agents.models.fake import FakeModel
from eval.play.bench import Contender, Played, contenders, summarise, table_lines
from eval.play.measure import MEASURES, Scene, measure_run, scene_counts
from eval.play.ranking import rank_answers
from simulation.store.writer import Store

TOLD = {
    "ada": "You keep a small bakery in the village.",
    "bela": "You mend the bells of the church.",
}


def counts(*lines: Any, **fields: Any) -> dict[str, tuple[float, float]]:
    return scene_counts(talk(*lines, **fields), TOLD, set())


def test_a_sound_scene_has_no_fault() -> None:
    found = counts(*SENTENCES[:6])
    faults = ("silent", "mute_roles", "repeated", "echoed", "said_before", "copied", "for_others",
              "repeated_directions", "wrong_language", "about_ai", "cut_short")  # fmt: skip
    assert {name: found[name][0] for name in faults} == dict.fromkeys(faults, 0)
    assert found["silent"] == (0, 6) and found["mute_roles"] == (0, 2)


def test_silence_repetition_echo_and_copies_are_counted() -> None:
    found = counts(
        act(1, "ada", SENTENCES[0]),
        act(2, "bela", SENTENCES[0]),
        act(3, "ada", SENTENCES[1]),
        act(4, "bela", None, "none"),
        act(5, "ada", SENTENCES[0]),
        act(6, "bela", None, None),
        act(7, "ada", "You keep a small bakery."),
    )
    assert found["silent"] == (2, 7)
    assert found["echoed"] == (1, 5), "Bela gives back the line just before"
    assert found["repeated"] == (1, 5), "Ada says her first line again"
    assert found["repeated_or_echoed"] == (2, 5) == found["said_before"]
    assert found["copied"] == (1, 7)
    assert found["mute_roles"] == (0, 2)


def test_stage_directions_that_come_again_are_counted_once_each_time() -> None:
    found = counts(
        act(1, "ada", "puts the plates back", "non-verbal"),
        act(2, "bela", "puts the plates back", "non-verbal"),
        act(3, "ada", "opens the door", "non-verbal"),
        act(4, "bela", "mend the bells", "non-verbal"),
    )
    assert found["repeated_directions"] == (2, 4), "the second, and the one from Bela's prompt"
    assert found["mute_roles"] == (2, 2) and found["distinct_2"] == (0, 0)


def test_goals_secrets_and_what_was_said_come_into_play() -> None:
    people = (
        person("ada", goal="You want the ladder returned.", secret="You sold the donkey."),
        person("bela", goal="You want a discount."),
    )
    found = counts(
        act(1, "ada", "Give me that ladder, Bela."),
        act(2, "bela", "Which ladder? I saw a donkey."),
        act(3, "ada", "No."),
        people=people,
    )
    assert found["goals_in_play"] == (1, 2) and found["secrets_in_play"] == (0, 1)
    assert found["takes_up"] == (1, 2) and found["on_topic"] == (1, 3)
    pairs = 4 + 5
    assert found["distinct_2"] == (pairs, pairs)


def test_what_was_cut_counts_as_speaking_for_others_and_an_early_exit_cuts_a_scene() -> None:
    scene = talk(act(1, "ada", SENTENCES[0]), act(2, "bela", "Goodbye.", "leave"))
    found = scene_counts(scene, TOLD, {1})
    assert found["for_others"] == (1, 2) and found["cut_short"] == (1, 1)
    late = [*SENTENCES[:4], act(5, "ada", "Goodbye.", "leave")]
    assert counts(*late)["cut_short"] == (0, 1)


class _Judge(FakeModel):
    """Finds an answer likely after the lines that it is given."""

    def __init__(self, *lines: str) -> None:
        super().__init__()
        self._liked = lines

    async def score(
        self, prompt: Prompt, options: Sequence[str], floor: float = -math.inf
    ) -> list[float]:
        return [-1.0 if any(line in prompt for line in self._liked) else -5.0 for _ in options]


def scene(name: str, talk_: Conversation) -> Scene:
    return Scene(name, name, "GBR", 0, {}, talk_)


def test_an_answer_is_ranked_by_its_likelihood_after_the_true_line() -> None:
    scenes = [scene("one", talk(*SENTENCES[:4])), scene("two", talk(*SENTENCES[4:8]))]
    true = asyncio.run(rank_answers(scenes[:1], _Judge(SENTENCES[0]), 3, 0))
    assert true["one"] == (0, 0), "there are not three others to rank it against"
    first = asyncio.run(rank_answers(scenes, _Judge(*SENTENCES), 3, 0))
    assert first == {"one": (0.75, 3), "two": (0.75, 3)}, "four lines tie each time"
    none = asyncio.run(rank_answers(scenes, _Judge(SENTENCES[11]), 3, 0))
    assert none["one"] == (0.75, 3)
    only = asyncio.run(rank_answers(scenes, _Judge(*SENTENCES[:3]), 3, 0))
    assert only["two"][1] == 3 and only["one"][0] > only["two"][0]


def test_shares_are_hits_over_cases_with_intervals_over_scenarios() -> None:
    def measured(label: str, *hits: int) -> Played:
        some = [
            Scene(f"e{n}", f"s{n}", "GBR", 0, {"silent": (hit, 10)}, talk(SENTENCES[0]))
            for n, hit in enumerate(hits)
        ]
        return Played(Contender(label, "fake", label), some, None)

    results = summarise([measured("new", 1, 1, 1), measured("old", 4, 4, 4)], draws=200)
    new, old = results["contenders"]
    assert new["measures"]["silent"] == {"value": 0.1, "low": 0.1, "high": 0.1}
    assert old["acts"] == 30 and old["measures"]["echoed"] is None
    (gap,) = results["differences"]
    assert gap["measures"]["silent"]["value"] == pytest.approx(-0.3)
    lines = table_lines(results)
    assert len(lines) == 3 + len(MEASURES)
    assert "| silent | 10% (10% to 10%) | 40% (40% to 40%) |" in lines


def test_an_act_that_an_endpoint_failed_is_not_counted(tmp_path: Path) -> None:
    def fails_at_first(prompt: Any, sampling: Any, schema: Any) -> str:
        given.append(1)
        if len(given) == 1:
            raise CallFailed("timeout", "no reply")
        return json_act(SENTENCES[len(given)])

    given: list[int] = []
    record = play_scene(scenario(limits={"turns": 4}), fails_at_first)
    store = Store(tmp_path)
    store.create()
    config = {"name": "test", "model": {"name": "fake"}}
    row = {"run_id": "test", "kind": "run", "config": json.dumps(config), "config_hash": "0",
           "versions": "{}", "git_commit": None, "created_at": datetime(2026, 1, 1)}  # noqa: DTZ001  # fmt: skip
    store.add("runs", row)
    store.append([record])
    (measured,) = measure_run(tmp_path)
    assert measured.counts["silent"] == (0, 3)
    assert measured.counts["calls_a_turn"] == (4, 4)


def test_who_plays_is_named_by_profile_model_or_run(tmp_path: Path) -> None:
    run = played(tmp_path, scene_file(tmp_path, 2), model={"name": "fake", "profile": "base"})
    found = contenders("embedded", "auto", ["none", "mine.yaml", "fake", str(run)])
    assert [(one.label, one.model, one.profile) for one in found] == [
        ("auto", "embedded", "auto"), ("none", "embedded", "none"),
        ("mine", "embedded", "mine.yaml"), ("fake", "fake", "auto"), ("trial", "fake", "base"),
    ]  # fmt: skip
    assert found[-1].run == run


def test_the_command_prints_a_table_writes_json_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["bench", "play", "fake", "--scenes", "2", "--cultures", "1", "--seeds", "1",
             "--turns", "4", "--against", "base", "--out", tmp_path, "--quiet"]  # fmt: skip
    assert command(*asked) == 0
    out = capsys.readouterr().out
    assert out.startswith("| measure | auto | base |") and "| episodes, acts | 2, 8 | 2, 8 |" in out
    found = json.loads((tmp_path / "play.json").read_text())
    assert [one["label"] for one in found["contenders"]] == ["auto", "base"]
    assert [one["profile"] for one in found["contenders"]] == ["instruct", "base"]
    assert found["counts"].keys() == MEASURES.keys() and found["commit"]
    config = (tmp_path / "play-base" / "config.yaml").read_text()
    assert "reply_form: script" in config and "profile: base" in config
    assert command(*asked) == 0, "nothing is left to play"
    assert capsys.readouterr().out == out
    again = [*asked[:3], *asked[3:11], "--against", tmp_path / "play-base", "--out",
             tmp_path, "--quiet"]  # fmt: skip
    assert command(*again) == 0
    assert "| measure | auto | play-base |" in capsys.readouterr().out
