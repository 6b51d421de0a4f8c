"""Private thought: asked for before an act, stored with it, and in nobody's prompts."""

import asyncio
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner
from review_runs import (
    ALPHA,
    ASKED,
    DIRECTOR,
    REPLIES,
    THOUGHT,
    critiqued,
    labelled,
    new_words,
    played,
    rows,
    scene_file,
)
from scenes import json_act, play, scenario, text_of
from typer.main import get_command

import folkways as fw
from agents.models.base import CallFailed, Completion, Prompt, Sampling
from agents.models.fake import FakeModel
from agents.thought import of_script
from folkways.cli.application import application
from folkways.errors import UserError
from simulation.config import RunConfig
from simulation.episode.play_settings import PlaySettings
from simulation.forecast import forecast
from simulation.plan import make_plan
from simulation.profile import with_profile
from simulation.rehearsal import rehearse
from simulation.replay.reproduction import reproduce
from simulation.store.reader import open_reader
from training.corpus.config import make_config
from training.corpus.export import export_corpus
from training.corpus.scene import _draft

THINKING, REASONING = PlaySettings(thoughts=True), PlaySettings(thoughts="reasoning")
COMMAND = get_command(application())
MUSER = "review_runs:muser"


def thinking(text: str, **fields: Any) -> str:
    return json.dumps({"thought": THOUGHT} | json.loads(json_act(text, **fields)))


@pytest.mark.parametrize(
    ("reply", "thought", "act"),
    [
        (" She knows.] Hello there.", "She knows.", "Hello there."),
        ("She knows.]", "She knows.", ""),
        ("She knows. And then", "She knows. And then", ""),
        ("[thinks: She knows.] Hello.", "She knows.", "Hello."),
        ("(thinks She knows.) [nods]", "She knows.", "[nods]"),
        ("[thought: She knows.]", "She knows.", ""),
        ("[nods]", None, "[nods]"),
        ("] Hello.", "", "Hello."),
        ("She knows.] (whispering to Bela) Hello.", "She knows.", "(whispering to Bela) Hello."),
    ],
)
def test_a_line_is_told_apart_where_its_bracket_ends(
    reply: str, thought: str | None, act: str
) -> None:
    assert of_script(reply) == (act, thought)


@pytest.mark.parametrize("form", ["json", "script"])
def test_a_thought_is_in_no_prompt_of_anybody(form: str, tmp_path: Path) -> None:
    """Acts, bids, moderator, referee, the critic in the loop, critics and labeller."""
    ASKED.clear()
    met = {"rule": "goal-reached", "roles": ["ada"], "every": 1}
    phases = [
        {"id": "one", "policy": "bidding", "until": {"turns": 3}},
        {"id": "two", "policy": "moderator"},
    ]
    scene = scene_file(tmp_path, 3, limits={"turns": 6}, stop=[met], phases=phases)
    run = played(tmp_path, scene, play={"thoughts": True}, in_loop={"critics": ["model"]},
                 model={"name": MUSER, "reply_form": form})  # fmt: skip
    purposes = {one for (one,) in rows(run, "select distinct purpose from calls")}
    assert purposes >= {"act", "bid", "moderate", "referee", "draft-critic"}
    thoughts = {one.strip(".") for (one,) in rows(run, "select thought from turns")}
    assert thoughts == {THOUGHT}
    judged: list[str] = []

    def judge(prompt: Prompt, sampling: Sampling, schema: Any) -> str:
        judged.append(text_of(prompt))
        return new_words(prompt, sampling, None)

    REPLIES["alpha"] = judge
    critiqued(run, ALPHA)
    labelled(run)
    del REPLIES["alpha"]
    assert len(ASKED) > 12 and len(judged) > 6
    assert not [one for one in (*ASKED, *judged) if THOUGHT in one]
    stored = rows(run, "select text from turns union all select text from drafts")
    assert not [text for (text,) in stored if text and THOUGHT in text]


@pytest.mark.parametrize("form", ["json", "script"])
def test_a_draft_that_is_sent_back_is_rewritten_with_a_thought(form: str, tmp_path: Path) -> None:
    """Only its author, and only while it is rewritten, is shown the draft with its thought."""
    ASKED.clear()
    scene = scene_file(tmp_path, 2, limits={"turns": 4})
    run = played(tmp_path, scene, play={"thoughts": True}, in_loop={"model": DIRECTOR},
                 model={"name": MUSER, "reply_form": form})  # fmt: skip
    assert rows(run, "select count(*) from drafts where label = 'revise'") > [(0,)]
    assert {one.strip(".") for (one,) in rows(run, "select thought from turns")} == {THOUGHT}
    assert rows(run, "select count(*) from drafts where action is null") == [(0,)]
    shown = [one for one in ASKED if THOUGHT in one]
    assert shown and all("once more" in one or "struck out" in one for one in shown)
    assert reproduce(run, quiet=True).faults == []


def test_the_prompts_of_later_acts_are_as_without_thoughts() -> None:
    def told(settings: PlaySettings, reply: str) -> list[Prompt]:
        seen: list[Prompt] = []

        def recording(prompt: Prompt, *_: Any) -> str:
            seen.append(prompt)
            return reply

        play(scenario(), recording, play=settings)
        return seen

    plain = told(PlaySettings(), json_act("Sit down."))
    asked = told(THINKING, thinking("Sit down."))
    assert len(plain) == len(asked) > 2
    for without, with_ in zip(plain, asked, strict=True):
        assert with_[:-1] == without[:-1]
        assert with_[-1]["content"].startswith(without[-1]["content"])
        assert '"thought" comes first' in with_[-1]["content"]


def test_the_thought_comes_first_in_the_schema_and_has_room() -> None:
    seen: list[tuple[Any, int]] = []

    def reply(prompt: Prompt, sampling: Sampling, schema: Any) -> str:
        seen.append((schema, sampling.max_tokens))
        return thinking("Sit down.")

    play(scenario(), reply, play=THINKING)
    schema, room = seen[0]
    assert [*schema["properties"]] == ["thought", "action", "to", "whisper", "text"]
    assert schema["required"] == [*schema["properties"]] and room == Sampling().max_tokens + 80


@pytest.mark.parametrize(
    ("form", "reply"),
    [
        ("script", f" {THOUGHT}.] [answer 3]"),
        ("json", json.dumps({"thought": f"{THOUGHT}.", "action": "answer", "answer": 3})),
    ],
)
def test_a_thought_goes_before_an_act_of_the_world(form: str, reply: str) -> None:
    given = {"model": {"name": "fake", "reply_form": form}, "play": {"thoughts": True}}
    scene = rehearse("coins-for-a-stranger", given)
    record = asyncio.run(scene.play(model=FakeModel(reply=lambda *_: reply)))
    assert [(t["text"], t["thought"]) for t in record.rows["turns"]] == [
        ("answer 3", f"{THOUGHT}.")
    ]
    assert {row["role"]: row["payoff"] for row in record.rows["payoffs"]} == {
        "giver": 7, "receiver": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("form", "reply"),
    [
        ("json", json.dumps({"thought": THOUGHT})),
        ("script", f"[thinks: {THOUGHT}]"),
    ],
)
def test_a_reply_that_holds_only_a_thought_is_recorded_and_not_spoken(
    form: str, reply: str
) -> None:
    record = play(scenario(), reply, form=form, play=THINKING)
    for turn in record.rows["turns"]:
        assert (turn["action"], turn["text"], turn["failure"]) == (None, None, "parse-failure")
        assert turn["thought"] == THOUGHT
    assert {call["purpose"] for call in record.rows["calls"]} == {"act", "repair"}


@pytest.mark.parametrize("end", ["]", ""])
def test_a_line_that_ends_with_its_thought_is_continued(end: str) -> None:
    """Small models end a line where its bracket ends; the act is the next line."""
    seen: list[str] = []

    def reply(prompt: Prompt, *_: Any) -> str:
        seen.append(text_of(prompt))
        return f" {THOUGHT}.{end}" if seen[-1].endswith("[thinks:") else " Sit down."

    record = play(scenario(limits={"turns": 2}), reply, form="script", play=THINKING, repairs=0)
    assert [(t["text"], t["thought"], t["failure"]) for t in record.rows["turns"]] == [
        ("Sit down.", f"{THOUGHT}.", None)
    ] * 2
    assert seen[1] == f"{seen[0]} {THOUGHT}.]\nAda:"
    assert seen[2].endswith("Bela: [thinks:") and THOUGHT not in seen[2]
    assert seen[3].count(THOUGHT) == 1


def test_a_thought_is_kept_of_a_reply_that_is_cut_short() -> None:
    cut = thinking("Sit down and")[:-20]
    record = play(scenario(limits={"turns": 1}), cut, play=THINKING)
    assert [(t["failure"], t["thought"]) for t in record.rows["turns"]] == [
        ("parse-failure", THOUGHT)
    ]


def test_a_message_of_a_failed_call_is_no_thought() -> None:
    def fails(*_: Any) -> str:
        raise CallFailed("timeout", "no reply")

    record = play(scenario(limits={"turns": 1}), fails, form="script", play=THINKING)
    assert [t.get("thought") for t in record.rows["turns"]] == [None]


def test_a_long_thought_keeps_its_beginning_and_its_act() -> None:
    long = json.dumps({"thought": "so " * 3000} | json.loads(json_act("Sit.")))
    record = play(scenario(limits={"turns": 1}), long, play=THINKING)
    (turn,) = record.rows["turns"]
    assert turn["text"] == "Sit." and len(turn["thought"]) == 4000


def test_own_reasoning_is_the_thought_of_a_model_that_reasons() -> None:
    reply = f"<think>{THOUGHT}.</think>{json_act('Sit down.')}"
    for settings, expected in ((REASONING, f"{THOUGHT}."), (PlaySettings(), None)):
        asked: list[str] = []

        def recording(prompt: Prompt, *_: Any, asked: list[str] = asked) -> str:
            asked.append(text_of(prompt))
            return reply

        record = play(scenario(), recording, play=settings)
        assert {turn.get("thought") for turn in record.rows["turns"]} == {expected}
        assert not [one for one in asked if THOUGHT in one or "thought" in one]


def test_a_model_that_only_reasons_leaves_its_thought_and_no_act() -> None:
    class Thinker(FakeModel):
        async def complete(self, *_: Any) -> Completion:
            return Completion("", "stop", 9, 9, reasoning=THOUGHT)

    record = play(scenario(limits={"turns": 1}), model=Thinker(), play=THINKING)
    (turn,) = record.rows["turns"]
    assert (turn["action"], turn["failure"], turn["thought"]) == (None, "parse-failure", THOUGHT)


def test_models_that_think_already_are_not_asked_for_a_line() -> None:
    def settled(name: str, **fields: Any) -> Any:
        return with_profile(
            RunConfig.model_validate({"name": "a", "model": {"name": name}} | fields)
        ).play.thoughts

    thinks = "openai:qwq-32b@http://127.0.0.1:1/v1"
    assert settled(thinks, play={"thoughts": True}) == "reasoning"
    assert settled("fake", play={"thoughts": True}) is True
    assert settled(thinks) is False


def test_without_thoughts_a_run_is_the_run_that_it_was() -> None:
    base = {"name": "a", "scenarios": ["a-father-in-the-ring"], "cultures": ["DEU"],
            "model": {"name": "fake"}}  # fmt: skip
    plans = [make_plan(RunConfig.model_validate(base | {"play": {"thoughts": thoughts}}))
             for thoughts in (False, True)]  # fmt: skip
    plain = make_plan(RunConfig.model_validate(base))
    assert plain.resolved == plans[0].resolved and "thoughts" not in plain.resolved["play"]
    assert "thought" not in plain.resolved["contents"]["prompts"]
    assert plans[1].hash != plain.hash
    assert plans[1].resolved["play"]["thoughts"] is True
    assert "thought" in plans[1].resolved["contents"]["prompts"]
    turns = plain.scenarios[0].limits.turns
    more = forecast(plans[1], None).completion_tokens - forecast(plain, None).completion_tokens
    assert more == 80 * turns
    script = [
        make_plan(RunConfig.model_validate(
            base | {"model": {"name": "fake", "reply_form": "script"}, "play": {"thoughts": one}}
        ))
        for one in (False, True)
    ]  # fmt: skip
    calls = [forecast(plan, None).calls for plan in script]
    assert calls[1] - calls[0] == turns, "a line that ends with its thought takes a second call"


@pytest.mark.parametrize("form", ["json", "script"])
@pytest.mark.parametrize("more", [{}, {"drafts": {"n": 3}}, {"drafts": {"n": 3, "keep": "first"}}])
def test_a_run_with_thoughts_is_reproduced_from_its_log(
    form: str, more: dict[str, Any], tmp_path: Path
) -> None:
    scene = scene_file(tmp_path, 3, limits={"turns": 8})
    run = played(tmp_path, scene, play={"thoughts": True, "cue": "full"} | more,
                 model={"name": "fake", "reply_form": form})  # fmt: skip
    account = reproduce(run, quiet=True)
    assert (account.faulty, account.faults) == (0, []) and account.prompts >= 8
    assert rows(run, "select count(thought) > 6 from turns") == [(True,)]


def test_thoughts_stand_beside_what_was_said(tmp_path: Path) -> None:
    scene = scene_file(tmp_path, 2, limits={"turns": 4})
    run = played(tmp_path, scene, play={"thoughts": True}, model={"name": MUSER})
    found = rows(run, "select thought, thought_words, said_share, line from says_and_thinks")
    assert len(found) == 4
    for thought, words, share, line in found:
        assert (thought, words, share) == (THOUGHT, 4, 0.25 if "the" in line.split() else 0.0)
    plain = played(tmp_path / "plain", scene, model={"name": MUSER})
    assert rows(plain, "select count(*) from says_and_thinks") == [(0,)]
    assert rows(plain, "select count(thought) from turns_readable") == [(0,)]
    with open_reader(run) as con:
        names = [one[0] for one in con.execute("describe says_and_thinks").fetchall()]
        commented = con.execute(
            "select count(comment) from duckdb_columns() where table_name = 'says_and_thinks'"
        ).fetchall()
    assert commented == [(len(names),)]


def test_transcripts_show_thoughts_on_demand(tmp_path: Path) -> None:
    scene = scene_file(tmp_path, 2, limits={"turns": 2})
    run = played(tmp_path, scene, play={"thoughts": True}, model={"name": MUSER})
    shown = CliRunner().invoke(COMMAND, ["view", str(run), "--thoughts"])
    assert shown.exit_code == 0 and f"Ada thinks: {THOUGHT}" in shown.output
    assert THOUGHT not in CliRunner().invoke(COMMAND, ["view", str(run)]).output
    for extra, there in ((["--thoughts"], True), ([], False)):
        page = tmp_path / f"{there}.html"
        CliRunner().invoke(COMMAND, ["view", str(run), "--html", str(page), *extra])
        assert (f"Ada thinks: {THOUGHT}" in page.read_text("utf-8")) is there
    opened = fw.open(run)
    assert opened.turns().df()["thought"].tolist() == [THOUGHT] * 2
    assert THOUGHT in opened.transcript(thoughts=True).text
    assert THOUGHT not in opened.transcript().text + opened.transcript().page


@pytest.mark.parametrize("form", ["json", "script"])
def test_exports_hold_own_thoughts_by_choice_and_nobody_elses(form: str, tmp_path: Path) -> None:
    scene = scene_file(tmp_path, 2, limits={"turns": 4})
    run = played(tmp_path, scene, play={"thoughts": True, "drafts": {"n": 2}},
                 model={"name": MUSER, "reply_form": form})  # fmt: skip
    for thoughts in (False, True):
        config = make_config(tasks={"dialogue": None}, policy="none", thoughts=thoughts)
        export_corpus(run, tmp_path / str(thoughts), config, quiet=True)
        lines = (tmp_path / str(thoughts) / "train.jsonl").read_text("utf-8").splitlines()
        chats = [json.loads(line)["messages"] for line in lines]
        own = [m["content"] for chat in chats for m in chat if m["role"] == "assistant"]
        heard = [m["content"] for chat in chats for m in chat if m["role"] != "assistant"]
        assert len(own) == 4
        assert {one.startswith(f"[thinks: {THOUGHT}") for one in own} == {thoughts}
        assert not [one for one in heard if THOUGHT in one]
    with pytest.raises(UserError, match="only rows of the task dialogue can hold thoughts"):
        make_config("intent-only", thoughts=True)
    with pytest.raises(UserError, match="only rows of the task dialogue can hold thoughts"):
        make_config(format="preference", thoughts=True)


def test_a_whispered_draft_after_a_thought_is_read_as_a_whisper(tmp_path: Path) -> None:
    given = {"reply": f" {THOUGHT}.] (whispering to Bela) Come in.", "no_act": False,
             "failed": False, "label": "revise", "score": 4, "kept": False,
             "aloud": "Come in.", "whispered": "(whispering) Come in."}  # fmt: skip
    names = {"ada": "Ada", "bela": "Bela"}
    assert _draft(given, "script", "ada", names).line == "(whispering) Come in."
    aloud = given | {"reply": " Come in [smiles] now] Bela."}
    assert _draft(aloud, "script", "ada", names).line == "Come in."


def test_a_branch_keeps_the_thoughts_of_its_beginning(tmp_path: Path) -> None:
    scene = scene_file(tmp_path, 2, limits={"turns": 6})
    run = played(tmp_path, scene, play={"thoughts": True}, model={"name": "fake"})
    ((episode,),) = rows(run, "select episode_id from episodes")
    made = CliRunner().invoke(
        COMMAND, ["branch", str(run), episode, "--at", "2", "--say", "ada: Wait.", "--quiet"]
    )
    assert made.exit_code == 0, made.output
    of_branch = "select thought from turns where episode_id <> ? order by turn"
    with open_reader(run) as con:
        begun = con.execute(of_branch, [episode]).fetchall()
    before = rows(run, f"select thought from turns where episode_id = '{episode}' order by turn")
    assert begun[:2] == before[:2] and begun[2] == (None,) and begun[3][0]
    assert reproduce(run, quiet=True).faults == []


def test_copies_of_a_run_have_its_thoughts(tmp_path: Path) -> None:
    scene = scene_file(tmp_path, 2, limits={"turns": 4})
    run = played(tmp_path, scene, play={"thoughts": True}, model={"name": "fake"})
    thoughts = "select turn, thought from turns order by turn"
    stored = rows(run, thoughts)
    assert len(stored) == 4 and all(thought for _, thought in stored)
    for words in (
        ("pack", run, tmp_path / "shards"),
        ("merge", tmp_path / "merged", tmp_path / "shards"),
        ("salvage", run, tmp_path / "salvaged"),
        ("snapshot", run, tmp_path / "snap.duckdb"),
    ):
        assert CliRunner().invoke(COMMAND, [*map(str, words)]).exit_code == 0
    assert rows(tmp_path / "merged", thoughts) == rows(tmp_path / "salvaged", thoughts) == stored
    with duckdb.connect(str(tmp_path / "snap.duckdb")) as con:
        assert (
            con.execute("select turn, thought from says_and_thinks order by turn").fetchall()
            == stored
        )
