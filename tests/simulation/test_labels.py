"""Labels of stored turns: each from the past alone, absent where it fails, mapped where asked."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from review_runs import (
    ALPHA,
    BETA,
    REPLIES,
    after,
    answer,
    by_prompt,
    copied,
    interrupted,
    labelled,
    played,
    rows,
    scene_file,
)
from scenes import text_of

from agents.critics.labeller import load_taxonomy
from agents.models.base import CallFailed, Sampling
from folkways.cli import main
from folkways.errors import UserError
from simulation.execution.executor import Incomplete
from simulation.store.writer import FILE

ROOT = Path(__file__).parents[2]
INTENTS = (
    "select episode_id, turn, intent, relevance, expectation, failure from intents "
    "where failure is null order by all"
)
CALLS = "select * exclude (call, latency_s) from calls order by all"
COUNT = "select count(*) from intents"
TWICE = (
    "select episode_id, turn from intents where failure is null group by all having count(*) > 1"
)
WANTED = "Asks for a little more time."
"""The intent of a content labeller."""


@pytest.fixture(autouse=True)
def no_replies() -> Iterator[None]:
    yield
    REPLIES.clear()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene of three and a scene of five; one act fails, and in another nothing is done."""
    folder = tmp_path_factory.mktemp("plain")
    run = played(folder, scene_file(folder, 3), scene_file(folder, 5))
    with duckdb.connect(str(run / FILE)) as con:
        con.execute(
            "update turns set action = null, text = null, failure = 'timeout' where turn = 2"
        )
        con.execute("update turns set action = 'none', text = null where turn = 3")
        con.execute("update turns set action = 'non-verbal', text = 'nods' where turn = 4")
    return run


@pytest.fixture
def run(plain: Path, tmp_path: Path) -> Path:
    return copied(plain, tmp_path)


@pytest.fixture(scope="module")
def undisturbed(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, labelled without an interruption."""
    run = copied(plain, tmp_path_factory.mktemp("undisturbed"))
    REPLIES["alpha"] = by_prompt
    assert labelled(run) == "done"
    REPLIES.clear()
    return run


def intent(prompt: Any, sampling: Sampling, schema: Any) -> str:
    """Answer like a content labeller: generic in odd turns, cultural in even ones."""
    if "category" in schema["properties"]:
        return answer(schema)
    cultural = {"relevance": "cultural", "expectation": "One does not hurry others."}
    found = re.search(r"this in turn (\d+)\?", text_of(prompt))
    given = cultural if int(found[1] if found else 0) % 2 == 0 else {"expectation": None}
    return answer(schema, **{"intent": WANTED} | given)


def write(path: Path, *ids: str, name: str = "moves", **fields: Any) -> Path:
    """Write a taxonomy."""
    categories = [{"id": one, "description": f"It is {one}."} for one in ids]
    path.write_text(yaml.safe_dump({"name": name, "categories": categories} | fields), "utf-8")
    return path


def test_every_act_with_a_purpose_has_one_label_and_its_call(run: Path) -> None:
    REPLIES["alpha"] = intent
    assert labelled(run) == "done"
    found = rows(
        run,
        "select i.turn, i.intent, i.relevance, i.expectation, c.role = t.speaker, c.purpose, "
        "c.seen, m.name, c.failure from intents i join turns t using (episode_id, turn) "
        "join calls c on (c.episode_id, c.call) = (i.episode_id, i.call) "
        "join templates m using (template_hash) order by all",
    )
    generic = (WANTED, "generic", None, True, "label")
    cultural = (WANTED, "cultural", "One does not hurry others.", True, "label")
    assert found == [
        (turn, *(cultural if turn == 4 else generic), turn, "intent", None)
        if turn % 2 or turn == 4 else (turn, *cultural, turn, "intent", None)
        for turn in (1, 4, 5, 6) for _ in range(2)
    ]  # fmt: skip
    counted_ = "select labelled, cultural, generic, failed from intents_by_culture"
    assert rows(run, counted_) == [(8, 4, 4, 0)]
    before = rows(run, CALLS)
    assert labelled(run) == "done" and rows(run, CALLS) == before, "no act is asked about again"


def test_a_label_never_sees_what_came_after(run: Path) -> None:
    seen: list[tuple[int, str]] = []

    def reply(prompt: Any, sampling: Sampling, schema: Any) -> str:
        text = text_of(prompt)
        found = re.search(r"this in turn (\d+)\?", text)
        assert found
        seen.append((int(found[1]), text))
        return intent(prompt, sampling, schema)

    REPLIES["alpha"] = reply
    assert labelled(run) == "done"
    said = rows(run, "select turn, text from turns where action = 'speak'")
    private = rows(run, "select goal from roles")
    assert sorted(turn for turn, _ in seen) == [1, 1, 4, 4, 5, 5, 6, 6]
    for turn, prompt in seen:
        assert not any(text in prompt for later, text in said if later > turn)
        assert any(text in prompt for earlier, text in said if earlier <= turn)
        assert not any(goal in prompt for (goal,) in private)


def test_one_retry_a_turn_and_then_the_label_is_absent(run: Path) -> None:
    asked: list[str] = []

    def reply(prompt: Any, sampling: Sampling, schema: Any) -> str:
        text = text_of(prompt)
        asked.append(text)
        if "this in turn 1?" in text:
            return answer(schema, intent=WANTED, relevance="unknown")
        if "this in turn 5?" in text and "cannot be used" not in text:
            return "{"
        return intent(prompt, sampling, schema)

    REPLIES["alpha"] = reply
    assert labelled(run) == "done"
    made = dict(rows(run, "select seen, count(*) from calls where purpose = 'label' group by 1"))
    assert made == {1: 4, 4: 2, 5: 4, 6: 2}
    failed = "from intents where failure is not null"
    assert (
        rows(run, f"select turn, intent, relevance, expectation, failure {failed}")
        == [(1, None, None, None, "out-of-scale")] * 2
    )
    again = [text for text in asked if "cannot be used" in text]
    assert len(again) == 4 and all('"relevance" must be' in t or "not complete" in t for t in again)
    assert rows(run, "select labelled, failed from intents_by_culture") == [(6, 2)]
    asked.clear()
    assert labelled(run) == "done" and asked == []
    assert labelled(run, retry=True) == "done" and len(asked) == 4
    assert labelled(run, BETA) == "done"
    by_model = "select model, count(*) from intents where failure is null group by 1 order by 1"
    assert rows(run, by_model) == [(ALPHA, 6), (BETA, 8)]


def test_what_may_pass_is_asked_again(run: Path) -> None:
    asked: list[int | None] = []

    def first(prompt: Any, sampling: Sampling, schema: Any) -> str:
        if "this in turn 1?" in text_of(prompt):
            raise CallFailed("timeout", "no reply within 3 s")
        if "this in turn 5?" in text_of(prompt):
            raise CallFailed("server-error", "the server has gone home")
        if "this in turn 6?" in text_of(prompt):
            raise CallFailed("refusal", "I will not read that")
        return intent(prompt, sampling, schema)

    def later(prompt: Any, sampling: Sampling, schema: Any) -> str:
        asked.append(sampling.seed)
        return intent(prompt, sampling, schema)

    REPLIES["alpha"] = first
    with pytest.raises(Incomplete, match="4 questions have no answer"):
        labelled(run)
    REPLIES["alpha"] = later
    assert labelled(run) == "done" and len(asked) == 4
    usable = rows(
        run, "select turn, count(*) from intents where failure is null group by 1 order by 1"
    )
    assert usable == [(1, 2), (4, 2), (5, 2)]
    assert labelled(run) == "done" and len(asked) == 4
    before = {seed for (seed,) in rows(run, "select seed from calls")}
    assert labelled(run, retry=True) == "done" and len(asked) == 6
    assert not before & set(asked[4:])
    assert rows(run, TWICE) == [] and rows(run, "select count(*) from intents") == [(8 + 6,)]


def broken() -> None:
    raise RuntimeError("the labeller broke")


def test_the_same_command_goes_on_where_it_stopped(run: Path, undisturbed: Path) -> None:
    REPLIES["alpha"] = after(3, broken, by_prompt)
    with pytest.raises(RuntimeError, match="the labeller broke"):
        labelled(run, concurrency=1)
    assert rows(run, COUNT)[0][0]
    REPLIES["alpha"] = after(1, interrupted, by_prompt)
    assert labelled(run, concurrency=1) == "drained"
    REPLIES["alpha"] = by_prompt
    ends = []
    while "done" not in ends:
        assert len(ends) < 8
        ends.append(labelled(run, tokens=1_700, concurrency=1))
    assert "budget-tokens" in ends
    assert rows(run, INTENTS) == rows(undisturbed, INTENTS)
    assert rows(run, TWICE) == []
    assert len(rows(run, INTENTS)) == 8


def test_kill_9_loses_no_label(run: Path, undisturbed: Path) -> None:
    command = [
        sys.executable, "-m", "folkways", "label", str(run), "--quiet",
        "--model", "review_runs:careful", "--concurrency", "1", "-o",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests/support'}"}
    slowly = [*command, "options={latency_s: 1.0}"]
    process = subprocess.Popen(slowly, env=environment, stdout=subprocess.DEVNULL)
    while process.poll() is None and not counted(run):
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    process.kill()
    process.wait()
    assert 0 < counted(run) < 8, "it was killed at work"
    fast = [*command, "options={latency_s: 0.0}"]
    assert subprocess.run(fast, env=environment, check=False, stdout=-3).returncode == 0
    assert rows(run, INTENTS) == rows(undisturbed, INTENTS)
    assert rows(run, TWICE) == []


def counted(run: Path) -> int:
    try:
        return int(rows(run, COUNT)[0][0])
    except duckdb.Error:
        return 0  # the writer holds the file just now


def test_a_taxonomy_maps_what_is_labelled_and_asks_for_no_label_again(
    run: Path, tmp_path: Path
) -> None:
    path = write(tmp_path / "moves.yaml", "delay", "refusal")

    def reply(prompt: Any, sampling: Sampling, schema: Any) -> str:
        text = text_of(prompt)
        if "category" not in schema["properties"]:
            return "No." if "this in turn 1?" in text else intent(prompt, sampling, schema)
        assert WANTED in text and "delay: It is delay." in text
        return answer(schema, category="refusal" if "hurry" in text else "dealy")

    REPLIES["alpha"] = reply
    assert labelled(run) == "done"
    assert labelled(run, taxonomy=str(path)) == "done"
    made = (
        "select purpose, count(*) from calls where purpose in ('label', 'categorise') "
        "group by 1 order by 1"
    )
    # Turn 5 is asked twice for a category that is none; turn 1 has no label to be mapped.
    assert rows(run, made) == [("categorise", 4 + 2 * 2), ("label", 6 + 2 * 2)]
    found = "select turn, taxonomy, category, failure from categories order by all"
    key = load_taxonomy(path).key
    assert rows(run, found) == [
        *[(4, key, "refusal", None)] * 2, *[(5, key, None, "out-of-scale")] * 2,
        *[(6, key, "refusal", None)] * 2,
    ]  # fmt: skip
    joined = rows(
        run,
        "select distinct purpose, t.name from categories join calls using (episode_id, call) "
        "join templates t using (template_hash)",
    )
    assert joined == [("categorise", "category")]
    assert labelled(run, taxonomy=str(path)) == "done"
    assert len(rows(run, found)) == 6, "the same taxonomy is done"
    write(path, "delay", "refusal", "praise")
    assert labelled(run, taxonomy=str(path)) == "done"
    assert len(rows(run, found)) == 12, "another one under the same name is not"
    assert rows(run, "select count(distinct taxonomy) from categories") == [(2,)]
    assert labelled(run, retry=True, taxonomy=str(path)) == "done"
    assert rows(run, "select count(*) from categories where failure is not null") == [(2 * 3,)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: m\ncategories: []", "categories"),
        ("name: m\ncategories: [{id: a, description: x}, {id: a, description: y}]", "twice"),
        ("name: m", "categories"), ("", "the file is empty"), ("name: [", "moves.yaml"),
        ("name: m\ncategories: [{id: a, description: x}, {id: ';--', description: y}]", ";--"),
    ],
)  # fmt: skip
def test_a_faulty_taxonomy_is_one_clear_line(
    text: str, told: str, plain: Path, tmp_path: Path
) -> None:
    path = tmp_path / "moves.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        labelled(plain, taxonomy=str(path))
    assert told in str(caught.value) and str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert rows(plain, COUNT) == [(0,)]


def test_the_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "moves.yaml", "delay", "refusal")
    with suppress(SystemExit):
        main(
            [
                "label",
                str(run),
                "--model",
                ALPHA,
                "--taxonomy",
                str(path),
                "--limit",
                "1",
                "--quiet",
            ]
        )
    assert "stopped at --limit" in capsys.readouterr().out
    assert rows(run, "select count(distinct episode_id), count(*) from categories") == [(1, 4)]
    told = json.loads(rows(run, "select settings from launches where stage = 'label'")[0][0])
    assert told["taxonomy"] == str(path) and told["judges"] == [ALPHA]
    for arguments in (["--taxonomy", str(tmp_path / "none.yaml")], ["--model", "gpt"]):
        with pytest.raises(SystemExit):
            main(["label", str(run), *arguments])
        assert capsys.readouterr().err.count("\n") == 1
