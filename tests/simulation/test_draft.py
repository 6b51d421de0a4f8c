"""The critic in the loop: it sends acts back, the best draft is the act, and all is on record."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from review_runs import DIRECTOR, ODD, new_words, played, rows, scene_file
from scenes import ROLES, json_act, persona, scenario, text_of

from agents.models.base import CallFailed, Prompt, Sampling, default_reply_form
from agents.models.fake import FakeModel
from folkways.errors import UserError
from scenarios.culture import load_cultures
from simulation.config import RunConfig, parse_config
from simulation.episode.budget import Budget, BudgetConfig
from simulation.episode.draft_critic import DraftCritic, InLoopConfig, read_draft_verdict
from simulation.episode.episode import Conditions, Episode, play_episode
from simulation.episode.seats import CallSettings
from simulation.replay.player import replay
from simulation.store.record import Record

Reply = Callable[[Prompt, Sampling, Any], str]
SECRET = "The recipe of the black rye bread was stolen from the convent kitchen in Andover."


def verdict(score: int, label: str = "revise", feedback: str = "Say it in other words.") -> str:
    return json.dumps({"feedback": feedback, "score": score, "label": label})


def accepts(*_: Any) -> str:
    return verdict(7, "accept")


def play(
    player: Reply, judge: Reply, *, cast: int = 2, form: Any = "json", tokens: int | None = None,
    repairs: int = 1, config: dict[str, Any] | None = None, **fields: Any,
) -> Record:  # fmt: skip
    """Play a scene under a critic in the loop whose answers the test gives."""
    scene = scenario(cast, setting=ODD, **fields)
    loop = InLoopConfig.model_validate(config or {})
    critic = DraftCritic(loop, FakeModel("judge", reply=judge), "json")
    people = {p.id: p for p in map(persona, ROLES)}
    conditions = Conditions(
        "test", FakeModel("player", reply=player), CallSettings(Sampling(), 60, repairs), form,
        "dimensions", people, load_cultures(), lambda: datetime(2026, 1, 1), critic,  # noqa: DTZ001
    )  # fmt: skip
    budget = Budget(BudgetConfig(tokens=tokens), time.monotonic)
    return asyncio.run(
        play_episode(Episode("0" * 16, scene, "GBR", "en", 0, 1), conditions, budget)
    )


def purposes(record: Record) -> list[str]:
    return [call["purpose"] for call in record.rows["calls"]]


def check(record: Record) -> None:
    """Assert what holds of every episode under a critic in the loop."""
    calls = {call["call"]: call for call in record.rows["calls"]}
    assert [*calls] == list(range(1, len(calls) + 1))
    turns = {turn["turn"]: turn for turn in record.rows["turns"]}
    by_turn: dict[int, list[dict[str, Any]]] = {}
    for draft in record.rows["drafts"]:
        by_turn.setdefault(draft["turn"], []).append(draft)
    assert [*by_turn] == [number for number, turn in turns.items() if turn["action"]]
    for number, drafts in by_turn.items():
        (kept,) = [draft for draft in drafts if draft["kept"]]
        assert [draft["draft"] for draft in drafts] == list(range(1, len(drafts) + 1))
        turn = turns[number]
        assert (kept["call"], kept["action"], kept["text"]) == (
            turn["call"], turn["action"], turn["text"]
        )  # fmt: skip
        for draft in drafts:
            assert calls[draft["call"]]["purpose"] in ("act", "repair")
            assert calls[draft["call"]]["role"] == turn["speaker"]
            if draft["critic_call"] is not None:
                judged = calls[draft["critic_call"]]
                assert (judged["purpose"], judged["role"]) == ("draft-critic", turn["speaker"])
                assert judged["seen"] == calls[draft["call"]]["seen"]
            assert (draft["label"] is None) == (draft["score"] is None) == bool(draft["failure"])


@pytest.mark.parametrize("form", ["json", "script"])
@pytest.mark.parametrize("rewrites", [1, 3])
def test_a_rewrite_is_judged_again_and_the_best_is_kept(form: str, rewrites: int) -> None:
    scores = [4, 9, 6, 9]
    given_: list[str] = []

    def judge(prompt: Any, sampling: Sampling, schema: Any) -> str:
        given_.append(text_of(prompt))
        return verdict(scores[(len(given_) - 1) % (rewrites + 1)])

    record = play(new_words, judge, form=form, config={"rewrites": rewrites})
    check(record)
    assert len(record.rows["turns"]) == 6
    each = [kind for _ in range(rewrites + 1) for kind in ("act", "draft-critic")]
    assert purposes(record) == each * 6, "at most so many rewrites, each of them judged"
    drafts = record.rows["drafts"]
    assert [draft["score"] for draft in drafts] == scores[: rewrites + 1] * 6
    assert [draft["draft"] for draft in drafts if draft["kept"]] == [2] * 6, "of equals the first"
    assert len({draft["text"] for draft in drafts}) == len(drafts)
    for number, text in enumerate(draft["text"] for draft in drafts):
        assert text in given_[number].split("Draft of the act:")[1]


def test_an_accepted_draft_is_the_act_and_others_perceive_no_other() -> None:
    seen: list[str] = []

    def player(prompt: Any, sampling: Sampling, schema: Any) -> str:
        seen.append(text_of(prompt))
        return new_words(prompt, sampling, schema)

    def judge(prompt: Any, sampling: Sampling, schema: Any) -> str:
        return (
            verdict(5, "accept") if len(seen) % 2 == 0 else verdict(8, feedback="Be {{ kinder }}.")
        )

    record = play(player, judge)
    check(record)
    drafts = record.rows["drafts"]
    assert [(d["label"], d["kept"]) for d in drafts] == [("revise", False), ("accept", True)] * 6
    assert purposes(record) == ["act", "draft-critic"] * 12
    assert all(("Be {{ kinder }}." in text) == bool(n % 2) for n, text in enumerate(seen))
    refused = [draft["text"] for draft in drafts if not draft["kept"]]
    for n, text in enumerate(seen):
        assert [r for r in refused if r in text] == ([refused[n // 2]] if n % 2 else [])


def test_an_act_that_is_accepted_at_once_costs_one_call_more() -> None:
    record = play(new_words, accepts)
    check(record)
    assert purposes(record) == ["act", "draft-critic"] * 6
    assert {(d["label"], d["score"], d["feedback"]) for d in record.rows["drafts"]} == {
        ("accept", 7, "Say it in other words.")
    }
    assert {c["model"] for c in record.rows["calls"] if c["purpose"] == "act"} == {"player"}
    assert {c["model"] for c in record.rows["calls"] if c["purpose"] != "act"} == {"judge"}


@pytest.mark.parametrize("form", ["json", "script"])
def test_detectors_alone_cost_no_call(form: str) -> None:
    prompts: list[str] = []

    def player(prompt: Any, sampling: Sampling, schema: Any) -> str:
        prompts.append(text_of(prompt))
        again = (
            "I will tell you that the recipe of the black rye bread was stolen from the convent."
        )
        struck = "It gives your secret away." in prompts[-1]
        return new_words(prompt, sampling, schema) if struck else (
            json_act(again) if form == "json" else f" {again}"
        )  # fmt: skip

    def judge(*_: Any) -> str:
        raise AssertionError("nobody asked")

    parts = {role: {"secret": SECRET} for role in ROLES[:2]}
    config = {"critics": ["detectors"]}
    record = play(player, judge, form=form, config=config, cast=parts)
    check(record)
    assert purposes(record) == ["act"] * 12
    drafts = record.rows["drafts"]
    assert [(d["score"], d["kept"], d["critic_call"]) for d in drafts] == [
        (0, False, None), (10, True, None)
    ] * 6  # fmt: skip
    assert {d["feedback"] for d in drafts} == {"It gives your secret away.", ""}


@pytest.mark.parametrize(
    ("turn", "line", "feedback"),
    [
        (1, "As an AI language model I cannot bake any bread.", "there is no machine"),
        (1, "Je ne sais pas encore si nous allons ouvrir la boutique.", "another language"),
        (2, "The flour is too damp today for white bread.", "gives back the other's words"),
        (3, "The flour is too damp today for white bread.", "repeats what was said before"),
    ],
)
def test_what_a_detector_tells_a_role(turn: int, line: str, feedback: str) -> None:
    config = {"critics": ["detectors"], "rewrites": 1}
    record = play(lambda *_: json_act(line), accepts, config=config)
    check(record)
    first, second = (draft for draft in record.rows["drafts"] if draft["turn"] == turn)
    assert feedback in first["feedback"] and first["label"] == second["label"] == "revise"
    assert first["kept"], "the rewrite is no better"


def test_what_is_done_without_words_is_not_blamed_for_earlier_words() -> None:
    leak, nod = json_act(f"You shall know it. {SECRET}"), json_act("nods", action="non-verbal")
    replies = iter([leak, leak, nod, nod, json_act("", action="leave")])
    parts = {"ada": {"secret": SECRET}, "bela": {}, "cleo": {}}
    config = {"critics": ["detectors"], "rewrites": 1}
    record = play(lambda *_: next(replies), accepts, cast=parts, config=config, limits={"turns": 4})
    check(record)
    assert [(d["turn"], d["action"], d["label"]) for d in record.rows["drafts"]] == [
        (1, "speak", "revise"), (1, "speak", "revise"), (2, "non-verbal", "accept"),
        (3, "non-verbal", "accept"), (4, "leave", "accept"),
    ]  # fmt: skip


def test_what_an_event_told_everybody_is_no_secret() -> None:
    event = {"id": "radio", "at": 1, "text": f"The radio says: {SECRET}"}
    parts = {"ada": {"secret": SECRET}, "bela": {}}
    config = {"critics": ["detectors"], "rewrites": 1}
    told = json_act(f"I heard it as well. {SECRET}")
    record = play(lambda *_: told, accepts, cast=parts, config=config, events=[event])
    check(record)
    assert record.rows["drafts"][0]["label"] == "accept"


UNREADABLE = [
    ("", "parse-failure"), ("Fine by me.", "parse-failure"), ("{" * 3000, "parse-failure"),
    ("[1]", "parse-failure"), ("{}", "out-of-scale"), (verdict(11), "out-of-scale"),
    (verdict(-1), "out-of-scale"), (verdict(5, "good"), "out-of-scale"),
    ('{"feedback": "x", "score": true, "label": "accept"}', "out-of-scale"),
    ('{"feedback": "x", "score": "7", "label": "accept"}', "out-of-scale"),
    ('{"feedback": null, "score": 7, "label": "accept"}', "out-of-scale"),
    ('{"score": 7, "label": ["accept"], "feedback": "x"}', "out-of-scale"),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "failure"), UNREADABLE)
def test_an_unreadable_judgement_keeps_the_draft_and_says_why(reply: str, failure: str) -> None:
    record = play(new_words, lambda *_: reply)
    check(record)
    assert purposes(record) == ["act", "draft-critic"] * 6
    for draft in record.rows["drafts"]:
        assert draft["kept"] and (draft["label"], draft["score"]) == (None, None)
        assert draft["failure"] == failure and draft["feedback"]


@pytest.mark.parametrize("reason", ["timeout", "server-error", "refusal"])
def test_a_judge_that_fails_keeps_the_draft(reason: str) -> None:
    def judge(*_: Any) -> str:
        raise CallFailed(reason, "no answer came")

    record = play(new_words, judge)
    check(record)
    assert {(d["failure"], d["feedback"], d["kept"]) for d in record.rows["drafts"]} == {
        (reason, "no answer came", True)
    }


def test_a_rewrite_that_cannot_be_judged_goes_before_a_draft_that_was_sent_back() -> None:
    judged: list[int] = []

    def judge(*_: Any) -> str:
        judged.append(1)
        return verdict(6) if len(judged) % 2 else "Well."

    record = play(new_words, judge)
    check(record)
    assert [(d["label"], d["kept"]) for d in record.rows["drafts"]] == [
        ("revise", False), (None, True)
    ] * 6  # fmt: skip


def test_a_rewrite_that_cannot_be_read_leaves_the_draft_as_it_was() -> None:
    def player(prompt: Any, sampling: Sampling, schema: Any) -> str:
        sent_back = "Before the others perceive that" in text_of(prompt)
        return "no act at all" if sent_back else new_words(prompt, sampling, schema)

    record = play(player, lambda *_: verdict(3), config={"rewrites": 3})
    assert purposes(record) == ["act", "draft-critic", "act", "repair"] * 6
    drafts = record.rows["drafts"]
    assert [(d["action"], d["failure"], d["kept"]) for d in drafts] == [
        ("speak", None, True), (None, "parse-failure", False)
    ] * 6  # fmt: skip
    kept = [d["text"] for d in drafts if d["kept"]]
    assert kept == [turn["text"] for turn in record.rows["turns"]]


def test_an_act_that_cannot_be_read_is_not_judged() -> None:
    record = play(lambda *_: "no act at all", accepts)
    assert purposes(record) == ["act", "repair"] * 3 and record.rows["drafts"] == []
    assert record.outcome == "model-failure"


def test_a_critic_is_told_of_one_role_and_of_what_everybody_perceived() -> None:
    seen: list[tuple[str, str]] = []

    def player(prompt: Any, sampling: Sampling, schema: Any) -> str:
        act = json.loads(new_words(prompt, sampling, schema))
        told = text_of(prompt).split("You are ", 1)[1]
        whisper = {"to": ["Cleo"], "whisper": True} if told.startswith("Ada") else {}
        return json.dumps(act | whisper)

    def judge(prompt: Any, sampling: Sampling, schema: Any) -> str:
        text = text_of(prompt)
        seen.append((text.split("\nNext ", 1)[1].split(" ", 1)[0].lower(), text))
        return verdict(7, "accept")

    parts = {role: {"secret": f"{role} hid the key in the garden of number {n}."}
             for n, role in enumerate(ROLES[:3])}  # fmt: skip
    record = play(player, judge, cast=parts)
    check(record)
    whispered = {t["text"]: t["turn"] for t in record.rows["turns"] if t["whisper"]}
    assert len(seen) == 6 and len(whispered) == 2
    for role, text in seen:
        for other, part in parts.items():
            assert (part["secret"] in text) == (other == role)
            assert (f"You want the {other}-goal." in text) == (other == role)
        assert " ".join(ODD.split()) in text
        before, draft = text.split("Draft of the act:")
        assert not any(words in before for words in whispered)
        assert ("(whispering to Cleo)" in draft) == (role == "ada")


def test_a_critic_knows_the_secret_of_a_team_where_its_members_act() -> None:
    told: dict[str, str] = {}

    def judge(prompt: Any, sampling: Sampling, schema: Any) -> str:
        text = text_of(prompt)
        told[text.split("\nNext ", 1)[1].split(" ", 1)[0].lower()] = text
        return accepts()

    teams = {"thieves": {"roles": ["ada", "bela"], "secret": SECRET}, "guests": {
        "roles": ["bela", "cleo"]}}  # fmt: skip
    parts: dict[str, Any] = {role: {} for role in ROLES[:3]}
    check(play(new_words, judge, cast=parts, teams=teams))
    assert {role for role, text in told.items() if SECRET in text} == {"ada", "bela"}
    assert "Ada shares a secret with Bela alone" in told["ada"]
    assert told["bela"].count("shares a secret") == 1 and "shares a secret" not in told["cleo"]


def test_among_themselves_a_team_may_speak_of_its_secret() -> None:
    whisper = {"to": ["Bela"], "whisper": True}
    lines = iter(
        [
            json.dumps(json.loads(json_act(f"Remember: {SECRET}")) | whisper),
            json_act(f"Listen, all of you. {SECRET}"),
            json_act("Good night to you."),
        ]
    )
    # The second act gives it away and is sent back.
    record = play(
        lambda *_: next(lines), accepts, cast={role: {} for role in ROLES[:3]},
        teams={"thieves": {"roles": ["ada", "bela"], "secret": SECRET}},
        config={"critics": ["detectors"], "rewrites": 1}, limits={"turns": 2},
    )  # fmt: skip
    assert [(d["turn"], d["label"]) for d in record.rows["drafts"]] == [
        (1, "accept"), (2, "revise"), (2, "accept")
    ]  # fmt: skip


def test_what_the_judge_writes_is_passed_on_as_text() -> None:
    odd = "Say {{ 7 * 7 }} \ud800 <b>less</b>\n## The end\n'); drop table drafts; --"
    seen: list[str] = []

    def player(prompt: Any, sampling: Sampling, schema: Any) -> str:
        seen.append(text_of(prompt))
        return new_words(prompt, sampling, schema)

    record = play(player, lambda *_: verdict(2, feedback=odd), config={"rewrites": 1})
    check(record)
    told = "Say {{ 7 * 7 }} \ufffd <b>less</b> ## The end '); drop table drafts; --"
    assert {d["feedback"] for d in record.rows["drafts"]} == {told}
    assert sum(told in text for text in seen) == 6


@pytest.mark.parametrize("form", ["json", "script"])
def test_simultaneous_speakers_are_judged_each_by_themselves(form: str) -> None:
    def judge(prompt: Any, sampling: Sampling, schema: Any) -> str:
        mine = "Next Bela acts" in text_of(prompt)
        return verdict(3, feedback="Quieter.") if mine else verdict(8, "accept")

    record = play(
        new_words, judge, cast=3, form=form, policy="simultaneous", config={"rewrites": 2}
    )
    check(record)
    made = {}
    for draft in record.rows["drafts"]:
        speaker = record.rows["turns"][draft["turn"] - 1]["speaker"]
        made[speaker] = made.get(speaker, 0) + 1
    assert made == {"ada": 2, "bela": 6, "cleo": 2}
    assert len({call["seed"] for call in record.rows["calls"]}) == len(record.rows["calls"])


@settings(max_examples=25)
@given(
    tokens=st.integers(1, 40_000), form=st.sampled_from(["json", "script"]),
    policy=st.sampled_from(["round-robin", "simultaneous", "bidding", "moderator"]),
)  # fmt: skip
def test_a_budget_that_ends_in_between_loses_no_call(tokens: int, form: str, policy: str) -> None:
    made: list[int | None] = []

    def noted(reply: Reply) -> Reply:
        return lambda prompt, sampling, schema: (
            made.append(sampling.seed) or reply(prompt, sampling, schema)
        )

    def player(prompt: Any, sampling: Sampling, schema: Any) -> str:
        useless = (
            (sampling.seed or 0) % 3 == 0 and form == "json" and "action" in schema["properties"]
        )
        return "no act at all" if useless else new_words(prompt, sampling, schema)

    record = play(
        noted(player), noted(lambda *_: verdict(4)), form=form, policy=policy, cast=3, tokens=tokens
    )
    calls = record.rows["calls"]
    assert sorted(call["seed"] for call in calls) == sorted(made), "every call leaves one row"
    spent = sum(call["prompt_tokens"] + call["completion_tokens"] for call in calls)
    assert spent <= tokens
    assert record.outcome in ("budget", "turn-limit", "model-failure")
    for turn in record.rows["turns"]:
        drafts = [d for d in record.rows["drafts"] if d["turn"] == turn["turn"]]
        assert sum(draft["kept"] for draft in drafts) == bool(turn["action"])


@given(st.text() | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda part: st.lists(part) | st.dictionaries(
        st.sampled_from(["label", "score", "feedback"]) | st.text(), part),
).map(json.dumps))  # fmt: skip
def test_any_reply_is_a_verdict_or_has_a_failure(reply: str) -> None:
    found = read_draft_verdict(reply)
    assert (found.label is None) == (found.score is None) == bool(found.failure)
    assert found.label in (None, "accept", "revise")
    found.feedback.encode()


@given(st.integers(0, 10), st.sampled_from(["accept", "revise"]), st.text(), st.text())
def test_a_verdict_is_read_as_it_was_written(
    score: int, label: str, text: str, around: str
) -> None:
    plain = around.replace("{", "")
    found = read_draft_verdict(plain + verdict(score, label, text) + plain)
    assert found[:2] == (label, score) and found.failure is None
    assert found.feedback == " ".join(text.replace("\0", "").split())


def test_configurations_that_cannot_be_meant() -> None:
    for section, told in (
        ({"rewrites": 0}, "rewrites"), ({"critics": ["people"]}, "critics"),
        ({"critics": []}, "critics"), ({"model": 3}, "model"), ({"max_tokens": 1}, "max_tokens"),
        ({"rewrite": 2}, "rewrite"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=f"in_loop.{told}"):
            parse_config({"name": "trial", "in_loop": section}, "run.yaml")


# Stored episodes --------------------------------------------------------------------------------


def played_in_loop(folder: Path, form: str, **fields: Any) -> Path:
    scenes = [
        scene_file(folder, cast, id=f"scene-{cast}-{policy}", policy=policy)
        for cast, policy in ((3, "simultaneous"), (5, "bidding"), (3, "moderator"))
    ]
    model = {"name": "review_runs:player", "reply_form": form}
    loop = {"model": DIRECTOR, "rewrites": 2}
    return played(folder, *scenes, model=model, in_loop=loop, **fields)


def assert_rebuilt(run: Path) -> None:
    """Assert that every prompt comes out of the log again, and the same scene with it."""
    with duckdb.connect(str(run / "log.duckdb"), read_only=True) as con:
        for (episode,) in con.execute("select episode_id from episodes").fetchall():
            again = asyncio.run(replay(con, episode))
            calls = con.execute(
                "select call, purpose from calls where episode_id = ? and purpose not in "
                "('critique', 'label') order by call", [episode],
            ).fetchall()  # fmt: skip
            assert [(one.call, one.purpose) for one in again.calls] == calls
            turns = [e for e in again.state["log"] if e["kind"] == "turn"]
            stored = con.execute(
                "select speaker, action, text, call from turns where episode_id = ? order by turn",
                [episode],
            ).fetchall()
            assert [(t["speaker"], t["action"], t["text"], t["call"]) for t in turns] == stored
            drafts = con.execute(
                "select turn, draft, text, score, critic_call, failure, kept from drafts "
                "where episode_id = ? order by rowid", [episode],
            ).fetchall()  # fmt: skip
            names = ("turn", "draft", "text", "score", "critic_call", "failure", "kept")
            assert [tuple(d[name] for name in names) for d in again.state["drafts"]] == drafts


@pytest.mark.parametrize("form", ["json", "script"])
def test_every_prompt_of_stored_drafts_can_be_rebuilt(form: str, tmp_path: Path) -> None:
    run = played_in_loop(tmp_path, form, critique={"critics": ["quality"]})
    labels = dict(rows(run, "select coalesce(label, failure), count(*) from drafts group by 1"))
    assert set(labels) == {"accept", "revise", "parse-failure"}
    models = rows(run, "select distinct purpose, model from calls where purpose in "
                  "('act', 'draft-critic') order by 1")  # fmt: skip
    assert models == [("act", "review_runs:player"), ("draft-critic", DIRECTOR)]
    assert rows(run, "select count(*) from templates where name = 'draft'") == [(1,)]
    assert rows(
        run,
        "select count(*) from turns t join drafts d using (episode_id, turn) where d.kept and "
        "(t.call, t.text) is distinct from (d.call, d.text)",
    ) == [(0,)]
    assert_rebuilt(run)


@pytest.mark.parametrize("tokens", [9_000, 16_000])
def test_an_episode_that_a_budget_ended_can_be_rebuilt(tokens: int, tmp_path: Path) -> None:
    run = played_in_loop(tmp_path, "json", budget={"tokens": tokens}, concurrency=1)
    assert rows(run, "select count(*) from episodes where exit_reason = 'budget'") == [(1,)]
    assert_rebuilt(run)


def test_without_another_model_the_one_that_plays_judges() -> None:
    config = RunConfig.model_validate({"name": "trial", "in_loop": {}})
    assert config.in_loop and config.in_loop.model is None
    assert default_reply_form(config.model.name) == "script"
