"""Critics judge stored episodes: every score reaches its table, whatever a judge says or breaks."""

import asyncio
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from review_runs import (
    ALPHA,
    BETA,
    ODD,
    REASON,
    REPLIES,
    after,
    alpha,
    answer,
    by_prompt,
    content,
    copied,
    critiqued,
    interrupted,
    labelled,
    played,
    rows,
    scene_file,
)
from sample_store import older_run
from scenes import text_of

from agents.conversation import Conversation, Line, Person
from agents.critics.critic import CRITICS, Judgement, critic
from agents.models.base import CallFailed, Completion, Sampling
from agents.models.fake import FakeModel
from folkways.cli import main
from folkways.errors import UserError
from scenarios.culture import load_culture
from simulation.episode.budget import Budget, BudgetConfig
from simulation.execution.executor import Incomplete
from simulation.review.asking import Asking, Judge
from simulation.review.conversations import load_conversations
from simulation.review.critique import CritiqueContext, Key, Panel, critique
from simulation.review_settings import CritiqueConfig
from simulation.store.part import STORE_VERSION
from simulation.store.record import Record
from simulation.store.run_lock import locked
from simulation.store.writer import FILE, Store

ROOT = Path(__file__).parents[2]
SOCIAL = {
    "believability", "relationship", "knowledge", "secret", "social_rules", "material_benefits",
    "goal",
}  # fmt: skip
VERDICTS = (
    "select episode_id, role, critic, dimension, sample, label, score, confidence, reason, turns, "
    "failure from last_verdicts order by all"
)
CALLS = "select * exclude (call, latency_s) from calls order by all"
COUNT = "select count(*) from verdicts"
ASKED_TWICE = (
    "select episode_id, model, seed from calls where purpose = 'critique' "
    "group by all having count(*) > 1"
)


@pytest.fixture(autouse=True)
def no_replies() -> Iterator[None]:
    yield
    REPLIES.clear()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene of three and a scene of five, twice each."""
    folder = tmp_path_factory.mktemp("plain")
    return played(folder, scene_file(folder, 3), scene_file(folder, 5), replicates=2)


@pytest.fixture
def run(plain: Path, tmp_path: Path) -> Path:
    return copied(plain, tmp_path)


@pytest.fixture(scope="module")
def undisturbed(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, judged without an interruption."""
    run = copied(plain, tmp_path_factory.mktemp("undisturbed"))
    REPLIES["alpha"] = by_prompt
    assert critiqued(run) == "done"
    REPLIES.clear()
    return run


def asks(schema: Any, dimension: str) -> bool:
    return dimension in schema["properties"]


def about(prompt: Any) -> str | None:
    """Return whom a question of the critic social is about."""
    task = text_of(prompt).rsplit("Judge how ", 1)
    return task[1].split(" ", 1)[0].lower() if len(task) == 2 else None


@pytest.mark.parametrize("cast", [3, 5])
def test_every_role_that_acted_has_scores_from_a_live_episode(cast: int, tmp_path: Path) -> None:
    run = played(tmp_path, scene_file(tmp_path, cast))
    assert critiqued(run) == "done"
    acted = {role for (role,) in rows(run, "select distinct speaker from turns")}
    scores = rows(run, "select role, dimension, score from verdicts where critic = 'social'")
    assert len(acted) == cast
    assert {(role, dimension) for role, dimension, _ in scores} == {
        (role, dimension) for role in acted for dimension in SOCIAL
    }
    assert len(scores) == cast * 7 and all(score for *_, score in scores), "each scored, none 0"
    assert rows(run, "select role, dimension from consensus where doubt is not null") == []


def test_a_verdict_carries_the_call_that_produced_it(undisturbed: Path) -> None:
    joined = rows(
        undisturbed,
        "select v.critic = t.name, v.model = c.model, v.role is not distinct from c.role, "
        "c.purpose, c.step, c.seen = e.turns, c.failure, contains(c.reply, v.reason) "
        "from verdicts v join calls c using (episode_id, call) "
        "join templates t using (template_hash) join episodes e using (episode_id)",
    )
    assert set(joined) == {(True, True, True, "critique", 0, True, None, True)}
    assert len(joined) == rows(undisturbed, "select count(*) from verdicts")[0][0] == 4 * 3 + 112
    assert rows(
        undisturbed,
        "select count(*) from calls c where purpose = 'critique' and not "
        "exists (from templates t where t.template_hash = c.template_hash)",
    ) == [(0,)]


def test_the_prompt_of_a_verdict_can_be_rebuilt_from_the_store(run: Path) -> None:
    critiqued(run, critics=("quality", "culture", "social"))
    with duckdb.connect(str(run / FILE), read_only=True) as con:
        sent = con.execute(
            "select distinct v.episode_id, v.critic, v.role, c.prompt_hash from verdicts v "
            "join calls c using (episode_id, call)"
        ).fetchall()
        talks = load_conversations(con, [row[0] for row in sent])
    rebuilt = {
        (id_, name, question.role, question.asked.prompt_hash)
        for id_, talk in talks.items()
        for name in ("quality", "culture", "social")
        for question in critic(name)(talk, [], "json")
    }
    assert set(sent) == rebuilt and len(sent) == 4 * 2 + 16


def test_odd_text_reaches_the_judge_as_it_stands(run: Path) -> None:
    seen = []
    REPLIES["alpha"] = lambda prompt, *rest: seen.append(text_of(prompt)) or content(prompt, *rest)
    critiqued(run, critics=("quality", "social"))
    assert seen and all(" ".join(ODD.split()) in text for text in seen)


def nonsense(prompt: Any, sampling: Sampling, schema: Any) -> str:
    if asks(schema, "quality"):
        return "I would rather not say."
    if asks(schema, "culture"):
        return answer(schema, confidence="quite sure")
    if asks(schema, "meta"):
        return re.findall(r"1\. \w+: (.+)", text_of(prompt))[0]
    if about(prompt) == "ada":
        return answer(schema, goal=99, secret=0)
    return answer(schema, reason="Elle dit ce qu'elle pense et personne ne lui en veut vraiment.")


def test_a_failed_judgement_is_null_with_its_reason_and_a_zero_is_a_zero(run: Path) -> None:
    REPLIES["alpha"] = nonsense
    assert critiqued(run) == "done"
    found = rows(
        run,
        "select distinct critic, if(critic = 'social', role, null), failure from verdicts "
        "where failure is not null",
    )
    assert set(found) == {
        ("quality", None, "parse-failure"), ("culture", None, "out-of-scale"),
        ("meta", None, "copied"), ("social", "ada", "out-of-scale"),
        *(("social", role, "wrong-language") for role in ("bela", "cleo", "dora", "emil")),
    }  # fmt: skip
    filled_in = (
        "select * from verdicts where failure is not null and (label is not null "
        "or score is not null or confidence is not null or coalesce(reason, '') = '')"
    )
    assert rows(run, filled_in) == []
    ada = rows(run, "select distinct dimension, score, reason from verdicts where role = 'ada'")
    told = {dimension: (score, reason) for dimension, score, reason in ada}
    assert told["goal"] == (None, '"goal" must be a whole number from 0 to 10; found 99.')
    assert told["secret"] == (0.0, REASON) and told["relationship"] == (5.0, REASON)
    calls = rows(
        run,
        "select t.name, count(*) from calls join templates t using (template_hash) "
        "where purpose = 'critique' group by 1",
    )
    assert dict(calls) == {"quality": 8, "culture": 8, "meta": 8, "social": 4 + 2 * 12}
    assert rows(
        run, "select count(*) from consensus where critic <> 'social' and doubt is null"
    ) == [(0,)]


@pytest.mark.parametrize(
    "reply",
    [
        "", "{}", "[]", "null", '{"quality": "good"}', "{" * 5000, "\0", "\ud800",
        '{"reason": "' + "x" * 1_000_000 + '"}', '{"quality": "good", "confidence": ["confident"], '
        '"reason": {"a": 1}, "turns": {"b": 2}}', "1" * 10_000, "good good good",
    ],
)  # fmt: skip
def test_no_answer_of_no_use_stops_a_critique(reply: str) -> None:
    (verdict,) = judged(reply)
    assert (verdict["label"], verdict["score"]) == (None, None)
    assert verdict["failure"] in ("parse-failure", "out-of-scale", "copied", "wrong-language")
    assert verdict["reason"]


def test_what_a_judge_writes_is_stored_as_text(run: Path) -> None:
    reason = "'); drop table verdicts; -- is what he says to her, {{ 7 * 7 }} <b>\U0001f35e</b>"
    REPLIES["alpha"] = lambda prompt, sampling, schema: answer(
        schema, reason=reason + "\ud800\0", turns=[[1], {"a": 2}, None, True, 1.0, "3", 2, 99, 2]
    )
    assert critiqued(run, critics=("quality", "meta")) == "done"
    found = rows(run, "select distinct label, reason, turns, failure from verdicts")
    assert found == [("good", reason + "\ufffd", [2], None)]


def test_meta_comes_last_and_is_shown_the_verdicts_of_its_judge_and_sample(run: Path) -> None:
    prompts: dict[int | None, str] = {}

    def reply(prompt: Any, sampling: Sampling, schema: Any) -> str:
        prompts[sampling.seed] = text_of(prompt)
        return answer(schema, reason=f"They listen to each other, says number {sampling.seed}.")

    REPLIES["alpha"] = REPLIES["beta"] = reply
    critics = ("meta", "quality", "culture", "social")
    assert critiqued(run, ALPHA, BETA, critics=critics, samples=3) == "done"
    said = rows(run, "select episode_id, v.model, sample, critic, seed, reason from verdicts v "
                "join calls c using (episode_id, call)")  # fmt: skip
    metas = [one for one in said if one[3] == "meta"]
    assert len(metas) == 4 * 2 * 3
    for episode, model, sample, _, seed, _ in metas:
        mine = {o[5] for o in said if o[:3] == (episode, model, sample) and o[3] != "meta"}
        others = {o[5] for o in said if o[:3] != (episode, model, sample)}
        shown = prompts[seed].split("## What other critics said", 1)[1]
        assert len(mine) in (5, 7) and all(reason in shown for reason in mine)
        assert not any(reason in shown for reason in others)
    judged_at = (
        "select max(judged_at) filter (critic <> 'meta') <= min(judged_at) filter (critic = "
    )
    assert rows(run, f"{judged_at} 'meta') from verdicts group by episode_id") == [(True,)] * 4


def test_samples_and_judges_are_asked_apart(run: Path) -> None:
    temperatures = set()

    def reply(prompt: Any, sampling: Sampling, schema: Any) -> str:
        temperatures.add(sampling.temperature)
        return answer(schema, quality=("good", "bad")[(sampling.seed or 0) % 2])

    REPLIES["alpha"] = REPLIES["beta"] = reply
    # The same name twice is one critic, and one judge.
    assert critiqued(run, ALPHA, BETA, ALPHA, critics=("quality", "quality"), samples=5) == "done"
    assert temperatures == {0.7}
    counted = rows(
        run,
        "select model, count(*), count(distinct seed), count(distinct sample) "
        "from verdicts join calls using (episode_id, call, model) group by model",
    )
    assert sorted(counted) == [(ALPHA, 20, 20, 5), (BETA, 20, 20, 5)]
    assert rows(run, ASKED_TWICE) == []
    units, ratings, alpha_ = rows(
        run,
        "select units, ratings, alpha from judge_agreement "
        "where dimension = 'quality' and culture_id = 'GBR'",
    )[0]
    assert (units, ratings) == (4, 40) and -1 < alpha_ < 1
    assert critiqued(run, ALPHA, BETA, critics=("quality",), samples=6) == "done"
    assert rows(run, "select count(*) from verdicts") == [(48,)], "one sample more is one call more"


def test_a_critic_by_its_import_path(run: Path) -> None:
    mine = "review_runs:manners"
    assert critiqued(run, critics=(mine, "meta")) == "done"
    found = rows(run, "select critic, dimension, label, score from verdicts order by all")
    assert found == [
        *[("manners", "manners", "polite", None)] * 4,
        *[("manners-in-numbers", "greetings", None, 3.0)] * 4,
        *[("manners-in-numbers", "thanks", None, 3.0)] * 4,
        *[("meta", "meta", "good", None)] * 4,
    ]
    assert critiqued(run, critics=(mine, "meta")) == "done"
    assert rows(run, "select count(*) from calls where purpose = 'critique'") == [(12,)]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"critics": ("qualify",)}, "unknown critic 'qualify'; known: culture, meta, quality"),
        ({"critics": ("review_runs:nobody",)}, "critic 'review_runs:nobody' cannot be imported"),
        ({"critics": ("no_such_module:ask",)}, "critic 'no_such_module:ask' cannot be imported"),
        ({"models": ("gpt",)}, "unknown model 'gpt'; known: control, embedded, fake"),
        ({"models": ("fake:/no/such/file.yaml",)}, "cannot read '/no/such/file.yaml'"),
    ],
)  # fmt: skip
def test_unknown_critics_and_judges(plain: Path, given: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError) as caught:
        critiqued(plain, *given.pop("models", ()), **given)
    assert str(caught.value).startswith(told) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"critique": {"critics": ["qualify"]}}, "unknown critic 'qualify'"),
        ({"critique": {"models": ["gpt"]}}, "unknown model 'gpt'"),
        ({"label": {"model": "gpt"}}, "unknown model 'gpt'"),
        ({"label": {"taxonomy": "no-such.yaml"}}, "no-such.yaml"),
    ],
)
def test_a_run_says_so_before_it_plays(section: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told):
        played(tmp_path, scene_file(tmp_path, 3), **section)
    assert not (tmp_path / "trial").exists()


def test_stages_of_a_run_equal_the_later_commands(tmp_path: Path) -> None:
    REPLIES["alpha"] = by_prompt
    scenes = [scene_file(tmp_path, cast) for cast in (3, 5)]
    sections = {"critique": {"models": [ALPHA], "samples": 2}, "label": {"model": ALPHA}}
    played(tmp_path / "one", *scenes, **sections)
    played(tmp_path / "several", *scenes)
    one, several = tmp_path / "one/trial", tmp_path / "several/trial"
    assert rows(several, "select count(*) from verdicts") == [(0,)]
    assert critiqued(several, samples=2) == labelled(several) == "done"
    for query in (
        VERDICTS, CALLS, "select * exclude (call, labelled_at) from intents order by all",
        "select * exclude (detected_at) from detections order by all",
        "select name from templates order by all", "select stage, end_reason from launches",
    ):  # fmt: skip
        found = rows(one, query)
        assert found and found == rows(several, query)


def broken() -> None:
    raise RuntimeError("the judge broke")


def test_the_same_command_goes_on_after_an_exception(run: Path, undisturbed: Path) -> None:
    for calls in (17, 9):
        REPLIES["alpha"] = after(calls, broken, by_prompt)
        with pytest.raises(RuntimeError, match="the judge broke"):
            critiqued(run, concurrency=3)
        assert rows(run, "select count(*) from verdicts")[0][0]
    REPLIES["alpha"] = by_prompt
    assert critiqued(run) == "done"
    assert rows(run, VERDICTS) == rows(undisturbed, VERDICTS)
    assert rows(run, CALLS) == rows(undisturbed, CALLS)
    ends = rows(run, "select end_reason from launches where stage = 'critique'")
    assert ends == [("error",), ("error",), ("done",)]


def test_the_same_command_goes_on_after_an_interrupt(run: Path, undisturbed: Path) -> None:
    REPLIES["alpha"] = after(5, interrupted, by_prompt)
    assert critiqued(run, concurrency=1) == "drained"
    assert rows(run, "select count(distinct episode_id) from verdicts") == [(1,)]
    REPLIES["alpha"] = by_prompt
    assert critiqued(run) == "done"
    assert rows(run, VERDICTS) == rows(undisturbed, VERDICTS)
    assert rows(run, CALLS) == rows(undisturbed, CALLS)


def test_the_same_command_goes_on_when_a_budget_is_spent(run: Path, undisturbed: Path) -> None:
    REPLIES["alpha"] = by_prompt
    ends = []
    while "done" not in ends:
        assert len(ends) < 12
        ends.append(critiqued(run, tokens=6_000, concurrency=2))
    assert len(ends) > 3 and set(ends) == {"budget-tokens", "done"}
    assert rows(run, VERDICTS) == rows(undisturbed, VERDICTS)
    spent = rows(
        run, "select max(prompt_tokens + completion_tokens) from launches where stage <> 'run'"
    )
    assert 0 < spent[0][0] <= 6_000
    usable = "select count(*) from verdicts where failure is null"
    assert rows(run, usable) == rows(undisturbed, usable)
    refused = rows(
        run, "select count(distinct (episode_id, call)) from verdicts where failure = 'budget'"
    )
    more = len(rows(run, CALLS)) - len(rows(undisturbed, CALLS))
    assert more == refused[0][0], "only a question whose repair was refused is put again"


def test_a_repair_that_the_budget_refuses_is_no_last_word() -> None:
    useless = ["It depends.", answer({"properties": {}})]
    first = judged(*useless, tokens=1000)
    assert [v["failure"] for v in first] == ["budget"], "there was no room for the second question"
    assert [v["failure"] for v in judged(*useless)] == ["out-of-scale"]


def test_kill_9_loses_no_verdict_and_asks_none_twice(run: Path, undisturbed: Path) -> None:
    command = [
        sys.executable, "-m", "folkways", "critique", str(run), "--quiet",
        "--model", "review_runs:careful", "-o", "options={latency_s: 0.15}", "--concurrency", "2",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests/support'}"}
    rng, stored, kills = random.Random(4), 0, 0
    while kills < 2:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        while process.poll() is None and not grown(run, stored):
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
        with suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0.0, 0.3))
        kills += process.poll() is None
        process.kill()
        process.wait()
        now = rows(run, COUNT)[0][0]
        assert now > stored, "what was stored is still there, and there is more of it"
        stored = now
    assert stored < rows(undisturbed, COUNT)[0][0], "each was killed at work"
    last = subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL)
    assert last.returncode == 0
    assert rows(run, VERDICTS) == rows(undisturbed, VERDICTS)
    assert rows(run, ASKED_TWICE) == []


def grown(run: Path, before: int) -> bool:
    try:
        return bool(rows(run, COUNT)[0][0] > before)
    except duckdb.Error:
        return False  # the writer holds the file just now


def test_what_may_pass_is_asked_again_and_what_cannot_be_read_only_with_retry(run: Path) -> None:
    asked: list[tuple[str, int | None]] = []

    def first(prompt: Any, sampling: Sampling, schema: Any) -> str:
        if asks(schema, "quality"):
            raise CallFailed("server-error", "the server has gone home", 3)
        if asks(schema, "culture"):
            return "No."
        if about(prompt) == "bela":
            raise CallFailed("timeout", "no reply within 3 s")
        return answer(schema, goal=11) if about(prompt) == "ada" else answer(schema)

    def later(prompt: Any, sampling: Sampling, schema: Any) -> str:
        critic_ = next((d for d in ("quality", "culture", "meta") if asks(schema, d)), "social")
        asked.append((critic_, sampling.seed))
        return answer(schema)

    REPLIES["alpha"] = first
    with pytest.raises(Incomplete, match="8 questions have no answer"):
        critiqued(run)
    kept = rows(run, "select distinct reason from verdicts where failure = 'server-error'")
    assert kept == [("the server has gone home",)]
    assert rows(run, "select count(*) from verdicts where critic = 'meta'") == [(0,)], (
        "it would have judged without what is asked again"
    )
    REPLIES["alpha"] = later
    assert critiqued(run) == "done"
    assert (
        sorted(critic_ for critic_, _ in asked) == ["meta"] * 4 + ["quality"] * 4 + ["social"] * 4
    )
    still = "select critic, role, dimension, failure from last_verdicts where failure is not null"
    assert sorted(rows(run, still), key=str) == sorted(
        [("culture", None, "culture", "parse-failure"), ("social", "ada", "goal", "out-of-scale")]
        * 4,
        key=str,
    )
    asked.clear()
    assert critiqued(run) == "done" and asked == []
    before = {seed for (seed,) in rows(run, "select seed from calls")}
    assert critiqued(run, retry=True) == "done"
    assert sorted(critic_ for critic_, _ in asked) == ["culture"] * 4 + ["social"] * 4
    assert not before & {seed for _, seed in asked}, "with its old seed a judge would say the same"
    assert rows(run, still) == []
    asked.clear()
    assert critiqued(run, retry=True) == "done" and asked == []


def test_episodes_that_did_not_end_properly_are_left_alone(run: Path) -> None:
    reasons = ("error", "budget", "model-failure")
    with duckdb.connect(str(run / FILE)) as con:
        ids = [
            row[0] for row in con.execute("select episode_id from episodes order by all").fetchall()
        ]
        for id_, reason in zip(ids, reasons, strict=False):
            con.execute("update episodes set exit_reason = ? where episode_id = ?", [reason, id_])
    assert critiqued(run, critics=("quality",)) == "done"
    assert rows(run, "select episode_id from verdicts") == [(ids[3],)]


def test_a_limit_is_not_the_end(run: Path) -> None:
    assert critiqued(run, critics=("quality",), limit=3) == "limit"
    assert rows(run, "select count(*) from verdicts") == [(3,)]
    assert critiqued(run, critics=("quality",), limit=4) == "done"
    assert rows(run, "select count(*), count(distinct episode_id) from verdicts") == [(4, 4)]
    ends = rows(run, "select end_reason, episodes from launches where stage = 'critique'")
    assert ends == [("limit", 3), ("done", 4)]


def test_without_critics_only_the_detectors_run(run: Path) -> None:
    assert critiqued(run, critics=()) == "done"
    assert rows(run, "select count(*) from calls where purpose = 'critique'") == [(0,)]
    assert rows(run, "select count(*) from detections") == [(7 * 16,)]
    assert critiqued(run, critics=()) == "done"
    assert rows(run, "select count(*) from detections") == [(7 * 16,)], "once is enough"


def older(folder: Path, run: Path) -> Path:
    """Make a store of version 7, with the episodes of a run and an old verdict."""
    old = older_run(folder, "create view conversations as select episode_id from episodes")
    with duckdb.connect(str(old / FILE)) as con:
        con.execute(f"attach '{run / FILE}' as new (read_only)")
        for (table,) in con.execute("show tables").fetchall():
            if table not in ("meta", "conversations", "spa_outcomes"):
                names = [column[0] for column in con.execute(f"describe {table}").fetchall()]
                con.execute(f"delete from {table}")
                con.execute(f"insert into {table} select {', '.join(names)} from new.{table}")
        con.execute(
            "insert into verdicts by name select episode_id, 'quality' as critic, "
            "'quality' as dimension, 0 as sample, ? as model, 'bad' as label, "
            "'confident' as confidence, 'Said long ago.' as reason, [1] as turns, "
            "timestamp '2025-01-01' as judged_at from episodes",
            [ALPHA],
        )
    return old


def test_a_store_of_an_older_version_is_brought_up_to_date_and_reviewed(
    plain: Path, tmp_path: Path
) -> None:
    run = older(tmp_path, plain)
    tables = ("runs", "episodes", "roles", "turns", "calls", "choices", "launches", "personas",
              "cultures", "scenarios", "templates", "verdicts")  # fmt: skip
    with duckdb.connect(str(run / FILE), read_only=True) as con:
        columns = {t: [c[0] for c in con.execute(f"describe {t}").fetchall()] for t in tables}
        before = {t: con.execute(f"from {t}").fetchall() for t in tables}
    assert all(before.values())
    assert critiqued(run, critics=("quality", "social")) == "done"
    for table, old in before.items():
        now = rows(run, f"select {', '.join(columns[table])} from {table}")
        assert set(map(str, old)) <= set(map(str, now)), table
    assert rows(run, "select value from meta where key = 'store_version'") == [
        (str(STORE_VERSION),)
    ]
    miscounted = "from turns where words is distinct from spoken_words(action, text)"
    assert rows(run, miscounted) == [] and rows(run, "select max(words) from turns")[0][0] > 1
    assert rows(run, "select distinct conditioning from episodes") == [("dimensions",)]
    counted = "select critic, count(*), count(call) from verdicts group by all order by all"
    assert rows(run, counted) == [("quality", 4, 0), ("social", 112, 112)], "nothing is asked twice"
    assert rows(run, "select stage from launches") == [("run",), ("critique",)]
    assert rows(run, "select count(*) from episode_fates") == [(4,)]


def test_bad_input_is_one_clear_line(plain: Path, tmp_path: Path) -> None:
    empty, other = tmp_path / "empty", tmp_path / "notes.txt"
    empty.mkdir()
    Store(empty).create()
    other.write_text("milk, flour", encoding="utf-8")
    cases = [
        (tmp_path / "nothing", "there is no run"), (tmp_path, "there is no store"),
        (empty, "holds no run; play one first"), (other, "is not the store of a run"),
    ]  # fmt: skip
    for path, told in cases:
        with pytest.raises(UserError, match=told) as caught:
            critiqued(path)
        assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "notes.txt"]


def test_a_run_without_episodes(run: Path) -> None:
    with duckdb.connect(str(run / FILE)) as con:
        con.execute("delete from episodes")
    for review in (critiqued, labelled):
        with pytest.raises(UserError, match="has no episode that ended properly; play some"):
            review(run)


def test_a_run_that_another_process_writes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked(run), pytest.raises(SystemExit) as caught:
        main(["critique", str(run), "--model", ALPHA])
    told = capsys.readouterr().err
    assert caught.value.code == 1 and told.count("\n") == 1
    assert f"is being written by another process (PID {os.getpid()})" in told
    assert rows(run, "select count(*) from verdicts") == [(0,)]


def test_a_folder_that_cannot_be_written(run: Path) -> None:
    (run / "run.lock").unlink()
    (run / "run.lock").mkdir()
    with pytest.raises(UserError, match="cannot write in"):
        critiqued(run)


def test_the_command(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with suppress(SystemExit):
        main(["critique", str(run), "--model", ALPHA, "--model", BETA, "--critics",
              "quality, culture", "--samples", "2", "-o", "max_tokens=99", "--limit", "1",
              "--quiet"])  # fmt: skip
    assert "stopped at --limit" in capsys.readouterr().out
    assert rows(run, "select distinct critic, model, sample from verdicts order by all") == [
        (name, model, sample)
        for name in ("culture", "quality")
        for model in (ALPHA, BETA)
        for sample in (0, 1)
    ]
    told = json.loads(rows(run, "select settings from launches where stage = 'critique'")[0][0])
    assert told["judges"] == [ALPHA, BETA] and told["max_tokens"] == 99
    faulty = (("samples=0", "samples: "), ("critics=quality", "critics: "),
              ("sample=3", "sample: unknown key"), ("nothing", "is not of the form"))  # fmt: skip
    for given_, line in faulty:
        with pytest.raises(SystemExit):
            main(["critique", str(run), "-o", given_])
        told_ = capsys.readouterr().err
        assert line in told_ and told_.count("\n") == 1


def talk() -> Conversation:
    """Return a conversation of three that is in no store."""
    culture = load_culture("GBR")
    people = tuple(
        Person(role, role.title(), 40, "baker", "Wallop", culture, "en", "Bakes.", "", "-", None)
        for role in ("ada", "bela", "cleo")
    )  # fmt: skip
    lines = tuple(
        Line(n, p.role, p.name, "speak", f"Line {n} of {p.name}.") for n, p in enumerate(people, 1)
    )
    return Conversation("e" * 16, "A scene", "A bakery.", culture, ("A bakery.",), people, lines)


def judged(*replies: str, tokens: int | None = None) -> list[dict[str, Any]]:
    """Return the verdicts of a judge of quality that gives these replies, the last for ever."""
    left = [*replies]
    REPLIES["alpha"] = lambda *_: left.pop(0) if len(left) > 1 else left[0]
    return asyncio.run(_judged({}, ("quality",), tokens))


async def _judged(
    known: dict[Key, list[Judgement]], critics: tuple[str, ...], tokens: int | None = None,
    samples: int = 1,
) -> list[dict[str, Any]]:  # fmt: skip
    records: list[Record] = []
    given_ = CritiqueConfig(samples=samples)
    judges = [Judge(alpha(ALPHA), "json")]
    judges[0].model.name = ALPHA
    budget = Budget(BudgetConfig(tokens=tokens), lambda: 0.0)
    asking = Asking("e" * 16, 0, given_, given_.sampling(), budget, asyncio.Semaphore(4))
    panel = Panel(critics, judges, samples, lambda: None)
    await critique(CritiqueContext(talk(), panel, asking, records.append, known, True))
    return [row for record in records for row in record.rows["verdicts"]]


def judgement(row: dict[str, Any]) -> Judgement:
    fields = ("dimension", "role", "label", "score", "confidence", "reason")
    return Judgement(*(row[name] for name in fields), tuple(row["turns"]), row["failure"])


def key(row: dict[str, Any]) -> Key:
    return Key(row["critic"], row["role"], row["model"], row["sample"])


@settings(max_examples=25)
@given(st.data())
def test_whatever_was_answered_before_the_rest_comes_out_the_same(data: st.DataObject) -> None:
    REPLIES["alpha"] = by_prompt
    whole = asyncio.run(_judged({}, tuple(CRITICS), samples=2))
    by_key: dict[Key, list[Judgement]] = {}
    for row in whole:
        by_key.setdefault(key(row), []).append(judgement(row))
    assert len(by_key) == 2 * 6
    # The critic meta comes last, so it is stored only where all the others are.
    names = [one for one in by_key if one.critic != "meta"]
    known = data.draw(st.lists(st.sampled_from(names), unique=True))
    rest = asyncio.run(_judged({one: by_key[one] for one in known}, tuple(CRITICS), samples=2))
    assert not {key(row) for row in rest} & set(known)
    found = [str(row | {"call": 0}) for row in rest]
    wanted = [str(row | {"call": 0}) for row in whole if key(row) not in known]
    assert sorted(found) == sorted(wanted)


class CutAtLimit(FakeModel):
    """Ends every reply at the limit of the call, as servers do."""

    async def complete(
        self, prompt: Any, sampling: Sampling, schema: Mapping[str, Any] | None = None
    ) -> Completion:
        whole = await super().complete(prompt, sampling, schema)
        text = whole.text[: 4 * sampling.max_tokens]
        cut = "stop" if text == whole.text else "length"
        return replace(whole, text=text, finish_reason=cut)


def test_a_verdict_that_was_cut_is_asked_for_again_with_more_room() -> None:
    asked: list[tuple[str, int]] = []

    def reply(prompt: Any, sampling: Sampling, schema: Any) -> str:
        asked.append((text_of(prompt), sampling.max_tokens))
        return answer(schema, reason="They listen to each other, each in their turn. " * 3)

    config = CritiqueConfig(max_tokens=20)
    budget, gate = Budget(BudgetConfig(), lambda: 0.0), asyncio.Semaphore(4)
    asking = Asking("e" * 16, 0, config, config.sampling(), budget, gate)
    records: list[Record] = []
    panel = Panel(("quality",), [Judge(CutAtLimit("cut", reply=reply), "json")], 1, lambda: None)
    asyncio.run(critique(CritiqueContext(talk(), panel, asking, records.append, {}, True)))
    (verdict,) = [row for record in records for row in record.rows["verdicts"]]
    assert (verdict["label"], verdict["failure"]) == ("good", None)
    (first, small), (second, large) = asked
    assert (small, large) == (20, 80) and first == second
