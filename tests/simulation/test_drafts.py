"""Several drafts of an act, of which detectors keep one; acts held back; what stands last in a
prompt."""

import asyncio
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest
from review_runs import played, rows, scene_file
from scenes import Recorder, json_act, play, scenario, text_of
from talks import SENTENCES

from agents.models.base import CallFailed, Completion
from agents.models.fake import FakeModel
from scenarios.scenario import ACTIONS
from simulation.episode.budget import Budget, BudgetConfig
from simulation.episode.play_settings import PLAIN, PlaySettings, allowed
from simulation.replay.player import replay
from simulation.replay.reproduction import reproduce
from simulation.store.reader import open_reader


def settings(**fields: Any) -> PlaySettings:
    return PlaySettings.model_validate(fields)


def told_in_turn(*replies: str) -> Any:
    """Return a model that gives these replies one after the other, again and again."""
    given: list[int] = []

    def reply(*_: Any) -> str:
        given.append(1)
        return replies[(len(given) - 1) % len(replies)]

    return reply


def test_first_draws_again_only_where_a_draft_has_a_fault() -> None:
    echo_then_new = told_in_turn(
        *(json_act(t) for n in range(3) for t in (SENTENCES[n], SENTENCES[n]))
    )
    record = play(scenario(limits={"turns": 3}), echo_then_new,
                  play=settings(drafts={"n": 3, "keep": "first"}))  # fmt: skip
    assert [turn["text"] for turn in record.rows["turns"]] == list(SENTENCES[:3])
    drafts = [(d["turn"], d["draft"], d["label"], d["feedback"], d["kept"])
              for d in record.rows["drafts"]]  # fmt: skip
    echoed = "echo, said-before"
    assert drafts == [
        (1, 1, "accept", "", True),
        (2, 1, "revise", echoed, False), (2, 2, "accept", "", True),
        (3, 1, "revise", echoed, False), (3, 2, "accept", "", True),
    ]  # fmt: skip
    assert len(record.rows["calls"]) == 5
    by_number = {call["call"]: call for call in record.rows["calls"]}
    for turn in record.rows["turns"]:
        assert turn["text"] in by_number[turn["call"]]["reply"]


def test_best_draws_all_and_prefers_what_takes_up_the_last_line() -> None:
    lines = (
        "Your sister wrote to us from the coast.",
        *("Rain is expected before noon, they say.", "Nobody told me about the new bell.",
          "Which coast did she write from?"),
    )  # fmt: skip
    given: list[str] = []

    def reply(*_: Any) -> str:
        given.append("")
        return json_act(lines[0] if len(given) <= 3 else lines[len(given) - 3])

    record = play(scenario(limits={"turns": 2}), reply, play=settings(drafts={"n": 3}))
    assert [turn["text"] for turn in record.rows["turns"]] == [lines[0], lines[3]]
    assert [(d["score"], d["kept"]) for d in record.rows["drafts"]][3:] == [
        (7, False), (7, False), (9, True)
    ]  # fmt: skip
    assert len({call["seed"] for call in record.rows["calls"]}) == 6


def test_where_every_draft_has_a_fault_the_best_of_them_is_the_act() -> None:
    record = play(scenario(limits={"turns": 2}), json_act(SENTENCES[0]),
                  play=settings(drafts={"n": 2, "keep": "first"}))  # fmt: skip
    assert [turn["text"] for turn in record.rows["turns"]] == [SENTENCES[0]] * 2
    assert [d["kept"] for d in record.rows["drafts"]] == [True, True, False], (
        "the earliest of equals"
    )


def test_a_draft_that_cannot_be_read_is_no_act_and_others_are_drawn() -> None:
    record = play(scenario(limits={"turns": 1}), told_in_turn("what?", json_act()), repairs=0,
                  play=settings(drafts={"n": 2, "keep": "first"}))  # fmt: skip
    assert [(t["action"], t["failure"]) for t in record.rows["turns"]] == [("speak", None)]
    assert [(d["action"], d["failure"], d["kept"]) for d in record.rows["drafts"]] == [
        (None, "parse-failure", False), ("speak", None, True)
    ]  # fmt: skip
    broken = play(scenario(limits={"turns": 1}), "what?", repairs=0, play=settings(drafts={"n": 2}))
    assert [(t["action"], t["failure"]) for t in broken.rows["turns"]] == [(None, "parse-failure")]


def test_an_endpoint_that_fails_is_not_asked_for_further_drafts() -> None:
    def fails(*_: Any) -> str:
        raise CallFailed("timeout", "no reply")

    record = play(scenario(limits={"turns": 1}), fails,
                  play=settings(drafts={"n": 3, "keep": "first"}))  # fmt: skip
    assert len(record.rows["calls"]) == 1
    assert record.rows["turns"][0]["failure"] == "timeout"


def test_where_the_budget_ends_between_drafts_the_best_so_far_is_the_act() -> None:
    scene, same = scenario(limits={"turns": 4}), json_act(SENTENCES[0])
    whole = play(scene, same, play=settings(drafts={"n": 3, "keep": "first"}))
    used = [c["prompt_tokens"] + c["completion_tokens"] for c in whole.rows["calls"]]
    tokens = sum(used[:2]) + used[2] // 2 + 400
    record = play(scene, same, play=settings(drafts={"n": 3, "keep": "first"}),
                  budget=Budget(BudgetConfig(tokens=tokens), time.monotonic))  # fmt: skip
    assert record.episode["exit_reason"] == "budget"
    assert all(turn["action"] == "speak" for turn in record.rows["turns"])
    assert len([d for d in record.rows["drafts"] if d["kept"]]) == len(record.rows["turns"])


@pytest.mark.parametrize("form", ["json", "script"])
@pytest.mark.parametrize("keep", ["first", "best"])
def test_a_run_with_drafts_is_replayed_from_its_log(form: str, keep: str, tmp_path: Path) -> None:
    scene = scene_file(tmp_path, 2, limits={"turns": 6})
    play_ = {"cue": "full", "directions": 1, "silences": 0, "leave_after": 2,
             "drafts": {"n": 3, "keep": keep}}  # fmt: skip
    run = played(tmp_path, scene, play=play_, model={"name": "fake", "reply_form": form})
    ((episode,),) = rows(run, "select episode_id from episodes")
    con = open_reader(run)
    again = asyncio.run(replay(con, episode)).state
    con.close()
    stored = rows(run, "select text, call from turns order by turn")
    assert [(t["text"], t["call"]) for t in again["log"] if t["kind"] == "turn"] == stored
    kept = rows(run, "select turn, draft, kept from drafts order by turn, draft")
    assert [(d["turn"], d["draft"], d["kept"]) for d in again["drafts"]] == kept
    assert len(again["calls"]) == rows(run, "select count(*) from calls")[0][0]


def test_acts_are_held_back_after_so_many_in_a_row() -> None:
    some = settings(directions=1, silences=0, leave_after=2)
    assert allowed(ACTIONS, PLAIN, ["non-verbal"]) == ACTIONS
    assert allowed(ACTIONS, some, []) == ("speak", "non-verbal")
    assert allowed(ACTIONS, some, ["non-verbal"]) == ("speak",)
    assert allowed(ACTIONS, some, ["non-verbal", "speak"]) == ("speak", "non-verbal", "leave")
    no_speech = ("non-verbal", "none")
    assert allowed(no_speech, some, ["none"]) == no_speech, "where nobody may speak nothing is held"


def test_the_schema_offers_only_what_is_not_held_back() -> None:
    recorder = Recorder(told_in_turn(json_act("She nods.", action="non-verbal")))
    schemas: list[Any] = []

    def reply(prompt: Any, sampling: Any, schema: Any) -> str:
        schemas.append(schema["properties"]["action"]["enum"])
        return recorder(prompt, sampling, schema)

    play(
        scenario(limits={"turns": 4}), reply, play=settings(directions=1, silences=0, leave_after=3)
    )
    assert schemas == [["speak", "non-verbal"]] * 2 + [["speak"]] * 2


def test_an_early_exit_is_a_draft_that_is_given_up() -> None:
    reply = told_in_turn(json_act("", action="leave"), json_act(SENTENCES[0]))
    record = play(scenario(limits={"turns": 1}), reply,
                  play=settings(leave_after=2, drafts={"n": 2, "keep": "first"}))  # fmt: skip
    assert record.rows["turns"][0]["text"] == SENTENCES[0]
    assert record.rows["drafts"][0]["feedback"] == "held-back"


@pytest.mark.parametrize("form", ["json", "script"])
def test_the_full_cue_tells_goal_and_last_words_and_leaves_no_trace(form: str) -> None:
    lines = [SENTENCES[0] + " What now, Bela?", SENTENCES[1], SENTENCES[2]]
    replies = [json_act(t, to=["Bela"] if n == 0 else []) if form == "json" else f" {t}"
               for n, t in enumerate(lines)]  # fmt: skip
    recorder = Recorder(told_in_turn(*replies))
    plain = Recorder(told_in_turn(*replies))
    play(scenario(limits={"turns": 3}), recorder, form=form, play=settings(cue="full"))
    play(scenario(limits={"turns": 3}), plain, form=form)
    first, third = map(text_of, recorder.prompts["ada"])
    (second,) = map(text_of, recorder.prompts["bela"])
    assert "You want the ada-goal." in first[-400:] and "You want the ada-goal." in third[-400:]
    assert "ada-goal" not in second
    assert "Ada wants an answer" in second[-400:] or "Ada waits for your answer" in second[-400:]
    goal = "What you want here" if form == "json" else "Ada thinks"
    assert third.count(goal) == 1, "what an earlier cue told is not kept"
    assert not any(goal in text_of(p) for some in plain.prompts.values() for p in some)


def test_with_the_defaults_nothing_is_called_or_stored_in_addition(tmp_path: Path) -> None:
    run = played(tmp_path, scene_file(tmp_path, 2, limits={"turns": 4}))
    with duckdb.connect(str(run / "log.duckdb"), read_only=True) as con:
        assert con.execute("select count(*) from drafts").fetchall() == [(0,)]


@pytest.mark.parametrize("form", ["json", "script"])
def test_the_full_cue_tells_only_what_the_role_perceived(form: str) -> None:
    whisper = "The safe stands open, Bela."
    replies = [
        json_act(whisper, to=["Bela"], whisper=True)
        if form == "json"
        else f" (whispering to Bela) {whisper}",
        *((json_act(t) if form == "json" else f" {t}") for t in SENTENCES[1:6]),
    ]
    recorder = Recorder(told_in_turn(*replies))
    events = [{"id": "bell", "at": 2, "text": "A bell rings.", "audience": ["cleo"]}]
    play(scenario(3, events=events), recorder, form=form, play=settings(cue="full"))
    told = {role: [text_of(p) for p in some] for role, some in recorder.prompts.items()}
    assert whisper in told["bela"][0] and not any(whisper in text for text in told["cleo"])
    assert "A bell rings." in told["cleo"][0]
    assert not any("A bell rings." in text for text in told["ada"] + told["bela"])
    for role, texts in told.items():
        others = {f"{one}-goal" for one in ("ada", "bela", "cleo")} - {f"{role}-goal"}
        assert not any(goal in text for goal in others for text in texts)


@pytest.mark.parametrize(("keep", "most"), [("best", 3), ("first", 1)])
def test_best_draws_with_one_prompt_at_once_and_first_in_a_row(keep: str, most: int) -> None:
    class Busy(FakeModel):
        asked, at_once = 0, list[int]()

        async def complete(self, *asked: Any) -> Completion:
            self.asked += 1
            self.at_once.append(self.asked)
            await asyncio.sleep(0)
            self.asked -= 1
            return await super().complete(*asked)

    model = Busy(reply=lambda *_: json_act(SENTENCES[0]))
    record = play(scenario(limits={"turns": 2}), model=model,
                  play=settings(drafts={"n": 3, "keep": keep}))  # fmt: skip
    assert max(model.at_once) == most
    prompts = [(call["step"], call["prompt_hash"]) for call in record.rows["calls"]]
    assert len(prompts) == len(record.rows["drafts"]) == (6 if keep == "best" else 4)
    assert len({*prompts}) == 2, "all drafts of an act have one prompt"


@pytest.mark.parametrize("keep", ["best", "first"])
def test_drafts_are_kept_in_the_cache_and_given_again_without_a_model(
    keep: str, tmp_path: Path
) -> None:
    scene = scene_file(tmp_path, 2, limits={"turns": 4})
    told = {"play": {"drafts": {"n": 3, "keep": keep}, "thoughts": True},
            "model": {"name": "review_runs:muser"}}  # fmt: skip
    runs = [
        played(tmp_path / mode, scene, **told,
               cache={"mode": mode, "path": str(tmp_path / "kept.sqlite")})
        for mode in ("read-write", "replay-strict")
    ]  # fmt: skip
    what = "select turn, draft, text, score, kept from drafts order by all"
    assert rows(runs[0], what) == rows(runs[1], what) != []
    said = "select text, thought, call from turns order by turn"
    assert rows(runs[0], said) == rows(runs[1], said)
    assert {e for (e,) in rows(runs[1], "select endpoint from calls")} == {"response-cache"}
    assert reproduce(runs[1], quiet=True).faults == []
