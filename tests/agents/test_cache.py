"""The response cache: what was answered once is given again, to the very same request alone."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import pytest
from cached_models import Counted, Request, ask_all, cached, fill
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.models.base import (
    CACHED,
    CallFailed,
    Completion,
    Model,
    ModelUnavailable,
    Prompt,
    Sampling,
)
from agents.models.cache import CachedModel, NotKept, recall
from agents.models.fake import FakeModel
from folkways.text import sound

CHAT: Prompt = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Tea?"}]
ASK: Request = (CHAT, Sampling(seed=7), None)
UNSEEDED: Request = (CHAT, Sampling(), None)


def launch(
    file: Path, model: Model | None, *requests: Request, name: str = "counted"
) -> list[Completion]:
    """Make requests in a launch of their own."""

    async def work() -> list[Completion]:
        async with cached(file, model, name) as one:
            return await ask_all(one, requests)

    return asyncio.run(work())


def rows(file: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(file)) as con:
        return con.execute(query).fetchall()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "runs/responses.sqlite"


def test_the_second_launch_gets_the_same_answers_and_starts_no_engine(file: Path) -> None:
    model, again = Counted(), Counted()
    requests: list[Request] = [ASK, ("Once upon a time", Sampling(seed=1), None), ASK]
    first, second = launch(file, model, *requests), launch(file, again, *requests)
    assert model.counts == {"start": 1, "complete": 3, "close": 1} and again.counts == {}
    for old, new in zip(first, second, strict=True):
        assert (new.text, new.finish_reason) == (old.text, old.finish_reason)
        assert (new.prompt_tokens, new.completion_tokens) == (
            old.prompt_tokens, old.completion_tokens,
        )  # fmt: skip
        assert (old.cost, old.endpoint) == (0.5, "far")
        assert (new.cost, new.endpoint, new.attempts) == (0.0, CACHED, 1)


def test_a_price_that_is_not_known_stays_unknown(file: Path) -> None:
    launch(file, FakeModel(), ASK)
    assert [done.cost for done in launch(file, None, ASK)] == [None]


def test_equal_requests_are_draws_of_their_own_in_their_order(file: Path) -> None:
    draws = [done.text for done in launch(file, Counted(), *[UNSEEDED] * 3)]
    assert draws == ["draw 1", "draw 2", "draw 3"]
    model = Counted()
    again = [done.text for done in launch(file, model, *[UNSEEDED] * 4)]
    assert again == [*draws, "draw 1"] and model.counts["complete"] == 1
    assert rows(file, "select replicate from responses order by 1") == [(0,), (1,), (2,), (3,)]


def test_a_failure_is_not_kept_and_leaves_no_gap(file: Path) -> None:
    model = Counted()
    model.failing = 2

    async def work() -> list[Any]:
        async with cached(file, model) as one:
            asked = (one.complete(*UNSEEDED) for _ in range(4))
            made = await asyncio.gather(*asked, return_exceptions=True)
            return [*made, *await ask_all(one, [UNSEEDED] * 2)]

    made = asyncio.run(work())
    assert [isinstance(one, CallFailed) for one in made] == [True, True, *[False] * 4]
    assert rows(file, "select replicate from responses order by 1") == [(0,), (1,), (2,), (3,)]
    texts = {one.text for one in made[2:]}
    assert {done.text for done in launch(file, None, *[UNSEEDED] * 4)} == texts


def test_a_refusal_and_scores_that_are_no_numbers_are_not_kept(file: Path) -> None:
    class Refusing(FakeModel):
        async def complete(self, *args: Any, **kwargs: Any) -> Completion:
            return Completion("No.", "refusal", 1, 1)

        async def score(self, *args: Any, **kwargs: Any) -> list[float]:
            return [math.nan, -1.0]

    async def work() -> list[float]:
        async with cached(file, Refusing()) as one:
            return await one.score("1 or 2?", ["1", "2"])

    assert launch(file, Refusing(), ASK)[0].finish_reason == "refusal"
    assert math.isnan(asyncio.run(work())[0])
    assert rows(file, "select count(*) from responses") == [(0,)]


@pytest.mark.parametrize("reason", ["stop", "length"])
def test_a_reply_without_text_is_asked_for_again(
    file: Path, reason: Literal["stop", "length"]
) -> None:
    class Silent(FakeModel):
        async def complete(self, *args: Any, **kwargs: Any) -> Completion:
            thought = "Let me see" if reason == "length" else None
            return Completion(" \n", reason, 1, 1, reasoning=thought)

    assert launch(file, Silent(), ASK, ASK)[1].text == " \n"
    assert [done.text for done in launch(file, None, ASK, ASK)] == [" \n"] * 2, "replayed strictly"
    said = [done.text for done in launch(file, Counted(), ASK, ASK)]
    assert rows(file, "select count(*) from responses") == [(2,)]
    assert all(said) and [done.text for done in launch(file, None, ASK, ASK)] == said


def test_scores_are_asked_for_once(file: Path) -> None:
    class Scoring(Counted):
        async def score(self, *args: Any, **kwargs: Any) -> list[float]:
            self.counts["score"] += 1
            return [-0.1 - self.counts["score"] / 3, -math.inf]

    async def work(model: Model | None, *floors: float) -> list[list[float]]:
        async with cached(file, model) as one:
            return [await one.score(CHAT, ["1", "10"], floor) for floor in floors]

    made = asyncio.run(work(Scoring(), -math.inf, -math.inf, -9.0))
    assert made[0] == made[1] != made[2] and made[0][1] == -math.inf
    assert asyncio.run(work(None, -9.0, -math.inf)) == [made[2], made[0]]
    assert rows(file, "select json_extract(reply, '$[1]') from responses") == [(None,), (None,)]


def test_replaying_strictly_asks_nobody_and_changes_nothing(file: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"no response cache .*read-write"):
        launch(file, None, ASK)
    assert not file.exists()
    kept = launch(file, Counted(), ASK)
    before = file.read_bytes()
    assert launch(file, None, ASK)[0].text == kept[0].text
    with pytest.raises(NotKept, match=r"keeps no answer of counted .*replicate 1.*read-write"):
        launch(file, None, ASK, ASK)
    assert file.read_bytes() == before


@pytest.mark.parametrize("what", ["text", "sqlite", "newer", "folder"])
def test_a_file_that_is_something_else_is_refused_and_left_alone(file: Path, what: str) -> None:
    file.parent.mkdir()
    if what == "text":
        file.write_text("these are my notes, not a database at all\n" * 9, encoding="utf-8")
    elif what == "folder":
        file.mkdir()
    else:
        if what == "newer":
            launch(file, FakeModel(), ASK)
        with closing(sqlite3.connect(file)) as con:
            con.execute(
                "create table notes (text)" if what == "sqlite" else "pragma user_version=9"
            )
    before = None if what == "folder" else file.read_bytes()
    with pytest.raises(ModelUnavailable, match=r"responses\.sqlite.*cache\.path"):
        launch(file, FakeModel(), ASK)
    assert before is None or file.read_bytes() == before


SAMPLINGS = st.builds(
    Sampling, st.sampled_from([0.0, 0.7]), st.sampled_from([1.0, 0.9]), max_tokens=st.just(9),
    stop=st.sampled_from([(), ("\n",), ("a", "b")]), seed=st.sampled_from([None, 0, 1]),
)  # fmt: skip
SCHEMAS = st.sampled_from(
    [None, {}, {"type": "object", "properties": {"a": {}, "b": {}}},
     {"type": "object", "properties": {"b": {}, "a": {}}}]
)  # fmt: skip
TEXTS = st.sampled_from(["a", "b", "a\nb", '"', "é", ""])
MODELS = st.tuples(st.sampled_from(["one", "two"]), st.sampled_from(["float32", "bfloat16"]))
ASKED = st.tuples(MODELS, TEXTS, SAMPLINGS, SCHEMAS)
EXAMPLES = count()
"""Numbers that keep examples apart in a file that they share."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that the examples of a property have in common."""
    return tmp_path_factory.mktemp("shared") / "responses.sqlite"


@settings(max_examples=60)
@given(requests=st.lists(ASKED, min_size=2, max_size=6))
def test_only_the_very_same_request_gets_a_kept_answer(shared: Path, requests: list[Any]) -> None:
    asked, example = list[str](), next(EXAMPLES)

    async def ask(request: Any) -> None:
        """Make a request in a launch of its own."""
        (name, dtype), text, sampling, schema = request

        def reply(*_: Any) -> str:
            asked.append(text)
            return "x"

        prompt: Prompt = [{"role": "user", "content": f"{example} {text}"}]
        one = FakeModel(reply=reply)
        async with cached(shared, one, name, dtype=dtype, max_batch=len(asked)) as model:
            await model.complete(prompt, sampling, schema)

    for request in requests:
        asyncio.run(ask(request))
    different = {repr((*request[:3], json.dumps(request[3]))) for request in requests}
    assert len(asked) == len(different)


@settings(max_examples=40)
@given(
    texts=st.lists(st.text(st.characters(), max_size=40).filter(str.strip), min_size=1, max_size=5)
)
def test_whatever_was_said_comes_back(shared: Path, texts: list[str]) -> None:
    example = next(EXAMPLES)
    requests: list[Request] = [
        (f"{example}", Sampling(seed=number), None) for number in range(len(texts))
    ]
    model = FakeModel(reply=lambda _, sampling, __: texts[sampling.seed or 0])
    said, again = launch(shared, model, *requests), launch(shared, None, *requests)
    assert [done.text for done in said] == [sound(text) for text in texts]
    assert [done.text for done in again] == [done.text for done in said]


def test_adapters_share_an_engine_and_count_by_their_contents(tmp_path: Path, file: Path) -> None:
    class Holding(Counted):
        def adapted(self, adapter: str) -> Model:
            assert self.counts["start"] == 1, "it has to be started first"
            return FakeModel(reply=lambda *_: f"by {Path(adapter).name}")

    def make(name: str, weights: bytes) -> str:
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text("{}", encoding="utf-8")
        (tmp_path / name / "adapter_model.safetensors").write_bytes(weights)
        return str(tmp_path / name)

    folders = [make("deu", b"1"), make("mex", b"2")]

    async def work(model: Model | None, paths: list[str], **options: Any) -> list[str]:
        async with cached(file, model, **options) as one:
            return [(await one.adapted(path).complete(*ASK)).text for path in paths]

    model = Holding()
    assert asyncio.run(work(model, folders, adapters=folders)) == ["by deu", "by mex"]
    assert model.counts == {"start": 1, "close": 1}
    Path(folders[0]).rename(tmp_path / "moved")
    assert asyncio.run(work(None, [str(tmp_path / "moved")])) == ["by deu"]
    (tmp_path / "moved/adapter_model.safetensors").write_bytes(b"3")
    with pytest.raises(NotKept):
        asyncio.run(work(None, [str(tmp_path / "moved")]))


def test_a_call_that_gives_up_neither_stops_the_start_nor_takes_a_number(file: Path) -> None:
    model = Counted()
    model.slow_s = 0.3

    async def work() -> Completion:
        async with cached(file, model) as one:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await one.complete(*UNSEEDED)
            assert await recall(one, *UNSEEDED) is None, "it waits until the model can be asked"
            assert model.counts == {"start": 1}
            return await one.complete(*UNSEEDED)

    assert asyncio.run(work()).text == "draw 1" and model.counts["close"] == 1
    assert rows(file, "select replicate from responses") == [(0,)]


def test_an_engine_that_cannot_start_says_so_to_every_call(file: Path) -> None:
    class Broken(FakeModel):
        async def start(self) -> None:
            raise ModelUnavailable("no such endpoint")

    async def work(ask: Callable[[CachedModel], Awaitable[Any]]) -> list[Any]:
        async with cached(file, Broken()) as one:
            return await asyncio.gather(*(ask(one) for _ in range(3)), return_exceptions=True)

    for ask in (lambda one: one.complete(*ASK), lambda one: recall(one, *ASK)):
        assert [str(fault) for fault in asyncio.run(work(ask))] == ["no such endpoint"] * 3


def test_thousands_of_calls_at_once(file: Path) -> None:
    async def work(model: Model | None) -> list[str]:
        async with cached(file, model) as one:
            asked = [one.complete(CHAT, Sampling(seed=n % 1000)) for n in range(3000)]
            return [done.text for done in await asyncio.gather(*asked)]

    made = asyncio.run(work(FakeModel()))
    assert asyncio.run(work(None)) == made and len(set(made)) > 20
    assert rows(file, "select count(*), max(replicate) from responses") == [(3000, 2)]


def test_processes_fill_one_new_file_at_once(tmp_path: Path) -> None:
    file, processes = tmp_path / "r.sqlite", []
    for number in range(4):
        args = (file, 100 * number, 200, tmp_path / f"{number}.txt")
        processes.append(get_context("spawn").Process(target=fill, args=args))
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    told = [line for n in range(4) for line in (tmp_path / f"{n}.txt").read_text().splitlines()]
    assert len(told) == 800 and len(set(told)) == 500, "both got the answer that is kept"
    assert rows(file, "select count(*), count(distinct request) from responses") == [(500, 500)]


def test_kill_9_loses_no_answer_that_was_given_on(tmp_path: Path) -> None:
    file, told = tmp_path / "r.sqlite", tmp_path / "told.txt"
    for number in range(3):
        process = get_context("spawn").Process(target=fill, args=(file, 0, 100_000, told))
        process.start()
        size = told.stat().st_size if told.exists() else 0
        while not told.exists() or told.stat().st_size < size + 2000 * (number + 1):
            time.sleep(0.005)
        assert process.pid
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    assert rows(file, "pragma integrity_check") == [("ok",)]
    lines = told.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
    given_on = {int(line.split(" ")[0]) for line in lines if line[0].isdigit()}
    assert len(given_on) > 100
    requests = [(f"request {number}", Sampling(seed=number), None) for number in given_on]
    kept = [done.text for done in launch(file, None, *requests, name="fake")]
    assert kept == [done.text for done in asyncio.run(ask_all(FakeModel(), requests))]
    assert rows(file, "select 1 from responses where reply is null or finish_reason is null") == []


@pytest.mark.parametrize(
    ("column", "value"),
    [("reply", b"\xff"), ("finish_reason", "evil"), ("prompt_tokens", "many"),
     ("prompt_tokens", 1.5), ("cost", "free"), ("reasoning", b"\xff")],
)  # fmt: skip
def test_a_kept_answer_of_another_type_is_one_line(file: Path, column: str, value: Any) -> None:
    launch(file, Counted(), ASK)
    with closing(sqlite3.connect(file)) as con, con:
        con.execute(f"update responses set {column} = ?", [value])
    again = Counted()
    with pytest.raises(ModelUnavailable, match="not as folkways keeps one; choose another"):
        launch(file, again, ASK)
    assert again.counts == {}


@pytest.mark.parametrize("reply", ["", "{", "[1]", "[1, 2, 3]", '[1, "x"]', "[" * 10**5, "7"])
def test_kept_scores_that_are_none_are_one_line(file: Path, reply: str) -> None:
    async def score() -> list[float]:
        async with cached(file, FakeModel()) as one:
            return await one.score(CHAT, ["yes", "no"])

    assert len(asyncio.run(score())) == 2
    with closing(sqlite3.connect(file)) as con, con:
        con.execute("update responses set reply = ?", [reply])
    with pytest.raises(ModelUnavailable, match="not as folkways keeps one"):
        asyncio.run(score())


@pytest.mark.parametrize("made", [
    "create trigger t after insert on responses begin delete from responses; end",
    "create view v as with recursive n(i) as (select 1 union all select i from n) select i from n",
])  # fmt: skip
def test_a_cache_with_sql_of_its_own_is_not_used(file: Path, made: str) -> None:
    launch(file, Counted(), ASK)
    with closing(sqlite3.connect(file)) as con, con:
        con.execute(made)
    with pytest.raises(ModelUnavailable, match="is not as folkways makes it"):
        launch(file, Counted(), ASK)
